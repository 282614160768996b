"""Which pull requests become previews, and with what: a function of facts, which asks nobody and keeps nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ladder.contract.stack import TierLevel
from previews.facts import Approval, Bounds, Cost, Details, Facts, PullRequest, Running, Service

__all__ = ["Cause", "Decision", "Item", "Verdict", "decide", "expired", "gone", "newcomers", "refusal"]

_MAY_WRITE = frozenset({"admin", "write"})
_SHOWN = 7


class Verdict(StrEnum):
    """What is said of a pull request."""

    ADMITTED = "admitted"
    WAITING = "waiting"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """It runs, and what it runs cannot be read: no answer, so that it is left alone."""


class Cause(StrEnum):
    """Why it is not admitted, or why not with its head's own images."""

    BUILT = "built"
    KEPT = "kept"
    IMAGE = "image"
    ROOM = "room"
    UNREADABLE = "unreadable"
    CLOSED = "closed"
    LABEL = "label"
    DRAFT = "draft"
    TIER = "tier"
    EXPIRED = "expired"
    TOO_OLD = "too-old"
    APPROVAL = "approval"


@dataclass(frozen=True, slots=True)
class Item:
    """What a preview is: what runs in it, until when, where, and the seed of its data."""

    running: Running
    expires: datetime
    host: str
    seed: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one pull request, and why. ``item`` is there where it is admitted; ``reason`` is for people."""

    number: int
    head: str
    verdict: Verdict
    cause: Cause
    reason: str
    item: Item | None = None


def decide(facts: Facts, bounds: Bounds) -> dict[int, Decision]:
    """A decision for every pull request, by number.

    Those that run come first, then newcomers, each by number. What runs is not displaced by a newcomer, and a place is
    free when its preview is gone from the cluster, not when that is decided. Whoever there is no room for is not
    overtaken.
    """
    pulls = sorted(facts.pulls, key=lambda pull: pull.number)
    decisions: dict[int, Decision] = {}
    for pull in pulls:
        refused = refusal(pull, facts.now, bounds)
        if refused is not None:
            decisions[pull.number] = refused
    standing = [pull for pull in pulls if pull.number not in decisions]
    decisions |= _runners([pull for pull in standing if pull.number in facts.live], facts, bounds)
    decisions |= _entering([pull for pull in standing if pull.number not in facts.live], facts, bounds)
    return decisions


def newcomers(facts: Facts, bounds: Bounds) -> list[PullRequest]:
    """Those that may be asked about further, in the order in which they enter, if there is room for any."""
    if len(facts.live) >= bounds.max_count:
        return []
    pulls = sorted(facts.pulls, key=lambda pull: pull.number)
    return [pull for pull in pulls if pull.number not in facts.live and _listed(pull, bounds) is None]


def refusal(pull: PullRequest, now: datetime, bounds: Bounds) -> Decision | None:
    """Why it may not be a preview whatever room there is, or None. Without details, by what the list tells."""
    refused = _listed(pull, bounds)
    if refused is not None or pull.details is None:
        return refused
    expires, cause, why = _expiry(pull, pull.details, bounds)
    if now >= expires:
        return _refused(pull, cause, why)
    if (pull.fork or pull.bot) and not any(_counts(pull, approval) for approval in pull.details.approvals):
        who = "comes from a fork" if pull.fork else "was opened by a bot"
        return _refused(pull, Cause.APPROVAL, f"{who}: needs an approval of {_short(pull.head)} by who may write")
    return None


def expired(decision: Decision, now: datetime) -> Decision:
    """The decision as it stands later: an admission ends when it expires."""
    if decision.item is None or now < decision.item.expires:
        return decision
    return Decision(decision.number, decision.head, Verdict.REFUSED, Cause.EXPIRED, "its time is over: push again")


def gone(number: int, head: str) -> Decision:
    """The decision on a pull request that GitHub says is closed."""
    return Decision(number, head, Verdict.REFUSED, Cause.CLOSED, "is closed")


def _listed(pull: PullRequest, bounds: Bounds) -> Decision | None:
    if pull.closed:
        return gone(pull.number, pull.head)
    if not pull.labelled:
        return _refused(pull, Cause.LABEL, "does not carry the label")
    if pull.draft:
        return _refused(pull, Cause.DRAFT, "is a draft")
    offered = ", ".join(sorted(bounds.tiers))
    asked = pull.tiers - bounds.tiers.keys()
    if asked:
        return _refused(pull, Cause.TIER, f"asks for a tier that is not offered here (offered: {offered})")
    if not bounds.cost(_tier(pull, bounds)).within(bounds.budget):
        return _refused(pull, Cause.TIER, f"asks for tier {_tier(pull, bounds)}, which the whole budget does not hold")
    return None


def _tier(pull: PullRequest, bounds: Bounds) -> TierLevel:
    """The most that it asks for, of those offered; the least that is offered where it asks for none."""
    order = [tier for tier in TierLevel if tier in bounds.tiers]
    return next((tier for tier in reversed(order) if tier in pull.tiers), order[0])


def _expiry(pull: PullRequest, details: Details, bounds: Bounds) -> tuple[datetime, Cause, str]:
    """When it ends and why. What GitHub does not tell counts as long ago as it can be: since it was opened."""
    since = max(details.pushed or pull.created, pull.created)
    by_push, by_age = since + bounds.ttl, pull.created + bounds.max_age
    if by_age < by_push:
        return by_age, Cause.TOO_OLD, "is as old as a preview's pull request may be"
    return by_push, Cause.EXPIRED, "was last pushed to too long ago: push again"


def _counts(pull: PullRequest, approval: Approval) -> bool:
    own = approval.reviewer.casefold() == pull.author.casefold()
    return approval.sha == pull.head and not approval.dismissed and approval.permission in _MAY_WRITE and not own


def _runners(pulls: Iterable[PullRequest], facts: Facts, bounds: Bounds) -> Iterator[tuple[int, Decision]]:
    """Those that run stay, at their tier; where the bounds were lowered, as many of them as still fit."""
    count, spent = 0, Cost()
    for pull in pulls:
        live = facts.live[pull.number]
        together = spent + bounds.cost(live.tier)
        if count >= bounds.max_count or not together.within(bounds.budget):
            yield pull.number, _waiting(pull, Cause.ROOM, "no longer fits what the bounds were lowered to")
            continue
        count, spent = count + 1, together
        yield pull.number, _with(pull, live.tier or _tier(pull, bounds), facts, bounds, live.running)


def _entering(pulls: Iterable[PullRequest], facts: Facts, bounds: Bounds) -> Iterator[tuple[int, Decision]]:
    count, full = len(facts.live), ""
    spent = sum((bounds.cost(live.tier) for live in facts.live.values()), Cost())
    for pull in pulls:
        if pull.details is None or full:
            yield pull.number, _waiting(pull, Cause.ROOM, full or _full(count, bounds))
            continue
        tier = _tier(pull, bounds)
        decision = _with(pull, tier, facts, bounds, None)
        together = spent + bounds.cost(tier)
        if decision.verdict is Verdict.ADMITTED:
            if count >= bounds.max_count:
                full = _full(count, bounds)
            elif not together.within(bounds.budget):
                full = f"waits for room in the budget: #{pull.number} is next, at tier {tier}"
            else:
                count, spent = count + 1, together
        yield pull.number, _waiting(pull, Cause.ROOM, full) if full else decision


def _with(pull: PullRequest, tier: TierLevel, facts: Facts, bounds: Bounds, running: Running | None) -> Decision:
    """Admitted with the head's images; without any, with what it runs; without that, waiting."""
    details = pull.details
    if details is None:
        return _unreadable(pull, "nobody asked about it")
    expires, _, _ = _expiry(pull, details, bounds)
    host = f"pr-{pull.number}.{bounds.host}"
    if any(name in facts.services for name in details.images):
        built = Running(pull.head, tier, tuple(_services(details.images, facts, bounds)))
        return _admitted(pull, Cause.BUILT, f"runs {_short(pull.head)}", Item(built, expires, host, pull.number))
    if running is not None:
        why = f"runs {_short(running.sha)}: no image of {_short(pull.head)} is built yet"
        return _admitted(pull, Cause.KEPT, why, Item(running, expires, host, pull.number))
    if pull.number in facts.live:
        return _unreadable(pull, f"no image of {_short(pull.head)} is built yet, and what it runs cannot be read")
    return _waiting(pull, Cause.IMAGE, f"waits for an image of {_short(pull.head)}")


def _services(images: Mapping[str, str], facts: Facts, bounds: Bounds) -> Iterator[Service]:
    for name, pinned in sorted(facts.services.items()):
        built = name in images
        repository = f"{bounds.repository}/{name}" if built else ""
        yield Service(name, repository, images[name] if built else pinned.image, pinned.chart)


def _full(count: int, bounds: Bounds) -> str:
    return f"waits for room: {count} of {bounds.max_count} places are taken or spoken for"


def _short(sha: str) -> str:
    return sha[:_SHOWN]


def _admitted(pull: PullRequest, cause: Cause, reason: str, item: Item) -> Decision:
    return Decision(pull.number, pull.head, Verdict.ADMITTED, cause, reason, item)


def _waiting(pull: PullRequest, cause: Cause, reason: str) -> Decision:
    return Decision(pull.number, pull.head, Verdict.WAITING, cause, reason)


def _refused(pull: PullRequest, cause: Cause, reason: str) -> Decision:
    return Decision(pull.number, pull.head, Verdict.REFUSED, cause, reason)


def _unreadable(pull: PullRequest, reason: str) -> Decision:
    return Decision(pull.number, pull.head, Verdict.UNKNOWN, Cause.UNREADABLE, reason)
