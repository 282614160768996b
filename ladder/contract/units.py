"""What strings that stand for numbers, times and schedules mean to Kubernetes and to Argo CD."""

from __future__ import annotations

import functools
import re
from datetime import timedelta
from fractions import Fraction

__all__ = ["DURATION_PATTERN", "QUANTITY_PATTERN", "cron_problem", "duration", "quantity"]

QUANTITY_PATTERN = r"(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?[0-9]{1,2})?"

_QUANTITY = re.compile(r"([0-9.]+)(.*)")
_MULTIPLES = {
    "": Fraction(1),
    "m": Fraction(1, 1000),
    **{suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", start=1)},
    **{suffix: Fraction(1024**power) for power, suffix in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"], start=1)},
}


@functools.lru_cache(maxsize=4096)
def quantity(value: str) -> Fraction:
    """The number a Kubernetes quantity stands for (cores, bytes, items); kept, because a tree repeats them.

    Rule: k8s.io/apimachinery ``resource.Quantity``, without signs; raises ValueError for anything else.
    """
    match = _QUANTITY.fullmatch(value) if re.fullmatch(QUANTITY_PATTERN, value) else None
    if not match:
        raise ValueError(f"not a quantity: {value!r}")
    number, suffix = match.groups()
    if suffix in _MULTIPLES:
        return Fraction(number) * _MULTIPLES[suffix]
    return Fraction(value)


DURATION_PATTERN = r"(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+"

_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_MICROSECONDS = {"ms": 1000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_LONGEST = (2**63 - 1) // 1000


def duration(value: str) -> timedelta:
    """The time a Go duration such as ``1h30m`` stands for; raises ValueError for anything else.

    Rule: Go's ``time.ParseDuration``, without signs and without units below a millisecond; at most 292 years.
    """
    if not re.fullmatch(DURATION_PATTERN, value):
        raise ValueError(f"not a duration: {value!r}")
    parts = _DURATION_PART.findall(value)
    microseconds = round(sum(Fraction(number) * _MICROSECONDS[unit] for number, unit in parts))
    if microseconds > _LONGEST:
        raise ValueError(f"longer than a Go duration can be: {value!r}")
    return timedelta(microseconds=microseconds)


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _WEEKDAYS),
)
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def cron_problem(value: str) -> str | None:
    """What is wrong with a schedule of five fields, or None.

    Rule: github.com/robfig/cron's standard parser, which Argo CD uses for sync windows: no Sunday 7, no ranges over the
    end of the week, none of the extensions other parsers have. A schedule must come round.
    """
    fields = value.split(" ")
    if len(fields) != len(_CRON_FIELDS) or not all(fields):
        return f"has {len(value.split())} fields, not five separated by single spaces"
    times: list[frozenset[int]] = []
    for text, (name, lowest, highest, words) in zip(fields, _CRON_FIELDS, strict=True):
        try:
            items = [_cron_item(item.lower(), lowest, highest, words) for item in text.split(",")]
        except ValueError as error:
            return f"is not a schedule: {name} {error}"
        times.append(frozenset(time for item in items for time in item))
    _, _, days, months, _ = times
    if fields[4][0] in "*?" and min(days) > max(_DAYS_IN_MONTH[month - 1] for month in months):
        return "names no day that exists"
    return None


def _cron_item(item: str, lowest: int, highest: int, words: tuple[str, ...]) -> range:
    span, slash, step = item.partition("/")
    first, dash, last = span.partition("-")
    if span in {"*", "?"}:
        start, end = lowest, highest
    else:
        start = _cron_number(first, lowest, words)
        end = _cron_number(last, lowest, words) if dash else (highest if slash else start)
    if start < lowest or end > highest:
        raise ValueError(f"goes from {lowest} to {highest}, not {span}")
    if start > end:
        raise ValueError(f"may not run backwards: {span}")
    by = _cron_number(step, lowest, ()) if slash else 1
    if not 0 < by <= highest:
        raise ValueError(f"steps by 1 to {highest}, not {step}")
    return range(start, end + 1, by)


def _cron_number(text: str, lowest: int, words: tuple[str, ...]) -> int:
    if text in words:
        return words.index(text) + lowest
    if not re.fullmatch(r"[0-9]{1,2}", text):
        raise ValueError(f"cannot be {text!r}")
    return int(text)
