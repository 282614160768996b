"""The report as Markdown, for a repository or a ticket: the same tables, what comes from files in code spans only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ladder.audit.report import EQUAL, Declared, Report, Setting
from ladder.audit.wording import held, verdict
from ladder.untrusted import code, visible

__all__ = ["as_markdown"]


def as_markdown(report: Report) -> str:
    """The whole report but for settings that are equal everywhere, which are counted."""
    parts = (_head, _ladder, _proof, _settings, _resources, _rules, _data, _exceptions, _controls, _claims)
    return "\n".join(line for part in parts for line in (*part(report), ""))


def _head(report: Report) -> Iterator[str]:
    edited = f", with {report.edited} files not committed" if report.edited else ""
    yield f"# Audit of {_code(report.project)}"
    yield ""
    yield f"**{verdict(report)}**"
    yield ""
    yield f"Commit {_code(report.commit)}{edited}, as of {report.as_of}."
    if not report.rendered:
        yield "The charts were not rendered: nothing is proven of what they make."


def _ladder(report: Report) -> Iterator[str]:
    yield "## The ladder"
    yield ""
    heads = ["environment", "data", "tier", "delivered", "account", "region", "cluster", "domain", "owner"]
    rows = (
        [
            each.name,
            each.data_class,
            each.tier,
            each.delivery,
            each.account,
            each.region,
            each.cluster,
            each.domain,
            each.owner,
        ]
        for each in report.environments
    )
    yield from _table(heads, ([_code(value) for value in row] for row in rows))
    names = sorted({name for each in report.environments for name in each.services})
    for what in ("image", "chart"):
        yield ""
        rows = (
            [_code(name)]
            + [
                _code(getattr(each.services[name], what)) if name in each.services else ""
                for each in report.environments
            ]
            for name in names
        )
        yield from _table([f"{what} of", *(each.name for each in report.environments)], rows)


def _proof(report: Report) -> Iterator[str]:
    yield "## The proof of parity"
    yield ""
    rows = (
        [
            part.name,
            "proven" if part.proven else "**violated**",
            ", ".join(f"{what} {count}" for what, count in part.looked_at.items()),
        ]
        for part in report.parts
    )
    yield from _table(["part", "verdict", "looked at"], rows)
    yield ""
    categories = ", ".join(f"{category} {count}" for category, count in report.categories.items())
    yield f"Properties that differ between neighbours, by what explains them: {categories or 'none'}."
    for each in report.findings():
        yield f"- **{each.rule}** {_code(each.where)} {_code(each.path)}: {_code(each.message)}"
        for name, value in (("found", each.found), ("accepted", each.accepted), ("mend", each.mend)):
            if value:
                yield f"  - {name}: {_code(value)}"


def _settings(report: Report) -> Iterator[str]:
    yield "## Settings side by side"
    services = dict.fromkeys(each.service for each in report.settings)
    for service in services:
        own = [each for each in report.settings if each.service == service]
        equal = sum(each.standing == EQUAL for each in own)
        yield ""
        yield f"### {f'The service {_code(service)}' if service else 'The stacks'}"
        yield ""
        yield f"{equal} settings are equal everywhere; what differs:"
        yield ""
        names = [each.name for each in (report.environments if service else report.stacks())]
        rows = (_setting(each, names) for each in own if each.standing != EQUAL)
        yield from _table(["setting", *names, "standing"], rows)


def _setting(setting: Setting, names: Sequence[str]) -> list[str]:
    values = [_code(setting.values[name]) if name in setting.values else "" for name in names]
    standing = f"**{setting.standing}**" if setting.standing == "unexplained" else setting.standing
    return [_code(setting.path), *values, standing]


def _resources(report: Report) -> Iterator[str]:
    yield "## Declared resources"
    yield ""
    names = [each.name for each in report.stacks()]
    yield from _table(["resource", "type", *names], (_resource(each, names) for each in report.resources))


def _resource(declared: Declared, names: Sequence[str]) -> list[str]:
    stacks = [held(declared.stacks[name]) if name in declared.stacks else "" for name in names]
    return [_code(declared.name), _code(declared.type), *stacks]


def _rules(report: Report) -> Iterator[str]:
    yield "## Rules"
    yield ""
    names = [each.name for each in report.stacks()]
    rows = (
        [f"{rule.title} {_code(rule.id)}", rule.protects]
        + ["kept" if not rule.stacks[name] else f"**{len(rule.stacks[name])} broken**" for name in names]
        for rule in report.rules
    )
    yield from _table(["rule", "protects from", *names], rows)


def _data(report: Report) -> Iterator[str]:
    yield "## Data and keys"
    yield ""
    buckets = (
        [_code(each.bucket), _code(each.stack), _code(each.data_class), _code(each.encrypted_with), each.lock or "off"]
        for each in report.buckets
    )
    yield from _table(["bucket", "stack", "data", "encrypted with", "Object Lock"], buckets)
    yield ""
    yield "Who may use which key, by declared key policies; IAM policies made elsewhere and grants are not modelled:"
    yield ""
    rights = (
        [
            _code(each.principal),
            _code(each.stack),
            _code(each.key),
            each.right.value,
            "; ".join(map(_code, each.only)) or "no condition",
        ]
        for each in report.key_rights
    )
    yield from _table(["principal", "stack", "key", "may", "only where"], rights)


def _exceptions(report: Report) -> Iterator[str]:
    yield "## Exceptions"
    yield ""
    rows = [
        [
            _code(each.name),
            _code(each.environment),
            _code(each.service or "the stack"),
            _code(each.path),
            _code(each.reason),
            _code(each.owner),
            each.expires,
            f"{each.days_left} days" if each.days_left >= 0 else "**expired**",
        ]
        for each in report.exceptions
    ]
    heads = ["exception", "environment", "service", "setting", "reason", "owner", "last day", "left"]
    yield from _table(heads, rows) if rows else ["There is none."]


def _controls(report: Report) -> Iterator[str]:
    yield "## Controls"
    yield ""
    yield "No control is met by this project alone: the last column says what is beyond it."
    yield ""
    rows = (
        [
            f"{each.framework} {each.id}: {each.title}",
            each.says,
            ", ".join(f"{one.name}{'' if one.holds else ' **(not so)**'}" for one in each.evidence),
            each.beyond,
        ]
        for each in report.controls
    )
    yield from _table(["control", "what is done", "evidence", "beyond"], rows)


def _claims(report: Report) -> Iterator[str]:
    yield "## Check it again"
    yield ""
    yield f"In a clone at `git checkout {report.commit}`, after `make .venv/.test`; the last ones ask live systems."
    yield ""
    here = {True: "holds", False: "**violated**", None: "told, not proven"}
    rows = ([_cell(each.says), here[each.holds], _code(each.command)] for each in report.claims)
    yield from _table(["claim", "here", "command"], rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _code(text: str) -> str:
    """A code span in a cell, which an open bar would end; nothing where there is no text."""
    return code(text).replace("|", r"\|") if text.strip() else ""


def _cell(text: str) -> str:
    return visible(text).replace("|", r"\|")
