"""Rules over buckets and their parts."""

from __future__ import annotations

from collections.abc import Iterator

from ladder.recording import Recording, Resource
from ladder.rules.iam import Condition, Document, Kind, Statement, documents
from ladder.rules.reading import (
    BUCKET,
    BUCKET_POLICY,
    ENCRYPTION,
    KEY,
    LOCK,
    OWNERSHIP,
    PUBLIC_ACCESS,
    VERSIONING,
    account,
    at,
    bucket_parts,
    items,
    number,
    shown,
)
from ladder.rules.rule import Breach

__all__ = ["evidence_locked", "not_emptied", "other_accounts_denied", "own_key", "private", "tls_only", "versioned"]

_BLOCKS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
_LOCK_MODES = ("COMPLIANCE", "GOVERNANCE")
_PLAIN_HTTP = Condition("Bool", "aws:securetransport", ("false",))
_MAY_BE_EXEMPT = frozenset({("BoolIfExists", "aws:principalisawsservice"), ("ArnNotEquals", "aws:principalarn")})
"""What a Deny of other accounts may also ask: that it is no AWS service, and none of the roles it names."""


def private(recording: Recording) -> Iterator[Breach]:
    """All four blocks of public access are on, the owner owns every object, and no statement allows everyone."""
    policies = _policies(recording)
    for bucket, parts in bucket_parts(recording):
        blocks = parts.get(PUBLIC_ACCESS)
        if blocks is None:
            yield _lacks(bucket, "a BucketPublicAccessBlock")
        else:
            off = [(flag, at(blocks.inputs, flag)) for flag in _BLOCKS if at(blocks.inputs, flag) is not True]
            for flag, value in off:
                yield Breach(resource=blocks, path=flag, message="is not on", found=shown(value), accepted="true")
        owner = at(parts[OWNERSHIP].inputs, "rule", "objectOwnership") if OWNERSHIP in parts else None
        if owner != "BucketOwnerEnforced":
            yield Breach(
                resource=parts.get(OWNERSHIP, bucket),
                path="rule.objectOwnership",
                message="lets access control lists grant access",
                found=shown(owner),
                accepted="BucketOwnerEnforced",
            )
        document = _policy(parts, policies)
        for statement in document.allowed if document else ():
            if statement.is_for_anyone:
                yield Breach(
                    resource=parts[BUCKET_POLICY],
                    path=statement.path,
                    message="allows everyone",
                    found=", ".join(who.name for who in statement.principals),
                    accepted="principals by name",
                )


def own_key(recording: Recording) -> Iterator[Breach]:
    """Objects are encrypted with a key that this stack declares, so that its policy decides who reads them."""
    keys = [at(key.outputs, "arn") for key in recording.of_type(KEY)]
    for bucket, parts in bucket_parts(recording):
        if ENCRYPTION not in parts:
            yield _lacks(bucket, "a BucketServerSideEncryptionConfiguration")
            continue
        rules = items(at(parts[ENCRYPTION].inputs, "rules"))
        for index, rule in enumerate(rules or [None]):
            default = at(rule, "applyServerSideEncryptionByDefault")
            key = at(default, "kmsMasterKeyId")
            if at(default, "sseAlgorithm") != "aws:kms" or key not in keys:
                yield Breach(
                    resource=parts[ENCRYPTION],
                    path=f"rules.{index}.applyServerSideEncryptionByDefault",
                    message="is not SSE-KMS with a key of this stack",
                    found=shown(default),
                    accepted="sseAlgorithm: aws:kms, and kmsMasterKeyId: the ARN of a key of this stack",
                )


def versioned(recording: Recording) -> Iterator[Breach]:
    """What is overwritten or deleted can be had back."""
    for bucket, parts in bucket_parts(recording):
        status = at(parts[VERSIONING].inputs, "versioningConfiguration", "status") if VERSIONING in parts else None
        if status != "Enabled":
            path, message = "versioningConfiguration.status", "keeps no versions"
            resource = parts.get(VERSIONING, bucket)
            yield Breach(resource=resource, path=path, message=message, found=shown(status), accepted="Enabled")


def tls_only(recording: Recording) -> Iterator[Breach]:
    """The policy denies everyone everything over plain HTTP, on the bucket and on its objects."""
    policies = _policies(recording)
    for bucket, parts in bucket_parts(recording):
        document = _policy(parts, policies)
        if not any(_denies_all(each, bucket, _PLAIN_HTTP, frozenset()) for each in _denied(document)):
            yield _unguarded(bucket, parts, "does not deny plain HTTP", 'Bool: {"aws:SecureTransport": "false"}')


