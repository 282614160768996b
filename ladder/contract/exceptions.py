"""Exceptions to equality, in one reviewed file: what may differ though the contract gives no reason, and until when.

``parity.yaml`` at the project's root. A project without it has no exception.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from ladder.contract.base import Settings
from ladder.contract.overlay import Overlay
from ladder.contract.problems import FileKind, checked, of_violation
from ladder.contract.shape import fields_at
from ladder.contract.stack import StackSettings
from ladder.contract.types import CalendarDate, DnsLabel, LabelValue, Text
from ladder.contract.violations import Violation
from ladder.errors import InputError
from ladder.strict_yaml import examine

__all__ = ["EXCEPTIONS", "ExceptionSettings", "Exceptions", "Place", "live", "read_exceptions"]

EXCEPTIONS = "parity.yaml"

_PATH = r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z][A-Za-z0-9_-]*)*"


def _path_problem(value: str) -> str | None:
    return None if re.fullmatch(_PATH, value) else "is not a dotted path"


DottedPath = Annotated[
    str, Text(_path_problem, "a dotted path of the settings, without config and ladder:", ("delivery.branch",), _PATH)
]


class Place(NamedTuple):
    """A path of one environment's settings, or of its overlay of ``service``."""

    environment: str
    service: str | None
    path: tuple[str | int, ...]


class ExceptionSettings(Settings):
    """One path at which one environment may differ; ``expires`` is the last day on which it may."""

    environment: DnsLabel
    service: DnsLabel | None
    """Whose overlay it speaks of; null for the stack's own settings."""
    path: DottedPath
    owner: LabelValue
    reason: Annotated[str, Field(min_length=1, max_length=500, examples=["the new release branch is tried in dev"])]
    expires: CalendarDate

    @property
    def place(self) -> Place:
        return Place(self.environment, self.service, tuple(self.path.split(".")))

    def is_live(self, today: date) -> bool:
        return today <= date.fromisoformat(self.expires)


class Exceptions(Settings):
    """``parity.yaml``: exceptions by a name that reviews can call them by."""

    exceptions: Mapping[DnsLabel, ExceptionSettings]


def read_exceptions(root: Path) -> Exceptions:
    """The project's exceptions. Raises InputError with every problem found."""
    path = root / EXCEPTIONS
    if not path.exists():
        return Exceptions(exceptions={})
    document = examine(path, name=EXCEPTIONS)
    exceptions, problems = checked(document, Exceptions)
    if exceptions is not None:
        problems += [of_violation(each, document, (), FileKind(Exceptions)) for each in _paths(exceptions)]
    if exceptions is None or problems:
        raise InputError(problems)
    return exceptions


def live(exceptions: Exceptions, today: date | None = None) -> frozenset[Place]:
    """The places that may differ on that day, by default today's (UTC)."""
    day = today or datetime.now(UTC).date()
    return frozenset(each.place for each in exceptions.exceptions.values() if each.is_live(day))


def _paths(exceptions: Exceptions) -> Iterator[Violation]:
    """A path must be one of the contract's, and no two exceptions may be about one place."""
    first: dict[Place, str] = {}
    for name, each in exceptions.exceptions.items():
        path = ("exceptions", name, "path")
        known = fields_at(StackSettings if each.service is None else Overlay, each.path.split("."))
        if known is not None:
            close = difflib.get_close_matches(each.path.rpartition(".")[2], known, n=1)
            yield Violation(
                path=path,
                message=f"leads nowhere in {'the settings of a stack' if each.service is None else 'an overlay'}",
                found=each.path,
                accepted=f"one of {', '.join(known)} where it ends" if known else "a path that ends before",
                example=f"did you mean {close[0]}?" if close else "",
            )
        if each.place in first:
            yield Violation(
                path=path,
                message=f"is excepted by {first[each.place]} already",
                found=each.path,
                accepted="one exception for each path of an environment",
            )
        first.setdefault(each.place, name)
