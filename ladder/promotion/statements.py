"""What is stated of a rung: in-toto statements, one kind of predicate each, linked to the statement before.

A statement's subjects are the digests it speaks of. Rule: in-toto/attestation, spec/v1/statement.md; the predicates are
this project's own and named by :data:`TYPES`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError

from ladder.contract.base import Settings
from ladder.contract.promotion import Signers, Workflow
from ladder.contract.types import CandidateName, CheckName, Digest, DnsLabel, GitRepository, GitSha, Login, Moment
from ladder.promotion import Broken

__all__ = [
    "FINAL_GATES",
    "GATES",
    "Approval",
    "Candidate",
    "Check",
    "Gate",
    "Kind",
    "Link",
    "Observed",
    "PastGates",
    "Pinned",
    "Purpose",
    "Request",
    "SeenService",
    "Source",
    "as_moment",
    "as_statement",
    "digest_of",
    "moment",
    "name_of",
    "parse",
    "signer_of",
]

GATES = frozenset({"revoked"})
"""What every rung asks of a candidate."""
FINAL_GATES = GATES | {"freeze", "load", "soak"}
"""What the highest rung asks."""

_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://ladder.internal/{}/v1"


class Kind(StrEnum):
    """What a statement says: a candidate was cut, it shall enter, somebody allowed it, it was seen to run."""

    CANDIDATE = "candidate"
    REQUEST = "request"
    APPROVAL = "approval"
    OBSERVED = "observed"

    @property
    def predicate_type(self) -> str:
        return _PREDICATE.format(self.value)


class Purpose(StrEnum):
    """Why digests shall change: a build enters dev, a candidate climbs or goes back, or a rollback's hold ends."""

    PIN = "pin"
    PROMOTION = "promotion"
    ROLLBACK = "rollback"
    UNPIN = "unpin"


class _Stated(Settings):
    """Part of a statement. The program fills it in by its fields' names; its bytes have their aliases."""

    model_config = ConfigDict(validate_by_name=True)


class Pinned(_Stated):
    """What of one service climbs: the same two digests that its ``version.yaml`` holds."""

    image: Digest
    chart: Digest


class Link(_Stated):
    """What every statement has: its place in its environment's chain. ``previous`` is the digest of the file before."""

    kind: ClassVar[Kind]

    environment: DnsLabel
    sequence: PositiveInt
    previous: Digest | None
    at: Moment

    def subjects(self) -> Mapping[str, Pinned]:
        raise NotImplementedError


class Check(_Stated):
    """A check of the commit that was observed, green."""

    conclusion: Literal["success"]
    commit: GitSha


class Candidate(Link):
    """A release candidate: exactly what dev was observed running, with that commit's checks green."""

    kind: ClassVar[Kind] = Kind.CANDIDATE

    name: CandidateName
    services: Annotated[Mapping[DnsLabel, Pinned], Field(min_length=1)]
    observed: Digest
    """The observed statement that it was cut from, by its file's digest."""
    checks: Annotated[Mapping[CheckName, Check], Field(min_length=1)]

    def subjects(self) -> Mapping[str, Pinned]:
        return self.services


class Gate(_Stated):
    """One gate as it was evaluated."""

    green: bool
    detail: Annotated[str, Field(max_length=2000)]
    evidence: Digest | None = None
    """What it was decided by, kept beside the chains: a soak's samples, a load report."""


class PastGates(_Stated):
    """Break-glass: with whom somebody passes a gate that is closed, why, until when, and by when that is reviewed."""

    second: Login
    """Who is there beside the one who asks; nobody else can approve it."""
    reason: Annotated[str, Field(min_length=10, max_length=500)]
    expires: Moment
    review_due: Moment


class Source(_Stated):
    """Where an image comes from, as its verified provenance says."""

    repository: GitRepository
    commit: GitSha
    run: Annotated[str, Field(max_length=500)]
    logged: Moment
    provenance: Digest


