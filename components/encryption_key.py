"""A customer-managed KMS key that administrators cannot use and users cannot administer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from components import policies
from components.base import Component, durable
from ladder.contract.stack import Cloud, KeySettings

__all__ = ["EncryptionKey", "EncryptionKeyArgs"]


@dataclass(frozen=True, kw_only=True)
class EncryptionKeyArgs:
    """``alias`` comes without ``alias/``; ``users`` are the ARNs of roles of this environment's account."""

    alias: str
    settings: KeySettings
    cloud: Cloud
    users: Sequence[pulumi.Input[str]]
    tags: Mapping[str, str]
    real_data: bool


class EncryptionKey(Component):
    """The key with rotation, its policy and its alias. ``arn`` is the key's."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: EncryptionKeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        key = self._create_key(name, args)
        self._create_alias(name, args, key)
        self.arn = key.arn
        self.register_outputs({"arn": self.arn})

    def _create_key(self, name: str, args: EncryptionKeyArgs) -> aws.kms.Key:
        cloud, settings = args.cloud, args.settings
        document = pulumi.Output.all(*args.users).apply(
            lambda users: policies.render(
                policies.key_policy(
                    account=cloud.account,
                    region=cloud.region,
                    partition=cloud.partition,
                    administrators=[cloud.key_administrator_role],
                    users=users,
                    services=settings.services,
                    log_delivery=settings.log_delivery,
                    replication_roles=list(cloud.replication_roles.values()) if "s3" in settings.services else [],
                )
            )
        )
        return aws.kms.Key(
            name,
            description=f"{args.alias} ({', '.join(settings.services)})",
            policy=document,
            enable_key_rotation=True,
            deletion_window_in_days=settings.deletion_window_days,
            tags={**args.tags, "ladder:name": name},
            opts=durable(self, real_data=args.real_data),
        )

    def _create_alias(self, name: str, args: EncryptionKeyArgs, key: aws.kms.Key) -> None:
        aws.kms.Alias(
            name,
            name=f"alias/{args.alias}",
            target_key_id=key.key_id,
            opts=durable(self, real_data=args.real_data),
        )
