"""What one service is in one environment: ``values.yaml`` (what stays) and ``version.yaml`` (what climbs).

A folder ``<tree>/<environment>/<service>`` holds both. The service is named by its folder, and so is the environment:
neither name stands in a file, so that no template can know them, but for whose data is made up, which is passed on.
Rules that join several fields are in :mod:`ladder.contract.overlay_rules`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Discriminator, Field, PositiveInt, Tag

from ladder.contract.base import Off, Settings, Varies, switch
from ladder.contract.namespaces import Compute
from ladder.contract.stack import Access, TierLevel
from ladder.contract.types import (
    AbsolutePath,
    BucketName,
    Cidr,
    Digest,
    DnsLabel,
    Duration,
    FlagName,
    HostName,
    HttpUrl,
    IamRoleArn,
    ImageReference,
    KeyAlias,
    Quantity,
    Region,
    RegistryPrefix,
    SecretName,
    VariableName,
)

__all__ = [
    "Analysis",
    "AnalysisOff",
    "CanaryStep",
    "ChartValues",
    "CloudRole",
    "CloudRoleOff",
    "Dependencies",
    "Endpoints",
    "Engine",
    "Ingress",
    "Instance",
    "ManagedStore",
    "Objects",
    "ObjectsOff",
    "Overlay",
    "Probes",
    "Replicas",
    "Resources",
    "Rollout",
    "Scale",
    "Seed",
    "SeedOff",
    "ServiceShape",
    "Store",
    "StoreScale",
    "Version",
]

Port = Annotated[int, Field(ge=1024, le=65535, examples=[8080])]
"""Above 1023: what runs without privileges cannot listen below."""


class Engine(StrEnum):
    """A store a service keeps data in, by the protocol it speaks."""

    POSTGRESQL = "postgresql"
    REDIS = "redis"

    @property
    def port(self) -> int:
        return {Engine.POSTGRESQL: 5432, Engine.REDIS: 6379}[self]


class Probes(Settings):
    """Paths answered with 200 on the port named: once started, while alive, while ready for work."""

    port: Annotated[Literal["http", "metrics"], Field(examples=["http"])]
    startup: AbsolutePath
    liveness: AbsolutePath
    readiness: AbsolutePath


class Metrics(Settings):
    """Where Prometheus reads the service, and the query (of its language) that gives its success rate, 0 to 1."""

    path: AbsolutePath
    success_rate: Annotated[
        str, Field(min_length=1, max_length=1000, examples=["sum(rate(ok[5m]))/sum(rate(all[5m]))"])
    ]


class ServiceShape(Settings):
    """What the service is, wherever it runs. ``image`` is its repository; the digest is in ``version.yaml``."""

    image: RegistryPrefix
    ports: Annotated[Mapping[Literal["http", "metrics"], Port], Field(min_length=1, examples=[{"metrics": 9090}])]
    """``metrics`` always; ``http`` where others call the service."""
    probes: Probes
    metrics: Metrics
    stop_seconds: Annotated[PositiveInt, Field(le=600, examples=[30])]
    """How long it may take to finish what it does after it is told to end."""


class Ingress(Settings):
    """Who may call the service: the outside world through the edge named, and other services of the environment."""

    public: bool
    through: Annotated[Literal["ingress", "gateway"], Field(examples=["gateway"])]
    callers: Mapping[DnsLabel, bool]


class Called(Settings):
    """Another service of the same environment that this one calls."""

    port: Port


class Store(Settings):
    """A database or cache. The service ``owner`` brings it where the environment's tier runs one (lite, standard)."""

    engine: Annotated[Engine, Field(examples=["postgresql"])]
    owner: DnsLabel
    image: ImageReference


class ObjectsOff(Settings):
    """The service keeps no objects."""

    enabled: Off


class Objects(Settings):
    """Object storage: the environment's own buckets, or at tier lite a throwaway S3-compatible store of ``owner``."""

    enabled: Literal[True]
    owner: DnsLabel
    image: ImageReference
    buckets: Annotated[Mapping[DnsLabel, Access], Field(min_length=1)]


class External(Settings):
    """A service outside the cluster, called by TLS."""

    port: Annotated[int, Field(ge=1, le=65535, examples=[443])]


class Dependencies(Settings):
    """All the service talks to; nothing else is open to it."""

    services: Mapping[DnsLabel, Called]
    stores: Mapping[DnsLabel, Store]
    objects: Annotated[Annotated[ObjectsOff, Tag("off")] | Annotated[Objects, Tag("on")], Discriminator(switch)]
    external: Mapping[DnsLabel, External]


class Replicas(Settings):
    """How many pods. Where ``max`` is more than ``min``, an autoscaler keeps average CPU use at ``cpu_percent``."""

    min: Annotated[PositiveInt, Field(le=1000, examples=[2])]
    max: Annotated[PositiveInt, Field(le=1000, examples=[4])]
    cpu_percent: Annotated[int, Field(ge=10, le=95, examples=[70])]


class Resources(Settings):
    """What a container asks for and what it may not exceed."""

    requests: Compute
    limits: Compute


class StoreScale(Settings):
    """The size of a store that this service brings. ``storage`` is disk: thrown away at lite, kept at standard."""

    resources: Resources
    storage: Quantity


