"""``ladder approve``"""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ladder import project


@click.command("approve")
@click.argument("number", metavar="PULL_REQUEST", type=click.IntRange(min=1))
@click.option("--base", metavar="REF", help="the commit to stand on; by default the delivered branch at the remote")
@click.option("--remote", default="origin", show_default=True)
def command(number: int, base: str | None, remote: str) -> None:
    """State who approved what a merged pull request asked for: by a review of the very head that was merged.

    Neither its opener, nor an author or committer of any of its commits, nor who asked for it; and who may write to the
    repository. Exit codes: 0 it is stated, 1 nobody did who may, 2 bad input.
    """
    from ladder.promotion.approve import approve
    from ladder.promotion.github import github
    from ladder.promotion.ground import base_of, standing
    from ladder.promotion.publish import state
    from ladder.promotion.reviews import may_write, pull_request

    root = project.root()
    with standing(root, base or base_of(root, remote), services=False) as ground:
        with github(ground.promotion.github.api, ground.delivery.repository) as asked:
            pull = pull_request(asked, number)
            approval = approve(ground, pull, lambda login: may_write(asked, login), datetime.now(UTC))
        if approval is None:
            click.echo(f"#{number} is approved already")
            return
        commit = state(ground, remote, approval, f"Approve {approval.environment}, #{number}")
    click.echo(f"approved by {approval.approver} in #{number}")
    click.echo(f"stated in {commit}", err=True)
