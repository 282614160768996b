"""One dataset: what its recipe is, the bytes of its tables and objects, and their hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, LiteralString

from ladder.contract.seed import KeyColumn, ObjectSet, ReferenceColumn, SeedSettings
from ladder.seed.columns import Values, Where, object_key, sql_type, values
from ladder.seed.draws import GROUP, pick, spread_draws
from ladder.seed.vocabulary import LIBRARY

__all__ = ["GENERATOR", "Dataset", "ObjectData", "Part", "TableColumn", "TableData", "dataset", "hash_of"]

GENERATOR = f"1+{LIBRARY}"
"""What makes other values of the same shape and seed has another one."""

Advance = Callable[[int], None]
"""Told how many rows or objects there are so far."""


@dataclass(frozen=True, slots=True)
class Part:
    """A table or a bucket's objects as they were written: how many, and the sha256 of their canonical stream."""

    name: str
    count: int
    sha256: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column as PostgreSQL has it. ``references`` is a table, by its key."""

    name: str
    type: LiteralString
    nullable: bool
    key: bool
    references: str | None


@dataclass(frozen=True, slots=True)
class TableData:
    """One table and its rows, in the text format of PostgreSQL's COPY."""

    name: str
    rows: int
    columns: tuple[TableColumn, ...]
    made: tuple[Values, ...]

    @property
    def key(self) -> str:
        return next(column.name for column in self.columns if column.key)

    @property
    def groups(self) -> int:
        return -(-self.rows // GROUP)

    def group(self, number: int) -> bytes:
        """The rows of one group; each can be made without the others, anywhere and again."""
        rows = list(map("\t".join, zip(*(made(number) for made in self.made), strict=True)))
        return ("\n".join(rows[: self.rows - number * GROUP]) + "\n").encode()

    def stream(self, write: Callable[[bytes], object], advance: Advance) -> Part:
        """Write every row; in memory there is one group."""
        head = [self.name, *([column.name, column.type] for column in self.columns)]
        digest = hashlib.sha256(_line(head))
        for number in range(self.groups):
            block = self.group(number)
            digest.update(block)
            write(block)
            advance(min(self.rows, (number + 1) * GROUP))
        return Part(self.name, self.rows, digest.hexdigest())


@dataclass(frozen=True, slots=True)
class ObjectData:
    """The objects of one bucket."""

    bucket: str
    seed: int
    settings: ObjectSet
    count: int

    def sizes(self) -> Iterator[int]:
        """The size of each object, in bytes."""
        low, high = self.settings.min_bytes, self.settings.max_bytes
        numbers = spread_draws(self.settings.spread, self.seed, self.bucket, "size")
        for group in range(-(-self.count // GROUP)):
            for number in numbers(group)[: self.count - group * GROUP]:
                yield low + pick(number, high - low + 1)

    def body(self, index: int, size: int) -> bytes:
        """An object's bytes: they say first that they are made up."""
        head = f"synthetic object {index} of seed {self.seed}\n".encode()
        return (head + hashlib.shake_128(head + self.bucket.encode()).digest(size))[:size]

    def stream(self, write: Callable[[str, bytes], object], advance: Advance) -> Part:
        """Write every object, in order of their keys; in memory there is one."""
        digest = hashlib.sha256(_line([self.bucket]))
        for index, size in enumerate(self.sizes()):
            key, body = object_key(index), self.body(index, size)
            digest.update(_line([key, size, hashlib.sha256(body).hexdigest()]))
            write(key, body)
            advance(index + 1)
        return Part(self.bucket, self.count, digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Dataset:
    """What one environment is filled with. ``recipe`` is the digest of all that decides it: one recipe, one dataset."""

    environment: str
    seed: int
    recipe: str
    tables: tuple[TableData, ...]
    objects: tuple[ObjectData, ...]


def dataset(settings: SeedSettings, environment: str, seed: int) -> Dataset:
    """The environment's dataset, of which nothing is made yet; the shape must have counts for it."""
    rows = {name: table.rows[environment] for name, table in settings.tables.items()}
    counts = {bucket: objects.count[environment] for bucket, objects in settings.objects.items()}
    tables: list[TableData] = []
    for name, table in settings.tables.items():
        made = [values(each, Where(seed, name, column, rows, counts)) for column, each in table.columns.items()]
        tables.append(TableData(name, rows[name], _columns(settings, name), tuple(made)))
    objects = [ObjectData(bucket, seed, each, counts[bucket]) for bucket, each in settings.objects.items()]
    return Dataset(environment, seed, _recipe(settings, environment, seed), tuple(tables), tuple(objects))


def hash_of(parts: Sequence[Part]) -> str:
    """One hash of several parts: a dataset's, or of what one store holds of it."""
    return "sha256:" + hashlib.sha256(b"".join(_line(list(part.as_json().values())) for part in parts)).hexdigest()


def _columns(settings: SeedSettings, table: str) -> tuple[TableColumn, ...]:
    return tuple(
        TableColumn(
            name=name,
            type=sql_type(column),
            nullable=not isinstance(column, KeyColumn) and column.nulls > 0,
            key=isinstance(column, KeyColumn),
            references=column.table if isinstance(column, ReferenceColumn) else None,
        )
        for name, column in settings.tables[table].columns.items()
    )


def _recipe(settings: SeedSettings, environment: str, seed: int) -> str:
    """Of this environment's part of the shape alone, so that another one's counts do not make this one anew."""
    shape = settings.model_dump(mode="json", by_alias=True)
    tables = [
        [name, table["rows"][environment], list(table["columns"].items())] for name, table in shape["tables"].items()
    ]
    objects = [[bucket, {**each, "count": each["count"][environment]}] for bucket, each in shape["objects"].items()]
    return "sha256:" + hashlib.sha256(_line([GENERATOR, environment, seed, tables, objects])).hexdigest()


def _line(value: list[Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
