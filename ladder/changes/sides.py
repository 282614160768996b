"""What both ends declare: each recorded by its own code, in a process of its own, both at once.

A process gets no variable of the caller but PATH, so no credential, and an empty home; a connection that it opens
through Python is refused. That keeps honest code honest: hostile code runs with the rights of whoever runs this, so
where a stranger's change is recorded, the machine must have nothing to lose.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ladder.differences import is_walkable
from ladder.errors import CheckFailed
from ladder.recording import Recording
from ladder.recording_formats import from_json

__all__ = ["Overlays", "Side", "both_sides"]

_SCRIPT = Path(__file__).with_name("one_side.py")
_SECONDS = 600
_LARGEST = 256 * 1024 * 1024
_SHOWN = 2000
_OWN_CODE = Path("ladder", "cli.py")

Overlays = Mapping[str, Mapping[str, Any]]
"""``<environment>/<service>`` to its ``values`` and ``version``."""


@dataclass(frozen=True, slots=True)
class Side:
    """One end. Where a stack, or the tree, could not be read, a text says why in its place.

    ``failure`` says why nothing could be; then it is not known which stacks there are.
    """

    stacks: Mapping[str, Recording | str]
    tree: Overlays | str
    failure: str = ""


def both_sides(base: Path | str, head: Path) -> tuple[Side, Side]:
    """Record the projects at ``base`` and ``head``, whose code this is; a text for ``base`` says why it is not there.

    A failure is part of the answer.
    """
    if isinstance(base, Path) and (head / _OWN_CODE).is_file() and not (base / _OWN_CODE).is_file():
        base = "it has no recorder"
    with _scratch() as scratch, _begun(head, scratch / "head") as after:
        if isinstance(base, str):
            return _failed(base), after.side()
        with _begun(base, scratch / "base") as before:
            return before.side(), after.side()


@contextmanager
def _scratch() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="ladder-changes-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def _failed(reason: str) -> Side:
    return Side({}, reason, failure=reason)


@dataclass(frozen=True, slots=True)
class _Run:
    process: subprocess.Popen[bytes]
    out: Path
    complaints: Path
    deadline: float

    def side(self) -> Side:
        """Wait for it and read what it wrote, which may be anything."""
        try:
            self.process.wait(max(0.0, self.deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return _failed(f"it takes more than {_SECONDS} s")
        if not self.out.is_file():
            end = self.complaints.read_bytes()[-_SHOWN:].decode("utf-8", "replace").strip()
            return _failed(f"recording it ends with {self.process.returncode}: {end}".removesuffix(": "))
        if self.out.stat().st_size > _LARGEST:
            return _failed(f"it writes more than {_LARGEST} bytes")
        try:
            document = json.loads(self.out.read_bytes())
            return _read(document) if is_walkable(document) else _failed("what it wrote is nested too deep")
        except (ValueError, RecursionError, CheckFailed):
            return _failed("what it wrote is not a recording")


@contextmanager
def _begun(root: Path, directory: Path) -> Generator[_Run]:
    """Begin to record the project; the process ends with the context."""
    home, out, complaints = directory / "home", directory / "out.json", directory / "complaints"
    home.mkdir(parents=True)
    variables = {"HOME": str(home), "LADDER_ROOT": str(root), "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    with complaints.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-X", "utf8", str(_SCRIPT), str(root), str(out)],
            cwd=root,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    try:
        yield _Run(process, out, complaints, time.monotonic() + _SECONDS)
    finally:
        process.kill()
        process.wait()


def _read(document: Any) -> Side:
    written = _map(document)
    stacks = {name: _stack(name, _map(stack)) for name, stack in _map(written.get("stacks")).items()}
    tree = _map(written.get("tree"))
    if "services" not in tree:
        return Side(stacks, _problem(tree))
    return Side(stacks, {name: _map(service) for name, service in _map(tree["services"]).items()})


def _stack(name: str, written: Mapping[str, Any]) -> Recording | str:
    if "recording" not in written:
        return _problem(written)
    try:
        recording = from_json(written["recording"])
    except CheckFailed as error:
        return str(error)
    return recording if recording.stack == name else "what was written is another stack's recording"


def _problem(written: Mapping[str, Any]) -> str:
    return str(written.get("problem") or "it does not say why")


def _map(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise CheckFailed("what was written is not a recording")
    return cast("Mapping[str, Any]", value)
