"""``ladder drift``"""

from __future__ import annotations

import click

from ladder.commands.deployment import arguments, open_deployment, show
from ladder.errors import CheckFailed


@click.command("drift")
@arguments
def command(stack: str, engine_name: str, format_: str) -> None:
    """Name what in the sandbox differs from what STACK declares; exit 1 if anything does."""
    from sandbox import deployer
    from sandbox.engines import Engine

    deployment, engine = open_deployment(stack, engine_name)
    if engine is Engine.PULUMI:
        deployment.pulumi.drift()
        return
    changes = deployer.drift(deployment.recording, deployment.target)
    show(changes, format_, listed=True)
    if changes:
        raise CheckFailed(f"{stack} has drifted; 'ladder up {stack}' repairs it")
