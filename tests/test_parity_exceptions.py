"""Exceptions to equality: a live one lets differ what it names, expired and unused ones are found, bad ones refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.contract import ladder_settings
from ladder.contract.exceptions import EXCEPTIONS, ExceptionSettings, live, read_exceptions
from ladder.errors import InputError, Problem
from ladder.parity import read
from ladder.parity.equality import equality
from ladder.parity.proof import Part
from ladder.schemas import schemas
from ladder.tree import read_tree
from sandbox.progress import Silent
from tests.support import ROOT, Project, copy_project, run_ladder

TODAY = date(2030, 6, 1)
WORKER = "gitops/envs/prod/worker/values.yaml"
TREE = "gitops/envs"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return copy_project(tmp_path)


def differ(project: Project, stacks: tuple[str, ...] = ("prod",)) -> None:
    """The stacks name another branch, and prod's worker ends later: neither has a reason."""
    for stack in stacks:
        project.edit(stack, "branch: main", "branch: release")
    path = project.root / WORKER
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("stopSeconds: 60", "stopSeconds: 61"), encoding="utf-8")


def entry(**changed: Any) -> str:
    fields = {
        "environment": "prod",
        "service": "null",
        "path": "delivery.branch",
        "owner": "team-platform",
        "reason": "the release branch is tried",
        "expires": '"2999-12-31"',
        **changed,
    }
    return "{" + ", ".join(f"{name}: {value}" for name, value in fields.items()) + "}"


def write(project: Project, *entries: str) -> None:
    lines = [f"  entry-{number}: {text}" for number, text in enumerate(entries)]
    text = "\n".join(["exceptions:", *lines]) if entries else "exceptions: {}"
    (project.root / EXCEPTIONS).write_text(f"{text}\n", encoding="utf-8")


BRANCH, WORKERS = entry(), entry(service="worker", path="service.stopSeconds")


def proven(project: Project, today: date = TODAY) -> Part:
    return equality(read(project.root, Silent()), today)


def problems(project: Project) -> list[Problem]:
    with pytest.raises(InputError) as raised:
        read_exceptions(project.root)
    return list(raised.value.problems)


def test_the_shipped_project_needs_no_exception() -> None:
    part = equality(read(ROOT, Silent()), TODAY)
    assert (part.findings, dict(part.looked_at)) == ((), {"stacks": 3, "overlays": 12, "exceptions": 0})


def test_the_shipped_file_of_exceptions_points_to_its_schema_in_its_first_line() -> None:
    first = (ROOT / EXCEPTIONS).read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=schemas/parity.schema.json"
    assert "schemas/parity.schema.json" in schemas()
    assert read_exceptions(ROOT).exceptions == {}


def test_a_difference_without_a_reason_is_found_where_it_stands(project: Project) -> None:
    differ(project)
    found = {(finding.where.partition(":")[0], finding.path): finding for finding in proven(project).findings}
    assert set(found) == {("Pulumi.prod.yaml", "config.ladder:delivery.branch"), (WORKER, "service.stopSeconds")}
    stack = found["Pulumi.prod.yaml", "config.ladder:delivery.branch"]
    assert (stack.rule, stack.found, stack.accepted) == ("contract/unexplained", "release", "main")
    assert "except it in parity.yaml: environment prod, service null, path delivery.branch" in stack.mend
    assert "service worker, path service.stopSeconds" in found[WORKER, "service.stopSeconds"].mend


def test_a_live_exception_lets_differ_what_it_names_and_nothing_else(project: Project) -> None:
    differ(project)
    write(project, BRANCH)
    assert [finding.path for finding in proven(project).findings] == ["service.stopSeconds"]
    write(project, BRANCH, WORKERS)
    assert proven(project).proven


def test_loading_honours_a_live_exception(project: Project) -> None:
    differ(project)
    for read_all in (lambda: ladder_settings(project.root), lambda: read_tree(project.root, TREE)):
        with pytest.raises(InputError):
            read_all()
    write(project, BRANCH, WORKERS)
    assert ladder_settings(project.root)["prod"].delivery.branch == "release"
    assert read_tree(project.root, TREE).environments["prod"]["worker"].overlay.service.stop_seconds == 61


def test_loading_leaves_equality_to_others_when_told_so(project: Project) -> None:
    differ(project)
    assert ladder_settings(project.root, equal=False)["prod"].delivery.branch == "release"
    read_tree(project.root, TREE, equal=False)


def test_an_exception_of_one_environment_does_not_speak_of_the_others(project: Project) -> None:
    """Dev is what the others are held against, and differs from them."""
    project.edit("dev", "branch: main", "branch: trunk")
    write(project, entry(environment="dev"))
    assert proven(project).proven
    assert ladder_settings(project.root)["dev"].delivery.branch == "trunk"
    project.edit("prod", "branch: main", "branch: release")
    (finding,) = proven(project).findings
    assert (finding.where.partition(":")[0], finding.accepted) == ("Pulumi.prod.yaml", "main")


