"""What the tests share: the project's settings, and each stack recorded once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from ladder.contract import StackSettings, ladder_settings, settings_from_mapping
from ladder.recorder import record
from ladder.recording import Recording

ROOT = Path(__file__).parent.parent

settings.register_profile("ladder", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ladder")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def ladder() -> dict[str, StackSettings]:
    """The settings of every stack."""
    return ladder_settings(ROOT)


class Recordings:
    """The recording of each stack, made when first asked for; ``altered`` records other settings."""

    def __init__(self, ladder: dict[str, StackSettings]) -> None:
        self._ladder = ladder
        self._made: dict[str, Recording] = {}

    def __getitem__(self, stack: str) -> Recording:
        if stack not in self._made:
            self._made[stack] = record(self._ladder[stack], stack=stack, root=ROOT)
        return self._made[stack]

    def __iter__(self) -> Iterator[Recording]:
        return (self[stack] for stack in self._ladder)

    def altered(self, stack: str, **sections: Any) -> Recording:
        """The stack with the given sections in place of its own; each must be whole."""
        own = self._ladder[stack].model_dump(mode="json", by_alias=True)
        return record(settings_from_mapping({**own, **sections}), stack=stack, root=ROOT)


@pytest.fixture(scope="session")
def recordings(ladder: dict[str, StackSettings]) -> Recordings:
    return Recordings(ladder)
