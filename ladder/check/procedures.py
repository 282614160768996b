"""Procedures: the word that data is anonymous counts until its last day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from ladder.check.findings import Finding
from ladder.check.stacks import Stack
from ladder.contract.violations import Violation

__all__ = ["procedures"]


def procedures(stack: Stack, today: date) -> Iterator[Finding]:
    """The stack's procedure, where its last day is over on ``today``."""
    procedure = stack.settings.data.procedure
    if procedure is None or procedure.is_live(today):
        return
    violation = Violation(
        path=("data", "procedure", "expires"),
        message=f"is over: nobody's word says any longer that {procedure.name} leaves no person in this data",
        found=procedure.expires,
        accepted="a day to come",
    )
    mend = (
        f"have {procedure.owner} look at the data anew, and put in the new report and its last day; or remove the data"
    )
    yield stack.finding("data/procedure-expired", violation, mend)
