"""What a pull request changes, file by file: the protected commit, and what merging the head into it would give."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ladder.git import objects
from ladder.proposed import Entry, entries

__all__ = ["Delta"]


@dataclass(frozen=True)
class Delta:
    """Both ends by the paths of their files, relative to the project's root at ``root``; nothing is checked out."""

    root: Path
    before: Mapping[str, Entry]
    after: Mapping[str, Entry]

    @classmethod
    def of(cls, root: Path, base: str, tree: str) -> Delta:
        before, after = ({each.path: each for each in entries(root, end)} for end in (base, tree))
        return cls(root, before, after)

    @cached_property
    def changed(self) -> Collection[str]:
        """The paths of files that are added, removed, or other than they were, sorted."""
        every = self.before.keys() | self.after.keys()
        return sorted(path for path in every if _held(self.before.get(path)) != _held(self.after.get(path)))

    def added(self, path: str) -> bool:
        return path not in self.before

    def removed(self, path: str) -> bool:
        return path not in self.after

    def contents(self, paths: Iterable[str], *, after: bool) -> Mapping[str, bytes]:
        """What the files of one end hold; without those that are not there."""
        end = self.after if after else self.before
        there = [path for path in paths if path in end]
        return dict(zip(there, objects(self.root, [end[path].name for path in there]), strict=True))


def _held(entry: Entry | None) -> tuple[str, str] | None:
    return None if entry is None else (entry.mode, entry.name)