def test_an_exception_holds_to_its_last_day_and_not_beyond(project: Project) -> None:
    differ(project)
    write(project, entry(expires='"2030-06-01"'), WORKERS)
    assert proven(project, date(2030, 6, 1)).proven
    rules = [finding.rule for finding in proven(project, date(2030, 6, 2)).findings]
    assert rules == ["contract/unexplained", "contract/expired"]


def test_an_expired_exception_is_found_though_nothing_differs(project: Project) -> None:
    write(project, entry(expires='"2001-01-01"'))
    (finding,) = proven(project).findings
    assert (finding.rule, finding.where, finding.path) == (
        "contract/expired",
        f"{EXCEPTIONS}:2",
        "exceptions.entry-0.expires",
    )
    assert "team-platform" in finding.message
    differ(project)
    with pytest.raises(InputError):
        ladder_settings(project.root)


@pytest.mark.parametrize(
    "unused",
    [
        entry(),
        entry(environment="nowhere"),
        entry(path="tier.level"),
        entry(service="worker", path="service.stopSeconds", environment="dev"),
        entry(service="nobody", path="service.stopSeconds"),
    ],
    ids=["equal", "no such environment", "may differ anyway", "of another environment", "no such service"],
)
def test_an_exception_that_excepts_nothing_is_found(unused: str, project: Project) -> None:
    write(project, unused)
    (finding,) = proven(project).findings
    assert (finding.rule, finding.where) == ("contract/unused", f"{EXCEPTIONS}:2")


def test_the_choice_of_two_environments_does_not_make_an_exception_of_a_third_unused(project: Project) -> None:
    differ(project)
    write(project, BRANCH, WORKERS)
    chosen = read(project.root, Silent()).between("dev", "staging")
    assert equality(chosen, TODAY).proven


BAD = {
    "a path that leads nowhere": (entry(path="delivery.brunch"), "leads nowhere in the settings of a stack"),
    "a path below a value": (entry(path="delivery.branch.name"), "leads nowhere in the settings of a stack"),
    "a stack's path for an overlay": (entry(service="web"), "leads nowhere in an overlay"),
    "a path as the file has it": (entry(path="config.ladder:delivery.branch"), "is not a dotted path"),
    "a day that does not exist": (entry(expires='"2030-02-30"'), "is a day that does not exist"),
    "a date that is not quoted": (entry(expires="2030-02-03"), "is a date to some YAML parsers and a string to others"),
    "another way to write a date": (entry(expires='"3.2.2030"'), "is not written as a date"),
    "no owner": (entry().replace("owner: team-platform, ", ""), "is missing"),
    "no reason": (entry(reason='""'), "is not accepted"),
    "an unknown key": (entry(until='"2030-02-03"'), "is an unknown key"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_exception_is_refused_where_it_stands(name: str, project: Project) -> None:
    bad, message = BAD[name]
    write(project, WORKERS, bad)
    (problem,) = problems(project)
    assert (problem.file, problem.line, problem.message) == (EXCEPTIONS, 3, message)
    assert problem.path.startswith("exceptions.entry-1")


def test_two_exceptions_for_one_place_are_refused(project: Project) -> None:
    write(project, BRANCH, BRANCH)
    (problem,) = problems(project)
    assert problem.message == "is excepted by entry-0 already"


def test_a_wrong_path_names_what_may_stand_there(project: Project) -> None:
    write(project, entry(path="delivery.brunch"))
    (problem,) = problems(project)
    assert ("branch" in problem.accepted, problem.example) == (True, "did you mean branch?")


@pytest.mark.parametrize("text", ["exceptions: []\n", "{}\n", "- 1\n", "exceptions: {", ""])
def test_what_is_no_file_of_exceptions_is_refused(text: str, project: Project) -> None:
    (project.root / EXCEPTIONS).write_text(text, encoding="utf-8")
    assert all(problem.file == EXCEPTIONS for problem in problems(project))


def test_bad_exceptions_are_told_once_with_what_else_is_wrong(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(project.root))
    write(project, entry(path="delivery.brunch"))
    project.edit("dev", "rung: dev", "rung: development")
    for verb in (("check", "--no-render"), ("parity", "--no-render"), ("record", "dev")):
        outcome = run_ladder(capsys, *verb)
        assert outcome.code == 2
        assert outcome.err.count("leads nowhere") == 1
        assert "Pulumi.dev.yaml" in outcome.err


def test_no_file_is_no_exception(tmp_path: Path) -> None:
    assert not live(read_exceptions(tmp_path), TODAY)


@given(day=st.dates(), today=st.dates())
def test_an_exception_is_live_up_to_its_day(day: date, today: date) -> None:
    fields = {"environment": "dev", "service": None, "path": "delivery.branch", "owner": "me", "reason": "because"}
    exception = ExceptionSettings(**fields, expires=day.isoformat())
    assert exception.is_live(today) is (today <= day)
