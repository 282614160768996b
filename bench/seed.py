"""How fast synthetic data is made and filled into PostgreSQL, against COPY of the same rows from a ready file."""

from __future__ import annotations

import csv
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from psycopg import sql

from bench.measure import Figure, median_of, timed
from ladder import project
from ladder.contract import ladder_settings
from ladder.contract.seed import SeedSettings, read_seed
from ladder.seed.columns import NULL
from ladder.seed.database import fill_database
from ladder.seed.dataset import Dataset, dataset
from sandbox.progress import Silent
from tests.seed.postgres import Server, running

__all__ = ["figures"]

_ENVIRONMENT = "staging"
_TENTH, _TWENTIETH = 10, 20
_CHUNK = 256 * 1024


def figures(rounds: int) -> Iterator[Figure]:
    """Shares of what staging is filled with, keys and relations included; the ready file goes into tables without."""
    root = project.root()
    settings = read_seed(root, ladder_settings(root))
    assert settings is not None
    whole = _of(settings, _TENTH)
    rows = sum(table.rows for table in whole.tables)
    with running() as server, tempfile.TemporaryDirectory(prefix="seed.") as scratch:
        files = _files(whole, Path(scratch))
        made = [rows / timed(lambda: _make(whole)) for _ in range(rounds)]
        filled = [rows / timed(lambda name=f"filled_{turn}": _fill(server, whole, name)) for turn in range(rounds)]
        plain = [rows / timed(lambda name=f"plain_{turn}": _copy(server, whole, files, name)) for turn in range(rounds)]
        grown = _memory(server, _TENTH) - _memory(server, _TWENTIETH)
    copied = statistics.median(plain)
    yield median_of(f"seed: {rows:,} rows made and hashed", made, "rows/s")
    yield median_of(
        f"seed: {rows:,} rows into PostgreSQL, with keys and relations",
        filled,
        "rows/s",
        aim="> 50 000",
        note=f"{copied / statistics.median(filled):.1f} × as long as COPY of a ready CSV ({copied:,.0f} rows/s)",
    )
    yield Figure(name="seed: memory added by twice the rows", value=grown / 1024, unit="MiB", aim="flat")


def _of(settings: SeedSettings, share: int) -> Dataset:
    tables = {
        name: table.model_copy(update={"rows": {_ENVIRONMENT: max(1, table.rows[_ENVIRONMENT] // share)}})
        for name, table in settings.tables.items()
    }
    return dataset(settings.model_copy(update={"tables": tables}), _ENVIRONMENT, settings.seed)


def _make(whole: Dataset) -> None:
    for table in whole.tables:
        table.stream(lambda _: None, lambda _: None)


def _files(whole: Dataset, directory: Path) -> dict[str, Path]:
    """The rows as CSV, a file for each table. What is null is empty, and nothing else is."""
    found: dict[str, Path] = {}
    for table in whole.tables:
        found[table.name] = directory / f"{table.name}.csv"
        with found[table.name].open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            for number in range(table.groups):
                lines = table.group(number).decode().splitlines()
                writer.writerows(["" if value == NULL else value for value in line.split("\t")] for line in lines)
    return found


def _fill(server: Server, whole: Dataset, name: str) -> None:
    os.environ.update(server.environment(server.fresh(name)))
    assert fill_database(whole, Silent()).changed


def _copy(server: Server, whole: Dataset, files: dict[str, Path], name: str) -> None:
    with server.connect(server.fresh(name)) as connection, connection.transaction():
        for table in whole.tables:
            identifier = sql.Identifier(table.name)
            columns = [
                sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in table.columns
            ]
            connection.execute(sql.SQL("CREATE TABLE {} ({})").format(identifier, sql.SQL(", ").join(columns)))
            statement = sql.SQL("COPY {} FROM STDIN WITH (FORMAT csv, FREEZE)").format(identifier)
            with connection.cursor().copy(statement) as copy, files[table.name].open("rb") as stream:
                while block := stream.read(_CHUNK):
                    copy.write(block)


def _memory(server: Server, share: int) -> int:
    """The most memory that a process of its own has in use while it fills the share in, in KiB."""
    code = f"from bench import seed; seed.in_process({share})"
    environment = {**os.environ, **server.environment(server.fresh(f"memory_{share}"))}
    finished = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return int(finished.stdout)


def in_process(share: int) -> None:
    """Fill the share into the database that the environment names, and print the most memory in use, in KiB.

    Linux says it of a program alone; what getrusage says begins with the most that its parent had.
    """
    root = project.root()
    settings = read_seed(root, ladder_settings(root))
    assert settings is not None
    fill_database(_of(settings, share), Silent())
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    assert found is not None
    print(found[1])
