"""Values never seen before, put in place of an environment's own, and what shows that only they have changed."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterable

from ladder.contract.types import REGIONS

__all__ = ["Fresh", "Literals", "undone"]

Literals = list[tuple[str, str]]
"""What was put in, and what it stands for."""


def undone(text: str, literals: Iterable[tuple[str, str]]) -> str:
    """The text with each literal back at what it stands for."""
    for new, old in literals:
        text = text.replace(new, old)
    return text


_LETTERS = "ghjkmnpqrstvwxz"


class Fresh:
    """Values that a text does not hold, each another one; the same for the same text.

    What a value is put in place of has as little in common with it as can be, so that a branch on a part shows too.
    """

    def __init__(self, text: str) -> None:
        self._seen = text
        self._random = random.Random(text)  # noqa: S311 (reproducible, not secret)

    def word(self, like: str) -> str:
        """Of another length, and of letters that ``like`` has not; none is a hexadecimal digit, as ids are made of."""
        letters = [letter for letter in _LETTERS if letter not in like.lower()] or list(_LETTERS)
        length = max(4, len(like) - 1 if len(like) > 4 else len(like) + 1)
        return self._new(lambda: "".join(self._random.choices(letters, k=length)))

    def account(self, like: str) -> str:
        """With another digit at each place."""
        return self._new(lambda: "".join(self._random.choice(string.digits.replace(digit, "")) for digit in like))

    def loopback(self) -> str:
        return self._new(lambda: f"http://127.0.0.1:{self._random.randrange(20000, 60000)}")

    def network(self) -> str:
        return self._new(lambda: f"10.{self._random.randrange(256)}.{self._random.randrange(256)}.0/24")

    def region(self, like: str, partition: str) -> str | None:
        """One that has no part of its name in common if there is; None where the partition has no other region."""
        unseen = sorted(region for region in REGIONS[partition] if region not in self._seen)
        least = min((_common(region, like) for region in unseen), default=0)
        far = [region for region in unseen if _common(region, like) == least]
        return self._random.choice(far) if far else None

    def _new(self, make: Callable[[], str]) -> str:
        value = make()
        while value in self._seen:
            value = make()
        self._seen += f" {value}"
        return value


def _common(one: str, other: str) -> int:
    """How many parts two regions have in common, the part of the world counting for all others."""
    parts, others = one.split("-"), other.split("-")
    return 10 * (parts[0] == others[0]) + len({*parts[1:]} & {*others[1:]})
