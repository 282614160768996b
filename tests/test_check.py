"""``ladder check``: one report of everything, its exit codes, and nothing found in the shipped project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ladder.check import check
from ladder.check.findings import Finding, Tally, ordered
from ladder.errors import InputError
from sandbox.progress import Silent
from tests.support import Project, copy_project, run_ladder

API = "gitops/envs/dev/api/values.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    copy = copy_project(tmp_path)
    monkeypatch.setenv("LADDER_ROOT", str(copy.root))
    return copy


def edit(project: Project, file: str, before: str, after: str) -> int:
    """Replace text that stands once in a file of the tree; returns its line."""
    path = project.root / file
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{before!r} stands {text.count(before)} times in {file}"
    path.write_text(text.replace(before, after), encoding="utf-8")
    return text[: text.index(before)].count("\n") + 1


def test_nothing_is_found_in_the_shipped_project(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_ladder(capsys, "check", "--no-render")
    assert outcome.code == 0, outcome.out
    assert outcome.out == "nothing found in 3 stacks, 12 overlays (not rendered) and 11 Applications\n"
    assert "record every stack" in outcome.err


@pytest.mark.exhaustive
def test_what_the_chart_makes_is_checked_too(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    sound = run_ladder(capsys, "check", "--format", "json")
    assert (sound.code, sound.err) == (0, "")
    assert json.loads(sound.out) == {"findings": [], "stacks": 3, "overlays": 12, "rendered": 12, "applications": 11}
    template = "gitops/chart/templates/serviceaccount.yaml"
    edit(project, template, "automountServiceAccountToken:", "automountServiceAccountTokens:")
    outcome = run_ladder(capsys, "check", "--format", "json")
    assert outcome.code == 1
    findings: list[dict[str, Any]] = json.loads(outcome.out)["findings"]
    assert {finding["rule"] for finding in findings} == {"rendering/overlay"}
    assert all("automountServiceAccountTokens" in finding["path"] for finding in findings)


@pytest.mark.exhaustive
def test_only_kinds_that_the_project_permits_may_be_rendered(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project.root / "components/delivery.py"
    text = path.read_text(encoding="utf-8")
    removed = '    DeliveredKind("policy", "PodDisruptionBudget", "poddisruptionbudgets"),\n'
    assert removed in text
    path.write_text(text.replace(removed, ""), encoding="utf-8")
    outcome = run_ladder(capsys, "check", "--format", "json")
    assert outcome.code == 1
    findings: list[dict[str, Any]] = json.loads(outcome.out)["findings"]
    assert {(finding["rule"], finding["found"]) for finding in findings} == {
        ("rendering/overlay", "PodDisruptionBudget")
    }


@pytest.mark.exhaustive
def test_findings_of_every_part_stand_in_one_report(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    line = edit(project, API, "role/ladder-dev-api", "role/ladder-dev-web")
    project.edit("dev", "        pods: 60", "        pods: 6")
    (project.root / "schemas/values.schema.json").write_text("{}", encoding="utf-8")
    components = project.root / "components/delivery.py"
    text = components.read_text(encoding="utf-8")
    components.write_text(text.replace('"namespace": "{{.namespace}}"', '"namespace": "default"'), encoding="utf-8")
    outcome = run_ladder(capsys, "check", "--no-render")
    assert outcome.code == 1
    for rule in ("planes/role", "capacity/quota", "schemas/stale", "application/destination"):
        assert f"[{rule}]" in outcome.out
    assert f"{API}:{line}: endpoints.role.arn: is not the service's role in dev" in outcome.out
    assert "    accepted: arn:aws:iam::210987654321:role/ladder-dev-api" in outcome.out
    assert "6 findings in 3 stacks" in outcome.err, "a destination is found in each of the three stacks"


@pytest.mark.exhaustive
def test_findings_are_data_too(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    line = edit(project, API, "region: eu-west-1", "region: eu-west-2")
    outcome = run_ladder(capsys, "check", "--no-render", "--format", "json")
    assert outcome.code == 1
    assert json.loads(outcome.out)["findings"] == [
        {
            "rule": "planes/region",
            "where": f"{API}:{line}",
            "path": "endpoints.region",
            "message": "is not the region of dev",
            "found": "eu-west-2",
            "accepted": "eu-west-1",
            "mend": "",
        }
    ]


def test_problems_of_the_stacks_and_of_the_tree_are_told_together(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = project.edit("dev", "rung: dev", "rung: development")
    overlay = edit(project, API, "tier: standard", "tier: fast")
    (project.root / "gitops/envs/prod/web/version.yaml").unlink()
    outcome = run_ladder(capsys, "check", "--no-render")
    assert outcome.code == 2
    assert f"Pulumi.dev.yaml:{stack}: config.ladder:environment.rung" in outcome.err
    assert f"{API}:{overlay}: tier" in outcome.err
    assert "gitops/envs/prod/web/version.yaml" in outcome.err


def test_the_tree_is_found_by_any_stack_that_says_where_it_is(project: Project) -> None:
    project.file("dev").write_text("config: [", encoding="utf-8")
    edit(project, API, "tier: standard", "tier: fast")
    with pytest.raises(InputError) as raised:
        check(project.root, Silent(), render=False)
    assert {problem.file for problem in raised.value.problems} == {"Pulumi.dev.yaml", API}


def test_stacks_are_told_of_though_no_tree_can_be_found(project: Project) -> None:
    for stack in ("dev", "staging", "prod"):
        project.file(stack).write_text("config: {}", encoding="utf-8")
    with pytest.raises(InputError) as raised:
        check(project.root, Silent(), render=False)
    files = {problem.file for problem in raised.value.problems}
    assert files == {"Pulumi.dev.yaml", "Pulumi.prod.yaml", "Pulumi.staging.yaml"}


def test_a_program_that_fails_is_no_finding_but_an_error_and_bad_input_comes_first(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / "__main__.py").write_text("raise ValueError('broken')\n", encoding="utf-8")
    outcome = run_ladder(capsys, "check", "--no-render")
    assert outcome.code == 1
    assert "the program failed at __main__.py:1" in outcome.err
    edit(project, API, "tier: standard", "tier: fast")
    assert run_ladder(capsys, "check", "--no-render").code == 2


@pytest.mark.exhaustive
def test_a_service_of_one_environment_more_is_checked_where_it_is(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(project.root / "gitops/envs/dev/worker", project.root / "gitops/envs/dev/mailer")
    outcome = run_ladder(capsys, "check", "--no-render", "--format", "json")
    findings: list[dict[str, Any]] = json.loads(outcome.out)["findings"]
    assert {finding["where"].partition(":")[0] for finding in findings} == {"gitops/envs/dev/mailer/values.yaml"}
    assert {finding["rule"] for finding in findings} == {"planes/role", "planes/access"}


def test_findings_are_in_order_of_their_places_and_each_stands_once() -> None:
    places = ("b.yaml:10", "b.yaml:9", "a.yaml", "b.yaml:9")
    found = [Finding(rule="part/rule", where=place, message="is wrong") for place in places]
    assert [finding.where for finding in ordered(found)] == ["a.yaml", "b.yaml:9", "b.yaml:10"]


def test_a_tally_tells_the_same_once_and_what_differs_apart() -> None:
    tally = Tally("Application")
    for name, value in (("a", "x"), ("b", "x"), ("c", "y")):
        tally.add(name, Finding(rule="part/rule", where="urn", message="is wrong", found=value))
    told = [finding.message for finding in tally.findings()]
    assert told == ["is wrong (Application a and 1 more)", "is wrong (Application c)"]
