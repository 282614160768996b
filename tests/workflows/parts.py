"""The workflows as data, and their scripts run as a runner does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support import ROOT

__all__ = [
    "FOLDER",
    "NAMES",
    "SIGN",
    "Clone",
    "cloned",
    "every_job",
    "job",
    "jobs",
    "named",
    "ran",
    "script",
    "steps",
    "text",
    "workflow",
]

FOLDER = ROOT / ".github" / "workflows"
NAMES = tuple(sorted(path.stem for path in FOLDER.iterdir()))
SIGN = ("approve", "observe", "promote")
"""What signs statements, each as nothing else may."""


def text(name: str) -> str:
    return (FOLDER / f"{name}.yml").read_text(encoding="utf-8")


def workflow(name: str) -> dict[str, Any]:
    """Every scalar as text, so that ``on`` is a key and not true."""
    return yaml.load(text(name), Loader=yaml.BaseLoader)  # noqa: S506 - it makes nothing but text


def jobs(name: str) -> dict[str, Any]:
    return workflow(name)["jobs"]


def job(name: str) -> dict[str, Any]:
    """The workflow's only job, or the one of its own name."""
    every = jobs(name)
    return every[name] if name in every else next(iter(every.values()))


def steps(name: str) -> list[dict[str, Any]]:
    return job(name)["steps"]


def named(name: str, step: str, key: str | None = None) -> dict[str, Any]:
    (found,) = [each for each in (jobs(name)[key] if key else job(name))["steps"] if each.get("name") == step]
    return found


def script(name: str, step: str) -> str:
    return named(name, step)["run"]


def every_job() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name in NAMES:
        for key, each in jobs(name).items():
            yield name, key, each


def ran(directory: Path, text: str, programs: dict[str, str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script as a runner does, with programs of our own first on PATH."""
    for name, source in programs.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
        file.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(directory),
        **variables,
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Clone:
    """A clone of a repository, at the commit that a run was started for."""

    root: Path
    remote: Path

    def git(self, *arguments: str, at: Path | None = None) -> str:
        identity = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com")
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=at or self.root, check=True, capture_output=True, text=True).stdout.strip()

    def elsewhere(self, file: str) -> str:
        """Somebody pushes to main from another clone; answers the commit."""
        other = self.root.parent / "other"
        if not other.exists():
            self.git("clone", "--quiet", str(self.remote), str(other))
        path = other / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.read_text() if path.exists() else ''}more\n")
        self.git("add", "--all", at=other)
        self.git("commit", "--quiet", "--message", file, at=other)
        self.git("push", "--quiet", "origin", "HEAD:main", at=other)
        return self.git("rev-parse", "HEAD", at=other)


def cloned(tmp_path: Path) -> Clone:
    """A new repository with one commit on main."""
    made = Clone(tmp_path / "clone", tmp_path / "remote.git")
    made.git("init", "--quiet", "--bare", "--initial-branch=main", str(made.remote), at=tmp_path)
    made.git("clone", "--quiet", str(made.remote), str(made.root), at=tmp_path)
    made.git("checkout", "--quiet", "-b", "main")
    (made.root / "Pulumi.yaml").write_text("name: ladder\n")
    made.git("add", "--all")
    made.git("commit", "--quiet", "--message", "The ladder")
    made.git("push", "--quiet", "origin", "main")
    return made
