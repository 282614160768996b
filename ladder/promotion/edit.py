"""Changing the two digests of a ``version.yaml``, and not one byte beside them."""

from __future__ import annotations

from typing import Any

import yaml

from ladder.contract.overlay import Version
from ladder.contract.problems import checked
from ladder.errors import InputError
from ladder.promotion.statements import Pinned
from ladder.strict_yaml import parse

__all__ = ["pinned", "with_digests"]


def pinned(text: str, *, file: str) -> Pinned:
    """The digests that a ``version.yaml`` holds. Raises InputError with every problem found."""
    version, problems = checked(parse(text, file=file), Version)
    if version is None or problems:
        raise InputError(problems)
    return Pinned(image=version.image.digest, chart=version.chart.digest)


def with_digests(text: str, wanted: Pinned, *, file: str) -> str:
    """The same text with these digests; comments, order, quotes and line ends stay. Raises InputError as above."""
    held = pinned(text, file=file)
    places = sorted(
        ((*_place(text, key), old, new) for key, old, new in _changes(held, wanted)), key=lambda each: -each[0]
    )
    for begin, end, old, new in places:
        text = text[:begin] + text[begin:end].replace(old, new) + text[end:]
    return text


def _changes(held: Pinned, wanted: Pinned) -> list[tuple[str, str, str]]:
    return [("image", held.image, wanted.image), ("chart", held.chart, wanted.chart)]


def _place(text: str, key: str) -> tuple[int, int]:
    """Where the digest's scalar begins and ends, in characters. The text was read strictly before."""
    document: Any = yaml.compose(text, Loader=yaml.SafeLoader)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    node = _value(_value(document, key), "digest")
    return node.start_mark.index, node.end_mark.index


def _value(mapping: Any, key: str) -> Any:
    return next(value for name, value in mapping.value if name.value == key)
