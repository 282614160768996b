"""Rules over KMS keys: they rotate, are not gone before it is noticed, and nobody both administers and uses one."""

from __future__ import annotations

from collections.abc import Iterator

from ladder.recording import Recording
from ladder.rules.iam import Document, Kind, Principal, Statement, documents
from ladder.rules.reading import KEY, at, is_real, number, shown
from ladder.rules.rule import Breach

__all__ = ["ADMINISTER", "GRANT", "USE", "deletion_window", "holders", "rotation", "separation"]

_YEAR = 365
_WINDOW, _WINDOW_REAL = 7, 30
_DEFAULT_WINDOW = 30
ADMINISTER = ("kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:UpdateAlias")
USE = (
    "kms:Decrypt",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyPair",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:GenerateDataKeyPairWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
GRANT = ("kms:CreateGrant",)
_ACCOUNT_ROOT = "an account, whose own policies may hand the use on to its administrators"


def rotation(recording: Recording) -> Iterator[Breach]:
    """AWS changes the material of every key, at least once a year."""
    for key in recording.of_type(KEY):
        rotates, days = at(key.inputs, "enableKeyRotation"), at(key.inputs, "rotationPeriodInDays")
        if rotates is not True:
            path = "enableKeyRotation"
            yield Breach(resource=key, path=path, message="is not on", found=shown(rotates), accepted="true")
        elif days is not None and not 0 < number(days) <= _YEAR:
            path = "rotationPeriodInDays"
            yield Breach(
                resource=key, path=path, message="is not within a year", found=shown(days), accepted=f"at most {_YEAR}"
            )


def deletion_window(recording: Recording) -> Iterator[Breach]:
    """A deletion can be noticed before it takes effect: 7 days, and 30 where the key's data is real."""
    for key in recording.of_type(KEY):
        days = at(key.inputs, "deletionWindowInDays")
        days = _DEFAULT_WINDOW if days is None else days
        least = _WINDOW_REAL if is_real(key) else _WINDOW
        if number(days) < least:
            yield Breach(
                resource=key,
                path="deletionWindowInDays",
                message="is too short for a key of real data" if is_real(key) else "is too short",
                found=f"{days} days",
                accepted=f"at least {least}",
            )


def separation(recording: Recording) -> Iterator[Breach]:
    """Whoever administers a key may neither use it nor grant its use, and no account may hand the use on."""
    for document in documents(recording, Kind.KEY):
        administrators = {who: each for each, who in holders(document, ADMINISTER)}
        for statement, who in _users(document):
            if who in administrators:
                yield _breach(
                    document, statement, who, f"administers the key by {administrators[who].path} and uses it"
                )
            elif who.is_whole_account:
                yield _breach(document, statement, who, f"uses the key as {_ACCOUNT_ROOT}")


def _breach(document: Document, statement: Statement, who: Principal, message: str) -> Breach:
    return Breach(
        resource=document.resource,
        path=statement.path,
        message=message,
        found=who.name,
        accepted="administration and use held by different roles",
    )


def _users(document: Document) -> Iterator[tuple[Statement, Principal]]:
    """Who may use the key, or grant its use other than to an AWS service that works for them."""
    yield from holders(document, USE)
    for statement, who in holders(document, GRANT):
        if statement.requires("Bool", "kms:GrantIsForAWSResource") != ("true",):
            yield statement, who


def holders(document: Document, actions: tuple[str, ...]) -> Iterator[tuple[Statement, Principal]]:
    """The principals that statements allow any of the actions; a Deny beside them is not counted on."""
    for statement in document.allowed:
        if any(statement.covers(action) for action in actions):
            yield from ((statement, who) for who in statement.principals)
