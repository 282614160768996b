"""Files of Go modules: fetched by the go command, and held against the checksums that a ``go.sum`` pins."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ladder.errors import CheckFailed
from sandbox.progress import Progress
from sandbox.toolchain import find_go, go_environment, required_version

__all__ = ["Archive", "fetch", "pinned_version"]


@dataclass(frozen=True, slots=True)
class Archive:
    """One version of a module, as the zip archive whose checksum was verified."""

    module: str
    version: str
    path: Path

    @property
    def root(self) -> str:
        """The folder that every file of the archive is in."""
        return f"{self.module}@{self.version}"

    def read(self, member: str) -> bytes:
        with zipfile.ZipFile(self.path) as files:
            return files.read(f"{self.root}/{member}")

    def extract(self, directory: Path) -> Path:
        """Unpack all of it; returns the module's own folder."""
        with zipfile.ZipFile(self.path) as files:
            files.extractall(directory)
        return directory / self.root


def pinned_version(directory: Path, module: str) -> str:
    """The version of ``module`` that the go.mod in ``directory`` requires, e.g. ``v1.36.3``."""
    requirement = rf"^(?:require)?\s*{re.escape(module)} (v\S+)(?: // indirect)?$"
    found = re.search(requirement, (directory / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{directory / 'go.mod'} does not require {module}")
    return found[1]


def fetch(directory: Path, modules: Iterable[str], cache: Path, progress: Progress) -> dict[str, Archive]:
    """The archive of each module that the go.mod in ``directory`` requires, by its name.

    A module may ask for a newer Go than there is; fetching and checking it needs no more than any, so that what go
    says about it is not an error, and a missing archive or a wrong checksum is: that raises CheckFailed.
    """
    versions = {module: pinned_version(directory, module) for module in modules}
    sums = _sums(directory)
    go = find_go(required_version(directory), cache, progress)
    environment = {**go_environment(os.environ), "GOFLAGS": "-mod=mod"}
    command = [go, "mod", "download", "-json", *(f"{module}@{version}" for module, version in versions.items())]
    with tempfile.TemporaryDirectory(dir=cache, prefix=".modules.") as scratch:
        for name in ("go.mod", "go.sum"):
            shutil.copy(directory / name, scratch)
        done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, check=False)
    archives: dict[str, Archive] = {}
    for answer in _objects(done.stdout):
        module = str(answer["Path"])
        version, checksum = versions[module], sums.get((module, versions[module]), "unpinned")
        if answer.get("Sum") != checksum or "Zip" not in answer:
            what = answer.get("Error") or f"its checksum is {answer.get('Sum')}, not {checksum}"
            raise CheckFailed(f"{module}@{version} could not be fetched: {what}")
        archives[module] = Archive(module, version, Path(str(answer["Zip"])))
    if archives.keys() != versions.keys():
        raise CheckFailed(f"{', '.join(versions)} could not be fetched:\n{done.stderr[-2000:]}")
    return archives


def _sums(directory: Path) -> dict[tuple[str, str], str]:
    lines = (line.split() for line in (directory / "go.sum").read_text().splitlines())
    return {(module, version): checksum for module, version, checksum in lines}


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that follow each other in ``text``."""
    decoder, position = json.JSONDecoder(), 0
    while (position := _skip_space(text, position)) < len(text):
        value, position = decoder.raw_decode(text, position)
        yield value


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position
