"""Expressions of admission policies, evaluated by the package ``common-expression-language``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import cel

__all__ = ["evaluate"]

_COMMAND_LINE = "cel.cli"


def evaluate(expression: str, known: Mapping[str, Any]) -> Any:
    """What the expression comes to. Raises RuntimeError, TypeError or ValueError where it comes to nothing."""
    return _compiled(expression).execute(dict(known))


@lru_cache(maxsize=1024)
def _compiled(expression: str) -> cel.Program:
    return _package().compile(expression)


@lru_cache(maxsize=1)
def _package() -> ModuleType:
    """The package without its own command line, which brings a terminal toolkit: most of a second for nothing."""
    is_loaded = _COMMAND_LINE in sys.modules
    sys.modules.setdefault(_COMMAND_LINE, ModuleType(_COMMAND_LINE))
    try:
        return importlib.import_module("cel")
    finally:
        if not is_loaded:
            del sys.modules[_COMMAND_LINE]
