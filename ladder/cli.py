"""The ``ladder`` command: one module per verb in :mod:`ladder.commands`, imported only when it is called."""

from __future__ import annotations

import difflib
import importlib
import json
import os
import signal
import sys
from itertools import pairwise
from typing import Any

import click

from ladder.errors import CheckFailed, InputError, LadderError

__all__ = ["main"]

_VERBS = {
    "approve": "state who approved what a merged pull request asked for",
    "anchor": "keep the head of an environment's evidence where it cannot be taken back",
    "audit": "write the report for auditors: a page, Markdown and JSON",
    "changes": "show what the work tree changes in every environment, against a commit",
    "chart": "package the service chart, print its digest, and push it",
    "check": "hold the stacks and the tree against every rule, offline",
    "compare": "hold a recording against a stack's exported state",
    "cut": "name a release candidate: what dev was observed running",
    "guard": "whether a pull request may be merged, by what the rungs would run",
    "destroy": "delete a stack from the sandbox, but for what is protected or retained",
    "doctor": "check what only the live cluster, GitHub and AWS can tell",
    "drift": "name what in the sandbox differs from a stack's recording",
    "judge": "hold a commit's settings and tree against this checkout's code",
    "lineage": "replay who brought what into which rung, by its evidence",
    "local": "write a Compose file that runs the services on this machine",
    "observe": "state what an environment is seen to run",
    "parity": "prove that environments differ only where the contract allows",
    "pin": "let a verified build enter dev",
    "preview": "name what up would change in the sandbox",
    "promote": "bring a candidate into the next rung, by its digests",
    "record": "run a stack's program offline and show what it declares",
    "rollback": "bring a rung back to digests that were healthy in it",
    "sandbox": "start, stop and look at the local cloud",
    "schema": "write the JSON Schemas of the settings",
    "seed": "fill an environment's database and buckets with synthetic data",
    "up": "bring a stack up in the sandbox",
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in _VERBS:
            return None
        return importlib.import_module(f"ladder.commands.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _VERBS and not name.startswith("-"):
            close = difflib.get_close_matches(name, _VERBS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(_VERBS))}"
            raise click.UsageError(f"no such command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def _ladder() -> None:
    """Environments a change climbs: preview, dev, staging, prod.

    Exit codes: 0 done, 1 a check failed or the work could not be done, 2 bad input.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit. Whatever a user can act on is told without a traceback."""
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = _wants_json(arguments)
    try:
        code: object = _ladder.main(args=arguments, prog_name="ladder", standalone_mode=False)
        if isinstance(code, int) and code:
            sys.exit(code)
    except LadderError as error:
        _report(error, as_json=as_json)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        if as_json:
            _print_json({"error": error.format_message()})
        else:
            error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _report(CheckFailed(f"{where}{error.strerror or error}"), as_json=as_json)
        sys.exit(CheckFailed.exit_code)


def _wants_json(arguments: list[str]) -> bool:
    return "--format=json" in arguments or ("--format", "json") in pairwise(arguments)


def _report(error: LadderError, *, as_json: bool) -> None:
    if as_json:
        document: dict[str, Any] = {"error": str(error)}
        if isinstance(error, InputError):
            document["problems"] = [problem.as_json() for problem in error.problems]
        _print_json(document)
        return
    count = len(error.problems) if isinstance(error, InputError) else 0
    click.echo(f"error: {count} problems" if count > 1 else "error:", err=True)
    click.echo(str(error), err=True)


def _print_json(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2), err=True)
