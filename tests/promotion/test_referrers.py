"""Where an image's bundles are found, whatever its registry can; what others put there, and registries in trouble."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from ladder.contract.promotion import Builds
from ladder.errors import CheckFailed, InputError
from ladder.promotion.builds import Referrers, verify_build
from previews.fetching import client
from tests.previews.processes import unused_port
from tests.previews.registries import OciRegistry, push
from tests.previews.serving import Reply, serving
from tests.promotion.bundles import AT, JOB, SIGNER, trusting
from tests.promotion.oci import BUNDLE, EMPTY, INDEX, MANIFEST, Registry, named
from tests.sigstore_stand_in import COMMIT, StandIn, push_bundles

ONE, TWO = b'{"a": "bundle"}', b'{"another": "one"}'
AUTH = base64.b64encode(b"user:secret").decode()
MISSING = "sha256:" + "00" * 32


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def registry(servers: ExitStack) -> Registry:
    registry = Registry()
    servers.enter_context(serving(registry))
    return registry


def found(registry: Registry, image: str, referrers: Referrers | None = None) -> list[bytes]:
    return sorted((referrers or Referrers()).bundles(registry.repository, image))


def docker(folder: Path, registry: Registry, **own: str) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({"auths": {registry.url.removeprefix("http://"): own}}), encoding="utf-8")
    return file


def test_bundles_are_found_by_the_referrers_api(registry: Registry) -> None:
    image = registry.image()
    for each in (ONE, TWO, ONE):
        registry.attach(image, each)
    assert found(registry, image) == [ONE, TWO]
    (asked,) = [each for each in registry.asked if "/referrers/" in each.path]
    assert asked.query == {"artifactType": BUNDLE}


def test_bundles_are_found_on_every_page(registry: Registry) -> None:
    image, registry.size = registry.image(), 2
    every = [json.dumps({"number": number}).encode() for number in range(7)]
    for each in every:
        registry.attach(image, each)
    assert found(registry, image) == every


@pytest.mark.parametrize("api", [False, True])
def test_bundles_are_found_by_the_tag_that_stands_in_for_the_api(registry: Registry, api: bool) -> None:
    image, registry.api = registry.image(), api
    registry.attach(image, ONE)
    registry.tag(image)
    assert found(registry, image) == [ONE]


@pytest.mark.parametrize("kind", [EMPTY, "", None])
def test_a_registry_may_tell_another_type_or_none(registry: Registry, kind: str | None) -> None:
    image = registry.image()
    layer = registry.attach(image, ONE, {"artifactType": kind})
    if kind is None:
        del registry.listed[0]["artifactType"]
    assert layer["mediaType"] == BUNDLE
    assert found(registry, image) == [ONE]


def test_an_image_without_bundles_has_none(registry: Registry) -> None:
    assert found(registry, registry.image()) == []


def test_an_image_that_is_not_there_is_named(registry: Registry) -> None:
    with pytest.raises(InputError, match=rf"^{registry.repository}@{MISSING}: is not in the registry"):
        found(registry, MISSING)


LAYER = {"mediaType": BUNDLE, "digest": named(TWO), "size": len(TWO)}


@pytest.mark.parametrize(
    ("descriptor", "changed"),
    [
        ({"artifactType": "application/vnd.cncf.notary.signature"}, {}),
        ({"mediaType": INDEX}, {}),
        ({"digest": "sha512:" + "00" * 64}, {}),
        ({"digest": "../../../v2/other/manifests/x"}, {}),
        ({"digest": MISSING}, {}),
        ({"size": 1}, {}),
        ({"size": -1}, {}),
        ({"size": 10**9}, {}),
        ({}, {"annotations": {"much": "x" * 1024 * 1024}}),
        ({}, {"layers": []}),
        ({}, {"layers": [LAYER, LAYER]}),
        ({}, {"layers": [LAYER | {"mediaType": "application/spdx+json"}]}),
        ({}, {"layers": [LAYER | {"digest": MISSING}]}),
        ({}, {"layers": [LAYER | {"size": len(TWO) - 1}]}),
        ({}, {"subject": {"mediaType": MANIFEST, "digest": MISSING, "size": 2}}),
        ({}, {"subject": None}),
    ],
)
def test_other_referrers_do_not_hide_a_bundle(
    registry: Registry, descriptor: dict[str, Any], changed: dict[str, Any]
) -> None:
    image = registry.image()
    registry.attach(image, TWO, descriptor, **changed)
    registry.attach(image, ONE)
    registry.listed += ["x", None, {}]  # type: ignore[list-item]
    assert found(registry, image) == [ONE]


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_other_bytes_than_the_digests_are_no_answer(registry: Registry, kind: str) -> None:
    image = registry.image()
    registry.attach(image, ONE)
    digest = registry.listed[0]["digest"] if kind == "manifests" else named(ONE)
    registry.contents[f"/v2/acme/web/{kind}/{digest}"] += b" "
    with pytest.raises(CheckFailed, match=rf"^the registry 127\.0\.0\.1:\d+: gives other bytes than {digest}$"):
        found(registry, image)


def test_more_referrers_than_are_read_are_no_answer(registry: Registry) -> None:
    image = registry.image()
    for number in range(257):
        registry.attach(image, str(number).encode())
    with pytest.raises(CheckFailed, match="lists more than 256 referrers"):
        found(registry, image)


def test_more_bytes_than_are_read_are_no_answer(registry: Registry) -> None:
    image = registry.image()
    registry.attach(image, ONE, layers=[LAYER | {"size": 128 * 1024 * 1024 + 1}])
    with pytest.raises(CheckFailed, match="has more than 134,217,728 bytes of bundles"):
        found(registry, image)


@pytest.mark.parametrize(
    ("link", "wrong"),
    [
        ("/v2/acme/web/referrers/x", "answers 500 where referrers"),
        ("https://elsewhere.example/v2/", "continues its list at another address"),
        ("http://[", "continues its list at another address"),
    ],
)
def test_a_list_goes_on_at_the_registry_alone(registry: Registry, link: str, wrong: str) -> None:
    image = registry.image()
    index = json.dumps({"mediaType": INDEX, "manifests": []}).encode()
    replies = {"x": Reply(500), image: Reply(200, index, {"Link": f'<{link}>; rel="next"'})}
    registry.trouble = lambda asked: replies[asked.path.rpartition("/")[2]] if "/referrers/" in asked.path else None
    with pytest.raises(CheckFailed, match=wrong):
        found(registry, image)


def test_a_list_without_end_is_no_answer(registry: Registry) -> None:
    image = registry.image()
    index = json.dumps({"mediaType": INDEX, "manifests": []}).encode()
    again = Reply(200, index, {"Link": f'</v2/acme/web/referrers/{image}>; rel="next"'})
    registry.trouble = lambda asked: again if "/referrers/" in asked.path else None
    with pytest.raises(CheckFailed, match="on more than 16 pages"):
        found(registry, image)


@pytest.mark.parametrize("status", [302, 400, 403, 429, 500, 503, 599])
@pytest.mark.parametrize("part", ["/manifests/sha256:", "/referrers/", "/manifests/sha256-", "/blobs/"])
def test_a_registry_in_trouble_is_named(registry: Registry, part: str, status: int) -> None:
    image = registry.image()
    registry.api = part == "/blobs/"
    registry.attach(image, ONE)
    registry.trouble = lambda asked: Reply(status) if part in asked.path else None
    with pytest.raises(CheckFailed, match=rf"^the registry 127\.0\.0\.1:\d+: answers {status} where "):
        found(registry, image)


def test_a_registry_that_is_down_is_named() -> None:
    host = f"127.0.0.1:{unused_port()}"
    with pytest.raises(CheckFailed, match=f"^the registry {host}: ConnectError$"):
        Referrers().bundles(f"{host}/acme/web", MISSING)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("ghcr.io", "https://ghcr.io"),
        ("10.0.0.7:5000", "https://10.0.0.7:5000"),
        ("localhost.example", "https://localhost.example"),
        ("localhost:5000", "http://localhost:5000"),
        ("[::1]:5000", "http://[::1]:5000"),
    ],
)
def test_only_this_machine_is_asked_without_tls(monkeypatch: pytest.MonkeyPatch, host: str, address: str) -> None:
    asked: list[str] = []

    def nowhere(url: str) -> httpx.AsyncClient:
        asked.append(url)
        return client(f"http://127.0.0.1:{unused_port()}")

    monkeypatch.setattr("ladder.promotion.referrers.client", nowhere)
    with pytest.raises(CheckFailed, match=f"^the registry {re.escape(host)}: ConnectError$"):
        Referrers().bundles(f"{host}/acme/web", MISSING)
    assert asked == [address]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"mediaType": "text/html", "manifests": []}'])
def test_what_is_no_index_is_a_registry_without_the_api(registry: Registry, body: bytes) -> None:
    image = registry.image()
    registry.attach(image, ONE)
    registry.tag(image)
    registry.trouble = lambda asked: Reply(200, body) if "/referrers/" in asked.path else None
    assert found(registry, image) == [ONE]


def test_blobs_may_lie_elsewhere_and_nothing_secret_goes_there(
    registry: Registry, servers: ExitStack, tmp_path: Path
) -> None:
    storage = Registry()
    servers.enter_context(serving(storage))
    image, registry.storage = registry.image(), storage.url
    registry.opened, registry.challenge = f"Basic {AUTH}", 'Basic realm="x"'
    registry.attach(image, ONE)
    storage.put("blobs", ONE)
    assert found(registry, image, Referrers(docker(tmp_path, registry, auth=AUTH))) == [ONE]
    assert [asked.headers.get("authorization") for asked in storage.asked] == [None]


@pytest.mark.parametrize("location", ["http://storage.example/x", "file:///etc/passwd", "//["])
def test_nothing_is_fetched_without_tls(registry: Registry, location: str) -> None:
    image = registry.image()
    registry.attach(image, ONE)
    registry.trouble = lambda asked: Reply(307, b"", {"Location": location}) if "/blobs/" in asked.path else None
    with pytest.raises(CheckFailed, match="sends on to an address without TLS"):
        found(registry, image)


def test_blobs_that_are_sent_on_for_ever_are_no_answer(registry: Registry) -> None:
    image, registry.storage = registry.image(), registry.url
    registry.attach(image, ONE)
    with pytest.raises(CheckFailed, match="answers 307"):
        found(registry, image)


def guarded(registry: Registry, realm: str, answer: str = '{"token": "opened", "expires_in": 300}') -> str:
    """The registry wants a token from there, and gives one at ``/token``; its image, with a bundle."""
    image = registry.image()
    registry.attach(image, ONE)
    registry.opened = "Bearer opened"
    registry.challenge = f'Bearer realm="{realm}/token",service="registry",scope="repository:acme/web:pull"'
    registry.trouble = lambda asked: Reply(200, answer.encode()) if asked.path == "/token" else None
    return image


@pytest.mark.parametrize("name", ["token", "access_token"])
def test_a_token_is_fetched_once_without_credentials(registry: Registry, name: str) -> None:
    image = guarded(registry, registry.url, json.dumps({name: "opened"}))
    assert found(registry, image) == [ONE]
    (asked,) = [each for each in registry.asked if each.path == "/token"]
    assert asked.query == {"service": "registry", "scope": "repository:acme/web:pull"}
    assert "authorization" not in asked.headers


def test_a_token_is_fetched_with_the_credentials(registry: Registry, tmp_path: Path) -> None:
    image = guarded(registry, registry.url)
    assert found(registry, image, Referrers(docker(tmp_path, registry, auth=AUTH))) == [ONE]
    (asked,) = [each for each in registry.asked if each.path == "/token"]
    assert asked.headers["authorization"] == f"Basic {AUTH}"


def test_another_address_gets_credentials_only_where_it_is_named(
    registry: Registry, servers: ExitStack, tmp_path: Path
) -> None:
    tokens = Registry(trouble=lambda _: Reply(200, b'{"token": "opened"}'))
    servers.enter_context(serving(tokens))
    image, file = guarded(registry, tokens.url), docker(tmp_path, registry, auth=AUTH)
    with pytest.raises(CheckFailed, match=f"sends credentials to {tokens.url}, which may not have them"):
        found(registry, image, Referrers(file))
    assert tokens.asked == []
    assert found(registry, image, Referrers(file, tokens.url)) == [ONE]
    assert found(registry, image) == [ONE]


@pytest.mark.parametrize(
    ("challenge", "wrong"),
    [
        ('Basic realm="x"', "wants credentials, and there are none for it"),
        ("", "refuses, and does not say what it wants"),
        ("Negotiate", "refuses, and does not say what it wants"),
        ("Bearer", "sends on to an address without TLS"),
        ('Bearer realm="http://evil.example/token"', "sends on to an address without TLS"),
        ('Bearer realm="https://["', "sends on to an address without TLS"),
    ],
)
def test_what_a_registry_wants_and_cannot_have_is_told(registry: Registry, challenge: str, wrong: str) -> None:
    image = registry.image()
    registry.opened, registry.challenge = "never", challenge
    with pytest.raises(CheckFailed, match=wrong):
        found(registry, image)


@pytest.mark.parametrize("answer", ["", "{}", '{"token": ""}', '{"token": "a b"}', "[]"])
def test_what_is_no_token_is_told(registry: Registry, answer: str) -> None:
    with pytest.raises(CheckFailed, match="gives no token"):
        found(registry, guarded(registry, registry.url, answer))


@pytest.mark.parametrize(
    "text", ["", "[]", '{"auths": []}', '{"auths": {"HOST": []}}', '{"auths": {"HOST": {"auth": "%"}}}']
)
def test_a_credentials_file_that_is_none_is_told(registry: Registry, tmp_path: Path, text: str) -> None:
    file, image = tmp_path / "config.json", guarded(registry, registry.url)
    file.write_text(text.replace("HOST", registry.url.removeprefix("http://")), encoding="utf-8")
    with pytest.raises(CheckFailed, match=r"is not as Docker's config\.json is"):
        found(registry, image, Referrers(file))


@pytest.mark.servers
def test_a_real_registry_has_the_bundles_of_a_build(tmp_path: Path) -> None:
    """crane's has no referrers API: what cosign and GitHub push there is listed by the tag."""
    standin, served = StandIn(), OciRegistry(tmp_path)
    builds = Builds(signer=SIGNER, builder="https://github.com/actions/runner/github-hosted", tokens=None)
    try:
        served.start()
        image = push(served.url, "acme/web", "main")
        repository = f"{served.url.removeprefix('http://')}/acme/web"
        assert Referrers().bundles(repository, image) == []
        made = standin.image(image, JOB, AT, builds.builder)
        push_bundles(served.url, "acme/web", image, list(made.values())[:1])
        push_bundles(served.url, "acme/web", image, list(made.values())[1:])
        bundles = Referrers().bundles(repository, image)
        assert sorted(bundles) == sorted(made.values())
        assert verify_build(trusting(standin, tmp_path), builds, bundles, image).source == COMMIT
        with pytest.raises(InputError, match="is not in the registry"):
            Referrers().bundles(repository, MISSING)
    finally:
        served.stop()
