"""The shape of synthetic data, in one reviewed file: tables, columns, relations, objects, and how many of each where.

``seed.yaml`` at the project's root. It says how values are made up, and cannot say where real ones would come from: no
text in it can be a path, a URL or a statement.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ladder.contract.base import Settings
from ladder.contract.problems import FileKind, checked, of_violation
from ladder.contract.stack import StackSettings
from ladder.contract.types import CalendarDate, DnsLabel, Text
from ladder.contract.violations import Path as SettingsPath
from ladder.contract.violations import Violation
from ladder.errors import InputError
from ladder.strict_yaml import examine

__all__ = [
    "SEED",
    "BooleanColumn",
    "ChoiceColumn",
    "Column",
    "DecimalColumn",
    "Even",
    "IntegerColumn",
    "KeyColumn",
    "MadeColumn",
    "ObjectColumn",
    "ObjectSet",
    "ReferenceColumn",
    "SeedSettings",
    "Skewed",
    "Spread",
    "Table",
    "TextColumn",
    "TimestampColumn",
    "Vocabulary",
    "read_seed",
    "seeded",
]

SEED = "seed.yaml"

_IDENTIFIER = r"[a-z][a-z0-9_]{0,62}"
_WORD = r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
_SYSTEM_COLUMNS = frozenset({"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"})
"""What PostgreSQL calls its own columns of every table."""


def _identifier_problem(value: str) -> str | None:
    return None if re.fullmatch(_IDENTIFIER, value) else "is not a plain identifier"


def _column_problem(value: str) -> str | None:
    return "is a column that PostgreSQL has in every table" if value in _SYSTEM_COLUMNS else _identifier_problem(value)


def _word_problem(value: str) -> str | None:
    return None if re.fullmatch(_WORD, value) else "is not a plain word"


_PLAIN = "a-z, 0-9 and _, a letter first, at most 63"
TableName = Annotated[str, Text(_identifier_problem, _PLAIN, ("customers",), _IDENTIFIER)]
ColumnName = Annotated[str, Text(_column_problem, f"{_PLAIN}, no system column", ("placed_at",), _IDENTIFIER)]
Word = Annotated[str, Text(_word_problem, "letters, digits, _ and -, at most 40", ("cancelled",), _WORD)]

Percent = Annotated[int, Field(ge=0, le=100, examples=[5])]
Count = Annotated[int, Field(ge=1, le=10**9, examples=[1000])]
Counts = Annotated[Mapping[DnsLabel, Count], Field(min_length=1)]
"""How many, by the environment's name."""


class Vocabulary(StrEnum):
    """Whose words a text column is made of."""

    GIVEN_NAME = "given-name"
    FAMILY_NAME = "family-name"
    FULL_NAME = "full-name"
    STREET = "street"
    CITY = "city"
    COUNTRY = "country"
    PRODUCT = "product"
    COLOR = "color"
    WORD = "word"
    SENTENCE = "sentence"


class Even(Settings):
    """Every value is as likely as any other; of kind ``bell``, those in the middle are likelier."""

    kind: Literal["even", "bell"]


class Skewed(Settings):
    """Most values are near the low or the high end: half of them in the last ``1 / 2**power`` of the range."""

    kind: Literal["low", "high"]
    power: Annotated[int, Field(ge=2, le=16, examples=[4])]


Spread = Annotated[Even | Skewed, Field(discriminator="kind", examples=[{"kind": "even"}])]


class KeyColumn(Settings):
    """The table's primary key, counted from 1; each table has one."""

    kind: Literal["key"]


class _Nullable(Settings):
    nulls: Percent
    """How many in a hundred have no value."""


class ReferenceColumn(_Nullable):
    """The key of a row of ``table``, which may be its own; spread ``low`` gives most to the first rows."""

    kind: Literal["reference"]
    table: TableName
    spread: Spread


class ObjectColumn(_Nullable):
    """The key of one of the objects of ``bucket``."""

    kind: Literal["object"]
    bucket: DnsLabel
    spread: Spread


