"""From what validation found to what a person is told: the place in the file, what stands there, and what may."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal, cast, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo

from ladder.contract.rules import Violation
from ladder.contract.stack import StackSettings
from ladder.contract.types import Text
from ladder.errors import Problem
from ladder.strict_yaml import Document, YamlPath, as_yaml, dotted

__all__ = ["CONFIG_NAMESPACE", "key", "of_secrets", "of_unknown_key", "of_validation", "of_violation", "problem"]

CONFIG_NAMESPACE = "ladder"
"""The project's name: the prefix of its configuration keys."""

_TAGS = frozenset({"on", "off"})
_PLAIN = {
    "bool_type": "true or false",
    "dict_type": "a map",
    "int_type": "a whole number",
    "model_type": "a map",
    "string_type": "text; quote it",
}
_LONGEST_SHOWN = 120
_NOTHING = object()


def key(section: str | int) -> str:
    """A section's configuration key, e.g. ``ladder:cloud``."""
    return f"{CONFIG_NAMESPACE}:{section}"


def problem(document: Document, path: YamlPath, message: str, found: str, accepted: str, example: str = "") -> Problem:
    """A problem at a path of the document, with its line."""
    return Problem(
        file=document.file,
        line=document.line(path),
        path=dotted(path),
        message=message,
        found=found,
        accepted=accepted,
        example=example,
    )


def of_violation(violation: Violation, document: Document, prefix: YamlPath = ("config",)) -> Problem:
    """A joined rule that is not kept."""
    path = _file_path(violation.path, prefix)
    return problem(document, path, violation.message, violation.found, violation.accepted, violation.example)


def of_unknown_key(document: Document, path: YamlPath, accepted: Sequence[str]) -> Problem:
    """A key that is no section, with a hint where it may belong; ``path`` ends with it."""
    name = str(path[-1])
    sections = [key(section) for section in _sections()]
    bare = name.rpartition(":")[2]
    places = [
        dotted(("config", place)) for place in (*(section for section in sections if section == name), *_places(bare))
    ]
    close = difflib.get_close_matches(name, sections, n=1, cutoff=0.5)
    if len(path) > 1 and close:
        hint = f"did you mean {close[0]}?"
    else:
        hint = f"it belongs to {places[0]}" if places else (f"did you mean config.{close[0]}?" if close else "")
    return problem(document, path, "is an unknown key", name, ", ".join(accepted), hint)


def of_secrets(value: Any, document: Document, path: YamlPath) -> Iterator[Problem]:
    """Every encrypted value below the path. Its content is not shown."""
    if isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from of_secrets(item, document, (*path, index))
    if not isinstance(value, Mapping):
        return
    fields = cast("Mapping[str, Any]", value)
    if isinstance(fields.get("secure"), str):
        accepted = "a reference: values stand in Secrets Manager, below ladder:secrets.prefix"
        message = "is a secret value; configuration holds none, encrypted or not"
        yield problem(document, path, message, "secure: (not shown)", accepted)
        return
    for name, item in fields.items():
        yield from of_secrets(item, document, (*path, name))


def of_validation(
    error: ValidationError, sections: Mapping[str, Any], document: Document, prefix: YamlPath
) -> Iterator[Problem]:
    """Every problem of a validation, in the file's terms."""
    for item in error.errors(include_url=False):
        place = _locate(item["loc"], sections)
        message, found, accepted, example = _words(item, place)
        yield problem(document, _file_path(place.path, prefix), message, found, accepted, example)


def _file_path(path: YamlPath, prefix: YamlPath) -> YamlPath:
    return (*prefix, key(path[0]), *path[1:]) if path else prefix


def _sections() -> list[str]:
    return _aliases(StackSettings)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an error's location leads. ``path`` is without pydantic's names for the sides of a switch and for keys."""

    path: YamlPath
    value: Any
    annotation: Any = None
    field: FieldInfo | None = None
    holders: tuple[type[BaseModel], ...] = ()
    sides: tuple[type[BaseModel], ...] = ()
    is_key: bool = False


def _locate(loc: tuple[int | str, ...], sections: Mapping[str, Any]) -> _Place:
    before = place = _Place((), sections, StackSettings)
    for part in loc:
        if part == "[key]":
            return _Place(place.path, place.path[-1], get_args(_bare(before.annotation))[0], is_key=True)
        if part in _TAGS and _child(place.value, part) is _NOTHING:
            sides = tuple(_models(place.annotation))
            place = replace(place, annotation=_side(place.annotation, str(part)), sides=sides)
        else:
            before, place = place, _step(place, part)
    return place


def _step(place: _Place, part: int | str) -> _Place:
    path, value = (*place.path, part), _child(place.value, part)
    models = tuple(_models(place.annotation))
    if _is_map(place.annotation):
        return _Place(path, value, get_args(_bare(place.annotation))[1])
    for model in models:
        for name, field in model.model_fields.items():
            if (field.alias or name) == part:
                return _Place(path, value, field.annotation, field, (model,))
    return _Place(path, value, holders=models, sides=place.sides)


def _child(value: Any, part: int | str) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return _NOTHING


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__metadata__", ())


def _is_map(annotation: Any) -> bool:
    origin = get_origin(_bare(annotation))
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models an annotation can hold, through unions and Annotated."""
    annotation = _bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif not _is_map(annotation):
        for argument in get_args(annotation):
            yield from _models(argument)


