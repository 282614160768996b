"""What is known of pull requests, of the previews that run, and of the bounds they are held to: facts, no judgment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Literal

from ladder.contract.stack import TierLevel

__all__ = [
    "Approval",
    "Bounds",
    "Cost",
    "Details",
    "Facts",
    "Live",
    "Permission",
    "Pinned",
    "PullRequest",
    "Running",
    "Service",
]

Permission = Literal["admin", "write", "read", "none"]
"""The base role on the repository; GitHub counts ``maintain`` as write and ``triage`` as read."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's last opinion, once an approval. ``dismissed`` also where they have asked for changes since."""

    reviewer: str
    permission: Permission
    sha: str
    dismissed: bool


@dataclass(frozen=True, slots=True)
class Details:
    """What costs a question for each pull request. ``images`` has the digest of each service built from the head.

    ``pushed`` is when GitHub first saw the head; None where it does not tell.
    """

    pushed: datetime | None
    approvals: tuple[Approval, ...]
    images: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A pull request as GitHub lists it. ``details`` is None where nobody asked, because there is no room for it.

    ``tiers`` are the tiers its labels ask for; ``bot`` is also true of an author who is no longer there.
    """

    number: int
    head: str
    author: str
    labelled: bool
    tiers: frozenset[str]
    draft: bool
    closed: bool
    fork: bool
    bot: bool
    created: datetime
    details: Details | None = None


@dataclass(frozen=True, slots=True)
class Pinned:
    """The digests that the environment runs a service at: of the image and of the chart."""

    image: str
    chart: str


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a preview. ``repository`` is the image's where the pull request built it, else empty: dev's own."""

    name: str
    repository: str
    digest: str
    chart: str


@dataclass(frozen=True, slots=True)
class Running:
    """What a preview was last admitted with; ``sha`` is the head its images were built from."""

    sha: str
    tier: TierLevel
    services: tuple[Service, ...]


@dataclass(frozen=True, slots=True)
class Live:
    """A preview that takes room. ``running`` is None where what it was admitted with cannot be read."""

    running: Running | None

    @property
    def tier(self) -> TierLevel | None:
        return self.running.tier if self.running is not None else None


@dataclass(frozen=True, slots=True)
class Cost:
    """Cores and bytes, times hours."""

    cpu: Fraction = Fraction(0)
    memory: Fraction = Fraction(0)

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu + other.cpu, self.memory + other.memory)

    def within(self, most: Cost) -> bool:
        return self.cpu <= most.cpu and self.memory <= most.memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What previews are held to. ``tiers`` are those offered, by what one preview requests for a whole ``ttl``.

    ``repository`` holds the images that pull requests build, as ``<repository>/<service>:<head>``.
    """

    host: str
    repository: str
    ttl: timedelta
    max_age: timedelta
    max_count: int
    tiers: Mapping[TierLevel, Cost]
    budget: Cost

    def cost(self, tier: TierLevel | None) -> Cost:
        """What a preview of the tier is charged: the most there is where the tier is unknown, or no longer offered."""
        if tier is not None and tier in self.tiers:
            return self.tiers[tier]
        return Cost(max(cost.cpu for cost in self.tiers.values()), max(cost.memory for cost in self.tiers.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything a decision follows from. ``services`` are what dev runs; ``live`` are previews, by number."""

    pulls: tuple[PullRequest, ...]
    services: Mapping[str, Pinned]
    live: Mapping[int, Live]
    now: datetime
