"""Chains of statements without Sigstore: who signed and when is written beside the statement, under a secret."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from ladder.contract.promotion import Signers, Workflow, read_promotion
from ladder.promotion import Broken
from ladder.promotion.chain import Chain, file_name, read_chains
from ladder.promotion.history import History
from ladder.promotion.statements import (
    FINAL_GATES,
    Approval,
    Candidate,
    Check,
    Gate,
    Kind,
    Link,
    Observed,
    PastGates,
    Pinned,
    Purpose,
    Request,
    SeenService,
    Source,
    as_moment,
    as_statement,
    digest_of,
    name_of,
    signer_of,
)
from tests.support import ROOT

__all__ = [
    "APPROVED",
    "COMMIT",
    "GREEN",
    "LADDER",
    "PROMOTION",
    "SIGNERS",
    "SOURCE",
    "START",
    "Sealed",
    "Versions",
    "Writer",
    "climbed",
    "digest",
    "digests",
    "links",
    "sealed",
    "several_versions",
    "verify",
    "versions",
]

PROMOTION = read_promotion(ROOT)
SIGNERS: Signers = PROMOTION.evidence.signers
LADDER = ("dev", "staging", "prod")
START = datetime(2031, 3, 4, 5, 6, 7, tzinfo=UTC)
COMMIT = "0c" * 20
GREEN: dict[str, Gate] = {name: Gate(green=True, detail="as it must be") for name in sorted(FINAL_GATES)}
_SECRET = b"nobody else has it"

Versions = Mapping[str, Pinned]


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a bundle was believed to say."""

    statement: bytes
    logged: datetime


def sealed(statement: bytes, signer: Workflow, logged: datetime) -> bytes:
    """A bundle of the statement, as signed by the workflow at that time."""
    said = {"by": [signer.issuer, signer.subject], "logged": logged.isoformat(), "statement": statement.decode()}
    body = json.dumps(said).encode()
    return hmac.digest(_SECRET, body, "sha256").hex().encode() + b"\n" + body


def verify(bundle: bytes, workflow: Workflow) -> Sealed:
    """Stands in for Sigstore. Raises Broken for a bundle with any byte altered, and for another signer's."""
    seal, _, body = bundle.partition(b"\n")
    if not hmac.compare_digest(seal, hmac.digest(_SECRET, body, "sha256").hex().encode()):
        raise Broken("is not signed")
    said = json.loads(body)
    if said["by"] != [workflow.issuer, workflow.subject]:
        raise Broken(f"is signed by {said['by'][1]}, not by {workflow.subject}")
    return Sealed(said["statement"].encode(), datetime.fromisoformat(said["logged"]))


def digest(name: object) -> str:
    """A digest for a name: another for another."""
    return f"sha256:{hashlib.sha256(str(name).encode()).hexdigest()}"


def versions(number: int, services: Sequence[str] = ("api", "web")) -> Versions:
    """The digests of a build of every service, others for another number."""
    return {name: Pinned(image=digest(f"image {name} {number}"), chart=digest(f"chart {number}")) for name in services}


SOURCE = Source(
    repository="https://github.com/acme/shop",
    commit=COMMIT,
    run="https://github.com/acme/shop/actions/runs/7301188421/attempts/1",
    logged="2031-03-04T05:00:00Z",
    provenance=digest("provenance"),
)

APPROVED: Mapping[str, Any] = {
    "pull_request": 7,
    "head": COMMIT,
    "merged": "0d" * 20,
    "approver": "octocat",
    "review": 11,
    "opener": "promoter[bot]",
    "authors": ("hubot",),
}


