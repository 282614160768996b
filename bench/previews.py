"""What one reconcile of Argo CD costs with 200 open pull requests, and how long a preview takes to come and to go."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx

from bench.measure import Figure, median_of, timed
from sandbox.connection import start, stop
from sandbox.progress import Silent
from tests.previews.plugins import World, written
from tests.previews.processes import plugin, unused_port
from tests.sandbox.cluster import until
from tests.sandbox.delivery.previewing import DEADLINE, Previewing, previewing

__all__ = ["figures"]

_PULLS = 200
_TOKEN = {"Authorization": "Bearer plugin-token"}


def figures(rounds: int) -> Iterator[Figure]:
    done = [_reconcile() for _ in range(rounds)]
    seconds = [each.seconds for each in done]
    ratio = sorted(seconds)[rounds // 2] / sorted(each.bare for each in done)[rounds // 2]
    yield median_of(
        f"previews: decide {_PULLS} pull requests, nothing known before",
        seconds,
        "s",
        aim="< 2 s",
        note=f"{done[0].asked} questions to GitHub, {done[0].admitted} admitted; {ratio:.1f} × as many bare answers",
    )
    yield from _on_the_controllers(rounds)


def _on_the_controllers(rounds: int) -> Iterator[Figure]:
    """From GitHub's webhook on, on Argo CD's own controllers; binaries must be cached."""
    with tempfile.TemporaryDirectory(prefix="ladder-bench-") as directory:
        state, scratch = Path(directory) / "state", Path(directory) / "scratch"
        scratch.mkdir()
        opened: list[float] = []
        closed: list[float] = []
        try:
            sandbox = start(state, progress=Silent(), argocd=True)
            with previewing(sandbox, scratch) as scene:
                for number in range(1, rounds + 1):
                    opened.append(timed(lambda number=number: _open(scene, number)))
                    scene.settled(number)
                    closed.append(timed(lambda number=number: _close(scene, number)))
        finally:
            stop(state)
    yield median_of("previews: opened to a namespace with its quota", opened, "s", aim="< 10 s")
    yield median_of("previews: closed to gone", closed, "s", aim="< 15 s")


def _open(scene: Previewing, number: int) -> None:
    scene.opened(number)
    path = f"/api/v1/namespaces/pr-{number}/resourcequotas/quota"
    until(lambda: scene.cluster.call("GET", path).status == HTTPStatus.OK, DEADLINE, scene.told(number))


def _close(scene: Previewing, number: int) -> None:
    scene.closed(number)
    until(lambda: scene.gone(number), DEADLINE, scene.told(number))


@dataclass(frozen=True, slots=True)
class _Reconcile:
    """Seconds of a reconcile, and of as many answers to nothing; how often GitHub was asked, and who is admitted."""

    seconds: float
    bare: float
    asked: int
    admitted: int


def _reconcile() -> _Reconcile:
    with tempfile.TemporaryDirectory(prefix="ladder-bench-") as directory:
        world, port = World(Path(directory)), unused_port()
        heads = {number: world.pull(number).sha for number in range(1, _PULLS + 1)}
        with world.served(), plugin(written(world, port), port) as running, httpx.Client(timeout=30) as http:
            _warm(http, world)
            bare = timed(lambda: [http.get(f"{running.url}/healthz") for _ in heads])
            answers: list[httpx.Response] = []
            seconds = timed(lambda: answers.extend(_ask(http, running.url, heads)))
        admitted = sum(bool(answer.raise_for_status().json()["output"]["parameters"]) for answer in answers)
        return _Reconcile(seconds, bare, len(world.github.asked), admitted)


def _warm(http: httpx.Client, world: World) -> None:
    """The stand-in makes its answers, and holds them against their schema, before anybody measures."""
    base, headers = f"{world.github.url}/repos/acme/shop", {"Authorization": f"Bearer {world.github.token}"}
    paths = [f"pulls?state=open&per_page=100&page={page}" for page in (1, 2)]
    paths += [f"commits/{world.github.pulls[1].sha}/check-suites"]
    for path in paths:
        http.get(f"{base}/{path}", headers=headers).raise_for_status()
    world.github.asked.clear()


def _ask(http: httpx.Client, url: str, heads: dict[int, str]) -> Iterator[httpx.Response]:
    for number, head in heads.items():
        parameters = {"number": str(number), "headSha": head}
        body = {"applicationSetName": "ladder-dev-previews", "input": {"parameters": parameters}}
        yield http.post(f"{url}/api/v1/getparams.execute", json=body, headers=_TOKEN)
