"""``promote``: a candidate enters the next rung, by a pull request that changes digests and says why it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ladder.contract.types import duration
from ladder.errors import CheckFailed, InputError, Problem
from ladder.promotion.edit import with_digests
from ladder.promotion.gates import Asked, evaluate
from ladder.promotion.ground import Ground
from ladder.promotion.history import Soaking
from ladder.promotion.statements import Candidate, Gate, PastGates, Pinned, Purpose, Request, as_moment

__all__ = ["Plan", "Wish", "edits", "plan"]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for. ``report`` is a load report's bundle; ``past_gates`` who breaks the glass."""

    candidate: str
    to: str
    at: datetime
    report: bytes | None = None
    supersede: bool = False
    past_gates: tuple[str, str, str] | None = None
    """Who, with whom, and why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a promotion would state and change: ``files`` are by their paths from the project's root."""

    request: Request
    gates: Mapping[str, Gate]
    files: Mapping[str, bytes]
    changed: Sequence[str]
    """The services whose digests change."""

    @property
    def closed(self) -> Sequence[str]:
        return sorted(name for name, gate in self.gates.items() if not gate.green)

    @property
    def branch(self) -> str:
        """One for each candidate, rung and purpose, so that there is one pull request for them."""
        return f"{self.request.purpose}/{self.request.environment}/{self.request.candidate}"

    def described(self) -> str:
        """Markdown for the pull request. All of it is the program's own text, digests, or inside code."""
        request = self.request
        lines = [f"`{request.candidate}`: {request.purpose}, `{request.environment}`.", ""]
        lines += [f"- `{service}`: `{request.services[service].image}`" for service in self.changed]
        for name, gate in sorted(self.gates.items()):
            detail = gate.detail.replace("`", "'").replace("\n", " ")
            lines.append(f"- {'green' if gate.green else '**closed**'}: {name}: `{detail}`")
        if (past := request.past_gates) is not None:
            lines += ["", f"**Past its gates**, by `{past.by}` with `{past.second}`, until {past.expires}."]
        return "\n".join(lines)


def plan(ground: Ground, wish: Wish) -> Plan:
    """What the promotion would be, its gates evaluated, whether they are green or not.

    Raises InputError for what does not exist, and CheckFailed for what may not be whatever the gates say.
    """
    ground.environment(wish.to)
    history = ground.history
    cut = history.candidate(wish.candidate)
    if cut is None:
        known = sorted(history.rungs[0].candidates)
        accepted = f"one of {', '.join(known[-10:])}" if known else "a candidate: `ladder cut` names one"
        raise InputError(Problem(file="RC", message="was never cut", found=wish.candidate, accepted=accepted))
    entry, candidate = cut
    rung, below = history.rung(wish.to), history.below(wish.to)
    if below is None:
        accepted = f"one of {', '.join(ground.ladder[1:])}; builds enter {wish.to} by `ladder pin`"
        raise InputError(Problem(file="--to", message="is the lowest rung", found=wish.to, accepted=accepted))
    final, first = wish.to == ground.ladder[-1], below is history.rungs[0]
    soaking = below.soaking()
    if not first and (soaking is None or soaking.versions != candidate.services):
        held = f"; it holds {below.holding}" if below.holding else ""
        raise CheckFailed(f"{below.environment} was not last observed running {candidate.name}, healthy{held}")
    _free(ground, wish, candidate, above=not final)
    rests_on = entry.digest if first or soaking is None else soaking.entry.digest
    changed, files = edits(ground, wish.to, candidate.services)
    if not changed:
        raise CheckFailed(f"{wish.to} has the digests of {candidate.name} already")
    gates = evaluate(_asked(ground, wish, candidate, below.environment, soaking), final=final)
    sequence, previous = rung.chain.next
    request = Request(
        environment=wish.to,
        sequence=sequence,
        previous=previous,
        at=as_moment(wish.at),
        purpose=Purpose.PROMOTION,
        candidate=candidate.name,
        services=candidate.services,
        rests_on=rests_on,
        supersedes=rung.holding if wish.supersede and rung.holding != candidate.name else None,
        gates=gates,
        past_gates=_past(ground, wish),
        base=ground.commit,
    )
    return Plan(request, gates, files, changed)


def edits(ground: Ground, environment: str, services: Mapping[str, Pinned]) -> tuple[list[str], dict[str, bytes]]:
    """The services whose digests change in an environment, and the files that then differ.

    Raises CheckFailed where the environment has other services than these.
    """
    there = set(ground.services(environment))
    if odd := sorted(there ^ set(services)):
        raise CheckFailed(f"{environment} and the candidate have not the same services: {', '.join(odd)}")
    changed: list[str] = []
    files: dict[str, bytes] = {}
    for service, wanted in sorted(services.items()):
        text, held = ground.version(environment, service)
        if held != wanted:
            file = ground.version_file(environment, service)
            changed.append(service)
            files[file] = with_digests(text, wanted, file=file).encode()
    return changed, files


def _free(ground: Ground, wish: Wish, candidate: Candidate, *, above: bool) -> None:
    """Raises CheckFailed where the rung is held: by a rollback, or by a candidate that still has to climb."""
    history = ground.history
    rung = history.rung(wish.to)
    if rung.hold is not None:
        since = rung.hold[1].at
        raise CheckFailed(f"{wish.to} is pinned by the rollback of {since}; `ladder rollback --unpin` ends that")
    held = history.candidate(rung.holding) if rung.holding else None
    if held is None or held[1].name == candidate.name:
        return
    if held[1].sequence > candidate.sequence:
        raise CheckFailed(f"{candidate.name} is older than {held[1].name}, which {wish.to} holds: that is a rollback")
    if not above or wish.supersede:
        return
    higher = history.rungs[[each.environment for each in history.rungs].index(wish.to) + 1]
    if higher.proven(held[1].services) is None:
        raise CheckFailed(
            f"{wish.to} holds {held[1].name} until {higher.environment} runs it; "
            f"{candidate.name} waits, or takes its place by --supersede"
        )


def _asked(ground: Ground, wish: Wish, candidate: Candidate, below: str, soaking: Soaking | None) -> Asked:
    return Asked(
        promotion=ground.promotion,
        versions=candidate.services,
        at=wish.at,
        below=below,
        soaking=soaking,
        queries=ground.queries(below),
        report=wish.report,
        verify=ground.verify,
    )


def _past(ground: Ground, wish: Wish) -> PastGates | None:
    if wish.past_gates is None:
        return None
    by, second, reason = wish.past_gates
    if by == second:
        raise InputError(Problem(file="--second", message="is the same person", found=second, accepted="another one"))
    rules = ground.promotion.break_glass
    return PastGates(
        by=by,
        second=second,
        reason=reason,
        expires=as_moment(wish.at + duration(rules.expires_after)),
        review_due=as_moment(wish.at + duration(rules.review_within)),
    )
