"""YAML as configuration should be: one value per key, no tags, no aliases, nothing that two parsers read differently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ladder.errors import InputError, Problem

__all__ = ["MAX_BYTES", "Document", "load", "parse"]

MAX_BYTES = 1024 * 1024
"""The largest file that is read, in bytes; real stack files and overlays have a few thousand."""

MAX_DEPTH = 64
"""The deepest nesting that is read; the contract's deepest path has ten levels."""

YamlPath = tuple[str | int, ...]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\.[0-9]+")
_AMBIGUOUS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:y|yes|n|no|on|off)", re.IGNORECASE), "a boolean to some YAML parsers and a string to others"),
    (re.compile(r"(?:True|TRUE|False|FALSE)"), "a boolean to some YAML parsers and a string to others"),
    (re.compile(r"(?:NULL|Null|~)"), "an unusual way to write null"),
    (re.compile(r"[-+]?0[0-9_]+|[-+]?0[xob][0-9a-f_]+", re.IGNORECASE), "a number whose base depends on the parser"),
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
    """A parsed file: plain JSON values, and the line (from 1) of every dotted path."""

    file: str
    value: Any
    lines: Mapping[YamlPath, int]

    def line(self, path: YamlPath) -> int:
        """The line of the path, or of its nearest ancestor that stands in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def load(path: Path, *, name: str | None = None) -> Document:
    """Read and parse a file; ``name`` is how errors call it. Raises InputError with every problem found."""
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
    return parse(text, file=shown)


def parse(text: str, *, file: str) -> Document:
    """Parse YAML text; raises InputError with every problem found."""
    problems: list[Problem] = []
    try:
        _refuse_depth(text, file)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise InputError(
                Problem(
                    file=file, line=1, message="is empty", found="no value", accepted="a mapping", example="config: {}"
                )
            )
        reader = _Reader(file, problems, loader)
        value = reader.read(node, ())
    except yaml.YAMLError as error:
        raise InputError(_syntax(error, file)) from error
    if problems:
        raise InputError(problems)
    return Document(file=file, value=value, lines=reader.lines)


def _refuse_depth(text: str, file: str) -> None:
    """Composing nodes recurses, in C without a limit; parsing events does not."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1
            raise InputError(
                Problem(
                    file=file,
                    line=line,
                    message="is nested too deeply",
                    found=f"more than {MAX_DEPTH} levels",
                    accepted=f"at most {MAX_DEPTH} levels",
                )
            )


def _syntax(error: yaml.YAMLError, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    message = getattr(error, "problem", None) or str(error)
    return Problem(
        file=file,
        line=mark.line + 1 if mark else 1,
        message="is not YAML",
        found=str(message),
        accepted="one YAML document of mappings, lists, strings, numbers, booleans and null",
    )


class _Reader:
    """Turns nodes into JSON values, collecting lines and problems."""

    def __init__(self, file: str, problems: list[Problem], resolver: Any) -> None:
        self.file = file
        self._resolver = resolver
        self.problems = problems
        self.lines: dict[YamlPath, int] = {}
        self._seen: set[int] = set()

    def read(self, node: yaml.Node, path: YamlPath) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if id(node) in self._seen:
            self._refuse(node, path, "repeats another part of the file", "an alias (*name)", "the value itself")
            return None
        self._seen.add(id(node))
        if node.tag != self._implied_tag(node):
            self._refuse(node, path, "has a tag", _tag(node.tag), "a value without a tag", "replicas: 2")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.read(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _implied_tag(self, node: yaml.Node) -> str:
        """The tag the node has when none is written."""
        implicit = (not getattr(node, "style", None), True)
        return self._resolver.resolve(type(node), node.value if isinstance(node, yaml.ScalarNode) else None, implicit)

    def _mapping(self, node: yaml.MappingNode, path: YamlPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key_node.tag != "tag:yaml.org,2002:str":
                found = str(key) if key is not None else "a mapping or list as key"
                self._refuse(
                    key_node, path, "has a key that is not a string", found, "a string; quote it", f'"{found}"'
                )
                continue
            here = (*path, key)
            if key in result:
                self._refuse(
                    key_node, here, "stands twice", f"first on line {first[key]}, again on line {line}", "each key once"
                )
                continue
            first[key] = line
            self.lines[here] = line
            result[key] = self.read(value_node, here)
        return result

    def _scalar(self, node: yaml.ScalarNode, path: YamlPath) -> Any:
        text: str = node.value
        if node.style:
            return text
        for pattern, why in _AMBIGUOUS:
            if pattern.fullmatch(text):
                self._refuse(
                    node,
                    path,
                    f"is {why}",
                    text,
                    "true, false, null, a decimal number, or a quoted string",
                    f'"{text}"',
                )
                return None
        if text in ("", "null"):
            return None
        if text in ("true", "false"):
            return text == "true"
        if _INT.fullmatch(text):
            return int(text)
        return float(text) if _FLOAT.fullmatch(text) else text

    def _refuse(
        self, node: yaml.Node, path: YamlPath, message: str, found: str, accepted: str, example: str = ""
    ) -> None:
        line = node.start_mark.line + 1
        self.problems.append(
            Problem(
                file=self.file,
                line=line,
                path=dotted(path),
                message=message,
                found=found,
                accepted=accepted,
                example=example,
            )
        )


def _tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def dotted(path: YamlPath) -> str:
    """A path as it is shown: ``config.ladder:cloud.account``."""
    return ".".join(str(part) for part in path)
