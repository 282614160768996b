"""A proof as text for a terminal, and as Markdown that fits a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ladder.check.findings import Finding
from ladder.parity.proof import Difference, Part, Proof
from ladder.untrusted import code, visible

__all__ = ["as_markdown", "as_text"]

_LONGEST = 60_000
"""Characters of Markdown; GitHub takes 65,536 in a comment."""

_MARKER = "<!-- ladder-parity -->"
"""Stands in the first line, so that the comment is found again and edited."""

_ROOM = 200
"""What the line that counts what is left out, and what closes a fold, take."""


def as_text(proof: Proof, *, explain: bool = False) -> str:
    """A line for each part, then what was found; with ``explain``, every difference before that."""
    width = max(len(part.name) for part in proof.parts)
    lines = [f"{part.name.ljust(width)}  {_verdict(part).ljust(8)}  {_looked_at(part)}" for part in proof.parts]
    if not proof.rendered:
        lines.append("the charts were not rendered: nothing is proven of what they make")
    lines.append(f"differences by category: {_categories(proof)}")
    if explain:
        lines += _explained(proof.differences)
    for finding in proof.findings():
        lines += ["", visible_lines(finding)]
    return "\n".join(lines)


def as_markdown(proof: Proof, *, explain: bool = False) -> str:
    """The same, no longer than a comment may be; what does not fit is counted. What comes from files is code only."""
    verdict = "proven" if proof.proven else "**violated**"
    between = ", ".join(code(name) for name in proof.environments)
    lines = [
        _MARKER,
        f"### Parity of {between}: {verdict}",
        "",
        "| part | | looked at |",
        "|---|---|---|",
        *(f"| {part.name} | {_verdict(part)} | {_looked_at(part)} |" for part in proof.parts),
        "",
    ]
    if not proof.rendered:
        lines += ["The charts were not rendered: nothing is proven of what they make.", ""]
    lines += [f"Differences by category: {_categories(proof)}.", ""]
    text = "\n".join(lines)
    findings = [_finding(finding) for finding in proof.findings()]
    text += _cut(findings, _LONGEST - len(text) - _ROOM, "findings")
    if explain:
        opening = f"\n<details><summary>{len(proof.differences)} differences</summary>\n\n"
        told = list(_differences(proof.differences))
        text += opening + _cut(told, _LONGEST - len(text) - len(opening) - _ROOM, "differences") + "\n</details>\n"
    return text


def visible_lines(finding: Finding) -> str:
    """The finding as it prints itself, with nothing in it that moves a terminal's cursor."""
    return "\n".join(visible(line, longest=1000) for line in str(finding).splitlines())


def _verdict(part: Part) -> str:
    return "proven" if part.proven else "violated"


def _looked_at(part: Part) -> str:
    counts = {**part.looked_at, **({"findings": len(part.findings)} if part.findings else {})}
    return ", ".join(f"{what} {count}" for what, count in counts.items())


def _categories(proof: Proof) -> str:
    return ", ".join(f"{category} {count}" for category, count in proof.categories().items()) or "none"


def _explained(differences: Sequence[Difference]) -> Iterator[str]:
    """Under a line for each walk, one for each field with its category, then what it changed."""
    for walk, causes in groupby(differences, lambda each: (each.lower, each.upper, each.service)):
        lower, upper, service = walk
        yield f"\n{visible(lower)} → {visible(upper)}, {_subject(service)}"
        for (fields, category), changed in groupby(causes, lambda each: (each.fields, each.category)):
            yield f"  {_fields(fields)}: {category}"
            for each in changed:
                before, after = visible(each.before) or "(nothing)", visible(each.after) or "(nothing)"
                yield f"      {visible(_place(each), longest=400)}: {before} → {after}"


def _place(difference: Difference) -> str:
    """A resource by its type and name, without what it is part of; then the path."""
    type_, _, name = difference.where.rpartition("$")[2].rpartition("::")
    return " ".join(part for part in (type_, name, difference.path) if part)


def _subject(service: str | None) -> str:
    return f"the service {visible(service)}" if service else "the stacks"


def _fields(fields: Sequence[str]) -> str:
    first, *others = (visible(name) for name in fields)
    return f"{first}, together with {', '.join(others)}" if others else first


def _finding(finding: Finding) -> str:
    """One item of a list."""
    path = f" {code(finding.path)}" if finding.path else ""
    lines = [f"- **{finding.rule}** {code(finding.where)}{path}: {code(finding.message)}"]
    for name, value in (("found", finding.found), ("accepted", finding.accepted), ("mend", finding.mend)):
        if value:
            lines.append(f"  - {name}: {code(value)}")
    return "\n".join(lines)


def _differences(differences: Sequence[Difference]) -> Iterator[str]:
    """The same as a list of lists."""
    for walk, causes in groupby(differences, lambda each: (each.lower, each.upper, each.service)):
        lower, upper, service = walk
        yield f"- {code(lower)} → {code(upper)}, {code(_subject(service))}"
        for (fields, category), changed in groupby(causes, lambda each: (each.fields, each.category)):
            yield f"  - {code(_fields(fields))}: **{category}**"
            for each in changed:
                values = " → ".join(code(value) if value else "nothing" for value in (each.before, each.after))
                yield f"    - {code(_place(each))}: {values}"


def _cut(items: Sequence[str], room: int, what: str) -> str:
    """As many items as have room; the rest is counted."""
    kept: list[str] = []
    for item in items:
        room -= len(item) + 1
        if room < 0:
            break
        kept.append(f"{item}\n")
    rest = len(items) - len(kept)
    return "".join(kept) + (f"\n… and {rest} {what} more: `ladder parity` shows them.\n" if rest else "")