class Request(Link):
    """That a rung's digests shall change to ``services``, and on what that rests."""

    kind: ClassVar[Kind] = Kind.REQUEST

    purpose: Purpose
    by: Login | None = None
    """Who asked for it, who therefore cannot approve it; None where only the workflow did."""
    candidate: CandidateName | None
    services: Annotated[Mapping[DnsLabel, Pinned], Field(min_length=1)]
    """The services whose digests change, or are held, and what they shall be."""
    rests_on: Digest | None
    """The observed statement that allows it: of the rung below, or of the same rung for a rollback."""
    supersedes: CandidateName | None = None
    """The candidate that soaked there and shall not climb further."""
    gates: Mapping[DnsLabel, Gate] = {}
    past_gates: PastGates | None = None
    source: Source | None = None
    base: GitSha
    """The commit it was made on."""

    def subjects(self) -> Mapping[str, Pinned]:
        return self.services


class Approval(Link):
    """That somebody who neither asked nor wrote allowed a request, by a review of the very head that was merged."""

    kind: ClassVar[Kind] = Kind.APPROVAL

    request: Digest
    services: Annotated[Mapping[DnsLabel, Pinned], Field(min_length=1)]
    pull_request: PositiveInt
    head: GitSha
    merged: GitSha
    approver: Login
    review: PositiveInt
    opener: Login
    authors: Annotated[tuple[Login, ...], Field(min_length=1)]

    def subjects(self) -> Mapping[str, Pinned]:
        return self.services


class SeenService(_Stated):
    """What one service was seen to be."""

    image: Digest
    chart: Digest
    revision: GitSha
    pods: NonNegativeInt


class Observed(Link):
    """What a rung's pods and Applications were seen to be. Without ``problems`` it was healthy and whole."""

    kind: ClassVar[Kind] = Kind.OBSERVED

    services: Annotated[Mapping[DnsLabel, SeenService], Field(min_length=1)]
    problems: tuple[Annotated[str, Field(max_length=1000)], ...]

    @property
    def healthy(self) -> bool:
        return not self.problems

    @property
    def versions(self) -> Mapping[str, Pinned]:
        return {name: Pinned(image=each.image, chart=each.chart) for name, each in self.services.items()}

    def subjects(self) -> Mapping[str, Pinned]:
        return self.versions


TYPES: Mapping[str, type[Link]] = {kind.kind.predicate_type: kind for kind in (Candidate, Request, Approval, Observed)}
"""The predicates by their types."""


def signer_of(kind: Kind, signers: Signers) -> Workflow:
    """Who alone may sign such a statement. Cutting a candidate is part of asking."""
    match kind:
        case Kind.CANDIDATE | Kind.REQUEST:
            return signers.request
        case Kind.APPROVAL:
            return signers.approval
        case Kind.OBSERVED:
            return signers.observed


def name_of(services: Mapping[str, Pinned]) -> str:
    """The name of a candidate: the same for the same digests, whoever cuts it and whenever."""
    text = json.dumps({name: [each.image, each.chart] for name, each in sorted(services.items())})
    return f"rc-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def as_moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def as_statement(link: Link) -> bytes:
    """The statement, always the same bytes for the same values."""
    statement = {
        "_type": _STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in _subjects(link.subjects())],
        "predicateType": link.kind.predicate_type,
        "predicate": link.model_dump(mode="json", by_alias=True),
    }
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse(statement: bytes) -> Link:
    """The statement that the bytes are. Raises Broken for anything that :func:`as_statement` would not have written."""
    try:
        document: Any = json.loads(statement)
        predicate = TYPES[document["predicateType"]]
        link = predicate.model_validate_json(json.dumps(document["predicate"]))
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Broken(f"is no statement of this project: {_first_line(error)}") from error
    if as_statement(link) != statement:
        raise Broken("is not written as its values are: its subjects, or its form, are others")
    return link


def _subjects(services: Mapping[str, Pinned]) -> Iterator[tuple[str, str]]:
    for name, each in sorted(services.items()):
        yield f"{name}/chart", each.chart.removeprefix("sha256:")
        yield f"{name}/image", each.image.removeprefix("sha256:")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
