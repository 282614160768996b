"""The workflows that sign: each as whom the rules let sign, with what it needs, and no input of theirs is code."""

from __future__ import annotations

import importlib
import re
import subprocess
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import click
import pytest

from ladder import cli
from ladder.contract import stack_names
from ladder.contract.promotion import read_promotion
from ladder.contract.types import duration
from ladder.doctor.github import OBSERVE, PROMOTES
from ladder.promotion.statements import Purpose
from tests.support import ROOT
from tests.workflows.parts import SIGN, Clone, cloned, job, named, ran, script, steps, workflow


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return cloned(tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("promote", "request"), ("approve", "approval"), ("observe", "observed")])
def test_what_signs_is_whom_the_rules_let_sign_and_runs_on_main_alone(name: str, kind: str) -> None:
    signer = getattr(read_promotion(ROOT).evidence.signers, kind)
    assert (signer.workflow, signer.ref) == (f".github/workflows/{name}.yml", "refs/heads/main")
    assert "github.ref == 'refs/heads/main'" in job(name)["if"].split(" && ")[0]
    assert "uses" not in job(name), "the job's own workflow is whom the certificate names"
    # For each of these GitHub runs the default branch's workflow, or the one of the branch that was chosen by hand.
    assert set(workflow(name)["on"]) <= {"schedule", "workflow_dispatch", "repository_dispatch", "pull_request_target"}
    assert job(name)["permissions"] == {"contents": "read", "id-token": "write"}
    assert job(name)["concurrency"]["cancel-in-progress"] == "false", "what was signed is pushed"


def test_what_signs_pushes_as_an_app_with_the_rights_it_needs_and_no_more() -> None:
    rights = {
        "observe": {"contents": "write"},
        "approve": {"contents": "write", "pull-requests": "read"},
        "promote": {"contents": "write", "pull-requests": "write", "checks": "read"},
    }
    for name in SIGN:
        order = [each.get("name") or each["uses"].partition("@")[0] for each in steps(name)]
        (app,) = [at for at, each in enumerate(steps(name)) if each.get("id") == "app"]
        given = {key: value for key, value in steps(name)[app]["with"].items() if key.startswith("permission-")}
        assert given == {f"permission-{key}": value for key, value in rights[name].items()}
        assert order.index("Install the program") < app, "nothing is installed beside a credential"
        assert "uses" not in {key for each in steps(name)[app + 1 :] for key in each}
        (checkout,) = [each for each in steps(name) if "checkout" in each.get("uses", "")]
        assert checkout["with"]["persist-credentials"] == "false"
        for each in steps(name)[app + 1 :]:
            assert "$GITHUB_TOKEN" not in each["run"], "it would stand among a process's arguments"


def test_the_repository_that_images_are_built_in_is_only_read() -> None:
    (builds,) = [each for each in steps("promote") if each.get("id") == "builds"]
    given = {key: value for key, value in builds["with"].items() if key.startswith("permission-")}
    assert given == {"permission-contents": "read"}
    assert builds["with"]["repositories"] == "${{ vars.BUILDS_REPOSITORY }}"
    assert builds["if"] == "vars.BUILDS_REPOSITORY != ''"
    assert named("promote", "Promote")["env"]["BUILDS_TOKEN"] == "${{ steps.builds.outputs.token }}"


def test_every_environment_is_observed_and_then_anchored_whatever_was_seen() -> None:
    observing = job("observe")
    assert sorted(observing["strategy"]["matrix"]["environment"]) == sorted(stack_names(ROOT))
    assert observing["strategy"]["fail-fast"] == "false"
    assert observing["environment"] == f"${{{{ matrix.environment }}}}{OBSERVE}", "as the doctor looks for it"
    assert {job(name)["environment"] for name in ("promote", "approve")} == {PROMOTES}
    observe, anchor = (named("observe", step) for step in ("Observe", "Anchor"))
    assert steps("observe").index(observe) < steps("observe").index(anchor)
    assert observe["run"] == 'scripts/on-main observe "$ENVIRONMENT" --wait=180'
    accepts("observe", "dev", "--wait=180")
    assert (anchor["run"], anchor["if"]) == ('scripts/on-main anchor "$ENVIRONMENT"', "${{ !cancelled() }}")


