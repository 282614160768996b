"""Where two JSON values differ, leaf by leaf, and JSON documents that stand in strings."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

__all__ = ["ABSENT", "differences", "is_walkable", "opened", "renamed"]

ABSENT: Any = object()
"""What stands for a value that is not there; null is a value."""

_IDENTIFIERS = ("Sid", "id", "name", "kind")
"""What tells the maps of a list apart."""

_DEEPEST = 100
"""Documents nested deeper stay text."""

_Same = Callable[[Any, Any], bool]


def differences(
    left: Any,
    right: Any,
    *,
    same: _Same = operator.eq,
    absent: Any = ABSENT,
    subset: bool = False,
    keyed: bool = False,
    path: str = "",
) -> Iterator[tuple[str, Any, Any]]:
    """``(path, left, right)`` of each leaf that differs; ``absent`` stands where one side has none.

    ``subset`` overlooks keys that only ``right`` has. Lists of one length are compared by position; ``keyed`` compares
    a list by what its items are called where they have names of their own, as ``Statement[DenyPlainHttp]``.
    """
    pairs = _maps(left, right, absent, subset=subset)
    if pairs is None:
        pairs = _lists(left, right, absent, keyed=keyed)
    if pairs is None:
        if left is not right and (left is absent or right is absent or not same(left, right)):
            yield path, left, right
        return
    for name, one, other in pairs:
        below = f"{path}{name}" if name.startswith("[") else f"{path}.{name}" if path else name
        yield from differences(one, other, same=same, absent=absent, subset=subset, keyed=keyed, path=below)


_Pairs = list[tuple[str, Any, Any]]


def _maps(left: Any, right: Any, absent: Any, *, subset: bool) -> _Pairs | None:
    if not (isinstance(left, Mapping) and isinstance(right, Mapping)):
        return None
    mine, theirs = cast("Mapping[str, Any]", left), cast("Mapping[str, Any]", right)
    names = list(mine) if subset else sorted({*mine, *theirs})
    return [(name, mine.get(name, absent), theirs.get(name, absent)) for name in names]


def _lists(left: Any, right: Any, absent: Any, *, keyed: bool) -> _Pairs | None:
    if not (isinstance(left, list) and isinstance(right, list)):
        return None
    mine, theirs = cast("list[Any]", left), cast("list[Any]", right)
    if keyed and mine != theirs and (names := _names(mine, theirs)) is not None:
        return _maps(*names, absent, subset=False)
    if len(mine) != len(theirs):
        return None
    return [(f"[{index}]", one, other) for index, (one, other) in enumerate(zip(mine, theirs, strict=True))]


def _names(left: list[Any], right: list[Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The items of both lists by name; None where they have no names, or where only their order differs."""
    named = [_named(items, identifier) for items in (left, right) for identifier in (None, *_IDENTIFIERS)]
    half = len(_IDENTIFIERS) + 1
    for mine, theirs in zip(named[:half], named[half:], strict=True):
        if mine is not None and theirs is not None and (mine != theirs or list(mine) == list(theirs)):
            return mine, theirs
    return None


def _named(items: list[Any], identifier: str | None) -> dict[str, Any] | None:
    """``[name]`` to item: a text is its own name."""
    names = [item if identifier is None else _field(item, identifier) for item in items]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        return None
    return {f"[{name}]": item for name, item in zip(names, items, strict=True)}


def _field(item: Any, name: str) -> Any:
    return cast("Mapping[str, Any]", item).get(name) if isinstance(item, Mapping) else None


def opened(value: Any, *, inside: bool = False) -> Any:
    """The value with the JSON documents in its strings as values, but those in the documents' own strings.

    Lists of strings in a document (actions, principals, resources of a policy) are sets: they come out sorted.
    """
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        return {key: opened(item, inside=inside) for key, item in entries.items()}
    if isinstance(value, (list, tuple)):
        items = list(cast("Sequence[Any]", value))
        if inside and all(isinstance(item, str) for item in items):
            return sorted(items)
        return [opened(item, inside=inside) for item in items]
    if isinstance(value, str) and not inside and value[:1] in {"{", "["}:
        document = _document(value)
        return value if document is None else opened(document, inside=True)
    return value


def _document(text: str) -> Any:
    """The map or list the text holds; None where it holds none, or one nested too deep to walk."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if is_walkable(document) else None


def is_walkable(value: Any) -> bool:
    """Whether the value is nested no deeper than functions that call themselves can follow."""
    below = [value]
    for _ in range(_DEEPEST):
        below = [item for each in below for item in _items(each)]
        if not below:
            return True
    return False


def _items(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return list(cast("Mapping[str, Any]", value).values())
    return cast("list[Any]", value) if isinstance(value, list) else ()


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """The value with each name in its strings replaced, in the order given."""
    if isinstance(value, str):
        for name, other in names.items():
            value = value.replace(name, other)
        return value
    if isinstance(value, Mapping):
        return {key: renamed(item, names) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [renamed(item, names) for item in cast("Sequence[Any]", value)]
    return value
