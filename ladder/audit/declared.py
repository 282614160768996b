"""What the recordings declare, as an auditor asks: resources, the key of every bucket, who may do what with a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ladder.audit.report import Bucket, Declared, Held, KeyRight, Right
from ladder.recording import Recording, Resource
from ladder.rules.iam import Kind, Statement, documents
from ladder.rules.keys import ADMINISTER, GRANT, USE, holders
from ladder.rules.reading import DATA_CLASS, ENCRYPTION, KEY, LOCK, at, bucket_parts, items, shown

__all__ = ["buckets", "key_rights", "resources"]

_RIGHTS = {Right.ADMINISTER: ADMINISTER, Right.USE: USE, Right.GRANT: GRANT}


def resources(recordings: Mapping[str, Recording]) -> Iterator[Declared]:
    """Every resource once, with the stacks that declare it, by its place in the program."""
    held: dict[str, dict[str, Resource]] = {}
    for stack, recording in recordings.items():
        for resource in recording.resources:
            if resource.type != "pulumi:pulumi:Stack":
                held.setdefault(resource.urn.split("::", 2)[2], {})[stack] = resource
    for where, stacks in sorted(held.items()):
        first = next(iter(stacks.values()))
        declared = {stack: _held(resource) for stack, resource in stacks.items()}
        yield Declared(where=where, type=first.type, name=first.name, stacks=declared)


def _held(resource: Resource) -> Held:
    data_class = str(at(resource.inputs, "tags", DATA_CLASS) or "")
    return Held(protected=resource.protect, retained=resource.retain_on_delete, data_class=data_class)


def buckets(recordings: Mapping[str, Recording]) -> Iterator[Bucket]:
    """Every declared bucket, stack by stack."""
    for stack, recording in recordings.items():
        keys = {at(key.outputs, "arn"): key.name for key in recording.of_type(KEY)}
        for bucket, parts in bucket_parts(recording):
            yield Bucket(
                stack=stack,
                bucket=str(at(bucket.inputs, "bucket")),
                data_class=_held(bucket).data_class,
                encrypted_with=", ".join(keys.get(arn, f"{shown(arn)} of no key here") for arn in _arns(parts)),
                lock=_lock(parts),
            )


def _arns(parts: Mapping[str, Resource]) -> Iterator[object]:
    for rule in items(at(parts[ENCRYPTION].inputs, "rules")) if ENCRYPTION in parts else []:
        yield at(rule, "applyServerSideEncryptionByDefault", "kmsMasterKeyId")


def _lock(parts: Mapping[str, Resource]) -> str:
    rule = at(parts[LOCK].inputs, "rule", "defaultRetention") if LOCK in parts else None
    return f"{str(at(rule, 'mode')).lower()}, {shown(at(rule, 'days'))} days" if rule else ""


def key_rights(recordings: Mapping[str, Recording]) -> Iterator[KeyRight]:
    """Every right that the declared key policies give, key by key; one for each statement and principal."""
    for stack, recording in recordings.items():
        for document in documents(recording, Kind.KEY):
            for right, actions in _RIGHTS.items():
                for statement, who in holders(document, actions):
                    yield KeyRight(
                        stack=stack,
                        key=document.resource.name,
                        data_class=_held(document.resource).data_class,
                        right=right,
                        principal=who.name,
                        only=tuple(_conditions(statement)),
                    )


def _conditions(statement: Statement) -> Iterator[str]:
    for each in statement.conditions:
        yield f"{each.operator} {each.key}: {', '.join(each.values)}"
