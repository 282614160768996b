"""How much of a cluster a namespace has: what its pods may ask for together, and one container by itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from ladder.contract.base import Settings, Varies
from ladder.contract.types import Quantity

__all__ = ["Compute", "ContainerDefaults", "NamespaceSettings", "Quota"]


class Compute(Settings):
    """Processor time (cores) and memory (bytes), as Kubernetes quantities."""

    cpu: Quantity
    memory: Quantity


class Quota(Settings):
    """What all pods of a namespace may ask for together."""

    requests: Compute
    limits: Compute
    pods: PositiveInt
    persistent_volume_claims: Annotated[int, Field(ge=0, examples=[4])]
    storage: Quantity


class ContainerDefaults(Settings):
    """What a container gets that asks for nothing, and the most one container may ask for."""

    request: Compute
    limit: Compute
    max: Compute


class NamespaceSettings(Settings):
    """The guardrails of one namespace: ``<environment>-<key>``, or a preview's."""

    quota: Annotated[Quota, Varies.SCALE]
    containers: Annotated[ContainerDefaults, Varies.SCALE]
