"""A report for a terminal. Colours are click's, which leaves them out where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from ladder.changes.report import Caution, Change, Fate, Property, Report, ServiceChange, StackChanges
from ladder.changes.wording import (
    DETAILS,
    FATES,
    ends,
    property_values,
    reasons,
    stack_headline,
    summary,
    tree_headline,
)
from ladder.untrusted import visible

__all__ = ["as_text"]

_SIGNS = {
    Fate.ANEW: ("+", "green"),
    Fate.CHANGED: ("~", "yellow"),
    Fate.REPLACED: ("±", "red"),
    Fate.GONE: ("-", "red"),
}


def as_text(report: Report) -> str:
    """The whole report, however long."""
    ref, base, head = ends(report.commits)
    lines = [f"{ref} ({base}) → {head}", summary(report)]
    cautions = [line for caution in report.cautions() for line in _caution(caution)]
    if cautions:
        lines += ["", click.style("Warnings", bold=True), *cautions]
    for stack in report.stacks:
        lines += ["", *_stack(stack)]
    lines += ["", _heading("GitOps tree", tree_headline(report.tree)), *_indented(reasons(report.tree.reason))]
    lines += [line for service in report.tree.services for line in _service(service)]
    return "\n".join(lines)


def _heading(name: str, headline: str) -> str:
    return f"{click.style(visible(name), bold=True)}: {headline}"


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def _caution(caution: Caution) -> Iterator[str]:
    danger = click.style(caution.danger.value, fg="red")
    yield f"  {danger}  {visible(caution.where)}  {visible(caution.subject)}: {caution.message}"
    yield from (f"      {visible(detail)}" for detail in caution.details[:DETAILS])
    if len(caution.details) > DETAILS:
        yield f"      … ({len(caution.details) - DETAILS} more)"


def _stack(stack: StackChanges) -> Iterator[str]:
    yield _heading(stack.name, stack_headline(stack))
    yield from _indented(reasons(stack.reason))
    for change in stack.changes:
        yield from _change(change)
    if stack.outputs:
        yield "  outputs"
        yield from _properties(stack.outputs)


def _change(change: Change) -> Iterator[str]:
    sign, colour = _SIGNS[change.fate]
    formerly = f" (was {visible(change.formerly.rpartition('::')[2])})" if change.formerly else ""
    name = f"{visible(change.type)} {visible(change.name)}"
    yield f"  {click.style(sign, fg=colour)} {name}{formerly}: {FATES[change.fate]}"
    yield from _properties(change.properties)


def _service(service: ServiceChange) -> Iterator[str]:
    sign, colour = _SIGNS[service.fate]
    yield f"  {click.style(sign, fg=colour)} {visible(service.environment)}/{visible(service.service)}"
    yield from _properties(service.properties)


def _properties(properties: Sequence[Property]) -> Iterator[str]:
    for each in properties:
        before, after = property_values(each)
        values = " → ".join(value for value in (before or "(nothing)", after or "(nothing)"))
        forces = click.style("  replaces", fg="red") if each.replaces else ""
        yield f"      {visible(each.path)}: {values}{forces}"
