"""What several test modules share: the real stack files as data, copies of the project to break, and the command."""

from __future__ import annotations

import copy
import functools
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ladder import cli
from ladder.contract import StackSettings, settings_from_mapping
from ladder.strict_yaml import load

ROOT = Path(__file__).resolve().parent.parent
STACKS = ("dev", "prod", "staging")
PROGRAM = ("Pulumi.yaml", "Pulumi.dev.yaml", "Pulumi.prod.yaml", "Pulumi.staging.yaml", "__main__.py")


@functools.cache
def _sections(stack: str) -> dict[str, Any]:
    config: Mapping[str, Any] = load(ROOT / f"Pulumi.{stack}.yaml").value["config"]
    return {key.removeprefix("ladder:"): value for key, value in config.items() if key.startswith("ladder:")}


def settings_sections(stack: str) -> dict[str, Any]:
    """The sections of a real stack file, ``{"environment": {…}, …}``, free to be changed."""
    return copy.deepcopy(_sections(stack))


def settings_of(sections: Mapping[str, Any]) -> StackSettings:
    """Validated settings of sections in memory."""
    return settings_from_mapping(sections)


def put(sections: dict[str, Any], path: str, value: Any) -> None:
    """Set ``section.key.key``; the parents must stand there."""
    *parents, last = path.split(".")
    place: Any = sections
    for part in parents:
        place = place[part]
    place[last] = value


@dataclass(frozen=True)
class Project:
    """A copy of the project that may be broken."""

    root: Path

    def file(self, stack: str) -> Path:
        return self.root / f"Pulumi.{stack}.yaml"

    def text(self, stack: str) -> str:
        return self.file(stack).read_text(encoding="utf-8")

    def edit(self, stack: str, old: str, new: str) -> int:
        """Replace text that stands once in the stack's file; returns the line it is on."""
        text = self.text(stack)
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {stack}"
        self.file(stack).write_text(text.replace(old, new), encoding="utf-8")
        return text[: text.index(old)].count("\n") + 1

    def contents(self) -> dict[str, bytes]:
        """Every file and what is in it, to see that nothing was written."""
        files = (path for path in self.root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files}


def copy_project(root: Path) -> Project:
    """The program and its stack files, copied to a directory."""
    for name in PROGRAM:
        shutil.copy(ROOT / name, root / name)
    for folder in ("components", "schemas", "gitops"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Project(root)


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


def run_ladder(capsys: pytest.CaptureFixture[str], *arguments: str) -> Outcome:
    """Run ``ladder`` in this process."""
    capsys.readouterr()
    try:
        cli.main(list(arguments))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    said = capsys.readouterr()
    assert "Traceback" not in said.err, said.err
    return Outcome(code, said.out, said.err)


def command(*arguments: str) -> list[str]:
    """The same command for a process of its own."""
    return [sys.executable, "-c", "from ladder.cli import main; main()", *arguments]
