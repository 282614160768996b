"""Many recordings at once: each process imports the SDK once, and this one never does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from ladder.errors import CheckFailed
from ladder.recording import Recording
from ladder.substitution import Variation, varied
from sandbox.progress import Progress

__all__ = ["Recorder", "recorder"]


class Recorder:
    """Records variations of the program at ``root``, side by side."""

    def __init__(self, executor: Executor, root: Path, progress: Progress) -> None:
        self._executor = executor
        self._root = root
        self._progress = progress

    def record(self, variations: Iterable[Variation]) -> Iterator[Recording | CheckFailed]:
        """Each variation's recording, in the order given; in place of one, why the program failed."""
        waiting = list(variations)
        made = self._executor.map(partial(_recorded, self._root), waiting)
        for done, recording in enumerate(made, start=1):
            self._progress.advance(done, len(waiting))
            yield recording

    def record_sound(self, variations: Iterable[Variation]) -> Iterator[Recording]:
        """The same, where the program may not fail. Raises CheckFailed for the first that does."""
        for recording in self.record(variations):
            if isinstance(recording, CheckFailed):
                raise recording
            yield recording


@contextmanager
def recorder(root: Path, progress: Progress, *, processes: int | None = None) -> Generator[Recorder]:
    """A recorder for the project at ``root``; ``processes`` at a time, one for each core if not given."""
    # Spawned, not forked: a child shares neither this process's threads nor another checkout's modules.
    context = multiprocessing.get_context("spawn")
    count = processes or os.cpu_count() or 1
    with ProcessPoolExecutor(count, mp_context=context) as executor:
        with _uninterrupted():
            for _ in range(count):
                executor.submit(os.getpid)
        try:
            yield Recorder(executor, root, progress)
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise


@contextmanager
def _uninterrupted() -> Generator[None]:
    """Processes that begin inside never see an interrupt, which is this one's to handle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _recorded(root: Path, variation: Variation) -> Recording | CheckFailed:
    try:
        return varied(variation, root)
    except CheckFailed as error:
        return CheckFailed(str(error))
