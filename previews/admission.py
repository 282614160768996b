"""Answering one pull request after the other from one set of facts, and what is still said when facts cannot be had."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from previews.collecting import Sources, collect
from previews.decision import Decision, Verdict, decide, expired, gone
from previews.facts import Bounds, Facts, Running
from previews.fetching import Unavailable
from previews.github import Round
from previews.metrics import Metrics

__all__ = ["Admission", "Snapshot"]

_GRACE = 60.0
"""Seconds for which an answer takes a place before its Application must show in the cluster."""

_APART = 1.0
"""Seconds from the beginning of one gathering to that of the next."""

_AFTER_TROUBLE = 5.0
"""Seconds after trouble in which nobody is asked."""

_MOST_CONFIRMED = 20
_LOG = logging.getLogger("previews")


@dataclass(slots=True)
class Snapshot:
    """Facts, what follows from them, and when (of a monotonic clock) gathering them began.

    ``answered`` are those that were told of their admission.
    """

    began: float
    facts: Facts
    decisions: dict[int, Decision]
    questions: Round
    answered: set[int] = field(default_factory=set[int])
    confirmed: int = 0


def _now() -> datetime:
    return datetime.now(UTC)


class Admission:
    """The answers of one plugin. Facts serve for ``fresh``; where there are no newer ones, for ``stale``.

    Then it repeats what was decided of the same head: nobody enters, nothing lasts longer, what was refused stays so.
    """

    def __init__(
        self,
        sources: Sources,
        bounds: Bounds,
        metrics: Metrics,
        *,
        fresh: timedelta,
        stale: timedelta,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._sources, self.bounds, self._metrics = sources, bounds, metrics
        self._fresh, self._stale = fresh.total_seconds(), stale.total_seconds()
        self._clock, self._now = clock, now
        self._granted: dict[int, tuple[Running, float]] = {}
        self._taking: asyncio.Task[Snapshot] | None = None
        self._began = -math.inf
        self._troubled = -math.inf
        self.last: Snapshot | None = None
        self.trouble: Unavailable | None = None

    async def answer(self, number: int, head: str) -> Decision:
        """What is decided of the pull request, whose head Argo CD sees as this. Raises Unavailable."""
        try:
            decision = await self._decided(number, head)
        except Unavailable:
            decision = self._repeated(number, head)
            if decision is None:
                raise
        if decision.verdict is Verdict.UNKNOWN:
            raise Unavailable(f"pr-{number}", decision.reason)
        if decision.item is not None:
            self._granted[number] = (decision.item.running, self._clock())
            if self.last is not None:
                self.last.answered.add(number)
        return decision

    async def _decided(self, number: int, head: str) -> Decision:
        arrived = self._clock()
        snapshot = await self._snapshot(arrived - self._fresh)
        if number not in snapshot.decisions and await self._closed(snapshot, number):
            snapshot.decisions[number] = gone(number, head)
        known = snapshot.decisions.get(number)
        if (known is None or known.head != head) and snapshot.began < arrived:
            # Argo CD has seen what these facts do not know.
            snapshot = await self._snapshot(arrived)
        if number not in snapshot.decisions:
            raise Unavailable("GitHub", f"does not list #{number}, and says that it is open")
        return expired(snapshot.decisions[number], self._now())

    async def _closed(self, snapshot: Snapshot, number: int) -> bool:
        """That it is not listed does not make it closed: GitHub must say so of it."""
        if snapshot.confirmed >= _MOST_CONFIRMED:
            raise Unavailable("GitHub", f"lists fewer pull requests than Argo CD asks about, #{number} among others")
        snapshot.confirmed += 1
        return (await snapshot.questions.one(number)).closed

    def _repeated(self, number: int, head: str) -> Decision | None:
        last = self.last
        if last is None or self._clock() - last.began > self._stale:
            return None
        decision = last.decisions.get(number)
        if decision is None or decision.head != head:
            return None
        enters = decision.verdict is Verdict.ADMITTED and number not in last.facts.live.keys() | last.answered
        return None if enters else expired(decision, self._now())

    async def _snapshot(self, since: float) -> Snapshot:
        """Facts whose gathering began at that time or later. Whoever asks meanwhile waits for the same."""
        if self.last is not None and self.last.began >= since:
            return self.last
        if self._taking is None or self._taking.done():
            if self.trouble is not None and self._clock() - self._troubled < _AFTER_TROUBLE:
                raise self.trouble.again()
            self._taking = asyncio.create_task(self._take())
        return await asyncio.shield(self._taking)

    async def _take(self) -> Snapshot:
        await asyncio.sleep(max(0.0, self._began + _APART - self._clock()))
        began = self._began = self._clock()
        self._granted = {number: each for number, each in self._granted.items() if began - each[1] < _GRACE}
        granted = {number: running for number, (running, _) in self._granted.items()}
        questions, now = self._sources.github.round(), self._now()
        try:
            with self._metrics.seconds.time():
                facts = await collect(self._sources, questions, self.bounds, granted, now)
        except Unavailable as trouble:
            self._in_trouble(trouble)
            raise
        if self.trouble is not None:
            _LOG.info("recovered", extra={"told": {"from": str(self.trouble)}})
        decisions = decide(facts, self.bounds)
        _tell_changes(self.last.decisions if self.last else {}, decisions)
        self._metrics.decided(decisions.values(), now.timestamp())
        self.trouble, self.last = None, Snapshot(began, facts, decisions, questions)
        return self.last

    def _in_trouble(self, trouble: Unavailable) -> None:
        self._metrics.trouble.labels(trouble.source).inc()
        if str(trouble) != str(self.trouble):
            _LOG.warning("trouble", extra={"told": {"source": trouble.source, "reason": str(trouble)}})
        self.trouble, self._troubled = trouble, self._clock()


def _tell_changes(before: Mapping[int, Decision], after: Mapping[int, Decision]) -> None:
    """One line for each decision that is another than before."""
    for number, decision in sorted(after.items()):
        old = before.get(number)
        if old is None or (old.verdict, old.cause, old.reason) != (decision.verdict, decision.cause, decision.reason):
            told = {"pullRequest": number, "head": decision.head, "verdict": decision.verdict.value}
            told |= {"cause": decision.cause.value, "reason": decision.reason}
            _LOG.info("decided", extra={"told": told | ({"was": old.verdict.value} if old else {})})
    for number in sorted(before.keys() - after.keys()):
        _LOG.info("decided", extra={"told": {"pullRequest": number, "verdict": "gone", "reason": "is no longer open"}})
