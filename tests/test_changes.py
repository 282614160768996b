"""``ladder changes`` on real git repositories, with the real recorder on both sides."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click import unstyle

from ladder.changes import compare
from ladder.changes.commits import checked_out, commits
from ladder.changes.markdown import as_markdown
from ladder.changes.report import Danger, Fate, Report, Standing, read_report, write_report
from ladder.changes.text import as_text
from ladder.errors import InputError
from tests.changed import Repository, report, said, stack
from tests.conftest import Recordings
from tests.support import Outcome, command, run_ladder

pytestmark = pytest.mark.exhaustive

MALICE = "</details><script>alert(1)</script> @everyone `` ` `` \\u202e"
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "planted-secret",
    "GITHUB_TOKEN": "planted-secret",
    "PULUMI_ACCESS_TOKEN": "planted",
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The project, committed once."""
    return Repository.at(tmp_path_factory.mktemp("changes"))


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made: nothing may be left in it."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return directory


@pytest.fixture
def run(
    repository: Repository, scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Outcome]]:
    """The command in the repository; it leaves neither files nor work trees, and the repository as it was."""
    monkeypatch.setenv("LADDER_ROOT", str(repository.root))
    before = (repository.git("status", "--porcelain"), repository.project.contents())

    def ladder(*arguments: str) -> Outcome:
        return run_ladder(capsys, "changes", *arguments)

    yield ladder
    assert list(scratch.iterdir()) == []
    assert len(repository.git("worktree", "list").splitlines()) == 1
    assert (repository.git("status", "--porcelain"), repository.project.contents()) == before


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A work tree with several edits against the commit below it, recorded where credentials lie about."""
    repository = Repository.at(tmp_path_factory.mktemp("edited"))
    repository.edit("Pulumi.dev.yaml", "pods: 60", "pods: 61")
    for file in ("Pulumi.prod.yaml", *(f"gitops/envs/prod/{name}/values.yaml" for name in ("api", "web", "worker"))):
        repository.edit(file, "acme-shop-prod-uploads", "acme-shop-prod-incoming")
    repository.edit("gitops/envs/dev/web/values.yaml", "cpuPercent: 70", "cpuPercent: 71")
    repository.edit("components/policies.py", '        _deny("DenyCustomerKeys"', '        # _deny("DenyCustomerKeys"')
    repository.edit("components/encryption_key.py", "description=f", f"description={MALICE!r} f")
    repository.edit(
        "__main__.py",
        "import pulumi\n",
        "from pathlib import Path\n\nimport pulumi\n\n"
        "given = Path('/proc/self/environ').read_text().strip('\\0').split('\\0')\nprint(given)\n"
        "pulumi.export('variables', dict(each.split('=', 1) for each in given))\n",
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        return compare.changes(repository.root, "HEAD")


def test_nothing_changed_is_said(run: Callable[..., Outcome], repository: Repository) -> None:
    outcome = run("--base", "HEAD", "--fail-on-warning")
    assert (outcome.code, outcome.err) == (0, "")
    head, summary, *_ = outcome.out.splitlines()
    commit = repository.git("rev-parse", "HEAD")[:12]
    assert head == f"HEAD ({commit}) → the work tree on {commit}"
    assert summary == "Nothing changes in any environment."
    assert [line.partition(":")[0] for line in outcome.out.splitlines() if "no change" in line] == [
        "dev",
        "staging",
        "prod",
        "GitOps tree",
    ]


def test_one_changed_setting_is_one_changed_property(edited: Report) -> None:
    (quota,) = [each for each in stack(edited, "dev").changes if each.name == "services-quota"]
    (found,) = quota.properties
    assert (quota.fate, found.path, found.before, found.after) == (Fate.CHANGED, "spec.hard.pods", "60", "61")
    assert [each.name for each in stack(edited, "prod").changes if each.name == "services-quota"] == []


def test_a_renamed_bucket_is_replaced_and_its_data_is_warned_about(edited: Report) -> None:
    (bucket,) = [each for each in stack(edited, "prod").changes if each.type == "aws:s3/bucket:Bucket"]
    assert (bucket.fate, [each.path for each in bucket.properties if each.replaces]) == (Fate.REPLACED, ["bucket"])
    (caution,) = [each for each in stack(edited, "prod").cautions if each.danger is Danger.DATA]
    assert caution.message == "is replaced by an empty one; the update stops, for it is protected"
    assert caution.details == ("acme-shop-prod-uploads",)


def test_a_removed_deny_is_a_loosened_policy_in_every_stack(edited: Report) -> None:
    for name in ("dev", "staging", "prod"):
        found = [each for each in said(stack(edited, name).cautions) if "is a Deny that is gone" in each]
        assert len(found) == 4
        assert all("['DenyCustomerKeys']" in each for each in found)


def test_what_changes_in_prod_alone_is_out_of_order(edited: Report) -> None:
    found = [each for each in edited.cautions() if each.danger is Danger.ORDER and "passed" in each.message]
    assert {(each.where, each.subject) for each in found} == {("prod", "staging")}
    details = [detail for each in found for detail in each.details]
    assert {"Bucket uploads bucket", "web endpoints.buckets.uploads"} <= set(details)


def test_the_tree_changes_with_the_stacks(edited: Report) -> None:
    found = {f"{each.environment}/{each.service}": each.properties for each in edited.tree.services}
    assert set(found) == {"dev/web", "prod/api", "prod/web", "prod/worker"}
    (scale,) = found["dev/web"]
    assert (scale.path, scale.before, scale.after) == ("values.scale.replicas.cpuPercent", 70, 71)


def test_a_hostile_program_writes_data_and_nothing_else(edited: Report) -> None:
    descriptions = [
        each.after
        for change in stack(edited, "dev").changes
        for each in change.properties
        if each.path == "description"
    ]
    assert len(descriptions) == 3
    assert all(str(each).startswith("</details><script>alert(1)</script> @everyone") for each in descriptions)
    markdown = as_markdown(edited)
    assert markdown.count('`"</details><script>alert(1)</script> @everyone \\u0060\\u0060 \\u0060') == 9
    assert markdown.count("</details>") == markdown.count("<details>") + 9
    assert "\u202e" not in markdown + as_text(edited)


def test_no_credential_of_the_callers_reaches_a_program(edited: Report) -> None:
    for name in ("dev", "staging", "prod"):
        (found,) = [each for each in stack(edited, name).outputs if each.path == "variables"]
        assert set(found.after) <= {"HOME", "LADDER_ROOT", "LC_ALL", "LC_CTYPE", "PATH"}
    assert "planted" not in as_text(edited)


def test_a_long_report_is_cut_and_counted(edited: Report) -> None:
    short = as_markdown(edited, 3000)
    assert len(short) <= 3000
    assert "lines more" in short
    assert all(f"<code>{name}</code>" in short for name in ("dev", "staging", "prod"))


def test_json_is_whole_and_shown_again_without_running_anything(
    run: Callable[..., Outcome], edited: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "changes.json"
    file.write_text(write_report(edited), encoding="utf-8")
    assert read_report(file) == edited
    monkeypatch.setattr(compare, "changes", None)
    outcome = run("--from", str(file), "--format", "md")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == as_markdown(edited) + "\n"
    outcome = run("--from", str(file), "--fail-on-warning")
    assert (outcome.code, outcome.err) == (1, f"error:\n{sum(1 for _ in edited.cautions())} warnings\n")


NETWORK = """
import socket

