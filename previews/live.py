"""What the cluster runs: previews with what they were last admitted with, and dev's services at their digests.

Both are read from Argo CD's Applications, by one question, so that a restart of this plugin forgets nothing. What a
preview was admitted with stands in the annotation that the ApplicationSet stamps on it from the answer itself. Dev's
image digest stands in an annotation too, from the same file of the tree as the chart's digest in the Application's
source: what is wanted, of one commit. What is running (``status.summary.images``) has two digests during a rollout, and
the tree itself would need one more credential.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ladder.contract.stack import TierLevel
from ladder.contract.types import Digest, DnsLabel
from previews.facts import Live, Pinned, Running, Service
from previews.fetching import Unavailable, fetch, secret

__all__ = ["IMAGE", "RUNNING", "SERVICE", "Applications", "Cluster", "as_text"]

RUNNING = "ladder.internal/running"
"""The annotation on a preview's Application that holds its answer's ``running``."""

IMAGE = "ladder.internal/image"
"""The annotation on a service's Application that holds the image's digest."""

SERVICE = "ladder.internal/service"
"""The label on a service's Application that holds the service's name."""

_SOURCE = "the cluster"
_PREVIEW = re.compile(r"pr-([1-9][0-9]{0,9})")
_PAGE, _MOST_PAGES = 200, 20


class _Metadata(BaseModel):
    name: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _ChartSource(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    repository: Annotated[str, Field(alias="repoURL")]
    revision: Annotated[str, Field(alias="targetRevision")] = ""


class _Spec(BaseModel):
    project: str
    sources: list[_ChartSource] = []


class _Application(BaseModel):
    metadata: _Metadata
    spec: _Spec


class _ListMetadata(BaseModel):
    following: Annotated[str, Field(alias="continue")] = ""


class _List(BaseModel):
    kind: Literal["ApplicationList"]
    metadata: _ListMetadata
    items: list[_Application]


class _Service(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: DnsLabel
    repository: Annotated[str, Field(max_length=400)]
    digest: Digest
    chart: Digest


class _Running(BaseModel):
    """The annotation's content, as :func:`as_text` wrote it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    sha: Annotated[str, Field(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")]
    tier: TierLevel
    services: Annotated[list[_Service], Field(min_length=1)]


class _Pinned(BaseModel):
    name: DnsLabel
    image: Digest
    chart: Digest


@dataclass(frozen=True, slots=True)
class Applications:
    """Previews by number, and dev's services by name."""

    previews: dict[int, Live]
    services: dict[str, Pinned]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The Applications of a namespace that carry ``selector``, as this plugin's ServiceAccount may list them.

    ``previews`` and ``environment`` are the AppProjects of previews and of the services that dev runs.
    """

    http: httpx.AsyncClient
    token: Path
    namespace: str
    selector: str
    previews: str
    environment: str
    chart: str
    """The charts' OCI repository."""

    async def applications(self) -> Applications:
        """Raises Unavailable, also where dev has no service or one whose digests cannot be read."""
        previews: dict[int, Live] = {}
        services: dict[str, Pinned] = {}
        for each in await self._list():
            number = _PREVIEW.fullmatch(each.metadata.name)
            if each.spec.project == self.previews and number:
                previews[int(number[1])] = Live(_running(each.metadata.annotations.get(RUNNING, "")))
            elif each.spec.project == self.environment and SERVICE in each.metadata.labels:
                pinned = self._pinned(each)
                services[pinned.name] = Pinned(pinned.image, pinned.chart)
        if not services:
            raise Unavailable(_SOURCE, f"has no service of {self.environment}, beside which a preview would run")
        return Applications(previews, services)

    def _pinned(self, application: _Application) -> _Pinned:
        charts = [source.revision for source in application.spec.sources if source.repository == self.chart]
        name, image = application.metadata.labels[SERVICE], application.metadata.annotations.get(IMAGE, "")
        try:
            return _Pinned(name=name, image=image, chart=charts[0] if charts else "")
        except ValidationError as error:
            why = f"the Application {application.metadata.name} names no digest of its image ({IMAGE}) or chart"
            raise Unavailable(_SOURCE, why) from error

    async def _list(self) -> list[_Application]:
        path = f"/apis/argoproj.io/v1alpha1/namespaces/{self.namespace}/applications"
        query = {"labelSelector": self.selector, "limit": str(_PAGE)}
        found: list[_Application] = []
        for _ in range(_MOST_PAGES):
            headers = {"Authorization": f"Bearer {secret(self.token, _SOURCE)}", "Accept": "application/json"}
            answer = await fetch(self.http, _SOURCE, f"{path}?{urlencode(query)}", headers=headers)
            if answer.status != HTTPStatus.OK:
                raise Unavailable(_SOURCE, f"answers {answer.status} where Applications are listed")
            try:
                page = _List.model_validate_json(answer.body)
            except ValidationError as error:
                raise Unavailable(_SOURCE, "answers something else than a list of Applications") from error
            found += page.items
            if not page.metadata.following:
                return found
            query["continue"] = page.metadata.following
        raise Unavailable(_SOURCE, f"has more than {_PAGE * _MOST_PAGES:,} Applications")


def as_text(running: Running) -> str:
    """What the annotation holds: one line of JSON, the same for the same."""
    services = [
        {"name": each.name, "repository": each.repository, "digest": each.digest, "chart": each.chart}
        for each in running.services
    ]
    told = {"sha": running.sha, "tier": running.tier.value, "services": services}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def _running(text: str) -> Running | None:
    try:
        told = _Running.model_validate_json(text)
    except ValidationError:
        return None
    services = (Service(each.name, each.repository, each.digest, each.chart) for each in told.services)
    return Running(told.sha, told.tier, tuple(services))