class Scale(Settings):
    """How much of the service runs. ``surge`` is how many pods more there may be while it is rolled out."""

    replicas: Replicas
    surge: Annotated[PositiveInt, Field(le=50, examples=[1])]
    min_available: Annotated[int, Field(ge=0, examples=[1])]
    """Pods that a drain must leave; 0 lets it take all."""
    spread: Annotated[Literal["preferred", "required"], Field(examples=["preferred"])]
    """Whether a pod waits rather than break the even spread over zones."""
    resources: Resources
    stores: Mapping[DnsLabel, StoreScale]
    """By a store's name; ``objects`` is the throwaway object store."""


class CanaryStep(Settings):
    """Put ``weight`` percent of the pods on the new version and stay there for ``pause``."""

    weight: Annotated[int, Field(ge=1, le=99, examples=[25])]
    pause: Duration


class AnalysisOff(Settings):
    """Nothing is measured during a rollout."""

    enabled: Off


class Analysis(Settings):
    """During a canary the success rate is read ``count`` times; below ``threshold`` more than ``failures`` aborts."""

    enabled: Literal[True]
    threshold: Annotated[float, Field(gt=0, le=1, examples=[0.99])]
    interval: Duration
    count: Annotated[PositiveInt, Field(le=1000, examples=[10])]
    failures: Annotated[int, Field(ge=0, le=1000, examples=[0])]


class Rollout(Settings):
    """How a new version comes in. ``canary`` lists steps in their order; without any it is a rolling update."""

    canary: Annotated[tuple[CanaryStep, ...], Field(max_length=20, strict=False, examples=[[]])]
    analysis: Annotated[Annotated[AnalysisOff, Tag("off")] | Annotated[Analysis, Tag("on")], Discriminator(switch)]


class CloudRoleOff(Settings):
    """The service's pods get no cloud role."""

    enabled: Off


class CloudRole(Settings):
    """The cloud role the service's pods assume."""

    enabled: Literal[True]
    arn: IamRoleArn


class Edge(Settings):
    """What brings calls in: an ingress class, or a Gateway; ``namespace`` is where its pods (the Gateway) are."""

    name: DnsLabel
    namespace: DnsLabel


class Monitoring(Settings):
    """Prometheus: the namespace its pods read from, and its address for analyses."""

    namespace: DnsLabel
    address: HttpUrl


class ManagedStore(Settings):
    """A store somebody else runs; ``cidr`` is the network its addresses are in."""

    host: HostName
    port: Annotated[int, Field(ge=1, le=65535, examples=[5432])]
    cidr: Cidr


class Endpoints(Settings):
    """Where the environment is: addresses and names of what the service reaches and is reached by."""

    hosts: Mapping[DnsLabel, HostName]
    region: Region
    role: Annotated[Annotated[CloudRoleOff, Tag("off")] | Annotated[CloudRole, Tag("on")], Discriminator(switch)]
    buckets: Mapping[DnsLabel, BucketName]
    keys: Mapping[DnsLabel, KeyAlias]
    stores: Mapping[DnsLabel, ManagedStore]
    external: Mapping[DnsLabel, HttpUrl]
    edge: Edge
    monitoring: Monitoring


class SeedOff(Settings):
    """The chart fills no store."""

    enabled: Off


class Seed(Settings):
    """Before the service starts, ``ladder seed`` of ``image`` fills its stores with synthetic data.

    ``environment`` is whose counts of ``seed.yaml`` it takes, and ``number`` the seed: another gives another dataset.
    """

    enabled: Literal[True]
    image: ImageReference
    environment: DnsLabel
    number: Annotated[int, Field(ge=0, lt=10**15, examples=[1])]
    """As large as every parser of YAML keeps exact."""
    resources: Resources


class Overlay(Settings):
    """``values.yaml``: one service in one environment."""

    service: ServiceShape
    ingress: Ingress
    dependencies: Dependencies
    tier: Annotated[TierLevel, Varies.TIER, Field(examples=["standard"])]
    scale: Annotated[Scale, Varies.SCALE]
    rollout: Annotated[Rollout, Varies.ROLLOUT]
    endpoints: Annotated[Endpoints, Varies.ENDPOINTS]
    features: Annotated[Mapping[FlagName, bool], Varies.FEATURES]
    secrets: Annotated[Mapping[VariableName, SecretName], Varies.SECRETS]
    """Variable to the secret's full name in the environment's store; the chart makes an ExternalSecret of them."""
    seed: Annotated[
        Annotated[SeedOff, Tag("off")] | Annotated[Seed, Tag("on")],
        Discriminator(switch),
        Varies.DATA,
    ]

    def names(self) -> Mapping[tuple[str, ...], Collection[str]]:
        """What the service asks for by name: features, and above lite, which has none, secrets and keys."""
        told: dict[tuple[str, ...], Collection[str]] = {("features",): self.features}
        if self.tier is not TierLevel.LITE:
            told |= {("secrets",): self.secrets, ("endpoints", "keys"): self.endpoints.keys}
        return told


class Pinned(Settings):
    """Bytes, by their digest."""

    digest: Digest


class Version(Settings):
    """``version.yaml``: the two digests that are promoted. They differ in time only, so lineage checks them."""

    image: Pinned
    chart: Pinned


class Instance(Settings):
    """One of many copies of an environment: in its hosts the label ``placeholder`` becomes ``name``.

    ``seed`` is that of its data, in place of the overlay's number.
    """

    placeholder: DnsLabel
    name: DnsLabel
    seed: Annotated[str, Field(pattern=r"^(?:0|[1-9][0-9]{0,14})$", examples=["7"])]


class ChartValues(Overlay, Version):
    """What the chart is given: both files together, and for a preview which one it is."""

    instance: Instance | None = None
