"""What a check finds: one frozen finding for each broken rule, in one form for files and for recorded resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ladder.errors import Problem

__all__ = ["Finding", "Tally", "of_problem", "ordered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken rule. ``rule`` is its id, ``<part>/<rule>``; ``where`` is ``<file>:<line>`` or a recorded URN.

    ``path`` is the dotted path there; ``found`` and ``accepted`` are values as a person reads them, and ``mend`` says
    what to do where that is more than writing what is accepted.
    """

    rule: str
    where: str
    message: str
    path: str = ""
    found: str = ""
    accepted: str = ""
    mend: str = ""

    def __str__(self) -> str:
        what = f"{self.path}: {self.message}" if self.path else self.message
        text = f"{self.where}: {what} [{self.rule}]"
        for name, value in (("found", self.found), ("accepted", self.accepted), ("mend", self.mend)):
            if value:
                text += f"\n    {name}: {value}"
        return text

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Tally:
    """What is found of many things of one kind: the same of several is told once, with how many there are."""

    kind: str
    names: dict[Finding, list[str]] = field(default_factory=dict[Finding, list[str]])

    def add(self, name: str, finding: Finding) -> None:
        """Found of the thing of that name."""
        self.names.setdefault(finding, []).append(name)

    def findings(self) -> Iterator[Finding]:
        """Each finding with the first it was found of."""
        for finding, names in self.names.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            yield replace(finding, message=f"{finding.message} ({self.kind} {names[0]}{more})")


def of_problem(rule: str, problem: Problem, mend: str = "") -> Finding:
    """A problem of a file as a finding."""
    return Finding(
        rule=rule,
        where=f"{problem.file}:{problem.line}" if problem.line else problem.file,
        path=problem.path,
        message=problem.message,
        found=problem.found,
        accepted=problem.accepted,
        mend=mend or problem.example,
    )


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """By place, lines as numbers; each once."""
    return sorted(dict.fromkeys(findings), key=lambda each: (*_place(each.where), each.path, each.rule, each.message))


def _place(where: str) -> tuple[str, int]:
    file, _, line = where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (where, 0)
