"""What a change of the repository would change: the report's parts, plain data that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ladder.errors import InputError, Problem

__all__ = [
    "Caution",
    "Change",
    "Commits",
    "Danger",
    "Edit",
    "Fate",
    "Property",
    "Report",
    "ServiceChange",
    "StackChanges",
    "Standing",
    "TreeChanges",
    "read_report",
    "write_report",
]

_LARGEST = 64 * 1024 * 1024


class Fate(StrEnum):
    """What becomes of a resource, or of a service's overlay; what a person should see first comes first."""

    GONE = "gone"
    REPLACED = "replaced"
    CHANGED = "changed"
    ANEW = "anew"


class Edit(StrEnum):
    """What becomes of a property."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Standing(StrEnum):
    """Whether a stack, or the tree, could be compared."""

    COMPARED = "compared"
    ANEW = "anew"
    GONE = "gone"
    NOT_COMPARABLE = "not comparable"


class Danger(StrEnum):
    """Why a person should look twice.

    ``data`` may be lost, a ``key`` is another one, a ``protection`` against loss is lowered, a ``policy`` is loosened,
    the ``order`` of the ladder is not kept.
    """

    DATA = "data"
    KEY = "key"
    PROTECTION = "protection"
    POLICY = "policy"
    ORDER = "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property that differs. ``before`` and ``after`` are null where it is added or removed.

    ``replaces``: its change is known to replace the resource.
    """

    path: str
    edit: Edit
    before: Any = None
    after: Any = None
    replaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One resource that is not as it was. ``formerly`` is its URN at the base where an alias says so."""

    fate: Fate
    urn: str
    type: str
    name: str
    id: str
    formerly: str = ""
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """One danger. ``message`` is this program's own text; what it speaks of stands in ``subject`` and ``details``.

    ``where`` is a stack, or an environment's folder of the tree; ``urn`` is empty where it is no single resource.
    """

    danger: Danger
    where: str
    subject: str
    message: str
    details: tuple[str, ...] = ()
    urn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackChanges:
    """One stack. ``before`` and ``after`` count its resources, null where they are not known.

    ``reason`` says in several lines why it is not comparable; ``outputs`` are what the stack exports.
    """

    name: str
    standing: Standing
    rung: str = ""
    reason: str = ""
    before: int | None = None
    after: int | None = None
    changes: tuple[Change, ...] = ()
    outputs: tuple[Property, ...] = ()
    cautions: tuple[Caution, ...] = ()

    def count(self, fate: Fate) -> int:
        return sum(change.fate is fate for change in self.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChange:
    """One service of the GitOps tree in one environment; paths begin with ``values`` or ``version``."""

    environment: str
    service: str
    fate: Fate
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeChanges:
    """The GitOps tree's overlays."""

    standing: Standing
    reason: str = ""
    services: tuple[ServiceChange, ...] = ()
    cautions: tuple[Caution, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Commits:
    """What is compared: ``base`` as it was asked for and its commit, and the commit below the work tree.

    ``edited`` counts files of the work tree that are not as in ``head``, those git does not know included.
    """

    ref: str
    base: str
    head: str
    edited: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything: stacks by rung, lowest first, then the tree."""

    commits: Commits
    stacks: tuple[StackChanges, ...]
    tree: TreeChanges

    def cautions(self) -> Iterator[Caution]:
        for part in (*self.stacks, self.tree):
            yield from part.cautions

    def not_comparable(self) -> tuple[str, ...]:
        """The stacks that could not be compared, and ``the GitOps tree``."""
        names = [stack.name for stack in self.stacks if stack.standing is Standing.NOT_COMPARABLE]
        return (*names, *(["the GitOps tree"] if self.tree.standing is Standing.NOT_COMPARABLE else []))

    @property
    def is_empty(self) -> bool:
        """Whether all could be compared and nothing differs."""
        parts = (*self.stacks, self.tree)
        same = all(part.standing is Standing.COMPARED for part in parts)
        return same and not self.tree.services and not any(stack.changes or stack.outputs for stack in self.stacks)


_REPORT = TypeAdapter(Report)


def write_report(report: Report) -> str:
    """The report as JSON, whole."""
    return _REPORT.dump_json(report, indent=2).decode()


def read_report(file: Path) -> Report:
    """A report from a file that may hold anything. Raises InputError where it is not one that was written here."""
    try:
        with file.open("rb") as stream:
            text = stream.read(_LARGEST + 1)
    except OSError as error:
        raise _unreadable(file, error.strerror or str(error)) from error
    if len(text) > _LARGEST:
        raise _unreadable(file, f"more than {_LARGEST} bytes")
    try:
        return _REPORT.validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _unreadable(file, f"{where}: {first['msg']}" if where else first["msg"]) from error


def _unreadable(file: Path, found: str) -> InputError:
    return InputError(
        Problem(
            file=str(file),
            message="is not a report of changes",
            found=found,
            accepted="what 'ladder changes --format json' writes",
            example="ladder changes --base origin/main --format json > changes.json",
        )
    )
