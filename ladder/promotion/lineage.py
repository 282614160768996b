"""``lineage``: who brought which digests into which rung, when, and by which evidence; from the repository alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from ladder.promotion import Broken
from ladder.promotion.chain import Entry, Head
from ladder.promotion.ground import Ground
from ladder.promotion.history import History, Rung
from ladder.promotion.kept import LARGEST_KEPT, read_samples, report_file
from ladder.promotion.load import read_report
from ladder.promotion.statements import (
    Approval,
    Candidate,
    Observed,
    Pinned,
    Purpose,
    Request,
    as_moment,
    digest_of,
    name_of,
)
from ladder.untrusted import visible

__all__ = ["Event", "cut_off", "events", "unexplained", "unreported"]


@dataclass(frozen=True, slots=True)
class Event:
    """One statement, as a reader wants it: ``services`` are those it speaks of, ``file`` is its evidence."""

    environment: str
    at: str
    logged: str
    kind: str
    candidate: str
    services: Mapping[str, Mapping[str, str]]
    says: str
    file: str
    digest: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def events(history: History, about: str | None) -> Sequence[Event]:
    """Everything stated about a candidate or a service, or all of it, in the order in which the log had it."""
    every = ((entry.logged, at, entry) for at, rung in enumerate(history.rungs) for entry in rung.chain.entries)
    ordered = sorted(every, key=lambda each: (each[0], each[1], each[2].link.sequence))
    return [event for _, _, entry in ordered if _concerns(event := _event(entry), about)]


def unexplained(history: History) -> Iterator[tuple[str, str]]:
    """What was seen to run above the lowest rung though nothing stated lets it: the statement's file, and what.

    A service runs what the last request wants of it, or until then what it ran when that was made. What was there
    before the first request is taken as it is; what is new in a rung enters it with digests that the rung below was
    seen to run. Of what is not healthy, image and chart may be of either.
    """
    for below, rung in pairwise(history.rungs):
        yield from _unexplained(below, rung, final=rung is history.rungs[-1])


def _unexplained(below: Rung, rung: Rung, *, final: bool) -> Iterator[tuple[str, str]]:
    held: dict[str, Pinned] = {}
    """What each service was last seen to be."""
    before: dict[str, Pinned] = {}
    asked: tuple[Entry, Request] | None = None
    for entry in rung.chain.entries:
        match entry.link:
            case Request(purpose=purpose) as request if purpose is not Purpose.UNPIN:
                before, asked = dict(held), (entry, request)
            case Observed() as seen:
                for service, pinned in seen.versions.items():
                    wanted = asked[1].services.get(service) if asked else None
                    known = [before.get(service), wanted] if asked else [held.get(service)]
                    entered = seen.healthy and pinned == wanted and pinned != before.get(service)
                    new = service not in held and wanted is None
                    if new and (asked is None or _came_up(below, entry, service, pinned)):
                        before[service] = pinned
                    elif not _is_of(pinned, known, whole=seen.healthy):
                        yield entry.file, f"{service} runs {pinned.image}, for which nobody asked"
                    elif final and entered and asked and not _allowed(rung, entry, asked[0]):
                        told = f"{service} runs {pinned.image} by {asked[0].file}"
                        yield entry.file, f"{told}, which nobody approved before"
                    held[service] = pinned
                    if seen.healthy and pinned == wanted:
                        before[service] = pinned  # it has come; what ran before does not come back by itself
            case _:
                continue


def _is_of(pinned: Pinned, known: Sequence[Pinned | None], *, whole: bool) -> bool:
    """Whether it is one of these; where it need not be whole, image and chart each of one."""
    there = [each for each in known if each is not None]
    if whole:
        return pinned in there
    return pinned.image in {each.image for each in there} and pinned.chart in {each.chart for each in there}


def cut_off(history: History, heads: Collection[Head]) -> Iterator[tuple[str, str]]:
    """Where a chain does not reach what was anchored of it: the environment, and what is wrong."""
    for head in heads:
        chain = next((rung.chain for rung in history.rungs if rung.environment == head.environment), None)
        if chain is None:
            yield head.environment, "is anchored, and has no chain here"
        elif len(chain.entries) < head.sequence:
            yield head.environment, f"ends at {len(chain.entries)}; statement {head.sequence} is anchored"
        elif chain.entries[head.sequence - 1].digest != head.digest:
            yield head.environment, f"has another statement {head.sequence} than the one that is anchored"


def unreported(ground: Ground) -> Iterator[tuple[str, str]]:
    """Requests that rest on something that is not kept as they speak of it: the statement's file, and what is wrong."""
    for rung in ground.history.rungs:
        for entry, request in rung.requests:
            for name, gate in sorted(request.gates.items()):
                if gate.evidence is None:
                    continue
                try:
                    content = _kept(ground, gate.evidence)
                    if gate.green:
                        _held_against(ground, request, name, content)
                except Broken as error:
                    yield entry.file, f"rests for {name} on {gate.evidence}, which {error}"


