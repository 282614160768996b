"""The image that fills stores: what it is made of is enough to run, and makes what the project makes."""

from __future__ import annotations

import json

import pytest

from tests.images import Built, build
from tests.support import ROOT, run_ladder

pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(ROOT / "ladder" / "seed" / "Dockerfile", tmp_path_factory.mktemp("image"))


def test_its_command_makes_the_projects_dataset(
    image: Built, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PATH by its name, as the chart's Job calls it."""
    arguments = ("seed", "preview", "--seed", "7", "--hash-only", "--format", "json")
    done = image.run("ladder", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    monkeypatch.setenv("LADDER_ROOT", str(ROOT))
    assert json.loads(done.stdout) == json.loads(run_ladder(capsys, *arguments).out)


def test_what_fills_is_there_and_pulumi_is_not(image: Built) -> None:
    code = "import ladder.seed.bucket, ladder.seed.database, importlib.util as u; print(u.find_spec('pulumi'))"
    done = image.run(".venv/bin/python", "-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")
    refused = image.run("ladder", "seed", "prod", "--format", "json")
    assert (refused.returncode, "is no class of data that may be filled in" in refused.stderr) == (2, True)


def test_without_arguments_it_says_how_it_is_used(image: Built) -> None:
    done = image.run("ladder", "seed", "--help")
    assert (done.returncode, "Fill ENVIRONMENT's PostgreSQL" in done.stdout) == (0, True)
