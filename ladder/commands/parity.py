"""``ladder parity``"""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ladder import project
from ladder.errors import CheckFailed

if TYPE_CHECKING:
    from ladder.parity import Proof


@click.command("parity")
@click.argument("environments", nargs=-1, metavar="[A B]")
@click.option("--explain", is_flag=True, help="show every difference, with its field and category")
@click.option("--render/--no-render", default=True, show_default=True, help="also prove what the chart makes")
@click.option("--format", "format_", type=click.Choice(["text", "md", "json"]), default="text", show_default=True)
def command(environments: tuple[str, ...], explain: bool, render: bool, format_: str) -> None:
    """Prove, offline, that environments differ only where the contract allows: all of them, or A and B.

    A and B are stacks, or the folder of previews. Exit codes: 0 proven, 1 violated, 2 bad input.
    """
    if len(environments) not in {0, 2}:
        raise click.UsageError("name two environments, or none for all; for example: ladder parity staging prod")
    from ladder.parity import prove
    from sandbox.progress import Silent, shown

    between = (environments[0], environments[1]) if environments else None
    with nullcontext(Silent()) if format_ == "json" else shown() as progress:
        today = datetime.now(UTC).date()
        proof = prove(project.root(), progress, today=today, between=between, render=render)
    click.echo(_shown(proof, format_, explain=explain))
    if not proof.proven:
        raise CheckFailed(f"parity is violated: {len(proof.findings())} findings")


def _shown(proof: Proof, format_: str, *, explain: bool) -> str:
    if format_ == "json":
        return json.dumps(proof.as_json(), indent=2)
    from ladder.parity.report import as_markdown, as_text

    return as_markdown(proof, explain=explain) if format_ == "md" else as_text(proof, explain=explain)
