"""The bare git repository that Argo CD delivers the tree from; git is used in the name of nobody."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ladder.errors import CheckFailed
from sandbox.paths import exclusive

__all__ = ["Commit", "commit", "create"]

PERSON = {"NAME": "sandbox", "EMAIL": "sandbox@localhost"}


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit's id, and whether it was made or had been there."""

    id: str
    made: bool


def create(repository: Path) -> None:
    """Make the repository where it is missing, without a hook in it."""
    if not (repository / "HEAD").exists():
        _git(repository, "init", "--quiet", "--bare", "--template=", str(repository))


def commit(repository: Path, directory: Path, *, folder: str, branch: str) -> Commit:
    """The head of ``branch`` with the content of ``directory`` as its ``folder``, committed where it is not already.

    Nothing else is in the branch. Raises CheckFailed in git's own words.
    """
    reference = f"refs/heads/{branch}"
    with exclusive(repository.with_suffix(".lock")):
        before = _git(repository, "for-each-ref", "--format=%(objectname)", reference)
        content = _write(repository, directory, folder)
        if before and _git(repository, "rev-parse", f"{before}^{{tree}}") == content:
            return Commit(before, made=False)
        parents = ["-p", before] if before else []
        made = _git(repository, "commit-tree", content, *parents, "-m", f"Publish {folder}")
        _git(repository, "update-ref", reference, made, before)
    return Commit(made, made=True)


def _write(repository: Path, directory: Path, folder: str) -> str:
    """The id of a git tree that has the directory at ``folder``."""
    with tempfile.TemporaryDirectory(prefix="index.") as scratch:
        index = {"GIT_INDEX_FILE": f"{scratch}/index"}
        _git(repository, "--work-tree=.", "add", "--all", ".", directory=directory, extra=index)
        content = _git(repository, "write-tree", extra=index)
    for part in reversed(PurePosixPath(folder).parts):
        content = _git(repository, "mktree", said=f"040000 tree {content}\t{part}\n")
    return content


def _git(
    repository: Path,
    *arguments: str,
    directory: Path | None = None,
    extra: Mapping[str, str] | None = None,
    said: str = "",
) -> str:
    """What git prints; ``said`` is what it reads."""
    people = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in PERSON.items()}
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": os.devnull,
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **people,
        **(extra or {}),
    }
    command = ["git", f"--git-dir={repository}", *arguments]
    done = subprocess.run(
        command,
        cwd=directory or repository.parent,
        env=variables,
        input=said,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CheckFailed(f"git {arguments[0]} of {repository}: {done.stderr.strip()}")
    return done.stdout.strip()
