"""Whether a rollout is more aggressive than the one on the rung below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

from ladder.contract.overlay import Analysis, CanaryStep, Rollout
from ladder.contract.types import duration
from ladder.contract.violations import Violation

__all__ = ["loosened"]


def loosened(lower: str, below: Rollout, above: Rollout) -> Iterator[Violation]:
    """Where the rollout ``above`` is more aggressive than the one ``below``, of the environment ``lower``.

    It is where any of these holds: below there is a canary and above none; the largest jump of weight from one step to
    the next, the first from 0 and the last to 100, is larger above; all pauses together are shorter above; below there
    is an analysis and above none; above, its threshold is lower or it forgives more failures. A change that passed the
    lower rung would then meet more users sooner, or be measured less strictly, than where it was tried.
    """
    if below.canary and not above.canary:
        accepted = f"steps, as in {lower}"
        yield _violation(("rollout", "canary"), f"has no step, and {lower} has", "no step", accepted)
    elif _largest_jump(above.canary) > _largest_jump(below.canary):
        found, accepted = f"{_largest_jump(above.canary)} %", f"at most {_largest_jump(below.canary)} %"
        yield _violation(("rollout", "canary"), f"makes a larger jump of weight than {lower}", found, accepted)
    elif _paused(above.canary) < _paused(below.canary):
        found, accepted = str(_paused(above.canary)), f"{_paused(below.canary)} or longer"
        yield _violation(("rollout", "canary"), f"pauses for less time in all than {lower}", found, accepted)
    yield from _analysis(lower, below.analysis, above.analysis)


def _analysis(lower: str, below: object, above: object) -> Iterator[Violation]:
    path = ("rollout", "analysis")
    if not isinstance(below, Analysis):
        return
    if not isinstance(above, Analysis):
        yield _violation((*path, "enabled"), f"is off, and on in {lower}", "false", "true, or false below too")
        return
    if above.threshold < below.threshold:
        accepted = f"{below.threshold} or more"
        yield _violation((*path, "threshold"), f"asks for less than {lower}", str(above.threshold), accepted)
    if above.failures > below.failures:
        accepted = f"at most {below.failures}"
        yield _violation((*path, "failures"), f"forgives more than {lower}", str(above.failures), accepted)


def _largest_jump(canary: Sequence[CanaryStep]) -> int:
    weights = (0, *(step.weight for step in canary), 100)
    return max(high - low for low, high in pairwise(weights))


def _paused(canary: Sequence[CanaryStep]) -> timedelta:
    return sum((duration(step.pause) for step in canary), timedelta())


def _violation(path: tuple[str, ...], message: str, found: str, accepted: str) -> Violation:
    return Violation(path=path, message=message, found=found, accepted=accepted)
