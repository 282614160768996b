"""From files, or from the engine's configuration, to validated settings: one way in, every error in one report."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from ladder.contract.rules import Violation, across_stacks, within_stack
from ladder.contract.stack import StackSettings
from ladder.errors import InputError, Problem
from ladder.strict_yaml import Document, YamlPath, dotted, load

if TYPE_CHECKING:
    import pulumi

__all__ = [
    "CONFIG_NAMESPACE",
    "ladder_settings",
    "settings_from_config",
    "settings_from_mapping",
    "stack_file",
    "stack_names",
    "stack_settings",
]

CONFIG_NAMESPACE = "ladder"
"""The project's name: the prefix of its configuration keys."""

_NO_DEFAULT_PROVIDERS = "pulumi:disable-default-providers"
_ENGINE_KEYS = frozenset({"encryptionsalt", "secretsprovider", "encryptedkey"})
_SECTIONS = {field.alias or name: field for name, field in StackSettings.model_fields.items()}


def stack_names(root: Path) -> tuple[str, ...]:
    """The stacks that have a file ``Pulumi.<stack>.yaml`` in the project's root, sorted."""
    return tuple(sorted(path.name.split(".")[1] for path in root.glob("Pulumi.*.yaml") if path.name.count(".") == 2))


def stack_file(root: Path, stack: str) -> Path:
    """The stack's file. Raises InputError naming the stacks there are."""
    known = stack_names(root)
    if stack not in known:
        close = difflib.get_close_matches(stack, known, n=1)
        raise InputError(
            Problem(
                file=f"Pulumi.{stack}.yaml",
                message="there is no such stack",
                found=stack,
                accepted=", ".join(known) or "no stack at all: no Pulumi.<stack>.yaml in this directory",
                example=close[0] if close else "",
            )
        )
    return root / f"Pulumi.{stack}.yaml"


def stack_settings(root: Path, stack: str) -> StackSettings:
    """One stack's settings, read offline from its file. Raises InputError with every problem found."""
    document = load(stack_file(root, stack))
    return _from_document(document)


def ladder_settings(root: Path) -> dict[str, StackSettings]:
    """Every stack's settings, each valid by itself and all of them together. Raises InputError with every problem."""
    problems: list[Problem] = []
    stacks: dict[str, StackSettings] = {}
    documents: dict[str, Document] = {}
    for stack in stack_names(root):
        try:
            documents[stack] = load(stack_file(root, stack))
            stacks[stack] = _from_document(documents[stack])
        except InputError as error:
            problems.extend(error.problems)
    for stack, violation in across_stacks(stacks):
        problems.append(_violation_problem(violation, documents[stack]))
    if problems:
        raise InputError(problems)
    return stacks


def settings_from_config(config: pulumi.Config) -> StackSettings:
    """The settings of the stack the engine runs, through ``pulumi.Config`` only. Raises InputError."""
    name = "stack configuration"
    problems: list[Problem] = []
    sections: dict[str, Any] = {}
    for section in _SECTIONS:
        text = config.get(section)
        if text is None:
            continue
        try:
            sections[section] = json.loads(text)
        except ValueError:
            accepted = "a map, set in the stack's file"
            problems.append(
                Problem(file=name, path=_key(section), message="is not a map", found="text", accepted=accepted)
            )
    if problems:
        raise InputError(problems)
    return _validated(sections, Document(file=name, value=sections, lines={}), prefix=())


def settings_from_mapping(sections: Mapping[str, Any], *, name: str = "settings") -> StackSettings:
    """The settings of sections already in memory, ``{"environment": {…}, …}``. Raises InputError."""
    return _validated(sections, Document(file=name, value=sections, lines={}), prefix=())


def _from_document(document: Document) -> StackSettings:
    problems: list[Problem] = []
    config = document.value.get("config") if isinstance(document.value, dict) else None
    if not isinstance(config, dict):
        raise InputError(
            Problem(
                file=document.file,
                line=document.line(("config",)) or 1,
                path="config",
                message="is missing or not a map",
                found=type(document.value).__name__ if not isinstance(document.value, dict) else "no map",
                accepted="a map of configuration keys",
                example="config:\n      ladder:environment: {name: dev, rung: dev, owner: team-platform}",
            )
        )
    for key in document.value:
        if key != "config" and key not in _ENGINE_KEYS:
            accepted = ", ".join(["config", *sorted(_ENGINE_KEYS)])
            problems.append(_problem(document, (key,), "is an unknown key", key, accepted))
    if config.get(_NO_DEFAULT_PROVIDERS) != ["*"]:
        problems.append(
            _problem(
                document,
                ("config", _NO_DEFAULT_PROVIDERS),
                "must forbid default providers, which would follow ambient credentials",
                json.dumps(config.get(_NO_DEFAULT_PROVIDERS)),
                '["*"]',
                f'{_NO_DEFAULT_PROVIDERS}: ["*"]',
            )
        )
    sections: dict[str, Any] = {}
    for key, value in config.items():
        namespace, _, section = key.partition(":")
        if namespace == CONFIG_NAMESPACE and section in _SECTIONS:
            sections[section] = value
        elif key != _NO_DEFAULT_PROVIDERS:
            problems.append(_unknown_key(document, key))
    try:
        settings = _validated(sections, document, prefix=("config",))
    except InputError as error:
        raise InputError([*problems, *error.problems]) from error
    if problems:
        raise InputError(problems)
    return settings


