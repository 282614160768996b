"""What an examination of a live system says: a claim, and whether it holds, does not, or could not be checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Area", "Diagnosis", "Patient", "Verdict"]


class Area(StrEnum):
    """Which live system is asked."""

    CLUSTER = "cluster"
    AWS = "aws"
    GITHUB = "github"


class Verdict(StrEnum):
    """Whether a claim holds."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "could not be checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One claim about ``subject``, a stack or a repository.

    ``found`` is what the system said, or why it could not be asked; ``mend`` what to do, empty where it passes.
    """

    area: Area
    subject: str
    claim: str
    verdict: Verdict
    found: str = ""
    mend: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined in one area; makes its diagnoses."""

    area: Area
    subject: str

    def judged(self, claim: str, found: str, mend: str, *, holds: bool) -> Diagnosis:
        """A claim that was checked; what it takes to mend is left out where it holds."""
        verdict = Verdict.PASS if holds else Verdict.FAIL
        return self._of(claim, verdict, found, "" if holds else mend)

    def unknown(self, claim: str, why: str, mend: str = "") -> Diagnosis:
        """A claim that could not be checked."""
        return self._of(claim, Verdict.UNKNOWN, why, mend)

    def _of(self, claim: str, verdict: Verdict, found: str, mend: str) -> Diagnosis:
        return Diagnosis(area=self.area, subject=self.subject, claim=claim, verdict=verdict, found=found, mend=mend)
