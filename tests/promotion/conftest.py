"""A ladder for each test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from ladder.contract.promotion import read_promotion
from tests.previews.serving import serving
from tests.promotion.places import Elsewhere, Place, settle
from tests.promotion.test_signing import AMBIENT
from tests.promotion.yards import Yard
from tests.sigstore_stand_in import Job, StandIn
from tests.support import copy_project


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    for name in (*AMBIENT, "GITHUB_TOKEN", "GITHUB_ACTOR", "BUILDS_TOKEN", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "promoter")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "promoter@example.com")
    root, bare = tmp_path / "clone", tmp_path / "bare.git"
    root.mkdir()
    copy_project(root)
    sigstore, elsewhere = StandIn(), Elsewhere()
    with serving(sigstore), serving(elsewhere):
        for name, value in (sigstore.environment | {"GITHUB_TOKEN": "ghs_0a", "LADDER_ROOT": str(root)}).items():
            monkeypatch.setenv(name, value)
        settle(root, sigstore, elsewhere)
        sigstore.job = Job.of(read_promotion(root).evidence.signers.request)
        here = Place(root, bare, sigstore, elsewhere, capsys)
        here.git("init", "--quiet", "--bare", "--initial-branch=main", str(bare), at=tmp_path)
        here.git("init", "--quiet", "--initial-branch=main")
        here.git("remote", "add", "origin", str(bare))
        here.keep("The ladder")
        yield here


@pytest.fixture(scope="session")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Yard, Mapping[str, str]]:
    yard = Yard(tmp_path_factory.mktemp("climbed"))
    return yard, yard.climbed()


@pytest.fixture
def yard(climbed: tuple[Yard, Mapping[str, str]], tmp_path: Path) -> Yard:
    """A build is in dev, cut, and soaked in staging."""
    return climbed[0].copied(tmp_path)


@pytest.fixture
def stated(climbed: tuple[Yard, Mapping[str, str]]) -> Mapping[str, str]:
    """What was stated of that in the yard, by its name."""
    return climbed[1]
