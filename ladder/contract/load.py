"""From files, or from the engine's configuration, to validated settings: one way in, every error in one report."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from ladder.contract.across import across_stacks, equal_everywhere
from ladder.contract.exceptions import live, read_exceptions
from ladder.contract.problems import (
    CONFIG_NAMESPACE,
    key,
    of_secrets,
    of_unknown_key,
    of_validation,
    of_violation,
    problem,
)
from ladder.contract.rules import within_stack
from ladder.contract.stack import StackSettings
from ladder.errors import InputError, Problem
from ladder.strict_yaml import Document, YamlPath, examine

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

_NO_DEFAULT_PROVIDERS = "pulumi:disable-default-providers"
_TOP_KEYS = frozenset({"config", "encryptionsalt", "secretsprovider", "encryptedkey"})
_SECTIONS = tuple(field.alias or name for name, field in StackSettings.model_fields.items())


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
    return _from_document(examine(stack_file(root, stack)))


def ladder_settings(root: Path, *, equal: bool = True) -> dict[str, StackSettings]:
    """Every stack's settings, each valid by itself and all of them together. Raises InputError with every problem.

    ``equal`` false leaves it to the caller what differs between stacks and has neither a reason to nor an exception.
    """
    problems: list[Problem] = []
    stacks: dict[str, StackSettings] = {}
    documents: dict[str, Document] = {}
    for stack in stack_names(root):
        try:
            documents[stack] = examine(stack_file(root, stack))
            stacks[stack] = _from_document(documents[stack])
        except InputError as error:
            problems.extend(error.problems)
    together = list(across_stacks(stacks))
    if equal:
        try:
            together += equal_everywhere(stacks, live(read_exceptions(root)))
        except InputError as error:
            problems.extend(error.problems)
    problems += [of_violation(violation, documents[stack]) for stack, violation in together]
    if problems:
        raise InputError(problems)
    return stacks


def settings_from_config(config: pulumi.Config) -> StackSettings:
    """The settings of the stack the engine runs, through ``pulumi.Config`` only. Raises InputError."""
    from pulumi.runtime.config import get_config_secret_keys_env, is_config_secret

    document = Document(file="stack configuration", value=None, lines={})
    problems: list[Problem] = []
    sections: dict[str, Any] = {}
    for section in _SECTIONS:
        name = key(section)
        if is_config_secret(name) or name in get_config_secret_keys_env():
            problems += of_secrets({"secure": ""}, document, (name,))
            continue
        text = config.get(section)
        if text is None:
            continue
        try:
            sections[section] = json.loads(text)
        except ValueError:
            problems.append(problem(document, (name,), "is not a map", "text", "a map, set in the stack's file"))
    if problems:
        raise InputError(problems)
    return _validated(sections, document, prefix=())


def settings_from_mapping(sections: Mapping[str, Any], *, name: str = "settings") -> StackSettings:
    """The settings of sections already in memory, ``{"environment": {…}, …}``. Raises InputError."""
    return _validated(sections, Document(file=name, value=sections, lines={}), prefix=())


def _from_document(document: Document) -> StackSettings:
    problems = list(document.problems)
    top = cast("Mapping[str, Any]", document.value if isinstance(document.value, dict) else {})
    problems += [_unknown_at_top(document, name, value) for name, value in top.items() if name not in _TOP_KEYS]
    config: Any = top.get("config")
    if not isinstance(config, dict):
        example = f"config: {{{key('environment')}: {{name: dev, rung: dev, owner: team-platform}}, …}}"
        found = "no such key" if "config" not in top else "no map"
        accepted = "a map of configuration keys"
        problems.append(problem(document, ("config",), "is missing or not a map", found, accepted, example))
        raise InputError(problems)
    values = cast("Mapping[str, Any]", config)
    problems += _default_providers(document, values)
    problems += of_secrets(values, document, ("config",))
    sections: dict[str, Any] = {}
    for name, value in values.items():
        namespace, _, section = name.partition(":")
        if namespace == CONFIG_NAMESPACE and section in _SECTIONS:
            sections[section] = value
        elif name != _NO_DEFAULT_PROVIDERS:
            accepted = [_NO_DEFAULT_PROVIDERS, *(key(known) for known in _SECTIONS)]
            problems.append(of_unknown_key(document, ("config", name), accepted))
    try:
        settings = _validated(sections, document, prefix=("config",))
    except InputError as error:
        explained = tuple(f"{found.path}." for found in problems if found.path)
        further = (found for found in error.problems if not f"{found.path}.".startswith(explained))
        raise InputError(sorted([*problems, *further], key=lambda found: found.line)) from error
    if problems:
        raise InputError(problems)
    return settings


def _unknown_at_top(document: Document, name: str, value: Any) -> Problem:
    if name == "environment" and not isinstance(value, dict):
        return problem(
            document,
            (name,),
            "imports an ESC environment, which only Pulumi Cloud can read",
            json.dumps(value),
            "settings that stand in this file, below config",
        )
    return of_unknown_key(document, (name,), sorted(_TOP_KEYS))


def _default_providers(document: Document, config: Mapping[str, Any]) -> list[Problem]:
    given = config.get(_NO_DEFAULT_PROVIDERS)
    if given == ["*"]:
        return []
    message = "must forbid default providers, which would follow ambient credentials"
    example = f'{_NO_DEFAULT_PROVIDERS}: ["*"]'
    path = ("config", _NO_DEFAULT_PROVIDERS)
    return [problem(document, path, message, json.dumps(given), '["*"]', example)]


def _validated(sections: Mapping[str, Any], document: Document, prefix: YamlPath) -> StackSettings:
    try:
        settings = StackSettings.model_validate_json(json.dumps(sections))
    except ValidationError as error:
        raise InputError(of_validation(error, sections, document, prefix)) from error
    violations = [of_violation(violation, document, prefix) for violation in within_stack(settings)]
    if violations:
        raise InputError(violations)
    return settings