socket.create_connection(("127.0.0.1", {port}), timeout=5)
"""


def test_a_base_that_fails_is_said_to_and_the_head_still_counted(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here because it asks the network, which a recording does not have."""
    repository = Repository.at(tmp_path / "project")
    good = (repository.root / "__main__.py").read_text()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        (repository.root / "__main__.py").write_text(NETWORK.format(port=server.getsockname()[1]))
        base = repository.commit()
        (repository.root / "__main__.py").write_text(good)
        repository.commit()
        monkeypatch.setenv("LADDER_ROOT", str(repository.root))
        outcome = run_ladder(capsys, "changes", "--base", base)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert outcome.code == 1
    assert outcome.err == "error:\nnot comparable: dev, staging, prod\n"
    assert "dev: not comparable, head declares 102" in outcome.out
    assert "base: the program failed at __main__.py:" in outcome.out
    assert "a recording has no network" in outcome.out
    assert "GitOps tree: no change" in outcome.out
    assert list(scratch.iterdir()) == []


def test_a_commit_without_the_project_is_said_to_have_none(
    tmp_path: Path, scratch: Path, recordings: Recordings
) -> None:
    """The project may lie in a folder of its repository, and not have been there."""
    root = tmp_path / "repository" / "infrastructure"
    repository = Repository.at(root)
    repository.git("rm", "-r", "--quiet", "--cached", ".")
    top = Repository(repository.project)
    (root / ".git").rename(root.parent / ".git")
    (root.parent / "README").write_text("before the project")
    top.git("add", "../README")
    top.git("commit", "--quiet", "-m", "before the project")
    before = top.git("rev-parse", "HEAD")
    found = commits(root, before)
    with (
        pytest.raises(Exception, match="the project is not there: no folder infrastructure"),
        checked_out(root, before),
    ):
        raise AssertionError
    after = top.commit()
    with checked_out(root, after) as there:
        assert (there / "Pulumi.yaml").is_file()
        assert not (there / "README").exists()
    assert found.edited > 0
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize(
    "ref",
    [
        "nowhere",
        "",
        "--help",
        "--output=/tmp/x",
        "-n",
        "HEAD; touch x",
        "$(touch x)",
        "HEAD:README.md",
        "a\nb",
        "HEAD^{tree}",
    ],
)
def test_what_names_no_commit_is_refused(ref: str, repository: Repository, scratch: Path) -> None:
    with pytest.raises(InputError) as refused:
        compare.changes(repository.root, ref)
    (problem,) = refused.value.problems
    assert (problem.file, problem.message) == ("--base", "names no commit of this repository")
    assert "a commit, a tag or a branch, such as main" in problem.accepted
    assert not (repository.root / "x").exists()


