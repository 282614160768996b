"""What the text and the Markdown of a report say alike; what a change's author may have written is made harmless."""

from __future__ import annotations

import json
from typing import Any

from ladder.changes.report import (
    Commits,
    Edit,
    Fate,
    Property,
    Report,
    StackChanges,
    Standing,
    TreeChanges,
)
from ladder.untrusted import visible

__all__ = [
    "DETAILS",
    "FATES",
    "REASONS",
    "caution_count",
    "ends",
    "literal",
    "property_values",
    "reasons",
    "stack_headline",
    "summary",
    "tree_headline",
]

DETAILS = 4
"""How many of a caution's details are shown; the rest are counted."""

REASONS = 12
"""How many lines of a reason are shown."""

FATES = {
    Fate.GONE: "gone",
    Fate.REPLACED: "replaced",
    Fate.CHANGED: "update or replace",
    Fate.ANEW: "anew",
}
"""Whether a change updates or replaces is the provider's to say, but for replacements that are known."""


def literal(value: Any) -> str:
    """The value as JSON in one line, made visible."""
    return visible(json.dumps(value, ensure_ascii=False, sort_keys=True))


def ends(commits: Commits) -> tuple[str, str, str]:
    """The base as it was asked for, its commit, and what is compared with it."""
    head = commits.head[:12] or "nothing"
    edited = f" with {_files(commits.edited)} not committed" if commits.edited else ""
    return visible(commits.ref), visible(commits.base[:12]), f"the work tree on {visible(head)}{edited}"


def _files(count: int) -> str:
    return f"{count} file{'s' if count > 1 else ''}"


def summary(report: Report) -> str:
    """One sentence about the whole."""
    if report.is_empty:
        return "Nothing changes in any environment."
    touched = [stack for stack in report.stacks if stack.changes or stack.outputs]
    stacks = f"{len(touched)} of {len(report.stacks)} stacks"
    services = len(report.tree.services)
    overlays = f"{services} overlay{'' if services == 1 else 's'} of the GitOps tree"
    return f"{stacks} and {overlays} change; {caution_count(sum(1 for _ in report.cautions()))}."


def caution_count(count: int) -> str:
    return f"{count or 'no'} warning{'' if count == 1 else 's'}"


def stack_headline(stack: StackChanges) -> str:
    """What happens in the stack, in a few words of this program's own."""
    match stack.standing:
        case Standing.NOT_COMPARABLE:
            counts = [
                f"{side} declares {count}"
                for side, count in (("base", stack.before), ("head", stack.after))
                if count is not None
            ]
            return ", ".join(["not comparable", *counts])
        case Standing.GONE:
            return f"no longer declared, had {stack.before} resources"
        case Standing.ANEW | Standing.COMPARED:
            counts = [f"{stack.count(fate)} {word}" for fate, word in FATES.items() if stack.count(fate)]
            counts += [f"{len(stack.outputs)} of its outputs"] if stack.outputs else []
            counts += [caution_count(len(stack.cautions))] if stack.cautions else []
            new = ["new stack"] if stack.standing is Standing.ANEW else []
            return ", ".join([*new, *counts]) or f"no change in {stack.after} resources"


def tree_headline(tree: TreeChanges) -> str:
    if tree.standing is Standing.NOT_COMPARABLE:
        return "not comparable"
    counts = [(sum(each.fate is fate for each in tree.services), word) for fate, word in _OVERLAYS.items()]
    parts = [f"{count} {word}" for count, word in counts if count]
    return ", ".join([*parts, *([caution_count(len(tree.cautions))] if tree.cautions else [])]) or "no change"


_OVERLAYS = {Fate.GONE: "gone", Fate.CHANGED: "changed", Fate.ANEW: "anew"}


def reasons(reason: str) -> list[str]:
    """The lines of a reason, made visible, the rest counted."""
    lines = [visible(line) for line in reason.splitlines() if line.strip()]
    more = len(lines) - REASONS
    return lines[:REASONS] + ([f"… ({more} lines more)"] if more > 0 else [])


def property_values(each: Property) -> tuple[str, str]:
    """What was and what will be, empty where there is nothing; a replaced provider has the name it had."""
    before = "" if each.edit is Edit.ADDED else literal(each.before)
    after = "" if each.edit is Edit.REMOVED else literal(each.after)
    return before, after
