"""Which previews are to be removed, by what the cluster tells: a function of what was found, which asks nobody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ladder.contract.previews import EXPIRES, PREVIEW_NAMESPACES
from previews.moments import moment, parsed

__all__ = ["BEYOND", "KEEP", "PREVIEW", "Decision", "Found", "Kind", "Terms", "Verdict", "decide"]

PREVIEW = re.compile(PREVIEW_NAMESPACES)
"""What previews are named like; to be matched as a whole."""

KEEP = "ladder.internal/keep-until"
"""The annotation by which a person keeps a preview that is over."""

BEYOND = timedelta(days=7)
"""Whatever annotations say, it counts up to this long after the newest part is as old as a preview may be."""


class Kind(StrEnum):
    """What a preview consists of, in the order of removal: Argo CD would make the Namespace of an Application again."""

    APPLICATION = "Application"
    NAMESPACE = "Namespace"


_ORDER = tuple(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A Namespace or an Application, with its annotations' texts where it has them.

    ``marked`` says whose it is: by the label, or by the AppProject. ``deleting`` is since when it is being deleted.
    """

    kind: Kind
    name: str
    marked: bool
    uid: str
    version: str
    created: datetime
    expires: str | None = None
    keep: str | None = None
    deleting: datetime | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """A preview is over when its annotation says so, or at ``max_age``; ``grace`` later it is to be gone."""

    grace: timedelta
    max_age: timedelta


class Verdict(StrEnum):
    """What is said of a preview."""

    LIVE = "live"
    KEPT = "kept"
    """It is over, and a person wants it to stay."""
    DUE = "due"
    TERMINATING = "terminating"
    LEFT = "left"
    """It has the mark of a preview and not the name of one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is said of the parts of one name, and why; ``doomed`` are to be deleted, in this order.

    ``problems`` are annotations that do not say what they should.
    """

    name: str
    verdict: Verdict
    reason: str
    expires: datetime | None = None
    doomed: tuple[Found, ...] = ()
    problems: tuple[str, ...] = ()


def decide(found: Iterable[Found], now: datetime, terms: Terms) -> list[Decision]:
    """A decision for every name that has the mark of a preview; of what has not, nothing is said."""
    named: dict[str, list[Found]] = {}
    for each in found:
        if each.marked:
            named.setdefault(each.name, []).append(each)
    ordered = sorted(named.items(), key=lambda item: (len(item[0]), item[0]))
    return [_decided(name, sorted(parts, key=_in_order), now, terms) for name, parts in ordered]


def _in_order(found: Found) -> int:
    return _ORDER.index(found.kind)


def _decided(name: str, parts: Sequence[Found], now: datetime, terms: Terms) -> Decision:
    if not PREVIEW.fullmatch(name):
        return Decision(name, Verdict.LEFT, "is marked as a preview's and not named like one: nothing is done to it")
    by_age = _later(max(each.created for each in parts), terms.max_age)
    latest = _later(by_age, BEYOND)
    expires, kept = _expiry(parts, by_age, latest), _kept(parts, latest)
    problems = tuple(_problems(parts, latest))

    def decision(verdict: Verdict, reason: str, doomed: Sequence[Found] = ()) -> Decision:
        return Decision(name, verdict, reason, expires, tuple(doomed), problems)

    due = _later(expires, terms.grace)
    doomed = _doomed(parts, now, terms.grace) if now > due and (kept is None or now > kept) else ()
    going = [each for each in parts if each.deleting is not None]
    since = "; ".join(
        f"its {each.kind} is being deleted since {moment(each.deleting)}" for each in going if each.deleting
    )
    if doomed:
        why = f"was to be gone by {moment(due)}"
        return decision(Verdict.DUE, f"{why}; {since}" if since else why, doomed)
    if since:
        return decision(Verdict.TERMINATING, f"{since}; was to be gone by {moment(due)}" if now > due else since)
    if now <= expires:
        return decision(Verdict.LIVE, "its time is not over")
    if now <= due:
        return decision(Verdict.LIVE, f"its time is over; others have until {moment(due)} to remove it")
    return decision(Verdict.KEPT, f"its time is over, and {KEEP} keeps it until {moment(kept or latest)}")


def _doomed(parts: Sequence[Found], now: datetime, grace: timedelta) -> Sequence[Found]:
    """What is not being deleted; nothing while the Application is, which comes before the Namespace.

    For ``grace``: then whoever should have ended it does not, and nothing of it makes the Namespace again.
    """
    first, *_ = parts
    if first.kind is Kind.APPLICATION and first.deleting is not None and now <= _later(first.deleting, grace):
        return ()
    return [each for each in parts if each.deleting is None]


def _expiry(parts: Sequence[Found], by_age: datetime, latest: datetime) -> datetime:
    """The latest that any part tells; where one cannot be read, or none tells, the age that a preview may have."""
    told = [parsed(each.expires) or by_age for each in parts if each.expires is not None]
    return min(max(told, default=by_age), latest)


def _kept(parts: Sequence[Found], latest: datetime) -> datetime | None:
    """Until when a person keeps it: as long as can be where that cannot be read."""
    told = [parsed(each.keep) or latest for each in parts if each.keep is not None]
    return min(max(told), latest) if told else None


def _problems(parts: Sequence[Found], latest: datetime) -> Iterator[str]:
    for each in parts:
        for name, text in ((EXPIRES, each.expires), (KEEP, each.keep)):
            if text is None:
                continue
            time = parsed(text)
            if time is None:
                yield f"the {each.kind}'s {name} is not a time as RFC 3339 has it"
            elif time > latest:
                yield f"the {each.kind}'s {name} is later than {moment(latest)}, and counts as that"


def _later(time: datetime, by: timedelta) -> datetime:
    """The time after that; the last there is where that would be later."""
    try:
        return time + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
