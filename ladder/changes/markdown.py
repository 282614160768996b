"""A report as a comment on a pull request: folded by stack, no longer than a comment may be.

What the change's author wrote is only ever in a code span, or escaped inside one of HTML: no markup, mention or link
comes of it.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ladder.changes import LIMIT
from ladder.changes.report import Caution, Change, Property, Report, ServiceChange, StackChanges, TreeChanges
from ladder.changes.wording import (
    DETAILS,
    FATES,
    caution_count,
    ends,
    property_values,
    reasons,
    stack_headline,
    summary,
    tree_headline,
)
from ladder.untrusted import code, visible

__all__ = ["MARKER", "as_markdown"]

MARKER = "<!-- ladder-changes -->"
"""Stands in the first line, so that the comment is found again and edited."""

_ROOM = 120
"""What the line that counts what is left out takes."""


@dataclass(frozen=True, slots=True)
class _Section:
    """One part: what opens it, what may be cut at any line, what closes it."""

    opening: str
    lines: tuple[str, ...]
    closing: str = ""

    @property
    def shortest(self) -> int:
        return len(self.opening) + len(self.closing) + _ROOM


def as_markdown(report: Report, limit: int = LIMIT) -> str:
    """The report in at most ``limit`` characters, at least SMALLEST; what does not fit is counted."""
    ref, base, head = ends(report.commits)
    title = f"{MARKER}\n### What changes in every environment\n\n"
    title += f"From {code(ref)} ({code(base)}) to {code(head)}. {summary(report)}\n"
    sections = list(_sections(report))
    room = limit - len(title)
    kept = _kept(sections, room - _ROOM)
    parts = [title]
    room -= sum(section.shortest for section in kept) + _ROOM
    for index, section in enumerate(kept):
        share = max(0, room) // (len(kept) - index)
        text, used = _filled(section, share)
        room -= used
        parts.append(text)
    if len(kept) < len(sections):
        parts.append(f"\n{len(sections) - len(kept)} parts more are not shown.\n")
    return "".join(parts)


def _kept(sections: Sequence[_Section], room: int) -> list[_Section]:
    """As many as have room for at least their heads."""
    kept: list[_Section] = []
    for section in sections:
        room -= section.shortest
        if room < 0:
            break
        kept.append(section)
    return kept


def _filled(section: _Section, room: int) -> tuple[str, int]:
    """The section with as many lines as have room, and the room they take."""
    used = 0
    lines: list[str] = []
    for line in section.lines:
        if used + len(line) + 1 > room:
            break
        lines.append(f"{line}\n")
        used += len(line) + 1
    rest = len(section.lines) - len(lines)
    note = f"\n… and {rest} lines more: `ladder changes` shows them.\n" if rest else ""
    return f"{section.opening}{''.join(lines)}{note}{section.closing}", used


def _sections(report: Report) -> Iterator[_Section]:
    cautions = list(report.cautions())
    if cautions:
        opening = f"\n**{caution_count(len(cautions))}**\n\n"
        yield _Section(opening, tuple(line for caution in cautions for line in _caution(caution)))
    for stack in report.stacks:
        yield _folded(f"stack <code>{_text(stack.name)}</code>: {stack_headline(stack)}", tuple(_stack(stack)))
    yield _folded(f"GitOps tree: {tree_headline(report.tree)}", tuple(_tree(report.tree)))


def _folded(headline: str, lines: tuple[str, ...]) -> _Section:
    if not lines:
        return _Section(f"\n<p>{headline}</p>\n", ())
    return _Section(f"\n<details><summary>{headline}</summary>\n\n", lines, "\n</details>\n")


def _caution(caution: Caution) -> Iterator[str]:
    where, subject = code(visible(caution.where)), code(visible(caution.subject))
    yield f"- ⚠️ **{caution.danger.value}** {where} {subject}: {caution.message}"
    yield from (f"  - {code(visible(detail))}" for detail in caution.details[:DETAILS])
    if len(caution.details) > DETAILS:
        yield f"  - and {len(caution.details) - DETAILS} more"


def _stack(stack: StackChanges) -> Iterator[str]:
    yield from (f"- {code(line)}" for line in reasons(stack.reason))
    for change in stack.changes:
        yield from _change(change)
    if stack.outputs:
        yield "- **outputs**"
        yield from _properties(stack.outputs)


def _change(change: Change) -> Iterator[str]:
    formerly = f", was {code(visible(change.formerly.rpartition('::')[2]))}" if change.formerly else ""
    yield f"- **{FATES[change.fate]}** {code(visible(change.type))} {code(visible(change.name))}{formerly}"
    yield from _properties(change.properties)


def _tree(tree: TreeChanges) -> Iterator[str]:
    yield from (f"- {code(line)}" for line in reasons(tree.reason))
    for service in tree.services:
        yield from _service(service)


def _service(service: ServiceChange) -> Iterator[str]:
    name = code(f"{visible(service.environment)}/{visible(service.service)}")
    yield f"- **{service.fate.value}** {name}"
    yield from _properties(service.properties)


def _properties(properties: Sequence[Property]) -> Iterator[str]:
    for each in properties:
        before, after = (code(value) if value else "nothing" for value in property_values(each))
        forces = " (replaces)" if each.replaces else ""
        yield f"  - {code(visible(each.path))}: {before} → {after}{forces}"


def _text(text: str) -> str:
    """The text inside an HTML element, where Markdown does not reach."""
    return html.escape(visible(text))
