"""Running sandboxes for the tests that only use one; those that break one have a state of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.connection import Sandbox, start, stop
from sandbox.progress import Lines


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A running sandbox. Its binaries come from the per-user cache and are built first where they are missing."""
    state = tmp_path_factory.mktemp("sandbox") / "state"
    try:
        yield start(state, progress=Lines())
    finally:
        stop(state)
