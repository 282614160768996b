"""What follows from the chains: what a rung runs, since when, what was ever healthy there, and what is held.

Nothing here asks anybody: the same chains give the same answers, on any machine and at any later time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from ladder.promotion import Broken
from ladder.promotion.chain import Chain, Entry
from ladder.promotion.statements import (
    FINAL_GATES,
    GATES,
    Approval,
    Candidate,
    Observed,
    Pinned,
    Purpose,
    Request,
    moment,
    name_of,
)

__all__ = ["History", "Rung", "Soaking"]

Versions = Mapping[str, Pinned]


@dataclass(frozen=True, slots=True)
class Soaking:
    """How long a rung has been seen to run the same digests, healthy each time: from ``since`` to ``seen``.

    Both are the times that can be relied on: when the first statement was logged, and what the last one says itself.
    """

    versions: Versions
    since: datetime
    seen: datetime
    entry: Entry
    """The last of the statements that say so."""


class Rung:
    """One environment's statements, and what follows from them."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    @property
    def environment(self) -> str:
        return self.chain.environment

    @cached_property
    def observed(self) -> Sequence[tuple[Entry, Observed]]:
        return [(entry, entry.link) for entry in self.chain.entries if isinstance(entry.link, Observed)]

    @cached_property
    def requests(self) -> Sequence[tuple[Entry, Request]]:
        return [(entry, entry.link) for entry in self.chain.entries if isinstance(entry.link, Request)]

    @cached_property
    def approvals(self) -> Mapping[str, tuple[Entry, Approval]]:
        """The first approval of each request, by the request's digest."""
        found: dict[str, tuple[Entry, Approval]] = {}
        for entry in self.chain.entries:
            if isinstance(entry.link, Approval):
                found.setdefault(entry.link.request, (entry, entry.link))
        return found

    @cached_property
    def candidates(self) -> Mapping[str, tuple[Entry, Candidate]]:
        """The candidates that were cut here, by name; of one that was cut twice, the first."""
        found: dict[str, tuple[Entry, Candidate]] = {}
        for entry in self.chain.entries:
            if isinstance(entry.link, Candidate):
                found.setdefault(entry.link.name, (entry, entry.link))
        return found

    @property
    def current(self) -> Observed | None:
        """What was seen last."""
        return self.observed[-1][1] if self.observed else None

    def last(self, service: str) -> Pinned | None:
        """What the service was last asked to be or seen to be here; None where it never was."""
        for entry in reversed(self.chain.entries):
            match entry.link:
                case Request(purpose=purpose, services=services) if purpose is not Purpose.UNPIN:
                    held = services.get(service)
                case Observed() as seen:
                    held = seen.versions.get(service)
                case _:
                    held = None
            if held is not None:
                return held
        return None

    def soaking(self, gap: timedelta) -> Soaking | None:
        """The unbroken run of healthy observations of the same digests at the chain's end, none ``gap`` apart or more.

        A request since then does not break it: until it is merged and seen, the rung runs what it ran.
        """
        run: list[tuple[Entry, Observed]] = []
        for entry, observed in reversed(self.observed):
            if not observed.healthy or (run and observed.versions != run[-1][1].versions):
                break
            if run and moment(run[-1][1].at) - moment(observed.at) > gap:
                break
            run.append((entry, observed))
        if not run:
            return None
        last, seen = run[0]
        return Soaking(seen.versions, run[-1][0].logged, min(last.logged, moment(seen.at)), last)

    def proven(self, versions: Versions) -> Entry | None:
        """The last time that exactly these digests were observed healthy here."""
        found = (entry for entry, each in reversed(self.observed) if each.healthy and each.versions == versions)
        return next(found, None)

    @property
    def hold(self) -> tuple[Entry, Request] | None:
        """The rollback that pins the rung: it was not unpinned since."""
        return _held(self.requests)

    def held_before(self, entry: Entry) -> bool:
        """Whether such a rollback pinned the rung where a statement was made."""
        return _held([each for each in self.requests if each[0].precedes(entry)]) is not None

    @property
    def holding(self) -> str | None:
        """The candidate that was last asked to enter here."""
        for _, request in reversed(self.requests):
            if request.purpose in {Purpose.PROMOTION, Purpose.ROLLBACK}:
                return request.candidate
        return None


