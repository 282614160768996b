"""Who may use which key, as a picture: principals on the left, a stack's keys on the right, a line for each right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ladder.audit.report import KeyRight, Right

__all__ = ["Line", "Node", "Picture", "pictures"]

WIDTH = 720
ROW = 34
"""Pixels from one node to the next; a node is a little lower."""

LEFT, RIGHT = 430, 560
"""Where the principals' column ends, and the keys' begins."""


@dataclass(frozen=True, slots=True)
class Node:
    """A principal or a key; ``y`` is its middle."""

    name: str
    y: float


@dataclass(frozen=True, slots=True)
class Line:
    """From a principal to a key. ``right`` is the most telling one: use, else granting, else administering."""

    start: float
    end: float
    right: Right


@dataclass(frozen=True, slots=True)
class Picture:
    """One stack's, with all that its drawing needs."""

    stack: str
    principals: tuple[Node, ...]
    keys: tuple[Node, ...]
    lines: tuple[Line, ...]
    width: int
    height: int
    left: int
    right: int


_TELLING = (Right.USE, Right.GRANT, Right.ADMINISTER)


def pictures(rights: Iterable[KeyRight]) -> list[Picture]:
    """A picture for each stack, in the order of the rights."""
    by_stack: dict[str, list[KeyRight]] = {}
    for each in rights:
        by_stack.setdefault(each.stack, []).append(each)
    return [_picture(stack, own) for stack, own in by_stack.items()]


def _picture(stack: str, rights: list[KeyRight]) -> Picture:
    pairs: dict[tuple[str, str], set[Right]] = {}
    for each in rights:
        pairs.setdefault((each.principal, each.key), set()).add(each.right)
    users = sorted({who for (who, _), held in pairs.items() if Right.USE in held})
    names = [*users, *sorted({who for who, _ in pairs} - set(users))]
    keys = list(dict.fromkeys(each.key for each in rights))
    height = ROW * max(len(names), len(keys))
    principals, places = _spread(names, height), _spread(keys, height)
    at_left, at_right = ({node.name: node.y for node in nodes} for nodes in (principals, places))
    lines = [
        Line(at_left[who], at_right[key], next(right for right in _TELLING if right in held))
        for (who, key), held in sorted(pairs.items())
    ]
    return Picture(stack, principals, places, tuple(lines), WIDTH, height, LEFT, RIGHT)


def _spread(names: list[str], height: float) -> tuple[Node, ...]:
    step = height / max(1, len(names))
    return tuple(Node(name, step * (index + 0.5)) for index, name in enumerate(names))
