"""Where the project is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ladder import project
from ladder.contract import CONFIG_NAMESPACE
from ladder.errors import InputError
from ladder.strict_yaml import load
from tests.support import ROOT


@pytest.fixture(autouse=True)
def _no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LADDER_ROOT", raising=False)


def test_the_root_is_the_nearest_directory_upwards_with_a_pulumi_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "outer" / "inner" / "folder"
    inner.mkdir(parents=True)
    (tmp_path / "outer" / "Pulumi.yaml").touch()
    (tmp_path / "outer" / "inner" / "Pulumi.yaml").touch()
    monkeypatch.chdir(inner)
    assert project.root() == tmp_path / "outer" / "inner"
    monkeypatch.chdir(tmp_path / "outer")
    assert project.root() == tmp_path / "outer"


def test_ladder_root_wins_and_is_not_searched_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Pulumi.yaml").touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("LADDER_ROOT", str(tmp_path))
    assert project.root() == tmp_path
    monkeypatch.setenv("LADDER_ROOT", str(tmp_path / "folder"))
    with pytest.raises(InputError):
        project.root()


@pytest.mark.parametrize("given", [None, "nowhere", "file"])
def test_outside_a_project_the_error_says_where_it_looked(
    given: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    if given:
        monkeypatch.setenv("LADDER_ROOT", str(tmp_path / given))
    with pytest.raises(InputError) as caught:
        project.root()
    (problem,) = caught.value.problems
    assert (problem.file, problem.message) == ("Pulumi.yaml", "not found")
    assert str(tmp_path) in problem.found
    assert "LADDER_ROOT" in problem.example


def test_the_projects_name_is_the_prefix_of_its_configuration() -> None:
    assert load(ROOT / "Pulumi.yaml").value["name"] == CONFIG_NAMESPACE


def test_no_configuration_stands_in_the_project_file_where_it_would_be_read_by_the_engine_alone() -> None:
    assert "config" not in load(ROOT / "Pulumi.yaml").value
