"""Binaries that are built from a published module with an edit made in it, and what such a module must be."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ladder.errors import CheckFailed
from sandbox.binaries import Edit, Target, ensure
from sandbox.modules import fetch, pinned_version
from sandbox.paths import cache_dir
from sandbox.progress import Silent
from sandbox.toolchain import find_go

pytestmark = pytest.mark.servers  # may have to fetch a Go toolchain first, as the real servers do

NAME, VERSION = "ladder.example/published", "v1.2.3"
SOURCE = 'package main\n\nvar version = "unknown"\n\nfunc main() { println("0.0.0.0", version) }\n'


@dataclass(frozen=True)
class Published:
    """A module on a proxy of the test's own, and a directory that pins it."""

    pins: Path
    environment: Mapping[str, str]

    def target(self, *edits: Edit, stamps: tuple[str, ...] = ("main.version={version}",)) -> Target:
        return Target("hello", f"{NAME}/cmd/hello", self.pins, NAME, stamps, edits)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Published]:
    go = find_go((1, 26, 0), cache_dir(), Silent())
    versions = tmp_path / "proxy" / NAME / "@v"
    versions.mkdir(parents=True)
    gomod = f"module {NAME}\n\ngo 1.21\n"
    (versions / f"{VERSION}.info").write_text(json.dumps({"Version": VERSION}))
    (versions / f"{VERSION}.mod").write_text(gomod)
    with zipfile.ZipFile(versions / f"{VERSION}.zip", "w") as archive:
        archive.writestr(f"{NAME}@{VERSION}/go.mod", gomod)
        archive.writestr(f"{NAME}@{VERSION}/cmd/hello/main.go", SOURCE)
    settings = {
        "GOPROXY": (tmp_path / "proxy").as_uri(),
        "GONOSUMDB": "ladder.example",
        "GOMODCACHE": str(tmp_path / "modules"),
        "PATH": f"{go.parent}{os.pathsep}{os.environ['PATH']}",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    pins = tmp_path / "pins"
    pins.mkdir()
    (pins / "go.mod").write_text(f"module ladder.example/pins\n\ngo 1.21\n\nrequire {NAME} {VERSION}\n")
    command = [go, "mod", "download", "-json", f"{NAME}@{VERSION}"]
    told = json.loads(subprocess.run(command, cwd=pins, capture_output=True, check=True).stdout)
    lines = (f"{NAME} {VERSION} {told['Sum']}", f"{NAME} {VERSION}/go.mod {told['GoModSum']}")
    (pins / "go.sum").write_text("\n".join(lines) + "\n")
    yield Published(pins, dict(os.environ))
    subprocess.run([go, "clean", "-modcache"], check=True)


def says(binary: Path) -> str:
    return subprocess.run([binary], capture_output=True, check=True, text=True).stderr.strip()


def test_edit_and_version_are_in_the_binary(tmp_path: Path, published: Published) -> None:
    (tmp_path / "cache").mkdir()
    edit = Edit("cmd/hello/main.go", '"0.0.0.0"', '"127.0.0.1"')
    found = [
        ensure(Silent(), targets=[target], cache=tmp_path / "cache", environment=published.environment)["hello"]
        for target in (published.target(), published.target(edit), published.target(edit, stamps=()))
    ]
    assert [says(path) for path in found] == ["0.0.0.0 v1.2.3", "127.0.0.1 v1.2.3", "127.0.0.1 unknown"]
    left = [path for path in (tmp_path / "cache" / "binaries").rglob("*") if path.is_file()]
    assert sorted(path.name for path in left if path.suffix != ".lock") == ["hello"] * 3


@pytest.mark.parametrize("old", ['"0.0.0.1"', "n"])
def test_edit_that_was_written_for_another_source_is_refused(tmp_path: Path, published: Published, old: str) -> None:
    target = published.target(Edit("cmd/hello/main.go", old, "x"))
    (tmp_path / "cache").mkdir()
    with pytest.raises(CheckFailed, match=r"published/cmd/hello/main\.go is not as expected"):
        ensure(Silent(), targets=[target], cache=tmp_path / "cache", environment=published.environment)
    assert not target.path(tmp_path / "cache").exists()


def test_source_that_is_not_what_the_checksum_says_is_refused(tmp_path: Path, published: Published) -> None:
    sums = published.pins / "go.sum"
    sums.write_text(sums.read_text().replace("h1:", "h1:AAAA", 1))
    with pytest.raises(CheckFailed, match=r"(?s)published could not be fetched.*checksum mismatch"):
        fetch(published.pins, [NAME], tmp_path, Silent())


@pytest.mark.parametrize(
    "text",
    [f"require {NAME} v1.2.3\n", f"require (\n\t{NAME} v1.2.3\n)\n", f"require (\n\t{NAME} v1.2.3 // indirect\n)\n"],
)
def test_version_is_read_from_every_way_to_require_a_module(tmp_path: Path, text: str) -> None:
    (tmp_path / "go.mod").write_text(f"module ladder.example/pins\n\ngo 1.21\n\n{text}")
    assert pinned_version(tmp_path, NAME) == "v1.2.3"
    with pytest.raises(ValueError, match=r"does not require ladder\.example/publish$"):
        pinned_version(tmp_path, "ladder.example/publish")
