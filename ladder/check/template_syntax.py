"""The syntax of Go templates, as far as ApplicationSets need it: text in, nodes out.

A small part of the language, and nothing beyond it in silence: what is not read here raises :class:`NotUnderstood`,
what Go refuses raises :class:`BadSyntax`. Rule: pkg.go.dev/text/template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BadSyntax", "Block", "Call", "Node", "NotUnderstood", "Operand", "Pipeline", "TemplateError", "parse"]


class TemplateError(Exception):
    """The template does not run with these values. Holds the sentence that says why.

    ``path`` is where in a larger value the template stands, as far as that is known.
    """

    path: tuple[str | int, ...] = ()


class BadSyntax(TemplateError):
    """The template does not parse."""


class NotUnderstood(TemplateError):
    """A part of the language that is not read here, though Go may take it."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A value and the fields taken from it. ``root`` is ``.``, a variable, a tuple of one constant, or a pipeline."""

    root: str | tuple[Any] | Pipeline
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A function's name, empty for a value alone, and its arguments."""

    function: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each given what the one before made; the result goes to ``variables``, where any are named."""

    commands: tuple[Call, ...]
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """``if``, ``with`` or ``range``, and what stands in it and in its ``else``."""

    word: str
    pipeline: Pipeline
    nodes: list[Node] = field(default_factory=list["Node"])
    otherwise: list[Node] = field(default_factory=list["Node"])


Node = str | Pipeline | Block

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>"(?:\\.|[^"\\\n])*"|`[^`]*`)
    |(?P<number>-?[0-9]+(?![.\w]))
    |(?P<field>(?:\.[A-Za-z_]\w*)+)
    |(?P<dot>\.)
    |(?P<variable>\$\w*)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<sign>:=|[|(),])
    )""",
    re.VERBOSE,
)
_PART = re.compile(r'"(?:\\.|[^"\\\n])*"|`[^`]*`|/\*.*?\*/|\}\}', re.DOTALL)
"""What may stand in an action and hold its end, and the end itself."""
_CONSTANTS = {"true": True, "false": False, "nil": None}
_BLOCKS = frozenset({"if", "with", "range"})
_UNREAD = frozenset({"block", "break", "continue", "define", "template"})
_Token = tuple[str, str]


def parse(text: str, functions: Collection[str]) -> list[Node]:
    """The template's nodes. Raises BadSyntax, or NotUnderstood as for a function that is not among ``functions``."""
    nodes: list[Node] = []
    into = nodes
    around: list[tuple[list[Node], Block]] = []
    position, trim = 0, False
    for start, end, body, before, after in _actions(text):
        into.append(_trimmed(text[position:start], left=trim, right=before))
        position, trim = end, after
        if body.startswith("/*") and body.endswith("*/"):
            continue
        tokens = _tokens(body)
        word = tokens[0][1] if tokens and tokens[0][0] == "word" else ""
        if word in _UNREAD:
            raise NotUnderstood(f"the action {{{{{word}}}}}")
        if word in {"else", "end"}:
            into = _closed(word, tokens[1:], into, around)
        elif word in _BLOCKS:
            pipeline = _Parser(tokens[1:], functions).pipeline(most=2 if word == "range" else 1)
            block = Block(word, pipeline)
            into.append(block)
            around.append((into, block))
            into = block.nodes
        else:
            into.append(_Parser(tokens, functions).pipeline(most=1))
    if around:
        raise BadSyntax(f"{{{{{around[-1][1].word}}}}} lacks its {{{{end}}}}")
    into.append(_trimmed(text[position:], left=trim, right=False))
    return nodes


def _actions(text: str) -> Iterator[tuple[int, int, str, bool, bool]]:
    """Start, end and body of every action, and whether it trims the text before and after it."""
    position = 0
    while (start := text.find("{{", position)) >= 0:
        ends = (match.end() for match in _PART.finditer(text, start + 2) if match[0] == "}}")
        end = next(ends, 0)
        if not end:
            raise BadSyntax("an action is not closed")
        body = text[start + 2 : end - 2]
        before, after = re.match(r"-\s", body) is not None, re.search(r"\s-$", body) is not None
        yield start, end, body[1 if before else 0 : -1 if after else None].strip(), before, after
        position = end


