"""Looking into plain JSON values that may have any form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

__all__ = ["at", "items"]


def at(value: Any, *path: str) -> Any:
    """What stands at the path; None where there is nothing, or something that has no names."""
    for name in path:
        value = cast("Mapping[str, Any]", value).get(name) if isinstance(value, Mapping) else None
    return value


def items(value: Any, *path: str) -> list[Any]:
    """The list at the path; an empty one where there is none."""
    found = at(value, *path)
    return cast("list[Any]", found) if isinstance(found, list) else []
