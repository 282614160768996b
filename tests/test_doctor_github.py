"""What ``ladder doctor`` says of a repository on GitHub, by a stand-in with GitHub's own shapes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ladder.contract import StackSettings
from ladder.doctor.diagnosis import Diagnosis, Verdict
from ladder.doctor.github import GitHub, github, repository_of
from ladder.errors import InputError
from tests.github import REPOSITORY, Standin, environment, healthy, serving
from tests.support import ROOT, run_ladder

PARAMETERS = "parameters"
Examine = Callable[[], list[Diagnosis]]


@pytest.fixture
def standin() -> Iterator[Standin]:
    with serving(Standin(healthy())) as running:
        yield running


@pytest.fixture
def examine(standin: Standin, ladder: dict[str, StackSettings]) -> Examine:
    return lambda: list(github(ROOT, GitHub(REPOSITORY, "planted-token", standin.url), ladder))


def failing(diagnoses: list[Diagnosis]) -> list[str]:
    return [f"{each.claim}: {each.found}" for each in diagnoses if each.verdict is Verdict.FAIL]


def unknown(diagnoses: list[Diagnosis]) -> list[str]:
    return [f"{each.claim}: {each.found}" for each in diagnoses if each.verdict is Verdict.UNKNOWN]


def test_a_repository_as_it_should_be_passes_and_is_only_read(examine: Examine, standin: Standin) -> None:
    diagnoses = examine()
    assert [each for each in diagnoses if each.verdict is not Verdict.PASS] == []
    assert len(diagnoses) == 1 + 2 + 1 + 9 + 1 + 1
    assert {method for method, _, _ in standin.asked} == {"GET"}
    assert {token for _, _, token in standin.asked} == {"Bearer planted-token"}
    assert "planted-token" not in json.dumps([each.as_json() for each in diagnoses])


def _no_queue(standin: Standin) -> None:
    standin.ruleset["rules"].remove(standin.rule("merge_queue"))


def _fewer_reviews(standin: Standin) -> None:
    standin.rule("pull_request")[PARAMETERS]["require_code_owner_review"] = False


def _other_check(standin: Standin) -> None:
    standin.rule("required_status_checks")[PARAMETERS]["required_status_checks"].pop()


def _checks_of_any_app(standin: Standin) -> None:
    for check in standin.rule("required_status_checks")[PARAMETERS]["required_status_checks"]:
        check.pop("integration_id")


def _evaluated_only(standin: Standin) -> None:
    standin.ruleset["enforcement"] = "evaluate"


def _other_branch(standin: Standin) -> None:
    standin.ruleset["conditions"]["ref_name"]["include"] = ["refs/heads/release"]


def _one_more_rule(standin: Standin) -> None:
    standin.ruleset["rules"].append({"type": "required_signatures"})


def _none(standin: Standin) -> None:
    standin.put("/rulesets", [])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_no_queue, "rules.merge_queue: {"),
        (_fewer_reviews, "rules.pull_request.require_code_owner_review: true, is false"),
        (_other_check, "rules.required_status_checks.required_status_checks: ["),
        (_checks_of_any_app, "required_status_checks[0].integration_id: 15368, is absent"),
        (_evaluated_only, 'enforcement: "active", is "evaluate"'),
        (_other_branch, 'conditions.ref_name.include[0]: "~DEFAULT_BRANCH", is "refs/heads/release"'),
        (_one_more_rule, "rules.required_signatures: is not declared"),
        (_none, "there is no ruleset of this name"),
    ],
)
def test_a_ruleset_that_is_another_fails_with_what_differs(
    change: Callable[[Standin], None], says: str, examine: Examine, standin: Standin
) -> None:
    change(standin)
    (told,) = failing(examine())
    assert told.startswith("the ruleset main is in force as declared: ")
    assert says in told


def test_whom_the_ruleset_lets_by_is_named(examine: Examine, standin: Standin) -> None:
    standin.ruleset["bypass_actors"] = [{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}]
    (told,) = failing(examine())
    assert told == "nobody may bypass the ruleset main but whom it declares: RepositoryRole 5 (always)"


def test_whom_it_lets_by_is_not_guessed_where_github_does_not_tell(examine: Examine, standin: Standin) -> None:
    del standin.ruleset["bypass_actors"]
    diagnoses = examine()
    assert failing(diagnoses) == []
    (told,) = unknown(diagnoses)
    assert told.startswith("nobody may bypass the ruleset main")


def test_an_unknown_owner_fails_with_its_line(examine: Examine, standin: Standin) -> None:
    error = {"line": 4, "column": 28, "kind": "Unknown owner", "path": ".github/CODEOWNERS", "message": "…"}
    standin.put("/codeowners/errors", {"errors": [error]})
    assert failing(examine()) == ["every line of CODEOWNERS names who may write: line 4: Unknown owner"]


@pytest.mark.parametrize(
    ("policy", "branches", "says"),
    [
        (None, None, "any branch may deploy to it"),
        (
            {"protected_branches": True, "custom_branch_policies": False},
            None,
            "whichever branches a branch protection rule names; all, where none does: rulesets do not count",
        ),
        ({"protected_branches": False, "custom_branch_policies": True}, ["main", "release/*"], "main; release/*"),
        ({"protected_branches": False, "custom_branch_policies": True}, ["main"], ""),
        ({"protected_branches": False, "custom_branch_policies": True}, [], ""),
    ],
)
def test_an_environment_is_for_the_protected_branch_alone(
    policy: Any, branches: list[str] | None, says: str, examine: Examine, standin: Standin
) -> None:
    standin.at("/environments/dev-preview")["deployment_branch_policy"] = policy
    if branches is not None:
        listed = [{"id": number, "node_id": "x", "name": name} for number, name in enumerate(branches)]
        answer = {"total_count": len(listed), "branch_policies": listed}
        standin.put("/environments/dev-preview/deployment-branch-policies", answer)
    expected = [] if branches == ["main"] else [f"the environment dev-preview lets in main alone: {says}"]
    assert failing(examine()) == expected


@pytest.mark.parametrize("name", ["dev-observe", "promotion"])
def test_where_the_key_of_the_app_lies_is_for_the_protected_branch_alone(
    name: str, examine: Examine, standin: Standin
) -> None:
    standin.at(f"/environments/{name}")["deployment_branch_policy"] = None
    assert failing(examine()) == [f"the environment {name} lets in main alone: any branch may deploy to it"]


def test_an_environment_that_is_not_there_fails(examine: Examine, standin: Standin) -> None:
    standin.put("/environments/staging", (404, {"message": "Not Found", "status": "404"}))
    assert failing(examine()) == ["the environment staging lets in main alone: there is no such environment"]


def test_prod_is_let_in_by_a_second_person(examine: Examine, standin: Standin) -> None:
    standin.put("/environments/prod", environment("prod", reviewed=False))
    assert failing(examine()) == ["a second person lets a run into prod: it has no required reviewers"]
    own = environment("prod", reviewed=True)
    own["protection_rules"][1]["prevent_self_review"] = False
    standin.put("/environments/prod", own)
    assert failing(examine()) == [
        "a second person lets a run into prod: reviewed by platform, also of what they started themselves"
    ]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, {"message": "Bad credentials", "status": "401"}), "401: Bad credentials"),
        ((403, {"message": "API rate limit exceeded"}), "403: API rate limit exceeded"),
        ((404, {"message": "Not Found", "status": "404"}), "there is none that this token may see"),
        ((502, b"<html>"), "502: Bad Gateway"),
        ((200, b"<html>"), "what answers is not GitHub"),
    ],
)
def test_what_github_does_not_answer_could_not_be_checked(
    answer: Any, says: str, examine: Examine, standin: Standin
) -> None:
    standin.put("", answer)
    (only,) = examine()
    assert (only.verdict, only.found) == (Verdict.UNKNOWN, says)
    assert "GITHUB_TOKEN" in only.mend


@pytest.mark.parametrize("path", ["/rulesets", "/rulesets/42", "/codeowners/errors", "/environments/dev"])
def test_one_refusal_does_not_hide_the_rest(path: str, examine: Examine, standin: Standin) -> None:
    standin.put(path, (403, {"message": "Resource not accessible by integration"}))
    diagnoses = examine()
    assert failing(diagnoses) == []
    assert [told.rpartition(": ")[2] for told in unknown(diagnoses)] == ["Resource not accessible by integration"]


def test_nobody_answers(examine: Examine, standin: Standin, ladder: dict[str, StackSettings]) -> None:
    dead = GitHub(REPOSITORY, "", "http://127.0.0.1:9")
    (only,) = list(github(ROOT, dead, ladder))
    assert (only.verdict, "ConnectError" in only.found) == (Verdict.UNKNOWN, True)


def test_the_repository_is_the_one_that_is_delivered_from(ladder: dict[str, StackSettings]) -> None:
    assert repository_of(ladder) == REPOSITORY
    elsewhere = ladder["dev"].delivery.model_copy(update={"repository": "https://git.acme.com/shop.git"})
    assert repository_of({"dev": ladder["dev"].model_copy(update={"delivery": elsewhere})}) == ""


def test_the_command_tells_it_in_json_and_by_its_exit_code(
    standin: Standin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("GITHUB_API_URL", standin.url)
    monkeypatch.setenv("GITHUB_TOKEN", "planted-token")
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    outcome = run_ladder(capsys, "doctor", "prod", "--only", "github", "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    told = json.loads(outcome.out)["diagnoses"]
    assert {each["verdict"] for each in told} == {"pass"}
    assert [each["claim"] for each in told if "environment" in each["claim"]] == [
        "the environment prod lets in main alone",
        "the environment prod-preview lets in main alone",
        "the environment prod-observe lets in main alone",
        "the environment promotion lets in main alone",
    ]
    standin.put("/environments/prod", environment("prod", reviewed=False))
    outcome = run_ladder(capsys, "doctor", "--only", "github")
    assert (outcome.code, "14 pass, 1 fail" in outcome.err) == (1, True), outcome
    assert "Settings, Environments: required reviewers" in " ".join(outcome.out.split())
    standin.put("", (401, {"message": "Bad credentials"}))
    outcome = run_ladder(capsys, "doctor", "--only", "github")
    assert (outcome.code, "1 could not be checked" in outcome.err) == (1, True)


def test_a_token_is_never_shown(
    standin: Standin, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("GITHUB_API_URL", standin.url)
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", "planted-token\n")
    assert run_ladder(capsys, "doctor", "prod", "--only", "github").code == 0
    for token in ("planted-token\nand more", "planted token", "planted-t\u00f6ken"):
        monkeypatch.setenv("GITHUB_TOKEN", token)
        outcome = run_ladder(capsys, "doctor", "prod", "--only", "github")
        assert (outcome.code, "GITHUB_TOKEN: is not a token" in outcome.err) == (2, True)
        assert "planted" not in outcome.out + outcome.err


@pytest.mark.parametrize("repository", ["acme", "acme/", "a/b/c", "acme/..", "acme/shop?x", "https://github.com/a/b"])
def test_a_repository_that_cannot_be_one_is_bad_input(
    repository: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    outcome = run_ladder(capsys, "doctor", "--only", "github", "--repository", repository)
    assert (outcome.code, "--repository: names no repository" in outcome.err) == (2, True)


def test_a_stack_there_is_not_is_bad_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    outcome = run_ladder(capsys, "doctor", "prd")
    assert (outcome.code, "there is no such stack" in outcome.err) == (2, True)


def test_a_missing_library_is_told_with_what_installs_it() -> None:
    code = "import sys; sys.modules['httpx'] = None; from ladder.cli import main; main(['doctor'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("Traceback")) == (1, 0)
    assert "httpx is not installed: run 'uv sync --inexact --group doctor'" in done.stderr


@pytest.mark.parametrize("text", ["", "[]", '{"rules": []}'])
def test_a_declared_ruleset_that_is_none_is_bad_input(
    text: str, tmp_path: Any, ladder: dict[str, StackSettings]
) -> None:
    folder = tmp_path / ".github" / "rulesets"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match="has no ruleset"):
        list(github(tmp_path, GitHub(REPOSITORY, ""), ladder))
    (folder / "main.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"main\.json: is not a ruleset"):
        list(github(tmp_path, GitHub(REPOSITORY, ""), ladder))
