"""``ladder lineage``"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ladder import project
from ladder.errors import CheckFailed, InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ladder.promotion.chain import Head
    from ladder.promotion.ground import Ground
    from ladder.promotion.lineage import Event

_HEAD = re.compile(r"([a-z][a-z0-9-]*)=([1-9][0-9]{0,5}):(sha256:[0-9a-f]{64})")


@click.command("lineage")
@click.argument("about", metavar="[SERVICE|RC]", required=False)
@click.option("--base", metavar="REF", default="HEAD", show_default=True, help="the commit whose evidence is replayed")
@click.option(
    "--head", "heads", metavar="ENV=SEQUENCE:DIGEST", multiple=True, help="an anchored head that a chain must reach"
)
@click.option(
    "--anchored", is_flag=True, help="hold every chain against its environment's Object Lock bucket: not offline"
)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(about: str | None, base: str, heads: tuple[str, ...], anchored: bool, format_: str) -> None:
    """Replay who brought what into which rung, when and by which evidence: offline, from the repository alone.

    Verifies every signature and every link; with --anchored also that each chain reaches the newest hundred heads that
    its bucket keeps, read with the caller's credentials, or as each stack's cloud.anchorRole. Exit codes: 0 it all
    holds, 1 something is altered, missing, moved, cut off or runs though nobody let it, 2 bad input.
    """
    from ladder.promotion.ground import standing
    from ladder.promotion.lineage import cut_off, events, unexplained, unreported

    known = [_head(each) for each in heads]
    with standing(project.root(), base, services=False) as ground:
        history = ground.history
        found = events(history, about)
        wrong = [*unexplained(history), *unreported(ground), *cut_off(history, known)]
        wrong += _unanchored(ground) if anchored else []
    if about is not None and not found:
        raise InputError(
            Problem(file=about, message="is in no statement", accepted="a service, or a candidate as `rc-…`")
        )
    click.echo(_as_json(found, wrong) if format_ == "json" else _as_text(found))
    if wrong:
        raise CheckFailed("; ".join(f"{where}: {what}" for where, what in wrong))


def _unanchored(ground: Ground) -> Sequence[tuple[str, str]]:
    try:
        from ladder.promotion.anchor import unanchored
    except ModuleNotFoundError as error:
        raise CheckFailed(f"{error.name} is not installed: run 'uv sync --inexact --group promotion'") from error
    return list(unanchored(ground))


def _head(text: str) -> Head:
    from ladder.promotion.chain import Head

    match = _HEAD.fullmatch(text)
    if match is None:
        accepted, example = "ENV=SEQUENCE:DIGEST", "staging=12:sha256:0a0a…"
        raise InputError(
            Problem(file="--head", message="is no head", found=text[:200], accepted=accepted, example=example)
        )
    return Head(match[1], int(match[2]), match[3])


def _as_json(found: Sequence[Event], wrong: Sequence[tuple[str, str]]) -> str:
    document: dict[str, Any] = {
        "events": [each.as_json() for each in found],
        "findings": [{"where": where, "message": what} for where, what in wrong],
    }
    return json.dumps(document, indent=2)


def _as_text(found: Sequence[Event]) -> str:
    lines: list[str] = []
    for each in found:
        lines.append(f"{each.logged}  {each.environment:<8} {each.kind:<10} {each.candidate or '-':<20} {each.says}")
        lines.append(f"    {Path(each.file).as_posix()}  {each.digest}")
        lines += [f"    {name}: image {it['image']}, chart {it['chart']}" for name, it in each.services.items()]
    return "\n".join(lines) or "nothing is stated yet"
