"""The proof that environments differ only where the contract allows: five parts, each of which can fail by itself."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from ladder.check.reading import begin_reading
from ladder.contract.exceptions import Exceptions, read_exceptions
from ladder.errors import InputError
from ladder.helm import find
from ladder.parity.equality import equality
from ladder.parity.explained import explained
from ladder.parity.ladder import Ladder, ladder_of
from ladder.parity.law import law
from ladder.parity.order import order
from ladder.parity.planes import planes
from ladder.parity.proof import Difference, Part, Proof
from ladder.parity.recordings import recorder
from ladder.parity.rendering import Renderer
from ladder.recording import Recording
from ladder.substitution import Variation
from ladder.tree import Tree
from sandbox.progress import Progress

__all__ = ["Difference", "Part", "Proof", "prove", "proven", "read"]


def prove(
    root: Path,
    progress: Progress,
    *,
    today: date,
    between: tuple[str, str] | None = None,
    render: bool = True,
    processes: int | None = None,
) -> Proof:
    """Prove the project at ``root``, of all its environments or ``between`` two of them.

    Without ``render`` nothing is said of what the chart makes. Raises InputError with every problem of the files, and
    CheckFailed where a stack's program fails or what rendering needs cannot be had.
    """
    ladder = read(root, progress)
    if between is not None:
        ladder = ladder.between(*between)
    return proven(ladder, progress, today=today, render=render, processes=processes)[0]


def proven(
    ladder: Ladder, progress: Progress, *, today: date, render: bool = True, processes: int | None = None
) -> tuple[Proof, Mapping[str, Recording]]:
    """The proof of a ladder that is read already, and every stack's own recording, which it stands on.

    Raises as :func:`prove` does, but for the files.
    """
    with (
        recorder(ladder.root, progress, processes=processes) as recording,
        _renderer(ladder, progress, render) as renderer,
    ):
        progress.step("record every stack", 1, 3)
        own = recording.record_sound(
            Variation(sections=each.model_dump(mode="json", by_alias=True), stack=stack)
            for stack, each in ladder.settings.items()
        )
        recordings = dict(zip(ladder.settings, own, strict=True))
        progress.step("put other names in place of each stack's own", 2, 3)
        lawful = law(ladder, {stack: recordings[stack] for stack in ladder.stacks()}, recording, renderer)
        progress.step("walk from each environment to the next", 3, 3)
        walked, differences = explained(ladder, recording, renderer, today, own=recordings)
    parts = (equality(ladder, today), lawful, walked, order(ladder, recordings), planes(ladder, recordings))
    names = tuple(environment.name for environment in ladder.chosen)
    return Proof(names, render, parts, tuple(differences)), recordings


def read(root: Path, progress: Progress) -> Ladder:
    """The project's environments, equal or not. Raises InputError with every problem of its files."""
    exceptions, unreadable = Exceptions(exceptions={}), InputError(())
    try:
        exceptions = read_exceptions(root)
    except InputError as error:
        unreadable = error
    try:
        settings, reading = begin_reading(root, progress, equal=False)
        tree: Tree = reading()
    except InputError as error:
        raise InputError((*unreadable.problems, *error.problems)) from error
    if unreadable.problems:
        raise unreadable
    return ladder_of(root, settings, tree, exceptions)


@contextmanager
def _renderer(ladder: Ladder, progress: Progress, render: bool) -> Generator[Renderer | None]:
    """None where nothing is to be rendered."""
    if not render:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="parity.") as scratch:
        yield Renderer(find(progress), ladder.tree.chart, Path(scratch), progress)
