"""Whether every stack's quotas are the highest rung's, times the one factor that the stack declares."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction

from ladder.check.capacity import shown
from ladder.check.findings import Finding
from ladder.contract.namespaces import Quota
from ladder.contract.stack import StackSettings
from ladder.contract.types import quantity
from ladder.contract.violations import Path, Violation
from ladder.parity.ladder import Ladder

__all__ = ["room"]

_COUNTED = frozenset({"pods", "persistentVolumeClaims"})


def room(ladder: Ladder) -> Iterator[Finding]:
    """Every dimension of a quota that is other than the highest rung's times ``scale.factor``.

    What is counted (pods, claims) is rounded up. The highest rung's own factor is 1, so that the others are shares of
    it. Limits of one container are not scaled: a process is no smaller for running on a lower rung.
    """
    highest = max(ladder.environments, key=lambda each: each.rank, default=None)
    if highest is None or highest.settings is None:
        return
    for stack, settings in ladder.stacks().items():
        if stack == highest.name and settings.scale.factor != 1:
            violation = Violation(
                path=("scale", "factor"),
                message="is not 1 on the highest rung, which the others are shares of",
                found=str(settings.scale.factor),
                accepted="1",
            )
            yield ladder.in_stack("order/scale", stack, violation)
        elif stack != highest.name:
            yield from _scaled(ladder, stack, settings, highest.name, highest.settings)


def _scaled(
    ladder: Ladder, stack: str, settings: StackSettings, highest: str, above: StackSettings
) -> Iterator[Finding]:
    for key, namespace in settings.namespaces.items():
        theirs = _dimensions(above.namespaces[key].quota)
        for path, (resource, written, amount) in _dimensions(namespace.quota).items():
            exact = theirs[path][2] * _share(settings)
            wanted = Fraction(math.ceil(exact)) if path[-1] in _COUNTED else exact
            if amount != wanted:
                violation = Violation(
                    path=("namespaces", key, "quota", *path),
                    message=f"is not that of {highest} times scale.factor, {settings.scale.factor}",
                    found=written,
                    accepted=f"{shown(resource, wanted)}, of {theirs[path][1]}",
                )
                yield ladder.in_stack("order/scale", stack, violation)


def _share(settings: StackSettings) -> Fraction:
    """The factor as it is written: 0.1 is a tenth."""
    return Fraction(str(settings.scale.factor))


def _dimensions(quota: Quota) -> Mapping[Path, tuple[str, str, Fraction]]:
    """By its path: the name that a ResourceQuota has for it, what is written, and the amount."""
    written: dict[Path, tuple[str, str]] = {
        ("requests", "cpu"): ("requests.cpu", quota.requests.cpu),
        ("requests", "memory"): ("requests.memory", quota.requests.memory),
        ("limits", "cpu"): ("limits.cpu", quota.limits.cpu),
        ("limits", "memory"): ("limits.memory", quota.limits.memory),
        ("pods",): ("pods", str(quota.pods)),
        ("persistentVolumeClaims",): ("persistentvolumeclaims", str(quota.persistent_volume_claims)),
        ("storage",): ("requests.storage", quota.storage),
    }
    return {path: (resource, text, quantity(text)) for path, (resource, text) in written.items()}
