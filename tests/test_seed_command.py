"""``ladder seed`` without a store: whom it refuses, what it tells, and the hash alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.seeds import project_with, small
from tests.support import ROOT, copy_project, run_ladder


@pytest.mark.parametrize(
    ("environment", "file", "says"),
    [
        ("prod", "Pulumi.prod.yaml", "is no class of data that may be filled in"),
        ("stagin", "seed.yaml", "there is no such environment"),
    ],
)
def test_only_environments_of_synthetic_data_are_filled(
    environment: str,
    file: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(ROOT))
    for arguments in ((), ("--hash-only",), ("--only", "objects")):
        outcome = run_ladder(capsys, "seed", environment, *arguments, "--format", "json")
        assert (outcome.code, outcome.out) == (2, "")
        (problem,) = json.loads(outcome.err)["problems"]
        assert (problem["file"], says in problem["message"]) == (file, True)
        assert "preview, dev, staging" in problem["accepted"]


def test_an_anonymized_environment_is_not_filled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = small()
    for counts in (*(table["rows"] for table in shape["tables"].values()), shape["objects"]["uploads"]["count"]):
        del counts["staging"]
    project = project_with(tmp_path, shape)
    project.edit(
        "staging",
        "class: synthetic\n    procedure: null",
        f"class: anonymized\n    procedure: {{name: k, report: 'sha256:{'0' * 64}', owner: me, expires: '2999-12-31'}}",
    )
    monkeypatch.setenv("LADDER_ROOT", str(project.root))
    outcome = run_ladder(capsys, "seed", "staging", "--hash-only")
    assert outcome.code == 2
    assert "found: anonymized" in outcome.err
    assert run_ladder(capsys, "seed", "dev", "--hash-only").code == 0


def test_a_project_without_a_shape_fills_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(copy_project(tmp_path).root))
    outcome = run_ladder(capsys, "seed", "dev")
    assert outcome.code == 2
    assert "seed.yaml: is missing" in outcome.err


def test_the_hash_alone_needs_no_store(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(ROOT))
    monkeypatch.setenv("PGHOST", "/nowhere")
    told = [run_ladder(capsys, "seed", "preview", "--hash-only", "--format", "json") for _ in range(2)]
    assert [each.code for each in told] == [0, 0]
    assert told[0].out == told[1].out
    document = json.loads(told[0].out)
    assert (document["environment"], document["seed"], document["stores"]) == ("preview", 1, [])
    assert document["hash"] in run_ladder(capsys, "seed", "preview", "--hash-only").out
    assert document["hash"] not in run_ladder(capsys, "seed", "preview", "--hash-only", "--seed", "2").out


@pytest.mark.parametrize(
    "arguments", [("--seed", "-1"), ("--seed", "x"), ("--only", "all"), ("--hash-only", "--only", "objects")]
)
def test_a_wrong_option_is_refused(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_ladder(capsys, "seed", "dev", *arguments).code == 2


def test_what_is_not_installed_is_told_with_how_to(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(ROOT))
    monkeypatch.setenv("PGHOST", "/nonexistent")
    monkeypatch.delitem(sys.modules, "ladder.seed.database", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    outcome = run_ladder(capsys, "seed", "dev", "--only", "database")
    assert outcome.code == 1
    assert "psycopg is not installed: run 'uv sync --inexact --group seed'" in outcome.err
