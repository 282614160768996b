"""What an API server answers of Applications, Rollouts and pods, as far as a rung is observed by it.

Rules: the types of Argo CD and Argo Rollouts (``types.go`` of each, v1alpha1) and of Kubernetes (core/v1). What they
leave out where it is empty is empty here; nothing is coerced, and what nobody reads is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError
from pydantic.alias_generators import to_camel

__all__ = ["Application", "Container", "ContainerStatus", "Pod", "Rollout", "read"]


class Answered(BaseModel):
    """Base of what is answered."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, strict=True, alias_generator=to_camel, hide_input_in_errors=True
    )


class Owner(Answered):
    api_version: str
    kind: str
    name: str
    controller: bool = False


class Metadata(Answered):
    name: str
    generation: int = 0
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    owner_references: list[Owner] = []
    deletion_timestamp: str | None = None


class Destination(Answered):
    server: str = ""
    namespace: str = ""


class ApplicationSpec(Answered):
    project: str
    destination: Destination
    sources: list[Mapping[str, Any]] = []


class Compared(Answered):
    """Whether what is wanted is there; ``revisions`` has one of each source, in their order."""

    status: str = ""
    revisions: list[str] = []


class Told(Answered):
    """How something is, and why."""

    status: str = ""
    message: str = ""


class Applied(Answered):
    """What a sync applied: a revision of each source, in their order."""

    revisions: list[str] = []


class Operation(Answered):
    phase: str
    message: str = ""
    sync_result: Applied = Applied()


class Delivered(Answered):
    """One of an Application's objects."""

    group: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    status: str = ""


class ApplicationStatus(Answered):
    sync: Compared = Compared()
    health: Told = Told()
    operation_state: Operation | None = None
    resources: list[Delivered] = []


class Application(Answered):
    """``operation`` is a sync that was asked for and is not over."""

    metadata: Metadata
    spec: ApplicationSpec
    operation: Mapping[str, Any] | None = None
    status: ApplicationStatus = ApplicationStatus()


class Container(Answered):
    name: str
    image: str


class PodSpec(Answered):
    containers: list[Container] = Field(min_length=1)
    init_containers: list[Container] = []
    ephemeral_containers: list[Container] = []


class Template(Answered):
    spec: PodSpec


class Selector(Answered):
    match_labels: Mapping[str, str] = Field(min_length=1)


class RolloutSpec(Answered):
    """The controller writes ``replicas`` where nobody else does."""

    replicas: NonNegativeInt
    paused: bool = False
    selector: Selector
    template: Template


class RolloutStatus(Answered):
    """``observed_generation`` is a number as text. Hashes are those of a ReplicaSet's pods."""

    observed_generation: str = ""
    current_pod_hash: str = ""
    stable_rs: str = Field(default="", alias="stableRS")
    replicas: NonNegativeInt = 0
    updated_replicas: NonNegativeInt = 0
    available_replicas: NonNegativeInt = 0
    abort: bool = False
    controller_pause: bool = False
    pause_conditions: list[Mapping[str, Any]] = []
    phase: str = ""
    message: str = ""


class Rollout(Answered):
    metadata: Metadata
    spec: RolloutSpec
    status: RolloutStatus = RolloutStatus()


class ContainerStatus(Answered):
    """``image_id`` is what the runtime says that it runs; empty before it does."""

    name: str
    image_id: str = Field(default="", alias="imageID")


class Condition(Answered):
    type: str
    status: str


class PodStatus(Answered):
    phase: str = ""
    conditions: list[Condition] = []
    container_statuses: list[ContainerStatus] = []
    init_container_statuses: list[ContainerStatus] = []


class Pod(Answered):
    metadata: Metadata
    spec: PodSpec
    status: PodStatus = PodStatus()

    @property
    def is_over(self) -> bool:
        """Whether it runs nothing any more."""
        return self.status.phase in {"Succeeded", "Failed"}

    @property
    def is_ready(self) -> bool:
        return any(each.type == "Ready" and each.status == "True" for each in self.status.conditions)


Kind = TypeVar("Kind", Application, Rollout, Pod)


def read(kind: type[Kind], item: Any) -> Kind | str:
    """The object, or what is wrong with it."""
    try:
        return kind.model_validate(item)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
