"""``ladder judge``"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click

from ladder import project
from ladder.commands import check, parity
from ladder.errors import CheckFailed

_MOST_SHOWN = 20


@click.command("judge")
@click.option("--head", metavar="REF", required=True, help="the commit whose settings and tree are judged")
@click.pass_context
def command(context: click.Context, head: str) -> None:
    """Hold the settings and the tree of the commit REF, merged into this checkout's commit, against its code.

    Runs check and parity on them: with this commit's program and checker, whatever REF says of those. Nothing of REF is
    run. Exit codes: 0 nothing found, 1 findings, or a conflict, 2 bad input.
    """
    from ladder.proposed import proposed

    failures: list[str] = []
    with proposed(project.root(), head) as proposal:
        click.echo(f"the data of {proposal.head[:12]}, by the code of {proposal.base[:12]}")
        with _as_root(proposal.root):
            for verb in (check.command, parity.command):
                try:
                    context.invoke(verb)
                except CheckFailed as failure:
                    failures.append(str(failure))
        if proposal.code:
            click.echo(_not_judged(proposal.code))
    if failures:
        raise CheckFailed("; ".join(failures))


@contextmanager
def _as_root(root: Path) -> Generator[None]:
    before = os.environ.get(project.ROOT_VARIABLE)
    os.environ[project.ROOT_VARIABLE] = str(root)
    try:
        yield
    finally:
        if before is None:
            del os.environ[project.ROOT_VARIABLE]
        else:
            os.environ[project.ROOT_VARIABLE] = before


def _not_judged(code: tuple[str, ...]) -> str:
    shown = [ascii(path)[1:-1] for path in code[:_MOST_SHOWN]]
    more = [f"and {len(code) - _MOST_SHOWN} more"] if len(code) > _MOST_SHOWN else []
    return f"not judged here, because it is no settings and no tree: {', '.join([*shown, *more])}"
