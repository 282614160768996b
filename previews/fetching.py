"""Asking other systems by HTTP: bounded in time and size, and trouble of any kind is one thing, Unavailable."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

__all__ = ["Absent", "Answer", "Unavailable", "client", "content", "fetch", "secret", "trusting"]

_SECONDS = 10.0
# A page has a hundred texts of at most 262,144 bytes.
_MOST_BYTES = 32 * 1024 * 1024
_MOST_SECRET = 64 * 1024
_AT_ONCE = 10


class Unavailable(Exception):
    """A system did not answer as it should, so that nothing can be decided from it. ``source`` names the system."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(f"{source}: {why}")
        self.source, self._why = source, why

    def again(self) -> Unavailable:
        """The same trouble, for another question."""
        return Unavailable(self.source, self._why)


class Absent(Unavailable):
    """A system says that it does not have what was asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status code, headers by their lower-case names, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    next: str = ""
    """Where the ``Link`` header says that the list goes on."""


def client(url: str, *, verify: ssl.SSLContext | bool = True) -> httpx.AsyncClient:
    """A client for one system. It follows no redirect and no proxy, and asks ten questions at once at most."""
    limits = httpx.Limits(max_connections=_AT_ONCE, max_keepalive_connections=_AT_ONCE)
    # No environment variable may send a token through somebody's proxy.
    return httpx.AsyncClient(base_url=url, timeout=_SECONDS, limits=limits, trust_env=False, verify=verify)


def trusting(authority: str | None) -> ssl.SSLContext | bool:
    """What :func:`client` verifies servers by: the certificates of the file, or whom the machine trusts.

    Raises OSError, of which ssl.SSLError is one.
    """
    return True if authority is None else ssl.create_default_context(cafile=authority)


async def fetch(
    http: httpx.AsyncClient,
    source: str,
    path: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """The answer to one question, whatever its status. Raises Unavailable where none comes whole and in time."""
    try:
        async with asyncio.timeout(_SECONDS), http.stream(method, path, headers=headers, content=body) as response:
            told = bytearray()
            async for part in response.aiter_bytes():
                told += part
                if len(told) > _MOST_BYTES:
                    raise Unavailable(source, f"answers more than {_MOST_BYTES:,} bytes")
    except TimeoutError as error:
        raise Unavailable(source, f"no answer within {_SECONDS:.0f} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
        raise Unavailable(source, type(error).__name__) from error
    named = {name.lower(): value for name, value in response.headers.items()}
    following = ""
    with contextlib.suppress(ValueError, KeyError):
        following = response.links.get("next", {}).get("url", "")
    return Answer(response.status_code, named, bytes(told), following)


def content(file: Path, source: str) -> str:
    """The file's text as it is now. Raises Unavailable."""
    try:
        with file.open("rb") as stream:
            return stream.read(_MOST_SECRET).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(source, f"{file} cannot be read") from error


def secret(file: Path, source: str) -> str:
    """A token's current value: its file is read each time, so that a new one needs no restart. Raises Unavailable."""
    value = content(file, source).strip()
    if not re.fullmatch(r"[!-~]+", value):
        raise Unavailable(source, f"{file} holds no token")
    return value