def other_accounts_denied(recording: Recording) -> Iterator[Breach]:
    """The policy denies everything to principals of other accounts, save AWS services and those it exempts by name.

    Whoever it exempts by a further condition (``ArnNotEquals``) is named; that none is of another stack is a rule over
    all stacks.
    """
    own, policies = account(recording), _policies(recording)
    for bucket, parts in bucket_parts(recording):
        document = _policy(parts, policies)
        wanted = Condition("StringNotEquals", "aws:principalaccount", (own,))
        if not any(_denies_all(each, bucket, wanted, _MAY_BE_EXEMPT) for each in _denied(document)):
            accepted = f'StringNotEquals: {{"aws:PrincipalAccount": "{own}"}}'
            yield _unguarded(bucket, parts, "does not deny other accounts", accepted)


def not_emptied(recording: Recording) -> Iterator[Breach]:
    """A bucket that holds objects is not deleted with them."""
    for bucket in recording.of_type(BUCKET):
        if at(bucket.inputs, "forceDestroy"):
            path, message = "forceDestroy", "deletes the bucket with all that is in it"
            yield Breach(resource=bucket, path=path, message=message, found="true", accepted="false")


def evidence_locked(recording: Recording) -> Iterator[Breach]:
    """One bucket, for evidence, keeps every version for a time that is set; none other, whose objects must expire."""
    buckets = list(bucket_parts(recording))
    locked = [bucket for bucket, _ in buckets if at(bucket.inputs, "objectLockEnabled") is True]
    for bucket, _ in buckets[:1] if not locked else []:
        message, accepted = "is not locked, nor any other bucket", "Object Lock on one bucket, for evidence"
        yield Breach(resource=bucket, path="objectLockEnabled", message=message, found="false", accepted=accepted)
    for bucket in locked[1:]:
        message, accepted = f"is locked as {locked[0].name} is", "Object Lock on one bucket, for evidence"
        yield Breach(resource=bucket, path="objectLockEnabled", message=message, found="true", accepted=accepted)
    for bucket, parts in buckets:
        retention = at(parts[LOCK].inputs, "rule", "defaultRetention") if LOCK in parts else None
        kept = max(number(at(retention, unit)) for unit in ("days", "years"))
        if bucket in locked and (at(retention, "mode") not in _LOCK_MODES or kept < 1):
            yield Breach(
                resource=parts.get(LOCK, bucket),
                path="rule.defaultRetention",
                message="keeps no version by default",
                found=shown(retention),
                accepted="mode: COMPLIANCE or GOVERNANCE, and days",
            )


def _denies_all(statement: Statement, bucket: Resource, wanted: Condition, exempt: frozenset[tuple[str, str]]) -> bool:
    """Whether it denies everyone every action on the bucket and its objects, where the comparison holds.

    ``exempt`` are operators and keys of what else it may ask, and so leave some out.
    """
    name = at(bucket.inputs, "bucket")
    named = {arn.partition(":s3:::")[2] for arn in statement.resources}
    others = {(each.operator, each.key) for each in statement.conditions if each != wanted}
    return (
        not statement.all_but
        and any(who.name == "*" for who in statement.principals)
        and statement.covers("s3:*")
        and {name, f"{name}/*"} <= named
        and wanted in statement.conditions
        and others <= exempt
    )


def _unguarded(bucket: Resource, parts: dict[str, Resource], message: str, condition: str) -> Breach:
    return Breach(
        resource=parts.get(BUCKET_POLICY, bucket),
        path="policy",
        message=message,
        found="no such statement" if BUCKET_POLICY in parts else "no policy",
        accepted=f"a Deny of s3:* to * on the bucket and its objects, where {condition}",
    )


def _lacks(bucket: Resource, what: str) -> Breach:
    return Breach(resource=bucket, message=f"lacks {what}", found="none", accepted="one for each bucket")


def _denied(document: Document | None) -> Iterator[Statement]:
    return document.denied if document else iter(())


def _policies(recording: Recording) -> dict[str, Document]:
    return {document.resource.urn: document for document in documents(recording, Kind.BUCKET)}


def _policy(parts: dict[str, Resource], policies: dict[str, Document]) -> Document | None:
    return policies.get(parts[BUCKET_POLICY].urn) if BUCKET_POLICY in parts else None
