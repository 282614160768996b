"""``ladder record``"""

from __future__ import annotations

import json

import click

from ladder import project


@click.command("record")
@click.argument("stack")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "deployment"]),
    default="table",
    show_default=True,
    help="deployment is the shape of 'pulumi stack export', for tools that read that",
)
def command(stack: str, format_: str) -> None:
    """Run the program of STACK offline and show what it declares. Nothing is contacted, nothing is changed."""
    from ladder.recorder import record_stack
    from ladder.recording_formats import as_deployment, as_json, as_table

    recording = record_stack(project.root(), stack)
    match format_:
        case "json":
            click.echo(json.dumps(as_json(recording), indent=2))
        case "deployment":
            click.echo(json.dumps(as_deployment(recording), indent=2))
        case _:
            click.echo(as_table(recording))
