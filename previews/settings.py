"""What the plugin is told, in one mounted file; what is secret stands in files of its own, which it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ladder.contract.base import Settings
from ladder.contract.namespaces import Compute
from ladder.contract.previews import Offered
from ladder.contract.stack import TierLevel
from ladder.contract.types import (
    ApiUrl,
    ChartRepository,
    DnsLabel,
    Duration,
    HostName,
    LabelValue,
    RegistryPrefix,
    duration,
    quantity,
)
from ladder.contract.violations import Violation
from ladder.errors import Problem
from previews.facts import Bounds, Cost
from previews.mounted import ApiServer, File, no_token, read_as, unreadable, violation

__all__ = ["PluginSettings", "read"]

Selector = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9./_-]+=[A-Za-z0-9._-]+$", examples=["ladder.internal/environment=dev"])
]


class Listen(Settings):
    """Where it answers."""

    host: Annotated[Literal["0.0.0.0", "::", "127.0.0.1", "::1"], Field(examples=["0.0.0.0"])]  # noqa: S104 - in a pod
    port: Annotated[int, Field(ge=1024, le=65535, examples=[8080])]


class Plugin(Settings):
    """Who may ask: the ApplicationSet of this name, with the token in this file."""

    application_set: DnsLabel
    token: File


class GitHubSettings(Settings):
    """The repository whose pull requests carry ``label``, and ``<label>-<tier>`` where they ask for another tier."""

    url: ApiUrl
    owner: Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})$", examples=["acme"])]
    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$", examples=["shop"])]
    label: LabelValue
    token: File


class RegistrySettings(Settings):
    """Where pull requests' images are: ``<repository>/<service>:<head SHA>``, tags that never move.

    Null ``credentials`` asks as anybody; null ``tokens`` lets the registry send for tokens to itself alone.
    """

    url: ApiUrl
    repository: RegistryPrefix
    credentials: File | None
    tokens: ApiUrl | None


class ClusterSettings(ApiServer):
    """Argo CD's Applications in ``namespace`` that carry ``selector``.

    ``previews`` and ``environment`` are AppProjects: of the previews, and of the services that they run beside.
    """

    selector: Selector
    previews: DnsLabel
    environment: DnsLabel
    chart: ChartRepository


class Limits(Settings):
    """What previews are held to. ``tiers`` has what one preview of a tier requests.

    ``budget`` is what all may request together, times hours: each is charged its tier for a whole ``ttl``.
    """

    host: HostName
    ttl: Duration
    max_age: Duration
    """Since the pull request was opened; no push moves it."""
    max_count: Annotated[int, Field(gt=0, le=1000, examples=[20])]
    tiers: Annotated[Mapping[Offered, Compute], Field(min_length=1)]
    budget: Compute


class Keeping(Settings):
    """How long one set of facts is used: ``fresh`` by itself, ``stale`` where there are no newer ones to be had."""

    fresh: Duration
    stale: Duration


class PluginSettings(Settings):
    """The plugin's whole configuration."""

    listen: Listen
    plugin: Plugin
    github: GitHubSettings
    registry: RegistrySettings
    cluster: ClusterSettings
    limits: Limits
    keeping: Keeping

    def bounds(self) -> Bounds:
        hours = Fraction(int(duration(self.limits.ttl).total_seconds()), 3600)
        tiers = {
            TierLevel(tier): Cost(quantity(each.cpu) * hours, quantity(each.memory) * hours)
            for tier, each in self.limits.tiers.items()
        }
        budget = self.limits.budget
        return Bounds(
            host=self.limits.host,
            repository=self.registry.repository,
            ttl=duration(self.limits.ttl),
            max_age=duration(self.limits.max_age),
            max_count=self.limits.max_count,
            tiers=tiers,
            budget=Cost(quantity(budget.cpu), quantity(budget.memory)),
        )


def read(path: Path) -> PluginSettings:
    """The settings of the file, with every secret's file readable. Raises InputError with every problem found."""
    return read_as(path, PluginSettings, _together, _files)


def _together(settings: PluginSettings) -> Iterator[Violation]:
    limits, keeping, registry = settings.limits, settings.keeping, settings.registry
    if duration(limits.max_age) < duration(limits.ttl):
        yield violation("limits.maxAge", "is shorter than ttl", limits.max_age, f"at least {limits.ttl}")
    if duration(keeping.stale) * 2 > duration(limits.ttl):
        accepted = f"at most half of ttl ({limits.ttl})"
        yield violation("keeping.stale", "would outlast previews", keeping.stale, accepted)
    if duration(keeping.fresh) > duration(keeping.stale):
        yield violation("keeping.fresh", "is longer than stale", keeping.fresh, f"at most {keeping.stale}")
    host = registry.repository.partition("/")[0]
    if registry.url.partition("://")[2] != host:
        yield violation("registry.repository", "is of another registry than url", host, registry.url)
    yield from settings.cluster.violations()
    bounds = settings.bounds()
    for tier, cost in bounds.tiers.items():
        if not cost.within(bounds.budget):
            message = f"does not hold one preview of tier {tier} for a ttl"
            accepted = f"at least {float(cost.cpu):g} core hours and {float(cost.memory):g} byte hours"
            yield violation("limits.budget", message, f"{limits.budget.cpu}, {limits.budget.memory}", accepted)


def _files(settings: PluginSettings) -> Iterator[Problem]:
    yield from no_token(settings.plugin.token, "plugin.token")
    yield from no_token(settings.github.token, "github.token")
    yield from settings.cluster.problems()
    yield from unreadable(settings.registry.credentials, "registry.credentials")
