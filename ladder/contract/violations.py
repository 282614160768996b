"""What a rule that joins several fields says where it is not kept."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Path", "Violation"]

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A rule not kept: ``path`` starts at the section, e.g. ``("cloud", "account")``."""

    path: Path
    message: str
    found: str
    accepted: str
    example: str = ""
