"""A proposed commit as data for the code of this checkout.

Settings, exceptions and the GitOps tree are the proposed commit's; the program, the checker and the schemas are this
checkout's commit's. They are read as git objects: no file of the proposed commit is written that is not such data, and
none of its code is run but the chart's templates, by Helm.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ladder import schemas
from ladder.changes.commits import checked_out, commit_of
from ladder.contract import ladder_settings, stack_names
from ladder.contract.exceptions import EXCEPTIONS
from ladder.contract.previews import Previews
from ladder.contract.seed import SEED
from ladder.errors import CheckFailed, InputError, Problem
from ladder.git import git, objects, said
from ladder.tree import CHART

__all__ = ["STACK_FILE", "Entry", "Proposal", "beside_the_chart", "entries", "merged", "odd", "proposed"]

_FILES = (EXCEPTIONS, SEED)
STACK_FILE = re.compile(r"Pulumi\.[^./]+\.yaml")
_NAME = re.compile(r"(?!\.{1,2}$|\.git)[A-Za-z0-9._-]{1,100}", re.IGNORECASE)
_LONGEST_PATH = 400
_LARGEST_FILE = 1024 * 1024
_LARGEST = 64 * 1024 * 1024
_MOST = 20_000
_ODD_MODES = {"120000": "is a symbolic link", "160000": "is a submodule"}
_FILE_MODES = ("100644", "100755")
_CHARTS_OWN = re.compile(r"Chart\.yaml|values\.schema\.json|templates/[^/]+\.(yaml|tpl)")
"""What a chart consists of here. Of anything else Helm might make a subchart, or leave a schema out."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is judged: ``root`` has this checkout's code and the data of ``head`` merged into ``base``.

    ``code`` are the files that the proposal changes and that are no data.
    """

    root: Path
    base: str
    head: str
    code: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a commit's tree, its path relative to the project's root."""

    mode: str
    name: str
    size: int
    path: str


@contextmanager
def proposed(root: Path, ref: str) -> Generator[Proposal]:
    """The project at ``root`` as its commit has it, with the data of the commit REF; it goes with the context.

    What REF and this checkout both changed is merged as git merges it. Raises InputError where there is no such
    commit, or its data has what data must not have: links, submodules, odd names, or too much; CheckFailed where the
    two cannot be merged.
    """
    base, head = commit_of(root, "HEAD", option="this checkout"), commit_of(root, ref, option="--head")
    tree = merged(root, base, head)
    with checked_out(root, base) as project:
        data = _Data.of(project)
        changed = said(root, "diff-tree", "-r", "-z", "--name-only", "--relative", base, tree).split("\0")
        held = [entry for entry in entries(root, tree) if data.has(entry.path)]
        if problems := [*odd(held), *beside_the_chart(held, data.charts), *_too_much(held)]:
            raise InputError(problems)
        data.remove(project)
        for entry, content in zip(held, objects(root, [entry.name for entry in held]), strict=True):
            file = project / entry.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        schemas.write(project)
        yield Proposal(project, base, head, tuple(path for path in changed if path and not data.has(path)))


@dataclass(frozen=True, slots=True)
class _Data:
    """Which paths are data: stack files, exceptions, and the folders of the tree, as this checkout's settings say.

    A schema is made from the contract, so it is code, wherever it lies.
    """

    folders: tuple[str, ...]
    charts: tuple[str, ...]
    above: Collection[str]
    made: Collection[str]

    @classmethod
    def of(cls, project: Path) -> _Data:
        every = ladder_settings(project, equal=False).values()
        trees = {Path(settings.delivery.path) for settings in every}
        charts = {tree.parent / CHART for tree in trees}
        charts |= {Path(each.previews.folder) for each in every if isinstance(each.previews, Previews)}
        folders = trees | charts
        above = {parent.as_posix() for folder in folders for parent in folder.parents if parent.parts}
        paths, own = (tuple(sorted(each.as_posix() for each in some)) for some in (folders, charts))
        return cls(paths, own, above, schemas.schemas().keys())

    def has(self, path: str) -> bool:
        """A file in a folder's own place, or above it, would hide the folder, so it counts."""
        if path in self.made:
            return False
        inside = any(path == folder or path.startswith(f"{folder}/") for folder in self.folders)
        return inside or path in self.above or path in _FILES or STACK_FILE.fullmatch(path) is not None

    def remove(self, project: Path) -> None:
        for folder in self.folders:
            shutil.rmtree(project / folder, ignore_errors=True)
        for name in (*_FILES, *(f"Pulumi.{stack}.yaml" for stack in stack_names(project))):
            (project / name).unlink(missing_ok=True)


