"""Settings pass by themselves, as long as they bring no image that the rung below does not have, nor another source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ladder.changes.commits import checked_out
from ladder.contract import ladder_settings
from ladder.contract.overlay import Objects, Overlay, Seed
from ladder.contract.overlay_rules import brought_stores
from ladder.contract.problems import checked
from ladder.contract.promotion import PROMOTION, read_promotion
from ladder.errors import CheckFailed, InputError, LadderError
from ladder.promotion.chain import Verify
from ladder.promotion.guard.findings import Case, Finding
from ladder.promotion.lineage import unreported
from ladder.proposed import STACK_FILE
from ladder.strict_yaml import parse
from ladder.tree import VALUES, VERSION
from ladder.variables import OBJECT_STORE

__all__ = ["foreign_images", "images", "other_rules", "other_sources"]

_ADMINISTRATOR = "an administrator's merge, past this check, after every rung was looked at"
_SOURCE = ("repository", "branch", "path", "chart")


def images(service: str, overlay: Overlay) -> Mapping[str, str]:
    """The images that the service's chart runs beside the service's own, by where they stand in the overlay."""
    found: dict[str, str] = {}
    for name in brought_stores(service, overlay):
        if name == OBJECT_STORE and isinstance(overlay.dependencies.objects, Objects):
            found["dependencies.objects.image"] = overlay.dependencies.objects.image
        elif name in overlay.dependencies.stores:
            found[f"dependencies.stores.{name}.image"] = overlay.dependencies.stores[name].image
    if isinstance(overlay.seed, Seed):
        found["seed.image"] = overlay.seed.image
    return found


def foreign_images(case: Case) -> Iterator[Finding]:
    """Images that an overlay above the lowest rung would run now, and the rung below does not have yet.

    Raises InputError for an overlay that the contract refuses.
    """
    folder, ladder = case.services_folder, case.ground.ladder
    changed = [path for path in case.below(folder) if path.endswith(f"/{VALUES}") and not case.delta.removed(path)]
    before, after = (case.delta.contents(changed, after=end) for end in (False, True))
    for path in changed:
        environment, service, _ = path.removeprefix(f"{folder}/").split("/")
        held = _images(before, path, service)
        wanted = _images(after, path, service)
        if environment == ladder[0] or set(wanted.values()) <= set(held.values()):
            continue
        lower = ladder[ladder.index(environment) - 1]
        there = _images(case.delta.contents([f"{folder}/{lower}/{service}/{VALUES}"], after=False), None, service)
        for place, image in sorted(wanted.items()):
            if image not in {*held.values(), *there.values()}:
                message = f"{place} brings {image} into {environment}, and {lower} does not have it"
                instead = (
                    f"change {lower} first, with an exception in parity.yaml, and {environment} once that is merged"
                )
                yield Finding(path, message, instead)


def other_sources(case: Case) -> Iterator[Finding]:
    """Stack files that would deliver from elsewhere, or make another ladder. Raises InputError for refused settings."""
    if not any(STACK_FILE.fullmatch(path) for path in case.delta.changed):
        return
    with checked_out(case.ground.root, case.tree, without=(VALUES, VERSION)) as project:
        after = ladder_settings(project, equal=False)
    before = case.ground.stacks
    rungs, wanted = ({name: each.environment.rung for name, each in end.items()} for end in (before, after))
    for stack in sorted(rungs.keys() | wanted.keys()):
        if rungs.get(stack) != wanted.get(stack):
            message = "would make another ladder: the evidence speaks of the rungs that there are"
            yield Finding(f"Pulumi.{stack}.yaml", message, _ADMINISTRATOR)
    for stack in sorted(before.keys() & after.keys()):
        for field in _SOURCE:
            old, new = (getattr(each.delivery, field) for each in (before[stack], after[stack]))
            if old != new:
                message = f"delivery.{field} would be {new}, not {old}: everything would come from elsewhere"
                yield Finding(f"Pulumi.{stack}.yaml", message, _ADMINISTRATOR)


def other_rules(case: Case) -> Iterator[Finding]:
    """Rules of promotion by which the evidence that there is would not be found, or not be believed, any more."""
    ground = case.ground
    if not {PROMOTION, ground.promotion.sigstore.trusted_root} & set(case.delta.changed):
        return
    from ladder.promotion.sigstore import Trust

    with checked_out(ground.root, case.tree, without=(VALUES, VERSION)) as project:
        try:
            rules = read_promotion(project)
            verify: Verify = Trust.of(project, rules.sigstore).verify
        except LadderError as error:
            yield Finding(PROMOTION, str(error), "rules as schemas/promotion.schema.json describes them")
            return
        for field in ("folder", "bucket"):
            old, new = (getattr(each.evidence, field) for each in (ground.promotion, rules))
            if old != new:
                message = f"evidence.{field} would be {new}, not {old}: what was stated would be out of sight"
                yield Finding(PROMOTION, message, _ADMINISTRATOR)
                return
        by_them = replace(ground, project=project, promotion=rules, verify=verify)
        try:
            wrong = [f"{where}: {what}" for where, what in unreported(by_them)]
        except CheckFailed as error:
            wrong = [str(error)]
        known = {f"{where}: {what}" for where, what in unreported(replace(ground))}
        for each in wrong:
            if each not in known:
                message = f"by these rules the evidence is not believed: {each}"
                yield Finding(
                    PROMOTION, message, "keep who signed, and whom that is believed of, as the evidence has it"
                )


def _images(contents: Mapping[str, bytes], path: str | None, service: str) -> Mapping[str, str]:
    """Of a file there is; none of one that there is not."""
    path = next(iter(contents), "") if path is None else path
    if path not in contents:
        return {}
    overlay, problems = checked(parse(contents[path].decode("utf-8", "replace"), file=path), Overlay)
    if overlay is None or problems:
        raise InputError(problems)
    return images(service, overlay)
