"""What the tests of ``ladder changes`` share: ends made of recordings, and git repositories made of the project."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ladder.changes.compare import compared
from ladder.changes.report import Caution, Commits, Report, StackChanges
from ladder.changes.sides import Side
from ladder.contract import StackSettings
from ladder.recording import Recording, Resource
from tests.conftest import one
from tests.rule_changes import Change
from tests.support import Project, copy_project

COMMITS = Commits(ref="origin/main", base="a" * 40, head="b" * 40, edited=0)

Recorded = Mapping[str, Recording | str]


def report(
    before: Recorded,
    after: Recorded,
    settings: Mapping[str, StackSettings],
    trees: tuple[Mapping[str, Any] | str, Mapping[str, Any] | str] = ({}, {}),
) -> Report:
    """The report of two ends that are there already."""
    return compared(COMMITS, Side(before, trees[0]), Side(after, trees[1]), settings)


def stack(found: Report, name: str) -> StackChanges:
    (only,) = [each for each in found.stacks if each.name == name]
    return only


def with_change(recording: Recording, type_: str, name: str, change: Change) -> Recording:
    """The recording with one of its resources changed, or gone where the change gives None."""
    target = one(recording, type_, name)
    changed = [change(each) if each is target else each for each in recording.resources]
    return replace(recording, resources=tuple(each for each in changed if each is not None))


def resource(name: str, type_: str = "kubernetes:core/v1:ConfigMap", **fields: Any) -> Resource:
    """A resource of the stack dev, below the stack itself."""
    urn = f"urn:pulumi:dev::ladder::{type_}::{name}"
    return Resource(**{"urn": urn, "type": type_, "name": name, "custom": True, "id": name, **fields})


def recording(resources: Iterable[Resource], **outputs: Any) -> Recording:
    return Recording(project="ladder", stack="dev", resources=tuple(resources), outputs=outputs)


def said(cautions: Iterable[Caution]) -> list[str]:
    """Each caution in a line."""
    return [f"{each.danger} {each.where} {each.subject}: {each.message} {list(each.details)}" for each in cautions]


@dataclass(frozen=True)
class Repository:
    """The project in a git repository of its own."""

    project: Project

    @property
    def root(self) -> Path:
        return self.project.root

    @classmethod
    def at(cls, root: Path) -> Repository:
        """A copy of the project, committed."""
        root.mkdir(parents=True, exist_ok=True)
        repository = cls(copy_project(root))
        repository.git("init", "--quiet", "--initial-branch=main")
        repository.commit()
        return repository

    def git(self, *arguments: str) -> str:
        person = ("-c", "user.name=tests", "-c", "user.email=tests@localhost", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *person, *arguments], cwd=self.root, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self) -> str:
        """Commit everything; the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "as it is")
        return self.git("rev-parse", "HEAD")

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text that stands once in the file."""
        path = self.root / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")
