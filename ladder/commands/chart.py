"""``ladder chart``"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from ladder import project

__all__ = ["command"]


@click.command("chart")
@click.argument("folder", default="gitops/chart", type=click.Path(path_type=Path, file_okay=False))
@click.option("--push", "repository", metavar="OCI", help="push it to oci://host/folder/name, as delivery.chart has it")
@click.option("--plain-http", is_flag=True, help="push without TLS; to a registry on loopback only")
def command(folder: Path, repository: str | None, plain_http: bool) -> None:
    """Package the chart in FOLDER of the project, and print the digest by which a version.yaml pins it.

    The same chart gives the same digest on every machine, pushed or not.
    """
    from ladder import chart, helm
    from sandbox.progress import shown

    root = project.root()
    name = chart.name_of(root / folder, root=root)
    with shown() as progress, tempfile.TemporaryDirectory(prefix="chart.") as scratch:
        program = helm.find(progress)
        archive = chart.package(program, root / folder, Path(scratch))
        if repository is None:
            digest = chart.digest(program, archive, name, progress)
        else:
            digest = chart.push(program, archive, repository, plain_http=plain_http)
    click.echo(digest)
