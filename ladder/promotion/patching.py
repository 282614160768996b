"""Changing a cluster as the user's kubeconfig reaches it: merge patches of objects that are there, and nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import kr8s
import kr8s.asyncio

from ladder.doctor.asking import Answer
from ladder.errors import CheckFailed

__all__ = ["MANAGER", "Change", "change"]

MANAGER = "ladder-rollback"
"""Whose the fields are that a patch changes, as Kubernetes keeps it."""

_KUBECONFIG = Path("~/.kube/config").expanduser()
_SECONDS = 30
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Change:
    """A merge patch (RFC 7396) of the object at a path."""

    path: str
    body: Mapping[str, Any]


def change(context: str, changes: Iterable[Change]) -> Sequence[Answer]:
    """The answer to each patch, from the cluster of the kubeconfig's context.

    Raises CheckFailed where the cluster cannot be reached so.
    """
    # The client leaves a user's certificate and key in files: they go with this directory.
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="ladder-patching-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        tempfile.tempdir = scratch
        try:
            return asyncio.run(_within(context, list(changes)))
        except Exception as error:
            raise CheckFailed(f"{context}: {type(error).__name__}: {error}") from error
        finally:
            tempfile.tempdir = before


async def _within(context: str, changes: list[Change]) -> Sequence[Answer]:
    # As ladder.doctor.asking reads: no other cluster may be changed in place of the one meant.
    kubeconfig = os.environ.get("KUBECONFIG") or str(_KUBECONFIG)
    connecting = kr8s.asyncio.api(kubeconfig=kubeconfig, context=context, serviceaccount="", namespace="default")
    api = await asyncio.wait_for(connecting, _SECONDS)
    api.timeout = _SECONDS
    turn = asyncio.Semaphore(_AT_ONCE)
    try:
        return await asyncio.gather(*(_changed(api, each, turn) for each in changes))
    finally:
        session = cast("httpx.AsyncClient | None", vars(api)["_session"])
        if session is not None:
            await session.aclose()


async def _changed(api: Any, wanted: Change, turn: asyncio.Semaphore) -> Answer:
    where = {"version": "", "base": api.auth.server.rstrip("/"), "url": wanted.path.lstrip("/")}
    sent = {
        "content": json.dumps(wanted.body),
        "params": {"fieldManager": MANAGER},
        "headers": {"Content-Type": "application/merge-patch+json", "Accept": "application/json"},
    }
    try:
        async with turn, api.call_api("PATCH", **where, **sent, raise_for_status=False) as response:
            return Answer(response.status_code, _body(response))
    except (httpx.HTTPError, httpx.InvalidURL, kr8s.APITimeoutError) as error:
        return Answer(0, f"{type(error).__name__}: {error}")


def _body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text[:200]