def test_a_rung_is_looked_at_more_often_than_a_soak_may_go_unseen() -> None:
    (each,) = workflow("observe")["on"]["schedule"]
    minutes = sorted(map(int, each["cron"].split()[0].split(",")))
    assert each["cron"].split()[1:] == ["*"] * 4
    longest = max(later - sooner for sooner, later in pairwise([*minutes, minutes[0] + 60]))
    assert timedelta(minutes=longest) * 2 < duration(read_promotion(ROOT).soak.gap)


def accepts(verb: str, *arguments: str) -> None:
    """The verb is one, and takes these arguments."""
    found = cli._ladder.get_command(click.Context(cli._ladder), verb)
    assert found is not None
    found.make_context(verb, list(arguments))


NOTHING = dict.fromkeys(
    ("CANDIDATE", "ENVIRONMENT", "LOAD_REPORT", "SUPERSEDE", "REASON", "SECOND", "SERVICE", "DIGEST", "BRANCH"), ""
)
DIGEST = f"sha256:{'0a' * 32}"
EVIL = "--dry-run $(touch evil) `touch evil`; touch evil\n'\""
ON_MAIN = {"scripts/on-main": '#!/bin/sh\nprintf "%s\\0" "$@" > asked\n'}


def promoted(directory: Path, verb: str, **inputs: str) -> list[str]:
    """What the workflow runs for these inputs."""
    variables = {**NOTHING, "VERB": verb, "GITHUB_ACTOR": "asker", "GITHUB_TRIGGERING_ACTOR": "asker", **inputs}
    done = ran(directory, script("promote", "Promote"), ON_MAIN, **variables)
    assert done.returncode == 0, done.stderr
    return (directory / "asked").read_text(encoding="utf-8").split("\0")[:-1]


@pytest.mark.parametrize(
    ("verb", "inputs", "runs"),
    [
        ("cut", {}, ["cut"]),
        ("pin", {"SERVICE": "web", "DIGEST": DIGEST}, ["pin", f"--digest={DIGEST}", "--", "web"]),
        (
            "pin",
            {"SERVICE": "mail", "DIGEST": DIGEST, "BRANCH": "mail"},
            ["pin", f"--digest={DIGEST}", "--onto=mail", "--", "mail"],
        ),
        ("rollback", {"ENVIRONMENT": "prod"}, ["rollback", "--env=prod"]),
        ("rollback", {"ENVIRONMENT": "prod", "CANDIDATE": "rc-1"}, ["rollback", "--env=prod", "--to=rc-1"]),
        ("unpin", {"ENVIRONMENT": "prod"}, ["rollback", "--env=prod", "--unpin"]),
        (
            "promote",
            {"ENVIRONMENT": "staging", "CANDIDATE": "rc-1", "SUPERSEDE": "false"},
            ["promote", "--to=staging", "--", "rc-1"],
        ),
        (
            "promote",
            {"ENVIRONMENT": "prod", "CANDIDATE": "rc-1", "SUPERSEDE": "true", "REASON": "it burns", "SECOND": "other"},
            [
                *("promote", "--to=prod", "--supersede"),
                *("--break-glass=it burns", "--second=other", "--", "rc-1"),
            ],
        ),
    ],
)
def test_inputs_become_the_verbs_arguments(verb: str, inputs: dict[str, str], runs: list[str], tmp_path: Path) -> None:
    assert promoted(tmp_path, verb, **inputs) == runs
    accepts(*runs)


