"""``ladder audit``"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from ladder import project
from ladder.errors import CheckFailed, InputError, Problem

_PAGE, _TEXT, _DATA = "index.html", "audit.md", "audit.json"


@click.command("audit")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="the directory for the report's files")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="the day exceptions are judged on  [default: today]")
@click.option("--render/--no-render", default=True, show_default=True, help="also prove what the chart makes")
def command(out: Path, as_of: datetime | None, render: bool) -> None:
    """Write what an auditor asks for, offline: a page that loads nothing else, the same as Markdown, and as JSON.

    The report is written whatever it says. Exit codes: 0 all holds, 1 something is violated, 2 bad input.
    """
    if out.exists() and not out.is_dir():
        accepted = "a directory, or a path where one can be made"
        problem = Problem(file=str(out), message="is a file", accepted=accepted, example="ladder audit --out audit")
        raise InputError(problem)
    from ladder.audit import audit
    from ladder.audit.html import as_html
    from ladder.audit.markdown import as_markdown
    from ladder.audit.wording import verdict
    from ladder.files import write_atomically
    from sandbox.progress import shown

    with shown() as progress:
        day = (as_of or datetime.now(UTC)).date()
        report = audit(project.root(), progress, as_of=day, render=render)
    texts = {
        _DATA: json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n",
        _TEXT: as_markdown(report),
        _PAGE: as_html(report),
    }
    for name, text in texts.items():
        write_atomically(out / name, text)
    click.echo(f"{out / _PAGE}: {verdict(report)}")
    if not report.holds:
        raise CheckFailed(f"the audit found what does not hold: {len(report.findings())} findings")
