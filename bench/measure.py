"""One figure: a median, its spread, its aim, and what it is held against."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["Figure", "cold", "median_of", "print_figures", "timed"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """``value`` is a median of ``rounds``; ``note`` says what it is held against, as a ratio where there is a peer."""

    name: str
    value: float
    unit: str
    rounds: int = 1
    spread: str = ""
    aim: str = ""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def timed(action: Callable[[], object]) -> float:
    """Seconds the action takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def cold(code: str, environment: Mapping[str, str] | None = None) -> str:
    """What a fresh interpreter prints for the code."""
    finished = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    return finished.stdout


def median_of(name: str, values: Sequence[float], unit: str, **more: Any) -> Figure:
    spread = f"{min(values):.3g}–{max(values):.3g}" if len(values) > 1 else ""
    return Figure(name=name, value=statistics.median(values), unit=unit, rounds=len(values), spread=spread, **more)


def print_figures(figures: Sequence[Figure]) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    table = Table(box=None, pad_edge=False)
    for heading in ("MEASURED", "MEDIAN", "SPREAD", "ROUNDS", "AIM", "NOTE"):
        table.add_column(heading, no_wrap=True)
    for figure in figures:
        value = f"{figure.value:.3g} {figure.unit}"
        table.add_row(figure.name, value, figure.spread, str(figure.rounds), figure.aim, figure.note)
    console.print(table)
