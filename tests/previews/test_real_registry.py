"""Digests from a real OCI registry, by the process that the sandbox runs as its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from previews.fetching import Unavailable, client
from previews.registry import Registry
from tests.previews.github_stand_in import sha
from tests.previews.plugins import World
from tests.previews.processes import unused_port
from tests.previews.registries import OciRegistry, push

pytestmark = pytest.mark.servers


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    registry = OciRegistry(tmp_path)
    try:
        registry.start()
        yield registry.url
    finally:
        registry.stop()


def test_a_registry_tells_the_digest_of_a_head_once_it_is_pushed(address: str, world: World) -> None:
    async def story() -> list[str | None]:
        registry = Registry(client(address), "acme/previews")
        before = await registry.digest("web", sha(7))
        pushed.append(push(address, "acme/previews/web", sha(7)))
        return [before, await registry.digest("web", sha(7)), await registry.digest("web", sha(8))]

    pushed: list[str] = []
    assert world.run(story()) == [None, *pushed, None]


def test_a_registry_that_is_down_is_trouble(world: World) -> None:
    with pytest.raises(Unavailable, match="the registry: ConnectError"):
        world.run(Registry(client(f"http://127.0.0.1:{unused_port()}"), "acme/previews").digest("web", sha(7)))