def _unknown_key(document: Document, key: str) -> Problem:
    path = ("config", key)
    names = [_key(section) for section in _SECTIONS]
    places = [place for place in _places(key.rpartition(":")[2]) if place]
    close = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
    example = f"it belongs to {places[0]}" if places else (f"did you mean {close[0]}?" if close else "")
    return _problem(document, path, "is an unknown key", key, ", ".join([_NO_DEFAULT_PROVIDERS, *names]), example)


def _validated(sections: Mapping[str, Any], document: Document, prefix: YamlPath) -> StackSettings:
    try:
        settings = StackSettings.model_validate_json(json.dumps(sections))
    except ValidationError as error:
        raise InputError(_pydantic_problems(error, sections, document, prefix)) from error
    violations = [_violation_problem(violation, document, prefix) for violation in within_stack(settings)]
    if violations:
        raise InputError(violations)
    return settings


def _key(section: str | int) -> str:
    return f"{CONFIG_NAMESPACE}:{section}"


def _file_path(path: YamlPath, prefix: YamlPath) -> YamlPath:
    return (*prefix, _key(path[0]), *path[1:]) if path else prefix


def _violation_problem(violation: Violation, document: Document, prefix: YamlPath = ("config",)) -> Problem:
    path = _file_path(violation.path, prefix)
    return _problem(document, path, violation.message, violation.found, violation.accepted, violation.example)


def _problem(document: Document, path: YamlPath, message: str, found: str, accepted: str, example: str = "") -> Problem:
    return Problem(
        file=document.file,
        line=document.line(path),
        path=dotted(path),
        message=message,
        found=found,
        accepted=accepted,
        example=example,
    )


_TAGS = frozenset({"on", "off"})


def _pydantic_problems(
    error: ValidationError, sections: Mapping[str, Any], document: Document, prefix: YamlPath
) -> Iterable[Problem]:
    for item in error.errors(include_url=False):
        path = tuple(part for part in item["loc"] if part not in _TAGS or _stands(sections, item["loc"], part))
        context: Mapping[str, Any] = item.get("ctx", {})
        found = _shown(_value(sections, path))
        message, accepted, example = item["msg"], str(context.get("accepted", "")), str(context.get("example", ""))
        model, field = _field(path)
        match item["type"]:
            case "missing":
                message, found = "is missing", "no such key"
                accepted = "every key stands in every environment"
                example = example or _example(path, field)
            case "extra_forbidden":
                message = "is an unknown key"
                found = str(path[-1])
                accepted = ", ".join(_aliases(model)) if model else "no key here"
                example = _hint(path, model)
            case "ladder":
                pass
            case _:
                accepted = accepted or str(context.get("expected", "")) or message[0].lower() + message[1:]
                example = example or _example(path, field)
                message = "is not accepted"
        yield _problem(document, _file_path(path, prefix), message, found, accepted, example)


def _stands(sections: Mapping[str, Any], loc: tuple[Any, ...], part: Any) -> bool:
    """Whether a location's ``on``/``off`` is a key of the file rather than pydantic's name for one side of a switch."""
    value: Any = sections
    for step in loc:
        if step == part:
            return isinstance(value, Mapping) and part in value
        value = value.get(step) if isinstance(value, Mapping) else None
    return False


def _value(sections: Any, path: YamlPath) -> Any:
    for part in path:
        try:
            sections = sections[part]
        except (KeyError, IndexError, TypeError):
            return None
    return sections


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models an annotation can hold, through unions, Annotated and maps."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    arguments = getattr(annotation, "__args__", ())
    return [model for argument in arguments for model in _models(argument)]


def _is_map(annotation: Any) -> bool:
    origin = getattr(annotation, "__origin__", None)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return True
    return False


def _field(path: YamlPath) -> tuple[type[BaseModel] | None, Any]:
    """The model that holds the path's last key, and the field there (None for an unknown key or a map's key)."""
    models: list[type[BaseModel]] = [StackSettings]
    holder: type[BaseModel] | None = None
    field: Any = None
    in_map = False
    for part in path:
        if in_map:
            holder, field, in_map = None, None, False
            continue
        holder, field = (models[-1] if models else None), None
        for model in models:
            for name, candidate in model.model_fields.items():
                if (candidate.alias or name) == part:
                    holder, field = model, candidate
        if field is not None:
            models = _models(field.annotation)
            in_map = _is_map(field.annotation)
    return holder, field


def _aliases(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _example(path: YamlPath, field: Any) -> str:
    examples = getattr(field, "examples", None)
    return f"{path[-1]}: {examples[0]}" if examples and path else ""


def _hint(path: YamlPath, model: type[BaseModel] | None) -> str:
    places = _places(str(path[-1]))
    close = difflib.get_close_matches(str(path[-1]), _aliases(model) if model else [], n=1)
    if close:
        return f"did you mean {close[0]}?"
    return f"it belongs to {places[0]}" if places else ""


def _places(key: str) -> list[str]:
    """Where in the contract a key of this name stands."""
    found: list[str] = []

    def walk(model: type[BaseModel], at: str) -> None:
        for name, field in model.model_fields.items():
            alias = field.alias or name
            if alias == key and at:
                found.append(f"{at}.{alias}")
            below = f"{at}.{alias}" if at else _key(alias)
            for child in _models(field.annotation):
                walk(child, below + ".<name>" if _is_map(field.annotation) else below)

    walk(StackSettings, "")
    return found
