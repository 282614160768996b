"""The Sigstore bundles that lie beside an image in its registry.

Rules: the OCI distribution specification 1.1 ("Listing Referrers", "Referrers Tag Schema") and the token protocol that
registries share.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError
from pydantic.alias_generators import to_camel

from ladder.errors import CheckFailed, InputError, Problem
from previews.fetching import Answer, Unavailable, client, content, fetch

__all__ = ["Referrers"]

_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_EMPTY = "application/vnd.oci.empty.v1+json"
_IMAGES = (
    f"{_INDEX}, {_MANIFEST}, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
_CHALLENGE = re.compile(r'([a-z]+)="([^"]*)"', re.IGNORECASE)
_MOST_LISTED, _MOST_PAGES, _MOST_HOPS, _AT_ONCE = 256, 16, 3, 8
_LARGEST_MANIFEST = 1024 * 1024
_MOST_BYTES = 128 * 1024 * 1024

_Model = TypeVar("_Model", bound=BaseModel)


class _Read(BaseModel):
    """Something of others that is read: their models have more keys than are needed here."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel, hide_input_in_errors=True)


class _Descriptor(_Read):
    media_type: str
    digest: Annotated[str, Field(pattern=r"^sha256:[a-f0-9]{64}$")]
    size: NonNegativeInt
    artifact_type: str = ""

    @property
    def may_be_bundle(self) -> bool:
        """Some registries tell the config's type where the artifact's own belongs."""
        kinds = {_BUNDLE, _EMPTY, ""}
        return self.media_type == _MANIFEST and self.artifact_type in kinds and self.size <= _LARGEST_MANIFEST


class _Index(_Read):
    media_type: Literal["application/vnd.oci.image.index.v1+json"]
    manifests: list[Any]

    def bundles(self) -> Iterator[_Descriptor]:
        for each in self.manifests:
            found = _parsed(_Descriptor, each)
            if found is not None and found.may_be_bundle:
                yield found


class _Manifest(_Read):
    """What cosign and GitHub's actions/attest write: one layer, which is the bundle."""

    layers: Annotated[list[_Descriptor], Field(min_length=1, max_length=1)]
    subject: _Descriptor


class _Token(_Read):
    """Rule: distribution's token specification; ``access_token`` is OAuth's name of the same."""

    token: Annotated[
        str, Field(max_length=16384, pattern=r"^[!-~]+$", validation_alias=AliasChoices("token", "access_token"))
    ]


@dataclass(frozen=True, slots=True)
class Referrers:
    """The bundles that a registry has of an image.

    ``credentials`` is a file as Docker has it (``auths``), or None; without any for the registry it is asked
    anonymously. ``tokens`` is the one address beside the registry's own that they may go to.
    """

    credentials: Path | None = None
    tokens: str | None = None

    def bundles(self, repository: str, digest: str) -> list[bytes]:
        """Every bundle of ``<host>/<path>@<digest>``, believed or not.

        Raises CheckFailed where the registry does not tell, and InputError where it has no such image.
        """
        try:
            return asyncio.run(self._bundles(repository, digest))
        except Unavailable as error:
            raise CheckFailed(str(error)) from error

    async def _bundles(self, repository: str, digest: str) -> list[bytes]:
        host, _, name = repository.partition("/")
        scheme = "http" if _is_loopback(f"//{host}") else "https"
        async with client(f"{scheme}://{host}") as http:
            registry = _Registry(http, f"the registry {host}", name, self.credentials, self.tokens)
            answer = await registry.ask(f"manifests/{digest}", _IMAGES, method="HEAD")
            if answer.status == HTTPStatus.NOT_FOUND:
                problem = Problem(file=f"{repository}@{digest}", message="is not in the registry")
                raise InputError(problem)
            registry.expect(answer, "the image")
            return await registry.bundles(digest)


