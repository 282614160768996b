"""The plugin as an ASGI application: Argo CD's question, health, metrics, and the list of decisions.

Protocol: Argo CD's plugin generator. An empty list removes a preview; any status but 200 leaves everything as it is.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ladder.contract.types import duration
from previews.admission import Admission
from previews.collecting import Sources
from previews.decision import Decision, Item
from previews.fetching import Unavailable, client, secret, trusting
from previews.github import GitHub
from previews.live import Cluster, as_text
from previews.metrics import Metrics
from previews.moments import moment
from previews.page import as_html, as_json
from previews.registry import Registry
from previews.settings import PluginSettings

__all__ = ["MOST_BYTES", "Application", "application"]

MOST_BYTES = 16 * 1024
"""The largest question that is read; Argo CD's have a few hundred bytes."""

_SECONDS = 5.0
_HARMLESS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class _Parameters(BaseModel):
    """What the ApplicationSet passes: nothing that bounds an answer, which this plugin's own settings do."""

    model_config = ConfigDict(extra="forbid", strict=True)
    number: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,9}$")]
    head: Annotated[str, Field(alias="headSha", pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")]


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    parameters: _Parameters


class _Question(BaseModel):
    """The body of a request; what a later Argo CD may add beside ``input`` is overlooked."""

    model_config = ConfigDict(strict=True)
    asker: Annotated[str, Field(alias="applicationSetName", max_length=253)]
    input: _Input


class _Refused(Exception):
    """A question that gets no answer, and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


def application(settings: PluginSettings) -> Starlette:
    """The application, with clients of its own, which it closes when it stops."""
    metrics = Metrics()
    github = client(settings.github.url)
    registry = client(settings.registry.url)
    cluster = client(settings.cluster.url, verify=trusting(settings.cluster.authority))
    sources = Sources(_github(settings, github, metrics), _registry(settings, registry), _cluster(settings, cluster))
    keeping = settings.keeping
    fresh, stale = duration(keeping.fresh), duration(keeping.stale)
    own = Application(settings, Admission(sources, settings.bounds(), metrics, fresh=fresh, stale=stale), metrics)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        for each in (github, registry, cluster):
            await each.aclose()

    return Starlette(routes=own.routes(), lifespan=lifespan)


def _github(settings: PluginSettings, http: Any, metrics: Metrics) -> GitHub:
    told = settings.github
    return GitHub(http, told.owner, told.repository, told.label, Path(told.token), on_answer=metrics.heard)


def _registry(settings: PluginSettings, http: Any) -> Registry:
    told = settings.registry
    path = told.repository.partition("/")[2]
    return Registry(http, path, Path(told.credentials) if told.credentials is not None else None, told.tokens)


def _cluster(settings: PluginSettings, http: Any) -> Cluster:
    told = settings.cluster
    return Cluster(http, Path(told.token), told.namespace, told.selector, told.previews, told.environment, told.chart)


class Application:
    """The routes over one admission."""

    def __init__(self, settings: PluginSettings, admission: Admission, metrics: Metrics) -> None:
        self._plugin, self._admission, self._metrics = settings.plugin, admission, metrics

    def routes(self) -> list[Route]:
        return [
            Route("/api/v1/getparams.execute", self._asked, methods=["POST"]),
            Route("/healthz", self._alive),
            Route("/readyz", self._ready),
            Route("/metrics", self._measured),
            Route("/previews", self._page),
            Route("/previews.json", self._list),
        ]

    async def _asked(self, request: Request) -> Response:
        try:
            self._authorize(request)
            question = await self._question(request)
            parameters = question.input.parameters
            decision = await self._admission.answer(int(parameters.number), parameters.head)
        except _Refused as refused:
            self._metrics.answers.labels(f"status {refused.status.value}").inc()
            return JSONResponse({"message": str(refused)}, refused.status)
        except Unavailable as trouble:
            self._metrics.answers.labels("unavailable").inc()
            return JSONResponse({"message": str(trouble)}, HTTPStatus.SERVICE_UNAVAILABLE)
        self._metrics.answers.labels(decision.verdict.value).inc()
        return JSONResponse({"output": {"parameters": _parameters(decision)}})

    def _authorize(self, request: Request) -> None:
        given = request.headers.get("authorization", "").encode("latin-1")
        wanted = f"Bearer {secret(Path(self._plugin.token), 'the plugin')}".encode()
        if not hmac.compare_digest(given, wanted):
            raise _Refused(HTTPStatus.UNAUTHORIZED, "wants the plugin's own token")

    async def _question(self, request: Request) -> _Question:
        body = bytearray()
        try:
            async with asyncio.timeout(_SECONDS):
                async for part in request.stream():
                    body += part
                    if len(body) > MOST_BYTES:
                        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"is more than {MOST_BYTES} bytes")
        except TimeoutError as error:
            raise _Refused(HTTPStatus.REQUEST_TIMEOUT, f"did not come within {_SECONDS:.0f} s") from error
        except ClientDisconnect as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, "did not come whole") from error
        try:
            question = _Question.model_validate_json(bytes(body))
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in wrong["loc"])
            raise _Refused(HTTPStatus.BAD_REQUEST, f"is no question: {where}: {wrong['msg']}"[:200]) from error
        if question.asker != self._plugin.application_set:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"is not asked by the ApplicationSet {self._plugin.application_set}")
        return question

    async def _alive(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _ready(self, _: Request) -> Response:
        """Whether it can tell who asks. What GitHub or the registry do is no reason to send nobody here."""
        try:
            secret(Path(self._plugin.token), "the plugin")
        except Unavailable as trouble:
            return PlainTextResponse(f"{trouble}\n", HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("ok\n")

    async def _measured(self, _: Request) -> Response:
        return Response(generate_latest(self._metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(as_html(self._admission), headers=_HARMLESS)

    async def _list(self, _: Request) -> Response:
        return JSONResponse(as_json(self._admission), headers=_HARMLESS)


def _parameters(decision: Decision) -> list[dict[str, Any]]:
    return [] if decision.item is None else [_item(decision.item)]


def _item(item: Item) -> dict[str, Any]:
    """All text but ``services``: a number would reach Argo CD's templates as a float, ``1e+06``."""
    running = item.running
    return {
        "services": [
            {"name": each.name, "repository": each.repository, "digest": each.digest, "chart": each.chart}
            for each in running.services
        ],
        "sha": running.sha,
        "tier": running.tier.value,
        "expires": moment(item.expires),
        "host": item.host,
        "seed": str(item.seed),
        "running": as_text(running),
    }
