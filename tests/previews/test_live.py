"""What the plugin remembers by the cluster alone: previews as they were admitted, and dev's digests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ladder.contract.stack import TierLevel
from previews.facts import Live, Pinned, Running, Service
from previews.fetching import Unavailable
from previews.live import as_text
from tests.previews.github_stand_in import sha
from tests.previews.other_stand_ins import digest, preview, service
from tests.previews.plugins import World
from tests.previews.serving import Reply

RUNNING = Running(
    sha(7),
    TierLevel.STANDARD,
    (
        Service("api", "", digest("api"), digest("chart")),
        Service("web", "r.example/web", digest("web"), digest("chart")),
    ),
)


def test_what_an_answer_says_is_what_is_read_back(world: World) -> None:
    world.cluster.put(preview(7, as_text(RUNNING)))
    found = world.run(world.sources().cluster.applications())
    assert found.previews == {7: Live(RUNNING)}
    assert found.services == {name: Pinned(digest(f"dev/{name}"), digest(f"chart/{name}")) for name in ("api", "web")}


def _without(key: str) -> str:
    told = json.loads(as_text(RUNNING))
    del told[key]
    return json.dumps(told)


@pytest.mark.parametrize(
    "text", [None, "", "{}", "null", as_text(RUNNING)[:-1], _without("sha"), _without("tier"), _without("services")]
)
def test_a_preview_that_cannot_be_read_takes_its_place_all_the_same(world: World, text: str | None) -> None:
    world.cluster.put(preview(7, text))
    assert world.run(world.sources().cluster.applications()).previews == {7: Live(None)}


@pytest.mark.parametrize("name", ["pr-0", "pr-07", "pr-x", "pr-7-web", "xpr-7", "pr-7\n"])
def test_what_has_another_name_is_no_preview(world: World, name: str) -> None:
    other = preview(7, as_text(RUNNING))
    other["metadata"]["name"] = name
    world.cluster.put(other)
    assert world.run(world.sources().cluster.applications()).previews == {}


def test_an_application_of_another_project_is_neither(world: World) -> None:
    other, stranger = preview(7, as_text(RUNNING)), service("other")
    other["spec"]["project"] = stranger["spec"]["project"] = "default"
    world.cluster.put(other, stranger)
    found = world.run(world.sources().cluster.applications())
    assert (found.previews, sorted(found.services)) == ({}, ["api", "web"])


def test_every_page_is_read(world: World) -> None:
    world.cluster.size = 2
    world.cluster.put(*(preview(number, as_text(RUNNING)) for number in range(1, 8)))
    assert sorted(world.run(world.sources().cluster.applications()).previews) == list(range(1, 8))
    assert len(world.cluster.asked) == 5


def _no_image(application: dict[str, Any]) -> None:
    application["metadata"]["annotations"] = {}


def _no_digest(application: dict[str, Any]) -> None:
    application["spec"]["sources"][0]["targetRevision"] = "main"


def _no_chart(application: dict[str, Any]) -> None:
    del application["spec"]["sources"][0]


@pytest.mark.parametrize("change", [_no_image, _no_digest, _no_chart])
def test_a_service_whose_digests_cannot_be_read_is_trouble(world: World, change: Any) -> None:
    broken = service("web")
    change(broken)
    world.cluster.put(broken)
    with pytest.raises(Unavailable, match="the Application dev-web names no digest"):
        world.run(world.sources().cluster.applications())


def test_no_service_at_all_is_trouble(world: World) -> None:
    world.cluster.applications.clear()
    with pytest.raises(Unavailable, match="has no service of ladder-dev"):
        world.run(world.sources().cluster.applications())


@pytest.mark.parametrize(
    "reply", [Reply(500), Reply(401), Reply(403), Reply(404), Reply(200, b"{}"), Reply(200, b'{"kind": "Status"}')]
)
def test_trouble_of_any_kind_is_no_answer(world: World, reply: Reply) -> None:
    world.cluster.trouble = lambda _: reply
    with pytest.raises(Unavailable, match="the cluster: "):
        world.run(world.sources().cluster.applications())
