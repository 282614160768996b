"""``ladder cut``"""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ladder import project


@click.command("cut")
@click.option("--base", metavar="REF", help="the commit to stand on; by default the delivered branch at the remote")
@click.option("--remote", default="origin", show_default=True)
def command(base: str | None, remote: str) -> None:
    """Name a release candidate: what dev was last observed running, where that commit's checks are green.

    States it on the delivered branch, signed by the workflow that runs this, and prints the name. The same digests have
    the same name: cut again, nothing is stated again.
    """
    from ladder.promotion.cut import cut
    from ladder.promotion.github import github
    from ladder.promotion.ground import base_of, standing
    from ladder.promotion.publish import state

    root = project.root()
    with standing(root, base or base_of(root, remote), services=False) as ground:
        app = ground.promotion.checks.app
        with github(ground.promotion.github.api, ground.delivery.repository) as asked:
            made = cut(ground, lambda commit: asked.checks(commit, app), datetime.now(UTC))
        if isinstance(made, str):
            click.echo(made)
            click.echo("it was cut before", err=True)
            return
        commit = state(ground, remote, made, f"Cut {made.name}")
    click.echo(made.name)
    click.echo(f"stated in {commit}", err=True)
