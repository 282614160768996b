"""Running Go templates as Argo CD does for an ApplicationSet with ``missingkey=error``.

Rules: pkg.go.dev/text/template, and for the functions Argo CD's ``applicationset/utils``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from ladder.check.template_syntax import BadSyntax, Block, Node, NotUnderstood, Operand, Pipeline, TemplateError, parse
from ladder.strict_yaml import YamlPath

__all__ = ["BadSyntax", "NotUnderstood", "TemplateError", "normalized", "render", "render_all", "syntax"]


def render(text: str, values: Mapping[str, Any]) -> str:
    """The template's output with these values. Raises TemplateError."""
    if "{{" not in text:
        return text
    return "".join(_Run(values, [{"$": values}]).nodes(_parsed(text)))


def render_all(value: Any, values: Mapping[str, Any]) -> Any:
    """A JSON value with every text in it, keys of maps included, rendered.

    Raises TemplateError, whose ``path`` is the text's place in the value.
    """
    try:
        return _rendered(value, values)
    except TemplateError as error:
        error.path = next(_refused(value, values, ()), ())
        raise


def _rendered(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return render(value, values)
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {render(name, values): _rendered(item, values) for name, item in items}
    if isinstance(value, list):
        return [_rendered(item, values) for item in cast("list[Any]", value)]
    return value


def _refused(value: Any, values: Mapping[str, Any], path: YamlPath) -> Iterator[YamlPath]:
    """Where a text stands that cannot be rendered."""
    for place, text in _texts(value, path):
        try:
            render(text, values)
        except TemplateError:
            yield place


def _texts(value: Any, path: YamlPath) -> Iterator[tuple[YamlPath, str]]:
    """Every text of a JSON value, keys of maps included, and where it stands."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, item in cast("Mapping[str, Any]", value).items():
            yield (*path, name), name
            yield from _texts(item, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _texts(item, (*path, index))


def syntax(value: Any, path: YamlPath = ()) -> Iterator[tuple[YamlPath, TemplateError]]:
    """What does not parse among all texts of a JSON value, keys of maps included, and where."""
    for place, text in _texts(value, path):
        try:
            if "{{" in text:
                _parsed(text)
        except TemplateError as error:
            yield place, error


def normalized(name: str) -> str:
    """A name as Argo CD makes it fit for DNS."""
    return re.sub("[^-a-z0-9.]", "-", name.lower())[:253].strip("-.")


@lru_cache(maxsize=1024)
def _parsed(text: str) -> list[Node]:
    return parse(text, _FUNCTIONS)


@dataclass(slots=True)
class _Run:
    """What ``.`` is, and the variables of every block around, outermost first."""

    dot: Any
    variables: list[dict[str, Any]]

    def nodes(self, nodes: Sequence[Node]) -> Iterator[str]:
        for node in nodes:
            match node:
                case str():
                    yield node
                case Pipeline():
                    value = self._value(node)
                    if node.variables:
                        self.variables[-1][node.variables[0]] = value
                    else:
                        yield _text(value)
                case Block():
                    yield from self._block(node)

    def _block(self, block: Block) -> Iterator[str]:
        value, names = self._value(block.pipeline), block.pipeline.variables
        if block.word == "range":
            items = _items(value)
            for item in items:
                yield from self._inside(item[1], dict(zip(names, item[2 - len(names) :], strict=True))).nodes(
                    block.nodes
                )
            chosen = [] if items else block.otherwise
        else:
            chosen = block.nodes if value else block.otherwise
        dot = value if block.word == "with" and chosen is block.nodes else self.dot
        yield from self._inside(dot, dict.fromkeys(names, value)).nodes(chosen)

    def _inside(self, dot: Any, variables: dict[str, Any]) -> _Run:
        return _Run(dot, [*self.variables, variables])

    def _value(self, pipeline: Pipeline) -> Any:
        given: tuple[Any, ...] = ()
        for command in pipeline.commands:
            arguments = (*map(self._operand, command.operands), *given)
            given = (_called(command.function, arguments) if command.function else arguments[0],)
        return given[0]

    def _operand(self, operand: Operand) -> Any:
        match operand.root:
            case tuple():
                value = operand.root[0]
            case Pipeline():
                value = self._value(operand.root)
            case ".":
                value = self.dot
            case name:
                value = self._variable(name)
        for name in operand.fields:
            if not isinstance(value, dict):
                raise TemplateError(f"there is no field {name} in {_what(value)}")
            fields = cast("dict[str, Any]", value)
            if name not in fields:
                raise TemplateError(f"there is no field {name}, only {', '.join(sorted(fields)) or 'none'}")
            value = fields[name]
        return value

    def _variable(self, name: str) -> Any:
        for scope in reversed(self.variables):
            if name in scope:
                return scope[name]
        raise TemplateError(f"the variable {name} is not defined")


def _called(function: str, arguments: tuple[Any, ...]) -> Any:
    try:
        return _FUNCTIONS[function](*arguments)
    except (TypeError, ValueError, AttributeError) as error:
        raise TemplateError(f"{function} does not take {', '.join(map(_what, arguments)) or 'nothing'}") from error


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return sorted(cast("Mapping[Any, Any]", value).items())
    if isinstance(value, (list, tuple)):
        return list(enumerate(cast("list[Any]", value)))
    if value is None:
        return []
    raise TemplateError(f"range cannot go over {_what(value)}")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, int, float)):
        return str(value)
    raise NotUnderstood(f"printing {_what(value)}; toJson prints it")


def _what(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, (list, tuple)):
        return "a list"
    return f"the text {json.dumps(value)}" if isinstance(value, str) else json.dumps(value)


def _printf(form: Any, *arguments: Any) -> str:
    verbs: list[str] = [verb for verb in re.findall("%.?", form) if verb != "%%"]
    if any(verb not in {"%s", "%v"} for verb in verbs):
        raise NotUnderstood(f"printf with {json.dumps(form)}; known are %s, %v and %%")
    if len(verbs) != len(arguments) or any(not isinstance(value, str) for value in arguments):
        raise TemplateError(f"printf {json.dumps(form)} does not take {', '.join(map(_what, arguments)) or 'nothing'}")
    values = iter(arguments)
    return re.sub("%.", lambda match: "%" if match[0] == "%%" else next(values), form)


def _json(value: Any) -> str:
    """As Go writes it: keys sorted, no space, and what HTML knows escaped."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def _default(fallback: Any, value: Any) -> Any:
    return value or fallback


def _equal(first: Any, *others: Any) -> bool:
    return any(first == other for other in others)


def _lower(text: str) -> str:
    return text.lower()


def _not(value: Any) -> bool:
    return not value


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "default": _default,
    "eq": _equal,
    "lower": _lower,
    "normalize": normalized,
    "not": _not,
    "printf": _printf,
    "toJson": _json,
}
