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
from ladder.promotion.history import History, Soaking
from ladder.promotion.kept import report_file
from ladder.promotion.statements import Candidate, Gate, PastGates, Pinned, Purpose, Request, as_moment
from ladder.untrusted import code

__all__ = ["Plan", "Wish", "edits", "free", "plan"]

_REASON = range(10, 501)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for. ``report`` is a load report's bundle; ``past_gates`` who breaks the glass."""

    candidate: str
    to: str
    at: datetime
    report: bytes | None = None
    supersede: bool = False
    by: str | None = None
    past_gates: tuple[str, str] | None = None
    """With whom, and why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a promotion would state and change: ``files`` are by their paths from the project's root."""

    request: Request
    gates: Mapping[str, Gate]
    files: Mapping[str, bytes]
    changed: Sequence[str]
    """The services whose digests change."""
    warnings: Sequence[str] = ()
    """What whoever approves it should know, and nothing refuses."""

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
            lines += ["", f"**Past its gates**, by `{request.by}` with `{past.second}`, until {past.expires}."]
        if self.warnings:
            lines += ["", *(f"- **Warning**: {code(each)}" for each in self.warnings)]
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
    soaking = below.soaking(duration(ground.promotion.soak.gap))
    if not first and (soaking is None or soaking.versions != candidate.services):
        held = f"; it holds {below.holding}" if below.holding else ""
        raise CheckFailed(f"{below.environment} was not last observed running {candidate.name}, healthy{held}")
    free(history, wish.to, candidate, supersede=wish.supersede)
    rests_on = entry.digest if first or soaking is None else soaking.entry.digest
    changed, files = edits(ground, wish.to, candidate.services)
    if not changed:
        raise CheckFailed(f"{wish.to} has the digests of {candidate.name} already")
    evaluated = evaluate(_asked(ground, wish, candidate, below.environment, soaking), final=final)
    files |= {report_file(ground.promotion.evidence, digest): kept for digest, kept in evaluated.kept.items()}
    sequence, previous = rung.chain.next
    request = Request(
        environment=wish.to,
        sequence=sequence,
        previous=previous,
        at=as_moment(wish.at),
        purpose=Purpose.PROMOTION,
        by=wish.by,
        candidate=candidate.name,
        services=candidate.services,
        rests_on=rests_on,
        supersedes=rung.holding if wish.supersede and rung.holding != candidate.name else None,
        gates=evaluated.gates,
        past_gates=_past(ground, wish),
        base=ground.commit,
    )
    return Plan(request, evaluated.gates, files, changed)


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


def free(history: History, environment: str, candidate: Candidate, *, supersede: bool) -> None:
    """Raises CheckFailed where the rung is held: by a rollback, or by a candidate that still has to climb."""
    rung, higher = history.rung(environment), history.above(environment)
    if rung.hold is not None:
        since = rung.hold[1].at
        raise CheckFailed(f"{environment} is pinned by the rollback of {since}; `ladder rollback --unpin` ends that")
    held = history.candidate(rung.holding) if rung.holding else None
    if held is None or held[1].name == candidate.name:
        return
    if held[1].sequence > candidate.sequence:
        holds = f"{held[1].name}, which {environment} holds"
        raise CheckFailed(f"{candidate.name} is older than {holds}: that is a rollback")
    if higher is not None and not supersede and higher.proven(held[1].services) is None:
        raise CheckFailed(
            f"{environment} holds {held[1].name} until {higher.environment} runs it; "
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
    second, reason = wish.past_gates
    if wish.by is None:
        raise InputError(Problem(file="--by", message="is missing", accepted="who breaks the glass"))
    # To GitHub a login is the same in whatever case it is written.
    if wish.by.casefold() == second.casefold():
        raise InputError(Problem(file="--second", message="is the same person", found=second, accepted="another one"))
    if len(reason) not in _REASON or not reason.isprintable():
        accepted = f"{_REASON.start} to {_REASON.stop - 1} characters on one line, which is all that a reviewer reads"
        found = ascii(reason[:120])[1:-1]
        raise InputError(Problem(file="--break-glass", message="is no reason", found=found, accepted=accepted))
    rules = ground.promotion.break_glass
    return PastGates(
        second=second,
        reason=reason,
        expires=as_moment(wish.at + duration(rules.expires_after)),
        review_due=as_moment(wish.at + duration(rules.review_within)),
    )