class MadeColumn(_Nullable):
    """What is another for each row: an address at example.com, a random UUID; or a number reserved for fiction."""

    kind: Literal["email", "uuid", "phone"]


class TextColumn(_Nullable):
    """Words of a vocabulary, drawn evenly."""

    kind: Literal["text"]
    words: Annotated[Vocabulary, Field(examples=["full-name"])]


class ChoiceColumn(_Nullable):
    """One of a few words, as likely as its weight says."""

    kind: Literal["choice"]
    weights: Annotated[
        Mapping[Word, Annotated[int, Field(ge=1, le=10**6, examples=[1])]], Field(min_length=1, max_length=1000)
    ]


class BooleanColumn(_Nullable):
    """True in ``percent`` of a hundred rows."""

    kind: Literal["boolean"]
    percent: Percent


class IntegerColumn(_Nullable):
    """A whole number, both ends included."""

    kind: Literal["integer"]
    min: Annotated[int, Field(ge=-(10**12), le=10**12, examples=[0])]
    max: Annotated[int, Field(ge=-(10**12), le=10**12, examples=[100])]
    spread: Spread


class DecimalColumn(_Nullable):
    """A number with ``digits`` after the point, both ends included."""

    kind: Literal["decimal"]
    min: Annotated[int, Field(ge=-(10**9), le=10**9, examples=[0])]
    max: Annotated[int, Field(ge=-(10**9), le=10**9, examples=[100])]
    digits: Annotated[int, Field(ge=1, le=4, examples=[2])]
    spread: Spread


class TimestampColumn(_Nullable):
    """A second (UTC) of the days from ``first`` to ``last``, both included."""

    kind: Literal["timestamp"]
    first: CalendarDate
    last: CalendarDate
    spread: Spread


Column = Annotated[
    KeyColumn
    | ReferenceColumn
    | ObjectColumn
    | MadeColumn
    | TextColumn
    | ChoiceColumn
    | BooleanColumn
    | IntegerColumn
    | DecimalColumn
    | TimestampColumn,
    Field(discriminator="kind"),
]


class Table(Settings):
    """One table: its columns in their order, and how many rows it has in each environment."""

    rows: Counts
    columns: Annotated[Mapping[ColumnName, Column], Field(min_length=1, max_length=100)]


class ObjectSet(Settings):
    """The objects of one bucket: how many, and how large in bytes."""

    count: Counts
    min_bytes: Annotated[int, Field(ge=0, le=2**24, examples=[1024])]
    max_bytes: Annotated[int, Field(ge=0, le=2**24, examples=[65536])]
    spread: Spread


class SeedSettings(Settings):
    """``seed.yaml``: what environments without real data are filled with; another ``seed`` gives another dataset."""

    seed: Annotated[int, Field(ge=0, lt=2**63, examples=[1])]
    tables: Annotated[Mapping[TableName, Table], Field(min_length=1, max_length=100)]
    objects: Mapping[DnsLabel, ObjectSet]

    def counts(self) -> Iterator[tuple[SettingsPath, Mapping[str, int]]]:
        """Every map of how many there are, by its path."""
        for name, table in self.tables.items():
            yield ("tables", name, "rows"), table.rows
        for name, objects in self.objects.items():
            yield ("objects", name, "count"), objects.count


def read_seed(root: Path, stacks: Mapping[str, StackSettings]) -> SeedSettings | None:
    """The shape, held against the stacks and the tree's folders; None where the project has none.

    Raises InputError with every problem found.
    """
    path = root / SEED
    if not path.exists():
        return None
    document = examine(path, name=SEED)
    settings, problems = checked(document, SeedSettings)
    if settings is not None:
        rules = (_keys, _relations, _ranges)
        found = [violation for rule in rules for violation in rule(settings)]
        found += _environments(settings, seeded(root, stacks), stacks)
        found += _buckets(settings, stacks)
        problems += [of_violation(each, document, (), FileKind(SeedSettings)) for each in found]
    if settings is None or problems:
        raise InputError(problems)
    return settings


