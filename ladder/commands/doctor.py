"""``ladder doctor``"""

from __future__ import annotations

import os
from contextlib import nullcontext

import click

from ladder import project
from ladder.errors import CheckFailed, InputError, Problem

_AREAS = ("cluster", "aws", "github")


@click.command("doctor")
@click.argument("stack", required=False)
@click.option(
    "--only", "areas", multiple=True, type=click.Choice(_AREAS), help="what to ask, several times if need be; else all"
)
@click.option(
    "--repository",
    envvar="GITHUB_REPOSITORY",
    default="",
    metavar="OWNER/NAME",
    help="on GitHub; else the one that is delivered from",
)
@click.option("--format", "format_", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(stack: str | None, areas: tuple[str, ...], repository: str, format_: str) -> None:
    """Check what only live systems can tell of STACK, or of every stack, and change nothing.

    The cluster is the kubeconfig's context that the settings name; AWS is asked with the caller's credentials, or as
    the deployer's role; GitHub with GITHUB_TOKEN. What cannot be reached from here is left out by --only. Exit codes:
    0 all passes, 1 something fails or could not be checked, 2 bad input.
    """
    try:
        _examine(stack, areas or _AREAS, repository, format_)
    except ModuleNotFoundError as error:
        raise CheckFailed(f"{error.name} is not installed: run 'uv sync --inexact --group doctor'") from error


def _examine(stack: str | None, areas: tuple[str, ...], repository: str, format_: str) -> None:
    from ladder.doctor import Area, GitHub, Verdict, examine
    from ladder.doctor.github import API
    from ladder.doctor.report import as_json, counted, print_table
    from sandbox.progress import Silent, shown

    asked = GitHub(repository, _token(), os.environ.get("GITHUB_API_URL") or API)
    chosen = {Area(area) for area in areas}
    with nullcontext(Silent()) if format_ == "json" else shown() as progress:
        diagnoses = list(examine(project.root(), progress, stack=stack, areas=chosen, asked=asked))
    if format_ == "json":
        click.echo(as_json(diagnoses))
    else:
        from rich.console import Console

        print_table(diagnoses, Console(highlight=False))
    if any(each.verdict is not Verdict.PASS for each in diagnoses):
        raise CheckFailed(counted(diagnoses))
    if format_ == "table":
        click.echo(counted(diagnoses))


def _token() -> str:
    """GITHUB_TOKEN, empty where it is not set. Raises InputError, which does not show it, for what is no token."""
    token = os.environ.get("GITHUB_TOKEN", "").strip()
    if token.isascii() and token.isprintable() and " " not in token:
        return token
    raise InputError(
        Problem(
            file="environment",
            path="GITHUB_TOKEN",
            message="is not a token",
            found=f"{len(token)} characters, not all of them a token's",
            accepted="a token in one line, without blanks",
        )
    )
