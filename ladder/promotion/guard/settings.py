"""Settings pass by themselves, as long as they bring no image that the rung below does not have, nor another source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ladder.changes.commits import checked_out
from ladder.contract import ladder_settings
from ladder.contract.overlay import Objects, Overlay, Seed
from ladder.contract.overlay_rules import brought_stores
from ladder.contract.problems import checked
from ladder.contract.promotion import PROMOTION, read_promotion
from ladder.errors import InputError, LadderError
from ladder.promotion import Broken
from ladder.promotion.chain import Verify, read_chains
from ladder.promotion.guard.findings import Case, Finding
from ladder.strict_yaml import parse
from ladder.tree import VALUES, VERSION
from ladder.variables import OBJECT_STORE

__all__ = ["foreign_images", "images", "other_rules", "other_sources"]

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
    """Stack files that would deliver from elsewhere. Raises InputError for settings that the contract refuses."""
    before = case.ground.stacks
    if not any(f"Pulumi.{stack}.yaml" in case.delta.changed for stack in before):
        return
    with checked_out(case.ground.root, case.tree, without=(VALUES, VERSION)) as project:
        after = ladder_settings(project, equal=False)
    for stack, settings in sorted(after.items()):
        for field in _SOURCE if stack in before else ():
            old, new = (getattr(each.delivery, field) for each in (before[stack], settings))
            if old != new:
                message = f"delivery.{field} would be {new}, not {old}: everything would come from elsewhere"
                instead = "an administrator's merge, past this check, after every rung was looked at"
                yield Finding(f"Pulumi.{stack}.yaml", message, instead)


def other_rules(case: Case) -> Iterator[Finding]:
    """Rules of promotion by which the evidence that there is would not be believed any more."""
    root = case.ground.promotion.sigstore.trusted_root
    if not {PROMOTION, root} & set(case.delta.changed):
        return
    from ladder.promotion.sigstore import Trust

    with checked_out(case.ground.root, case.tree, without=(VALUES, VERSION)) as project:
        try:
            rules = read_promotion(project)
            verify: Verify = Trust.of(project, rules.sigstore).verify
            read_chains(project / rules.evidence.folder, case.ground.ladder, rules.evidence.signers, verify)
        except Broken as error:
            message = f"by these rules the evidence is not believed: {error}"
            yield Finding(PROMOTION, message, "keep who signed, and whom that is believed of, as the evidence has it")
        except LadderError as error:
            yield Finding(PROMOTION, str(error), "rules as schemas/promotion.schema.json describes them")


def _images(contents: Mapping[str, bytes], path: str | None, service: str) -> Mapping[str, str]:
    """Of a file there is; none of one that there is not."""
    path = next(iter(contents), "") if path is None else path
    if path not in contents:
        return {}
    overlay, problems = checked(parse(contents[path].decode("utf-8", "replace"), file=path), Overlay)
    if overlay is None or problems:
        raise InputError(problems)
    return images(service, overlay)
