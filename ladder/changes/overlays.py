"""The GitOps tree at both ends: which overlays change, and whether that loses data or runs ahead of the ladder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ladder.changes.fields import at
from ladder.changes.order import Part, out_of_order
from ladder.changes.report import Caution, Danger, Fate, ServiceChange, Standing, TreeChanges
from ladder.changes.resources import properties
from ladder.changes.sides import Overlays

__all__ = ["tree_changes"]

Neutral = Callable[[Any], Any]


def tree_changes(
    base: Overlays | str, head: Overlays | str, neutral: Mapping[str, Neutral], lower: Mapping[str, str]
) -> TreeChanges:
    """What changes in the tree. ``neutral`` and ``lower`` are by environment: see :mod:`ladder.changes.order`."""
    if isinstance(base, str) or isinstance(head, str):
        sides = (("base", base), ("work tree", head))
        reasons = [f"{side}: {reason}" for side, reason in sides if isinstance(reason, str)]
        return TreeChanges(standing=Standing.NOT_COMPARABLE, reason="\n".join(reasons))
    services = tuple(_services(base, head))
    cautions = (*_lost(services), *_ahead(base, head, neutral, lower))
    return TreeChanges(standing=Standing.COMPARED, services=services, cautions=cautions)


def _services(base: Overlays, head: Overlays) -> Iterator[ServiceChange]:
    for name in sorted({*base, *head}):
        environment, _, service = name.partition("/")
        before, after = base.get(name), head.get(name)
        if before is None or after is None:
            fate = Fate.ANEW if before is None else Fate.GONE
            yield ServiceChange(environment=environment, service=service, fate=fate)
        elif found := properties(before, after):
            yield ServiceChange(environment=environment, service=service, fate=Fate.CHANGED, properties=found)


def _lost(services: tuple[ServiceChange, ...]) -> Iterator[Caution]:
    """A folder that goes takes its service along, unless ``delivery.keepWhenRemoved``; a tier has its own stores."""
    for each in services:
        tiers = [f"{one.before} → {one.after}" for one in each.properties if one.path == "values.tier"]
        if each.fate is Fate.GONE:
            message = "is no longer delivered: it is removed, unless its stack keeps what is removed from the tree"
        elif tiers:
            message = "gets other stores with its other tier; data does not move along"
        else:
            continue
        yield Caution(
            danger=Danger.DATA,
            where=each.environment,
            subject=f"service {each.service}",
            message=message,
            details=tuple(tiers),
        )


def _ahead(
    base: Overlays, head: Overlays, neutral: Mapping[str, Neutral], lower: Mapping[str, str]
) -> Iterator[Caution]:
    for environment, under in lower.items():
        own, other = (_parts(base, head, name, neutral[name]) for name in (environment, under))
        yield from out_of_order(environment, own, other, under)
        yield from _unclimbed(base, head, environment, under)


def _parts(base: Overlays, head: Overlays, environment: str, neutral: Neutral) -> dict[str, Part]:
    """The values of one environment, by service."""
    return {
        name.partition("/")[2]: Part(
            *(neutral(at(side, name, "values")) if name in side else None for side in (base, head))
        )
        for name in {*base, *head}
        if name.startswith(f"{environment}/")
    }


def _unclimbed(base: Overlays, head: Overlays, environment: str, under: str) -> Iterator[Caution]:
    """What climbs is a digest: one that the rung below neither had nor gets has not been there."""
    moved: list[str] = []
    for name in sorted(name for name in head if name.startswith(f"{environment}/")):
        below = f"{under}/{name.partition('/')[2]}"
        for part in ("image", "chart"):
            was, now = (at(side, name, "version", part, "digest") for side in (base, head))
            if now != was and now not in {at(side, below, "version", part, "digest") for side in (base, head)}:
                moved.append(f"{name.partition('/')[2]} {part} {now}")
    if moved:
        message = "is passed over: these digests come here without having been there"
        yield Caution(danger=Danger.ORDER, where=environment, subject=under, message=message, details=tuple(moved))
