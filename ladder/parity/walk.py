"""A walk from one environment's settings to another's, and what each step of it changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ladder.contract.exceptions import Place
from ladder.parity.ladder import Environment
from ladder.parity.proof import UNEXPLAINED, Difference
from ladder.parity.units import Step, Unit
from ladder.substitution import LawViolation, judged
from ladder.tree import Service

__all__ = ["EXCEPTION", "Change", "Walk", "Walked"]

EXCEPTION = "exception"
"""The category of what the contract gives no reason for, and a live exception allows."""

_RUNG = ("environment", "rung")


@dataclass(frozen=True, slots=True)
class Change:
    """A property that a step changed, and the units that moved in it."""

    units: tuple[Unit, ...]
    changed: LawViolation

    @property
    def is_of_rung(self) -> bool:
        """Whether the rung alone moved: rules speak of it, and nothing that is declared may follow from it."""
        return all(unit.path == _RUNG for unit in self.units)


@dataclass(frozen=True, slots=True)
class Walk:
    """The steps between two environments' settings or, with a ``service`` (the upper one's), between its overlays."""

    lower: Environment
    upper: Environment
    steps: tuple[Step, ...]
    service: Service | None = None

    @property
    def name(self) -> str | None:
        """The service's; None between stacks."""
        return self.service.name if self.service else None

    def difference(self, change: Change, excepted: frozenset[Place]) -> Difference:
        """The change with its category: the reasons of all that moved, unexplained where one of them has none."""
        reasons = {self.category(unit, excepted) for unit in change.units}
        category = UNEXPLAINED if change.is_of_rung or UNEXPLAINED in reasons else " + ".join(sorted(reasons))
        return self._difference(change.changed, tuple(str(unit) for unit in change.units), category)

    def leftover(self, what: str, changed: LawViolation) -> Difference:
        """What changed though no setting did."""
        return self._difference(changed, (what,), UNEXPLAINED)

    def _difference(self, changed: LawViolation, fields: tuple[str, ...], category: str) -> Difference:
        return Difference(
            lower=self.lower.name,
            upper=self.upper.name,
            service=self.name,
            where=_without_stack(changed.where),
            path=changed.path,
            before=changed.expected,
            after=changed.found,
            fields=fields,
            category=category,
        )

    def category(self, unit: Unit, excepted: frozenset[Place]) -> str:
        """Why the unit may move: its reason, or a live exception of either environment at it or above."""
        if unit.reason is not None:
            return unit.reason
        paths = [unit.path[:length] for length in range(1, len(unit.path) + 1)]
        places = {Place(each.name, self.name, path) for each in (self.lower, self.upper) for path in paths}
        return EXCEPTION if places & excepted else UNEXPLAINED


@dataclass(frozen=True, slots=True)
class Walked:
    """A walk, and what was declared at its start and after each of its steps.

    None stands where nothing could be declared: that step's units move with the next one's. ``leftovers`` are what
    changed when no setting did, by what was changed instead.
    """

    walk: Walk
    states: Sequence[Mapping[str, Any] | None]
    leftovers: Mapping[str, Sequence[LawViolation]]

    def changes(self) -> Iterator[Change]:
        """What each step changed."""
        before, *after = self.states
        moved: tuple[Unit, ...] = ()
        for step, state in zip(self.walk.steps, after, strict=True):
            moved += step.units
            if state is not None:
                yield from (Change(moved, each) for each in judged("", before or {}, state))
                before, moved = state, ()


def _without_stack(where: str) -> str:
    """A URN without the stack's and the project's name; anything else as it is."""
    return where.split("::", 2)[2] if where.startswith("urn:pulumi:") else where
