"""What each kind of column is in PostgreSQL, and the values it makes, as COPY's text format writes them."""

from __future__ import annotations

import functools
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import LiteralString, assert_never

from ladder.contract.seed import (
    BooleanColumn,
    ChoiceColumn,
    Column,
    DecimalColumn,
    IntegerColumn,
    KeyColumn,
    MadeColumn,
    ObjectColumn,
    ReferenceColumn,
    Spread,
    TextColumn,
    TimestampColumn,
    Vocabulary,
)
from ladder.seed.draws import GROUP, Draws, draws, pick, spread_draws
from ladder.seed.vocabulary import pool

__all__ = ["NULL", "Values", "Where", "object_key", "sql_type", "values"]

NULL = r"\N"

_NUMERIC: Mapping[int, LiteralString] = {
    1: "numeric(11, 1)",
    2: "numeric(12, 2)",
    3: "numeric(13, 3)",
    4: "numeric(14, 4)",
}
"""By the digits after the point: ten before it, as many as the contract's largest number has."""

Values = Callable[[int], list[str]]
"""By a group's number, the value of each of its rows."""

_DAY = 24 * 60 * 60
_TIMES = [f" {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}+00" for second in range(_DAY)]


@dataclass(frozen=True, slots=True)
class Where:
    """Which column it is, and how many rows and objects there are for it to refer to."""

    seed: int
    table: str
    column: str
    rows: Mapping[str, int]
    objects: Mapping[str, int]

    def draws(self, purpose: str) -> Draws:
        return draws(self.seed, self.table, self.column, purpose)

    def spread(self, spread: Spread) -> Draws:
        return spread_draws(spread, self.seed, self.table, self.column, "value")


def object_key(index: int) -> str:
    """The key of a bucket's object, counted from 0."""
    return f"seed/{index:09}"


def sql_type(column: Column) -> LiteralString:
    """The column's type."""
    match column:
        case KeyColumn() | ReferenceColumn() | IntegerColumn():
            return "bigint"
        case MadeColumn(kind="uuid"):
            return "uuid"
        case ObjectColumn() | MadeColumn() | TextColumn() | ChoiceColumn():
            return "text"
        case BooleanColumn():
            return "boolean"
        case DecimalColumn(digits=digits):
            return _NUMERIC[digits]
        case TimestampColumn():
            return "timestamptz"
        case _:  # pyright: ignore[reportUnnecessaryComparison]
            assert_never(column)


def values(column: Column, where: Where) -> Values:
    """The column's values."""
    if isinstance(column, KeyColumn):
        return _keys
    made = _made(column, where)
    if not column.nulls:
        return made
    share, absent = column.nulls, where.draws("null")
    return lambda group: [
        NULL if pick(number, 100) < share else value for number, value in zip(absent(group), made(group), strict=True)
    ]


def _keys(group: int) -> list[str]:
    return list(map(str, range(group * GROUP + 1, (group + 1) * GROUP + 1)))


def _made(column: Column, where: Where) -> Values:
    match column:
        case ReferenceColumn(table=table, spread=spread):
            return _whole(where.spread(spread), 1, where.rows[table])
        case IntegerColumn(min=low, max=high, spread=spread):
            return _whole(where.spread(spread), low, high)
        case ObjectColumn(bucket=bucket, spread=spread):
            numbers, count = where.spread(spread), where.objects[bucket]
            return lambda group: [object_key(pick(number, count)) for number in numbers(group)]
        case DecimalColumn(min=low, max=high, digits=digits, spread=spread):
            numbers, scale, size = where.spread(spread), 10**digits, (high - low) * 10**digits + 1
            shown = f"{{:.{digits}f}}".format
            return lambda group: [shown((pick(number, size) + low * scale) / scale) for number in numbers(group)]
        case TimestampColumn():
            return _timestamps(column, where)
        case BooleanColumn(percent=percent):
            numbers = where.draws("value")
            return lambda group: ["t" if pick(number, 100) < percent else "f" for number in numbers(group)]
        case ChoiceColumn(weights=weights):
            return _weighted(weights, where.draws("value"))
        case TextColumn(words=Vocabulary.FULL_NAME):
            given, family = _named(where)
            return lambda group: [f"{one} {other}" for one, other in zip(given(group), family(group), strict=True)]
        case TextColumn(words=words):
            return _drawn(pool(words), where.draws("value"))
        case MadeColumn(kind=kind):
            return {"email": _emails, "phone": _phones, "uuid": _uuids}[kind](where)
        case _:
            raise AssertionError(column)


def _whole(numbers: Draws, low: int, high: int) -> Values:
    size = high - low + 1
    return lambda group: [str(low + pick(number, size)) for number in numbers(group)]


def _drawn(words: Sequence[str], numbers: Draws) -> Values:
    size = len(words)
    return lambda group: [words[pick(number, size)] for number in numbers(group)]


def _weighted(weights: Mapping[str, int], numbers: Draws) -> Values:
    words, ends = list(weights), list(accumulate(weights.values()))
    total = ends[-1]
    return lambda group: [words[bisect(ends, pick(number, total))] for number in numbers(group)]


def _named(where: Where) -> tuple[Values, Values]:
    given = _drawn(pool(Vocabulary.GIVEN_NAME), where.draws("given"))
    return given, _drawn(pool(Vocabulary.FAMILY_NAME), where.draws("family"))


def _emails(where: Where) -> Values:
    """At a domain that RFC 2606 reserves; the row's number makes each another one."""
    given = _drawn(_mailbox(Vocabulary.GIVEN_NAME), where.draws("given"))
    family = _drawn(_mailbox(Vocabulary.FAMILY_NAME), where.draws("family"))
    return lambda group: [
        f"{one}.{other}.{row}@example.com"
        for one, other, row in zip(given(group), family(group), _keys(group), strict=True)
    ]


def _mailbox(vocabulary: Vocabulary) -> list[str]:
    letters = ("".join(filter(str.isalpha, word.lower())) for word in pool(vocabulary))
    return sorted({word for word in letters if word.isascii() and word})


def _phones(where: Where) -> Values:
    """555-0100 to 555-0199 are kept for fiction in every area of the North American plan."""
    return lambda group: [
        f"+1-{200 + number // 100}-555-01{number % 100:02}"
        for number in (pick(each, 80_000) for each in where.draws("value")(group))
    ]


def _uuids(where: Where) -> Values:
    """Of version 4 (RFC 9562), without the hyphens that PostgreSQL does not ask for."""
    high, low = where.draws("high"), where.draws("low")
    version, version_mask = 0x4000, 0xF000
    variant, variant_mask = 0x8 << 60, 0xC << 60
    return lambda group: [
        f"{one & ~version_mask | version:016x}{other & ~variant_mask | variant:016x}"
        for one, other in zip(high(group), low(group), strict=True)
    ]


def _timestamps(column: TimestampColumn, where: Where) -> Values:
    first, last = (date.fromisoformat(day).toordinal() for day in (column.first, column.last))
    numbers, seconds = where.spread(column.spread), (last - first + 1) * _DAY

    def of_group(group: int) -> list[str]:
        places = (divmod(pick(number, seconds), _DAY) for number in numbers(group))
        return [_day(first + day) + _TIMES[second] for day, second in places]

    return of_group


@functools.lru_cache(maxsize=65536)
def _day(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()