@pytest.mark.parametrize("verb", ["promote", "rollback", "pin"])
def test_whoever_starts_the_workflow_is_who_asks(verb: str) -> None:
    """GitHub sets the variable, and no input can."""
    command = importlib.import_module(f"ladder.commands.{verb}").command
    (by,) = [each for each in command.params if each.name == "by"]
    assert by.envvar == "GITHUB_ACTOR"


def test_a_load_report_is_handed_on_as_it_was_given(tmp_path: Path) -> None:
    report_ = '{"a": "$(touch evil)\\n"}'
    asked = promoted(tmp_path, "promote", ENVIRONMENT="prod", CANDIDATE="rc-1", LOAD_REPORT=report_)
    (file,) = [each.partition("=")[2] for each in asked if each.startswith("--load-report=")]
    assert Path(file).read_text(encoding="utf-8") == report_
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("verb", ["promote", "rollback", "unpin", "pin", "cut"])
def test_no_input_is_an_option_or_a_command(verb: str, tmp_path: Path) -> None:
    asked = promoted(tmp_path, verb, **dict.fromkeys(NOTHING, EVIL))
    plain = promoted(tmp_path, verb, **dict.fromkeys(NOTHING, "plain"))
    assert not (tmp_path / "evil").exists()
    assert [each.replace(EVIL, "plain") for each in asked] == plain
    before = asked[: asked.index("--")] if "--" in asked else asked
    assert not [each for each in before if each.startswith(EVIL)]


def test_a_verb_that_is_none_is_refused(tmp_path: Path) -> None:
    done = ran(
        tmp_path,
        script("promote", "Promote"),
        ON_MAIN,
        **NOTHING,
        VERB="up; touch evil",
        GITHUB_ACTOR="x",
        GITHUB_TRIGGERING_ACTOR="x",
    )
    assert (done.returncode, (tmp_path / "asked").exists(), (tmp_path / "evil").exists()) == (2, False, False)


def test_nobody_runs_again_what_another_asked_for(tmp_path: Path) -> None:
    """Who asks cannot approve; whoever ran it again could, and would have asked alone."""
    variables = {**NOTHING, "VERB": "cut", "GITHUB_ACTOR": "asker", "GITHUB_TRIGGERING_ACTOR": "another"}
    done = ran(tmp_path, script("promote", "Promote"), ON_MAIN, **variables)
    assert (done.returncode, (tmp_path / "asked").exists()) == (2, False)


def test_the_verbs_offered_are_those_that_are_known(tmp_path: Path) -> None:
    for verb in workflow("promote")["on"]["workflow_dispatch"]["inputs"]["verb"]["options"]:
        assert promoted(tmp_path, verb)


def test_only_a_merged_request_of_this_repository_is_approved() -> None:
    assert workflow("approve")["on"]["pull_request_target"] == {"types": ["closed"], "branches": ["main"]}
    asked = job("approve")["if"]
    assert "github.event.pull_request.merged &&" in asked
    assert "github.event.pull_request.head.repo.full_name == github.repository" in asked
    prefixes = set(re.findall(r"startsWith\(github\.event\.pull_request\.head\.ref, '([a-z]+)/'\)", asked))
    assert prefixes == {purpose.value for purpose in Purpose} - {Purpose.PIN}, "as a request's branch is named"


@pytest.mark.parametrize("number", ["", "0", "-1", "7 8", "7;touch evil", "../7", "7\n8", "1234567890"])
def test_what_is_no_number_of_a_pull_request_is_refused(number: str, tmp_path: Path) -> None:
    programs = {**ON_MAIN, "bin/git": "#!/bin/sh\ntouch fetched\n"}
    done = ran(tmp_path, script("approve", "Approve"), programs, NUMBER=number)
    assert done.returncode == 2
    assert not [name for name in ("asked", "fetched", "evil") if (tmp_path / name).exists()]


