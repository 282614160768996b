"""How rules look into resources: a recording's, or those of a real stack, which have more than was given."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ladder.contract import DataClass
from ladder.recording import Recording, Resource

__all__ = [
    "ALIAS",
    "APPLICATION_SET",
    "APP_PROJECT",
    "AWS_PROVIDER",
    "BINDING",
    "BUCKET",
    "BUCKET_POLICY",
    "CLUSTER_PROVIDER",
    "DATA_CLASS",
    "ENCRYPTION",
    "KEY",
    "LIMITS",
    "LOCK",
    "NAMESPACE",
    "NETWORK_POLICY",
    "OWNERSHIP",
    "POLICY",
    "PUBLIC_ACCESS",
    "QUOTA",
    "ROLE",
    "ROLE_POLICY",
    "VERSIONING",
    "account",
    "at",
    "bucket_parts",
    "holds_real_data",
    "is_kubernetes",
    "is_real",
    "items",
    "name",
    "namespace",
    "number",
    "shown",
]

BUCKET = "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
PUBLIC_ACCESS = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
LOCK = "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration"
KEY = "aws:kms/key:Key"
ALIAS = "aws:kms/alias:Alias"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
AWS_PROVIDER = "pulumi:providers:aws"
CLUSTER_PROVIDER = "pulumi:providers:kubernetes"
NAMESPACE = "kubernetes:core/v1:Namespace"
QUOTA = "kubernetes:core/v1:ResourceQuota"
LIMITS = "kubernetes:core/v1:LimitRange"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
POLICY = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy"
BINDING = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding"
APP_PROJECT = "kubernetes:argoproj.io/v1alpha1:AppProject"
APPLICATION_SET = "kubernetes:argoproj.io/v1alpha1:ApplicationSet"

DATA_CLASS = "ladder:data-class"
"""The tag that says what a resource's data may be."""


def at(value: Any, *path: str) -> Any:
    """What stands at the path of keys; None where nothing does."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = cast("Mapping[str, Any]", value).get(key)
    return value


def items(value: Any) -> list[Any]:
    """The items of a list; none where it is no list, or is missing."""
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return list(cast("Sequence[Any]", value)) if listed else []


def number(value: Any) -> float:
    """A number; below any where it is none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else -math.inf


def shown(value: Any) -> str:
    """A property as a person reads it."""
    return value if isinstance(value, str) else "nothing" if value is None else json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in cast("Mapping[str, Any]", value).items()}
    listed = items(value)
    return [_plain(item) for item in listed] if listed or value == [] else value


def name(resource: Resource) -> str:
    """The name of a Kubernetes object."""
    return str(at(resource.inputs, "metadata", "name") or "")


def namespace(resource: Resource) -> str:
    """The namespace of a Kubernetes object; empty where it has none."""
    return str(at(resource.inputs, "metadata", "namespace") or "")


def is_kubernetes(resource: Resource) -> bool:
    """Whether it is a Kubernetes object."""
    return resource.custom and resource.type.startswith("kubernetes:")


def is_real(resource: Resource) -> bool:
    """Whether the resource's tag says that its data is real."""
    return at(resource.inputs, "tags", DATA_CLASS) == DataClass.REAL


def holds_real_data(recording: Recording) -> bool:
    """Whether any resource's tag says so: then whatever guards data guards real data."""
    return any(is_real(resource) for resource in recording.resources)


def account(recording: Recording) -> str:
    """The one account that the stack's provider may act in; empty where it does not name exactly one."""
    named = {str(each) for provider in recording.of_type(AWS_PROVIDER) for each in _accounts(provider)}
    return named.pop() if len(named) == 1 else ""


def _accounts(provider: Resource) -> list[Any]:
    """Providers get all but strings as JSON text; of a text that is none, a secret's, nothing is known."""
    value = at(provider.inputs, "allowedAccountIds")
    if not isinstance(value, str):
        return items(value)
    try:
        return items(json.loads(value))
    except ValueError:
        return []


def bucket_parts(recording: Recording) -> Iterator[tuple[Resource, dict[str, Resource]]]:
    """Every bucket with its parts by type."""
    parts: dict[str, dict[str, Resource]] = {}
    for resource in recording.resources:
        if resource.type.startswith("aws:s3/") and resource.type != BUCKET:
            parts.setdefault(str(at(resource.inputs, "bucket")), {})[resource.type] = resource
    for bucket in recording.of_type(BUCKET):
        yield bucket, parts.get(str(at(bucket.inputs, "bucket")), {})
