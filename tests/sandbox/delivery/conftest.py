"""One sandbox with Argo CD for the tests of this folder; its controllers are busy, so it ends with them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.connection import Sandbox, start, stop
from sandbox.progress import Lines


@pytest.fixture(scope="package")
def delivery_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A running sandbox with Argo CD, and nothing published yet."""
    state = tmp_path_factory.mktemp("delivery") / "state"
    try:
        yield start(state, progress=Lines(), argocd=True)
    finally:
        stop(state)
