"""The explained difference: from one environment to the next a field at a time, each change put down to its field.

What changes when no setting does, but the stack's name, the dry-run flag or the namespace that Helm is told, is code
that knows where it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from ladder.check.findings import Finding
from ladder.contract.exceptions import EXCEPTIONS, Place, live
from ladder.contract.violations import Violation
from ladder.parity.ladder import Ladder
from ladder.parity.overlay_walks import walked_overlays
from ladder.parity.proof import UNEXPLAINED, Difference, Part
from ladder.parity.recordings import Recorder
from ladder.parity.rendering import Renderer
from ladder.parity.stack_walks import walked_stacks
from ladder.parity.units import Unit
from ladder.parity.walk import Walk, Walked
from ladder.recording import Recording
from ladder.substitution import LawViolation

__all__ = ["explained"]

_CODE = "let a setting decide it, with its reason in the contract: code may not know where it runs"


def explained(
    ladder: Ladder,
    recorder: Recorder,
    renderer: Renderer | None,
    today: date,
    *,
    own: Mapping[str, Recording] | None = None,
) -> tuple[Part, list[Difference]]:
    """Every difference of neighbours, and those that nothing explains as findings.

    Without a ``renderer`` the overlays are left out; ``own`` are the stacks' recordings, where there are any. Raises
    CheckFailed where the program fails for a stack's own settings, InputError where an overlay's own values cannot be
    rendered.
    """
    sorting = _Sorting(ladder, live(ladder.exceptions, today))
    for walked in walked_stacks(ladder, recorder, own):
        sorting.add(walked)
    if renderer is not None:
        for walked in walked_overlays(ladder, renderer):
            sorting.add(walked)
    looked_at = {"steps": sorting.steps, "differences": len(sorting.differences)}
    return Part("explained", looked_at, tuple(sorting.findings())), sorting.differences


@dataclass(slots=True)
class _Sorting:
    """Changes as they come, by whether something explains them."""

    ladder: Ladder
    excepted: frozenset[Place]
    steps: int = 0
    differences: list[Difference] = field(default_factory=list[Difference])
    _of_fields: dict[tuple[str | None, str, Unit], list[tuple[Walk, Difference]]] = field(
        default_factory=dict[tuple[str | None, str, Unit], list[tuple[Walk, Difference]]]
    )
    _of_code: list[Finding] = field(default_factory=list[Finding])

    def add(self, walked: Walked) -> None:
        walk = walked.walk
        self.steps += len(walk.steps)
        for change in walked.changes():
            difference = walk.difference(change, self.excepted)
            self.differences.append(difference)
            if change.is_of_rung:
                self._of_code.append(_code("rung", "the rung", walk, change.changed))
                continue
            for unit in change.units:
                if walk.category(unit, self.excepted) == UNEXPLAINED:
                    self._of_fields.setdefault((walk.name, walk.upper.name, unit), []).append((walk, difference))
        for what, found in walked.leftovers.items():
            for each in found:
                self.differences.append(walk.leftover(what, each))
                self._of_code.append(_code("other", what, walk, each))

    def findings(self) -> Iterator[Finding]:
        yield from self._of_code
        for (_, _, unit), found in self._of_fields.items():
            yield self._of_field(unit, found)

    def _of_field(self, unit: Unit, found: list[tuple[Walk, Difference]]) -> Finding:
        """One for each field, with how much follows from it and the first of it."""
        walk, first = found[0]
        others = ", ".join(name for name in first.fields if name != str(unit))
        violation = Violation(
            path=unit.path,
            message=f"changes {len(found)} properties from {walk.lower.name}, and the contract gives no reason for it",
            found=f"{first.where} {first.path}" + (f", together with {others}" if others else ""),
            accepted="equal, or a field with a reason",
        )
        mend = f"make it equal; or say in the contract why it varies; or except it in {EXCEPTIONS}"
        if walk.service is None:
            return self.ladder.in_stack("explained/field", walk.upper.name, violation, mend)
        return self.ladder.in_overlay("explained/field", walk.service, violation, mend)


def _code(rule: str, what: str, walk: Walk, change: LawViolation) -> Finding:
    service = f"{walk.service.folder.as_posix()}: " if walk.service else ""
    return Finding(
        rule=f"explained/{rule}",
        where=f"{service}{change.where}",
        path=change.path,
        message=f"follows from {what}, from {walk.lower.name} to {walk.upper.name}",
        found=change.found or "nothing",
        accepted=change.expected or "nothing",
        mend=_CODE,
    )
