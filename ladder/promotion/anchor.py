"""The anchor: the head of a chain, kept where nobody can take it back, in its environment's Object Lock bucket.

Each head is an object of its own, ``heads/<environment>/<sequence as six digits>``. Of several versions the first one
counts: whoever may write there can put others, and delete markers, over it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import PositiveInt, ValidationError

from ladder.contract.base import Settings
from ladder.contract.promotion import PROMOTION
from ladder.contract.stack import StackSettings
from ladder.contract.types import Digest, DnsLabel
from ladder.errors import CheckFailed, InputError, Problem
from ladder.promotion.chain import Head
from ladder.promotion.ground import Ground
from ladder.promotion.lineage import cut_off
from ladder.untrusted import visible

__all__ = ["NEWEST", "Anchors", "anchor", "shown", "unanchored"]

NEWEST = 100
"""How many heads of an environment are read. The last alone fixes all before it, as each statement names the former."""

_NUMBER = re.compile(r"[0-9]{6}")
_LOCKED = frozenset({"COMPLIANCE", "GOVERNANCE"})
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
_LARGEST = 4096
_AT_ONCE = 8
_SESSION = "ladder-anchor"


class _Body(Settings):
    """What an object says."""

    environment: DnsLabel
    sequence: PositiveInt
    digest: Digest


@dataclass(frozen=True, slots=True)
class Anchors:
    """What the bucket ``name`` keeps of one environment; ``account`` is the one that it must be of."""

    environment: str
    name: str
    account: str
    client: Any

    @classmethod
    def of(cls, ground: Ground, environment: str) -> Anchors:
        """Reach the bucket as the caller, where that is of its account; else as the stack's ``cloud.anchorRole``.

        Raises InputError where the stack has no such bucket, CheckFailed where nobody of its account can be had.
        """
        settings, key = ground.environment(environment), ground.promotion.evidence.bucket
        bucket = settings.buckets.get(key)
        if bucket is None:
            message, accepted = f"is no bucket of {environment}", ", ".join(settings.buckets)
            problem = Problem(file=PROMOTION, path="evidence.bucket", message=message, found=key, accepted=accepted)
            raise InputError(problem)
        with _told(f"the account of {environment}"):
            client = _client(_entered(environment, settings), "s3", settings)
        return cls(environment, bucket.name, settings.cloud.account, client)

    def read(self) -> Sequence[Head]:
        """The newest heads, at most :data:`NEWEST`, last one last.

        Raises CheckFailed where one is none, or is not locked.
        """
        with _told(f"the bucket {self.name}"):
            first = self._first_versions()
            newest = sorted(first)[-NEWEST:]
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                return list(pool.map(self._head, newest, [first[each] for each in newest]))

    def keep(self, head: Head) -> None:
        """Put a head where none is yet. Raises CheckFailed where one is, or where the bucket would not lock it."""
        with _told(f"the bucket {self.name}"):
            self._look_for_the_lock()
            key, body = self._key(head.sequence), json.dumps(asdict(head)).encode()
            arguments = {"IfNoneMatch": "*", "ChecksumAlgorithm": "SHA256", "ContentType": "application/json"}
            try:
                version = self._call("put_object", Key=key, Body=body, **arguments).get("VersionId")
            except ClientError as error:
                if _told_by(error)[0] in _TAKEN:
                    raise CheckFailed(
                        f"{self.name}/{key} was put by somebody else meanwhile: run this again"
                    ) from error
                raise
            if not version or self._head(head.sequence, str(version)) != head:
                raise CheckFailed(f"the bucket {self.name} does not keep {key} as it was put")

    def _look_for_the_lock(self) -> None:
        rule: Mapping[str, Any] = {}
        try:
            rule = self._call("get_object_lock_configuration")["ObjectLockConfiguration"].get("Rule", rule)
        except ClientError as error:
            if _told_by(error)[0] != "ObjectLockConfigurationNotFoundError":
                raise
        if rule.get("DefaultRetention", {}).get("Mode") not in _LOCKED:
            raise CheckFailed(f"the bucket {self.name} holds no lock: what is put there could be taken back")

    def _first_versions(self) -> Mapping[int, str]:
        """The first version of each head, by sequence."""
        prefix, found = self._key(None), dict[int, str]()
        arguments: dict[str, Any] = {"Prefix": prefix}
        while True:
            page = self._call("list_object_versions", **arguments)
            for each in page.get("Versions", []):
                number = str(each["Key"]).removeprefix(prefix)
                # What is uploaded in parts is dated by its beginning, and so could come before what was there first.
                if _NUMBER.fullmatch(number) and "-" not in each["ETag"]:
                    # The newest version of a key is listed first.
                    found[int(number)] = str(each["VersionId"])
            if not page["IsTruncated"]:
                return found
            arguments |= {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    def _head(self, sequence: int, version: str) -> Head:
        key = self._key(sequence)
        answer = self._call("get_object", Key=key, VersionId=version)
        if answer.get("ObjectLockMode") not in _LOCKED:
            raise CheckFailed(f"{self.name}/{key} is not locked: it could be taken back")
        until = answer.get("ObjectLockRetainUntilDate")
        if until is None or until <= datetime.now(UTC):
            raise CheckFailed(f"{self.name}/{key} was locked until {until}: it could be taken back since")
        try:
            body = _Body.model_validate_json(answer["Body"].read(_LARGEST))
        except ValidationError as error:
            raise CheckFailed(f"{self.name}/{key} holds no head") from error
        if (body.environment, body.sequence) != (self.environment, sequence):
            raise CheckFailed(f"{self.name}/{key} holds the head of {body.environment}, {body.sequence}")
        return Head(body.environment, body.sequence, body.digest)

    def _key(self, sequence: int | None) -> str:
        return f"heads/{self.environment}/{'' if sequence is None else f'{sequence:06d}'}"

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        return getattr(self.client, operation)(Bucket=self.name, ExpectedBucketOwner=self.account, **arguments)


def anchor(ground: Ground, environment: str) -> tuple[Head | None, bool]:
    """Anchor the head of an environment's chain; answers it, and whether it was not anchored yet.

    None where nothing is stated. Raises CheckFailed, and anchors nothing, where the chain does not reach what is
    anchored of it, or has another statement there.
    """
    anchors = Anchors.of(ground, environment)
    heads = anchors.read()
    for where, wrong in cut_off(ground.history, heads):
        raise CheckFailed(f"{where}: the chain {wrong}: it was cut off or rewritten")
    head = ground.history.rung(environment).chain.head
    if head is None or head in heads:
        return head, False
    anchors.keep(head)
    return head, True


def unanchored(ground: Ground) -> Iterator[tuple[str, str]]:
    """Where a chain is not what its bucket keeps of it, or that cannot be told: the environment, and what is wrong."""
    for rung in ground.history.rungs:
        try:
            heads = Anchors.of(ground, rung.environment).read()
        except CheckFailed as error:
            yield rung.environment, f"cannot be held against its anchor: {error}"
            continue
        if rung.chain.entries and not heads:
            yield rung.environment, f"has {len(rung.chain.entries)} statements, none of which is anchored"
        yield from list(cut_off(ground.history, heads))[:1]


def shown(head: Head) -> str:
    """The head as ``ladder lineage --head`` takes it."""
    return f"{head.environment}={head.sequence}:{head.digest}"


def _entered(environment: str, settings: StackSettings) -> Any:
    """The caller's session, or the role's. Raises CheckFailed where there is neither of the account."""
    caller, cloud = boto3.Session(), settings.cloud
    number = str(_client(caller, "sts", settings).get_caller_identity()["Account"])
    if number == cloud.account:
        return caller
    if cloud.anchor_role is None:
        mend = f"set AWS_PROFILE to one of {environment}'s"
        raise CheckFailed(f"the credentials are of the account {number}, not of {cloud.account}: {mend}")
    assume = _client(caller, "sts", settings).assume_role
    given = assume(RoleArn=cloud.anchor_role, RoleSessionName=_SESSION)["Credentials"]
    return boto3.Session(
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


def _client(session: Any, service: str, settings: StackSettings) -> Any:
    cloud = settings.cloud
    config = Config(
        connect_timeout=10, read_timeout=20, retries={"total_max_attempts": 3, "mode": "standard"},
        max_pool_connections=_AT_ONCE, s3={"addressing_style": "path"} if cloud.stand_in else None,
    )  # fmt: skip
    return session.client(service, region_name=cloud.region, endpoint_url=cloud.stand_in or None, config=config)


@contextmanager
def _told(where: str) -> Generator[None]:
    """What AWS or its library refuses, as CheckFailed in one line."""
    try:
        yield
    except ClientError as error:
        code, message = _told_by(error)
        raise CheckFailed(visible(f"{where}: {code}: {message}", 500)) from error
    except (BotoCoreError, ValueError) as error:
        raise CheckFailed(visible(f"{where}: {error}", 500)) from error


def _told_by(error: ClientError) -> tuple[str, str]:
    told = cast("Mapping[str, Any]", error.response).get("Error", {})
    return str(told.get("Code")), str(told.get("Message"))
