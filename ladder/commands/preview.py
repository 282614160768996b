"""``ladder preview``"""

from __future__ import annotations

import click

from ladder.commands.deployment import arguments, open_deployment, show


@click.command("preview")
@arguments
def command(stack: str, engine_name: str, format_: str) -> None:
    """Name what up would change in the sandbox, and change nothing."""
    from sandbox import deployer
    from sandbox.engines import Engine

    deployment, engine = open_deployment(stack, engine_name)
    if engine is Engine.PULUMI:
        deployment.pulumi.preview()
        return
    show(deployer.preview(deployment.recording, deployment.target), format_, listed=True)
