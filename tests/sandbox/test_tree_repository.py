"""The tree's git repository: what is committed, when, and by whom."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ladder.errors import CheckFailed
from sandbox.tree_repository import commit, create

FOLDER = "gitops"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "state" / "tree.git"
    path.parent.mkdir()
    create(path)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "gitops"
    (path / "envs" / "dev" / "web").mkdir(parents=True)
    (path / "envs" / "dev" / "web" / "version.yaml").write_text("image: {}\n")
    return path


def git(repository: Path, *arguments: str) -> str:
    command = ["git", f"--git-dir={repository}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def files(repository: Path, revision: str = "main") -> list[str]:
    return git(repository, "ls-tree", "-r", "--name-only", revision).splitlines()


def test_directory_is_committed_under_its_folder(repository: Path, tree: Path) -> None:
    made = commit(repository, tree, folder=FOLDER, branch="main")
    assert made.made
    assert git(repository, "rev-parse", "main") == made.id
    assert files(repository) == ["gitops/envs/dev/web/version.yaml"]


def test_only_a_change_makes_a_commit(repository: Path, tree: Path) -> None:
    first = commit(repository, tree, folder=FOLDER, branch="main")
    again = commit(repository, tree, folder=FOLDER, branch="main")
    assert (again.id, again.made) == (first.id, False)
    (tree / "envs" / "dev" / "web" / "version.yaml").write_text("image: {digest: other}\n")
    (tree / "envs" / "dev" / "api.yaml").touch()
    second = commit(repository, tree, folder=FOLDER, branch="main")
    assert git(repository, "rev-parse", f"{second.id}^") == first.id
    assert len(files(repository)) == 2


def test_what_is_gone_from_the_directory_is_gone_from_the_branch(repository: Path, tree: Path) -> None:
    (tree / "other.yaml").touch()
    commit(repository, tree, folder=FOLDER, branch="main")
    (tree / "envs" / "dev" / "web" / "version.yaml").unlink()
    commit(repository, tree, folder=FOLDER, branch="main")
    assert files(repository) == ["gitops/other.yaml"]


def test_branches_do_not_touch_each_other(repository: Path, tree: Path) -> None:
    first = commit(repository, tree, folder=FOLDER, branch="main")
    (tree / "more").touch()
    commit(repository, tree, folder=FOLDER, branch="try/it")
    assert git(repository, "rev-parse", "main") == first.id
    assert len(files(repository, "try/it")) == 2


def test_settings_and_hooks_of_the_user_take_no_part(
    repository: Path, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, hooks = tmp_path / "home", tmp_path / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "commit-msg", "reference-transaction", "post-commit"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/called\nexit 1\n")
        (hooks / name).chmod(0o755)
    home.mkdir()
    (home / ".gitconfig").write_text(
        f"[core]\n\thooksPath = {hooks}\n\tautocrlf = true\n\texcludesFile = {home}/excludes\n"
        "[user]\n\tname = Someone\n\temail = someone@example.com\n[commit]\n\tgpgSign = true\n"
    )
    (home / "excludes").write_text("*.yaml\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Someone")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    (tree / "crlf.yaml").write_bytes(b"a: 1\r\n")
    made = commit(repository, tree, folder=FOLDER, branch="main")
    monkeypatch.delenv("GIT_DIR")
    people = git(repository, "show", "--no-patch", "--format=%an <%ae> %cn <%ce>", made.id)
    assert people == "sandbox <sandbox@localhost> sandbox <sandbox@localhost>"
    assert files(repository) == ["gitops/crlf.yaml", "gitops/envs/dev/web/version.yaml"]
    assert git(repository, "cat-file", "-s", f"{made.id}:gitops/crlf.yaml") == "6"
    assert not (tmp_path / "called").exists()
    assert not (tmp_path / "index").exists()
    assert not (repository / "hooks").exists()


def test_links_are_committed_as_links_and_executables_stay_so(repository: Path, tree: Path) -> None:
    (tree / "link").symlink_to("/etc/passwd")
    (tree / "run").write_text("#!/bin/sh\n")
    (tree / "run").chmod(0o755)
    commit(repository, tree, folder=FOLDER, branch="main")
    modes = {line.split("\t")[1]: line[:6] for line in git(repository, "ls-tree", "main:gitops").splitlines()}
    assert modes == {"envs": "040000", "link": "120000", "run": "100755"}


def test_trouble_is_told_in_gits_words(repository: Path, tree: Path) -> None:
    if os.geteuid() == 0:
        (repository / "objects").rename(repository / "objects.away")
        (repository / "objects").touch()
    else:
        (repository / "objects").chmod(0o500)
    with pytest.raises(CheckFailed, match=r"git .*tree\.git"):
        commit(repository, tree, folder=FOLDER, branch="main")
