"""Random numbers by their place: each is a function of the seed, a name and a row's number, and of nothing before it.

Whole numbers only. Floats would need functions that differ by a last digit between machines, and with it the dataset.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from typing import assert_never

from ladder.contract.seed import Even, Skewed, Spread

__all__ = ["BITS", "GROUP", "Draws", "draws", "pick", "spread_draws"]

GROUP = 1024
"""Rows are drawn in groups of so many: one call of the hash for each column of a group."""

BITS = 64
_MOST = 2**BITS - 1
_NUMBERS = struct.Struct(f"<{GROUP}Q")

Draws = Callable[[int], "list[int] | tuple[int, ...]"]
"""By a group's number, a number below ``2**BITS`` for each of its rows."""


def draws(seed: int, *name: str) -> Draws:
    """The stream of that name: SHAKE128 of the seed, the name and the group's number."""
    key = hashlib.sha256(json.dumps([seed, *name]).encode()).digest()

    def of_group(group: int) -> tuple[int, ...]:
        return _NUMBERS.unpack(hashlib.shake_128(key + group.to_bytes(8, "little")).digest(_NUMBERS.size))

    return of_group


def spread_draws(spread: Spread, seed: int, *name: str) -> Draws:
    """The stream, spread over the range as the settings say."""
    even = draws(seed, *name)
    match spread:
        case Even():
            if spread.kind == "even":
                return even
            second, third = draws(seed, *name, "second"), draws(seed, *name, "third")
            return lambda group: [sum(each) // 3 for each in zip(even(group), second(group), third(group), strict=True)]
        case Skewed(kind=kind, power=power):
            shift, end = BITS * (power - 1), _MOST if kind == "high" else 0
            return lambda group: [abs(end - (number**power >> shift)) for number in even(group)]
        case _:  # pyright: ignore[reportUnnecessaryComparison]
            assert_never(spread)


def pick(number: int, size: int) -> int:
    """A number below ``size``, as far up its range as the drawn number is up its own."""
    return number * size >> BITS
