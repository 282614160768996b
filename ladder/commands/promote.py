"""``ladder promote``"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ladder import project
from ladder.errors import CheckFailed

if TYPE_CHECKING:
    from ladder.promotion.promote import Plan


@click.command("promote")
@click.argument("candidate", metavar="RC")
@click.option("--to", metavar="ENV", required=True, help="the rung to enter")
@click.option(
    "--load-report", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="a signed load report"
)
@click.option("--supersede", is_flag=True, help="take the place of a candidate that still has to climb")
@click.option("--break-glass", metavar="REASON", help="pass gates that are not green; needs --by and --second")
@click.option("--by", metavar="LOGIN", help="who breaks the glass")
@click.option("--second", metavar="LOGIN", help="the second person who is there")
@click.option("--dry-run", is_flag=True, help="show what would change and every gate; sign and push nothing")
@click.option("--no-pr", is_flag=True, help="push the branch, and open no pull request")
@click.option("--base", metavar="REF", help="the commit to stand on; by default the delivered branch at the remote")
@click.option("--remote", default="origin", show_default=True)
def command(
    candidate: str,
    to: str,
    load_report: Path | None,
    supersede: bool,
    break_glass: str | None,
    by: str | None,
    second: str | None,
    dry_run: bool,
    no_pr: bool,
    base: str | None,
    remote: str,
) -> None:
    """Bring a candidate into the next rung: a branch that changes its digests there, and says why it may.

    Only digests change. Exit codes: 0 asked for, 1 a gate is not green, or the rung is not free, 2 bad input. Run
    twice, there is one branch and one pull request.
    """
    from ladder.promotion.ground import base_of, standing
    from ladder.promotion.promote import Wish, plan

    if (break_glass is None) != (by is None) or (break_glass is None) != (second is None):
        raise click.UsageError("--break-glass, --by and --second go together")
    past = (by, second, break_glass) if by and second and break_glass else None
    root = project.root()
    wish = Wish(
        candidate=candidate,
        to=to,
        at=datetime.now(UTC),
        report=load_report.read_bytes() if load_report else None,
        supersede=supersede,
        past_gates=past,
    )
    with standing(root, base or base_of(root, remote)) as ground:
        planned = plan(ground, wish)
        _show(planned)
        if planned.closed and past is None:
            raise CheckFailed(f"not green: {', '.join(planned.closed)}")
        if dry_run:
            return
        from ladder.promotion.publish import publish

        for line in publish(ground, planned, f"Promote {candidate} to {to}", remote, pull_request=not no_pr):
            click.echo(line)


def _show(planned: Plan) -> None:
    request = planned.request
    for service in planned.changed:
        it = request.services[service]
        click.echo(f"{service}: image {it.image}, chart {it.chart}")
    for name, gate in sorted(planned.gates.items()):
        click.echo(f"{'green' if gate.green else 'CLOSED':<7} {name}: {gate.detail}")
