"""Where an environment's secrets are looked up: an External Secrets SecretStore and the role it reads with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ServiceAccount

from components import policies
from components.base import Component
from ladder.contract.stack import Cloud, Secrets

__all__ = ["SecretStore", "SecretStoreArgs"]

STORE = "aws"
"""The SecretStore's name, the same in every environment, so that a chart names it without knowing where it is."""


@dataclass(frozen=True, kw_only=True)
class SecretStoreArgs:
    """``role`` is the name and ``role_arn`` the ARN of the role that ``service_account`` assumes."""

    namespace: pulumi.Input[str]
    service_account: str
    role: pulumi.Output[str]
    role_arn: pulumi.Output[str]
    key_arn: pulumi.Output[str]
    secrets: Secrets
    cloud: Cloud
    labels: Mapping[str, str]


class SecretStore(Component):
    """Reads the secrets under one prefix of Secrets Manager, as one ServiceAccount. ``store`` is the store's name."""

    store: str

    def __init__(self, name: str, args: SecretStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.store = STORE
        self._create_policy(name, args)
        account = self._create_service_account(name, args)
        self._create_store(name, args, account)
        self.register_outputs({"store": self.store})

    def _create_policy(self, name: str, args: SecretStoreArgs) -> None:
        document = args.key_arn.apply(
            lambda key: policies.render(
                policies.secret_reader_policy(
                    account=args.cloud.account,
                    region=args.cloud.region,
                    partition=args.cloud.partition,
                    prefix=args.secrets.prefix,
                    keys=[key],
                )
            )
        )
        aws.iam.RolePolicy(
            name, name="secrets", role=args.role, policy=document, opts=pulumi.ResourceOptions(parent=self)
        )

    def _create_service_account(self, name: str, args: SecretStoreArgs) -> ServiceAccount:
        return ServiceAccount(
            name,
            metadata={
                "name": args.service_account,
                "namespace": args.namespace,
                "labels": dict(args.labels),
                "annotations": {"eks.amazonaws.com/role-arn": args.role_arn},
            },
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _create_store(self, name: str, args: SecretStoreArgs, account: ServiceAccount) -> None:
        CustomResource(
            name,
            api_version="external-secrets.io/v1",
            kind="SecretStore",
            metadata={"name": STORE, "namespace": args.namespace, "labels": dict(args.labels)},
            spec={
                "provider": {
                    "aws": {
                        "service": "SecretsManager",
                        "region": args.cloud.region,
                        "auth": {"jwt": {"serviceAccountRef": {"name": args.service_account}}},
                    }
                }
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[account]),
        )
