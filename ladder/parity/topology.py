"""Whether the rung below prod has prod's shape: what was tried there is what will run, only smaller."""

from __future__ import annotations

from collections.abc import Iterator

from ladder.check.findings import Finding
from ladder.contract.across import unexplained
from ladder.contract.overlay import Overlay
from ladder.contract.stack import Rung
from ladder.contract.violations import Path, Violation
from ladder.parity.ladder import Environment, Ladder

__all__ = ["topology"]


def topology(ladder: Ladder, lower: Environment, upper: Environment) -> Iterator[Finding]:
    """Where the rung directly below the highest differs from it in tier or topology; of other pairs nothing is asked.

    The same services; for each the same tier, spread, way in and dependencies, an autoscaler where the upper one has
    one, and more than one replica where the upper one always has more than one.
    """
    if lower.settings is None or upper.settings is None:
        return
    if upper.settings.environment.rung is not Rung.PROD or lower.rank != upper.rank - 1:
        return
    mine, theirs = lower.settings.tier.level, upper.settings.tier.level
    if mine != theirs:
        yield ladder.in_stack("order/tier", lower.name, _not_as(upper.name, ("tier", "level"), mine, theirs))
    for name in sorted(upper.services.keys() - lower.services.keys()):
        yield Finding(
            rule="order/topology",
            where=(ladder.tree.path / lower.name).as_posix(),
            message=f"lacks the service {name}, which {upper.name} has: nothing of it is tried before",
            found=", ".join(lower.services) or "no service",
            accepted=f"a folder {name}",
        )
    for name in sorted(upper.services.keys() & lower.services.keys()):
        service = lower.services[name]
        for rule, violation in _shape(upper.name, service.overlay, upper.services[name].overlay):
            yield ladder.in_overlay(rule, service, violation)


def _shape(upper: str, mine: Overlay, theirs: Overlay) -> Iterator[tuple[str, Violation]]:
    if mine.tier != theirs.tier:
        yield "order/tier", _not_as(upper, ("tier",), mine.tier, theirs.tier)
    same: tuple[tuple[Path, object, object], ...] = (
        (("scale", "spread"), mine.scale.spread, theirs.scale.spread),
        (("ingress", "public"), mine.ingress.public, theirs.ingress.public),
        (("ingress", "through"), mine.ingress.through, theirs.ingress.through),
        *unexplained(mine.dependencies, theirs.dependencies, ("dependencies",)),
    )
    for path, found, wanted in same:
        if found != wanted:
            yield "order/topology", _not_as(upper, path, _shown(found), _shown(wanted))
    own, above = mine.scale.replicas, theirs.scale.replicas
    if above.max > above.min and not own.max > own.min:
        violation = _not_as(upper, ("scale", "replicas", "max"), f"{own.max}: no autoscaler", f"more than {own.min}")
        yield "order/topology", violation
    if above.min > 1 and own.min < 2:
        yield "order/topology", _not_as(upper, ("scale", "replicas", "min"), str(own.min), "2 or more")


def _not_as(upper: str, path: Path, found: str, accepted: str) -> Violation:
    return Violation(path=path, message=f"is not as on {upper}, the rung above", found=found, accepted=accepted)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
