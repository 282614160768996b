"""Which properties replace a resource when they change: only those that are known to.

AWS: attributes with ``ForceNew`` in terraform-provider-aws (``internal/service/{iam,kms,s3}``), which pulumi-aws is
made from. Kubernetes: pulumi-kubernetes, ``provider/pkg/provider/diff.go``. Its provider: where ``clusterIdentifier``
is set, only a change of that replaces it (its documentation).
"""

from __future__ import annotations

__all__ = ["CLUSTER_PROVIDER", "replaces"]

CLUSTER_PROVIDER = "pulumi:providers:kubernetes"
"""Replacing it replaces all it made."""

_OBJECT = ("metadata.name", "metadata.namespace")
_BUCKET_PART = ("bucket", "expectedBucketOwner")
_BINDING = ("roleRef",)
_CLAIM = ("spec",)

_FORCING: dict[str, tuple[str, ...]] = {
    CLUSTER_PROVIDER: ("clusterIdentifier",),
    "aws:iam/role:Role": ("name", "namePrefix", "path"),
    "aws:iam/rolePolicy:RolePolicy": ("name", "namePrefix", "role"),
    "aws:kms/alias:Alias": ("name", "namePrefix"),
    "aws:kms/key:Key": ("customKeyStoreId", "customerMasterKeySpec", "keyUsage", "multiRegion", "xksKeyId"),
    "aws:s3/bucket:Bucket": ("bucket", "bucketPrefix", "objectLockEnabled"),
    "kubernetes:core/v1:PersistentVolumeClaim": _CLAIM,
    "kubernetes:core/v1:ResourceQuota": ("spec.scopes",),
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": _BINDING,
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": _BINDING,
}


def replaces(type_: str, path: str) -> bool:
    """Whether a change at the path is known to replace a resource of the type; where not, it may all the same."""
    forcing = _FORCING.get(type_, ())
    if type_.startswith("kubernetes:"):
        forcing += _OBJECT
    elif not forcing and type_.startswith("aws:s3/bucket"):
        forcing = _BUCKET_PART
    return any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in forcing)
