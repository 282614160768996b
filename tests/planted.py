"""What a planted violation is: edits of a copy of the repository, the part that must catch them, what it must say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["Edit", "Line", "Part", "Planted", "added", "edit", "linked", "loosened", "removed", "widened"]

Edit = Callable[[Path], str]
"""Changes the copy at a path; answers where, as ``<file>:<line>``, or a file or folder."""


class Part(StrEnum):
    """What catches: a part of one of the two commands, or what both begin with."""

    READING = "ladder check, ladder parity: reading"
    RECORDING = "ladder check, ladder parity: recording"
    CONTRACT = "ladder parity: contract"
    LAW = "ladder parity: law of stacks"
    CHART_LAW = "ladder parity: law of overlays"
    EXPLAINED = "ladder parity: explained"
    ORDER = "ladder parity: order"
    PLANES = "ladder check, ladder parity: planes"
    RULES = "ladder check: rules"
    DELIVERY = "ladder check: what is delivered"
    RENDERING = "ladder check: what is rendered"
    CHANGES = "ladder changes: cautions"


@dataclass(frozen=True, slots=True)
class Line:
    """The one line of a file that holds the text, once all edits are made."""

    file: str
    text: str

    def place(self, root: Path) -> str:
        lines = (root / self.file).read_text(encoding="utf-8").splitlines()
        (number,) = [number for number, line in enumerate(lines, start=1) if self.text in line]
        return f"{self.file}:{number}"


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A violation: what ``by`` finds must be of the ``rule``, and once be ``where`` and at ``path``.

    ``where`` is the end of a URN, a file, or a line; None is the place of the first edit. ``says`` is a part of the
    message, and ``also`` are other rules that the same edits break. ``stacks`` are those that the edits bear on,
    ``service`` the one overlay that is rendered, ``<environment>/<service>``, and ``subject`` what must be varied in a
    recording for a branch to show.
    """

    by: Part
    edits: tuple[Edit, ...]
    rule: str
    where: str | Line | None = None
    path: str = ""
    says: str = ""
    stacks: tuple[str, ...] = ()
    service: str = ""
    subject: str = ""
    also: tuple[str, ...] = ()

    def plant(self, root: Path) -> str:
        """Make the edits; answers the place that a finding must name."""
        first, *_ = [edit(root) for edit in self.edits]
        if isinstance(self.where, Line):
            return self.where.place(root)
        return self.where or first


def widened(rule: str, where: str, path: str, change: Edit, *also: str, stack: str = "dev", says: str = "") -> Planted:
    """What a rule over recordings refuses; ``also`` are other rules that the edit breaks."""
    return Planted(
        by=Part.RULES,
        edits=(change,),
        rule=f"rules/{rule}",
        where=where,
        path=path,
        says=says,
        stacks=(stack,),
        also=tuple(f"rules/{each}" for each in also),
    )


def loosened(where: str, says: str, change: Edit, *, stack: str = "dev") -> Planted:
    """What no rule refuses, and a comparison with the base shows."""
    return Planted(by=Part.CHANGES, edits=(change,), rule="changes/policy", where=where, says=says, stacks=(stack,))


def edit(file: str, old: str, new: str) -> Edit:
    """Replace text that stands once in a file."""

    def change(root: Path) -> str:
        text = (root / file).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        changed = text.replace(old, new)
        (root / file).write_text(changed, encoding="utf-8")
        first, *_ = [at for at, pair in enumerate(zip(text, changed, strict=False)) if pair[0] != pair[1]]
        return f"{file}:{changed[:first].count(chr(10)) + 1}"

    return change


def added(file: str, text: str) -> Edit:
    """Write a file, new or in place of one."""

    def change(root: Path) -> str:
        (root / file).write_text(text, encoding="utf-8")
        return file

    return change


def linked(file: str, to: str) -> Edit:
    """Put a symbolic link in place of a file."""

    def change(root: Path) -> str:
        (root / file).unlink()
        (root / file).symlink_to(to)
        return file

    return change


def removed(folder: str) -> Edit:
    """Take away a folder of files; the place is the folder it was in."""

    def change(root: Path) -> str:
        for each in (root / folder).iterdir():
            each.unlink()
        (root / folder).rmdir()
        return Path(folder).parent.as_posix()

    return change
