"""The settings of one stack: everything the program needs to declare one environment, and nothing else.

Every field of :class:`StackSettings` is one configuration key, ``ladder:<name>``. Rules that join several fields are in
:mod:`ladder.contract.rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Discriminator, Field, PositiveInt, Tag

from ladder.contract.base import Off, Settings, Varies, switch
from ladder.contract.data import Data, DataClass
from ladder.contract.namespaces import NamespaceSettings
from ladder.contract.previews import Previews, PreviewsOff
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
    "Delivery",
    "DeliverySync",
    "Hosts",
    "Identity",
    "Images",
    "KeySettings",
    "ObjectLock",
    "ObjectLockOff",
    "Partition",
    "Rung",
    "ScaleFactor",
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

    name: Annotated[DnsLabel, Varies.IDENTITY, Field(max_length=20)]
    rung: Annotated[Rung, Varies.IDENTITY, Field(examples=["dev"])]
    """What rules speak of; nothing that is declared follows from it."""
    owner: Annotated[LabelValue, Varies.IDENTITY]


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
    anchor_role: Annotated[IamRoleArn | None, Varies.ENDPOINTS]
    """Adds the heads of the evidence's chain to the bucket with Object Lock, and reads them; null where nobody does."""
    stand_in: Annotated[LoopbackUrl | None, Varies.ENDPOINTS]
    """A local stand-in for AWS on this machine (the sandbox); null for AWS itself."""


class Cluster(Settings):
    """The Kubernetes cluster, as the operator's kubeconfig and AWS IAM know it."""

    context: Annotated[str, Field(min_length=1, max_length=253, examples=["ladder-dev"])]
    identifier: Annotated[str, Field(min_length=1, max_length=253, examples=["ladder-dev"])]
    """Only a change of this replaces the Kubernetes provider and all it made."""
    oidc_issuer: OidcIssuer


class Tier(Settings):
    """How much of their dependencies the environment's services get."""

    level: Annotated[TierLevel, Field(examples=["standard"])]


class ScaleFactor(Settings):
    """How much of the highest rung's room the environment has: its quotas are that one's times ``factor``."""

    factor: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False, examples=[0.25])]


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


class ObjectLockOff(Settings):
    """The bucket has no Object Lock."""

    enabled: Off


class ObjectLock(Settings):
    """Default retention of every object version; ``compliance`` can be shortened by nobody, root included."""

    enabled: Literal[True]
    mode: Annotated[Literal["governance", "compliance"], Varies.DATA]
    days: Annotated[PositiveInt, Varies.DATA]


class BucketSettings(Settings):
    """One bucket: private, versioned, encrypted with the named key. Null ``expire_days`` keeps current objects."""

    name: Annotated[BucketName, Varies.ENDPOINTS]
    key: DnsLabel
    expire_days: Annotated[PositiveInt | None, Varies.DATA]
    log_delivery: bool
    object_lock: Annotated[
        Annotated[ObjectLockOff, Tag("off")] | Annotated[ObjectLock, Tag("on")], Discriminator(switch)
    ]


class ServiceSettings(Settings):
    """One service's identity in the cloud: the buckets its role may touch. The map's key is its ServiceAccount."""

    buckets: Mapping[DnsLabel, Access]


class Secrets(Settings):
    """Where secret values are looked up; the values themselves are never in configuration."""

    prefix: Annotated[SecretPrefix, Varies.SECRETS]
    key: DnsLabel


class Hosts(Settings):
    """Where the environment answers the outside world: every host of a service is ``domain`` or below it."""

    domain: Annotated[HostName, Varies.ENDPOINTS]


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


class StackSettings(Settings):
    """One environment's settings; each field is the configuration key ``ladder:<name>``."""

    environment: Annotated[Identity, Varies.IDENTITY]
    accounts: Annotated[Mapping[DnsLabel, AwsAccountId], Field(min_length=1)]
    """Every environment of the ladder and its account, the same map in every stack."""
    cloud: Cloud
    cluster: Annotated[Cluster, Varies.ENDPOINTS]
    data: Annotated[Data, Varies.DATA]
    tier: Annotated[Tier, Varies.TIER]
    scale: Annotated[ScaleFactor, Varies.SCALE]
    namespaces: Annotated[Mapping[Literal["services", "data"], NamespaceSettings], Field(min_length=2)]
    images: Images
    keys: Annotated[Mapping[DnsLabel, KeySettings], Field(min_length=1)]
    buckets: Mapping[DnsLabel, BucketSettings]
    services: Annotated[Mapping[DnsLabel, ServiceSettings], Field(min_length=1)]
    secrets: Secrets
    hosts: Hosts
    delivery: Delivery
    previews: Annotated[
        Annotated[PreviewsOff, Tag("off")] | Annotated[Previews, Tag("on")],
        Discriminator(switch),
        Varies.FEATURES,
    ]

    @property
    def holds_real_data(self) -> bool:
        return self.data.data_class is DataClass.REAL

    @property
    def is_seeded(self) -> bool:
        """Whether what the environment's stores hold is made up."""
        return self.data.data_class in {DataClass.THROWAWAY, DataClass.SYNTHETIC}

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
