"""Whether one IAM policy document allows what another did not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

__all__ = ["Loosening", "loosenings"]

_LISTS = ("Action", "Resource", "Principal")
_INVERSE = ("NotAction", "NotResource", "NotPrincipal")
_NARROWER_WITH_FEWER = ("StringEquals", "StringLike", "ArnEquals", "ArnLike", "IpAddress", "Bool", "Null")
_NARROWER_WITH_MORE = ("StringNotEquals", "StringNotLike", "ArnNotEquals", "ArnNotLike", "NotIpAddress")

Statement = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Loosening:
    """One way in which a document is looser. ``certain`` is False where it may be so."""

    statement: str
    what: str
    certain: bool


def loosenings(before: Any, after: Any) -> Iterator[Loosening]:
    """Every loosening from one document to the other; both are JSON values, None where there is no document.

    A document is not looser if every Allow of it is covered by an Allow of the old one, and every Deny of the old one
    by a Deny of it. A statement covers another if it matches every request that the other matches, as far as its text
    shows it: the same or wider actions, resources and principals (``*`` and ``?`` are wildcards, actions are compared
    without case), and no condition that the other has not at least as narrow. An Allow without a cover is certain to
    loosen where it is new, or covers its namesake (``Sid``) and more; a Deny, where it is gone, or its namesake covers
    less. Every other case may loosen: it is for a person to judge. Statements elsewhere are not considered.
    """
    old, new = _statements(before), _statements(after)
    if old is None or new is None:
        if before != after:
            yield Loosening("", "is not a policy that can be judged", certain=False)
        return
    for statement in _of(new, "Allow"):
        if not any(_covers(other, statement) for other in _of(old, "Allow")):
            yield _allowed(statement, _namesake(statement, _of(old, "Allow")))
    for statement in _of(old, "Deny"):
        if not any(_covers(other, statement) for other in _of(new, "Deny")):
            yield _no_longer_denied(statement, _namesake(statement, _of(new, "Deny")))


def _allowed(statement: Statement, namesake: Statement | None) -> Loosening:
    if namesake is None:
        return Loosening(_sid(statement), "is a new Allow", certain=True)
    if _covers(statement, namesake):
        return Loosening(_sid(statement), "allows more", certain=True)
    return Loosening(_sid(statement), "allows something else", certain=False)


def _no_longer_denied(statement: Statement, namesake: Statement | None) -> Loosening:
    if namesake is None:
        return Loosening(_sid(statement), "is a Deny that is gone", certain=True)
    if _covers(statement, namesake):
        return Loosening(_sid(statement), "denies less", certain=True)
    return Loosening(_sid(statement), "denies something else", certain=False)


def _sid(statement: Statement) -> str:
    return str(statement.get("Sid") or json.dumps(statement, sort_keys=True))


def _namesake(statement: Statement, others: Sequence[Statement]) -> Statement | None:
    sid = statement.get("Sid")
    return next((other for other in others if sid and other.get("Sid") == sid), None)


def _statements(document: Any) -> list[Statement] | None:
    """The document's statements; None where it has not the form of a policy."""
    if document is None:
        return []
    statements: Any = cast("Mapping[str, Any]", document).get("Statement") if isinstance(document, Mapping) else None
    items = [cast("Any", statements)] if isinstance(statements, Mapping) else statements
    if not isinstance(items, list):
        return None
    found = cast("list[Any]", items)
    good = all(
        isinstance(item, Mapping) and cast("Statement", item).get("Effect") in {"Allow", "Deny"} for item in found
    )
    return found if good else None


def _of(statements: Sequence[Statement], effect: str) -> list[Statement]:
    return [statement for statement in statements if statement["Effect"] == effect]


def _covers(wide: Statement, narrow: Statement) -> bool:
    """Whether every request that ``narrow`` matches is sure to be matched by ``wide``."""
    if any(wide.get(name) != narrow.get(name) for name in _INVERSE):
        return False
    lists = all(_within(_values(name, narrow), _values(name, wide)) for name in _LISTS)
    return lists and _narrower(_conditions(narrow), _conditions(wide))


def _values(name: str, statement: Statement) -> set[str]:
    """What an element names; a principal with its kind, actions in lower case."""
    value = statement.get(name)
    if isinstance(value, Mapping):
        kinds = cast("Mapping[str, Any]", value)
        found = {f"{kind} {item}" for kind, items in kinds.items() for item in _texts(items)}
        return {"*" if item == "AWS *" else item for item in found}
    texts = _texts(value)
    return {text.lower() for text in texts} if name == "Action" else texts


def _texts(value: Any) -> set[str]:
    items = cast("list[Any]", value) if isinstance(value, list) else [] if value is None else [value]
    return {str(item) for item in items}


def _within(narrow: set[str], wide: set[str]) -> bool:
    """Whether each pattern of ``narrow`` is one of ``wide``, or matched by one; neither has the element, or both do."""
    if bool(narrow) != bool(wide):
        return False
    return all(any(_pattern(other).fullmatch(item) for other in wide) for item in narrow)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """``?`` does not stand for a ``*``, which is wider."""
    parts = re.split(r"([*?])", text)
    signs = {"*": ".*", "?": "[^*]"}
    return re.compile("".join(signs.get(part) or re.escape(part) for part in parts), re.DOTALL)


def _conditions(statement: Statement) -> dict[tuple[str, str], set[str]]:
    """Operator and key (which has no case) to the values; a form that is not known gives a condition like no other."""
    value: Any = statement.get("Condition") or {}
    if not isinstance(value, Mapping):
        return {("", ""): {json.dumps(value)}}
    found: dict[tuple[str, str], set[str]] = {}
    for operator, keys in cast("Mapping[str, Any]", value).items():
        if not isinstance(keys, Mapping):
            return {("", ""): {json.dumps(value)}}
        for key, values in cast("Mapping[str, Any]", keys).items():
            found[operator, key.lower()] = _texts(values)
    return found


def _narrower(one: Mapping[tuple[str, str], set[str]], other: Mapping[tuple[str, str], set[str]]) -> bool:
    """Whether requests that meet ``one`` are sure to meet ``other``: conditions are joined by AND, values by OR."""
    return all(place in one and _as_narrow(place[0], one[place], values) for place, values in other.items())


def _as_narrow(operator: str, narrow: set[str], wide: set[str]) -> bool:
    if narrow == wide:
        return True
    plain = operator.removesuffix("IfExists")
    if plain in _NARROWER_WITH_FEWER:
        return bool(narrow) and narrow <= wide
    return plain in _NARROWER_WITH_MORE and narrow >= wide
