"""``ladder sandbox start|status|stop``: the local cloud."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ladder import project

if TYPE_CHECKING:
    from sandbox.connection import Status

__all__ = ["command"]


@click.group()
def command() -> None:
    """The local cloud: a real Kubernetes API and an AWS stand-in, on loopback only.

    Its state is in .sandbox/, or where LADDER_SANDBOX_DIR says, and outlives a stop.
    """


@command.command()
def start() -> None:
    """Start it, or find it running. The first time, its servers are built."""
    from sandbox.connection import start as start_sandbox
    from sandbox.progress import shown

    with shown() as progress:
        running = start_sandbox(_state(), progress=progress)
    click.echo(f"Kubernetes  {running.api_server}")
    click.echo(f"AWS         {running.aws_endpoint}")
    click.echo(f"\nLook around with  export KUBECONFIG={running.kubeconfig}")
    click.echo("Bring a stack up  ladder up dev")


@command.command()
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
def status(format_: str) -> None:
    """Tell whether it runs, and if not, why. Exit code 1 when it does not run."""
    from sandbox.connection import status as status_of

    found = status_of(_state())
    if format_ == "json":
        click.echo(json.dumps({**asdict(found), "state": str(found.state)}, indent=2))
    else:
        _show(found)
    if not found.running:
        raise click.exceptions.Exit(1)


@command.command()
def stop() -> None:
    """Stop its servers; what they hold is there again after the next start."""
    from sandbox.connection import stop as stop_sandbox

    click.echo("stopped" if stop_sandbox(_state()) else "was not running")


def _state() -> Path:
    from sandbox.paths import default_state

    return default_state(project.root())


def _show(found: Status) -> None:
    from rich.console import Console
    from rich.table import Table

    began = f" since {found.began}" if found.running else ""
    click.echo(f"{'running' if found.running else found.phase}{began}  {found.state}")
    if found.reason and not found.running:
        click.echo(found.reason)
    if not found.servers:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("SERVER", "VERSION", "PID", "ENDPOINT"):
        table.add_column(heading)
    for server in found.servers:
        table.add_row(server.name, server.version, str(server.pid), server.endpoint)
    Console(highlight=False).print(table)
