"""Filling PostgreSQL: everything in one transaction, so that a dataset is there as a whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from ladder.errors import CheckFailed
from ladder.seed.dataset import GENERATOR, Dataset, Part, TableData, hash_of
from ladder.seed.filled import Filled, foreign

if TYPE_CHECKING:
    from sandbox.progress import Progress

__all__ = ["SCHEMA", "fill_database"]

SCHEMA = "public"
"""Where the tables are made. What is known of them stands in the table ``seed.dataset``."""

_ONE_AT_A_TIME = 7_305_804_402_016
"""The number of the lock that whoever fills a database holds."""

_PATIENCE = 10
"""Seconds to wait for a connection, where PGCONNECT_TIMEOUT does not say."""

_MARKER = """
CREATE TABLE IF NOT EXISTS seed.dataset (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    environment text NOT NULL,
    generator text NOT NULL,
    seed bigint NOT NULL,
    recipe text NOT NULL,
    hash text NOT NULL,
    parts jsonb NOT NULL,
    filled_at timestamptz NOT NULL DEFAULT now()
)
"""

_STRANGERS = """
SELECT n.nspname || '.' || c.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1 LIMIT 3
"""


@dataclass(frozen=True, slots=True)
class _Marker:
    environment: str
    recipe: str
    parts: tuple[Part, ...]


def fill_database(dataset: Dataset, progress: Progress) -> Filled:
    """Make the tables and fill them, in place of what was filled in before; nothing where the dataset is there already.

    The connection is what libpq's environment variables say. Raises CheckFailed where it cannot be made, where the
    database holds what this did not fill in, or another environment's dataset.
    """
    patience: dict[str, Any] = {} if "PGCONNECT_TIMEOUT" in os.environ else {"connect_timeout": _PATIENCE}
    progress.step("connect to the database")
    try:
        with psycopg.connect("", application_name="ladder seed", client_encoding="UTF8", **patience) as connection:
            return _filled(connection, dataset, progress)
    except psycopg.Error as error:
        raise CheckFailed(f"the database: {' '.join(str(error).split())}") from error


def _filled(connection: psycopg.Connection, dataset: Dataset, progress: Progress) -> Filled:
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
    marker = _marker(connection)
    if marker is None:
        strangers = [str(name) for (name,) in connection.execute(_STRANGERS)]
        if strangers:
            raise foreign("the database", strangers)
    elif marker.environment != dataset.environment:
        raise CheckFailed(
            f"the database is filled for {marker.environment}, not for {dataset.environment}: is PGDATABASE right?"
        )
    elif marker.recipe == dataset.recipe:
        return Filled("database", marker.parts, changed=False)
    _make_tables(connection, dataset.tables, marker.parts if marker else ())
    parts: list[Part] = []
    for number, table in enumerate(dataset.tables, start=1):
        progress.step(f"fill {table.name}", number, len(dataset.tables))
        parts.append(_fill(connection, table, progress))
    progress.step("relate the tables")
    _relate(connection, dataset.tables)
    _mark(connection, dataset, parts)
    return Filled("database", tuple(parts), changed=True)


def _marker(connection: psycopg.Connection) -> _Marker | None:
    found = connection.execute("SELECT to_regclass('seed.dataset')").fetchone()
    if found is None or found[0] is None:
        return None
    row = connection.execute("SELECT environment, recipe, parts FROM seed.dataset").fetchone()
    return _Marker(row[0], row[1], tuple(Part(**part) for part in row[2])) if row else None


def _make_tables(connection: psycopg.Connection, tables: Sequence[TableData], before: Sequence[Part]) -> None:
    if before:
        names = sql.SQL(", ").join(_qualified(part.name) for part in before)
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(names))
    for table in tables:
        columns = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(column.name), sql.SQL(column.type), sql.SQL("" if column.nullable else " NOT NULL")
            )
            for column in table.columns
        ]
        statement = sql.SQL("CREATE TABLE {} ({})").format(_qualified(table.name), sql.SQL(", ").join(columns))
        connection.execute(statement)


def _fill(connection: psycopg.Connection, table: TableData, progress: Progress) -> Part:
    """Rows of a table that no other transaction can see yet are written as settled: no later pass over them."""
    statement = sql.SQL("COPY {} FROM STDIN WITH (FORMAT text, FREEZE)").format(_qualified(table.name))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        return table.stream(copy.write, lambda done: progress.advance(done, table.rows))


def _relate(connection: psycopg.Connection, tables: Sequence[TableData]) -> None:
    """Keys first, then what refers to them; the server holds every row against both."""
    keys = {table.name: sql.Identifier(table.key) for table in tables}
    for table in tables:
        statement = sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(_qualified(table.name), keys[table.name])
        connection.execute(statement)
    for table in tables:
        for column in table.columns:
            if column.references is not None:
                statement = sql.SQL("ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({})").format(
                    _qualified(table.name),
                    sql.Identifier(column.name),
                    _qualified(column.references),
                    keys[column.references],
                )
                connection.execute(statement)
        connection.execute(sql.SQL("ANALYZE {}").format(_qualified(table.name)))


def _mark(connection: psycopg.Connection, dataset: Dataset, parts: Sequence[Part]) -> None:
    connection.execute("CREATE SCHEMA IF NOT EXISTS seed")
    connection.execute(_MARKER)
    connection.execute("DELETE FROM seed.dataset")
    listed = json.dumps([part.as_json() for part in parts])
    connection.execute(
        "INSERT INTO seed.dataset (environment, generator, seed, recipe, hash, parts) VALUES (%s, %s, %s, %s, %s, %s)",
        [dataset.environment, GENERATOR, dataset.seed, dataset.recipe, hash_of(parts), listed],
    )


def _qualified(table: str) -> sql.Identifier:
    return sql.Identifier(SCHEMA, table)