@dataclass(frozen=True)
class History:
    """All rungs, lowest first: dev, staging, prod by whatever names they have."""

    rungs: Sequence[Rung]

    @classmethod
    def of(cls, chains: Sequence[Chain]) -> History:
        """Raises Broken where a statement claims what the statements before it do not bear out."""
        history = cls([Rung(chain) for chain in chains])
        for file, wrong in history.contradictions():
            raise Broken(f"{file}: {wrong}")
        return history

    def rung(self, environment: str) -> Rung:
        return next(rung for rung in self.rungs if rung.environment == environment)

    def below(self, environment: str) -> Rung | None:
        """The rung under this one; None for the lowest."""
        names = [rung.environment for rung in self.rungs]
        at = names.index(environment)
        return self.rungs[at - 1] if at else None

    def above(self, environment: str) -> Rung | None:
        """The rung over this one; None for the highest."""
        names = [rung.environment for rung in self.rungs]
        at = names.index(environment) + 1
        return self.rungs[at] if at < len(names) else None

    def candidate(self, name: str) -> tuple[Entry, Candidate] | None:
        return self.rungs[0].candidates.get(name)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Statements that are rightly signed and in their place, and yet cannot be: their file, and why."""
        for rung in self.rungs:
            for entry in rung.chain.entries:
                for wrong in self._wrong(rung, entry):
                    yield entry.file, wrong

    def _wrong(self, rung: Rung, entry: Entry) -> Iterator[str]:
        match entry.link:
            case Candidate() as candidate:
                yield from self._wrong_candidate(rung, entry, candidate)
            case Request(purpose=Purpose.PIN) as request:
                yield from self._wrong_pin(rung, request)
            case Request(purpose=Purpose.UNPIN):
                if not rung.held_before(entry):
                    yield "unpins what is not pinned"
            case Request(purpose=Purpose.PROMOTION) as request:
                yield from self._wrong_change(rung, entry, request)
                yield from self._wrong_promotion(rung, entry, request)
            case Request() as request:
                yield from self._wrong_change(rung, entry, request)
            case Approval() as approval:
                yield from _wrong_approval(rung, entry, approval)
            case _:
                return

    def _wrong_candidate(self, rung: Rung, entry: Entry, candidate: Candidate) -> Iterator[str]:
        seen = _observed(rung.chain, candidate.observed)
        if rung is not self.rungs[0]:
            yield "cuts a candidate from another rung than the lowest"
        if candidate.name != name_of(candidate.services):
            yield f"names its digests {candidate.name}; their name is {name_of(candidate.services)}"
        if seen is None or not seen[0].precedes(entry):
            yield "is cut from an observation that is not before it"
        elif not seen[1].healthy or seen[1].versions != candidate.services:
            yield "is cut from an observation of other digests, or one that was not healthy"

    def _wrong_pin(self, rung: Rung, request: Request) -> Iterator[str]:
        if rung is not self.rungs[0]:
            yield "lets a build enter another rung than the lowest"
        if request.source is None:
            yield "lets a build enter and does not say where it comes from"

    def _wrong_change(self, rung: Rung, entry: Entry, request: Request) -> Iterator[str]:
        """Of a promotion or a rollback: that it rests on what was seen."""
        if request.candidate != name_of(request.services):
            yield f"names its digests {request.candidate}; their name is {name_of(request.services)}"
        below = self.below(rung.environment)
        if below is None:
            yield f"is a {request.purpose} in the lowest rung"
            return
        if request.purpose is Purpose.ROLLBACK:
            below = rung
        rests = below.chain.find(request.rests_on)
        if request.purpose is Purpose.PROMOTION and below is self.rungs[0]:
            if rests is None or not isinstance(rests.link, Candidate) or rests.link.services != request.services:
                yield "rests on no candidate of these digests"
        elif rests is None or not isinstance(rests.link, Observed):
            yield f"rests on no observation of {below.environment}"
        elif not rests.link.healthy or rests.link.versions != request.services:
            yield f"rests on an observation of {below.environment} with other digests, or one that was not healthy"
        if rests is not None and rests.logged > entry.logged:
            yield "rests on what was stated after it"

    def _wrong_promotion(self, rung: Rung, entry: Entry, request: Request) -> Iterator[str]:
        if rung.held_before(entry):
            yield "enters while a rollback pins the rung"
        cut = self.candidate(request.candidate or "")
        if cut is None or cut[0].logged > entry.logged:
            yield f"is of {request.candidate}, which was not cut before it"
        asked = FINAL_GATES if rung is self.rungs[-1] else GATES
        if missing := sorted(asked - request.gates.keys()):
            yield f"was not held against every gate: {', '.join(missing)}"
        past = request.past_gates
        if past is None and (closed := sorted(name for name, gate in request.gates.items() if not gate.green)):
            yield f"passes gates that were not green: {', '.join(closed)}"
        if past is not None and (request.by is None or request.by.casefold() == past.second.casefold()):
            yield "passes its gates without a second person"


def _held(requests: Sequence[tuple[Entry, Request]]) -> tuple[Entry, Request] | None:
    for entry, request in reversed(requests):
        if request.purpose is Purpose.UNPIN:
            return None
        if request.purpose is Purpose.ROLLBACK:
            return entry, request
    return None


def _wrong_approval(rung: Rung, entry: Entry, approval: Approval) -> Iterator[str]:
    asked = rung.chain.find(approval.request)
    if asked is None or not asked.precedes(entry) or not isinstance(asked.link, Request):
        yield "approves a request that is not before it"
    elif asked.link.services != approval.services:
        yield "approves other digests than were asked for"
    by, past = (asked.link.by, asked.link.past_gates) if asked and isinstance(asked.link, Request) else (None, None)
    # To GitHub a login is the same in whatever case it is written.
    if approval.approver.casefold() in {each.casefold() for each in (approval.opener, *approval.authors, by or "")}:
        yield f"is by {approval.approver}, who asked or wrote"
    if past is not None and approval.approver.casefold() != past.second.casefold():
        yield f"is by {approval.approver}; past its gates only {past.second} can allow it"


def _observed(chain: Chain, digest: str) -> tuple[Entry, Observed] | None:
    entry = chain.find(digest)
    return (entry, entry.link) if entry is not None and isinstance(entry.link, Observed) else None
