"""``ladder local``"""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ladder import project

if TYPE_CHECKING:
    from ladder.local import Local


@click.command("local")
@click.option("--services", metavar="NAME,…", help="only these, and what they call")
@click.option(
    "--edit", "edits", metavar="NAME=DIRECTORY", multiple=True, help="build this service from source, anew on a change"
)
@click.option("--environment", metavar="NAME", help="whose values, where several environments are at tier lite")
@click.option("--out", metavar="FILE", default="compose.yaml", show_default=True, help="- for standard output")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(services: str | None, edits: tuple[str, ...], environment: str | None, out: str, format_: str) -> None:
    """Write a Compose file that runs the services on this machine, from the values of the environment at tier lite.

    Images are those of the lowest stack. Databases and the like are thrown away when their container goes.
    """
    from ladder.local import plan

    local = plan(project.root(), services, edits, environment)
    if out == "-":
        click.echo(local.text(Path.cwd(), out), nl=False)
    else:
        local.write(Path(out))
    click.echo(_as_json(local, out) if format_ == "json" else _as_text(local, out), err=out == "-")


def _as_json(local: Local, out: str) -> str:
    return json.dumps(
        {
            "file": out,
            "values": str(local.values),
            "images": str(local.images),
            "services": local.services(),
            "alongside": local.alongside(),
            "built": sorted(local.edits),
            "addresses": [asdict(address) for address in local.addresses()],
        },
        indent=2,
    )


def _as_text(local: Local, out: str) -> str:
    lines = [f"values {local.values}, images {local.images}"]
    lines += [f"{name} runs too: {' and '.join(callers)} calls it" for name, callers in local.alongside().items()]
    lines += [f"{name} is built from {path}" for name, path in sorted(local.edits.items())]
    lines += [f"{each.service}  {each.port}  http://{each.address}" for each in local.addresses()]
    if out != "-":
        watch = " --watch" if local.edits else ""
        lines += [f"wrote {out}; start it with  docker compose -f {shlex.quote(out)} up{watch}"]
    return "\n".join(lines)
