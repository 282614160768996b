"""``ladder guard``"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

from ladder import project
from ladder.errors import CheckFailed


@click.command("guard")
@click.option("--base", metavar="REF", required=True, help="the protected commit that is merged into")
@click.option("--head", metavar="REF", default="HEAD", show_default=True, help="the commit that is proposed")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(base: str, head: str, format_: str) -> None:
    """Hold what merging the commit --head would make staging and prod run against the evidence.

    The rules, and who may sign, are those of --base; nothing of --head is run. Exit codes: 0 it may be merged, 1 it may
    not, or the two cannot be merged, 2 bad input.
    """
    from ladder.changes.commits import commit_of
    from ladder.promotion.ground import standing
    from ladder.promotion.guard import guard

    root = project.root()
    proposed = commit_of(root, head, option="--head")
    with standing(root, base, services=False) as ground:
        verdict = guard(ground, proposed, datetime.now(UTC), _packed)
    if format_ == "json":
        click.echo(json.dumps(verdict.as_json(), indent=2))
    else:
        click.echo(f"{verdict.kind}: {verdict.about}" if verdict.about else verdict.kind)
        for finding in verdict.findings:
            click.echo(str(finding))
    if verdict.findings:
        count = len(verdict.findings)
        raise CheckFailed(f"{head} may not be merged into {base}: {count} finding{'s' if count > 1 else ''}")


def _packed(chart: Path) -> str:
    """The digest of the chart in a folder, as ``ladder chart`` has it."""
    from ladder import chart as charts
    from ladder import helm
    from sandbox.progress import shown

    name = charts.name_of(chart, root=chart.parent)
    with shown() as progress, tempfile.TemporaryDirectory(prefix="chart.") as scratch:
        program = helm.find(progress)
        return charts.digest(program, charts.package(program, chart, Path(scratch)), name, progress)