def _kept(ground: Ground, digest: str) -> bytes:
    file = ground.project / report_file(ground.promotion.evidence, digest)
    if file.is_symlink() or not file.is_file() or file.stat().st_size > LARGEST_KEPT:
        raise Broken("is missing")
    content = file.read_bytes()
    if digest_of(content) != digest:
        raise Broken("was altered")
    return content


def _held_against(ground: Ground, request: Request, gate: str, content: bytes) -> None:
    """Raises Broken where it is not what a gate is decided by, or not about what was asked for."""
    if gate == "load":
        read_report(content, ground.promotion.evidence.signers.load, ground.verify, request.services)
    elif missing := sorted(request.services.keys() - read_samples(content).services.keys()):
        raise Broken(f"says nothing of {', '.join(missing)}")


def _came_up(below: Rung, before: Entry, service: str, pinned: Pinned) -> bool:
    """Whether the rung below was observed running a service so, healthy, before a statement."""
    return any(
        seen.healthy and seen.versions.get(service) == pinned and entry.logged <= before.logged
        for entry, seen in below.observed
    )


def _allowed(rung: Rung, before: Entry, asked: Entry) -> bool:
    approved = rung.approvals.get(asked.digest)
    return approved is not None and approved[0].precedes(before)


def _concerns(event: Event, about: str | None) -> bool:
    return about is None or about == event.candidate or about in event.services


def _event(entry: Entry) -> Event:
    link = entry.link
    subjects = link.subjects()
    return Event(
        environment=link.environment,
        at=link.at,
        logged=as_moment(entry.logged),
        kind=link.kind.value,
        candidate=_candidate(link, subjects),
        services={name: {"image": each.image, "chart": each.chart} for name, each in sorted(subjects.items())},
        says=_says(link),
        file=entry.file,
        digest=entry.digest,
    )


def _candidate(link: object, subjects: Mapping[str, Pinned]) -> str:
    """A pin speaks of one service, which makes no candidate."""
    alone = isinstance(link, Request) and link.purpose is Purpose.PIN
    return "" if alone else name_of(subjects)


def _says(link: object) -> str:
    match link:
        case Candidate():
            return f"cut; green: {', '.join(sorted(link.checks))}"
        case Request(purpose=Purpose.PIN, source=source) if source is not None:
            return f"built of {source.commit} by {source.run}"
        case Request(past_gates=past) if past is not None:
            closed = ", ".join(sorted(name for name, gate in link.gates.items() if not gate.green)) or "none"
            until = f"until {past.expires}, review due {past.review_due}: {visible(past.reason, 500)}"
            return f"{link.purpose}, PAST ITS GATES ({closed}) by {link.by} with {past.second} {until}"
        case Request():
            green = ", ".join(sorted(name for name, gate in link.gates.items() if gate.green))
            return f"{link.purpose}{f'; green: {green}' if green else ''}"
        case Approval():
            return f"approved by {link.approver} in #{link.pull_request}; merged as {link.merged}"
        case Observed():
            return "healthy" if link.healthy else f"not healthy: {visible(link.problems[0], 1000)}"
        case _:
            return ""
