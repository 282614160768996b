"""``ladder rollback``"""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ladder import project


@click.command("rollback")
@click.option("--env", "environment", metavar="ENV", required=True, help="the rung that goes back")
@click.option("--to", metavar="RC", help="a candidate that was healthy there; by default the last but the current one")
@click.option("--unpin", is_flag=True, help="end a rollback's hold, so that candidates may enter again")
@click.option("--dry-run", is_flag=True, help="show what would change; sign and push nothing")
@click.option("--no-pr", is_flag=True, help="push the branch, and open no pull request")
@click.option("--base", metavar="REF", help="the commit to stand on; by default the delivered branch at the remote")
@click.option("--remote", default="origin", show_default=True)
def command(
    environment: str, to: str | None, unpin: bool, dry_run: bool, no_pr: bool, base: str | None, remote: str
) -> None:
    """Bring a rung back to digests that were observed healthy in it: without soak, whatever is frozen.

    The rung is pinned then: nothing enters it until --unpin. Exit codes: 0 asked for, 1 there is nothing to go back to,
    2 bad input.
    """
    from ladder.promotion.ground import base_of, standing
    from ladder.promotion.publish import publish
    from ladder.promotion.rollback import rollback
    from ladder.promotion.rollback import unpin as unpinned

    if unpin and to:
        raise click.UsageError("--unpin and --to do not go together")
    root, now = project.root(), datetime.now(UTC)
    with standing(root, base or base_of(root, remote)) as ground:
        planned = unpinned(ground, environment, now) if unpin else rollback(ground, environment, to, now)
        for service in planned.changed:
            it = planned.request.services[service]
            click.echo(f"{service}: image {it.image}, chart {it.chart}")
        if dry_run:
            return
        what = f"Unpin {environment}" if unpin else f"Roll {environment} back to {planned.request.candidate}"
        for line in publish(ground, planned, what, remote, pull_request=not no_pr):
            click.echo(line)
