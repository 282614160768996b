"""Buckets and what is configured on them."""
# ruff: noqa: ARG002 -- every kind has the same methods, whether or not it needs each argument

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ladder.errors import CheckFailed
from ladder.recording import Resource

from .aws_api import AwsApi
from .model import Live, Rejected
from .tags import FORCE, PROTECT, RETAIN, STACK, as_list, from_list, tags_of, wanted_tags
from .values import document, pascal, without_empty

__all__ = ["PARTS", "Buckets", "Part", "survey"]

_BUCKET = "aws:s3/bucket:Bucket"
_NO_LOCK = "ObjectLockConfigurationNotFoundError"
_BATCH = 1000
_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def survey(api: AwsApi, ours: Callable[[Live], bool]) -> Iterator[Live]:
    """Every bucket of the stack with its configured parts."""
    for listed in api.list("s3", "list_buckets", "Buckets"):
        bucket = _read_bucket(api, listed["Name"])
        if bucket is None or not ours(bucket):
            continue
        yield bucket
        for part in PARTS:
            live = part.read(api, bucket)
            if live is not None:
                yield live


class Buckets:
    type = _BUCKET
    known = frozenset({"bucket", "objectLockEnabled", "forceDestroy", "tags"})
    needed = ("bucket",)
    fixed = ("objectLockEnabled",)

    def name(self, resource: Resource) -> str:
        return resource.inputs["bucket"]

    def desired(self, resource: Resource, stack: str) -> dict[str, Any]:
        locked = bool(resource.inputs.get("objectLockEnabled"))
        return {"objectLockEnabled": locked, "tags": wanted_tags(resource, stack)}

    def find(self, api: AwsApi, resource: Resource, stack: str) -> Live | None:
        return _read_bucket(api, self.name(resource))

    def create(self, api: AwsApi, resource: Resource, desired: Mapping[str, Any]) -> None:
        request: dict[str, Any] = {"ObjectLockEnabledForBucket": desired["objectLockEnabled"]}
        if api.region != "us-east-1":
            request["CreateBucketConfiguration"] = {"LocationConstraint": api.region}
        api.once("s3", "create_bucket", Bucket=self.name(resource), **request)

    def update(
        self, api: AwsApi, resource: Resource, live: Live, desired: Mapping[str, Any], changed: frozenset[str]
    ) -> None:
        if "tags" in changed:
            api.call("s3", "put_bucket_tagging", Bucket=live.name, Tagging={"TagSet": as_list(desired["tags"])})

    def delete(self, api: AwsApi, live: Live, parts: Iterable[Live], inputs: Mapping[str, Any]) -> None:
        """Raises CheckFailed for a bucket that holds objects and was not declared ``forceDestroy``."""
        if FORCE in tags_of(live.properties):
            _empty(api, live.name)
        try:
            api.call("s3", "delete_bucket", Bucket=live.name, missing=("NoSuchBucket",))
        except Rejected as error:
            if error.code != "BucketNotEmpty":
                raise
            raise CheckFailed(
                f"bucket {live.name} is not empty and forceDestroy is not set: empty it, or set forceDestroy and run up"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One configuration of a bucket, from Pulumi's inputs to the request's body and back.

    ``operation`` names the get/put/delete family; ``wrapper`` the request's argument and, unless ``flat``, the answer's
    key. ``shape`` makes the wrapped body of the inputs. A part with a ``reset`` body cannot be deleted, only put back
    to that. Values under ``untold`` keys are set but not compared, since they are not told again.
    """

    type: str
    operation: str
    wrapper: str
    shape: Callable[[Mapping[str, Any]], Any]
    known: frozenset[str]
    absent: str = ""
    flat: bool = False
    reset: Mapping[str, Any] | None = None
    untold: frozenset[str] = frozenset()
    needed: tuple[str, ...] = ("bucket",)
    fixed: tuple[str, ...] = ()

    def name(self, resource: Resource) -> str:
        return resource.inputs["bucket"]

    def desired(self, resource: Resource, stack: str) -> dict[str, Any]:
        return self._comparable(self.shape(resource.inputs))

    def find(self, api: AwsApi, resource: Resource, stack: str) -> Live | None:
        return None

    def create(self, api: AwsApi, resource: Resource, desired: Mapping[str, Any]) -> None:
        self._put(api, self.name(resource), self.shape(resource.inputs))

    def update(
        self, api: AwsApi, resource: Resource, live: Live, desired: Mapping[str, Any], changed: frozenset[str]
    ) -> None:
        self.create(api, resource, desired)

    def delete(self, api: AwsApi, live: Live, parts: Iterable[Live], inputs: Mapping[str, Any]) -> None:
        if self.reset is None:
            api.call("s3", f"delete_{self.operation.removesuffix('_configuration')}", Bucket=live.name)
        else:
            self._put(api, live.name, self.reset)

    def read(self, api: AwsApi, bucket: Live) -> Live | None:
        """The part as configured, None if it is not; ``inert`` if there is nothing that could be taken away."""
        answer = api.call("s3", f"get_{self.operation}", Bucket=bucket.name, missing=(self.absent, "NoSuchBucket"))
        answer.pop("ResponseMetadata", None)
        body = self._comparable(document(answer if self.flat else answer.get(self.wrapper)) or {})
        # Object Lock brings versioning, which then cannot be suspended.
        implied = self.wrapper == "VersioningConfiguration" and bucket.properties["objectLockEnabled"]
        if not body:
            return None
        return Live(
            type=self.type,
            identity=(self.type, bucket.name),
            id=bucket.name,
            properties=body,
            stack=bucket.stack,
            holder=bucket.identity,
            inert=implied or body == self.reset,
        )

    def _comparable(self, body: Any) -> dict[str, Any]:
        return body if self.wrapper == "Policy" else without_empty(body, self.untold)

    def _put(self, api: AwsApi, bucket: str, body: Any) -> None:
        request: dict[str, Any] = {self.wrapper: json.dumps(body) if self.wrapper == "Policy" else body}
        api.call("s3", f"put_{self.operation}", Bucket=bucket, **request)


def _lifecycle(inputs: Mapping[str, Any]) -> dict[str, Any]:
    rules: list[dict[str, Any]] = []
    for rule in inputs["rules"]:
        shaped: dict[str, Any] = {"Filter": {}, **pascal(rule)}
        both: dict[str, Any] | None = shaped["Filter"].get("And")
        if both and "Tags" in both:
            both["Tags"] = as_list(rule["filter"]["and"]["tags"])
        rules.append(shaped)
    return {"Rules": rules}


PARTS = (
    Part(
        type="aws:s3/bucketVersioning:BucketVersioning",
        operation="bucket_versioning",
        wrapper="VersioningConfiguration",
        shape=lambda inputs: pascal(inputs["versioningConfiguration"]),
        known=frozenset({"bucket", "versioningConfiguration"}),
        needed=("bucket", "versioningConfiguration"),
        flat=True,
        reset={"Status": "Suspended"},
        untold=frozenset({"MFADelete"}),
    ),
    Part(
        type="aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        operation="bucket_encryption",
        wrapper="ServerSideEncryptionConfiguration",
        shape=lambda inputs: {"Rules": pascal(inputs["rules"])},
        known=frozenset({"bucket", "rules"}),
        needed=("bucket", "rules"),
        absent="ServerSideEncryptionConfigurationNotFoundError",
    ),
    Part(
        type="aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        operation="public_access_block",
        wrapper="PublicAccessBlockConfiguration",
        shape=lambda inputs: {key: inputs.get(key[0].lower() + key[1:]) or False for key in _BLOCKS},
        known=frozenset({"bucket", "skipDestroy", *(key[0].lower() + key[1:] for key in _BLOCKS)}),
        absent="NoSuchPublicAccessBlockConfiguration",
    ),
    Part(
        type="aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        operation="bucket_ownership_controls",
        wrapper="OwnershipControls",
        shape=lambda inputs: {"Rules": [pascal(inputs["rule"])]},
        known=frozenset({"bucket", "rule"}),
        needed=("bucket", "rule"),
        absent="OwnershipControlsNotFoundError",
    ),
    Part(
        type="aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        operation="bucket_lifecycle_configuration",
        wrapper="LifecycleConfiguration",
        shape=_lifecycle,
        known=frozenset({"bucket", "rules"}),
        needed=("bucket", "rules"),
        absent="NoSuchLifecycleConfiguration",
        flat=True,
        untold=frozenset({"TransitionDefaultMinimumObjectSize", "NewerNoncurrentVersions"}),  # the latter not by moto
    ),
    Part(
        type="aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration",
        operation="object_lock_configuration",
        wrapper="ObjectLockConfiguration",
        shape=lambda inputs: {"ObjectLockEnabled": "Enabled", "Rule": pascal(inputs["rule"])},
        known=frozenset({"bucket", "objectLockEnabled", "rule"}),
        needed=("bucket", "rule"),
        absent=_NO_LOCK,
        reset={"ObjectLockEnabled": "Enabled"},
    ),
    # Last, since it may deny what the others need.
    Part(
        type="aws:s3/bucketPolicy:BucketPolicy",
        operation="bucket_policy",
        wrapper="Policy",
        shape=lambda inputs: document(inputs["policy"]),
        known=frozenset({"bucket", "policy"}),
        needed=("bucket", "policy"),
        absent="NoSuchBucketPolicy",
    ),
)


def _read_bucket(api: AwsApi, name: str) -> Live | None:
    try:
        tagging = api.call("s3", "get_bucket_tagging", Bucket=name, missing=("NoSuchTagSet",))
    except Rejected as error:
        if error.code != "NoSuchBucket":
            raise
        return None
    tags = from_list(tagging.get("TagSet", ()))
    lock = api.call("s3", "get_object_lock_configuration", Bucket=name, missing=(_NO_LOCK,))
    return Live(
        type=_BUCKET,
        identity=(_BUCKET, name),
        id=name,
        properties={"objectLockEnabled": "ObjectLockConfiguration" in lock, "tags": tags},
        stack=tags.get(STACK, ""),
        protected=PROTECT in tags,
        retained=RETAIN in tags,
    )


def _empty(api: AwsApi, bucket: str) -> None:
    api.call("s3", "delete_bucket_policy", Bucket=bucket)
    for key in ("Versions", "DeleteMarkers"):
        found = api.list("s3", "list_object_versions", key, Bucket=bucket)
        objects = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in found]
        for start in range(0, len(objects), _BATCH):
            api.call("s3", "delete_objects", Bucket=bucket, Delete={"Objects": objects[start : start + _BATCH]})
