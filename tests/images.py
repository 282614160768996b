"""Container images without Docker: their Dockerfile read and linted, and its steps made in a folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT

__all__ = ["Built", "Linted", "build", "lint"]


@dataclass(frozen=True, slots=True)
class Linted:
    """How the linter ended, and what it found."""

    code: int
    found: str


def lint(dockerfile: Path) -> Linted:
    """What hadolint says of the file."""
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([linter, dockerfile], capture_output=True, text=True, check=False)
    return Linted(done.returncode, done.stdout)


@dataclass(frozen=True, slots=True)
class Built:
    """What an image holds, at ``root`` for its working directory, and the environment that runs in it."""

    root: Path
    environment: dict[str, str]

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run in the image: nothing of this process's environment is there."""
        environment = self.environment | more
        program = shutil.which(command[0], path=environment["PATH"]) or str(self.root / command[0])
        arguments = [program, *command[1:]]
        return subprocess.run(arguments, cwd=self.root, env=environment, capture_output=True, text=True, check=False)


def build(dockerfile: Path, root: Path) -> Built:
    """Its steps in a folder: the group's packages alone, the files that COPY names alone, its variables."""
    text = dockerfile.read_text(encoding="utf-8").replace("\\\n", "")
    (workdir,) = set(re.findall(r"(?m)^WORKDIR (\S+)$", text))
    text = text.replace(workdir, str(root))
    for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", text):
        *sources, target = line.split()
        for source in (found for each in sources for found in sorted(ROOT.glob(each))):
            _copy(source, root / target)
    bootstrap = subprocess.run([ROOT / "scripts" / "bootstrap"], stdout=subprocess.PIPE, text=True, check=True)
    uv = bootstrap.stdout.strip()
    (sync,) = re.findall(r"(?m)^RUN uv (sync .+)$", text)
    options = sync.replace(" --no-cache", "").replace("--python python3", f"--python {sys.executable}").split()
    without = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "VIRTUAL_ENV"))}
    subprocess.run([uv, *options], cwd=root, check=True, capture_output=True, env=without)
    for line in re.findall(r"(?m)^RUN (?!uv |python3 -m pip)(.+)$", text):
        subprocess.run(["sh", "-ec", line], cwd=root, check=True, capture_output=True)
    environment = {"PATH": os.defpath}
    for line in re.findall(r"(?m)^ENV (.+)$", text):
        for name, _, value in (each.partition("=") for each in line.split()):
            environment[name] = value.replace("$PATH", environment["PATH"])
    return Built(root, environment)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        return
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