class Writer:
    """Appends statements below a folder as the program would. Each is made a minute after the one before."""

    def __init__(self, folder: Path, environments: Sequence[str] = LADDER) -> None:
        self.folder = folder
        self.environments = tuple(environments)
        self.now = START
        self._last: dict[str, tuple[int, str | None]] = dict.fromkeys(environments, (0, None))

    def wait(self, time: timedelta) -> None:
        self.now += time

    def place(self, environment: str) -> dict[str, Any]:
        """Where the next statement of an environment stands, and when."""
        number, previous = self._last[environment]
        return {
            "environment": environment,
            "sequence": number + 1,
            "previous": previous,
            "at": as_moment(self.now),
        }

    def append(self, link: Link, *, signer: Workflow | None = None, logged: datetime | None = None) -> str:
        """Write the statement at its place; answers its file's digest."""
        by = signer or signer_of(link.kind, SIGNERS)
        content = sealed(as_statement(link), by, logged or self.now)
        self.path(link).parent.mkdir(exist_ok=True, parents=True)
        self.path(link).write_bytes(content)
        self._last[link.environment] = (link.sequence, digest_of(content))
        self.now += timedelta(minutes=1)
        return digest_of(content)

    def take_back(self, environment: str) -> None:
        """The last statement, as if it had never been."""
        *before, last = self.files(environment)
        last.unlink()
        self._last[environment] = (len(before), digest_of(before[-1].read_bytes()) if before else None)

    def path(self, link: Link) -> Path:
        return self.folder / link.environment / file_name(link)

    def files(self, environment: str) -> list[Path]:
        return sorted((self.folder / environment).iterdir())

    def observe(self, environment: str, seen: Versions, *problems: str) -> str:
        services = {
            name: SeenService(image=each.image, chart=each.chart, revision=COMMIT, pods=2)
            for name, each in seen.items()
        }
        return self.append(Observed(**self.place(environment), services=services, problems=problems))

    def cut(self, environment: str, services: Versions, observed: str, **changed: Any) -> str:
        values = {"name": name_of(services), "checks": {"test": Check(conclusion="success", commit=COMMIT)}, **changed}
        return self.append(Candidate(**self.place(environment), services=services, observed=observed, **values))

    def request(self, environment: str, purpose: Purpose, services: Versions, **changed: Any) -> str:
        values = {"candidate": name_of(services), "rests_on": None, "base": COMMIT, **changed}
        return self.append(Request(**self.place(environment), purpose=purpose, services=services, **values))

    def pin(self, environment: str, services: Versions, **changed: Any) -> str:
        values = {"candidate": None, "source": SOURCE, **changed}
        return self.request(environment, Purpose.PIN, services, **values)

    def promote(self, environment: str, services: Versions, rests_on: str | None, **changed: Any) -> str:
        changed = {"gates": GREEN, **changed}
        return self.request(environment, Purpose.PROMOTION, services, rests_on=rests_on, **changed)

    def roll_back(self, environment: str, services: Versions, rests_on: str | None, **changed: Any) -> str:
        return self.request(environment, Purpose.ROLLBACK, services, rests_on=rests_on, **changed)

    def unpin(self, environment: str, services: Versions) -> str:
        return self.request(environment, Purpose.UNPIN, services)

    def approve(self, environment: str, request: str, services: Versions, **changed: Any) -> str:
        values = {**APPROVED, **changed}
        return self.append(Approval(**self.place(environment), request=request, services=services, **values))

    def chains(self) -> Mapping[str, Chain]:
        return read_chains(self.folder, self.environments, SIGNERS, verify)

    def history(self) -> History:
        return History.of(list(self.chains().values()))


def climbed(writer: Writer, number: int = 1) -> dict[str, str]:
    """Digests of a build that climbed as they should; what was stated on the way, by its name."""
    services = versions(number)
    stated = {"pin": writer.pin("dev", services)}
    stated["dev"] = writer.observe("dev", services)
    stated["candidate"] = writer.cut("dev", services, stated["dev"])
    below = stated["candidate"]
    for environment in ("staging", "prod"):
        stated[f"to {environment}"] = writer.promote(environment, services, below)
        stated[f"approval {environment}"] = writer.approve(environment, stated[f"to {environment}"], services)
        below = stated[environment] = writer.observe(environment, services)
    return stated


