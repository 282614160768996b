"""The digest of a head's image: from a registry's answers, and what it may ask of the plugin before."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from previews.fetching import Unavailable
from previews.registry import Registry
from tests.previews.github_stand_in import sha
from tests.previews.other_stand_ins import digest
from tests.previews.plugins import World
from tests.previews.serving import Reply

HEAD = sha(7)
FOUND = digest(f"web@{HEAD}")
Handler = Callable[[httpx.Request], httpx.Response]


def test_the_digest_is_that_of_the_tag_and_asked_once(world: World) -> None:
    world.registry.build("web", HEAD)
    registry = world.sources().registry

    async def several() -> list[str | None]:
        return [
            await registry.digest("web", HEAD),
            await registry.digest("web", HEAD),
            await registry.digest("api", HEAD),
        ]

    assert world.run(several()) == [FOUND, FOUND, None]
    assert [asked.method for asked in world.registry.asked] == ["HEAD", "HEAD"]


def test_what_is_not_built_yet_is_asked_again(world: World) -> None:
    registry = world.sources().registry

    async def twice() -> list[str | None]:
        before = await registry.digest("web", HEAD)
        world.registry.build("web", HEAD)
        return [before, await registry.digest("web", HEAD)]

    assert world.run(twice()) == [None, FOUND]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500),
        Reply(403),
        Reply(429),
        Reply(302, b"", {"Location": "https://elsewhere.example"}),
        Reply(200),
        Reply(200, b"", {"Docker-Content-Digest": "sha512:00"}),
        Reply(200, b"", {"Docker-Content-Digest": FOUND.upper()}),
        Reply(401),
        Reply(401, b"", {"WWW-Authenticate": "Basic realm=x"}),
        Reply(401, b"", {"WWW-Authenticate": 'Bearer realm="https://evil.example/token",service="x"'}),
        Reply(401, b"", {"WWW-Authenticate": "Bearer"}),
    ],
)
def test_trouble_of_any_kind_is_no_answer(world: World, reply: Reply) -> None:
    world.registry.trouble = lambda _: reply
    with pytest.raises(Unavailable, match="the registry: "):
        world.run(world.sources().registry.digest("web", HEAD))
    assert all(asked.url.startswith(world.registry.url) for asked in world.registry.asked)


def registry(handler: Handler, credentials: Path | None = None, tokens: str | None = None) -> Registry:
    http = httpx.AsyncClient(base_url="https://registry.example", transport=httpx.MockTransport(handler))
    return Registry(http, "acme/previews", credentials, tokens)


def guarded(realm: str, seen: list[httpx.Request], answer: str = '{"token": "opened", "expires_in": 300}') -> Handler:
    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path == "/token":
            return httpx.Response(200, text=answer)
        if request.headers.get("authorization") == "Bearer opened":
            return httpx.Response(200, headers={"Docker-Content-Digest": FOUND})
        scope = "repository:acme/previews/web:pull"
        challenge = f'Bearer realm="{realm}/token",service="registry.example",scope="{scope}"'
        return httpx.Response(401, headers={"WWW-Authenticate": challenge})

    return handle


def docker(folder: Path, **own: str) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({"auths": {"registry.example": own}}, indent=2), encoding="utf-8")
    return file


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_token_is_fetched_with_the_credentials_and_kept(world: World, name: str) -> None:
    seen: list[httpx.Request] = []
    auth = base64.b64encode(b"user:secret").decode()
    answer = json.dumps({name: "opened"})
    handler = guarded("https://registry.example", seen, answer)
    asked = registry(handler, docker(world.folder, username="user", password="secret"))

    async def twice() -> list[str | None]:
        return [await asked.digest("web", HEAD), await asked.digest("web", sha(8))]

    assert world.run(twice()) == [FOUND, FOUND]
    paths = [request.url.path.rpartition("/")[2] for request in seen]
    assert paths == [HEAD, "token", HEAD, sha(8)]
    assert seen[1].headers["authorization"] == f"Basic {auth}"
    assert dict(seen[1].url.params) == {"service": "registry.example", "scope": "repository:acme/previews/web:pull"}


def test_another_address_gets_credentials_only_where_it_is_configured(world: World) -> None:
    seen: list[httpx.Request] = []
    file = docker(world.folder, auth=base64.b64encode(b"user:secret").decode())
    handler = guarded("https://tokens.example", seen)
    assert world.run(registry(handler, file, "https://tokens.example").digest("web", HEAD)) == FOUND
    seen.clear()
    with pytest.raises(Unavailable, match="to an address that is not configured"):
        world.run(registry(handler, file).digest("web", HEAD))
    assert {request.url.host for request in seen} == {"registry.example"}


@pytest.mark.parametrize("answer", ["", "{}", '{"token": ""}', '{"token": "a b"}', "[]"])
def test_what_is_no_token_is_trouble(world: World, answer: str) -> None:
    with pytest.raises(Unavailable, match="gives no token"):
        world.run(registry(guarded("https://registry.example", [], answer)).digest("web", HEAD))


@pytest.mark.parametrize("text", ["", "{}", '{"auths": {}}', '{"auths": {"registry.example": {"auth": "%"}}}', "[]"])
def test_a_file_without_its_credentials_is_trouble(world: World, text: str) -> None:
    file = world.folder / "config.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Unavailable, match="has no credentials for it"):
        world.run(registry(guarded("https://registry.example", []), file).digest("web", HEAD))


def test_credentials_alone_may_be_enough(world: World) -> None:
    auth = base64.b64encode(b"user:secret").decode()

    def handle(request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") == f"Basic {auth}":
            return httpx.Response(200, headers={"Docker-Content-Digest": FOUND})
        return httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="registry"'})

    assert world.run(registry(handle, docker(world.folder, auth=auth)).digest("web", HEAD)) == FOUND
