"""From one environment's settings to another's in steps: the smallest that have a reason and leave valid settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

from pydantic.fields import FieldInfo

from ladder.contract.base import Settings, Varies
from ladder.contract.violations import Path

__all__ = ["Step", "Unit", "Values", "steps", "units"]

Values = dict[str, Any]
_Valid = Callable[[Values], bool]


@dataclass(frozen=True, slots=True)
class Unit:
    """What moves as one: a field that says why it varies, or a key of a map. ``reason`` is None where none is given."""

    path: Path
    reason: Varies | None

    def __str__(self) -> str:
        return ".".join(map(str, self.path))


@dataclass(frozen=True, slots=True)
class Step:
    """Units that are valid only together, and the values once they have moved."""

    units: tuple[Unit, ...]
    values: Values


def units(mine: Any, theirs: Any, path: Path = (), reason: Varies | None = None) -> Iterator[Unit]:
    """Where two settings differ, in the order of their fields; the deepest field that says why is what moves."""
    if isinstance(mine, Settings) and type(mine) is type(theirs) and (reason is None or _says_more(mine)):
        for name, field in type(mine).model_fields.items():
            own = _reason(field) or reason
            yield from units(getattr(mine, name), getattr(theirs, name), (*path, field.alias or name), own)
    elif isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        left, right = cast("Mapping[str, Any]", mine), cast("Mapping[str, Any]", theirs)
        for key in sorted({*left, *right}):
            if key in left and key in right:
                yield from units(left[key], right[key], (*path, key), reason)
            else:
                yield Unit((*path, key), reason)
    elif mine != theirs:
        yield Unit(path, reason)


def _reason(field: FieldInfo) -> Varies | None:
    return next((each for each in field.metadata if isinstance(each, Varies)), None)


def _says_more(settings: Settings) -> bool:
    return any(_reason(field) for field in type(settings).model_fields.values())


def steps(start: Values, end: Values, moving: Sequence[Unit], valid: _Valid) -> list[Step]:
    """Every unit moved once, from the values ``start`` to ``end``, one at a time where what comes of it is valid.

    A unit that is not valid yet waits for others. Where none is valid alone, the fewest that are valid together with
    one of them move as one; ``end`` is valid, so that there always are some.
    """
    made: list[Step] = []
    waiting: list[Unit] = list(moving)
    values = start
    while waiting:
        for unit in tuple(waiting):
            moved = _moved(values, end, [unit])
            if valid(moved):
                made.append(Step((unit,), moved))
                waiting.remove(unit)
                values = moved
        if waiting and not _any_alone(values, end, waiting, valid):
            together = _fewest(values, end, waiting, valid)
            values = _moved(values, end, together)
            made.append(Step(tuple(together), values))
            waiting = [unit for unit in waiting if unit not in together]
    return made


def _any_alone(values: Values, end: Values, waiting: Sequence[Unit], valid: _Valid) -> bool:
    return any(valid(_moved(values, end, [unit])) for unit in waiting)


def _fewest(values: Values, end: Values, waiting: Sequence[Unit], valid: _Valid) -> list[Unit]:
    """For each unit, what can be left out of all that wait is left out; the fewest that remain of any."""

    def needed(unit: Unit) -> list[Unit]:
        kept = list(waiting)
        for other in reversed(waiting):
            without = [each for each in kept if each != other]
            if other != unit and valid(_moved(values, end, without)):
                kept = without
        return kept

    return min((needed(unit) for unit in waiting), key=len)


def _moved(values: Values, end: Values, moving: Sequence[Unit]) -> Values:
    for unit in moving:
        values = _put(values, end, unit.path)
    return values


def _put(values: Values, end: Values, path: Path) -> Values:
    """The values with what ``end`` has at the path, in its order of keys; without it where ``end`` has nothing."""
    first, *rest = (str(part) for part in path)
    if rest:
        return {**values, first: _put(values[first], end[first], tuple(rest))}
    if first not in end:
        return {key: value for key, value in values.items() if key != first}
    moved = {**values, first: end[first]}
    order = dict.fromkeys(chain(end, values))
    return {key: moved[key] for key in order if key in moved}