_LABELS = st.from_regex(r"[a-z](?:[a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
_MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1)).map(  # noqa: DTZ001 - made aware at once
    lambda at: as_moment(at.replace(tzinfo=UTC))
)
_COMMITS = st.from_regex(r"[0-9a-f]{40}", fullmatch=True)
_LOGINS = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,20}[A-Za-z0-9])?(?:\[bot\])?", fullmatch=True)
_COUNTS = st.integers(1, 10**6)
_WORDS = st.text(st.characters(codec="utf-8"), max_size=40)


def digests() -> st.SearchStrategy[str]:
    return st.integers(0, 9).map(digest)


def several_versions() -> st.SearchStrategy[Versions]:
    return st.dictionaries(_LABELS, st.builds(Pinned, image=digests(), chart=digests()), min_size=1, max_size=3)


def _gates() -> st.SearchStrategy[Mapping[str, Gate]]:
    gate = st.builds(
        Gate,
        green=st.booleans(),
        detail=_WORDS,
        evidence=st.none() | digests(),
    )
    return st.dictionaries(_LABELS, gate, max_size=2)


def _candidates() -> st.SearchStrategy[str]:
    return st.from_regex(r"rc-[0-9a-f]{16}", fullmatch=True)


def links(kind: Kind, place: st.SearchStrategy[dict[str, Any]] | None = None) -> st.SearchStrategy[Link]:
    """Any statement of a kind, at any place or at that one."""
    somewhere = st.fixed_dictionaries(
        {"environment": _LABELS, "sequence": _COUNTS, "previous": st.none() | digests(), "at": _MOMENTS}
    )
    model, fields = _FIELDS[kind]
    return st.tuples(somewhere if place is None else place, st.fixed_dictionaries(fields)).map(
        lambda both: model(**both[0], **both[1])
    )


_FIELDS: Mapping[Kind, tuple[type[Link], dict[str, st.SearchStrategy[Any]]]] = {
    Kind.CANDIDATE: (
        Candidate,
        {
            "name": _candidates(),
            "services": several_versions(),
            "observed": digests(),
            "checks": st.dictionaries(
                st.sampled_from(["test", "scan", "Build (3.11)"]),
                st.builds(Check, conclusion=st.just("success"), commit=_COMMITS),
                min_size=1,
            ),
        },
    ),
    Kind.REQUEST: (
        Request,
        {
            "purpose": st.sampled_from(Purpose),
            "by": st.none() | _LOGINS,
            "candidate": st.none() | _candidates(),
            "services": several_versions(),
            "rests_on": st.none() | digests(),
            "supersedes": st.none() | _candidates(),
            "gates": _gates(),
            "past_gates": st.none()
            | st.builds(
                PastGates,
                second=_LOGINS,
                reason=st.text(st.characters(codec="utf-8"), min_size=10, max_size=40),
                expires=_MOMENTS,
                reviewDue=_MOMENTS,
            ),
            "source": st.none()
            | st.builds(
                Source,
                repository=st.just("https://github.com/acme/shop"),
                commit=_COMMITS,
                run=_WORDS,
                logged=_MOMENTS,
                provenance=digests(),
            ),
            "base": _COMMITS,
        },
    ),
    Kind.APPROVAL: (
        Approval,
        {
            "request": digests(),
            "services": several_versions(),
            "pull_request": _COUNTS,
            "head": _COMMITS,
            "merged": _COMMITS,
            "approver": _LOGINS,
            "review": _COUNTS,
            "opener": _LOGINS,
            "authors": st.lists(_LOGINS, min_size=1, max_size=3).map(tuple),
        },
    ),
    Kind.OBSERVED: (
        Observed,
        {
            "services": st.dictionaries(
                _LABELS,
                st.builds(SeenService, image=digests(), chart=digests(), revision=_COMMITS, pods=st.integers(0, 10**6)),
                min_size=1,
                max_size=3,
            ),
            "problems": st.lists(_WORDS, max_size=2).map(tuple),
        },
    ),
}
