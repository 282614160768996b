"""What the ApplicationSet tells the chart that owns a preview's namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from ladder.contract.base import Settings
from ladder.contract.namespaces import Compute
from ladder.contract.previews import Offered
from ladder.contract.types import Moment

__all__ = ["PreviewValues", "Room"]


class ContainerLimits(Settings):
    """The item of a LimitRange that holds for containers."""

    default: Compute
    default_request: Compute
    max: Compute


class Room(Settings):
    """The spec of a ResourceQuota (``hard``), and what one container may ask for."""

    quota: Annotated[Mapping[str, str], Field(min_length=1)]
    containers: ContainerLimits


class PreviewValues(Settings):
    """``labels`` are the namespace's; ``expires`` is when the preview ends; ``tier`` is one of ``tiers``."""

    labels: Mapping[str, str]
    expires: Moment
    tier: Offered
    tiers: Annotated[Mapping[Offered, Room], Field(min_length=1)]
