"""How the slow parts tell what they do: a small protocol, and the ways to show it."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Lines", "Progress", "Silent", "shown"]


class Progress(Protocol):
    """What a long-running operation reports."""

    def step(self, text: str, number: int = 0, steps: int = 0) -> None:
        """A new step begins, and the one before has ended. ``number`` of ``steps``, where they are counted."""
        ...

    def advance(self, done: int, total: int) -> None:
        """How far the current step is; ``total`` is 0 while unknown."""
        ...


class Silent:
    """Shows nothing."""

    def step(self, text: str, number: int = 0, steps: int = 0) -> None:
        pass

    def advance(self, done: int, total: int) -> None:
        pass


class Lines:
    """One plain line for each step, on standard error."""

    def step(self, text: str, number: int = 0, steps: int = 0) -> None:
        print(f"{_counted(number, steps)}{text}", file=sys.stderr, flush=True)

    def advance(self, done: int, total: int) -> None:
        pass


class _Bar:
    """A live line on a terminal: the step, how far it is and how long it has taken."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        self._console = Console(stderr=True)
        self._progress = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[far]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, far="")
        self._text = ""
        self._began = time.monotonic()
        self._progress.start()

    def step(self, text: str, number: int = 0, steps: int = 0) -> None:
        self._close_step()
        self._text = f"{_counted(number, steps)}{text}"
        self._progress.reset(self._task, total=None, completed=0, description=self._text, far="")

    def advance(self, done: int, total: int) -> None:
        far = f"{done}/{total}" if total else str(done)
        self._progress.update(self._task, completed=done, total=total or None, far=far)

    def stop(self) -> None:
        self._close_step()
        self._progress.stop()

    def _close_step(self) -> None:
        now = time.monotonic()
        if self._text:
            self._console.print(f"  {self._text}  {now - self._began:.1f} s", markup=False, highlight=False)
        self._began = now


@contextmanager
def shown() -> Generator[Progress]:
    """A live display where standard error is a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    bar = _Bar()
    try:
        yield bar
    finally:
        bar.stop()


def _counted(number: int, steps: int) -> str:
    return f"[{number}/{steps}] " if steps else ""
