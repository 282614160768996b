"""A private, versioned, encrypted bucket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components import policies
from components.base import Component, durable
from ladder.contract.stack import BucketSettings, Cloud, Data, ObjectLock

__all__ = ["SecureBucket", "SecureBucketArgs"]

_ABORT_UPLOADS_DAYS = 7


@dataclass(frozen=True, kw_only=True)
class SecureBucketArgs:
    """``key_arn`` is the key that every object is encrypted with."""

    settings: BucketSettings
    data: Data
    cloud: Cloud
    key_arn: pulumi.Output[str]
    tags: Mapping[str, str]
    real_data: bool


class SecureBucket(Component):
    """The bucket and all its parts. ``arn`` and ``bucket_name`` are the bucket's."""

    arn: pulumi.Output[str]
    bucket_name: pulumi.Output[str]

    def __init__(self, name: str, args: SecureBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._args = args
        self._bucket = self._create_bucket(name)
        self._create_ownership(name)
        access = self._create_public_access_block(name)
        self._create_encryption(name)
        versioning = self._create_versioning(name)
        self._create_lifecycle(name, versioning)
        self._create_policy(name, access)
        if isinstance(args.settings.object_lock, ObjectLock):
            self._create_object_lock(name, args.settings.object_lock, versioning)
        self.arn = self._bucket.arn
        self.bucket_name = self._bucket.bucket
        self.register_outputs({"arn": self.arn})

    def _durable(self, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        return durable(self, real_data=self._args.real_data, depends_on=list(depends_on) or None)

    def _create_bucket(self, name: str) -> aws.s3.Bucket:
        return aws.s3.Bucket(
            name,
            bucket=self._args.settings.name,
            object_lock_enabled=self._args.settings.object_lock.enabled,
            force_destroy=False,
            tags=dict(self._args.tags),
            opts=self._durable(),
        )

    def _create_ownership(self, name: str) -> None:
        aws.s3.BucketOwnershipControls(
            name, bucket=self._bucket.bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=self._durable()
        )

    def _create_public_access_block(self, name: str) -> aws.s3.BucketPublicAccessBlock:
        return aws.s3.BucketPublicAccessBlock(
            name,
            bucket=self._bucket.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._durable(),
        )

    def _create_encryption(self, name: str) -> None:
        aws.s3.BucketServerSideEncryptionConfiguration(
            name,
            bucket=self._bucket.bucket,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": self._args.key_arn,
                    },
                    "bucket_key_enabled": True,
                }
            ],
            opts=self._durable(),
        )

    def _create_versioning(self, name: str) -> aws.s3.BucketVersioning:
        return aws.s3.BucketVersioning(
            name,
            bucket=self._bucket.bucket,
            versioning_configuration={"status": "Enabled"},
            opts=self._durable(),
        )

    def _create_lifecycle(self, name: str, versioning: aws.s3.BucketVersioning) -> None:
        settings = self._args.settings
        rules: list[Any] = [
            {
                "id": "expire-noncurrent",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "noncurrent_version_expiration": {"noncurrent_days": self._args.data.noncurrent_days},
                "abort_incomplete_multipart_upload": {"days_after_initiation": _ABORT_UPLOADS_DAYS},
            }
        ]
        if settings.expire_days is not None:
            rules.append(
                {
                    "id": "expire-current",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": settings.expire_days},
                }
            )
        aws.s3.BucketLifecycleConfiguration(
            name, bucket=self._bucket.bucket, rules=rules, opts=self._durable(versioning)
        )

    def _create_policy(self, name: str, access: aws.s3.BucketPublicAccessBlock) -> None:
        cloud = self._args.cloud
        document = pulumi.Output.all(bucket=self._bucket.arn, key=self._args.key_arn).apply(
            lambda arns: policies.render(
                policies.bucket_policy(
                    account=cloud.account,
                    region=cloud.region,
                    partition=cloud.partition,
                    bucket_arn=arns["bucket"],
                    key_arn=arns["key"],
                    replication_roles=list(cloud.replication_roles.values()),
                    log_delivery=self._args.settings.log_delivery,
                    require_key_id=True,
                    anchor_role=cloud.anchor_role if self._args.settings.object_lock.enabled else None,
                )
            )
        )
        aws.s3.BucketPolicy(name, bucket=self._bucket.bucket, policy=document, opts=self._durable(access))

    def _create_object_lock(self, name: str, lock: ObjectLock, versioning: aws.s3.BucketVersioning) -> None:
        aws.s3.BucketObjectLockConfiguration(
            name,
            bucket=self._bucket.bucket,
            rule={"default_retention": {"mode": lock.mode.upper(), "days": lock.days}},
            opts=self._durable(versioning),
        )
