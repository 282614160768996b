"""``ladder rollback``"""

from __future__ import annotations

import signal
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ladder import project
from ladder.options import LOGIN

if TYPE_CHECKING:
    from ladder.promotion.ground import Ground


@click.command("rollback")
@click.option("--env", "environment", metavar="ENV", required=True, help="the rung that goes back")
@click.option("--to", metavar="RC", help="a candidate that was healthy there; by default the last but the current one")
@click.option("--by", metavar="LOGIN", type=LOGIN, envvar="GITHUB_ACTOR", help="who asks, and so cannot approve it")
@click.option("--unpin", is_flag=True, help="end a rollback's hold, so that candidates may enter again")
@click.option("--deliver", is_flag=True, help="sync what a merged rollback asks for, also outside of sync windows")
@click.option("--dry-run", is_flag=True, help="show what would change; sign and push nothing")
@click.option("--render/--no-render", default=True, show_default=True, help="show a dry run's manifests as a diff")
@click.option("--no-pr", is_flag=True, help="push the branch, and open no pull request")
@click.option("--base", metavar="REF", help="the commit to stand on; by default the delivered branch at the remote")
@click.option("--remote", default="origin", show_default=True)
def command(
    environment: str,
    to: str | None,
    by: str | None,
    unpin: bool,
    deliver: bool,
    dry_run: bool,
    render: bool,
    no_pr: bool,
    base: str | None,
    remote: str,
) -> None:
    """Bring a rung back to digests that were observed healthy in it: without soak, whatever is frozen.

    The rung is pinned then: nothing enters it until --unpin. Once its pull request is merged, --deliver has Argo CD
    sync it at once. Exit codes: 0 asked for, or delivered, 1 there is nothing to go back to, or it did not come
    through, 2 bad input.
    """
    from ladder.promotion.ground import base_of, standing
    from ladder.promotion.publish import publish
    from ladder.promotion.rollback import rollback
    from ladder.promotion.rollback import unpin as unpinned
    from ladder.untrusted import visible

    if unpin and to:
        raise click.UsageError("--unpin and --to do not go together")
    if deliver and (to or unpin or dry_run or no_pr):
        raise click.UsageError("--deliver goes with none of --to, --unpin, --dry-run and --no-pr")
    root, now = project.root(), datetime.now(UTC)
    with standing(root, base or base_of(root, remote)) as ground:
        if deliver:
            _deliver(ground, environment)
            return
        planned = unpinned(ground, environment, now, by) if unpin else rollback(ground, environment, to, now, by)
        for service in planned.changed:
            it = planned.request.services[service]
            click.echo(f"{service}: image {it.image}, chart {it.chart}")
        for warning in planned.warnings:
            click.echo(f"warning: {visible(warning, 1000)}", err=True)
        if dry_run:
            if render and planned.changed:
                from ladder.promotion.rendered import difference
                from sandbox.progress import shown

                with shown() as progress:
                    manifests = difference(ground, planned, progress)
                click.echo(f"\n{manifests}")
            return
        what = f"Unpin {environment}" if unpin else f"Roll {environment} back to {planned.request.candidate}"
        for line in publish(ground, planned, what, remote, pull_request=not no_pr):
            click.echo(line)


def _deliver(ground: Ground, environment: str) -> None:
    from ladder.promotion.deliver import deliver
    from sandbox.progress import Silent, shown

    # The windows are put back however it is ended, but for what no program hears of.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with shown() if sys.stderr.isatty() else nullcontext(Silent()) as progress:
        lines = deliver(ground, environment, progress)
    for line in lines:
        click.echo(line)
