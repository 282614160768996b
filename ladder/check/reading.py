"""Reading a whole project: the stacks' settings and the tree that they say where to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from ladder.contract import CONFIG_NAMESPACE, StackSettings, ladder_settings, stack_file, stack_names
from ladder.contract.seed import read_seed
from ladder.contract.types import TreePath
from ladder.errors import InputError, Problem
from ladder.strict_yaml import examine
from ladder.tree import Tree, begin_tree
from sandbox.progress import Progress

__all__ = ["begin_reading"]

_TREE_PATH: TypeAdapter[str] = TypeAdapter(TreePath)


def begin_reading(
    root: Path, progress: Progress, *, equal: bool = True
) -> tuple[Mapping[str, StackSettings], Callable[[], Tree]]:
    """The settings, and the tree as it is being read. Raises InputError with the problems of both, where any are.

    ``equal`` false leaves it to the caller what differs and has neither a reason to nor an exception.
    """
    progress.step("read the stacks and the tree")
    path = _tree_path(root)
    begun = begin_tree(root, path, equal=equal) if path else None
    problems: list[Problem] = []
    try:
        settings = ladder_settings(root, equal=equal)
        read_seed(root, settings)
        if begun is not None:
            return settings, begun
    except InputError as error:
        problems += error.problems
    try:
        if begun is not None:
            begun()
    except InputError as error:
        problems += error.problems
    raise InputError(dict.fromkeys(problems))


def _tree_path(root: Path) -> str:
    """Where the first stack's file that says so puts the tree, sound or not in all else; empty where none does."""
    for stack in stack_names(root):
        try:
            value = examine(stack_file(root, stack)).value
        except InputError:
            continue
        for key in ("config", f"{CONFIG_NAMESPACE}:delivery", "path"):
            value = cast("Mapping[str, Any]", value).get(key) if isinstance(value, Mapping) else None
        try:
            return _TREE_PATH.validate_python(value)
        except ValidationError:
            continue
    return ""
