"""Run every measurement and print it. ``python -m bench [--format json] [--rounds N]``"""

from __future__ import annotations

import json

import click

from bench import changes, parity, previews, promotion, recording, sandbox_up, seed, tree
from bench.measure import Figure, print_figures


@click.command()
@click.option("--rounds", default=5, show_default=True, help="how often each measurement is repeated")
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
def main(rounds: int, format_: str) -> None:
    """Measure recording and the sandbox on this machine."""
    figures: list[Figure] = [
        *recording.figures(rounds),
        *changes.figures(rounds),
        *parity.figures(rounds),
        *tree.figures(rounds),
        *previews.figures(rounds),
        *promotion.figures(rounds),
        *seed.figures(rounds),
        *sandbox_up.figures(rounds),
    ]
    if format_ == "json":
        click.echo(json.dumps([figure.as_json() for figure in figures], indent=2))
    else:
        print_figures(figures)


if __name__ == "__main__":
    main()
