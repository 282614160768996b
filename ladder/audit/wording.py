"""What every form of the report says alike."""

from __future__ import annotations

from ladder.audit.report import Held, Report

__all__ = ["held", "verdict"]


def verdict(report: Report) -> str:
    """One sentence about the whole."""
    count = len(report.findings())
    kept = sum(rule.holds for rule in report.rules)
    proven = sum(part.proven for part in report.parts)
    said = f"{proven} of {len(report.parts)} parts of the proof hold, {kept} of {len(report.rules)} rules are kept"
    found = f"; {count} finding{'' if count == 1 else 's'}" if count else ""
    return f"{'Holds' if report.holds else 'Violated'}: {said}{found}."


def held(how: Held) -> str:
    """How a stack declares a resource."""
    words = [word for word, holds in (("protected", how.protected), ("retained", how.retained)) if holds]
    return ", ".join([how.data_class or "declared", *words])
