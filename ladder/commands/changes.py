"""``ladder changes``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ladder import project
from ladder.changes import LIMIT, SMALLEST
from ladder.errors import CheckFailed

if TYPE_CHECKING:
    from ladder.changes.report import Report


@click.command("changes")
@click.option("--base", metavar="REF", help="the commit to compare with, such as origin/main")
@click.option(
    "--from", "file", metavar="FILE", type=click.Path(path_type=Path), help="show a report that json wrote; run nothing"
)
@click.option("--format", "format_", type=click.Choice(["text", "md", "json"]), default="text", show_default=True)
@click.option(
    "--limit",
    type=click.IntRange(min=SMALLEST),
    default=LIMIT,
    show_default=True,
    metavar="CHARACTERS",
    help="the most that md may take",
)
@click.option("--fail-on-warning", is_flag=True, help="exit 1 where there is a warning")
def command(base: str | None, file: Path | None, format_: str, limit: int, fail_on_warning: bool) -> None:
    """Show what the work tree changes in every stack and in the GitOps tree, against the commit REF.

    Both are recorded offline, by their own code and without credentials. Differences do not fail; exit 1 where a stack
    cannot be compared.
    """
    if (base is None) is (file is None):
        raise click.UsageError("give either --base REF or --from FILE; for example --base origin/main")
    report = _report(base, file)
    click.echo(_shown(report, format_, limit))
    if base is not None and (names := report.not_comparable()):
        raise CheckFailed(f"not comparable: {', '.join(names)}")
    if fail_on_warning and (count := sum(1 for _ in report.cautions())):
        raise CheckFailed(f"{count} warnings")


def _report(base: str | None, file: Path | None) -> Report:
    if file is not None:
        from ladder.changes.report import read_report

        return read_report(file)
    from ladder.changes.compare import changes

    return changes(project.root(), base or "")


def _shown(report: Report, format_: str, limit: int) -> str:
    match format_:
        case "json":
            from ladder.changes.report import write_report

            return write_report(report)
        case "md":
            from ladder.changes.markdown import as_markdown

            return as_markdown(report, limit)
        case _:
            from ladder.changes.text import as_text

            return as_text(report)
