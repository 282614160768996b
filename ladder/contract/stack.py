"""The settings of one stack: everything the program needs to declare one environment, and nothing else.

Every field of :class:`StackSettings` is one configuration key, ``ladder:<name>``. Rules that join several fields are in
:mod:`ladder.contract.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, PositiveInt, Tag
from pydantic_core import PydanticKnownError

from ladder.contract.base import Settings, Varies
from ladder.contract.types import (
    AwsAccountId,
    BucketName,
    ChartRepository,
    Cron,
    DnsLabel,
    Duration,
    GitBranch,
    GitRepository,
    HostName,
    IamRoleArn,
    LabelValue,
    LoopbackUrl,
    OidcIssuer,
    Quantity,
    Region,
    RegistryPrefix,
    SecretPrefix,
    TimeZone,
    TreePath,
)

__all__ = [
    "DELIVERY_SERVICE_ACCOUNT",
    "RESERVED_ACCOUNTS",
    "RESERVED_SERVICE_ACCOUNTS",
    "SECRET_READER_SERVICE_ACCOUNT",
    "Access",
    "BucketSettings",
    "Cloud",
    "Cluster",
    "Compute",
    "ContainerDefaults",
    "Data",
    "DataClass",
    "Delivery",
    "DeliverySync",
    "Identity",
    "Images",
    "KeySettings",
    "NamespaceSettings",
    "ObjectLock",
    "ObjectLockOff",
    "Partition",
    "Previews",
    "PreviewsOff",
    "Quota",
    "Rung",
    "Secrets",
    "ServiceSettings",
    "StackSettings",
    "SyncWindow",
    "Tier",
    "TierLevel",
]


DELIVERY_SERVICE_ACCOUNT = "delivery"
"""Argo CD syncs as this ServiceAccount of the destination namespace, not as itself."""

SECRET_READER_SERVICE_ACCOUNT = "secret-reader"
"""The ServiceAccount as which External Secrets reads."""

RESERVED_ACCOUNTS = "000000"
"""How the sandbox's account ids begin: by convention, nobody's real account."""

RESERVED_SERVICE_ACCOUNTS = frozenset({"default", DELIVERY_SERVICE_ACCOUNT, SECRET_READER_SERVICE_ACCOUNT})
"""What no service may be called: a service's name is its ServiceAccount."""


class Rung(StrEnum):
    """What a change is promoted through, lowest first."""

    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


class DataClass(StrEnum):
    """What the data of an environment may be, least sensitive first."""

    THROWAWAY = "throwaway"
    SYNTHETIC = "synthetic"
    ANONYMIZED = "anonymized"
    REAL = "real"


class TierLevel(StrEnum):
    """How much of a service's dependencies an environment runs, least first."""

    LITE = "lite"
    STANDARD = "standard"
    FULL = "full"


class Access(StrEnum):
    """What a service may do with a bucket's objects."""

    READ = "read"
    WRITE = "write"
    READ_WRITE = "read-write"


class Partition(StrEnum):
    """The AWS partition every ARN of a stack belongs to."""

    AWS = "aws"
    CHINA = "aws-cn"
    GOVERNMENT = "aws-us-gov"


class Identity(Settings):
    """Who the environment is. ``name`` is part of names and labels and decides nothing."""

    name: Annotated[DnsLabel, Field(max_length=20)]
    rung: Annotated[Rung, Field(examples=["dev"])]
    owner: LabelValue


class Cloud(Settings):
    """Where the environment's cloud resources live, and who deploys and administers them."""

    partition: Annotated[Partition, Field(examples=["aws"])]
    account: Annotated[AwsAccountId, Varies.ENDPOINTS]
    region: Annotated[Region, Varies.ENDPOINTS]
    deployer_role: Annotated[IamRoleArn | None, Varies.ENDPOINTS]
    """Assumed by the AWS provider; null where the caller's credentials already are of this account."""
    key_administrator_role: Annotated[IamRoleArn, Varies.ENDPOINTS]
    replication_roles: Annotated[Mapping[DnsLabel, IamRoleArn], Varies.ENDPOINTS]
    """Roles, possibly of an account outside the ladder, that may replicate into this environment's buckets."""
    stand_in: Annotated[LoopbackUrl | None, Varies.ENDPOINTS]
    """A local stand-in for AWS on this machine (the sandbox); null for AWS itself."""


class Cluster(Settings):
    """The Kubernetes cluster, as the operator's kubeconfig and AWS IAM know it."""

    context: Annotated[str, Field(min_length=1, max_length=253, examples=["ladder-dev"])]
    identifier: Annotated[str, Field(min_length=1, max_length=253, examples=["ladder-dev"])]
    """Only a change of this replaces the Kubernetes provider and all it made."""
    oidc_issuer: OidcIssuer


class Data(Settings):
    """What the environment's data is, and how long replaced or deleted objects are kept."""

    data_class: Annotated[DataClass, Field(alias="class", examples=["synthetic"])]
    noncurrent_days: PositiveInt


class Tier(Settings):
    """How much of their dependencies the environment's services get."""

    level: Annotated[TierLevel, Field(examples=["standard"])]


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
    """The guardrails of one namespace, ``<environment>-<key>``."""

    quota: Annotated[Quota, Varies.SCALE]
    containers: Annotated[ContainerDefaults, Varies.SCALE]


class Images(Settings):
    """Where images may come from; each is admitted by digest only."""

    registries: Annotated[Mapping[DnsLabel, RegistryPrefix], Field(min_length=1)]


class KeySettings(Settings):
    """One customer-managed KMS key. ``via`` names the AWS services through which roles use it."""

    via: Annotated[Mapping[Literal["s3", "secretsmanager"], bool], Field(min_length=1, examples=[{"s3": True}])]
    log_delivery: bool
    deletion_window_days: Annotated[int, Varies.DATA, Field(ge=7, le=30, examples=[30])]

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(sorted(service for service, used in self.via.items() if used))