def _trimmed(text: str, *, left: bool, right: bool) -> str:
    text = text.lstrip() if left else text
    return text.rstrip() if right else text


def _closed(word: str, rest: list[_Token], into: list[Node], around: list[tuple[list[Node], Block]]) -> list[Node]:
    """Where nodes go after ``{{else}}`` or ``{{end}}``."""
    if not around:
        raise BadSyntax(f"{{{{{word}}}}} stands outside of a block")
    outside, block = around[-1]
    if rest:
        raise NotUnderstood(f"{{{{{word} {rest[0][1]}}}}}; a block of its own says the same")
    if word == "end":
        around.pop()
        return outside
    if into is block.otherwise:
        raise BadSyntax("a block has a second {{else}}")
    return block.otherwise


def _tokens(body: str) -> list[_Token]:
    """Kind and text of each token; a field right after a value, as in ``$x.name``, is of the kind ``chained``."""
    found: list[_Token] = []
    position = 0
    while position < len(body):
        match = _TOKEN.match(body, position)
        if match is None:
            raise BadSyntax(f"unexpected {body[position:].strip()[:20]!r} in an action")
        kind = match.lastgroup or ""
        text = match[kind]
        chained = kind == "field" and match.start(kind) == position > 0 and found[-1][1] not in {"(", "|", ",", ":="}
        found.append(("chained" if chained else kind, text))
        position = match.end()
    return found


class _Parser:
    """One action's tokens, read from left to right."""

    def __init__(self, tokens: list[_Token], functions: Collection[str]) -> None:
        self._tokens = tokens
        self._functions = functions
        self._at = 0

    def pipeline(self, *, most: int) -> Pipeline:
        """The whole action, which names at most so many variables."""
        variables = self._variables(most)
        commands = self._commands()
        if self._at < len(self._tokens):
            raise BadSyntax(f"unexpected {self._next()[1]!r} in an action")
        return Pipeline(commands, variables)

    def _variables(self, most: int) -> tuple[str, ...]:
        if ("sign", ":=") not in self._tokens:
            return ()
        at = self._tokens.index(("sign", ":="))
        named = [token for token in self._tokens[:at] if token != ("sign", ",")]
        if not 0 < len(named) <= most or any(kind != "variable" for kind, _ in named):
            raise BadSyntax(f"at most {most} variable can be given a value here, and nothing else")
        self._at = at + 1
        return tuple(name for _, name in named)

    def _commands(self) -> tuple[Call, ...]:
        commands = [self._command()]
        while self._next() == ("sign", "|"):
            self._at += 1
            commands.append(self._command())
            if not commands[-1].function:
                raise BadSyntax("what follows | is no function")
        return tuple(commands)

    def _command(self) -> Call:
        kind, text = self._next()
        function = ""
        if kind == "word" and text not in _CONSTANTS:
            if text not in self._functions:
                raise NotUnderstood(f"the function {text}; known are {', '.join(sorted(self._functions))}")
            function = text
            self._at += 1
        operands: list[Operand] = []
        while self._next()[0] not in {"", "sign"} or self._next()[1] == "(":
            operands.append(self._operand())
        if not function and len(operands) != 1:
            raise BadSyntax("a value is missing" if not operands else "arguments are given to what is no function")
        return Call(function, tuple(operands))

    def _operand(self) -> Operand:
        kind, text = self._next()
        self._at += 1
        match kind:
            case "field":
                return Operand(".", tuple(text[1:].split(".")))
            case "dot" | "variable":
                return Operand(text, self._chained())
            case "text":
                return Operand((_constant(text),))
            case "number":
                return Operand((int(text),))
            case "word" if text in _CONSTANTS:
                return Operand((_CONSTANTS[text],))
            case "sign":
                inner = Pipeline(self._commands())
                if self._next() != ("sign", ")"):
                    raise BadSyntax("a parenthesis is not closed")
                self._at += 1
                return Operand(inner, self._chained())
            case _:
                raise BadSyntax(f"unexpected {text!r} in an action")

    def _chained(self) -> tuple[str, ...]:
        if self._next()[0] != "chained":
            return ()
        self._at += 1
        return tuple(self._tokens[self._at - 1][1][1:].split("."))

    def _next(self) -> _Token:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")


def _constant(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return str(json.loads(text))
    except ValueError:
        raise NotUnderstood(f"the escapes of {text}") from None
