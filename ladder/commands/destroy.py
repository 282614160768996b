"""``ladder destroy``"""

from __future__ import annotations

import click

from ladder.commands.deployment import announce, arguments, open_deployment, show


@click.command("destroy")
@arguments
def command(stack: str, engine_name: str, format_: str) -> None:
    """Delete STACK from the sandbox, all but what is protected or retained."""
    from sandbox import deployer
    from sandbox.engines import Engine

    deployment, engine = open_deployment(stack, engine_name)
    if engine is Engine.PULUMI:
        deployment.pulumi.destroy()
        return
    changes = deployer.destroy(deployment.recording, deployment.target, on_change=announce(format_))
    show(changes, format_, listed=False)
