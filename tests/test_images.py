"""Every image: linted, and what its Dockerfile takes for granted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.images import lint
from tests.support import ROOT

DOCKERFILES = ("ladder/seed/Dockerfile", "previews/Dockerfile")
every_image = pytest.mark.parametrize("name", DOCKERFILES)


def test_every_image_is_among_them() -> None:
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    found = {path.relative_to(ROOT).as_posix() for folder in folders for path in folder.rglob("Dockerfile")}
    assert {name for name in found if "node_modules" not in name and ".venv" not in name} == {*DOCKERFILES}


@every_image
def test_the_linter_finds_nothing(name: str) -> None:
    linted = lint(ROOT / name)
    assert (linted.code, linted.found) == (0, "")


@every_image
def test_the_linter_would_find_something(name: str, tmp_path: Path) -> None:
    broken = tmp_path / "Dockerfile"
    broken.write_text((ROOT / name).read_text(encoding="utf-8").replace("WORKDIR /opt", "WORKDIR opt"), "utf-8")
    linted = lint(broken)
    assert (linted.code, "DL3000" in linted.found) == (1, True)


@every_image
def test_it_runs_as_nobody_in_particular_on_a_base_that_is_named_when_it_is_built(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = text.splitlines()
    assert [line for line in lines if line.startswith(("ARG ", "USER "))] == ["ARG BASE", "USER 65532:65532"]
    assert {line.split()[1] for line in lines if line.startswith("FROM ")} == {"${BASE}"}
    pinned = re.search(r"uv==([0-9.]+)", text)
    assert pinned is not None
    assert f"UV_VERSION={pinned[1]}\n" in (ROOT / "scripts" / "bootstrap").read_text(encoding="utf-8")
