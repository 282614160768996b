"""Rules that join several fields of one stack. Those that join stacks are in :mod:`ladder.contract.across`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from ladder.contract.data import DataClass
from ladder.contract.namespaces import NamespaceSettings
from ladder.contract.preview_rules import previews
from ladder.contract.previews import Previews
from ladder.contract.stack import (
    RESERVED_ACCOUNTS,
    RESERVED_SERVICE_ACCOUNTS,
    ObjectLock,
    Rung,
    StackSettings,
    TierLevel,
)
from ladder.contract.types import REGIONS, arn_account, quantity
from ladder.contract.violations import Path, Violation

__all__ = ["within_stack"]


def within_stack(settings: StackSettings) -> Iterator[Violation]:
    """Every joined rule one stack breaks."""
    for rule in _WITHIN:
        yield from rule(settings)


def _accounts(settings: StackSettings) -> Iterator[Violation]:
    name, account = settings.environment.name, settings.cloud.account
    listed = settings.accounts.get(name)
    if listed is None:
        yield Violation(
            path=("accounts",),
            message=f"lacks the environment {name!r}",
            found=", ".join(settings.accounts),
            accepted="every environment of the ladder, this one included",
            example=f'{name}: "{account}"',
        )
    elif listed != account:
        yield Violation(
            path=("cloud", "account"),
            message="is not this environment's account",
            found=account,
            accepted=f"{listed}, as accounts.{name} says",
        )
    first: dict[str, str] = {}
    for other, number in settings.accounts.items():
        if number in first:
            yield Violation(
                path=("accounts", other),
                message=f"is also the account of {first[number]!r}",
                found=number,
                accepted="an account for each environment: it is the wall between real data and the rest",
            )
        first.setdefault(number, other)


def _principals(settings: StackSettings) -> Iterator[Violation]:
    cloud = settings.cloud
    owners = {number: name for name, number in settings.accounts.items()}
    own = {
        "deployerRole": cloud.deployer_role,
        "keyAdministratorRole": cloud.key_administrator_role,
        "anchorRole": cloud.anchor_role,
    }
    for field, arn in own.items():
        if arn is not None and arn_account(arn) != cloud.account:
            owner = owners.get(arn_account(arn))
            yield Violation(
                path=("cloud", field),
                message=f"is a role of {owner!r}" if owner else "is a role of another account",
                found=arn,
                accepted=f"a role of this environment's account {cloud.account}",
            )
    for key, arn in cloud.replication_roles.items():
        owner = owners.get(arn_account(arn))
        if owner and owner != settings.environment.name:
            yield Violation(
                path=("cloud", "replicationRoles", key),
                message=f"is a role of {owner!r}: no other environment's principal may stand in these policies",
                found=arn,
                accepted="a role of this account, or of an account outside the ladder",
            )
    if cloud.anchor_role is not None and cloud.anchor_role in {cloud.deployer_role, cloud.key_administrator_role}:
        yield Violation(
            path=("cloud", "anchorRole"),
            message="deploys or administers keys too: who keeps the head of a chain must not be able to let go of it",
            found=cloud.anchor_role,
            accepted="a role of its own",
        )
    services = {settings.physical(name) for name in (*settings.services, *RESERVED_SERVICE_ACCOUNTS)}
    everyone = [(("cloud", field), arn) for field, arn in own.items()]
    everyone += [(("cloud", "replicationRoles", key), arn) for key, arn in cloud.replication_roles.items()]
    for path, arn in everyone:
        if arn is not None and arn_account(arn) == cloud.account and arn.rpartition("/")[2] in services:
            yield Violation(
                path=path,
                message="is the role of a workload: who uses a key does not administer it, and the reverse",
                found=arn,
                accepted="a role that this program does not declare",
            )
    for path, arn in [(("cloud", field), arn) for field, arn in own.items()] + [
        (("cloud", "replicationRoles", key), arn) for key, arn in cloud.replication_roles.items()
    ]:
        if arn is not None and arn.split(":")[1] != cloud.partition:
            yield Violation(
                path=path, message="is of another partition", found=arn, accepted=f"arn:{cloud.partition}:iam::…"
            )


def _region(settings: StackSettings) -> Iterator[Violation]:
    regions = REGIONS[settings.cloud.partition]
    if settings.cloud.region not in regions:
        yield Violation(
            path=("cloud", "region"),
            message=f"is not in the partition {settings.cloud.partition}",
            found=settings.cloud.region,
            accepted=", ".join(sorted(regions)),
        )


def _references(settings: StackSettings) -> Iterator[Violation]:
    keys, buckets = ", ".join(settings.keys), ", ".join(settings.buckets)
    for name, bucket in settings.buckets.items():
        key = settings.keys.get(bucket.key)
        if key is None:
            yield Violation(path=("buckets", name, "key"), message="names no key", found=bucket.key, accepted=keys)
            continue
        if "s3" not in key.services:
            yield Violation(
                path=("buckets", name, "key"),
                message="names a key that may not be used through S3",
                found=bucket.key,
                accepted=f"a key with via.s3: true, e.g. keys.{bucket.key}.via.s3: true",
            )
        if bucket.log_delivery and not key.log_delivery:
            yield Violation(
                path=("buckets", name, "key"),
                message="names a key that log delivery may not use, so no log would arrive",
                found=bucket.key,
                accepted="a key with logDelivery: true",
            )
    for name, service in settings.services.items():
        for bucket in service.buckets:
            if bucket not in settings.buckets:
                path = ("services", name, "buckets", bucket)
                yield Violation(path=path, message="names no bucket", found=bucket, accepted=buckets)
    key = settings.keys.get(settings.secrets.key)
    if key is None or "secretsmanager" not in key.services:
        yield Violation(
            path=("secrets", "key"),
            message="names no key that may be used through Secrets Manager",
            found=settings.secrets.key,
            accepted="a key with via.secretsmanager: true",
        )


def _buckets(settings: StackSettings) -> Iterator[Violation]:
    first: dict[str, str] = {}
    for key, bucket in settings.buckets.items():
        if bucket.name in first:
            yield Violation(
                path=("buckets", key, "name"),
                message=f"is also the name of {first[bucket.name]!r}",
                found=bucket.name,
                accepted="a name for each bucket",
            )
        first.setdefault(bucket.name, key)
    locked = [key for key, bucket in settings.buckets.items() if bucket.object_lock.enabled]
    if len(locked) != 1:
        yield Violation(
            path=("buckets",),
            message="must have one bucket with Object Lock, for evidence",
            found=", ".join(locked) or "none",
            accepted="exactly one",
            example="objectLock: {enabled: true, mode: governance, days: 1}",
        )
    for key, bucket in settings.buckets.items():
        lock = bucket.object_lock
        if isinstance(lock, ObjectLock) and bucket.expire_days is not None and bucket.expire_days < lock.days:
            yield Violation(
                path=("buckets", key, "expireDays"),
                message="expires objects before their lock ends",
                found=f"{bucket.expire_days} days",
                accepted=f"null, or at least {lock.days}",
            )


def _stand_in(settings: StackSettings) -> Iterator[Violation]:
    """What answers at a stand-in also answers the account guard: real credentials must never be sent to one."""
    cloud = settings.cloud
    if cloud.stand_in is None:
        return
    if not cloud.account.startswith(RESERVED_ACCOUNTS) or cloud.deployer_role is not None:
        yield Violation(
            path=("cloud", "standIn"),
            message="may stand only in the sandbox's settings",
            found=f"{cloud.stand_in} with the account {cloud.account}",
            accepted=f"null; or an account that begins {RESERVED_ACCOUNTS} and no deployerRole",
        )


_LONGEST_NAMESPACE, _LONGEST_ROLE, _LONGEST_RELEASE = 63, 64, 53


def _names(settings: StackSettings) -> Iterator[Violation]:
    """Names made from the environment's and a key's must be legal where they are used: Kubernetes, IAM, Helm."""
    name = settings.environment.name
    if name.startswith("pr-") or name.endswith("-previews"):
        yield Violation(
            path=("environment", "name"),
            message="reads like a preview's, and names made from it would be theirs",
            found=name,
            accepted="a name that neither begins with pr- nor ends with -previews",
        )
    for key in settings.namespaces:
        yield from _short_enough(("namespaces", key), "namespace", settings.namespace(key), _LONGEST_NAMESPACE)
    for service in settings.services:
        path = ("services", service)
        if service in RESERVED_SERVICE_ACCOUNTS:
            yield Violation(
                path=path,
                message="is the name of a ServiceAccount that is not a service's",
                found=service,
                accepted=f"any name but {', '.join(sorted(RESERVED_SERVICE_ACCOUNTS))}",
            )
        yield from _short_enough(path, "IAM role", settings.physical(service), _LONGEST_ROLE)
        yield from _short_enough(path, "Helm release", service, _LONGEST_RELEASE)


def _short_enough(path: Path, what: str, name: str, longest: int) -> Iterator[Violation]:
    if len(name) > longest:
        yield Violation(
            path=path,
            message=f"makes the name of its {what} too long",
            found=f"{name} ({len(name)} characters)",
            accepted=f"at most {longest} characters",
        )


def _compute(settings: StackSettings) -> Iterator[Violation]:
    given: list[tuple[Path, NamespaceSettings]] = [
        (("namespaces", key), namespace) for key, namespace in settings.namespaces.items()
    ]
    if isinstance(settings.previews, Previews):
        given += [(("previews", "tiers", tier), room) for tier, room in settings.previews.tiers.items()]
    for path, namespace in given:
        quota, containers = namespace.quota, namespace.containers
        for what in ("cpu", "memory"):
            steps: list[tuple[Path, str]] = [
                (("containers", "request", what), getattr(containers.request, what)),
                (("containers", "limit", what), getattr(containers.limit, what)),
                (("containers", "max", what), getattr(containers.max, what)),
                (("quota", "limits", what), getattr(quota.limits, what)),
            ]
            yield from _ascending(path, steps)
            requests: list[tuple[Path, str]] = [(("quota", "requests", what), getattr(quota.requests, what)), steps[-1]]
            yield from _ascending(path, requests)


def _ascending(prefix: Path, steps: list[tuple[Path, str]]) -> Iterator[Violation]:
    for (low_path, low), (high_path, high) in pairwise(steps):
        if quantity(low) > quantity(high):
            yield Violation(
                path=(*prefix, *low_path),
                message=f"is more than {'.'.join(str(part) for part in high_path)}",
                found=low,
                accepted=f"at most {high}",
            )


def _data(settings: StackSettings) -> Iterator[Violation]:
    prod = settings.environment.rung is Rung.PROD
    if settings.holds_real_data and not prod:
        below = ", ".join(data for data in DataClass if data is not DataClass.REAL)
        yield Violation(
            path=("data", "class"),
            message=f"real data never leaves the prod rung; this is {settings.environment.rung}",
            found=settings.data.data_class,
            accepted=below,
            example="class: synthetic",
        )
        return
    yield from _procedure(settings)
    if settings.holds_real_data and settings.tier.level is not TierLevel.FULL:
        yield Violation(
            path=("tier", "level"),
            message="real data needs dependencies that are kept outside the cluster",
            found=settings.tier.level,
            accepted=TierLevel.FULL,
        )
    if settings.holds_real_data:
        for key, kms in settings.keys.items():
            if kms.deletion_window_days < 30:
                yield Violation(
                    path=("keys", key, "deletionWindowDays"),
                    message="is too short for a key that protects real data",
                    found=str(kms.deletion_window_days),
                    accepted="30",
                )


def _procedure(settings: StackSettings) -> Iterator[Violation]:
    data, path = settings.data, ("data", "procedure")
    if data.data_class is DataClass.ANONYMIZED and data.procedure is None:
        yield Violation(
            path=path,
            message="is missing: anonymized data is real data and the word of somebody that nobody is in it",
            found="null",
            accepted="a procedure: its name, its report's digest, an owner and the last day; or class: synthetic",
            example='{name: k-anonymity-2031, report: "sha256:…", owner: team-data, expires: "2031-12-31"}',
        )
    if data.data_class is not DataClass.ANONYMIZED and data.procedure is not None:
        yield Violation(
            path=path,
            message=f"makes nothing anonymous where data is {data.data_class}",
            found=data.procedure.name,
            accepted="null, or class: anonymized",
        )


def _rollout(settings: StackSettings) -> Iterator[Violation]:
    delivery = settings.delivery
    top = settings.environment.rung is Rung.PROD
    if top and delivery.sync.automated:
        yield Violation(
            path=("delivery", "sync", "automated"),
            message="prod never syncs by itself",
            found="true",
            accepted="false",
        )
    if top and not delivery.keep_when_removed:
        yield Violation(
            path=("delivery", "keepWhenRemoved"),
            message="workloads of prod must outlive a removed folder or ApplicationSet",
            found="false",
            accepted="true",
        )
    if delivery.sync.self_heal and not delivery.sync.automated:
        yield Violation(
            path=("delivery", "sync", "selfHeal"),
            message="has no effect without automated sync",
            found="true",
            accepted="false",
        )


_WITHIN: tuple[Callable[[StackSettings], Iterator[Violation]], ...] = (
    _accounts,
    _principals,
    _stand_in,
    _region,
    _references,
    _buckets,
    _names,
    _compute,
    _data,
    _rollout,
    previews,
)
