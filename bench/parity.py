"""How long the proof of parity takes, whole, without charts and its third part, against recording each stack once."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from bench.measure import Figure, cold, median_of, timed
from ladder import project
from ladder.parity import Proof, prove, read
from ladder.parity.explained import explained
from ladder.parity.recordings import recorder
from sandbox.progress import Silent

__all__ = ["figures"]

_RECORD = """
import time
began = time.perf_counter()
from pathlib import Path
from ladder.contract import ladder_settings
from ladder.recorder import record
root = Path({root!r})
for stack, settings in ladder_settings(root).items():
    record(settings, stack=stack, root=root)
print(time.perf_counter() - began)
"""
_TODAY = date(2000, 1, 1)
"""The day decides only about exceptions."""


def figures(rounds: int) -> Iterator[Figure]:
    """Processes that record are begun anew for each proof, as they are for the command."""
    root: Path = project.root()
    alone = statistics.median(float(cold(_RECORD.format(root=str(root)))) for _ in range(rounds))
    proofs: list[Proof] = []
    stacks = [timed(lambda: proofs.append(_prove(root, render=False))) for _ in range(rounds)]
    whole = [timed(lambda: proofs.append(_prove(root, render=True))) for _ in range(rounds)]
    verdict = "proven" if all(proof.proven for proof in proofs) else "violated"
    steps = sum(part.looked_at.get("steps", 0) for part in proofs[-1].parts)
    yield median_of(
        "ladder parity, whole",
        whole,
        "s",
        aim="< 40 s",
        note=f"{statistics.median(whole) / alone:.1f} × recording each stack ({alone:.2f} s); {steps} steps, {verdict}",
    )
    yield median_of(
        "ladder parity --no-render",
        stacks,
        "s",
        note=f"{statistics.median(stacks) / alone:.1f} × recording each stack",
    )
    parts = [timed(lambda: _explain(root)) for _ in range(rounds)]
    yield median_of(
        "every stack's differences explained, cold",
        parts,
        "s",
        aim="< 5 s",
        note=f"{statistics.median(parts) / alone:.1f} × recording each stack",
    )


def _explain(root: Path) -> None:
    ladder = read(root, Silent())
    with recorder(root, Silent()) as recording:
        explained(ladder, recording, None, _TODAY)


def _prove(root: Path, *, render: bool) -> Proof:
    return prove(root, Silent(), today=_TODAY, render=render)
