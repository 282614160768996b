"""Gathering the facts of one set of decisions: one question for each list, and for each pull request only what counts.

Those that run are asked about first. Newcomers are asked about in the order in which they enter, and no further once
there is no more room. So GitHub is asked once for each hundred open pull requests; once for each that is looked at, the
first time its head is seen; and where it comes from a fork or a bot, for its reviews, and once for each of at most ten
reviewers. :data:`previews.github.MOST_ASKED` ends it in any case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

from previews.decision import Cause, Verdict, decide, newcomers, refusal
from previews.facts import Bounds, Details, Facts, Live, PullRequest, Running
from previews.fetching import Unavailable
from previews.github import GitHub, Round
from previews.live import Cluster
from previews.registry import Registry

__all__ = ["Sources", "collect"]

_SECONDS = 25.0
"""Argo CD waits 30 s for an answer."""

_LEAST_AT_ONCE, _AT_ONCE = 8, 10

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Sources:
    """The systems that are asked."""

    github: GitHub
    registry: Registry
    cluster: Cluster


async def collect(
    sources: Sources, questions: Round, bounds: Bounds, granted: Mapping[int, Running], now: datetime
) -> Facts:
    """The facts as they are. ``granted`` are answers so recent that the cluster may not show them yet.

    Raises Unavailable where one of the systems does not answer as it should.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            return await _collect(sources, questions, bounds, granted, now)
    except TimeoutError as error:
        raise Unavailable("the facts", f"were not there within {_SECONDS:.0f} s") from error


async def _collect(
    sources: Sources, questions: Round, bounds: Bounds, granted: Mapping[int, Running], now: datetime
) -> Facts:
    listing = asyncio.ensure_future(questions.open())
    try:
        applications = await sources.cluster.applications()
        pulls = await listing
    finally:
        listing.cancel()
        await asyncio.gather(listing, return_exceptions=True)
    live = {number: Live(running) for number, running in granted.items()} | applications.previews
    facts = Facts(pulls=tuple(pulls), services=applications.services, live=live, now=now)
    examiner = _Examiner(sources, questions, bounds, facts)
    running = [pull for pull in pulls if pull.number in live and refusal(pull, now, bounds) is None]
    facts = _with(facts, await examiner.examine(running))
    waiting = newcomers(facts, bounds)
    size = max(bounds.max_count - len(live), _LEAST_AT_ONCE)
    for start in range(0, len(waiting), size):
        batch = await examiner.examine(waiting[start : start + size])
        examined = {pull.number for pull in batch}
        facts = _with(facts, batch)
        decided = [decision for number, decision in decide(facts, bounds).items() if number not in live]
        full = len(live) + sum(each.verdict is Verdict.ADMITTED for each in decided) >= bounds.max_count
        if full or any(decision.cause is Cause.ROOM for decision in decided if decision.number in examined):
            break
    return facts


@dataclass(frozen=True, slots=True)
class _Examiner:
    sources: Sources
    questions: Round
    bounds: Bounds
    facts: Facts
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    async def examine(self, pulls: Iterable[PullRequest]) -> list[PullRequest]:
        """The pull requests with their details; images are asked for where nothing else refuses."""
        return await _all(self._details(pull) for pull in pulls)

    async def _details(self, pull: PullRequest) -> PullRequest:
        async with self.turns:
            return await self._asked(pull)

    async def _asked(self, pull: PullRequest) -> PullRequest:
        pushed = await self.questions.pushed(pull.head)
        approvals = await self.questions.approvals(pull) if pull.fork or pull.bot else ()
        examined = replace(pull, details=Details(pushed, approvals, {}))
        if refusal(examined, self.facts.now, self.bounds) is not None:
            return examined
        names = sorted(self.facts.services)
        found = [await self.sources.registry.digest(name, pull.head) for name in names]
        images = {name: digest for name, digest in zip(names, found, strict=True) if digest is not None}
        return replace(pull, details=Details(pushed, approvals, images))


def _with(facts: Facts, examined: Iterable[PullRequest]) -> Facts:
    known = {pull.number: pull for pull in examined}
    return replace(facts, pulls=tuple(known.get(pull.number, pull) for pull in facts.pulls))


async def _all(work: Iterable[Coroutine[Any, Any, _Result]]) -> list[_Result]:
    """Every result, in order; the first failure ends the rest."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
