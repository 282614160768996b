"""Pure functions over JSON values: comparing, substituting, and the spelling of AWS request bodies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from .model import Difference

__all__ = ["REDACTED", "differences", "document", "find_secrets", "pascal", "substitute", "without_empty"]

REDACTED = "[secret]"

# Words whose AWS spelling is not the capitalized Pulumi one.
SPELLINGS = {"id": "ID", "kmsMasterKeyId": "KMSMasterKeyID", "sseAlgorithm": "SSEAlgorithm", "mfaDelete": "MFADelete"}


def differences(before: Any, after: Any, path: str = "") -> tuple[Difference, ...]:
    """Every leaf that differs, by path; lists of unequal length differ as a whole."""
    return tuple(_differences(before, after, path))


def _differences(before: Any, after: Any, path: str) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new = cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after)
        for key in sorted({*old, *new}):
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list):
        olds, news = cast("list[Any]", before), cast("list[Any]", after)
        if len(olds) != len(news):
            yield Difference(path, olds, news)
            return
        for index, (old_item, new_item) in enumerate(zip(olds, news, strict=True)):
            yield from _differences(old_item, new_item, f"{path}[{index}]")
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield Difference(path, before, after)


def substitute(value: Any, replacements: Mapping[str, str]) -> Any:
    """The value with every placeholder in every string replaced, longest first: an ARN before the id it ends in."""
    if not replacements:
        return value
    return _substitute(value, sorted(replacements.items(), key=lambda item: -len(item[0])))


def _substitute(value: Any, replacements: list[tuple[str, str]]) -> Any:
    match value:
        case str():
            for old, new in replacements:
                value = value.replace(old, new)
            return value
        case Mapping():
            items = cast("Mapping[str, Any]", value).items()
            return {key: _substitute(item, replacements) for key, item in items}
        case list() | tuple():
            return [_substitute(item, replacements) for item in cast("list[Any]", value)]
        case _:
            return value


def document(value: Any) -> Any:
    """A policy as its parsed document, whether it was given as JSON text or as an object."""
    return json.loads(value) if isinstance(value, str) else value


def pascal(value: Any) -> Any:
    """A Pulumi input shape in the spelling of the S3 API: ``{"sseAlgorithm": "aws:kms"}`` → ``{"SSEAlgorithm": …}``."""
    match value:
        case Mapping():
            items = cast("Mapping[str, Any]", value).items()
            return {SPELLINGS.get(key, key[:1].upper() + key[1:]): pascal(item) for key, item in items}
        case list() | tuple():
            return [pascal(item) for item in cast("list[Any]", value)]
        case _:
            return value


def without_empty(value: Any, ignored: frozenset[str] = frozenset()) -> Any:
    """The value without ignored keys, and without those that say no more in an AWS body than their absence.

    These are ``None``, ``False``, ``0`` and what is empty.
    """
    match value:
        case Mapping():
            items = cast("Mapping[str, Any]", value).items()
            cleaned = {key: without_empty(item, ignored) for key, item in items if key not in ignored}
            return {key: item for key, item in cleaned.items() if item or item is True}
        case list() | tuple():
            return [without_empty(item, ignored) for item in cast("list[Any]", value)]
        case _:
            return value


def find_secrets(value: Any, path: str = "") -> Iterator[str]:
    """The paths of redacted values, which cannot be deployed."""
    match value:
        case str() if REDACTED in value:
            yield path
        case Mapping():
            for key, item in cast("Mapping[str, Any]", value).items():
                yield from find_secrets(item, f"{path}.{key}" if path else key)
        case list() | tuple():
            for index, item in enumerate(cast("list[Any]", value)):
                yield from find_secrets(item, f"{path}[{index}]")
        case _:
            pass
