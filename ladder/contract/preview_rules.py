"""Rules that join several fields of ``ladder:previews``, and with those of the stack that has them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from ladder.contract.previews import Previews
from ladder.contract.stack import Rung, StackSettings
from ladder.contract.types import duration, quantity
from ladder.contract.violations import Violation

__all__ = ["previews"]


def previews(settings: StackSettings) -> Iterator[Violation]:
    """Every rule broken where pull requests become environments."""
    told = settings.previews
    if not isinstance(told, Previews):
        return
    if settings.environment.rung is not Rung.DEV:
        yield Violation(
            path=("previews", "enabled"),
            message="pull requests run in the dev cluster only",
            found=f"true on {settings.environment.rung}",
            accepted="false",
        )
    yield from _times(told)
    yield from _budget(told)
    yield from _images(told, settings)


def _times(told: Previews) -> Iterator[Violation]:
    half = f"at most half of ttl ({told.ttl})"
    late = "a preview would outlive its TTL by up to that time"
    for path, value, limit, message, accepted in (
        (("requeue",), told.requeue, duration(told.ttl) / 2, f"is too long for the TTL: {late}", half),
        (("reaper", "every"), told.reaper.every, duration(told.ttl) / 2, f"is too long for the TTL: {late}", half),
        (("stale",), told.stale, duration(told.ttl) / 2, "would outlast previews", half),
        (("fresh",), told.fresh, duration(told.stale), "is longer than stale", f"at most {told.stale}"),
        (("reaper", "grace"), told.reaper.grace, duration(told.ttl), "is longer than ttl", f"at most {told.ttl}"),
        (("ttl",), told.ttl, duration(told.max_age), "is longer than maxAge", f"at most {told.max_age}"),
    ):
        if duration(value) > limit:
            yield Violation(path=("previews", *path), message=message, found=value, accepted=accepted)
    if duration(told.reaper.grace) < duration(told.requeue) * 2:
        yield Violation(
            path=("previews", "reaper", "grace"),
            message="is so short that the reaper would race Argo CD, which removes a preview when it asks again",
            found=told.reaper.grace,
            accepted=f"at least twice requeue ({told.requeue})",
        )


def _budget(told: Previews) -> Iterator[Violation]:
    hours = Fraction(int(duration(told.ttl).total_seconds()), 3600)
    for tier, room in told.tiers.items():
        for what in ("cpu", "memory"):
            charged: Fraction = quantity(getattr(room.quota.requests, what)) * hours
            given: str = getattr(told.budget, what)
            if charged > quantity(given):
                yield Violation(
                    path=("previews", "budget", what),
                    message=f"does not hold one preview of tier {tier} for a ttl",
                    found=given,
                    accepted=f"at least {float(charged):g}: what it requests, times {float(hours):g} hours",
                )


def _images(told: Previews, settings: StackSettings) -> Iterator[Violation]:
    """What a pull request built must be admitted in its preview, and by no rung; what admits it is not its own."""
    registries = settings.images.registries
    for name, registry in registries.items():
        if _within(told.images, registry) or _within(registry, told.images):
            yield Violation(
                path=("previews", "images"),
                message=f"overlaps images.registries.{name}, so that a rung would run what a pull request built",
                found=told.images,
                accepted=f"a repository that is neither {registry} nor above or below it",
            )
    if not any(told.program.startswith(f"{registry}/") for registry in registries.values()):
        yield Violation(
            path=("previews", "program"),
            message="is of a registry that no image may come from",
            found=told.program,
            accepted=" or ".join(f"{registry}/…" for registry in registries.values()),
        )


def _within(inner: str, outer: str) -> bool:
    return f"{inner}/".startswith(f"{outer}/")
