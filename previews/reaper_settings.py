"""What the reaper is told, in one mounted file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from ladder.contract.base import Settings
from ladder.contract.types import DnsLabel, Duration, duration
from previews.mounted import ApiServer, read_as
from previews.reaping import Terms

__all__ = ["ReaperSettings", "read"]


class ReaperCluster(ApiServer):
    """Where previews are: ``project`` is the AppProject of their Applications, in Argo CD's ``namespace``."""

    project: DnsLabel


class ReaperSettings(Settings):
    """The reaper's whole configuration. ``max_age`` is what the plugin holds previews to."""

    cluster: ReaperCluster
    grace: Duration
    max_age: Duration
    most: Annotated[int, Field(ge=1, le=100, examples=[10])]
    """How many previews one run may remove; where more are due, it removes none."""
    dry_run: bool

    def terms(self) -> Terms:
        return Terms(duration(self.grace), duration(self.max_age))


def read(path: Path) -> ReaperSettings:
    """The settings of the file, with the token's file readable. Raises InputError with every problem found."""
    return read_as(
        path,
        ReaperSettings,
        lambda settings: settings.cluster.violations(),
        lambda settings: settings.cluster.problems(),
    )