def test_what_was_reviewed_is_fetched_as_objects_and_then_approved(clone: Clone) -> None:
    head = clone.elsewhere("gitops/x")
    clone.git("push", "--quiet", "origin", f"{head}:refs/pull/7/head", at=clone.root.parent / "other")
    done = ran(clone.root, script("approve", "Approve"), ON_MAIN, NUMBER="7")
    assert done.returncode == 0, done.stderr
    assert (clone.root / "asked").read_text(encoding="utf-8") == "approve\x007\0"
    assert clone.git("cat-file", "-t", head) == "commit"
    assert not (clone.root / "gitops").exists()


APPS_GH = """#!/bin/sh
case "$*" in
  "api users/ladder[bot] --jq .id") echo 42 ;;
  "auth git-credential get") printf 'username=x-access-token\\npassword=%s\\n' "$GITHUB_TOKEN" ;;
  *) exit 9 ;;
esac
"""


def on_main(clone: Clone, ladder: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``scripts/on-main`` in a clone, with a ladder that is this script."""
    home = clone.root.parent / "home"
    home.mkdir()
    programs = {"bin/gh": APPS_GH, ".venv/bin/ladder": f'#!/bin/sh\nset -eu\necho "$@" >> ran\n{ladder}\n'}
    command = f"{ROOT / 'scripts' / 'on-main'} {' '.join(arguments)}"
    return ran(clone.root, command, programs, HOME=str(home), APP="ladder", GITHUB_TOKEN="ghs_planted")


def runs(clone: Clone) -> list[str]:
    return (clone.root / "ran").read_text(encoding="utf-8").splitlines()


def test_what_pushes_is_the_app_and_its_token_is_in_no_file(clone: Clone) -> None:
    told = "git config user.name; git config user.email; echo url=https://github.com | git credential fill"
    done = on_main(clone, told, "observe", "dev")
    assert done.returncode == 0, done.stderr
    name, address, *credential = done.stdout.splitlines()
    assert (name, address) == ("ladder[bot]", "42+ladder[bot]@users.noreply.github.com")
    assert "password=ghs_planted" in credential
    assert runs(clone) == ["observe dev"]
    for folder in (clone.root, clone.root.parent / "home"):
        files = [each for each in folder.rglob("*") if each.is_file()]
        assert not [each for each in files if b"ghs_planted" in each.read_bytes()]


def test_what_was_overtaken_by_a_push_is_done_anew_on_the_new_tip(clone: Clone) -> None:
    clone.elsewhere("first")
    other = clone.root.parent / "other"
    late = "git rev-parse refs/remotes/origin/main >> tips\ntest $(wc -l < ran) -gt 1 || {{ {}; exit 1; }}"
    push = (
        f"cd {other}; git -c user.name=x -c user.email=x@y commit -q --allow-empty -m x; git push -q origin HEAD:main"
    )
    done = on_main(clone, late.format(push), "cut")
    assert done.returncode == 0, done.stderr
    assert runs(clone) == ["cut", "cut"]
    first, second = (clone.root / "tips").read_text(encoding="utf-8").splitlines()
    assert clone.git("rev-parse", "HEAD~1", at=other) == first
    assert clone.git("rev-parse", "HEAD", at=other) == second


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_an_answer_is_not_asked_for_again_and_is_handed_on(code: int, clone: Clone) -> None:
    done = on_main(clone, f"exit {code}", "promote", "rc-1", "--to=prod")
    assert (done.returncode, runs(clone)) == (code, ["promote rc-1 --to=prod"])


def test_it_is_not_tried_for_ever(clone: Clone) -> None:
    clone.elsewhere("first")
    other = clone.root.parent / "other"
    push = (
        f"cd {other}; git -c user.name=x -c user.email=x@y commit -q --allow-empty -m x; git push -q origin HEAD:main"
    )
    done = on_main(clone, f"({push}); exit 1", "cut")
    assert (done.returncode, len(runs(clone))) == (1, 5)
