"""Asking git about a repository: nobody is asked for a password, nothing is fetched, and no hook runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ladder.errors import CheckFailed

__all__ = ["git", "objects", "resolved", "said"]


def git(
    root: Path, *arguments: str, extra: Mapping[str, str] | None = None, sent: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """Run git on the repository that ``root`` is in, whatever repository the caller's environment speaks of."""
    done = _run(root, arguments, sent, extra or {})
    out, complaints = (stream.decode("utf-8", "replace") for stream in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, out, complaints)


def said(root: Path, *arguments: str, extra: Mapping[str, str] | None = None, sent: bytes = b"") -> str:
    """What git prints. Raises CheckFailed in git's own words."""
    done = git(root, *arguments, extra=extra, sent=sent)
    if done.returncode:
        raise CheckFailed(f"git {arguments[0]}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


def resolved(root: Path, ref: str) -> str:
    """The commit that REF names; empty where it names none."""
    if not ref or not ref.isprintable():
        return ""
    found = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    return found.stdout.strip() if found.returncode == 0 else ""


def objects(root: Path, names: list[str]) -> list[bytes]:
    """The content of objects, by their full names. Raises CheckFailed where one is not there."""
    done = _run(root, ("cat-file", "--batch"), "".join(f"{name}\n" for name in names).encode(), {})
    contents: list[bytes] = []
    rest = done.stdout
    for name in names:
        head, _, rest = rest.partition(b"\n")
        kind = head.split()
        if len(kind) != 3:
            raise CheckFailed(f"git cat-file: {name} is not in the repository")
        size = int(kind[2])
        contents.append(rest[:size])
        rest = rest[size + 1 :]
    return contents


def _run(
    root: Path, arguments: tuple[str, ...], sent: bytes, extra: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    variables |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    try:
        return subprocess.run(
            ["git", "-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false", *arguments],
            cwd=root,
            env={**variables, **extra},
            input=sent,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise CheckFailed("git is not installed") from error
