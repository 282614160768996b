"""Where a change loosens what may be done: IAM and bucket policies, admission, networks, RBAC, delivery.

The rule for each kind of thing is in the docstring of its function, here, in :mod:`ladder.changes.grants` or in
:mod:`ladder.changes.guardrails`. "Loosens" is said where the text shows it, "may loosen" where a person has to judge.
What is made together with its owner (a new bucket's policy) loosens nothing, nor does the new name of a replaced
resource; a raised quota is none of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ladder.changes import guardrails
from ladder.changes.fields import at
from ladder.changes.grants import loosenings
from ladder.changes.guardrails import Found, Inputs
from ladder.changes.report import Caution, Danger, Fate
from ladder.changes.resources import Pair
from ladder.differences import opened, renamed

__all__ = ["loosened"]

_BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
_NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
_NAMESPACE = "kubernetes:core/v1:Namespace"
_ADMISSION = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy"
_BINDING = f"{_ADMISSION}Binding"

_OWNERS = frozenset({"aws:iam/role:Role", "aws:kms/key:Key", "aws:s3/bucket:Bucket", _NAMESPACE})
"""What other resources speak about, by its id."""

_DOCUMENTS = {
    "aws:iam/role:Role": "assumeRolePolicy",
    "aws:iam/rolePolicy:RolePolicy": "policy",
    "aws:iam/policy:Policy": "policy",
    "aws:kms/key:Key": "policy",
    _BUCKET_POLICY: "policy",
}
"""The property that is an IAM policy document."""


def loosened(stack: str, pairs: Sequence[Pair]) -> Iterator[Caution]:
    """Every loosening in one stack."""
    owners = [pair for pair in pairs if pair.resource.type in _OWNERS]
    anew, gone = ({pair.resource.id for pair in owners if pair.fate is fate} for fate in (Fate.ANEW, Fate.GONE))
    names = {
        pair.before.id: pair.after.id
        for pair in pairs
        if pair.fate is Fate.REPLACED and pair.before and pair.after and pair.before.id and pair.after.id
    }
    for pair in pairs:
        with_owner = anew if pair.before is None else gone if pair.after is None else set[str]()
        if pair.fate is None or _owner(pair) in with_owner - {""}:
            continue
        before = opened(renamed(pair.before.inputs, names)) if pair.before is not None else None
        after = opened(pair.after.inputs) if pair.after is not None else None
        judge = _JUDGES.get(pair.resource.type)
        document = _DOCUMENTS.get(pair.resource.type)
        found = _document(document, before, after) if document else judge(before, after) if judge else ()
        subject = f"{pair.resource.type.rpartition(':')[2]} {pair.resource.name}"
        for certain, what, details in found:
            message = f"{'loosens' if certain else 'may loosen'}: {what}"
            yield Caution(
                danger=Danger.POLICY,
                where=stack,
                subject=subject,
                message=message,
                details=details,
                urn=pair.resource.urn,
            )


def _owner(pair: Pair) -> str:
    """The id of what the resource speaks about: a bucket, a role, a namespace, or itself where it is the thing."""
    resource, inputs = pair.resource, pair.resource.inputs
    if resource.type in _OWNERS:
        return resource.id
    owner = inputs.get("bucket") or inputs.get("role") or at(inputs, "metadata", "namespace")
    return str(owner or "")


def _document(name: str, before: Inputs, after: Inputs) -> Found:
    """By :func:`ladder.changes.grants.loosenings`."""
    old, new = (None if inputs is None else inputs.get(name) for inputs in (before, after))
    for each in loosenings(old, new):
        yield each.certain, f"a statement {each.what}" if each.statement else each.what, (each.statement,)


def _public_access(before: Inputs, after: Inputs) -> Found:
    """One of the four blocks goes off."""
    for name in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        if at(before, name) is True and at(after, name) is not True:
            yield True, "public access is no longer blocked", (name,)


def _ownership(before: Inputs, after: Inputs) -> Found:
    """ACLs count again as soon as the bucket's owner is not enforced."""
    old, new = (at(inputs, "rule", "objectOwnership") for inputs in (before, after))
    if old == "BucketOwnerEnforced" != new:
        yield True, "the access lists of objects count again", (f"{old} → {new}",)


_JUDGES: dict[str, Callable[[Inputs, Inputs], Found]] = {
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _ownership,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _public_access,
    "kubernetes:argoproj.io/v1alpha1:AppProject": guardrails.project,
    "kubernetes:argoproj.io/v1alpha1:ApplicationSet": guardrails.application_set,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole": guardrails.role,
    "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding": guardrails.role_binding,
    "kubernetes:rbac.authorization.k8s.io/v1:Role": guardrails.role,
    "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding": guardrails.role_binding,
    _ADMISSION: guardrails.admission,
    _BINDING: guardrails.binding,
    _NAMESPACE: guardrails.namespace,
    _NETWORK_POLICY: guardrails.network,
}
