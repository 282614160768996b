"""``ladder promote``"""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ladder import project
from ladder.errors import CheckFailed
from ladder.options import LOGIN

if TYPE_CHECKING:
    from ladder.promotion.ground import Ground
    from ladder.promotion.promote import Plan


@click.command("promote")
@click.argument("candidate", metavar="RC")
@click.option("--to", metavar="ENV", required=True, help="the rung to enter")
@click.option(
    "--load-report", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="a signed load report"
)
@click.option("--supersede", is_flag=True, help="take the place of a candidate that still has to climb")
@click.option("--by", metavar="LOGIN", type=LOGIN, envvar="GITHUB_ACTOR", help="who asks, and so cannot approve it")
@click.option("--break-glass", metavar="REASON", help="pass gates that are not green; needs --by and --second")
@click.option("--second", metavar="LOGIN", type=LOGIN, help="the second person who is there when the glass is broken")
@click.option("--dry-run", is_flag=True, help="show what would change and every gate; sign and push nothing")
@click.option("--render/--no-render", default=True, show_default=True, help="show a dry run's manifests as a diff")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", help="json: of a dry run")
@click.option("--no-pr", is_flag=True, help="push the branch, and open no pull request")
@click.option("--base", metavar="REF", help="the commit to stand on; by default the delivered branch at the remote")
@click.option("--remote", default="origin", show_default=True)
def command(
    candidate: str,
    to: str,
    load_report: Path | None,
    supersede: bool,
    by: str | None,
    break_glass: str | None,
    second: str | None,
    dry_run: bool,
    render: bool,
    format_: str,
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

    if (break_glass is None) != (second is None) or (break_glass is not None and by is None):
        raise click.UsageError("--break-glass, --by and --second go together")
    if format_ == "json" and not dry_run:
        raise click.UsageError("--format json goes with --dry-run")
    root = project.root()
    wish = Wish(
        candidate=candidate,
        to=to,
        at=datetime.now(UTC),
        report=load_report.read_bytes() if load_report else None,
        supersede=supersede,
        by=by,
        past_gates=(second, break_glass) if second and break_glass else None,
    )
    with standing(root, base or base_of(root, remote)) as ground:
        planned = plan(ground, wish)
        if format_ == "text":
            _show(planned)
        manifests = _manifests(ground, planned, quiet=format_ == "json") if dry_run and render else ""
        if format_ == "json":
            click.echo(_as_json(planned, manifests))
        elif manifests:
            click.echo(f"\n{manifests}")
        if planned.closed and wish.past_gates is None:
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


def _manifests(ground: Ground, planned: Plan, *, quiet: bool) -> str:
    from ladder.promotion.rendered import difference
    from sandbox.progress import Silent, shown

    with nullcontext(Silent()) if quiet else shown() as progress:
        return difference(ground, planned, progress)


def _as_json(planned: Plan, manifests: str) -> str:
    request = planned.request
    return json.dumps(
        {
            "candidate": request.candidate,
            "to": request.environment,
            "services": [{"name": name, **request.services[name].model_dump()} for name in planned.changed],
            "gates": {name: {"green": gate.green, "detail": gate.detail} for name, gate in planned.gates.items()},
            "warnings": list(planned.warnings),
            "diff": manifests,
        },
        indent=2,
    )
