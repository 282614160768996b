"""How long recording takes, cold and for each further stack, and how much of it is imports."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Figure, cold, median_of
from ladder import project

__all__ = ["figures"]

_RECORD = """
import json, resource, time
began = time.perf_counter()
from pathlib import Path
import components
from ladder.contract import ladder_settings
from ladder.recorder import record
imported = time.perf_counter()
root = Path({root!r})
stacks, counts = [], []
for stack, settings in ladder_settings(root).items():
    start = time.perf_counter()
    counts.append(len(record(settings, stack=stack, root=root).resources))
    stacks.append(time.perf_counter() - start)
print(json.dumps(dict(
    total=time.perf_counter() - began, imports=imported - began, stacks=stacks, counts=counts,
    megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
)))
"""
_SDK = """
import time
began = time.perf_counter()
import pulumi, pulumi_kubernetes.core.v1, pulumi_aws
print(time.perf_counter() - began)
"""


def figures(rounds: int) -> Iterator[Figure]:
    root: Path = project.root()
    runs = [json.loads(cold(_RECORD.format(root=str(root)))) for _ in range(rounds)]
    bare = statistics.median(float(cold(_SDK)) for _ in range(rounds))
    total = [run["total"] for run in runs]
    share = statistics.median(run["imports"] / run["total"] for run in runs)
    count = len(runs[0]["counts"])
    ratio = statistics.median(total) / bare
    yield median_of(
        f"record {count} stacks, cold process",
        total,
        "s",
        aim="< 2.5 s",
        note=f"imports {share:.0%}; {ratio:.2f} × importing the bare SDKs ({bare:.2f} s)",
    )
    yield median_of("memory of that process", [run["megabytes"] for run in runs], "MB", aim="< 160 MB")
    further = [sum(run["stacks"][1:]) / sum(run["counts"][1:]) * 1000 for run in runs]
    yield median_of(
        "each resource of a further stack",
        further,
        "ms",
        aim="≤ 2 ms",
        note=f"{runs[0]['counts'][1]} resources a stack",
    )