def _boolean(value: object) -> object:
    """``Literal[False]`` alone would take 0, which equals it."""
    if isinstance(value, bool):
        return value
    raise PydanticKnownError("bool_type")


Off = Annotated[Literal[False], BeforeValidator(_boolean)]


class ObjectLockOff(Settings):
    """The bucket has no Object Lock."""

    enabled: Off


class ObjectLock(Settings):
    """Default retention of every object version; ``compliance`` can be shortened by nobody, root included."""

    enabled: Literal[True]
    mode: Annotated[Literal["governance", "compliance"], Varies.DATA]
    days: Annotated[PositiveInt, Varies.DATA]


def _switch(value: object) -> str:
    """Which side of an ``enabled`` switch the value is on; validation of the value itself comes after."""
    enabled = value.get("enabled") if isinstance(value, Mapping) else getattr(value, "enabled", None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return "on" if enabled is True else "off"


class BucketSettings(Settings):
    """One bucket: private, versioned, encrypted with the named key. Null ``expire_days`` keeps current objects."""

    name: Annotated[BucketName, Varies.ENDPOINTS]
    key: DnsLabel
    expire_days: Annotated[PositiveInt | None, Varies.DATA]
    log_delivery: bool
    object_lock: Annotated[
        Annotated[ObjectLockOff, Tag("off")] | Annotated[ObjectLock, Tag("on")], Discriminator(_switch)
    ]


class ServiceSettings(Settings):
    """One service's identity in the cloud: the buckets its role may touch. The map's key is its ServiceAccount."""

    buckets: Mapping[DnsLabel, Access]


class Secrets(Settings):
    """Where secret values are looked up; the values themselves are never in configuration."""

    prefix: Annotated[SecretPrefix, Varies.SECRETS]
    key: DnsLabel


class DeliverySync(Settings):
    """Whether Argo CD acts by itself on a commit, and on drift."""

    automated: bool
    self_heal: bool


class SyncWindow(Settings):
    """When Argo CD may (allow) or may not (deny) sync. Times are of ``time_zone``."""

    kind: Literal["allow", "deny"]
    schedule: Cron
    duration: Duration
    time_zone: TimeZone
    manual_sync: bool


class Delivery(Settings):
    """What Argo CD delivers here: one Application per folder ``<path>/<environment>/<service>`` of the GitOps tree."""

    namespace: DnsLabel
    repository: GitRepository
    branch: GitBranch
    path: TreePath
    chart: ChartRepository
    sync: Annotated[DeliverySync, Varies.ROLLOUT]
    windows: Annotated[Mapping[DnsLabel, SyncWindow], Varies.ROLLOUT]
    keep_when_removed: Annotated[bool, Varies.ROLLOUT]
    """Applications and their workloads outlive the ApplicationSet and their folder."""


class PreviewsOff(Settings):
    """No pull request becomes an environment here."""

    enabled: Off


class Previews(Settings):
    """Pull requests of ``owner/repository`` that carry ``label`` become environments ``pr-<n>`` in this cluster."""

    enabled: Literal[True]
    owner: Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})$", examples=["acme"])]
    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$", examples=["shop"])]
    label: LabelValue
    host: HostName
    """Previews answer at ``pr-<n>.<host>``, a domain of its own so that no cookie reaches another environment."""
    ttl: Duration
    max_count: PositiveInt
    requeue: Duration


class StackSettings(Settings):
    """One environment's settings; each field is the configuration key ``ladder:<name>``."""

    environment: Annotated[Identity, Varies.IDENTITY]
    accounts: Annotated[Mapping[DnsLabel, AwsAccountId], Field(min_length=1)]
    """Every environment of the ladder and its account, the same map in every stack."""
    cloud: Cloud
    cluster: Annotated[Cluster, Varies.ENDPOINTS]
    data: Annotated[Data, Varies.DATA]
    tier: Annotated[Tier, Varies.TIER]
    namespaces: Annotated[Mapping[Literal["services", "data"], NamespaceSettings], Field(min_length=2)]
    images: Images
    keys: Annotated[Mapping[DnsLabel, KeySettings], Field(min_length=1)]
    buckets: Mapping[DnsLabel, BucketSettings]
    services: Annotated[Mapping[DnsLabel, ServiceSettings], Field(min_length=1)]
    secrets: Secrets
    delivery: Delivery
    previews: Annotated[
        Annotated[PreviewsOff, Tag("off")] | Annotated[Previews, Tag("on")],
        Discriminator(_switch),
        Varies.FEATURES,
    ]

    @property
    def holds_real_data(self) -> bool:
        return self.data.data_class is DataClass.REAL

    def namespace(self, key: str) -> str:
        """The physical name of a namespace, e.g. ``dev-services``."""
        return f"{self.environment.name}-{key}"

    def physical(self, name: str) -> str:
        """A name that is unique in the cluster and in the account: it carries the environment."""
        return f"ladder-{self.environment.name}-{name}"

    def labels(self) -> dict[str, str]:
        """The labels every Kubernetes object of this environment carries."""
        return {
            "app.kubernetes.io/part-of": "environment-ladder",
            "app.kubernetes.io/managed-by": "pulumi",
            "ladder.internal/environment": self.environment.name,
            "ladder.internal/owner": self.environment.owner,
        }

    def tags(self) -> dict[str, str]:
        """The tags every AWS resource of this environment carries."""
        return {
            "ladder:environment": self.environment.name,
            "ladder:owner": self.environment.owner,
            "ladder:data-class": self.data.data_class.value,
        }
