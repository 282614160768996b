"""``ladder seed``"""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from ladder import project
from ladder.errors import CheckFailed

if TYPE_CHECKING:
    from ladder.seed import Seeding

_STORES = ("database", "objects")


@click.command("seed")
@click.argument("environment")
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="another dataset of the same shape  [default: seed.yaml's]"
)
@click.option("--only", "store", type=click.Choice(_STORES), help="fill this alone; else both")
@click.option("--hash-only", is_flag=True, help="make the data for its hash, and fill nothing")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(environment: str, seed: int | None, store: str | None, hash_only: bool, format_: str) -> None:
    """Fill ENVIRONMENT's PostgreSQL and buckets with synthetic data, the same for the same shape and seed.

    ENVIRONMENT is a stack without real data, or the folder of previews. The database is where libpq's variables say
    (PGHOST, PGDATABASE, PGUSER, PGPASSWORD, …); a bucket is the one that BUCKET_<KEY> names, reached as boto3's AWS_…
    say. Nothing is done where the dataset is there already, and nothing replaced that this did not fill in. Exit codes:
    0 it is there, 1 it could not be filled in, 2 bad input.
    """
    if hash_only and store:
        raise click.UsageError("--hash-only fills nothing, so that --only has nothing to choose from")
    try:
        seeding = _seed(environment, seed, store, hash_only=hash_only, quiet=format_ == "json")
    except ModuleNotFoundError as error:
        raise CheckFailed(f"{error.name} is not installed: run 'uv sync --inexact --group seed'") from error
    click.echo(json.dumps(seeding.as_json(), indent=2) if format_ == "json" else _as_text(seeding))


def _seed(environment: str, seed: int | None, store: str | None, *, hash_only: bool, quiet: bool) -> Seeding:
    from ladder.seed import Store, filled, hashed, planned
    from sandbox.progress import Silent, shown

    with nullcontext(Silent()) if quiet else shown() as progress:
        dataset, stack = planned(project.root(), environment, seed)
        if hash_only:
            return hashed(dataset, progress)
        return filled(dataset, frozenset({Store(store)} if store else Store), stack, progress)


def _as_text(seeding: Seeding) -> str:
    width = max(len(part.name) for part in seeding.parts) if seeding.parts else 0
    lines = [f"{part.name:{width}}  {part.count:>11,}  sha256:{part.sha256}" for part in seeding.parts]
    became = {True: "filled", False: "holds it already"}
    lines += [f"{each.store}: {became[each.changed]}, {each.hash}" for each in seeding.filled]
    if seeding.hash:
        lines.append(f"dataset of {seeding.dataset.environment}, seed {seeding.dataset.seed}: {seeding.hash}")
    return "\n".join(lines)
