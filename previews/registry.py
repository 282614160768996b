"""What the registry has: the digest of the image that a head's build pushed, by the tag that is the head's SHA.

Rules: the OCI distribution specification 1.1 ("Checking if content exists in the registry") and the token protocol that
registries share. Tags there never move, so that a digest that was seen once is kept.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode, urlsplit

import httpx
from pydantic import AliasChoices, BaseModel, Field, ValidationError

from previews.fetching import Answer, Unavailable, content, fetch

__all__ = ["Registry"]

_SOURCE = "the registry"
_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"
)
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}")
_CHALLENGE = re.compile(r'([a-z]+)="([^"]*)"', re.IGNORECASE)
_MOST_KEPT = 8192
_SHORTEST_TOKEN = 60
_EARLIER = 10


class _Token(BaseModel):
    """Rule: distribution's token specification; ``access_token`` is OAuth's name of the same."""

    token: Annotated[
        str, Field(max_length=16384, pattern=r"^[!-~]+$", validation_alias=AliasChoices("token", "access_token"))
    ]
    expires_in: int = _SHORTEST_TOKEN


@dataclass(slots=True)
class Registry:
    """Images ``<repository>/<service>:<head>``. ``repository`` is without the registry's host.

    ``credentials`` is a file as Docker has it (``auths``), or None; ``tokens`` is the one other address they may go to.
    """

    http: httpx.AsyncClient
    repository: str
    credentials: Path | None = None
    tokens: str | None = None
    clock: Callable[[], float] = time.monotonic
    _digests: OrderedDict[tuple[str, str], str] = field(default_factory=OrderedDict[tuple[str, str], str])
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])

    async def digest(self, service: str, sha: str) -> str | None:
        """The digest of the service's image of this commit; None where it is not built. Raises Unavailable."""
        known = self._digests.get((service, sha))
        if known is not None:
            return known
        answer = await self._head(service, sha)
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise Unavailable(_SOURCE, f"answers {answer.status} for an image of {service}")
        digest = answer.headers.get("docker-content-digest", "")
        if not _DIGEST.fullmatch(digest):
            raise Unavailable(_SOURCE, f"tells no sha256 digest for an image of {service}")
        self._digests[service, sha] = digest
        while len(self._digests) > _MOST_KEPT:
            self._digests.popitem(last=False)
        return digest

    async def _head(self, service: str, sha: str) -> Answer:
        path, headers = f"/v2/{self.repository}/{service}/manifests/{sha}", {"Accept": _ACCEPT}
        token, until = self._tokens.get(service, ("", 0.0))
        if token and until > self.clock():
            headers["Authorization"] = f"Bearer {token}"
        answer = await fetch(self.http, _SOURCE, path, method="HEAD", headers=headers)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        headers["Authorization"] = await self._authorized(service, answer.headers.get("www-authenticate", ""))
        return await fetch(self.http, _SOURCE, path, method="HEAD", headers=headers)

    async def _authorized(self, service: str, challenge: str) -> str:
        """What the registry wants to see, by its challenge. Raises Unavailable."""
        scheme, _, rest = challenge.partition(" ")
        match scheme.casefold():
            case "basic":
                basic = self._basic()
                if basic is None:
                    raise Unavailable(_SOURCE, "wants credentials, and has none of this plugin's")
                return basic
            case "bearer":
                return f"Bearer {await self._token(service, dict(_CHALLENGE.findall(rest)))}"
            case _:
                raise Unavailable(_SOURCE, "refuses, and does not say what it wants")

    async def _token(self, service: str, challenge: dict[str, str]) -> str:
        realm = urlsplit(challenge.get("realm", ""))
        own = self.http.base_url
        allowed = {f"{own.scheme}://{own.netloc.decode()}", self.tokens}
        if f"{realm.scheme}://{realm.netloc}" not in allowed:
            raise Unavailable(_SOURCE, "sends for a token to an address that is not configured")
        query = {key: challenge[key] for key in ("service", "scope") if key in challenge}
        basic = self._basic()
        url = f"{realm.scheme}://{realm.netloc}{realm.path}?{urlencode(query)}"
        answer = await fetch(self.http, _SOURCE, url, headers={"Authorization": basic} if basic else {})
        try:
            if answer.status != HTTPStatus.OK:
                raise Unavailable(_SOURCE, f"answers {answer.status} where a token is asked for")
            given = _Token.model_validate_json(answer.body)
        except ValidationError as error:
            raise Unavailable(_SOURCE, "gives no token") from error
        lasts = max(given.expires_in, _SHORTEST_TOKEN) - _EARLIER
        self._tokens[service] = (given.token, self.clock() + lasts)
        return given.token

    def _basic(self) -> str | None:
        """The header of the credentials for this registry, from their file as it is now."""
        if self.credentials is None:
            return None
        try:
            told = json.loads(content(self.credentials, _SOURCE))["auths"][self.http.base_url.netloc.decode()]
            auth = str(told["auth"]) if "auth" in told else _joined(str(told["username"]), str(told["password"]))
            base64.b64decode(auth, validate=True)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            why = f"{self.credentials} has no credentials for it, as Docker's config.json has them"
            raise Unavailable(_SOURCE, why) from error
        return f"Basic {auth}"


def _joined(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()