def _side(annotation: Any, tag: str) -> Any:
    """The side of a switch that carries the tag."""
    for argument in get_args(_bare(annotation)):
        if any(isinstance(item, Tag) and item.tag == tag for item in _metadata(argument)):
            return argument
    return annotation


def _words(item: Mapping[str, Any], place: _Place) -> tuple[str, str, str, str]:
    """Message, found, accepted, example."""
    rule = _rule(place)
    context: Mapping[str, Any] = item.get("ctx", {})
    message = str(item["msg"])
    match item["type"]:
        case "missing":
            accepted = "every key stands in every environment"
            return "is missing", "no such key", accepted, _example(place)
        case "extra_forbidden":
            known = [alias for model in place.holders for alias in _aliases(model)]
            return "is an unknown key", str(place.path[-1]), ", ".join(known) or "no key here", _hint(place, known)
        case "ladder":
            return message, _shown(place.value), rule.accepted if rule else "", _example(place)
        case kind:
            accepted = str(context.get("expected", "")) or _PLAIN.get(kind, "")
            accepted = rule.accepted if rule else accepted or message.removeprefix("Input should be ")
            wrong = "is not a key that is accepted here" if place.is_key else "is not accepted"
            return wrong, _shown(place.value), accepted, _example(place)


def _rule(place: _Place) -> Text | None:
    """The text type at a place, of the value or, for a key, of the map's keys."""
    annotation = place.annotation
    found = [item for item in (place.field.metadata if place.field else ()) if isinstance(item, Text)]
    arguments = get_args(_bare(annotation)) if get_origin(_bare(annotation)) is not Literal else ()
    for candidate in (annotation, *(() if _is_map(annotation) else arguments)):
        found += [item for item in _metadata(candidate) if isinstance(item, Text)]
    return found[0] if found else None


def _shown(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    text = re.sub(r"://[^/@\s\"]*@", "://…@", json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _example(place: _Place) -> str:
    if place.is_key:
        return _sample(place.annotation)
    if not place.path:
        return ""
    name = key(place.path[-1]) if len(place.path) == 1 else str(place.path[-1])
    text = f"{name}: {_sample(place.annotation, place.field)}"
    return text if len(text) <= _LONGEST_SHOWN else ""


def _sample(annotation: Any, field: FieldInfo | None = None) -> str:
    """A value of the type, as YAML on one line."""
    if field is not None and field.examples:
        example: Any = field.examples[0]
        return as_yaml(example) if isinstance(example, str) else json.dumps(example)
    rule = _rule(_Place((), None, annotation, field))
    bare = _bare(annotation)
    arguments = get_args(bare)
    if rule is not None and not _is_map(annotation):
        return as_yaml(rule.examples[0])
    if get_origin(bare) is Literal:
        return str(arguments[0]).lower()
    if _is_map(bare):
        name = _sample(arguments[0])
        return f"{{{name}: {_sample(arguments[1])}}}"
    if arguments:
        return _sample(arguments[0])
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        pairs = (f"{item.alias or name}: {_sample(item.annotation, item)}" for name, item in bare.model_fields.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(bare, type) and issubclass(bare, Enum):
        return str(next(iter(bare)).value)
    return "true" if bare is bool else "1" if bare is int else "text"


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _hint(place: _Place, known: Sequence[str]) -> str:
    name = str(place.path[-1])
    if any(name in _aliases(model) for model in place.sides):
        return "it belongs where enabled is true"
    places = _places(name)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8 if places else 0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"it belongs to {places[0]}" if places else ""


def _places(name: str) -> list[str]:
    """Where in the contract a key of this name stands."""
    found: list[str] = []

    def walk(annotation: Any, at: str) -> None:
        if _is_map(annotation):
            walk(get_args(_bare(annotation))[1], f"{at}.<name>")
            return
        for model in _models(annotation):
            for field_name, field in model.model_fields.items():
                alias = field.alias or field_name
                below = f"{at}.{alias}" if at else key(alias)
                if at and alias == name and below not in found:
                    found.append(below)
                walk(field.annotation, below)

    walk(StackSettings, "")
    return found
