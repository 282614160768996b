"""``ladder observe``"""

from __future__ import annotations

import click

from ladder import project
from ladder.errors import CheckFailed


@click.command("observe")
@click.argument("environment", metavar="ENV")
@click.option("--always", is_flag=True, help="state it though it says nothing new")
@click.option("--wait", metavar="SECONDS", type=click.IntRange(0, 3600), default=0, help="for what is being scaled")
@click.option("--dry-run", is_flag=True, help="show what is seen; sign and push nothing")
@click.option("--base", metavar="REF", help="the commit to stand on; by default the delivered branch at the remote")
@click.option("--remote", default="origin", show_default=True)
def command(environment: str, always: bool, wait: int, dry_run: bool, base: str | None, remote: str) -> None:
    """State what the environment is seen to run: by Argo CD, by Argo Rollouts, and by its pods' image digests.

    Stated on the delivered branch where it says more than the last statement: other digests, other health, or that a
    soak is to be borne out. With --wait it looks again, for so long, until nothing is wrong: a rung that is scaled is
    not whole for a moment, and would have to soak anew. Exit codes: 0 healthy, 1 not, or not seen, 2 bad input.
    """
    from ladder.promotion.ground import base_of, standing
    from ladder.promotion.observe import observed, says_more, settled
    from ladder.promotion.observing import observe
    from ladder.promotion.publish import state

    root = project.root()
    with standing(root, base or base_of(root, remote)) as ground:
        settings = ground.environment(environment)
        services = ground.services(environment)
        seen = settled(lambda: observe(settings.cluster.context, environment, settings, services), float(wait))
        for name, each in sorted(seen.services.items()):
            click.echo(f"{name}: image {each.image}, chart {each.chart}, {each.pods} pods, of {each.revision}")
        statement = observed(ground, seen)
        if not dry_run and (always or says_more(ground, statement)):
            commit = state(ground, remote, statement, f"Observe {environment}")
            click.echo(f"stated in {commit}")
    if seen.problems:
        raise CheckFailed("; ".join(seen.problems))
