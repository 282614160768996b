"""What became of one store, a database or a bucket, and the refusal that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ladder.errors import CheckFailed
from ladder.seed.dataset import Part, hash_of

__all__ = ["Filled", "foreign"]


@dataclass(frozen=True, slots=True)
class Filled:
    """A store and what it holds; ``changed`` is false where it held just that before."""

    store: str
    parts: tuple[Part, ...]
    changed: bool

    @property
    def hash(self) -> str:
        return hash_of(self.parts)

    def as_json(self) -> dict[str, Any]:
        parts = [part.as_json() for part in self.parts]
        return {"store": self.store, "changed": self.changed, "hash": self.hash, "parts": parts}


def foreign(store: str, found: Sequence[str]) -> CheckFailed:
    """The store holds what was not filled in here, which is never replaced."""
    return CheckFailed(f"{store} is not empty, and was not filled by this tool: it holds {', '.join(found)}")
