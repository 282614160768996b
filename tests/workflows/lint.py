"""What two independent linters say of the workflows: actionlint of their form and scripts, zizmor of their safety."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sandbox.binaries import Target, ensure
from sandbox.progress import Progress
from tests.support import ROOT

__all__ = ["actionlint", "zizmor"]

ACTIONLINT = Target(
    "actionlint",
    "github.com/rhysd/actionlint/cmd/actionlint",
    ROOT / "tests" / "workflows",
    "github.com/rhysd/actionlint",
    ("github.com/rhysd/actionlint.version={version}",),
)


def actionlint(progress: Progress, directory: Path = ROOT) -> list[str]:
    """What actionlint finds, scripts included, a line each; it is built first where it is missing.

    Raises CheckFailed where it cannot be built.
    """
    binary = ensure(progress, targets=(ACTIONLINT,))[ACTIONLINT.name]
    scripts = [f"-shellcheck={_installed('shellcheck')}", "-pyflakes=", "-no-color", "-oneline"]
    return _lines([binary, *scripts, *sorted((directory / ".github" / "workflows").glob("*.yml"))])


def zizmor(directory: Path = ROOT) -> list[str]:
    """What zizmor's strictest persona finds, without asking anybody."""
    folder = directory / ".github" / "workflows"
    options = ["--offline", "--no-config", "--no-progress", "--persona=auditor", "--quiet"]
    return _lines([_installed("zizmor"), *options, folder])


def _installed(name: str) -> Path:
    return Path(sys.executable).with_name(name)


def _lines(command: list[str | Path]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return said or [f"{command[0]} ends with {done.returncode}"] if done.returncode else []
