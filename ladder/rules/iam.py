"""IAM policy documents, read once into one form: lists are lists, names of keys are in lower case.

Grammar: IAM/latest/UserGuide/reference_policies_grammar.html on docs.aws.amazon.com.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, cast

from ladder.recording import Recording, Resource
from ladder.rules.reading import BUCKET_POLICY, KEY, ROLE, ROLE_POLICY, at, items

__all__ = ["Condition", "Document", "Kind", "Malformed", "Principal", "Statement", "documents", "read", "unreadable"]

_WILDCARDS = frozenset("*?")
_STATEMENT_KEYS = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)
_PRINCIPALS = frozenset({"AWS", "CanonicalUser", "Federated", "Service"})
_ARN_PARTS = 6


class Malformed(Exception):
    """A document that is not of the grammar; what it grants cannot be said."""


class Kind(Enum):
    """What a document belongs to."""

    KEY = "key policy"
    BUCKET = "bucket policy"
    TRUST = "trust policy"
    IDENTITY = "role policy"


_TEXTS = {
    KEY: ("policy", Kind.KEY),
    BUCKET_POLICY: ("policy", Kind.BUCKET),
    ROLE: ("assumeRolePolicy", Kind.TRUST),
    ROLE_POLICY: ("policy", Kind.IDENTITY),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a statement speaks about. ``kind`` is the grammar's: AWS, Service, Federated or CanonicalUser."""

    kind: str
    name: str

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for everyone, or for more than one."""
        return bool(_WILDCARDS & set(self.name))

    @property
    def account(self) -> str:
        """The account it belongs to; empty for services and for providers that belong to none."""
        parts = self.name.split(":")
        if len(parts) == _ARN_PARTS or (len(parts) > _ARN_PARTS and parts[0] == "arn"):
            return parts[4]
        return self.name if self.kind == "AWS" and self.name.isdigit() else ""

    @property
    def is_whole_account(self) -> bool:
        """Whether it is an account, which may hand the right on by its own policies."""
        return self.kind == "AWS" and (self.name.isdigit() or self.name.endswith(":root"))


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison, e.g. ``StringEquals`` of ``aws:sourceaccount`` with any of ``values``."""

    operator: str
    key: str
    values: tuple[str, ...]

    @property
    def is_negated(self) -> bool:
        """Whether it holds for all but the values: in a Deny, these are exempt."""
        return "Not" in self.operator


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement. ``path`` is where it stands, e.g. ``policy.Statement.2``.

    ``all_but`` names those of ``principals``, ``actions`` and ``resources`` that are everything except what is listed.
    """

    path: str
    sid: str
    allows: bool
    principals: tuple[Principal, ...] = ()
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    all_but: frozenset[str] = frozenset()

    def covers(self, action: str) -> bool:
        """Whether it speaks about the action, e.g. ``kms:Decrypt``."""
        matches = any(fnmatchcase(action.lower(), _pattern(each)) for each in self.actions)
        return matches is not ("actions" in self.all_but)

    def requires(self, operator: str, key: str) -> tuple[str, ...]:
        """The values that it compares the key with; none where it does not. Neither name's case matters."""
        for condition in self.conditions:
            if condition.operator.lower() == operator.lower() and condition.key == key.lower():
                return condition.values
        return ()

    @property
    def is_for_anyone(self) -> bool:
        """Whether more principals than are named are meant."""
        return "principals" in self.all_but or any(principal.is_wildcard for principal in self.principals)


def _pattern(action: str) -> str:
    """An action's ``*`` and ``?`` are fnmatch's; its brackets are not."""
    return action.lower().replace("[", "[[]")


@dataclass(frozen=True, slots=True)
class Document:
    """A resource's policy document, and where it stands in it."""

    resource: Resource
    path: str
    kind: Kind
    statements: tuple[Statement, ...]

    @property
    def allowed(self) -> Iterator[Statement]:
        return (statement for statement in self.statements if statement.allows)

    @property
    def denied(self) -> Iterator[Statement]:
        return (statement for statement in self.statements if not statement.allows)


