"""Rules over who policies let in: by name, by one subject of one cluster, and only where it is for this account."""

from __future__ import annotations

from collections.abc import Iterator

from ladder.recording import Recording
from ladder.rules.iam import Kind, Statement, documents, unreadable
from ladder.rules.reading import ROLE, account, at, items, shown
from ladder.rules.rule import Breach

__all__ = ["deputies_bound", "named_grants", "named_principals", "one_subject", "readable"]

_ASSUME = "sts:AssumeRoleWithWebIdentity"
_AUDIENCE, _SUBJECT = ":aud", ":sub"
_SUBJECT_FORM = "system:serviceaccount:<namespace>:<name>"
_PREFIXES = ("key/", "alias/", "role/", "user/", "secret:", "parameter/")
_ARN_PARTS = 6


def readable(recording: Recording) -> Iterator[Breach]:
    """Every policy is a document of the grammar: of one that is not, nothing can be said."""
    for resource, path, why in unreadable(recording):
        accepted = "a policy document in JSON, each key once"
        yield Breach(resource=resource, path=path, message="is no policy document", found=why, accepted=accepted)
    for role in recording.of_type(ROLE):
        if managed := items(at(role.inputs, "managedPolicyArns")):
            yield Breach(
                resource=role,
                path="managedPolicyArns",
                message="grants what stands elsewhere",
                found=shown(managed),
                accepted="policies of this stack, as RolePolicy",
            )


def named_principals(recording: Recording) -> Iterator[Breach]:
    """Whoever is let in, is let in by name: a wildcard stands in a Deny only."""
    for document in documents(recording, Kind.KEY, Kind.BUCKET, Kind.TRUST):
        for statement in document.allowed:
            if statement.is_for_anyone or not statement.principals:
                yield Breach(
                    resource=document.resource,
                    path=statement.path,
                    message=f"lets in more than it names, in a {document.kind.value}",
                    found=_all_but(statement, "principals") + (_names(statement) or "no Principal"),
                    accepted="full ARNs, or services by name",
                )


def named_grants(recording: Recording) -> Iterator[Breach]:
    """What a role may do is said by exact actions on what is named, or on all below a named path."""
    for document in documents(recording, Kind.IDENTITY):
        for statement in document.allowed:
            broad = [action for action in statement.actions if "*" in action or "?" in action]
            wide = [resource for resource in statement.resources if not _is_named(resource)]
            for found, what in ((broad, "actions"), (wide, "resources")):
                if found or what in statement.all_but or not getattr(statement, what):
                    yield Breach(
                        resource=document.resource,
                        path=statement.path,
                        message=f"allows {what} that it does not name",
                        found=_all_but(statement, what) + (", ".join(found or getattr(statement, what)) or "none"),
                        accepted="exact actions" if what == "actions" else "ARNs, with * after a path's / at most",
                    )


def _is_named(arn: str) -> bool:
    """Whether it names something, or everything below a named path: ``secret:shop/*``, not ``secret:shop*``."""
    parts = arn.split(":", _ARN_PARTS - 1)
    literal = arn.removesuffix("*")
    name = parts[-1].removesuffix("*")
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    below = literal == arn or literal.endswith("/")
    return len(parts) == _ARN_PARTS and bool(name) and below and not {"*", "?"} & set(literal)


def one_subject(recording: Recording) -> Iterator[Breach]:
    """A role is assumed by one ServiceAccount, with a token for AWS, through an identity provider of this account."""
    own = account(recording)
    for document in documents(recording, Kind.TRUST):
        allowed = list(document.allowed)
        for statement in allowed:
            for message, found, accepted in _trust_problems(statement, own):
                path = statement.path
                yield Breach(resource=document.resource, path=path, message=message, found=found, accepted=accepted)
        if len(allowed) != 1:
            message, accepted = "lets in by other than one statement", "one statement, for one ServiceAccount"
            found = f"{len(allowed)} that allow"
            yield Breach(
                resource=document.resource, path=document.path, message=message, found=found, accepted=accepted
            )


def _trust_problems(statement: Statement, own: str) -> Iterator[tuple[str, str, str]]:
    """What is wrong with a statement of a trust policy: message, found, accepted."""
    if [action.lower() for action in statement.actions] != [_ASSUME.lower()] or statement.all_but:
        yield "lets in other than by a token", ", ".join(statement.actions), _ASSUME
    provider = statement.principals[0].name if len(statement.principals) == 1 else ""
    is_own = bool(own) and all(who.kind == "Federated" and who.account == own for who in statement.principals)
    issuer = provider.partition(":oidc-provider/")[2]
    if not issuer or not is_own:
        accepted = f"arn:aws:iam::{own}:oidc-provider/<issuer>"
        yield "trusts other than one identity provider of this account", _names(statement), accepted
        return
    audience = statement.requires("StringEquals", f"{issuer}{_AUDIENCE}")
    if audience != ("sts.amazonaws.com",):
        yield "takes tokens for others than AWS", ", ".join(audience) or "no audience", "sts.amazonaws.com"
    subject = statement.requires("StringEquals", f"{issuer}{_SUBJECT}")
    if len(subject) != 1 or not _is_service_account(subject[0]):
        yield "does not name one ServiceAccount", ", ".join(subject) or "no subject", _SUBJECT_FORM


def _is_service_account(subject: str) -> bool:
    kind, _, rest = subject.rpartition("system:serviceaccount:")
    parts = rest.split(":")
    return not kind and len(parts) == len(("namespace", "name")) and all(parts) and "*" not in subject


def deputies_bound(recording: Recording) -> Iterator[Breach]:
    """An AWS service is let in where it works for this account: it works for everyone's."""
    own = account(recording)
    for document in documents(recording, Kind.KEY, Kind.BUCKET):
        for statement in document.allowed:
            services = [who.name for who in statement.principals if who.kind == "Service"]
            source = statement.requires("StringEquals", "aws:SourceAccount")
            if services and (not own or source != (own,)):
                yield Breach(
                    resource=document.resource,
                    path=statement.path,
                    message=f"lets in {', '.join(services)} for any account",
                    found=", ".join(source) or "no aws:SourceAccount",
                    accepted=f'StringEquals: {{"aws:SourceAccount": "{own}"}}',
                )


def _names(statement: Statement) -> str:
    return ", ".join(who.name for who in statement.principals)


def _all_but(statement: Statement, what: str) -> str:
    return "all but " if what in statement.all_but else ""
