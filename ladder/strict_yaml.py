"""YAML as configuration should be: one value per key, no tags, no aliases, nothing two parsers read differently."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ladder.errors import InputError, Problem

__all__ = ["MAX_BYTES", "Document", "YamlPath", "as_yaml", "dotted", "examine", "load", "parse"]

MAX_BYTES = 1024 * 1024
"""The largest file that is read, in bytes; real stack files and overlays have a few thousand."""

MAX_DEPTH = 64
"""The deepest nesting that is read; the contract's deepest path has ten levels."""

YamlPath = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_LONGEST_NUMBER = 15
"""Digits of the longest number that every parser reads alike: JSON's numbers are 64-bit floats to many."""

_LONGEST_AMBIGUOUS = 64
"""Longer text is not tried against patterns that take quadratic time."""

_LONG_NUMBER = re.compile(r"[-+]?(?:[0-9_]+(?:\.[0-9_]*)?|0[xob][0-9a-f_]+)", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9](?:(?:[A-Za-z0-9._/@+=* -]|:(?! ))*[A-Za-z0-9])?")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+")
_AMBIGUOUS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:y|yes|n|no|on|off)", re.IGNORECASE), "a boolean to some YAML parsers and a string to others"),
    (re.compile(r"(?:True|TRUE|False|FALSE)"), "a boolean to some YAML parsers and a string to others"),
    (re.compile(r"(?:NULL|Null|~)"), "an unusual way to write null"),
    (re.compile(r"[-+]?0[0-9_]+|[-+]?0[xob][0-9a-f_]+", re.IGNORECASE), "a number whose base depends on the parser"),
    (re.compile(r"[-+]?0[0-9]+\.[0-9]*"), "a number to some YAML parsers and a string to others"),
    (re.compile(r"[-+]?[0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?"), "a base-60 number to some YAML parsers"),
    (re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?"), "a number to some YAML parsers and a string to others"),
    (
        re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.|[0-9]+(?:\.[0-9]*)?e[-+]?[0-9]+)", re.IGNORECASE),
        "a number to some YAML parsers and a string to others",
    ),
    (re.compile(r"[-+]?\.(?:inf|nan)", re.IGNORECASE), "not a number that JSON can hold"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?"), "a date to some YAML parsers and a string to others"),
    (re.compile(r"=|<<"), "a special key to some YAML parsers"),
)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain JSON values, and the line (from 1) of every path.

    ``problems`` are what the values are not to be trusted for: null, or the first of two, stands in their place.
    """

    file: str
    value: Any
    lines: Mapping[YamlPath, int]
    problems: tuple[Problem, ...] = ()

    def line(self, path: YamlPath) -> int:
        """The line of the path, or of its nearest ancestor that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def load(path: Path, *, name: str | None = None) -> Document:
    """Read and parse a file; ``name`` is how errors call it. Raises InputError with every problem found."""
    return _sound(examine(path, name=name))


def parse(text: str, *, file: str) -> Document:
    """Parse YAML text; raises InputError with every problem found."""
    return _sound(_Reader(file, text).document())


def _sound(document: Document) -> Document:
    if document.problems:
        raise InputError(document.problems)
    return document


def examine(path: Path, *, name: str | None = None) -> Document:
    """Read a file as far as it can be read, with its problems. Raises InputError where nothing can be read."""
    shown = name or path.name
    example = "a text file of a few kilobytes, UTF-8"
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            Problem(
                file=shown, message="cannot be read", found=error.strerror or str(error), accepted="a readable file"
            )
        ) from error
    if len(raw) > MAX_BYTES:
        found = f"{path.stat().st_size:,} bytes"
        raise InputError(
            Problem(
                file=shown,
                message="is too large",
                found=found,
                accepted=f"at most {MAX_BYTES:,} bytes",
                example=example,
            )
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            Problem(
                file=shown,
                line=line,
                message="is not text",
                found=f"byte 0x{raw[error.start]:02x}",
                accepted="UTF-8 text",
                example=example,
            )
        ) from error
    return _Reader(shown, text).document()


def as_yaml(text: str) -> str:
    """A string as it may stand in a file: quoted where it would be read as something else."""
    plain = _PLAIN.fullmatch(text) and _why_ambiguous(text) is None and _scalar(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)


