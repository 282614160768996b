"""From what validation found to what a person is told: the place in the file, what stands there, and what may."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, Tag, ValidationError
from pydantic.fields import FieldInfo

from ladder.contract.shape import bare, is_map, models
from ladder.contract.stack import StackSettings
from ladder.contract.types import Text
from ladder.contract.violations import Violation
from ladder.errors import Problem
from ladder.strict_yaml import Document, YamlPath, as_yaml, dotted

__all__ = [
    "CONFIG_NAMESPACE",
    "STACK",
    "FileKind",
    "checked",
    "key",
    "of_secrets",
    "of_unknown_key",
    "of_validation",
    "of_violation",
    "problem",
]

KIND = "kind"
"""The key by which a model of several kinds says which it is."""

CONFIG_NAMESPACE = "ladder"
"""The project's name: the prefix of its configuration keys."""

_PLAIN = {
    "bool_type": "true or false",
    "dict_type": "a map",
    "int_type": "a whole number",
    "model_type": "a map",
    "string_type": "text; quote it",
}
_LONGEST_SHOWN = 120
_NOTHING = object()
_Model = TypeVar("_Model", bound=BaseModel)


def key(section: str | int) -> str:
    """A section's configuration key, e.g. ``ladder:cloud``."""
    return f"{CONFIG_NAMESPACE}:{section}"


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of file: the model of what it holds, and how the model's sections are written in it."""

    model: type[BaseModel]
    key: Callable[[str | int], str] = str


STACK = FileKind(StackSettings, key)


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


def checked(document: Document, model: type[_Model]) -> tuple[_Model | None, list[Problem]]:
    """The document as the model, and the problems it has; what the reader told of already is not told again."""
    problems, kind = list(document.problems), FileKind(model)
    if not isinstance(document.value, dict):
        accepted = ", ".join(_aliases(model))
        return None, [*problems, Problem(file=document.file, line=1, message="is not a map", accepted=accepted)]
    sections = cast("Mapping[str, Any]", document.value)
    try:
        return model.model_validate_json(json.dumps(sections)), problems
    except ValidationError as error:
        explained = tuple(f"{found.path}." for found in problems if found.path)
        further = of_validation(error, sections, document, (), kind)
        return None, [*problems, *(each for each in further if not f"{each.path}.".startswith(explained))]


def of_violation(
    violation: Violation, document: Document, prefix: YamlPath = ("config",), kind: FileKind = STACK
) -> Problem:
    """A joined rule that is not kept."""
    path = _file_path(violation.path, prefix, kind)
    return problem(document, path, violation.message, violation.found, violation.accepted, violation.example)


def of_unknown_key(document: Document, path: YamlPath, accepted: Sequence[str]) -> Problem:
    """A key that is no section, with a hint where it may belong; ``path`` ends with it."""
    name = str(path[-1])
    sections = [key(section) for section in _aliases(StackSettings)]
    bare = name.rpartition(":")[2]
    misplaced = [section for section in sections if section == name]
    places = [dotted(("config", place)) for place in (*misplaced, *_places(bare, STACK))]
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
    error: ValidationError,
    sections: Mapping[str, Any],
    document: Document,
    prefix: YamlPath,
    kind: FileKind = STACK,
) -> Iterator[Problem]:
    """Every problem of a validation, in the file's terms."""
    for item in error.errors(include_url=False):
        place = _locate(item["loc"], sections, kind)
        if item["type"] in {"union_tag_invalid", "union_tag_not_found"}:
            yield _of_kind(place, document, prefix, kind)
            continue
        message, found, accepted, example = _words(item, place, kind)
        yield problem(document, _file_path(place.path, prefix, kind), message, found, accepted, example)


def _of_kind(place: _Place, document: Document, prefix: YamlPath, kind: FileKind) -> Problem:
    """A model of several kinds does not say which it is, or says one that there is not."""
    value = _child(place.value, KIND)
    kinds = [name for model in models(place.annotation) for name in _kinds(model)]
    message = "is missing" if value is _NOTHING else "is not accepted"
    close = difflib.get_close_matches(str(value), kinds, n=1)
    path, example = _file_path((*place.path, KIND), prefix, kind), f"{KIND}: {(close or kinds)[0]}"
    return problem(document, path, message, _shown(value), ", ".join(kinds), example)


def _kinds(model: type[BaseModel]) -> tuple[str, ...]:
    """What ``kind`` may be in the model; nothing where it has no such field."""
    field = model.model_fields.get(KIND)
    return tuple(map(str, get_args(bare(field.annotation)))) if field else ()


def _file_path(path: YamlPath, prefix: YamlPath, kind: FileKind) -> YamlPath:
    return (*prefix, kind.key(path[0]), *path[1:]) if path else prefix


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


def _locate(loc: tuple[int | str, ...], sections: Mapping[str, Any], kind: FileKind) -> _Place:
    before = place = _Place((), sections, kind.model)
    for part in loc:
        if part == "[key]":
            return _Place(place.path, place.path[-1], get_args(bare(before.annotation))[0], is_key=True)
        side = _side(place.annotation, part)
        if side is not None:
            sides = tuple(models(place.annotation))
            place = replace(place, annotation=side, sides=sides)
        else:
            before, place = place, _step(place, part)
    return place


