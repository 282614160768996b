"""A plugin over stand-ins: in this process, or as its settings' file for a process of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from ladder.contract.stack import TierLevel
from previews.admission import Admission
from previews.collecting import Sources
from previews.facts import Bounds, Cost
from previews.github import GitHub
from previews.live import Cluster
from previews.metrics import Metrics
from previews.registry import Registry
from tests.previews.github_stand_in import GitHubStandIn, Pull, at, sha
from tests.previews.other_stand_ins import CHART, ClusterStandIn, RegistryStandIn, service
from tests.previews.serving import client, serving

__all__ = ["BOUNDS", "World", "written"]

_Result = TypeVar("_Result")
_HOUR = Fraction(1)
BOUNDS = Bounds(
    host="previews.example.com",
    repository="registry.example/acme/previews",
    ttl=timedelta(hours=72),
    max_age=timedelta(days=14),
    max_count=3,
    tiers={TierLevel.LITE: Cost(72 * _HOUR, 144 * _HOUR), TierLevel.STANDARD: Cost(216 * _HOUR, 432 * _HOUR)},
    budget=Cost(504 * _HOUR, 1008 * _HOUR),
)


@dataclass
class World:
    """All that the plugin asks, and its clocks: ``seconds`` is monotonic, ``now`` the time of day."""

    folder: Path
    github: GitHubStandIn = field(default_factory=GitHubStandIn)
    cluster: ClusterStandIn = field(default_factory=ClusterStandIn)
    registry: RegistryStandIn = field(default_factory=RegistryStandIn)
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    seconds: float = 1000.0

    def __post_init__(self) -> None:
        for name, token in (("github", self.github.token), ("cluster", self.cluster.token), ("plugin", "plugin-token")):
            (self.folder / name).write_text(f"{token}\n", encoding="utf-8")
        self.cluster.put(service("api"), service("web"))

    def pull(self, number: int, *, hours: float = 1.0, built: bool = True, push: int = 0, **more: Any) -> Pull:
        """A pull request that was opened and pushed so many hours ago, with an image of ``web``."""
        when = at(self.now, hours)
        made = Pull(number, when, (when,), sha(number, push), **more)
        self.github.put(made)
        if built:
            self.registry.build("web", made.sha)
        return made

    def later(self, seconds: float) -> None:
        self.seconds += seconds
        self.now += timedelta(seconds=seconds)

    def sources(self, metrics: Metrics | None = None) -> Sources:
        github, folder = self.github, self.folder
        hub = GitHub(
            client(github),
            github.owner,
            github.repository,
            "preview",
            folder / "github",
            on_answer=(metrics or Metrics()).heard,
            clock=lambda: self.seconds,
        )
        cluster = Cluster(
            client(self.cluster),
            folder / "cluster",
            "argocd",
            "ladder.internal/environment=dev",
            "ladder-dev-previews",
            "ladder-dev",
            CHART,
        )
        return Sources(hub, Registry(client(self.registry), "acme/previews"), cluster)

    def admission(self, bounds: Bounds = BOUNDS, metrics: Metrics | None = None) -> Admission:
        return Admission(
            self.sources(metrics),
            bounds,
            metrics or Metrics(),
            fresh=timedelta(seconds=10),
            stale=timedelta(minutes=10),
            clock=lambda: self.seconds,
            now=lambda: self.now,
        )

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """The result of the work. Every answer that GitHub gave was of GitHub's shape."""
        result = asyncio.run(work)
        assert self.github.invalid == set()
        return result

    @contextmanager
    def served(self) -> Iterator[None]:
        """The stand-ins on loopback ports."""
        with ExitStack() as stack:
            for each in (self.github, self.cluster, self.registry):
                stack.enter_context(serving(each))
            yield


def written(world: World, port: int = 8080, **more: Any) -> Path:
    """The settings' file of a plugin over the stand-ins; ``more`` are sections, or parts of one by ``section__key``."""
    folder, registry = world.folder, world.registry.url.partition("://")[2]
    sections: dict[str, Any] = {
        "listen": {"host": "127.0.0.1", "port": port},
        "plugin": {"applicationSet": "ladder-dev-previews", "token": str(folder / "plugin")},
        "github": {
            "url": world.github.url,
            "owner": world.github.owner,
            "repository": world.github.repository,
            "label": "preview",
            "token": str(folder / "github"),
        },
        "registry": {
            "url": world.registry.url,
            "repository": f"{registry}/acme/previews",
            "credentials": None,
            "tokens": None,
        },
        "cluster": {
            "url": world.cluster.url,
            "namespace": "argocd",
            "selector": "ladder.internal/environment=dev",
            "previews": "ladder-dev-previews",
            "environment": "ladder-dev",
            "chart": CHART,
            "token": str(folder / "cluster"),
            "authority": None,
        },
        "limits": {
            "host": "previews.example.com",
            "ttl": "72h",
            "maxAge": "336h",
            "maxCount": 20,
            "tiers": {"lite": {"cpu": "1", "memory": "2Gi"}, "standard": {"cpu": "3", "memory": "6Gi"}},
            "budget": {"cpu": "1440", "memory": "2880Gi"},
        },
        "keeping": {"fresh": "10s", "stale": "10m"},
    }
    for path, value in more.items():
        section, _, key = path.partition("__")
        if key:
            sections[section][key] = value
        else:
            sections[section] = value
    file = folder / "settings.yaml"
    file.write_text(json.dumps(sections, indent=2), encoding="utf-8")
    return file
