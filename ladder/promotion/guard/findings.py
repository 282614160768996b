"""What is refused of a pull request, and why; and what all of its judges look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ladder.promotion.delta import Delta
from ladder.promotion.ground import Ground

__all__ = ["Case", "Finding", "Pack"]

Pack = Callable[[Path], str]
"""The digest that the chart in a folder has once it is packed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that may not be: the file, what is wrong with it, and what to do instead."""

    path: str
    message: str
    instead: str

    def __str__(self) -> str:
        return f"{ascii(self.path)[1:-1]}: {self.message}\n    instead: {self.instead}"

    def as_json(self) -> Mapping[str, Any]:
        return {"path": self.path, "message": self.message, "instead": self.instead}


@dataclass(frozen=True)
class Case:
    """A pull request: what protects it (``ground``, the base), what it changes, and when it is looked at."""

    ground: Ground
    delta: Delta
    tree: str
    at: datetime
    pack: Pack

    @property
    def services_folder(self) -> str:
        """Where the environments' folders are, relative to the project's root."""
        return self.ground.delivery.path

    def below(self, folder: str) -> Iterable[str]:
        """The changed paths in a folder; all of them for the project's root."""
        return [path for path in self.delta.changed if folder in {"", "."} or path.startswith(f"{folder}/")]