def test_outside_a_repository_the_error_is_clear(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.yaml").touch()
    monkeypatch.setenv("LADDER_ROOT", str(tmp_path))
    outcome = run("--base", "HEAD")
    assert (outcome.code, outcome.out) == (2, "")
    assert "is not in a git repository" in outcome.err


@pytest.mark.parametrize("arguments", [(), ("--base", "HEAD", "--from", "x"), ("--base", "HEAD", "--limit", "999")])
def test_wrong_options_are_refused(arguments: tuple[str, ...], run: Callable[..., Outcome]) -> None:
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Usage: ladder changes")


def test_a_hook_and_the_callers_git_variables_have_no_part(
    repository: Repository, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = repository.root / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {scratch}/hooked\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nonexistent")
    index = (repository.root / ".git" / "index").read_bytes()
    found = commits(repository.root, "HEAD")
    with checked_out(repository.root, found.base) as there:
        assert (there / "__main__.py").read_bytes() == (repository.root / "__main__.py").read_bytes()
    hook.unlink()
    assert list(scratch.iterdir()) == []
    assert (repository.root / ".git" / "index").read_bytes() == index


def test_a_stack_of_one_side_only_is_new_or_no_longer_declared(recordings: Recordings, ladder: dict[str, Any]) -> None:
    both = {each.stack: each for each in recordings}
    one = {name: each for name, each in both.items() if name != "staging"}
    anew = stack(report(one, both, ladder), "staging")
    assert (anew.standing, anew.count(Fate.ANEW), anew.cautions) == (Standing.ANEW, 73, ())
    rest = {name: settings for name, settings in ladder.items() if name != "staging"}
    gone = stack(report(both, one, rest), "staging")
    assert (gone.standing, gone.before, gone.after, gone.changes) == (Standing.GONE, 73, None, ())
    assert [each.message for each in gone.cautions] == [
        "is no longer declared: what it made stays where it is, and nothing looks after it"
    ]
    assert "staging: no longer declared, had 73 resources" in unstyle(as_text(report(both, one, rest)))


def test_an_end_that_fails_is_named_with_its_reason(recordings: Recordings, ladder: dict[str, Any]) -> None:
    before = {each.stack: each for each in recordings}
    found = report(before, before | {"prod": "it fails\nbadly"}, ladder, ({}, "it is no tree"))
    assert found.not_comparable() == ("prod", "the GitOps tree")
    said_of_it = unstyle(as_text(found))
    assert "prod: not comparable, base declares 73\n  work tree: it fails\n  badly\n" in said_of_it
    assert "GitOps tree: not comparable\n  work tree: it is no tree" in said_of_it
    assert "dev: no change in 102 resources" in said_of_it


def test_an_interrupted_run_leaves_nothing(repository: Repository, scratch: Path) -> None:
    environment = {**os.environ, "LADDER_ROOT": str(repository.root)}
    running = subprocess.Popen(
        command("changes", "--base", "HEAD"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _until(lambda: any(scratch.glob("*/head/complaints")) or running.poll() is not None)
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert (running.returncode, out, err.strip()) == (130, "", "interrupted")
    assert list(scratch.iterdir()) == []


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
