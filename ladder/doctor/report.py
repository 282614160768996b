"""Diagnoses as a table for a terminal, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ladder.doctor.diagnosis import Diagnosis, Verdict
from ladder.untrusted import visible

__all__ = ["as_json", "counted", "print_table"]

_COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}
_LONGEST = 400


def print_table(diagnoses: Sequence[Diagnosis], console: Console) -> None:
    """A row for each; what a live system said may be anybody's, so it is shown without effect."""
    table = Table(box=None, pad_edge=False)
    for heading in ("WHERE", "CLAIM", "VERDICT", "FOUND"):
        table.add_column(heading, overflow="fold")
    for each in diagnoses:
        found = escape(visible(each.found, _LONGEST))
        mend = f"\n[dim]{escape(each.mend)}[/]" if each.mend else ""
        colour = _COLOURS[each.verdict]
        table.add_row(
            f"{each.area} {each.subject}", escape(each.claim), f"[{colour}]{each.verdict}[/]", f"{found}{mend}"
        )
    console.print(table)


def as_json(diagnoses: Sequence[Diagnosis]) -> str:
    return json.dumps({"diagnoses": [each.as_json() for each in diagnoses]}, indent=2)


def counted(diagnoses: Sequence[Diagnosis]) -> str:
    """How many there are of each verdict, e.g. ``12 pass, 1 fail``."""
    counts = Counter(each.verdict for each in diagnoses)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]) or "nothing was checked"
