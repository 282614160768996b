"""The image: what it is made of is enough to run, without Docker being there to build it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.images import build
from tests.support import ROOT

pytestmark = pytest.mark.exhaustive


def test_the_files_and_packages_that_it_copies_are_enough(tmp_path: Path) -> None:
    image = build(ROOT / "previews" / "Dockerfile", tmp_path)
    programs = "previews.__main__, previews.reaper"
    code = f"import {programs}, importlib.util as u; print(u.find_spec('pulumi'), u.find_spec('boto3'))"
    done = image.run(".venv/bin/python", "-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "None None\n", "")
    told = image.run(".venv/bin/python", "-m", "previews", "missing.yaml")
    assert (told.returncode, told.stderr.startswith("missing.yaml: cannot be read")) == (2, True)
