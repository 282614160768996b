"""The two ends of a comparison: a commit, put into a directory of its own, and the work tree.

The repository is only read: no work tree is registered in it, and no hook of it runs.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path

from ladder.changes.report import Commits
from ladder.errors import CheckFailed, InputError, Problem
from ladder.git import git, objects, resolved, said

__all__ = ["checked_out", "commit_of", "commits"]

_LINK, _PROGRAM, _SUBMODULE = "120000", "100755", "160000"
_NO_NAMES = frozenset({"", ".", "..", ".git"})


def commits(root: Path, ref: str) -> Commits:
    """What REF names in the repository that ``root`` is in, and what the work tree stands on.

    Raises InputError where there is no repository, or no such commit in it.
    """
    inside = git(root, "rev-parse", "--is-inside-work-tree")
    if inside.stdout.strip() != "true":
        accepted = "a project inside a git work tree"
        raise InputError(Problem(file=str(root), message="is not in a git repository", accepted=accepted))
    # Where nothing is committed yet, the work tree stands on nothing.
    head = git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").stdout.strip()
    status = said(root, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", ".")
    return Commits(ref=ref, base=commit_of(root, ref), head=head, edited=status.count("\0"))


def commit_of(root: Path, ref: str, *, option: str = "--base") -> str:
    """The commit that REF, given by ``option``, names. Raises InputError where it names none."""
    if found := resolved(root, ref):
        return found
    known = git(root, "for-each-ref", "--count=12", "--format=%(refname:short)", "refs/heads", "refs/remotes")
    names = ", ".join(known.stdout.split())
    shallow = git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"
    fetched = "; this clone is shallow: fetch the base first (actions/checkout: fetch-depth: 0)" if shallow else ""
    raise InputError(
        Problem(
            file=option,
            message="names no commit of this repository",
            found=ref if ref and ref.isprintable() else repr(ref),
            accepted=f"a commit, a tag or a branch{fetched}{f', such as {names}' if names else ''}",
            example=f"{option} origin/main",
        )
    )


@contextmanager
def checked_out(root: Path, commit: str, *, without: Collection[str] = ()) -> Generator[Path]:
    """The project as it is at the commit, in a temporary directory that goes whatever happens.

    Files are as git keeps them: no attribute, neither of the commit nor of this clone, makes others of them. Files of
    the names ``without`` are left out: where there are thousands, writing them takes most of the time. Raises
    CheckFailed where the commit has no project, or one that cannot be written.
    """
    below = said(root, "rev-parse", "--show-prefix").rstrip("\n")
    found = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}:{below}")
    if found.returncode:
        raise CheckFailed(f"the project is not there: no folder {below.rstrip('/')}")
    with tempfile.TemporaryDirectory(prefix="ladder-changes-", ignore_cleanup_errors=True) as directory:
        project = Path(directory, "project")
        project.mkdir()
        _write(root, found.stdout.strip(), project, without)
        yield project


def _write(root: Path, tree: str, project: Path, without: Collection[str]) -> None:
    rows = (line.partition("\t") for line in said(root, "ls-tree", "-r", "-z", "--full-tree", tree).split("\0") if line)
    files = [(row.split()[0], row.split()[2], path) for row, _, path in rows]
    wanted = [each for each in files if each[0] != _SUBMODULE and each[2].rpartition("/")[2] not in without]
    links = {path for mode, _, path in wanted if mode == _LINK}
    for _, _, path in wanted:
        parts = path.split("/")
        above = {"/".join(parts[:number]) for number in range(1, len(parts))}
        if above & links or any(part.casefold() in _NO_NAMES for part in parts):
            raise CheckFailed(f"the project cannot be written: it has {ascii(path)[1:-1]}")
    for (mode, _, path), content in zip(wanted, objects(root, [name for _, name, _ in wanted]), strict=True):
        file = project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if mode == _LINK:
            file.symlink_to(os.fsdecode(content))
            continue
        file.write_bytes(content)
        if mode == _PROGRAM:
            file.chmod(0o755)