def _step(place: _Place, part: int | str) -> _Place:
    path, value = (*place.path, part), _child(place.value, part)
    possible = tuple(models(place.annotation))
    if is_map(place.annotation):
        return _Place(path, value, get_args(bare(place.annotation))[1])
    if isinstance(part, int) and get_origin(bare(place.annotation)) is tuple:
        return _Place(path, value, get_args(bare(place.annotation))[0])
    for model in possible:
        for name, field in model.model_fields.items():
            if (field.alias or name) == part:
                return _Place(path, value, field.annotation, field, (model,))
    return _Place(path, value, holders=possible, sides=place.sides)


def _child(value: Any, part: int | str) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return _NOTHING


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__metadata__", ())


def _side(annotation: Any, tag: int | str) -> Any:
    """The side of a union that carries the tag, or None: of a switch by its Tag, of kinds by the model's ``kind``."""
    for argument in () if is_map(annotation) else get_args(bare(annotation)):
        if any(isinstance(item, Tag) and item.tag == tag for item in _metadata(argument)):
            return argument
        if isinstance(argument, type) and issubclass(argument, BaseModel) and tag in _kinds(argument):
            return argument
    return None


def _words(item: Mapping[str, Any], place: _Place, kind: FileKind) -> tuple[str, str, str, str]:
    """Message, found, accepted, example."""
    rule = _rule(place)
    context: Mapping[str, Any] = item.get("ctx", {})
    message = str(item["msg"])
    match item["type"]:
        case "missing":
            accepted = "every key stands in every environment"
            return "is missing", "no such key", accepted, _example(place, kind)
        case "extra_forbidden":
            known = [alias for model in place.holders for alias in _aliases(model)]
            accepted = ", ".join(known) or "no key here"
            return "is an unknown key", str(place.path[-1]), accepted, _hint(place, known, kind)
        case "ladder":
            return message, _shown(place.value), rule.accepted if rule else "", _example(place, kind)
        case error:
            accepted = str(context.get("expected", "")) or _PLAIN.get(error, "")
            accepted = rule.accepted if rule else accepted or message.removeprefix("Input should be ")
            wrong = "is not a key that is accepted here" if place.is_key else "is not accepted"
            return wrong, _shown(place.value), accepted, _example(place, kind)


def _rule(place: _Place) -> Text | None:
    """The text type at a place, of the value or, for a key, of the map's keys."""
    annotation = place.annotation
    found = [item for item in (place.field.metadata if place.field else ()) if isinstance(item, Text)]
    arguments = get_args(bare(annotation)) if get_origin(bare(annotation)) is not Literal else ()
    for candidate in (annotation, *(() if is_map(annotation) else arguments)):
        found += [item for item in _metadata(candidate) if isinstance(item, Text)]
    return found[0] if found else None


def _shown(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    text = re.sub(r"://[^/@\s\"]*@", "://…@", json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def _example(place: _Place, kind: FileKind) -> str:
    if place.is_key:
        return _sample(place.annotation)
    if not place.path:
        return ""
    name = kind.key(place.path[-1]) if len(place.path) == 1 else str(place.path[-1])
    text = f"{name}: {_sample(place.annotation, place.field)}"
    return text if len(text) <= _LONGEST_SHOWN else ""


def _sample(annotation: Any, field: FieldInfo | None = None) -> str:
    """A value of the type, as YAML on one line."""
    if field is not None and field.examples:
        example: Any = field.examples[0]
        return as_yaml(example) if isinstance(example, str) else json.dumps(example)
    rule = _rule(_Place((), None, annotation, field))
    plain = bare(annotation)
    arguments = get_args(plain)
    if rule is not None and not is_map(annotation):
        return as_yaml(rule.examples[0])
    if get_origin(plain) is Literal:
        return str(arguments[0]).lower()
    if is_map(plain):
        name = _sample(arguments[0])
        return f"{{{name}: {_sample(arguments[1])}}}"
    if arguments:
        return _sample(arguments[0])
    if isinstance(plain, type) and issubclass(plain, BaseModel):
        pairs = (f"{item.alias or name}: {_sample(item.annotation, item)}" for name, item in plain.model_fields.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(plain, type) and issubclass(plain, Enum):
        return str(next(iter(plain)).value)
    return "true" if plain is bool else "1" if plain is int else "text"


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _hint(place: _Place, known: Sequence[str], kind: FileKind) -> str:
    name = str(place.path[-1])
    others = [model for model in place.sides if name in _aliases(model)]
    if others:
        kinds = [other for model in others for other in _kinds(model)]
        return f"it belongs to {KIND}: {', '.join(kinds)}" if kinds else "it belongs where enabled is true"
    places = _places(name, kind)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8 if places else 0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"it belongs to {places[0]}" if places else ""


def _places(name: str, kind: FileKind) -> list[str]:
    """Where in the contract a key of this name stands."""
    found: list[str] = []

    def walk(annotation: Any, at: str) -> None:
        if is_map(annotation):
            walk(get_args(bare(annotation))[1], f"{at}.<name>")
            return
        for model in models(annotation):
            for field_name, field in model.model_fields.items():
                alias = field.alias or field_name
                below = f"{at}.{alias}" if at else kind.key(alias)
                if at and alias == name and below not in found:
                    found.append(below)
                walk(field.annotation, below)

    walk(kind.model, "")
    return found
