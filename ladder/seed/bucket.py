"""Filling an S3 bucket: a manifest says what is being written before it is, and last that it is whole."""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ValidationError

from ladder.errors import CheckFailed, InputError, Problem
from ladder.seed.columns import object_key
from ladder.seed.dataset import GENERATOR, Dataset, ObjectData, Part, hash_of
from ladder.seed.filled import Filled, foreign

if TYPE_CHECKING:
    from sandbox.progress import Progress

__all__ = ["MANIFEST", "bucket_variable", "fill_bucket"]

MANIFEST = "seed/manifest.json"

_PREFIX = "seed/"
_OBJECT = re.compile(rf"{_PREFIX}[0-9]+")
_AT_ONCE = 8


def bucket_variable(bucket: str) -> str:
    """The variable that names the bucket: the one a service finds it by."""
    return f"BUCKET_{bucket.upper().replace('-', '_')}"


class _Manifest(BaseModel):
    """What of a manifest decides whether anything is to be done."""

    environment: str
    recipe: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A bucket by its real name. ``owner`` is the account that it must be of; None where nobody keeps accounts."""

    client: Any
    name: str
    owner: str | None

    def call(self, operation: str, **arguments: Any) -> Any:
        owner = {"ExpectedBucketOwner": self.owner} if self.owner else {}
        return getattr(self.client, operation)(Bucket=self.name, **owner, **arguments)

    def manifest(self) -> _Manifest | None:
        """What it was filled with; None where it never was. Raises CheckFailed for a manifest that is none of ours."""
        try:
            text: bytes = self.call("get_object", Key=MANIFEST)["Body"].read()
            return _Manifest.model_validate_json(text)
        except ValidationError as error:
            raise foreign(f"the bucket {self.name}", [MANIFEST]) from error
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise

    def put(self, key: str, body: bytes) -> None:
        self.call("put_object", Key=key, Body=body)

    def keys(self, prefix: str = "", most: int | None = None) -> Iterator[str]:
        arguments: dict[str, Any] = {"Prefix": prefix} | ({"MaxKeys": most} if most else {})
        while True:
            page = self.call("list_objects_v2", **arguments)
            yield from (item["Key"] for item in page.get("Contents", []))
            if most or not page["IsTruncated"]:
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]


def fill_bucket(dataset: Dataset, objects: ObjectData, progress: Progress, *, owner: str | None) -> Filled:
    """Write the objects, in place of what was filled in before; nothing where they are there already.

    The bucket is the one that ``BUCKET_<KEY>`` names, reached as boto3's environment variables say. Raises InputError
    where it is not named, and CheckFailed where it cannot be reached, is not the account's, holds what this did not
    write, or another environment's dataset.
    """
    name = _named(objects.bucket)
    settings = Config(connect_timeout=10, retries={"mode": "standard"}, max_pool_connections=_AT_ONCE)
    progress.step(f"look into the bucket of {objects.bucket}")
    try:
        client = cast("Any", boto3).client("s3", region_name=os.environ.get("AWS_REGION"), config=settings)
        return _filled(_Bucket(client, name, owner), dataset, objects, progress)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise CheckFailed(f"the bucket {name}: {error}") from error


def _named(bucket: str) -> str:
    variable = bucket_variable(bucket)
    if name := os.environ.get(variable):
        return name
    raise InputError(
        Problem(
            file="environment",
            path=variable,
            message="is not set",
            found="nothing",
            accepted=f"the name of the bucket {bucket}, as services are given it; or --only database",
            example=f"{variable}=acme-shop-dev-{bucket}",
        )
    )


def _filled(bucket: _Bucket, dataset: Dataset, objects: ObjectData, progress: Progress) -> Filled:
    found = bucket.manifest()
    if found is None:
        strangers = list(bucket.keys(most=3))
        if strangers:
            raise foreign(f"the bucket {bucket.name}", strangers)
    elif found.environment != dataset.environment:
        variable = bucket_variable(objects.bucket)
        raise CheckFailed(
            f"the bucket {bucket.name} is filled for {found.environment}, not for {dataset.environment}:"
            f" is {variable} right?"
        )
    elif found.recipe == dataset.recipe and found.parts:
        return Filled(objects.bucket, found.parts, changed=False)
    _mark(bucket, dataset, ())
    progress.step(f"fill the bucket of {objects.bucket}")
    part = _write(bucket, objects, progress)
    _remove_others(bucket, objects.count)
    _mark(bucket, dataset, (part,))
    return Filled(objects.bucket, (part,), changed=True)


def _mark(bucket: _Bucket, dataset: Dataset, parts: tuple[Part, ...]) -> None:
    """The manifest; without parts while they are being written."""
    manifest = {
        "environment": dataset.environment,
        "generator": GENERATOR,
        "seed": dataset.seed,
        "recipe": dataset.recipe,
        "hash": hash_of(parts) if parts else None,
        "parts": [part.as_json() for part in parts],
    }
    bucket.put(MANIFEST, json.dumps(manifest, indent=2).encode())


def _write(bucket: _Bucket, objects: ObjectData, progress: Progress) -> Part:
    """A few at once, and no more of them in memory than twice as many."""
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(_AT_ONCE) as pool:

        def write(key: str, body: bytes) -> None:
            waiting.append(pool.submit(bucket.put, key, body))
            if len(waiting) > _AT_ONCE:
                waiting.popleft().result()

        try:
            part = objects.stream(write, lambda done: progress.advance(done, objects.count))
            for each in waiting:
                each.result()
        finally:
            for each in waiting:
                each.cancel()
    return part


def _remove_others(bucket: _Bucket, count: int) -> None:
    """Remove what a larger dataset left: keys of a fixed width sort as their numbers do."""
    last = object_key(count - 1)
    others = [key for key in bucket.keys(_PREFIX) if key > last and _OBJECT.fullmatch(key)]
    for key in others:
        bucket.call("delete_object", Key=key)
