"""One change of a stack at a time, on this machine."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from ladder.errors import CheckFailed

__all__ = ["locked"]


@contextmanager
def locked(folder: Path, stack: str, verb: str) -> Generator[None]:
    """Hold the stack's lock. The kernel releases it however the holder ends.

    Raises CheckFailed naming the holder when another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / stack).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CheckFailed(f"{verb} of {stack} is refused: {_holder(file)}; nothing was changed") from None
        _sign(file, verb)
        yield


def _sign(file: IO[str], verb: str) -> None:
    holder = {
        "verb": verb,
        "pid": os.getpid(),
        "user": _user(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    file.truncate(0)
    file.write(json.dumps(holder))
    file.flush()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without an account, as containers have
        return str(os.getuid())


def _holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        holder: dict[str, Any] = json.loads(file.read())
        who = f"{holder['user']}@{holder['host']}, pid {holder['pid']},"
        return f"{holder['verb']} by {who} has run since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "another change has just begun"
