"""``ladder up``"""

from __future__ import annotations

import click

from ladder.commands.deployment import announce, arguments, open_deployment, show


@click.command("up")
@arguments
def command(stack: str, engine_name: str, format_: str) -> None:
    """Bring STACK up in the sandbox: create, update and remove until it is what the program declares."""
    from sandbox import deployer
    from sandbox.engines import Engine

    deployment, engine = open_deployment(stack, engine_name)
    if engine is Engine.PULUMI:
        deployment.pulumi.up()
        return
    changes = deployer.up(deployment.recording, deployment.target, on_change=announce(format_))
    show(changes, format_, listed=False)
