"""The report as one HTML file that loads nothing: its content security policy lets in its own style and script only."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment as Templates
from jinja2 import PackageLoader, StrictUndefined
from markupsafe import Markup

from ladder.audit.picture import pictures
from ladder.audit.report import EQUAL, Declared, Report, Setting
from ladder.audit.wording import held, verdict
from ladder.untrusted import visible

__all__ = ["SECTIONS", "as_html"]

SECTIONS = (
    ("ladder", "The ladder"),
    ("proof", "Proof of parity"),
    ("settings", "Settings"),
    ("resources", "Resources"),
    ("rules", "Rules"),
    ("data", "Data and keys"),
    ("exceptions", "Exceptions"),
    ("controls", "Controls"),
    ("claims", "Check it again"),
)

_LONGEST = 4000
_MANY = 5000
"""Beyond so many settings the equal ones are left to the JSON: a browser would be slow with them."""


@dataclass(frozen=True, slots=True)
class _Group:
    """The settings of the stacks, or of one service."""

    id: str
    title: str
    environments: list[str]
    differing: list[Setting]
    equal: list[Setting]


def as_html(report: Report) -> str:
    """The page. Whatever comes from files is escaped, and made visible where it has no shape of its own."""
    templates = Templates(
        loader=PackageLoader("ladder.audit", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters.update(
        seen=_seen, anchor=_anchor, setting_id=_setting_id, resource_id=_resource_id, held=held, principal=_principal
    )
    style, script = (_asset(templates, name) for name in ("style.css", "page.js"))
    context: dict[str, Any] = {
        "report": report,
        "verdict": verdict(report),
        "sections": SECTIONS,
        "services": sorted({name for each in report.environments for name in each.services}),
        "stack_names": [each.name for each in report.stacks()],
        "standings": sorted({each.standing for each in report.settings}),
        "groups": list(_groups(report)),
        "pictures": pictures(report.key_rights),
        "style": Markup(style),  # noqa: S704 - this package's own files
        "script": Markup(script),  # noqa: S704 - as above
        "style_hash": _hash(style),
        "script_hash": _hash(script),
    }
    return templates.get_template("index.html.jinja").render(context)


def _asset(templates: Templates, name: str) -> str:
    loader = templates.loader
    return loader.get_source(templates, name)[0] if loader else ""


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _groups(report: Report) -> Iterator[_Group]:
    stacks = [each.name for each in report.stacks()]
    of: dict[str | None, list[Setting]] = {}
    for each in report.settings:
        of.setdefault(each.service, []).append(each)
    for service, settings in of.items():
        held = [each.name for each in report.environments if service in each.services] if service else stacks
        differing = [each for each in settings if each.standing != EQUAL]
        equal = [each for each in settings if each.standing == EQUAL] if len(report.settings) <= _MANY else []
        title = f"The service {service}" if service else "The stacks"
        yield _Group(_anchor(service or "stacks"), title, held, differing, equal)


def _seen(text: str) -> str:
    return visible(str(text), longest=_LONGEST)


def _anchor(text: str) -> str:
    """An id that can stand in a link."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)


def _setting_id(setting: Setting) -> str:
    return _anchor(f"setting-{setting.service or 'stacks'}-{setting.path}")


def _resource_id(declared: Declared) -> str:
    return _anchor(f"resource-{declared.where.rpartition('$')[2]}")


def _principal(arn: str) -> str:
    """The part of an ARN that tells principals of one account apart."""
    short = arn.split(":", 4)[4] if arn.startswith("arn:") else arn
    return visible(short, longest=54)
