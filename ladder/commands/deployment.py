"""What ``up``, ``preview``, ``drift`` and ``destroy`` share: their arguments, and how changes are shown."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape

from ladder import project

if TYPE_CHECKING:
    from sandbox.deployer import Change
    from sandbox.engines import Deployment, Engine

__all__ = ["announce", "arguments", "open_deployment", "show"]

_COLOURS = {"create": "green", "update": "yellow", "delete": "red", "keep": "cyan", "same": "dim"}
_LONGEST_VALUE = 100


def arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    """STACK, ``--engine`` and ``--format`` of a verb that works on the sandbox."""
    function = click.argument("stack")(function)
    function = click.option(
        "--engine",
        "engine_name",
        type=click.Choice(["auto", "pulumi", "builtin"]),
        default="auto",
        show_default=True,
        help="auto is the Pulumi CLI if it is on PATH, else the built-in deployer",
    )(function)
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="json is for the built-in deployer; the Pulumi CLI prints its own report",
    )(function)


def open_deployment(stack: str, engine_name: str) -> tuple[Deployment, Engine]:
    """The stack on the running sandbox, and the engine to use. Bad input is told before anything is asked for."""
    from ladder.contract import ladder_settings, stack_file
    from sandbox.connection import connect
    from sandbox.engines import Deployment, Engine, choose
    from sandbox.paths import default_state

    root = project.root()
    stack_file(root, stack)
    ladder_settings(root)
    engine = choose(Engine(engine_name))
    deployment = Deployment(root, stack, connect(default_state(root)))
    deployment.claim(engine)
    deployment.prepare()
    return deployment, engine


def announce(format_: str) -> Callable[[Change], None]:
    """Tells of each change as it is done, on a terminal or in a log; silent where JSON is asked for."""
    if format_ == "json":
        return lambda _: None
    console = Console(highlight=False, soft_wrap=True)
    return lambda change: console.print(_line(change))


def show(changes: Sequence[Change], format_: str, *, listed: bool) -> None:
    """Print the changes (``listed``: those not yet announced) and how many there are of each kind."""
    if format_ == "json":
        click.echo(json.dumps({"changes": [_as_json(change) for change in changes]}, indent=2))
        return
    console = Console(highlight=False, soft_wrap=True)
    for change in changes if listed else ():
        if change.action != "same":
            console.print(_line(change))
            for difference in change.differences:
                before, after = _short(difference.before), _short(difference.after)
                console.print(f"      {escape(difference.path)}: {escape(before)} → {escape(after)}")
    counts = Counter(change.action for change in changes)
    words = [
        f"{counts[action]} {action}" for action in ("create", "update", "delete", "keep", "same") if counts[action]
    ]
    console.print(", ".join(words) or "nothing")


def _line(change: Change) -> str:
    note = f" ({change.note})" if change.note else ""
    colour = _COLOURS[change.action]
    return f"[{colour}]{change.action:>7}[/] {escape(change.type)} {escape(change.name + note)}"


def _short(value: Any) -> str:
    text = "absent" if value is None else json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def _as_json(change: Change) -> dict[str, Any]:
    return {
        "action": change.action,
        "type": change.type,
        "name": change.name,
        "urn": change.urn,
        "note": change.note,
        "differences": [
            {"path": difference.path, "before": difference.before, "after": difference.after}
            for difference in change.differences
        ],
    }
