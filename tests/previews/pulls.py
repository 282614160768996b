"""Facts by hand: pull requests, what runs, and bounds, for tests of the decision alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ladder.contract.stack import TierLevel
from previews.decision import Decision, Verdict, decide
from previews.facts import Approval, Bounds, Details, Facts, Live, Pinned, PullRequest, Running, Service
from tests.previews.github_stand_in import sha
from tests.previews.other_stand_ins import digest
from tests.previews.plugins import BOUNDS

__all__ = ["NOW", "SERVICES", "admitted", "decided", "ran", "request"]

NOW = datetime(2031, 5, 17, 12, tzinfo=UTC)
SERVICES = {name: Pinned(digest(f"dev/{name}"), digest(f"chart/{name}")) for name in ("api", "web", "worker")}


def request(
    number: int,
    *,
    built: bool = True,
    hours: float = 1.0,
    opened: float | None = None,
    approvals: tuple[Approval, ...] = (),
    details: bool = True,
    **more: Any,
) -> PullRequest:
    """A pull request that may be a preview; pushed and opened so many hours ago, with an image of web."""
    own: dict[str, Any] = {"head": sha(number), "author": "alice", "labelled": True, "tiers": frozenset()}
    own |= {"draft": False, "closed": False, "fork": False, "bot": False, **more}
    images = {"web": digest(f"web@{own['head']}")} if built else {}
    known = Details(NOW - timedelta(hours=hours), approvals, images)
    created = NOW - timedelta(hours=hours if opened is None else opened)
    return PullRequest(number=number, created=created, details=known if details else None, **own)


def ran(commit: str = "0" * 40, tier: TierLevel = TierLevel.LITE) -> Live:
    """A preview that runs images of the commit."""
    service = Service("web", f"{BOUNDS.repository}/web", digest(f"web@{commit}"), digest("chart/web"))
    return Live(Running(commit, tier, (service,)))


def decided(
    *pulls: PullRequest, live: Mapping[int, Live] | None = None, bounds: Bounds = BOUNDS, **more: Any
) -> dict[int, Decision]:
    facts = Facts(pulls=pulls, services=SERVICES, live=live or {}, now=NOW)
    return decide(replace(facts, **more), bounds)


def admitted(decisions: Mapping[int, Decision]) -> set[int]:
    return {number for number, decision in decisions.items() if decision.verdict is Verdict.ADMITTED}