@dataclass(slots=True)
class _Registry:
    """One repository of a registry, for as long as one question takes."""

    http: httpx.AsyncClient
    source: str
    name: str
    credentials: Path | None
    tokens: str | None
    _authorization: str = ""

    async def bundles(self, image: str) -> list[bytes]:
        found = await self._listed(image) or await self._tagged(image)
        listed = {each.digest: each for each in found}
        if len(listed) > _MOST_LISTED:
            raise Unavailable(self.source, f"lists more than {_MOST_LISTED} referrers of {image}")
        turn = asyncio.Semaphore(_AT_ONCE)
        layers: dict[str, _Descriptor] = {}
        for text in await asyncio.gather(*(self._content("manifests", each, turn) for each in listed.values())):
            manifest = None if text is None else _parsed(_Manifest, text)
            if manifest is not None and manifest.subject.digest == image and manifest.layers[0].media_type == _BUNDLE:
                layers[manifest.layers[0].digest] = manifest.layers[0]
        if sum(layer.size for layer in layers.values()) > _MOST_BYTES:
            raise Unavailable(self.source, f"has more than {_MOST_BYTES:,} bytes of bundles of {image}")
        contents = await asyncio.gather(*(self._content("blobs", each, turn) for each in layers.values()))
        return [each for each in contents if each is not None]

    async def _listed(self, image: str) -> list[_Descriptor]:
        """By the referrers API; none where the registry has no such API."""
        path = f"referrers/{image}?{urlencode({'artifactType': _BUNDLE})}"
        found: list[_Descriptor] = []
        for _ in range(_MOST_PAGES):
            answer = await self.ask(path, _INDEX)
            if answer.status == HTTPStatus.NOT_FOUND:
                return found
            self.expect(answer, "referrers")
            index = _parsed(_Index, answer.body)
            if index is None:
                return found
            found += index.bundles()
            if not answer.next or len(found) > _MOST_LISTED:
                return found
            path = self._own(answer.next)
        raise Unavailable(self.source, f"lists referrers on more than {_MOST_PAGES} pages")

    async def _tagged(self, image: str) -> list[_Descriptor]:
        """By the tag that stands in for the API: one that has the API may have been pushed to as if it had not."""
        answer = await self.ask(f"manifests/{image.replace(':', '-')}", _INDEX)
        if answer.status == HTTPStatus.NOT_FOUND:
            return []
        self.expect(answer, "the tag of referrers")
        index = _parsed(_Index, answer.body)
        return [] if index is None else list(index.bundles())

    async def _content(self, kind: str, of: _Descriptor, turn: asyncio.Semaphore) -> bytes | None:
        """Something by its digest; None where it is listed and not there, or of another size than was told."""
        async with turn:
            answer = await self.ask(f"{kind}/{of.digest}", _MANIFEST if kind == "manifests" else "*/*")
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        self.expect(answer, of.digest)
        if f"sha256:{hashlib.sha256(answer.body).hexdigest()}" != of.digest:
            raise Unavailable(self.source, f"gives other bytes than {of.digest}")
        return answer.body if len(answer.body) == of.size else None

    def expect(self, answer: Answer, what: str) -> None:
        if answer.status != HTTPStatus.OK:
            raise Unavailable(self.source, f"answers {answer.status} where {what} is asked for")

    async def ask(self, path: str, accept: str, *, method: str = "GET") -> Answer:
        """The answer to one question, with authorization if the registry wants it. Storage it sends to gets none."""
        url = path if path.startswith("/") else f"/v2/{self.name}/{path}"
        headers = {"Accept": accept} | ({"Authorization": self._authorization} if self._authorization else {})
        answer = await fetch(self.http, self.source, url, method=method, headers=headers)
        if answer.status == HTTPStatus.UNAUTHORIZED and not self._authorization:
            self._authorization = await self._authorized(answer.headers.get("www-authenticate", ""))
            headers["Authorization"] = self._authorization
            answer = await fetch(self.http, self.source, url, method=method, headers=headers)
        for _ in range(_MOST_HOPS):
            location = answer.headers.get("location", "")
            if not (HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST and location):
                break
            url = _joined(_joined(self._origin, url), location)
            if _origin(url) != self._origin:
                self._may_go(url)
                headers.pop("Authorization", None)
            answer = await fetch(self.http, self.source, url, method=method, headers=headers)
        return answer

    @property
    def _origin(self) -> str:
        return _origin(str(self.http.base_url))

    def _own(self, link: str) -> str:
        url = _joined(self._origin, link)
        if _origin(url) != self._origin:
            raise Unavailable(self.source, "continues its list at another address")
        return url.removeprefix(self._origin)

    def _may_go(self, url: str) -> None:
        where = _origin(url)
        if not (where.startswith("https://") or (_is_loopback(where) and _is_loopback(self._origin))):
            raise Unavailable(self.source, "sends on to an address without TLS")

    async def _authorized(self, challenge: str) -> str:
        """What the registry wants to see, by its challenge. Raises Unavailable."""
        scheme, _, rest = challenge.partition(" ")
        basic = self._basic()
        match scheme.casefold():
            case "basic" if basic:
                return basic
            case "basic":
                raise Unavailable(self.source, "wants credentials, and there are none for it")
            case "bearer":
                return f"Bearer {await self._token(dict(_CHALLENGE.findall(rest)), basic)}"
            case _:
                raise Unavailable(self.source, "refuses, and does not say what it wants")

    async def _token(self, challenge: Mapping[str, str], basic: str) -> str:
        realm = challenge.get("realm", "")
        address = _origin(realm)
        self._may_go(realm)
        if basic and address not in {self._origin, self.tokens}:
            raise Unavailable(self.source, f"sends credentials to {address}, which may not have them")
        query = {key: challenge[key] for key in ("service", "scope") if key in challenge}
        headers = {"Authorization": basic} if basic else {}
        answer = await fetch(
            self.http, self.source, f"{address}{urlsplit(realm).path}?{urlencode(query)}", headers=headers
        )
        self.expect(answer, "a token")
        given = _parsed(_Token, answer.body)
        if given is None:
            raise Unavailable(self.source, "gives no token")
        return given.token

    def _basic(self) -> str:
        """The header of the credentials for this registry; empty where there are none."""
        if self.credentials is None:
            return ""
        try:
            every = json.loads(content(self.credentials, self.source)).get("auths", {})
            told = every.get(self.http.base_url.netloc.decode(), {})
            auth = str(told.get("auth") or "")
            base64.b64decode(auth, validate=True)
        except (ValueError, AttributeError) as error:
            why = f"{self.credentials} is not as Docker's config.json is"
            raise Unavailable(self.source, why) from error
        return f"Basic {auth}" if auth else ""


def _parsed(model: type[_Model], told: Any) -> _Model | None:
    """What was told, as text or already read; None where it is something else."""
    try:
        return model.model_validate_json(told) if isinstance(told, bytes) else model.model_validate(told)
    except ValidationError:
        return None


def _joined(base: str, link: str) -> str:
    try:
        return urljoin(base, link)
    except ValueError:
        return ""


def _origin(url: str) -> str:
    """The scheme, host and port; empty where it is no address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(url: str) -> bool:
    try:
        name = urlsplit(url).hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
