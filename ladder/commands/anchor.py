"""``ladder anchor``"""

from __future__ import annotations

import click

from ladder import project
from ladder.errors import CheckFailed


@click.command("anchor")
@click.argument("environment", metavar="ENV")
@click.option("--base", metavar="REF", help="the commit to stand on; by default the delivered branch at the remote")
@click.option("--remote", default="origin", show_default=True)
@click.option("--print", "show", is_flag=True, help="print the last anchored head, as lineage --head takes it")
def command(environment: str, base: str | None, remote: str, show: bool) -> None:
    """Keep the head of the environment's chain in its Object Lock bucket, so that the chain's end cannot be cut off.

    AWS is asked with the caller's credentials, or as the stack's cloud.anchorRole. Exit codes: 0 it is anchored, 1 it
    is not, or the chain does not reach what was anchored of it, 2 bad input.
    """
    try:
        _anchor(environment, base, remote, show=show)
    except ModuleNotFoundError as error:
        raise CheckFailed(f"{error.name} is not installed: run 'uv sync --inexact --group promotion'") from error


def _anchor(environment: str, base: str | None, remote: str, *, show: bool) -> None:
    from ladder.promotion.anchor import Anchors, anchor, shown
    from ladder.promotion.ground import base_of, standing

    root = project.root()
    with standing(root, base or base_of(root, remote), services=False) as ground:
        if show:
            heads = Anchors.of(ground, environment).read()
            if not heads:
                raise CheckFailed(f"nothing is anchored of {environment}")
            click.echo(shown(heads[-1]))
            return
        head, new = anchor(ground, environment)
    if head is None:
        click.echo(f"nothing is stated of {environment} yet")
    else:
        click.echo(f"{shown(head)} {'is anchored' if new else 'was anchored before'}")