class _Reader:
    """Turns the parser's events into JSON values, collecting lines and problems.

    Events, not nodes: composing nodes recurses in C without a limit, and forgets tags that change nothing.
    """

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._problems: list[Problem] = []
        self._lines: dict[YamlPath, int] = {}

    def document(self) -> Document:
        value: Any = None
        try:
            events: Iterator[Any] = iter(_Loader(self._text).get_event, None)
            roots = 0
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    roots += 1
                    if roots > 1:
                        self._refuse(event, (), "has a second document", "---", "one document in each file")
                        break
                elif isinstance(event, yaml.NodeEvent):
                    value = self._value(event, events, ())
            if not roots or (value is None and not self._problems):
                self._fail(1, "is empty", "no value", "a mapping", "config: {}")
        except yaml.YAMLError as error:
            self._syntax(error)
        return Document(file=self._file, value=value, lines=self._lines, problems=tuple(self._problems))

    def _value(self, event: Any, events: Iterator[Any], path: YamlPath) -> Any:
        if path not in self._lines:
            self._lines[path] = event.start_mark.line + 1
        if len(path) > MAX_DEPTH:
            found, accepted = f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH} levels"
            self._fail(event.start_mark.line + 1, "is nested too deeply", found, accepted)
        if isinstance(event, yaml.ScalarEvent):
            return self._plain(event, path)
        self._refuse_marks(event, path)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                items.append(self._value(item, events, (*path, len(items))))
            return items
        return None

    def _plain(self, event: Any, path: YamlPath) -> Any:
        """A scalar's value. Most are plain and have been seen before."""
        text: str = event.value
        if event.anchor is not None or event.tag is not None:
            self._refuse_marks(event, path)
        if event.style:
            return text
        why = _why_ambiguous(text)
        if why is None:
            return _scalar(text)
        accepted = "true, false, null, a decimal number, or a quoted string"
        self._refuse(event, path, f"is {why}", _short(text), accepted, _unambiguous(text))
        return None

    def _refuse_marks(self, event: Any, path: YamlPath) -> None:
        if isinstance(event, yaml.AliasEvent):
            found = f"an alias (*{event.anchor})"
            self._refuse(event, path, "repeats another part of the file", found, "the value itself")
            return
        if event.anchor is not None:
            self._refuse(event, path, "has an anchor", f"&{event.anchor}", "a value without an anchor, written out")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._refuse(event, path, "has a tag", tag, "a value without a tag", "replicas: 2")

    def _mapping(self, events: Iterator[Any], path: YamlPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            key = self._key(event, events, path)
            here = (*path, key)
            if key in first:
                found = f"first on line {first[key]}, again on line {line}"
                self._refuse(event, here, "stands twice", found, "each key once")
            else:
                first[key] = self._lines[here] = line
            value = self._value(next(events), events, here)
            result.setdefault(key, value)
        return result

    def _key(self, event: Any, events: Iterator[Any], path: YamlPath) -> str:
        message, accepted = "has a key that is not a string", "a string; quote it"
        if not isinstance(event, yaml.ScalarEvent):
            self._value(event, events, (*path, "?"))
            if not isinstance(event, yaml.AliasEvent):
                self._refuse(event, path, message, "a mapping or list as key", "a string")
            return "?"
        if event.anchor is not None or event.tag is not None:
            self._refuse_marks(event, path)
        text = str(event.value)
        if not event.style and (_why_ambiguous(text) is not None or _scalar(text) != text):
            found = _short(text)
            self._refuse(event, path, message, found or "nothing", accepted, json.dumps(found, ensure_ascii=False))
        return text

    def _refuse(self, event: Any, path: YamlPath, message: str, found: str, accepted: str, example: str = "") -> None:
        self._problems.append(
            Problem(
                file=self._file,
                line=event.start_mark.line + 1,
                path=dotted(path),
                message=message,
                found=found,
                accepted=accepted,
                example=example,
            )
        )

    def _fail(self, line: int, message: str, found: str, accepted: str, example: str = "") -> NoReturn:
        """Nothing after this can be read."""
        problem = Problem(file=self._file, line=line, message=message, found=found, accepted=accepted, example=example)
        raise InputError([*self._problems, problem])

    def _syntax(self, error: yaml.YAMLError) -> NoReturn:
        mark = getattr(error, "problem_mark", None)
        position = getattr(error, "position", None)
        line = mark.line + 1 if mark else self._text.encode()[:position].count(b"\n") + 1
        found = getattr(error, "problem", None) or getattr(error, "reason", None) or "text that cannot be read"
        accepted = "one YAML document of mappings, lists, strings, numbers, booleans and null"
        self._fail(line, "is not YAML", str(found), accepted)


@functools.lru_cache(maxsize=16384)
def _why_ambiguous(text: str) -> str | None:
    """Kept, because the files of a tree repeat each other's keys and values."""
    long = len(text) > _LONGEST_AMBIGUOUS
    if (long or sum(map(str.isdigit, text)) > _LONGEST_NUMBER) and _LONG_NUMBER.fullmatch(text):
        return f"a number of more than {_LONGEST_NUMBER} digits, which parsers round"
    if long:
        return None
    return next((why for pattern, why in _AMBIGUOUS if pattern.fullmatch(text)), None)


@functools.lru_cache(maxsize=16384)
def _scalar(text: str) -> Any:
    """What plain text stands for; kept for the same reason."""
    if text in ("", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _unambiguous(text: str) -> str:
    word = text.lower()
    if word in {"y", "yes", "on", "true"}:
        return "true"
    return "false" if word in {"n", "no", "off", "false"} else json.dumps(_short(text), ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


def dotted(path: YamlPath) -> str:
    """A path as it is shown: ``config.ladder:cloud.account``."""
    return ".".join(str(part) for part in path)
