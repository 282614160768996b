"""Lints the workflows: ``python -m tests.workflows``."""

from __future__ import annotations

import sys

from ladder.errors import CheckFailed
from sandbox.progress import shown
from tests.workflows.lint import actionlint, zizmor


def main() -> None:
    """Print what either linter finds; exit 1 where one finds anything."""
    try:
        with shown() as progress:
            found = [*actionlint(progress), *zizmor()]
    except CheckFailed as error:
        found = [str(error)]
    for each in found:
        print(each)
    sys.exit(1 if found else 0)


main()
