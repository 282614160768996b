"""The plugin as Argo CD meets it, in this process: who may ask, what is a question, and what is listed."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from previews.app import MOST_BYTES, Application
from previews.metrics import Metrics
from previews.page import MOST_LISTED
from previews.settings import read
from tests.previews.github_stand_in import sha
from tests.previews.other_stand_ins import digest, preview
from tests.previews.plugins import World, written
from tests.previews.serving import Reply

EXECUTE = "/api/v1/getparams.execute"
TOKEN = {"Authorization": "Bearer plugin-token"}


class Plugin:
    """One plugin over the stand-ins, without sockets."""

    def __init__(self, world: World) -> None:
        self.world = world
        metrics = Metrics()
        self.admission = world.admission(metrics=metrics)
        own = Application(read(written(world)), self.admission, metrics)
        self.app = Starlette(routes=own.routes())

    async def ask(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://plugin") as http:
            return await http.request(method, path, **more)

    def run(self, work: Coroutine[Any, Any, httpx.Response]) -> httpx.Response:
        return self.world.run(work)

    def execute(self, content: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.run(self.ask(EXECUTE, "POST", content=body, headers=TOKEN if headers is None else headers))


@pytest.fixture
def plugin(world: World) -> Plugin:
    return Plugin(world)


def question(number: Any = "7", head: Any = None, **more: Any) -> dict[str, Any]:
    parameters = {"number": number, "headSha": sha(7) if head is None else head, **more}
    return {"applicationSetName": "ladder-dev-previews", "input": {"parameters": parameters}}


def test_an_admitted_pull_request_is_one_item_of_text(plugin: Plugin, world: World) -> None:
    world.pull(7, hours=2)
    answer = plugin.execute(question())
    assert answer.status_code == 200
    (item,) = answer.json()["output"]["parameters"]
    services = [
        {"name": "api", "repository": "", "digest": digest("dev/api"), "chart": digest("chart/api")},
        {
            "name": "web",
            "repository": "registry.example/acme/previews/web",
            "digest": digest(f"web@{sha(7)}"),
            "chart": digest("chart/web"),
        },
    ]
    running = {"sha": sha(7), "tier": "lite", "services": services}
    assert item["services"] == services
    assert json.loads(item.pop("running")) == running
    assert {key: value for key, value in item.items() if key not in {"services", "expires"}} == {
        "sha": sha(7),
        "tier": "lite",
        "host": "pr-7.previews.example.com",
        "seed": "7",
    }
    assert item["expires"].endswith("Z")


def test_whoever_is_not_admitted_gets_an_empty_list(plugin: Plugin, world: World) -> None:
    world.pull(7, draft=True)
    answer = plugin.execute(question())
    assert (answer.status_code, answer.json()) == (200, {"output": {"parameters": []}})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer plugin-toke"},
        {"Authorization": "Bearer plugin-token2"},
        {"Authorization": "bearer plugin-token"},
        {"Authorization": "Basic plugin-token"},
        {"Authorization": "Bearer plugin-t\u00f6ken".encode("latin-1")},
    ],
)
def test_a_wrong_token_is_refused_before_anything_is_asked(plugin: Plugin, world: World, headers: Any) -> None:
    world.pull(7)
    answer = plugin.execute(question(), headers)
    assert (answer.status_code, answer.json()) == (401, {"message": "wants the plugin's own token"})
    assert world.github.asked == []


def test_the_token_is_the_one_that_the_file_has_now(plugin: Plugin, world: World) -> None:
    world.pull(7)
    (world.folder / "plugin").write_text("renewed\n", encoding="utf-8")
    assert plugin.execute(question()).status_code == 401
    assert plugin.execute(question(), {"Authorization": "Bearer renewed"}).status_code == 200
    (world.folder / "plugin").unlink()
    assert plugin.execute(question(), {"Authorization": "Bearer renewed"}).status_code == 503
    assert plugin.run(plugin.ask("/readyz")).status_code == 503
    assert plugin.run(plugin.ask("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff",
        b"[" * 10_000,
        {},
        {"applicationSetName": "ladder-dev-previews"},
        {**question(), "applicationSetName": "another"},
        {**question(), "applicationSetName": 7},
        {"applicationSetName": "ladder-dev-previews", "input": None},
        {"applicationSetName": "ladder-dev-previews", "input": {"parameters": {"number": "7"}}},
        {"applicationSetName": "ladder-dev-previews", "input": {**question()["input"], "more": 1}},
        question(7),
        question("07"),
        question("-7"),
        question("7 "),
        question("7\n"),
        question("99999999999"),
        question("\u0667"),
        question(head="main"),
        question(head=sha(7).upper()),
        question(head=sha(7)[:39]),
        question(head=f"{sha(7)}\n"),
        question(host="evil.example"),
        question(ttl="9999h"),
    ],
)
def test_what_is_no_question_is_refused_and_asks_nobody(plugin: Plugin, world: World, body: Any) -> None:
    world.pull(7)
    answer = plugin.execute(body)
    assert (answer.status_code, list(answer.json())) == (400, ["message"])
    assert world.github.asked == []


def test_a_question_of_a_later_argo_cd_is_still_one(plugin: Plugin, world: World) -> None:
    world.pull(7)
    assert plugin.execute({**question(), "somethingNew": {}}).status_code == 200


def test_a_question_without_end_is_cut(plugin: Plugin, world: World) -> None:
    assert plugin.execute(b" " * (MOST_BYTES + 1)).status_code == 413
    assert world.github.asked == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_refused(plugin: Plugin, method: str) -> None:
    assert plugin.run(plugin.ask(EXECUTE, method, headers=TOKEN)).status_code == 405


@pytest.mark.parametrize("reply", [Reply(500), Reply(404), Reply(403), Reply(200, b"<html>")])
def test_trouble_is_503_with_its_reason_and_no_secret(plugin: Plugin, world: World, reply: Reply) -> None:
    world.github.trouble = lambda _: reply
    answer = plugin.execute(question())
    assert (answer.status_code, answer.json()["message"].startswith("GitHub: ")) == (503, True)
    assert "token" not in answer.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)
NUMBERS = st.integers(-3, 12).map(str) | st.text(max_size=4) | JSON
HEADS = st.integers(0, 12).map(sha) | st.text(alphabet="0123456789abcdefg", max_size=64) | JSON
QUESTIONS = st.builds(question, NUMBERS, HEADS)
BODIES = st.binary(max_size=200) | JSON.map(lambda each: json.dumps(each).encode())
ASKED = QUESTIONS.map(lambda each: json.dumps(each).encode()) | BODIES


@pytest.mark.exhaustive
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=ASKED, token=st.sampled_from(["plugin-token", "plugin-token", "wrong", ""]))
@example(body=json.dumps(question()).encode(), token="wrong")
def test_no_body_breaks_it_and_none_admits_what_may_not_be(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, token: str
) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    for number in range(1, 6):
        world.pull(number, draft=True)
    for number in range(6, 10):
        world.pull(number, fork=True)
    answer = Plugin(world).execute(body, {"Authorization": f"Bearer {token}"})
    assert answer.status_code in {200, 400, 401, 503}
    if answer.status_code == 200:
        assert answer.json() == {"output": {"parameters": []}}
    if answer.status_code == 503:
        # It was a question, about a pull request that there is not: GitHub's 404 is trouble.
        assert "answers 404 to /repos/acme/shop/pulls/" in answer.json()["message"]
    if token != "plugin-token":
        assert (answer.status_code, world.github.asked) == (401, [])


def test_every_decision_is_listed_with_its_reason(plugin: Plugin, world: World) -> None:
    world.pull(7)
    world.pull(8, draft=True, title="<script>alert(1)</script>", author="<b>mallory</b>")
    world.cluster.put(preview(9, "garbled"))
    plugin.execute(question())
    told = plugin.run(plugin.ask("/previews.json")).json()
    assert [(each["number"], each["verdict"], each["reason"]) for each in told["pullRequests"]] == [
        (7, "admitted", f"runs {sha(7)[:7]}"),
        (8, "refused", "is a draft"),
    ]
    assert (told["places"], told["trouble"], told["leftOff"]) == ({"taken": 1, "most": 3}, None, 0)
    page = plugin.run(plugin.ask("/previews"))
    assert "is a draft" in page.text
    assert "alert" not in page.text
    assert "mallory" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_what_a_page_shows_is_escaped_and_bounded(plugin: Plugin, world: World) -> None:
    for number in range(1, MOST_LISTED + 4):
        world.pull(number, draft=True)
    plugin.execute(question())
    last = plugin.admission.last
    assert last is not None
    last.decisions[1] = replace(last.decisions[1], reason='<img src=x onerror="alert(1)">')
    page = plugin.run(plugin.ask("/previews")).text
    assert "<img" not in page
    assert "&lt;img src=x" in page
    assert page.count('<th scope="row">') == MOST_LISTED
    assert "3 more are not listed." in page


def test_a_list_asks_nobody_and_tells_of_trouble(plugin: Plugin, world: World) -> None:
    assert "Nobody has asked yet" in plugin.run(plugin.ask("/previews")).text
    assert world.github.asked == []
    world.github.trouble = lambda _: Reply(500)
    plugin.execute(question())
    assert plugin.run(plugin.ask("/previews.json")).json()["trouble"].startswith("GitHub: answers 500")
    assert 'role="alert"' in plugin.run(plugin.ask("/previews")).text


def test_what_happened_is_measured(plugin: Plugin, world: World) -> None:
    world.pull(7)
    plugin.execute(question())
    plugin.execute(question(), {})
    text = plugin.run(plugin.ask("/metrics")).text
    assert 'previews_answers_total{answer="admitted"} 1.0' in text
    assert 'previews_answers_total{answer="status 401"} 1.0' in text
    assert 'previews_pull_requests{verdict="admitted"} 1.0' in text
    assert 'previews_github_requests_total{status="200"} 2.0' in text
    assert "previews_github_remaining 4999.0" in text
    assert "previews_facts_seconds_count 1.0" in text


def test_settings_reach_the_clients(world: World, tmp_path: Path) -> None:
    from previews.app import application

    with world.served():
        app = application(read(written(world)))
        world.pull(7)

        async def ask() -> httpx.Response:
            async with app.router.lifespan_context(app):
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url="http://plugin") as http:
                    return await http.post(EXECUTE, json=question(), headers=TOKEN)

        answer = world.run(ask())
    (item,) = answer.json()["output"]["parameters"]
    assert item["services"][1]["repository"] == f"{world.registry.url.removeprefix('http://')}/acme/previews/web"