def seeded(root: Path, stacks: Mapping[str, StackSettings]) -> tuple[str, ...]:
    """The environments whose data is made up: stacks that say so, and folders of the tree that are no stack's."""
    paths = sorted({root / settings.delivery.path for settings in stacks.values()})
    folders = sorted(entry.name for path in paths if path.is_dir() for entry in path.iterdir() if entry.is_dir())
    return (*(name for name in folders if name not in stacks), *(name for name in stacks if stacks[name].is_seeded))


def _environments(
    settings: SeedSettings, accepted: Collection[str], stacks: Mapping[str, StackSettings]
) -> Iterator[Violation]:
    """Every environment whose data is made up has a count everywhere, and no other has one."""
    for path, counts in settings.counts():
        for name in counts:
            if name in accepted:
                continue
            message = "is no environment: neither a stack nor a folder of the tree"
            if name in stacks:
                message = f"is not filled with synthetic data: the stack's data is {stacks[name].data.data_class}"
            yield Violation(path=(*path, name), message=message, found=name, accepted=", ".join(accepted))
        for name in accepted:
            if name not in counts:
                yield Violation(
                    path=path,
                    message=f"lacks the environment {name!r}",
                    found=", ".join(counts),
                    accepted=", ".join(accepted),
                    example=f"{name}: 100",
                )


def _keys(settings: SeedSettings) -> Iterator[Violation]:
    for name, table in settings.tables.items():
        keys = [column for column, each in table.columns.items() if isinstance(each, KeyColumn)]
        if len(keys) != 1:
            yield Violation(
                path=("tables", name, "columns"),
                message="must have one key",
                found=", ".join(keys) or "none",
                accepted="exactly one column of kind: key",
                example="id: {kind: key}",
            )


def _relations(settings: SeedSettings) -> Iterator[Violation]:
    for name, table in settings.tables.items():
        for column, each in table.columns.items():
            path = ("tables", name, "columns", column)
            if isinstance(each, ReferenceColumn) and each.table not in settings.tables:
                accepted = ", ".join(settings.tables)
                yield Violation(path=(*path, "table"), message="names no table", found=each.table, accepted=accepted)
            if isinstance(each, ObjectColumn) and each.bucket not in settings.objects:
                accepted = ", ".join(settings.objects) or "a bucket below objects, where there is none"
                message = "names no bucket that gets objects"
                yield Violation(path=(*path, "bucket"), message=message, found=each.bucket, accepted=accepted)


def _ranges(settings: SeedSettings) -> Iterator[Violation]:
    ends: list[tuple[SettingsPath, str, int, str, int]] = []
    for name, table in settings.tables.items():
        for column, each in table.columns.items():
            path = ("tables", name, "columns", column)
            if isinstance(each, IntegerColumn | DecimalColumn):
                ends.append((path, "min", each.min, "max", each.max))
            if isinstance(each, TimestampColumn):
                first, last = (date.fromisoformat(day).toordinal() for day in (each.first, each.last))
                ends.append((path, "first", first, "last", last))
    for name, objects in settings.objects.items():
        ends.append((("objects", name), "minBytes", objects.min_bytes, "maxBytes", objects.max_bytes))
    for path, low_name, low, high_name, high in ends:
        if low > high:
            yield Violation(
                path=(*path, low_name),
                message=f"is above {high_name}",
                found=_end(low, low_name),
                accepted=f"at most {_end(high, high_name)}",
            )


def _end(value: int, name: str) -> str:
    """An end of a range as the file has it."""
    return date.fromordinal(value).isoformat() if name in {"first", "last"} else str(value)


def _buckets(settings: SeedSettings, stacks: Mapping[str, StackSettings]) -> Iterator[Violation]:
    known = sorted({bucket for each in stacks.values() for bucket in each.buckets})
    for bucket in settings.objects:
        if bucket not in known:
            message = "is a bucket that no stack declares"
            yield Violation(path=("objects", bucket), message=message, found=bucket, accepted=", ".join(known))
