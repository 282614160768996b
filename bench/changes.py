"""How long it takes to say what a commit changes in every stack, and how that grows with them.

Held against recording the stacks once, and against ``pulumi preview`` in a sandbox where the CLI is on PATH.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Figure, cold, median_of, timed
from ladder import project
from ladder.contract import stack_names

__all__ = ["figures"]

_RECORD = """
from pathlib import Path
from ladder.contract import stack_names
from ladder.recorder import record_stack
root = Path({root!r})
for stack in stack_names(root):
    record_stack(root, stack)
"""


def figures(rounds: int) -> Iterator[Figure]:
    """The work tree against its own commit: both ends are recorded in full whatever differs."""
    root = project.root()
    alone = statistics.median(timed(lambda: cold(_RECORD.format(root=str(root)))) for _ in range(rounds))
    whole = [timed(lambda: _changes(root)) for _ in range(rounds)]
    ratio = statistics.median(whole) / alone
    yield median_of(
        f"changes of {len(stack_names(root))} stacks, both ends cold",
        whole,
        "s",
        aim="< 8 s",
        note=f"{ratio:.2f} × recording one end alone ({alone:.2f} s)",
    )

    yield _growth(rounds, root, statistics.median(whole))


def _growth(rounds: int, root: Path, whole: float) -> Figure:
    """What each stack beyond the first adds, by a commit that has one stack only."""
    first, *others = stack_names(root)
    with tempfile.TemporaryDirectory(prefix="ladder-bench-") as directory:
        alone = Path(directory) / "alone"
        _run("git", "clone", "--quiet", str(root), str(alone))
        _run("git", "-C", str(alone), "rm", "--quiet", *(f"Pulumi.{stack}.yaml" for stack in others))
        author = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        _run("git", "-C", str(alone), *author, "commit", "--quiet", "-m", "one stack")
        one = [timed(lambda: _changes(alone)) for _ in range(rounds)]
        note = f"from {statistics.median(one):.2f} s for {first} alone"
        if shutil.which("pulumi"):
            peer = _pulumi_preview(Path(directory) / "state", first, rounds)
            note += f"; pulumi preview of {first} takes {peer:.2f} s, {peer * len(others) / (whole - min(one)):.2f} ×"
    each = [(whole - value) / len(others) for value in one]
    return median_of("changes, each further stack", each, "s", note=note)


def _pulumi_preview(state: Path, stack: str, rounds: int) -> float:
    environment = {**os.environ, "LADDER_SANDBOX_DIR": str(state)}
    ladder = str(Path(sys.executable).parent / "ladder")
    try:
        _run(ladder, "sandbox", "start", environment=environment)
        _run(ladder, "up", stack, "--engine", "pulumi", environment=environment)
        again = (ladder, "preview", stack, "--engine", "pulumi")
        return statistics.median(timed(lambda: _run(*again, environment=environment)) for _ in range(rounds))
    finally:
        _run(ladder, "sandbox", "stop", environment=environment)


def _run(*command: str, environment: dict[str, str] | None = None) -> None:
    subprocess.run(command, env=environment, check=True, capture_output=True)


def _changes(root: Path) -> None:
    command = [str(Path(sys.executable).parent / "ladder"), "changes", "--base", "HEAD"]
    environment = {**os.environ, "LADDER_ROOT": str(root)}
    # Where the commit cannot be compared it ends with 1, having done the same work.
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode in {0, 1}, done.stderr.decode()
