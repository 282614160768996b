"""Rules over all stacks together: none reaches into another, by a policy, an account, a cluster or a name.

Read are the policies that the program declares. Grants of KMS, and policies that others attach, are not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ladder.recording import Recording, Resource
from ladder.rules.iam import Document, Kind, Principal, Statement, documents
from ladder.rules.reading import (
    ALIAS,
    AWS_PROVIDER,
    BUCKET,
    CLUSTER_PROVIDER,
    ROLE,
    account,
    at,
    is_kubernetes,
    name,
    namespace,
)
from ladder.rules.rule import Breach

__all__ = ["apart", "unreached", "unshared_names"]

_ISSUER = ":oidc-provider/"
_BUCKET_ARN = ":s3:::"


@dataclass(frozen=True, slots=True)
class _Reach:
    """Something of another stack that a statement names: where, what, and whose it is."""

    path: str
    what: str
    named: str
    stack: str


def unreached(recordings: Mapping[str, Recording]) -> Iterator[tuple[str, Breach]]:
    """No policy of a stack lets in another's principals, reaches another's resources, or exempts another's from a Deny.

    It holds both ways, so whichever stack's data is real, no other's principal stands in its policies. A wildcard
    lets in everyone, and so all others.
    """
    accounts = {account(recording): stack for stack, recording in recordings.items() if account(recording)}
    buckets = {
        str(at(bucket.inputs, "bucket")): stack
        for stack, recording in recordings.items()
        for bucket in recording.of_type(BUCKET)
    }
    issuers = _issuers(recordings)
    for stack, recording in recordings.items():
        for document in documents(recording):
            for statement in document.statements:
                for found in _reaches(document, statement, accounts, buckets):
                    if found.stack != stack:
                        yield stack, _breach(document, found)
                for other, issuer in _shared(statement, issuers, stack) if statement.allows else ():
                    reach = _Reach(statement.path, "trusts the workloads of the cluster", issuer, other)
                    yield stack, _breach(document, reach)
            for statement in document.allowed if document.kind is not Kind.IDENTITY else ():
                if statement.is_for_anyone and len(recordings) > 1:
                    others = ", ".join(each for each in recordings if each != stack)
                    yield stack, _breach(document, _Reach(statement.path, "lets in everyone, and so", "*", others))


def _breach(document: Document, found: _Reach) -> Breach:
    return Breach(
        resource=document.resource,
        path=found.path,
        message=f"{found.what} of {found.stack}",
        found=found.named,
        accepted="this stack's own, or what belongs to no stack",
    )


def _reaches(
    document: Document, statement: Statement, accounts: Mapping[str, str], buckets: Mapping[str, str]
) -> Iterator[_Reach]:
    """What a statement names, by the stack it belongs to; what belongs to none is left out."""
    if statement.allows is not ("principals" in statement.all_but):
        what = "lets in a principal" if statement.allows else "exempts from its Deny a principal"
        for who in statement.principals:
            if who.account in accounts:
                yield _Reach(statement.path, what, who.name, accounts[who.account])
    if statement.allows and document.kind is Kind.IDENTITY and "resources" not in statement.all_but:
        for arn in statement.resources:
            for stack in _owners(arn, accounts, buckets):
                yield _Reach(statement.path, "reaches a resource", arn, stack)
    for condition in statement.conditions:
        if statement.allows is not condition.is_negated:
            for value in condition.values:
                owner = accounts.get(value) or accounts.get(_account(value))
                if owner:
                    what = f"admits by {condition.key} what is" if statement.allows else "exempts from its Deny what is"
                    yield _Reach(statement.path, what, value, owner)


def _account(arn: str) -> str:
    return Principal("AWS", arn).account if arn.startswith("arn:") else ""


def _owners(arn: str, accounts: Mapping[str, str], buckets: Mapping[str, str]) -> set[str]:
    """The stacks that an ARN, which may have wildcards, names something of."""
    if _BUCKET_ARN in arn:
        pattern = arn.partition(_BUCKET_ARN)[2].partition("/")[0]
        return {stack for bucket, stack in buckets.items() if fnmatchcase(bucket, pattern)}
    pattern = "*" if arn == "*" else _account(arn)
    return {stack for number, stack in accounts.items() if pattern not in {"", "*"} and fnmatchcase(number, pattern)}


def _issuers(recordings: Mapping[str, Recording]) -> Mapping[str, set[str]]:
    """The stacks whose roles trust an issuer, by the issuer."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for stack, recording in recordings.items():
        for document in documents(recording, Kind.TRUST):
            for statement in document.allowed:
                for issuer in _trusted(statement):
                    found[issuer].add(stack)
    return found


def _trusted(statement: Statement) -> Iterator[str]:
    for who in statement.principals:
        if who.kind == "Federated" and (issuer := who.name.partition(_ISSUER)[2]):
            yield issuer


def _shared(statement: Statement, issuers: Mapping[str, set[str]], stack: str) -> Iterator[tuple[str, str]]:
    """The other stacks that trust the issuers that a statement trusts."""
    for issuer in _trusted(statement):
        yield from ((other, issuer) for other in sorted(issuers.get(issuer, set()) - {stack}))


def apart(recordings: Mapping[str, Recording]) -> Iterator[tuple[str, Breach]]:
    """Each stack has an account and a cluster of its own: they are the wall between one's data and another's."""
    for type_, field, value in (
        (AWS_PROVIDER, "allowedAccountIds", None),
        (CLUSTER_PROVIDER, "clusterIdentifier", "clusterIdentifier"),
        (CLUSTER_PROVIDER, "context", "context"),
    ):
        owners: dict[str, str] = {}
        for stack, recording in recordings.items():
            for provider in recording.of_type(type_):
                held = account(recording) if value is None else str(at(provider.inputs, value) or "")
                if held and owners.setdefault(held, stack) != stack:
                    message = f"is also that of {owners[held]}"
                    accepted = "one of its own for each stack"
                    yield stack, Breach(resource=provider, path=field, message=message, found=held, accepted=accepted)


def unshared_names(recordings: Mapping[str, Recording]) -> Iterator[tuple[str, Breach]]:
    """No two stacks declare one thing: each would change, or delete, what is the other's."""
    owners: dict[tuple[str, ...], str] = {}
    for stack, recording in recordings.items():
        for resource in recording.resources:
            identity = _physical(resource, account(recording))
            if identity and owners.setdefault(identity, stack) != stack:
                yield (
                    stack,
                    Breach(
                        resource=resource,
                        message=f"is declared by {owners[identity]} too",
                        found=identity[-1],
                        accepted="a name that carries the environment's",
                    ),
                )


def _physical(resource: Resource, own: str) -> tuple[str, ...]:
    """What a resource is to its system: a bucket or Kubernetes object by its name, what is an account's in that one."""
    if resource.type == BUCKET:
        return (resource.type, str(at(resource.inputs, "bucket")))
    if resource.type in {ROLE, ALIAS}:
        return (resource.type, own, str(at(resource.inputs, "name")))
    if is_kubernetes(resource):
        return (resource.type, namespace(resource), name(resource))
    return ()
