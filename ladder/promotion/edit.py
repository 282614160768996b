"""Changing the two digests of a ``version.yaml``, and not one byte beside them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from ladder.contract.overlay import Version
from ladder.contract.problems import checked
from ladder.errors import InputError, Problem
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
    places = sorted(_places(text, pinned(text, file=file), wanted, file=file), key=lambda each: -each[0])
    for begin, end, new in places:
        text = text[:begin] + new + text[end:]
    return text


def _places(text: str, held: Pinned, wanted: Pinned, *, file: str) -> Iterator[tuple[int, int, str]]:
    """Where digests stand that shall be others, and what they shall be."""
    for key, old, new in (("image", held.image, wanted.image), ("chart", held.chart, wanted.chart)):
        if old == new:
            continue
        begin, end = _scalar(text, key, file)
        # The last there: in the first line of a block scalar may stand a comment, which is part of it.
        at = text.rfind(old, begin, end)
        if at < 0:
            raise InputError(
                Problem(
                    file=file,
                    line=text.count("\n", 0, begin) + 1,
                    path=f"{key}.digest",
                    message="is not written as it reads",
                    found=text[begin:end][:120],
                    accepted="the digest on one line, without escapes",
                    example=f"digest: {old}",
                )
            )
        yield at, at + len(old), new


def _scalar(text: str, key: str, file: str) -> tuple[int, int]:
    """Where the digest's scalar begins and ends, in characters. The text was read strictly before."""
    try:
        document: Any = yaml.compose(text, Loader=yaml.SafeLoader)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    except yaml.YAMLError as error:
        # It was read by libyaml, which takes what others do not: a tab after a value.
        message, found = "is YAML to some parsers and not to others", str(getattr(error, "problem", None) or error)
        raise InputError(
            Problem(file=file, message=message, found=found, accepted="spaces in place of tabs")
        ) from error
    node = _value(_value(document, key), "digest")
    return node.start_mark.index, node.end_mark.index


def _value(mapping: Any, key: str) -> Any:
    return next(value for name, value in mapping.value if name.value == key)
