"""Walks between stacks: every step's settings recorded by the program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ladder.contract import StackSettings, settings_from_mapping
from ladder.errors import CheckFailed, InputError
from ladder.parity.ladder import Ladder
from ladder.parity.recordings import Recorder
from ladder.parity.units import Values, steps, units
from ladder.parity.walk import Walk, Walked
from ladder.recording import Recording
from ladder.substitution import Variation, comparable, judged

__all__ = ["DRY_RUN", "STACK_NAME", "walked_stacks"]

STACK_NAME, DRY_RUN = "the stack's name", "the dry-run flag"

_Recorded = Recording | CheckFailed


def walked_stacks(ladder: Ladder, recorder: Recorder, own: Mapping[str, Recording] | None = None) -> Iterator[Walked]:
    """The walk between each two stacks that are neighbours; ``own`` are the stacks' recordings, where there are any.

    Last, with the upper one's settings, the stack takes its name, and then the dry-run flag is set. Raises CheckFailed
    where the program fails for a stack's own settings.
    """
    walks = list(_walks(ladder))
    ends = {each.name: each.settings for walk in walks for each in (walk.lower, walk.upper)}
    if own is None:
        made = recorder.record_sound(Variation(sections=_values(each), stack=stack) for stack, each in ends.items())
        own = dict(zip(ends, made, strict=True))
    recorded = recorder.record(variation for walk in walks for variation in _variations(walk))
    for walk in walks:
        *between, end, dry = islice(recorded, len(walk.steps) + 1)
        states = [own[walk.lower.name], *between, _sound(end)]
        yield _walked(walk, states, own[walk.upper.name], _sound(dry))


def _walks(ladder: Ladder) -> Iterator[Walk]:
    for lower, upper in ladder.pairs():
        if lower.settings is not None and upper.settings is not None:
            moving = list(units(lower.settings, upper.settings))
            yield Walk(lower, upper, tuple(steps(_values(lower.settings), _values(upper.settings), moving, _valid)))


def _values(settings: StackSettings | None) -> Values:
    return settings.model_dump(mode="json", by_alias=True) if settings else {}


def _valid(values: Values) -> bool:
    try:
        settings_from_mapping(values)
    except InputError:
        return False
    return True


def _variations(walk: Walk) -> Iterator[Variation]:
    """Each step's end, and the last one's with the other name as a dry run.

    Two stacks differ at least by their names, so that there is a step.
    """
    lower, upper = walk.lower.name, walk.upper.name
    end = _values(walk.upper.settings)
    for step in walk.steps[:-1]:
        yield Variation(sections=step.values, stack=lower)
    yield Variation(sections=end, stack=lower)
    yield Variation(sections=end, stack=upper, preview=True)


def _walked(walk: Walk, states: list[_Recorded], named: Recording, dry: Recording) -> Walked:
    seen = [None if isinstance(state, CheckFailed) else _nameless(state, walk) for state in states]
    last, own, previewed = seen[-1] or {}, _nameless(named, walk), _nameless(dry, walk)
    leftovers = {STACK_NAME: judged(STACK_NAME, last, own), DRY_RUN: judged(DRY_RUN, own, previewed)}
    return Walked(walk, seen, leftovers)


def _nameless(recording: Recording, walk: Walk) -> dict[str, Any]:
    """As if of the lower stack, whose name stands in URNs; the resource that is the stack itself is left out."""
    names = [
        (f"{prefix}{recording.stack}{end}", f"{prefix}{walk.lower.name}{end}")
        for prefix, end in (("urn:pulumi:", "::"), (f"Stack::{recording.project}-", ""))
    ]
    seen = comparable(recording, names)
    del seen["stack"]
    return {where: each for where, each in seen.items() if "::pulumi:pulumi:Stack::" not in where}


def _sound(recorded: _Recorded) -> Recording:
    if isinstance(recorded, CheckFailed):
        raise recorded
    return recorded
