"""The workflows are safe by independent linters, and each does what docs/ci.md says of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ladder.changes.report import write_report
from ladder.contract import Rung, StackSettings, stack_names
from ladder.doctor.github import PREVIEW
from sandbox.progress import Silent
from tests.changed import report
from tests.support import ROOT
from tests.workflows.lint import actionlint, zizmor
from tests.workflows.parts import (
    FOLDER,
    NAMES,
    SIGN,
    Clone,
    cloned,
    every_job,
    job,
    jobs,
    named,
    ran,
    script,
    steps,
    text,
    workflow,
)

RULESET = json.loads((ROOT / ".github" / "rulesets" / "main.json").read_text(encoding="utf-8"))


def copied(directory: Path, name: str, old: str, new: str) -> Path:
    """The workflows with one of them edited. Only in a repository does actionlint read the workflow that one calls."""
    (directory / ".git").mkdir()
    shutil.copytree(FOLDER, directory / ".github" / "workflows")
    assert old in text(name)
    (directory / ".github" / "workflows" / f"{name}.yml").write_text(text(name).replace(old, new), encoding="utf-8")
    return directory


def test_neither_linter_finds_anything() -> None:
    assert (actionlint(Silent()), zizmor()) == ([], [])


@pytest.mark.parametrize(
    ("name", "old", "new", "finding"),
    [
        ("changes", "@08c6903cd8c0fde910a37f88322edcfb5dd907a8", "@v5", "unpinned-uses"),
        ("stack", "@61815dcd50bd041e203e49132bacad1fd04d2708 # v5.1.1", "@v5", "unpinned-uses"),
        ("changes", "          persist-credentials: false\n", "", "artipacked"),
        ("test", "permissions: {}\n", "permissions: write-all\n", "excessive-permissions"),
        (
            "changes-comment",
            '> "$text"',
            '"${{ github.event.workflow_run.head_branch }}"',
            "template-injection",
        ),
        ("stack", "--policy-pack policy --yes", "${{ inputs.stack }} --yes", "template-injection"),
        ("changes-comment", " # zizmor: ignore[dangerous-triggers]", " #", "dangerous-triggers"),
        ("judge", " # zizmor: ignore[dangerous-triggers]", " #", "dangerous-triggers"),
        ("approve", " # zizmor: ignore[dangerous-triggers]", " #", "dangerous-triggers"),
        ("promote", '--to="$ENVIRONMENT"', '--to="${{ inputs.environment }}"', "template-injection"),
        ("promote", ' -- "$SERVICE"', " -- ${{ github.event.client_payload.service }}", "template-injection"),
        ("promote", "    environment: promotion\n", "", "secrets-outside-env"),
        ("observe", "          permission-contents: write # to push\n", "", "github-app"),
    ],
)
def test_zizmor_would_find_it(name: str, old: str, new: str, finding: str, tmp_path: Path) -> None:
    assert finding in "\n".join(zizmor(copied(tmp_path, name, old, new)))


@pytest.mark.parametrize(
    ("name", "old", "new", "finding"),
    [
        ("deploy", "needs: staging", "needs: stagin", "job-needs"),
        ("deploy", "      environment: dev\n", "", 'input "environment" is required'),
        ("stack", "inputs.command == 'up'", "inputs.comand == 'up'", 'property "comand" is not defined'),
        (
            "changes-comment",
            'if [ -z "$number" ]',
            "if [ -z $number ]",
            "SC2086",
        ),
    ],
)
def test_actionlint_would_find_it(name: str, old: str, new: str, finding: str, tmp_path: Path) -> None:
    assert finding in "\n".join(actionlint(Silent(), copied(tmp_path, name, old, new)))


def test_every_action_is_pinned_and_says_its_version() -> None:
    for name in NAMES:
        for line in text(name).splitlines():
            if "uses: " in line and "uses: ./" not in line:
                assert re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), (name, line)


def test_the_only_secret_is_the_key_of_the_app_that_pushes_evidence() -> None:
    named_in = {name: re.findall(r"\bsecrets\b.*", text(name)) for name in NAMES}
    only = {"secrets.APP_PRIVATE_KEY }}"}
    assert {name: set(found) for name, found in named_in.items() if found} == dict.fromkeys(SIGN, only)


def test_every_job_says_its_rights_and_how_long_it_may_take() -> None:
    for name, key, each in every_job():
        assert workflow(name)["permissions"] == {}, name
        assert "permissions" in each, (name, key)
        assert ("timeout-minutes" in each) is ("uses" not in each), (name, key)


def test_only_what_works_on_stacks_is_known_to_the_cloud() -> None:
    known = {name for name in NAMES if "aws-actions/configure-aws-credentials" in text(name)}
    assert known == {"stack", "observe"}
    for name, key, each in every_job():
        calls = each.get("uses", "").startswith("./.github/workflows/stack.yml")
        assert ("id-token" in each["permissions"]) is (calls or name == "stack" or name in SIGN), (name, key)
        if calls or name in known:
            assert not [trigger for trigger in workflow(name)["on"] if trigger.startswith("pull_request")], name
    assert workflow("deploy")["on"] == {"push": {"branches": ["main"], "paths-ignore": ["evidence/**"]}}
    assert job("stack")["if"] == "github.ref == 'refs/heads/main'"


def test_what_is_required_is_a_job_for_pull_requests_and_in_the_queue() -> None:
    (checks,) = [each["parameters"] for each in RULESET["rules"] if each["type"] == "required_status_checks"]
    required = sorted(each["context"] for each in checks["required_status_checks"])
    reported = {
        kind: sorted(each["name"] for name, _, each in every_job() if triggers & workflow(name)["on"].keys())
        for kind, triggers in {"pull": {"pull_request", "pull_request_target"}, "queue": {"merge_group"}}.items()
    }
    assert required == reported["queue"] == ["guard", "judge", "test"]
    assert set(required) <= set(reported["pull"])


def test_no_other_job_has_the_name_of_a_required_one() -> None:
    names = [each["name"] for _, _, each in every_job()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("key", "step", "runs"),
    [
        ("judge", "Judge", '.venv/bin/ladder judge --head "$HEAD"'),
        ("guard", "Guard", '.venv/bin/ladder guard --base HEAD --head "$HEAD"'),
    ],
)
def test_the_judge_is_the_protected_branchs_and_writes_no_file_of_the_proposal(key: str, step: str, runs: str) -> None:
    assert set(workflow("judge")["on"]) == {"pull_request_target", "merge_group"}
    judging = jobs("judge")[key]
    assert judging["permissions"] == {"contents": "read"}
    (checkout,) = [each for each in judging["steps"] if "uses" in each]
    assert checkout["with"]["ref"] == "${{ github.event.merge_group.base_sha || github.sha }}"
    assert checkout["with"]["persist-credentials"] == "false"
    fetching = named("judge", "Fetch what is proposed", key)["run"]
    assert fetching.split("\\\n")[1].split() == ["fetch", "--quiet", "--no-tags", "origin", '"$HEAD"']
    last = named("judge", step, key)
    first, second, third = last["run"].splitlines()
    assert (first, second.split()[0], third) == ("uv=$(scripts/bootstrap)", '"$uv"', runs)
    assert set(last["env"]) == {"HEAD"}, "the token is not there where data is read"


def test_what_runs_a_strangers_code_may_only_read() -> None:
    for name in ("changes", "test"):
        assert job(name)["permissions"] == {"contents": "read"}


def test_what_may_comment_runs_no_code_of_the_pull_request() -> None:
    (checkout,) = [step for step in steps("changes-comment") if "checkout" in step.get("uses", "")]
    assert checkout["with"] == {"persist-credentials": "false"}
    (download,) = [step for step in steps("changes-comment") if "download" in step.get("uses", "")]
    assert download["with"]["path"] == "${{ runner.temp }}/changes"


def test_every_stack_is_previewed_then_brought_up_in_rung_order(ladder: dict[str, StackSettings]) -> None:
    deploy = jobs("deploy")
    climbing = sorted(stack_names(ROOT), key=lambda stack: list(Rung).index(ladder[stack].environment.rung))
    for name in ("deploy", "drift"):
        (each,) = [each for each in jobs(name).values() if "strategy" in each]
        assert each["strategy"]["matrix"]["stack"] == climbing
        assert each["with"]["environment"] == f"${{{{ matrix.stack }}}}{PREVIEW}", "as the doctor looks for it"
    ups = {each["with"]["stack"]: each for each in deploy.values() if each.get("with", {}).get("command") == "up"}
    assert list(ups) == climbing
    before = "preview"
    for stack, each in ups.items():
        assert (each["needs"], each["with"]["environment"]) == (before, stack)
        before = stack


def test_an_update_and_a_preview_of_a_stack_do_not_wait_for_each_other() -> None:
    waits = job("stack")["concurrency"]
    assert waits == {"group": "pulumi-${{ inputs.command }}-${{ inputs.stack }}", "cancel-in-progress": "false"}


def test_the_engine_is_of_the_sdks_version() -> None:
    (engine,) = [each["with"]["pulumi-version"] for each in steps("stack") if "pulumi/actions" in each.get("uses", "")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"pulumi=={engine}" in project["project"]["dependencies"]


def test_credentials_come_after_everything_that_is_installed() -> None:
    order = [each.get("name") or each["uses"].partition("@")[0] for each in steps("stack")]
    credentials = order.index("aws-actions/configure-aws-credentials")
    assert order.index("Install the program") < order.index("pulumi/actions") < credentials
    assert "uses" not in {key for each in steps("stack")[credentials + 1 :] for key in each}


def test_owners_are_named_for_what_decides() -> None:
    lines = (ROOT / ".github" / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    owned = dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    assert owned["*"] == "@acme/shop"
    decides = {path.name for path in ROOT.iterdir() if path.is_dir()} & {
        *(".github", "components", "ladder", "policy", "sandbox", "schemas", "scripts", "tests")
    }
    assert {f"/{name}/" for name in decides} <= owned.keys()
    assert {"/promotion.yaml", "/evidence/"} <= owned.keys()
    # The first statement makes the folder; of attributes there shall be none.
    for pattern in owned.keys() - {"*", "/evidence/", "/.gitattributes"}:
        assert list(ROOT.glob(pattern.strip("/"))), f"{pattern} is nowhere"


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return cloned(tmp_path)


PULUMI = {"bin/pulumi": '#!/bin/sh\necho "$@" > asked\n'}


def up(clone: Clone) -> subprocess.CompletedProcess[str]:
    return ran(clone.root, script("stack", "Up"), PULUMI, GITHUB_SHA=clone.git("rev-parse", "HEAD"), STACK="prod")


@pytest.mark.parametrize(
    ("pushed", "deployed"),
    [
        ((), True),
        (("evidence/prod/000001-observed.sigstore.json",), True),
        (("Pulumi.yaml",), False),
        (("evidence/prod/000001-observed.sigstore.json", "gitops/envs/dev/web/version.yaml"), False),
        (("other/evidence/x",), False),
    ],
)
def test_what_main_has_passed_by_brings_nothing_up_but_evidence_is_no_program(
    pushed: tuple[str, ...], deployed: bool, clone: Clone
) -> None:
    for file in pushed:
        clone.elsewhere(file)
    done = up(clone)
    assert done.returncode == 0, done.stderr
    asked = (clone.root / "asked").read_text(encoding="utf-8") if (clone.root / "asked").exists() else ""
    assert asked == ("up --stack prod --policy-pack policy --yes --non-interactive\n" if deployed else "")
    assert ("::notice::" in done.stdout) is not deployed


def test_where_main_is_cannot_be_asked_nothing_is_brought_up(clone: Clone) -> None:
    clone.remote.rename(clone.remote.with_name("gone"))
    done = up(clone)
    assert done.returncode != 0
    assert not (clone.root / "asked").exists()


def test_a_state_that_cannot_be_exported_is_drift(tmp_path: Path) -> None:
    programs = {"bin/pulumi": "#!/bin/sh\nexit 3\n", ".venv/bin/ladder": "#!/bin/sh\ncat > /dev/null\n"}
    told = script("stack", "What the state holds that this commit does not declare")
    assert ran(tmp_path, told, programs, STACK="prod").returncode == 3


GH = """#!{python}
import pathlib, sys
log = pathlib.Path(__file__).with_name("asked")
asked = " ".join(sys.argv[1:])
log.write_text((log.read_text() if log.exists() else "") + asked.replace("\\n", " ") + "\\n")
if "/pulls?" in asked:
    print("{pulls}", end="")
