"""The chain of an environment's statements: ``<folder>/<environment>/<sequence>-<kind>.sigstore.json``, from 1.

Each file is a Sigstore bundle: a DSSE envelope of an in-toto statement, the certificate of who signed it and the log's
proof of when. Each statement names its place and the digest of the file before, so that nothing can be altered, left
out, moved or put between; that nothing was cut off at the end is what an anchored :class:`Head` tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Protocol

from ladder.contract.promotion import Signers, Workflow
from ladder.promotion import Broken
from ladder.promotion.statements import Kind, Link, digest_of, moment, parse, signer_of

__all__ = [
    "LARGEST",
    "Chain",
    "Entry",
    "Head",
    "Signed",
    "Verify",
    "file_name",
    "misplaced",
    "read_chain",
    "read_chains",
]

LARGEST = 1024 * 1024
"""The largest statement that is read, in bytes."""

_NAME = re.compile(r"([0-9]{6})-(candidate|request|approval|observed)\.sigstore\.json")
_AHEAD = timedelta(minutes=10)


class Signed(Protocol):
    """A statement whose signature is believed, and the time at which a log had it."""

    @property
    def statement(self) -> bytes: ...
    @property
    def logged(self) -> datetime: ...


Verify = Callable[[bytes, Workflow], Signed]
"""Believes a bundle that this workflow signed. Raises Broken for any other."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One statement of a chain: ``digest`` is of its file, ``logged`` when it was signed."""

    file: str
    digest: str
    logged: datetime
    link: Link

    def precedes(self, other: Entry) -> bool:
        """Whether it stands before another of the same chain."""
        return self.link.sequence < other.link.sequence


@dataclass(frozen=True, slots=True)
class Head:
    """The last statement of a chain, as something beside the repository remembers it."""

    environment: str
    sequence: int
    digest: str


@dataclass(frozen=True)
class Chain:
    """An environment's statements, first to last."""

    environment: str
    entries: Sequence[Entry]

    @cached_property
    def _by_digest(self) -> Mapping[str, Entry]:
        return {entry.digest: entry for entry in self.entries}

    @property
    def head(self) -> Head | None:
        return Head(self.environment, len(self.entries), self.entries[-1].digest) if self.entries else None

    @property
    def next(self) -> tuple[int, str | None]:
        """The sequence that the next statement has, and the digest that it names as the one before."""
        return len(self.entries) + 1, self.entries[-1].digest if self.entries else None

    def find(self, digest: str | None) -> Entry | None:
        return None if digest is None else self._by_digest.get(digest)


def file_name(link: Link) -> str:
    """The name of a statement's file in its environment's folder."""
    return f"{link.sequence:06d}-{link.kind}.sigstore.json"


def read_chains(folder: Path, environments: Iterable[str], signers: Signers, verify: Verify) -> Mapping[str, Chain]:
    """The chain of each environment. Raises Broken where one has anything that is not its next statement."""
    if folder.is_symlink():
        raise Broken(": is a symbolic link")
    return {name: read_chain(folder / name, name, signers, verify) for name in environments}


def read_chain(folder: Path, environment: str, signers: Signers, verify: Verify) -> Chain:
    """One environment's chain; empty where there is no folder. Raises Broken as :func:`read_chains`."""
    entries: list[Entry] = []
    for name, content in _files(folder, environment):
        entries.append(_entry(f"{environment}/{name}", name, content, environment, entries, signers, verify))
    return Chain(environment, tuple(entries))


def _files(folder: Path, environment: str) -> Iterator[tuple[str, bytes]]:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise Broken(f"{environment}: is not a folder of statements")
    try:
        yield from _contents(folder, environment)
    except OSError as error:
        raise Broken(f"{environment}: cannot be read: {error.strerror}") from error


def _contents(folder: Path, environment: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_symlink() or not path.is_file() or not _NAME.fullmatch(path.name):
            accepted = "<six digits>-<kind>.sigstore.json"
            raise Broken(f"{environment}/{path.name}: is not a statement's file; accepted: {accepted}")
        if path.stat().st_size > LARGEST:
            raise Broken(f"{environment}/{path.name}: is larger than {LARGEST} bytes")
        yield path.name, path.read_bytes()


def _entry(
    file: str, name: str, content: bytes, environment: str, before: Sequence[Entry], signers: Signers, verify: Verify
) -> Entry:
    match = _NAME.fullmatch(name)
    if match is None:
        raise Broken(f"{file}: is not a statement's file")
    expected = len(before) + 1
    if int(match[1]) != expected:
        raise Broken(f"{file}: statement {expected} of {environment} is missing, or another has its number")
    try:
        signed = verify(content, signer_of(Kind(match[2]), signers))
        link = parse(signed.statement)
    except Broken as error:
        raise Broken(f"{file}: {error}") from error
    for wrong in misplaced(link, Kind(match[2]), environment, before, signed.logged):
        raise Broken(f"{file}: {wrong}")
    return Entry(file, digest_of(content), signed.logged, link)


def misplaced(link: Link, kind: Kind, environment: str, before: Sequence[Entry], logged: datetime) -> Iterator[str]:
    """What is wrong with a statement of that kind and time as the next of a chain."""
    previous = before[-1] if before else None
    if link.kind is not kind:
        yield f"says it is of the kind {link.kind}"
    if link.environment != environment:
        yield f"speaks of {link.environment}"
    if link.sequence != len(before) + 1:
        yield f"is statement {link.sequence}, and stands as {len(before) + 1}"
    if link.previous != (previous.digest if previous else None):
        yield "does not follow from the statement before it, which was altered, or is another"
    if previous and logged < previous.logged:
        yield "was signed before the statement that it follows"
    if abs(moment(link.at) - logged) > _AHEAD:
        yield f"says {link.at}, and the log has it of {logged.isoformat()}"
