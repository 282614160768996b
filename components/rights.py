"""A ServiceAccount and what it may do: in its own namespace, or in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgsDict,
    Role,
    RoleBinding,
    RoleRefArgsDict,
    SubjectArgsDict,
)

__all__ = ["Account", "create_account", "grant", "resource_rule"]


@dataclass(frozen=True, kw_only=True)
class Account:
    """A ServiceAccount; its roles and their bindings have its name and its labels."""

    name: str
    namespace: pulumi.Input[str]
    labels: Mapping[str, str]

    def metadata(self, *, everywhere: bool = False) -> ObjectMetaArgsDict:
        metadata: ObjectMetaArgsDict = {"name": self.name, "labels": dict(self.labels)}
        return metadata if everywhere else {**metadata, "namespace": self.namespace}


def create_account(parent: pulumi.Resource, name: str, account: Account) -> ServiceAccount:
    """The ServiceAccount, whose token no pod gets by itself."""
    opts = pulumi.ResourceOptions(parent=parent)
    return ServiceAccount(name, metadata=account.metadata(), automount_service_account_token=False, opts=opts)


def grant(
    parent: pulumi.Resource,
    name: str,
    account: Account,
    rules: Sequence[PolicyRuleArgsDict],
    *,
    after: Sequence[pulumi.Resource],
    everywhere: bool = False,
) -> RoleBinding | ClusterRoleBinding:
    """Let the account do what the rules say, once what is in ``after`` is there."""
    metadata = account.metadata(everywhere=everywhere)
    kind = "ClusterRole" if everywhere else "Role"
    reference: RoleRefArgsDict = {"api_group": "rbac.authorization.k8s.io", "kind": kind, "name": account.name}
    subject: SubjectArgsDict = {"kind": "ServiceAccount", "name": account.name, "namespace": account.namespace}
    role_class, binding_class = (ClusterRole, ClusterRoleBinding) if everywhere else (Role, RoleBinding)
    role = role_class(name, metadata=metadata, rules=list(rules), opts=pulumi.ResourceOptions(parent=parent))
    opts = pulumi.ResourceOptions(parent=parent, depends_on=[*after, role])
    return binding_class(name, metadata=metadata, role_ref=reference, subjects=[subject], opts=opts)


def resource_rule(group: str, resource: str, *verbs: str) -> PolicyRuleArgsDict:
    """What whoever has a role may do with one resource."""
    return {"api_groups": [group], "resources": [resource], "verbs": sorted(verbs)}
