"""What Prometheus reads."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from previews.decision import Decision, Verdict

__all__ = ["Metrics"]

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 25)


class Metrics:
    """The plugin's metrics, in a registry of its own."""

    def __init__(self) -> None:
        own = self.registry = CollectorRegistry()
        self.answers = Counter("previews_answers", "Answers to Argo CD.", ["answer"], registry=own)
        self._pulls = Gauge("previews_pull_requests", "Open pull requests by decision.", ["verdict"], registry=own)
        self._taken = Gauge("previews_facts_timestamp_seconds", "When the facts in use were gathered.", registry=own)
        self.seconds = Histogram("previews_facts_seconds", "Gathering facts.", buckets=_SECONDS, registry=own)
        self.trouble = Counter("previews_trouble", "Facts not gathered, by whose fault.", ["source"], registry=own)
        self._asked = Counter("previews_github_requests", "Questions to GitHub, by status.", ["status"], registry=own)
        self._left = Gauge("previews_github_remaining", "What GitHub's rate limit leaves.", registry=own)

    def heard(self, status: int, left: int | None) -> None:
        """GitHub answered."""
        self._asked.labels(str(status)).inc()
        if left is not None:
            self._left.set(left)

    def decided(self, decisions: Iterable[Decision], when: float) -> None:
        """New decisions stand since ``when``, in seconds of Unix time."""
        tally = Tally(decision.verdict for decision in decisions)
        for verdict in Verdict:
            self._pulls.labels(verdict.value).set(tally[verdict])
        self._taken.set(when)
