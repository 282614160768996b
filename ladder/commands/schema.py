"""``ladder schema``"""

from __future__ import annotations

import click

from ladder import project
from ladder.errors import CheckFailed


@click.command("schema")
@click.option("--check", is_flag=True, help="write nothing; exit 1 if a schema does not match the contract")
def command(check: bool) -> None:
    """Write the JSON Schemas of the settings to schemas/, and the chart's beside the chart."""
    from ladder import schemas

    root = project.root()
    if check:
        stale = schemas.stale(root)
        if stale:
            raise CheckFailed(f"stale: {', '.join(stale)}; run 'ladder schema' and commit the result")
        click.echo("schemas match the contract")
        return
    written = schemas.write(root)
    click.echo(f"wrote {', '.join(written)}" if written else "schemas match the contract")
