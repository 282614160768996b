"""Reading from a cluster as the user's kubeconfig reaches it: GET requests and nothing else."""

from __future__ import annotations

import asyncio
import os
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import httpx
import kr8s
import kr8s.asyncio

from ladder.errors import CheckFailed

__all__ = ["Answer", "ask"]

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""How a path is asked for as a list of every kind that is served."""

_KUBECONFIG = Path("~/.kube/config").expanduser()
_SECONDS = 30
_AT_ONCE = 8
_DISCOVERED = frozenset({"/api", "/apis"})


@dataclass(frozen=True, slots=True)
class Answer:
    """A status code, 0 where none came, and what was said: JSON, or a reason."""

    status: int
    body: Any

    @property
    def reason(self) -> str:
        """Why there is no good answer, in the server's words where it has some."""
        said = cast("Mapping[str, Any]", self.body).get("message") if isinstance(self.body, Mapping) else self.body
        return f"{self.status}: {said}" if self.status else str(said)


def ask(context: str, paths: Iterable[str]) -> Mapping[str, Answer]:
    """The answer to each path, from the cluster of the kubeconfig's context.

    Raises CheckFailed where the cluster cannot be reached so: no such context, no credentials, no answer in time.
    """
    # The client leaves a user's certificate and key in files: they go with this directory.
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="ladder-doctor-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        tempfile.tempdir = scratch
        try:
            return asyncio.run(_within(context, list(paths)))
        except Exception as error:
            raise CheckFailed(_told(context, error)) from error
        finally:
            tempfile.tempdir = before


async def _within(context: str, paths: list[str]) -> Mapping[str, Answer]:
    # No other cluster may be asked in place of the one meant, so no ServiceAccount of this machine's pod is looked for.
    kubeconfig = os.environ.get("KUBECONFIG") or str(_KUBECONFIG)
    connecting = kr8s.asyncio.api(kubeconfig=kubeconfig, context=context, serviceaccount="", namespace="default")
    api = await asyncio.wait_for(connecting, _SECONDS)
    api.timeout = _SECONDS
    turn = asyncio.Semaphore(_AT_ONCE)
    try:
        answers = await asyncio.gather(*(_asked(api, path, turn) for path in paths))
    finally:
        session = cast("httpx.AsyncClient | None", vars(api)["_session"])
        if session is not None:
            await session.aclose()
    return dict(zip(paths, answers, strict=True))


async def _asked(api: Any, path: str, turn: asyncio.Semaphore) -> Answer:
    # As an absolute address: a path of its own would get a slash at its end, under which nothing is discovered.
    where = {"version": "", "base": api.auth.server.rstrip("/"), "url": path.lstrip("/")}
    headers = {"Accept": _DISCOVERY if path in _DISCOVERED else "application/json"}
    try:
        async with turn, api.call_api("GET", **where, headers=headers, raise_for_status=False) as response:
            body = _body(response)
            if response.status_code == HTTPStatus.OK and not isinstance(body, Mapping):
                return Answer(0, "what answers is not Kubernetes")
            return Answer(response.status_code, body)
    except (httpx.HTTPError, httpx.InvalidURL, kr8s.APITimeoutError) as error:
        return Answer(0, f"{type(error).__name__}: {error}")


def _body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text[:200]


def _told(context: str, error: Exception) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {_SECONDS} s"
        case FileNotFoundError():
            return f"what the context {context} logs in with is not there: {error.filename}"
        case ValueError() if "credentials" in str(error):
            return f"there is no kubeconfig, neither where KUBECONFIG says nor in {_KUBECONFIG}"
        case ValueError():
            return f"the kubeconfig has no usable context {context}: {error}"
        case _:
            return f"{type(error).__name__}: {error}"