def documents(recording: Recording, *kinds: Kind) -> Iterator[Document]:
    """Every document of the kinds (of all, where none is given) that can be read."""
    for resource in recording.resources:
        for path, kind, text in _texts(resource):
            if not kinds or kind in kinds:
                try:
                    yield Document(resource, path, kind, read(text, path))
                except Malformed:
                    continue


def unreadable(recording: Recording) -> Iterator[tuple[Resource, str, str]]:
    """Every document that cannot be read: the resource, where it stands there, and why."""
    for resource in recording.resources:
        for path, _, text in _texts(resource):
            try:
                read(text, path)
            except Malformed as error:
                yield resource, path, str(error)


def _texts(resource: Resource) -> Iterator[tuple[str, Kind, Any]]:
    """Where documents stand, by type: a real bucket shows its policy as an output, which is its BucketPolicy's."""
    if resource.type in _TEXTS:
        path, kind = _TEXTS[resource.type]
        yield path, kind, at(resource.inputs, path)
    for index, inline in enumerate(items(at(resource.inputs, "inlinePolicies")) if resource.type == ROLE else []):
        if at(inline, "policy"):
            yield f"inlinePolicies.{index}.policy", Kind.IDENTITY, at(inline, "policy")


def read(text: Any, path: str = "policy") -> tuple[Statement, ...]:
    """The statements of a document in JSON. Raises Malformed, saying what is not of the grammar."""
    if not isinstance(text, str):
        raise Malformed("is not a text")
    return _read(text, path)


@lru_cache(maxsize=4096)
def _read(text: str, path: str) -> tuple[Statement, ...]:
    try:
        document: Any = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"is not JSON: {error}") from None
    listed = at(document, "Statement")
    statements: list[Any] = [listed] if isinstance(listed, Mapping) else items(listed)
    if not statements:
        raise Malformed("has no statements")
    return tuple(_statement(each, f"{path}.Statement.{index}") for index, each in enumerate(statements))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers differ in which of two equal keys they take."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("gives a key twice")
    return found


def _statement(value: Any, path: str) -> Statement:
    effect = at(value, "Effect")
    unknown = set(cast("Mapping[str, Any]", value)) - _STATEMENT_KEYS if isinstance(value, Mapping) else {"a list"}
    if unknown or effect not in ("Allow", "Deny"):
        raise Malformed(f"has {', '.join(sorted(unknown))} in a statement" if unknown else "has an unknown Effect")
    negated = {"principals": "NotPrincipal", "actions": "NotAction", "resources": "NotResource"}
    return Statement(
        path=path,
        sid=str(at(value, "Sid") or ""),
        allows=effect == "Allow",
        principals=tuple(_principals(_either(value, "Principal"))),
        actions=_texts_of(_either(value, "Action")),
        resources=_texts_of(_either(value, "Resource")),
        conditions=tuple(_conditions(at(value, "Condition"))),
        all_but=frozenset(name for name, key in negated.items() if at(value, key) is not None),
    )


def _either(value: Any, key: str) -> Any:
    found, other = at(value, key), at(value, f"Not{key}")
    if found is not None and other is not None:
        raise Malformed(f"has both {key} and Not{key}")
    return other if found is None else found


def _texts_of(value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str | bool | int | float) else items(value)
    if value is not None and not listed:
        raise Malformed("has an empty list, or an object where texts belong")
    return tuple(str(each).lower() if isinstance(each, bool) else str(each) for each in listed)


def _principals(value: Any) -> Iterator[Principal]:
    if value is None:
        return
    if value == "*":
        yield Principal("AWS", "*")
        return
    if not isinstance(value, Mapping) or not value:
        raise Malformed("has a Principal of no kind")
    for kind, names in cast("Mapping[str, Any]", value).items():
        if kind not in _PRINCIPALS:
            raise Malformed(f"has a Principal of the kind {kind}")
        yield from (Principal(kind, each) for each in _texts_of(names))


def _conditions(value: Any) -> Iterator[Condition]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise Malformed("has a Condition that is no object")
    for operator, keys in cast("Mapping[str, Any]", value).items():
        if not isinstance(keys, Mapping):
            raise Malformed(f"has a Condition {operator} that is no object")
        for key, values in cast("Mapping[str, Any]", keys).items():
            yield Condition(operator, key.lower(), _texts_of(values))
