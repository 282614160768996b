"""Rules over what says whose a resource is, and over what these rules can see at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ladder.contract import DataClass
from ladder.recording import Recording, Resource
from ladder.rules import reading
from ladder.rules.reading import AWS_PROVIDER, BUCKET, CLUSTER_PROVIDER, DATA_CLASS, KEY, ROLE, at, is_kubernetes, shown
from ladder.rules.rule import Breach

__all__ = ["guarded_providers", "labelled", "seen", "tagged"]

_TAGGED = (BUCKET, KEY, ROLE)
_TAGS = ("ladder:environment", "ladder:owner", DATA_CLASS)
_LABELS = (
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
    "ladder.internal/environment",
    "ladder.internal/owner",
)
_SEEN = frozenset(
    {
        reading.ALIAS,
        reading.BUCKET,
        reading.BUCKET_POLICY,
        reading.ENCRYPTION,
        reading.KEY,
        reading.LOCK,
        reading.OWNERSHIP,
        reading.PUBLIC_ACCESS,
        reading.ROLE,
        reading.ROLE_POLICY,
        reading.VERSIONING,
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    }
)


def tagged(recording: Recording) -> Iterator[Breach]:
    """Every AWS resource that takes tags says its environment, its owner and its data, as the stack's others do."""
    resources = recording.of_type(*_TAGGED)
    yield from _said(resources, "tags", _TAGS)
    for resource in resources:
        value = at(resource.inputs, "tags", DATA_CLASS)
        if value is not None and value not in list(DataClass):
            path, message = f"tags.{DATA_CLASS}", "is no class of data"
            yield Breach(
                resource=resource, path=path, message=message, found=shown(value), accepted=", ".join(DataClass)
            )


def labelled(recording: Recording) -> Iterator[Breach]:
    """Every Kubernetes object says its environment and its owner, as the stack's others do."""
    resources = [resource for resource in recording.resources if is_kubernetes(resource)]
    yield from _said(resources, "metadata.labels", _LABELS)


def _said(resources: list[Resource] | tuple[Resource, ...], field: str, keys: tuple[str, ...]) -> Iterator[Breach]:
    """What lacks one of the keys, or says there what the most of the others do not."""
    for key in keys:
        values = [(resource, _value(resource, field, key)) for resource in resources]
        said = Counter(value for _, value in values if value)
        most = said.most_common(1)[0][0] if said else ""
        for resource, value in values:
            if not value or value != most:
                message = "differs from what the stack's other resources say" if value else "is missing"
                accepted = most or "a value"
                path = f"{field}.{key}"
                yield Breach(resource=resource, path=path, message=message, found=value or "none", accepted=accepted)


def _value(resource: Resource, field: str, key: str) -> str:
    value: Any = at(resource.inputs, *field.split("."), key)
    return str(value) if value is not None else ""


def guarded_providers(recording: Recording) -> Iterator[Breach]:
    """Every resource is made by a provider that the program declares, bound to one account or one cluster."""
    providers = {resource.urn: resource for resource in recording.resources if resource.is_provider}
    for resource in recording.resources:
        if resource.custom and not resource.is_provider:
            named = resource.provider.rpartition("::")[0] if resource.provider else ""
            if named not in providers:
                message, accepted = "is made by whatever credentials are at hand", "a provider of this program"
                yield Breach(
                    resource=resource, path="provider", message=message, found=named or "none", accepted=accepted
                )
    for provider in recording.of_type(AWS_PROVIDER):
        if not reading.account(recording):
            path, message = "allowedAccountIds", "is not bound to one account, the stack's"
            found, accepted = shown(at(provider.inputs, path)), "one account id, the same in every AWS provider"
            yield Breach(resource=provider, path=path, message=message, found=found, accepted=accepted)
    for provider in recording.of_type(CLUSTER_PROVIDER):
        for field in ("clusterIdentifier", "context"):
            if not at(provider.inputs, field):
                message, accepted = "is not bound to one cluster", f"a {field}"
                yield Breach(resource=provider, path=field, message=message, found="none", accepted=accepted)


def seen(recording: Recording) -> Iterator[Breach]:
    """AWS resources are of types that these rules read: what another type grants would go unseen."""
    for resource in recording.resources:
        if resource.custom and resource.type.startswith("aws:") and resource.type not in _SEEN:
            yield Breach(
                resource=resource,
                message="is of a type that no rule reads",
                found=resource.type,
                accepted=", ".join(sorted(each.rpartition(":")[2] for each in _SEEN)),
                mend="add the type to ladder/rules, and rules for what it grants",
            )
