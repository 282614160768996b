"""Bad input through the front door: each a clear error with its place, all in one report, nothing written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ladder.contract import ladder_settings, stack_names, stack_settings
from ladder.errors import InputError, Problem
from tests.bad_input import BAD, TIER
from tests.support import ROOT, STACKS, Outcome, Project, copy_project, run_ladder, settings_sections


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    copy = copy_project(tmp_path)
    monkeypatch.setenv("LADDER_ROOT", str(copy.root))
    return copy


def problems(outcome: Outcome) -> list[Problem]:
    return [Problem(**problem) for problem in json.loads(outcome.err)["problems"]]


def refused(capsys: pytest.CaptureFixture[str], project: Project, stack: str) -> list[Problem]:
    """Record the stack: refused with exit code 2, on standard error alone, and nothing written."""
    before = project.contents()
    outcome = run_ladder(capsys, "record", stack, "--format", "json")
    assert (outcome.code, outcome.out) == (2, "")
    assert project.contents() == before
    return problems(outcome)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_with_its_place(name: str, project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    bad = BAD[name]
    line = project.edit(bad.stack, bad.old, bad.new) + bad.below
    path = bad.path[1:] if bad.path.startswith("/") else f"config.ladder:{bad.path}"
    told = [problem for problem in refused(capsys, project, bad.stack) if problem.path == path]
    assert [(problem.file, problem.line) for problem in told] == [(f"Pulumi.{bad.stack}.yaml", line)]
    (problem,) = told
    assert bad.says in problem.message
    assert bad.found in problem.found
    assert bad.accepted in problem.accepted
    assert problem.accepted
    assert bad.example in problem.example


def test_a_section_outside_config_is_told_where_it_belongs(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.edit("dev", TIER, "")
    project.file("dev").write_text(project.text("dev") + "ladder:tier: {level: standard}\n", encoding="utf-8")
    missing, misplaced = refused(capsys, project, "dev")
    assert (missing.path, missing.message) == ("config.ladder:tier", "is missing")
    assert (misplaced.path, misplaced.example) == ("ladder:tier", "it belongs to config.ladder:tier")


def test_every_problem_of_every_kind_and_stack_is_in_one_report(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [
        *("an unknown key", "a missing key", "a number for text", "text for a boolean", "four cores"),
        *("a bucket name with capitals", "a key that stands twice", "a secret value", "an unknown key beside config"),
        *("a service whose name is no label", "a password in an address", "automated sync on prod"),
    ]
    expected: set[tuple[str, str]] = set()
    for name in names:
        bad = BAD[name]
        project.edit(bad.stack, bad.old, bad.new)
        path = bad.path[1:] if bad.path.startswith("/") else f"config.ladder:{bad.path}"
        expected.add((f"Pulumi.{bad.stack}.yaml", path))
    project.edit("staging", "level: full", "level: ful")
    expected.add(("Pulumi.staging.yaml", "config.ladder:tier.level"))
    told = refused(capsys, project, "prod")
    assert {(problem.file, problem.path) for problem in told} == expected
    assert len(told) == len(expected)
    for problem in told:
        key = problem.path.rpartition(".")[2] or problem.path
        text = project.file(problem.file.split(".")[1]).read_text(encoding="utf-8").splitlines()[problem.line - 1]
        assert key in text or problem.message == "is missing"


def test_the_report_says_file_line_path_found_accepted_and_an_example(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    line = project.edit("dev", "noncurrentDays: 3", "noncurrentDays: three")
    project.edit("dev", "level: standard", "level: some")
    outcome = run_ladder(capsys, "record", "dev")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: 2 problems\n")
    assert (
        f"Pulumi.dev.yaml:{line}: config.ladder:data.noncurrentDays: is not accepted\n"
        '    found: "three"\n    accepted: a whole number\n    example: noncurrentDays: 1\n'
    ) in outcome.err


def test_secrets_in_the_input_are_not_repeated(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a secret value", "a whole secret section", "a password in an address"):
        project.edit("dev", BAD[name].old, BAD[name].new)
    outcome = run_ladder(capsys, "record", "dev")
    assert outcome.code == 2
    assert outcome.err.count("is a secret value") == 2
    assert "c2VjcmV0" not in outcome.err


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "only comments": (lambda path: path.write_bytes(b"# nothing\n"), "is empty"),
    "binary": (lambda path: path.write_bytes(bytes(range(256)) * 10), "is not text"),
    "10 MB": (lambda path: path.write_bytes(b"a: b\n" * 2_000_000), "is too large"),
    "a directory": (lambda path: (path.unlink(), path.mkdir()), "cannot be read"),
    "a dangling link": (lambda path: (path.unlink(), path.symlink_to("nowhere")), "cannot be read"),
    "100,000 brackets": (lambda path: path.write_bytes(b"[" * 100_000), "is nested too deeply"),
    "a list": (lambda path: path.write_bytes(b"- config\n"), "is missing or not a map"),
    "a word": (lambda path: path.write_bytes(b"config\n"), "is missing or not a map"),
    "config as text": (lambda path: path.write_bytes(b"config: all\n"), "is missing or not a map"),
    "two documents": (lambda path: path.write_bytes(path.read_bytes() + b"---\nconfig: {}\n"), "a second document"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_is_no_stack_file_is_refused(
    name: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, says = UNREADABLE[name]
    spoil(project.file("dev"))
    told = [problem for problem in refused(capsys, project, "dev") if says in problem.message]
    assert [problem.file for problem in told] == ["Pulumi.dev.yaml"]


@pytest.mark.parametrize(("stack", "example"), [("pord", "prod"), ("stagin", "staging"), ("qa", ""), ("../dev", "dev")])
def test_an_unknown_stack_is_refused_with_a_suggestion(
    stack: str, example: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (problem,) = refused(capsys, project, stack)
    assert (problem.message, problem.found) == ("there is no such stack", stack)
    assert problem.accepted == "dev, prod, staging"
    assert problem.example == example


def test_a_missing_stack_file_is_a_stack_there_is_not(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.file("dev").unlink()
    (problem,) = refused(capsys, project, "dev")
    assert (problem.file, problem.accepted) == ("Pulumi.dev.yaml", "prod, staging")


def test_a_project_without_stacks_says_so(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for stack in STACKS:
        project.file(stack).unlink()
    (problem,) = refused(capsys, project, "dev")
    assert problem.accepted == "no stack at all: no Pulumi.<stack>.yaml in this directory"


def test_two_stacks_in_one_account_are_refused_even_where_each_is_right_by_itself(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    text = project.text("staging").replace("321098765432", "432109876543")
    project.file("staging").write_text(text.replace('prod: "432109876543"', 'prod: "321098765432"'), encoding="utf-8")
    assert stack_settings(project.root, "staging")
    told = {(problem.file, problem.path) for problem in refused(capsys, project, "staging")}
    assert ("Pulumi.staging.yaml", "config.ladder:cloud.account") in told
    assert ("Pulumi.staging.yaml", "config.ladder:accounts.staging") in told


def test_the_engines_own_keys_are_tolerated(project: Project) -> None:
    expected = stack_settings(project.root, "dev")
    keys = "encryptionsalt: v1:AAAA\nsecretsprovider: awskms://alias/x\nencryptedkey: AAAA\n"
    project.file("dev").write_text(keys + project.text("dev"), encoding="utf-8")
    assert stack_settings(project.root, "dev") == expected


def test_the_stacks_of_the_project_are_its_files() -> None:
    assert stack_names(ROOT) == STACKS
    assert set(ladder_settings(ROOT)) == set(STACKS)


def test_one_stack_can_be_read_while_another_is_broken(project: Project) -> None:
    project.edit("dev", "level: standard", "level: some")
    assert stack_settings(project.root, "prod").environment.name == "prod"
    with pytest.raises(InputError):
        ladder_settings(project.root)


def test_every_mistake_in_one_file_is_found_whatever_its_section(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    text = project.text("dev")
    for section in settings_sections("dev"):
        text = text.replace(f"  ladder:{section}:\n", f"  ladder:{section}:\n    mistake: 1\n")
    project.file("dev").write_text(text, encoding="utf-8")
    told = refused(capsys, project, "dev")
    assert {problem.path.split(".")[1] for problem in told} == {f"ladder:{name}" for name in settings_sections("dev")}
    assert all("mistake" in problem.path for problem in told)
