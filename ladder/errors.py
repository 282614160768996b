"""What may be told to a user: bad input (exit 2) and failed checks (exit 1), never a traceback."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["CheckFailed", "InputError", "LadderError", "Problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong with the input: where, what was found, what is accepted, and an example.

    ``line`` counts from 1; 0 means the problem has no line (a missing file). ``path`` is the dotted path in the file.
    """

    file: str
    message: str
    line: int = 0
    path: str = ""
    found: str = ""
    accepted: str = ""
    example: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        text = f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"
        for name, value in (("found", self.found), ("accepted", self.accepted), ("example", self.example)):
            if value:
                text += f"\n    {name}: {value}"
        return text

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class LadderError(Exception):
    """An error a user can act on. ``exit_code`` is what the command ends with."""

    exit_code = 1


class CheckFailed(LadderError):
    """The input was good, and the answer is no (or the work could not be done): exit code 1."""


class InputError(LadderError):
    """Bad input: every problem found, in one report. Exit code 2."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem] | Problem) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
