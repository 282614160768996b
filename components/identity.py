"""Workload identity: one IAM role per ServiceAccount, assumed through the cluster's OIDC issuer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import policies
from components.base import Component, durable
from ladder.contract.stack import Cloud, Cluster

__all__ = ["WorkloadAccess", "WorkloadAccessArgs", "WorkloadIdentity", "WorkloadIdentityArgs"]


@dataclass(frozen=True, kw_only=True)
class WorkloadIdentityArgs:
    """``role`` is the role's name; ``namespace`` and ``service_account`` say who alone may assume it."""

    role: str
    namespace: str
    service_account: str
    cloud: Cloud
    cluster: Cluster
    tags: Mapping[str, str]


class WorkloadIdentity(Component):
    """A role without rights of its own. ``arn`` and ``role_name`` are the role's."""

    arn: pulumi.Output[str]
    role_name: pulumi.Output[str]

    def __init__(self, name: str, args: WorkloadIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        role = self._create_role(name, args)
        self.arn = role.arn
        self.role_name = role.name
        self.register_outputs({"arn": self.arn})

    def _create_role(self, name: str, args: WorkloadIdentityArgs) -> aws.iam.Role:
        trust = policies.workload_trust_policy(
            account=args.cloud.account,
            partition=args.cloud.partition,
            issuer=args.cluster.oidc_issuer,
            namespace=args.namespace,
            service_account=args.service_account,
        )
        return aws.iam.Role(
            name,
            name=args.role,
            description=f"ServiceAccount {args.namespace}/{args.service_account}",
            assume_role_policy=policies.render(trust),
            max_session_duration=3600,
            tags=dict(args.tags),
            opts=pulumi.ResourceOptions(parent=self),
        )


@dataclass(frozen=True, kw_only=True)
class WorkloadAccessArgs:
    """``buckets`` maps a bucket's ARN to the access; ``keys`` are the ARNs of the keys those buckets use."""

    role: pulumi.Input[str]
    account: str
    region: str
    buckets: Sequence[tuple[pulumi.Output[str], policies.BucketAccess]]
    keys: Sequence[pulumi.Output[str]]
    real_data: bool


class WorkloadAccess(Component):
    """What a service's role may do. A separate component: keys name the role, and this names the keys."""

    def __init__(self, name: str, args: WorkloadAccessArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._create_policy(name, args)
        self.register_outputs({})

    def _create_policy(self, name: str, args: WorkloadAccessArgs) -> None:
        arns = pulumi.Output.all(buckets=[arn for arn, _ in args.buckets], keys=list(args.keys))
        levels: list[policies.BucketAccess] = [access for _, access in args.buckets]
        document = arns.apply(
            lambda known: policies.render(
                policies.workload_policy(
                    account=args.account,
                    region=args.region,
                    buckets=dict(zip(known["buckets"], levels, strict=True)),
                    keys=known["keys"],
                )
            )
        )
        aws.iam.RolePolicy(
            name,
            name="buckets",
            role=args.role,
            policy=document,
            opts=durable(self, real_data=args.real_data),
        )
