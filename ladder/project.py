"""Where the project is: the directory that holds ``Pulumi.yaml`` and the program."""

from __future__ import annotations

import os
from pathlib import Path

from ladder.errors import InputError, Problem

__all__ = ["ROOT_VARIABLE", "root"]

ROOT_VARIABLE = "LADDER_ROOT"


def root() -> Path:
    """The project's root: ``LADDER_ROOT`` if set, else the nearest directory upwards with a ``Pulumi.yaml``.

    Raises InputError where there is none.
    """
    given = os.environ.get(ROOT_VARIABLE)
    start = (Path(given) if given else Path.cwd()).resolve()
    candidates = [start] if given else [start, *start.parents]
    for directory in candidates:
        if (directory / "Pulumi.yaml").is_file():
            return directory
    raise InputError(
        Problem(
            file="Pulumi.yaml",
            message="not found",
            found=f"no Pulumi.yaml in {start}" + ("" if given else " or above"),
            accepted="a directory inside the project",
            example=f"cd environment-ladder, or {ROOT_VARIABLE}=path/to/environment-ladder",
        )
    )
