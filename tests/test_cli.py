"""The command itself: what it says where something is wrong, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import click
import pytest

from ladder import cli
from ladder.commands import schema
from ladder.errors import CheckFailed
from tests.support import ROOT, command, copy_project, run_ladder

VERBS = (
    "anchor",
    "approve",
    "audit",
    "changes",
    "chart",
    "check",
    "compare",
    "cut",
    "destroy",
    "doctor",
    "drift",
    "guard",
    "judge",
    "lineage",
    "local",
    "observe",
    "parity",
    "pin",
    "preview",
    "promote",
    "record",
    "rollback",
    "sandbox",
    "schema",
    "seed",
    "up",
)


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LADDER_ROOT", raising=False)
    monkeypatch.chdir(ROOT)


def test_help_lists_every_verb_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (("--help",), ("-h",)):
        outcome = run_ladder(capsys, *arguments)
        assert outcome.code == 0
        assert [verb for verb in VERBS if f"\n  {verb} " not in outcome.out] == []
        assert "Exit codes: 0 done, 1 a check failed" in outcome.out


def test_every_verb_there_is_is_listed() -> None:
    files = [path for path in (ROOT / "ladder" / "commands").glob("*.py") if not path.stem.startswith("_")]
    modules = {path.stem for path in files if "\ndef command(" in path.read_text(encoding="utf-8")}
    assert modules == set(VERBS)
    for verb in VERBS:
        assert isinstance(cli._ladder.get_command(click.Context(cli._ladder), verb), click.Command)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_own_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_ladder(capsys, verb, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: ladder {verb}")


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_ladder(capsys)
    assert outcome.code == 2
    assert "Commands:" in outcome.err + outcome.out


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        ("recrod", "did you mean record?"),
        ("comp", "did you mean compare?"),
        ("deploy-everything", f"there are {VERBS[0]},"),
    ],
)
def test_an_unknown_command_is_refused_with_a_suggestion(
    verb: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_ladder(capsys, verb)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"no such command '{verb}'; {says}" in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [("record",), ("record", "dev", "prod"), ("record", "dev", "--form", "x"), ("record", "dev", "--format", "xml")],
)
def test_a_wrong_argument_is_refused(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_ladder(capsys, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Usage: ladder record")


@pytest.mark.parametrize("format_", [("--format", "json"), ("--format=json",)])
@pytest.mark.parametrize("arguments", [("record", "nowhere"), ("record",), ("recrod", "dev"), ("record", "dev", "-x")])
def test_errors_are_json_where_json_is_asked_for(
    arguments: tuple[str, ...], format_: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_ladder(capsys, *arguments, *format_)
    assert (outcome.code, outcome.out) == (2, "")
    assert json.loads(outcome.err)["error"]


def test_a_json_error_of_bad_input_holds_each_problem_by_its_parts(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_ladder(capsys, "record", "pord", "--format", "json")
    assert json.loads(outcome.err)["problems"] == [
        {
            "file": "Pulumi.pord.yaml",
            "line": 0,
            "path": "",
            "message": "there is no such stack",
            "found": "pord",
            "accepted": "dev, prod, staging",
            "example": "prod",
        }
    ]


@pytest.mark.parametrize("arguments", [("record", "dev"), ("schema", "--check"), ("compare", "dev")])
def test_outside_a_project_the_error_is_clear(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run_ladder(capsys, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error:\nPulumi.yaml: not found\n")
    assert f"no Pulumi.yaml in {tmp_path} or above" in outcome.err


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (CheckFailed("not today"), 1, "error:\nnot today"),
        (PermissionError(13, "Permission denied", "schemas"), 1, "error:\nschemas: Permission denied"),
        (OSError(28, "No space left on device"), 1, "error:\nNo space left on device"),
    ],
)
def test_what_a_user_can_act_on_is_told_without_a_traceback(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(schema, "command", click.Command("schema", callback=fail))
    outcome = run_ladder(capsys, "schema")
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.strip() == says


def test_the_table_is_whole_when_it_is_piped(capsys: pytest.CaptureFixture[str]) -> None:
    """As wide as it must be, whatever the width of a terminal that is not there."""
    outcome = run_ladder(capsys, "record", "prod")
    assert (outcome.code, outcome.err) == (0, "")
    assert "…" not in outcome.out
    header, *rows = outcome.out.splitlines()
    assert header.split() == ["TYPE", "NAME", "ID", "KEPT"]
    assert "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration" in outcome.out
    at = header.index("ID")
    (uploads,) = [row for row in rows if row.startswith("aws:s3/bucket:Bucket") and " uploads " in row]
    assert uploads[at:].split() == ["acme-shop-prod-uploads", "protected,", "retained"]
    assert all(row == row.rstrip() for row in rows)
    assert rows[-1].endswith("in prod")


@pytest.mark.parametrize("format_", ["json", "deployment"])
def test_json_is_printed_as_json_and_nothing_else(format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_ladder(capsys, "record", "dev", "--format", format_)
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out)


@pytest.mark.exhaustive
@pytest.mark.parametrize("format_", ["table", "json"])
def test_a_reader_that_goes_away_leaves_no_traceback(format_: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        arguments = command("record", "dev", "--format", format_)
        run = subprocess.run(arguments, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    finally:
        os.close(writing)
    assert run.stderr == ""
    assert run.returncode == 1


def test_a_process_of_its_own_ends_with_the_exit_code_and_no_traceback(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    project.file("dev").write_bytes(b"[" * 100_000)
    environment = {**os.environ, "LADDER_ROOT": str(tmp_path)}
    arguments = command("record", "dev")
    run = subprocess.run(arguments, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert (run.returncode, run.stdout) == (2, "")
    assert "Pulumi.dev.yaml:1: is nested too deeply" in run.stderr
    assert "Traceback" not in run.stderr


def test_asking_for_help_imports_no_pulumi() -> None:
    code = (
        "import sys; from ladder.cli import main\ntry: main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    arguments = [*command()[:2], code]
    run = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"pulumi", "pydantic", "rich"} & set(run.stderr.split())
