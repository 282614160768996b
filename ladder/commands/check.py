"""``ladder check``"""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from ladder import project
from ladder.errors import CheckFailed

if TYPE_CHECKING:
    from ladder.check import Report


@click.command("check")
@click.option(
    "--render/--no-render", default=True, show_default=True, help="render every overlay, and check the result"
)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(render: bool, format_: str) -> None:
    """Check every stack and the GitOps tree, offline, and what Argo CD would make of both.

    Exit codes: 0 nothing found, 1 findings, 2 bad input: the files themselves are not as they must be.
    """
    from ladder.check import check
    from sandbox.progress import Silent, shown

    with shown() if format_ == "text" else nullcontext(Silent()) as progress:
        report = check(project.root(), progress, render=render)
    if format_ == "json":
        click.echo(_as_json(report))
    else:
        for finding in report.findings:
            click.echo(str(finding))
    if report.findings:
        raise CheckFailed(f"{len(report.findings)} findings in {_looked_at(report)}")
    if format_ == "text":
        click.echo(f"nothing found in {_looked_at(report)}")


def _looked_at(report: Report) -> str:
    rendered = f"{report.rendered} of them rendered" if report.rendered else "not rendered"
    return f"{report.stacks} stacks, {report.overlays} overlays ({rendered}) and {report.applications} Applications"


def _as_json(report: Report) -> str:
    return json.dumps(
        {
            "findings": [finding.as_json() for finding in report.findings],
            "stacks": report.stacks,
            "overlays": report.overlays,
            "rendered": report.rendered,
            "applications": report.applications,
        },
        indent=2,
    )