def merged(root: Path, base: str, head: str) -> str:
    """The tree that a merge of both commits gives; its objects are added to the repository, no reference is."""
    done = git(root, "merge-tree", "--write-tree", "--no-messages", base, head)
    tree, _, conflicts = done.stdout.partition("\n")
    if done.returncode == 1 and conflicts:
        files = sorted({line.partition("\t")[2] for line in conflicts.splitlines() if "\t" in line})
        raise CheckFailed(f"{head[:12]} cannot be merged into {base[:12]}: both changed {', '.join(files[:20])}")
    if done.returncode:
        raise CheckFailed(f"git merge-tree: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return tree


def entries(root: Path, tree: str) -> Iterator[Entry]:
    """Every file of a commit or tree that is below the project's root."""
    below = said(root, "rev-parse", "--show-prefix").rstrip("\n")
    listed = said(root, "ls-tree", "-r", "-z", "-l", "--full-tree", f"{tree}:{below}" if below else tree)
    for line in filter(None, listed.split("\0")):
        described, _, path = line.partition("\t")
        mode, _, name, size = described.split()
        yield Entry(mode, name, int(size) if size.isdecimal() else 0, path)


def odd(entries: Collection[Entry]) -> Iterator[Problem]:
    """What data must not be: a link, a submodule, too large, or of a name that other programs read otherwise."""
    for entry in entries:
        readable = all(_NAME.fullmatch(part) for part in entry.path.split("/")) and len(entry.path) <= _LONGEST_PATH
        if not readable:
            accepted = f"letters, digits, '.', '_' and '-', at most {_LONGEST_PATH} in all, and no name of git's own"
            yield Problem(file=ascii(entry.path)[:_LONGEST_PATH], message="has an odd name", accepted=accepted)
        elif entry.mode not in _FILE_MODES:
            message = _ODD_MODES.get(entry.mode, "is no file")
            yield Problem(file=entry.path, message=message, found=f"mode {entry.mode}", accepted="a file")
        elif entry.size > _LARGEST_FILE:
            found, accepted = f"{entry.size} bytes", f"at most {_LARGEST_FILE}"
            yield Problem(file=entry.path, message="is too large", found=found, accepted=accepted)


def beside_the_chart(entries: Collection[Entry], charts: Collection[str]) -> Iterator[Problem]:
    """Files of the charts of which Helm would make more than a template or a schema."""
    for entry in entries:
        chart = next((chart for chart in charts if entry.path.startswith(f"{chart}/")), None)
        if chart is not None and not _CHARTS_OWN.fullmatch(entry.path.removeprefix(f"{chart}/")):
            accepted = "Chart.yaml, values.schema.json and templates/*.yaml or *.tpl: Helm makes more of other files"
            yield Problem(file=ascii(entry.path)[1:-1], message="is no file of a chart", accepted=accepted)


def _too_much(entries: Collection[Entry]) -> Iterator[Problem]:
    size = sum(entry.size for entry in entries)
    if len(entries) > _MOST or size > _LARGEST:
        found, accepted = f"{len(entries)} files of {size} bytes", f"at most {_MOST} files of {_LARGEST} bytes"
        yield Problem(file="--head", message="has too much data", found=found, accepted=accepted)