elif "/comments?" in asked:
    print("{comments}", end="")
"""


@pytest.mark.parametrize(
    ("pulls", "comments", "asks"),
    [
        ("7\\n", "", "api --silent repos/acme/shop/issues/7/comments --field body=@{temporary}/comment.md"),
        (
            "7\\n",
            "11\\n",
            "api --silent --method PATCH repos/acme/shop/issues/comments/11 --field body=@{temporary}/comment.md",
        ),
        ("", "", ""),
    ],
)
def test_a_comment_is_made_once_and_then_edited(pulls: str, comments: str, asks: str, tmp_path: Path) -> None:
    files = tmp_path / "changes"
    files.mkdir()
    (files / "changes.json").write_text(write_report(report({}, {}, {})), encoding="utf-8")
    programs = {
        "bin/gh": GH.format(python=sys.executable, pulls=pulls, comments=comments),
        "scripts/bootstrap": "#!/bin/sh\necho true\n",
        ".venv/bin/ladder": f"#!/bin/sh\nexec {sys.executable} -c 'from ladder.cli import main; main()' \"$@\"\n",
    }
    commenting = script("changes-comment", "Comment")
    done = ran(
        tmp_path,
        commenting,
        programs,
        REPOSITORY="acme/shop",
        HEAD_SHA="c" * 40,
        FILES=str(files),
        RUNNER_TEMP=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    asked = (tmp_path / "bin" / "asked").read_text(encoding="utf-8").splitlines()
    assert asked[0].startswith("api --paginate repos/acme/shop/pulls?state=open")
    if not asks:
        assert len(asked) == 1
        return
    assert asked[-1] == asks.format(temporary=tmp_path)
    comment = (tmp_path / "comment.md").read_text(encoding="utf-8")
    assert comment.startswith("<!-- ladder-changes -->\n")
    assert comment.endswith(f"\nAdvisory: recorded by the code of `{'c' * 40}` itself, without credentials.\n")
