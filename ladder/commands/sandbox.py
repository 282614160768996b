"""``ladder sandbox start|status|publish|stop``: the local cloud."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ladder import project

if TYPE_CHECKING:
    from sandbox.connection import Sandbox, Status
    from sandbox.progress import Progress

__all__ = ["command"]


@click.group()
def command() -> None:
    """The local cloud: a real Kubernetes API and an AWS stand-in, on loopback only.

    Its state is in .sandbox/, or where LADDER_SANDBOX_DIR says, and outlives a stop.
    """


@command.command()
@click.option("--argocd", is_flag=True, help="with Argo CD, Argo Rollouts and a registry, and gitops/ published")
def start(argocd: bool) -> None:
    """Start it, or find it running. The first time, its servers are built.

    What was once started with --argocd is always started with it: what was delivered is part of its state.
    """
    from sandbox.connection import start as start_sandbox
    from sandbox.progress import shown

    with shown() as progress:
        running = start_sandbox(_state(), progress=progress, argocd=argocd)
        said = _publish(running, progress) if running.sources else ""
    click.echo(f"Kubernetes  {running.api_server}")
    click.echo(f"AWS         {running.aws_endpoint}")
    if running.sources:
        click.echo(f"Tree        {running.sources.tree}  ({said})")
        click.echo(f"Charts      {running.sources.charts}")
    click.echo(f"\nLook around with  export KUBECONFIG={running.kubeconfig}")
    click.echo("Bring a stack up  ladder up dev")


@command.command()
def publish() -> None:
    """Commit gitops/ to the sandbox's tree, push its chart, and have Argo CD look at once.

    For a sandbox that was started with --argocd. What did not change makes no commit.
    """
    from sandbox.connection import connect
    from sandbox.progress import shown

    running = connect(_state())
    with shown() as progress:
        said = _publish(running, progress)
    click.echo(said)


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


def _publish(running: Sandbox, progress: Progress) -> str:
    from ladder.contract import ladder_settings
    from sandbox.publishing import publish as publish_tree

    root = project.root()
    # The same in every stack: neither may vary.
    delivery = next(iter(ladder_settings(root).values())).delivery
    folder = delivery.path.partition("/")[0]
    if not (root / folder).is_dir():
        return f"nothing to publish: the project has no {folder}/"
    done = publish_tree(running, root / folder, progress, folder=folder, branch=delivery.branch)
    at = f"{delivery.branch} at {done.commit.id[:12]}{'' if done.commit.made else ', as before'}"
    return f"{at}, chart {done.chart}" if done.chart else at


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
