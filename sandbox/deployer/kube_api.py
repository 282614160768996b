"""The API server over HTTP: discovery, server-side apply, lists and deletions, with retries."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, cast

import httpx

from .model import Patience, Rejected
from .retry import TransientError, patiently

__all__ = ["MANAGER", "ApiServer", "KubeApi", "ResourceType"]

MANAGER = "ladder-sandbox"

_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_PAGE = 500


class ApiServer(Protocol):
    """Where an API server is, by which authority it is known, and with which token and patience it is asked."""

    @property
    def api_server(self) -> str: ...
    @property
    def ca(self) -> Path: ...
    @property
    def token(self) -> str: ...
    @property
    def patience(self) -> Patience: ...


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One served kind: ``networking.k8s.io/v1`` ``NetworkPolicy``, ``networkpolicies``."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        """The URL path of an object, or of the list it is in; no namespace means all of them."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        middle = f"/namespaces/{namespace}" if namespace else ""
        return f"{root}{middle}/{self.plural}" + (f"/{name}" if name else "")


class KubeApi:
    """A connection to one API server, safe to use from several threads."""

    def __init__(self, target: ApiServer) -> None:
        self._patience = target.patience
        self.client = httpx.Client(
            base_url=target.api_server,
            verify=ssl.create_default_context(cafile=str(target.ca)),
            headers={"Authorization": f"Bearer {target.token}"},
            timeout=target.patience.request,
            trust_env=False,
        )

    def close(self) -> None:
        self.client.close()

    @cached_property
    def types(self) -> dict[tuple[str, str], ResourceType]:
        """Every served type by (apiVersion, kind), a group's preferred version first."""
        served: dict[tuple[str, str], ResourceType] = {}
        for root in ("/api", "/apis"):
            found = self.request("GET", root, headers={"Accept": _DISCOVERY})
            for item in found["items"]:
                for version in item["versions"]:
                    for one in _types(item["metadata"].get("name", ""), version):
                        served.setdefault((one.api_version, one.kind), one)
        return served

    def get(self, type_: ResourceType, namespace: str, name: str) -> dict[str, Any] | None:
        return self.request("GET", type_.path(namespace, name), missing_ok=True) or None

    def apply(
        self, type_: ResourceType, namespace: str, name: str, body: Mapping[str, Any], *, dry: bool
    ) -> dict[str, Any]:
        """The object after a server-side apply that takes over conflicting fields (``dry``: as it would be)."""
        query = {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"} | (
            {"dryRun": "All"} if dry else {}
        )
        return self.request(
            "PATCH",
            type_.path(namespace, name),
            params=query,
            json=body,
            headers={"Content-Type": "application/apply-patch+yaml"},
        )

    def set_managed_fields(self, type_: ResourceType, namespace: str, name: str, fields: list[dict[str, Any]]) -> None:
        self.request(
            "PATCH",
            type_.path(namespace, name),
            json=[{"op": "replace", "path": "/metadata/managedFields", "value": fields}],
            headers={"Content-Type": "application/json-patch+json"},
        )

    def delete(self, type_: ResourceType, namespace: str, name: str, uid: str) -> None:
        """Begin the deletion of exactly this object; what is gone or was made anew meanwhile is left alone."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            self.request("DELETE", type_.path(namespace, name), json=body, missing_ok=True)
        except Rejected as error:
            if error.code != "409":
                raise

    def list_labelled(self, types: list[ResourceType], selector: str, pool: Executor) -> list[dict[str, Any]]:
        """Every object of these types with the label, each once, with its apiVersion and kind."""
        found: dict[str, dict[str, Any]] = {}
        lists = pool.map(self._list, types, [selector] * len(types))
        for type_, items in zip(types, lists, strict=True):
            for item in items:
                found.setdefault(item["metadata"]["uid"], item | {"apiVersion": type_.api_version, "kind": type_.kind})
        return list(found.values())

    def _list(self, type_: ResourceType, selector: str) -> list[dict[str, Any]]:
        query: dict[str, str | int] = {"labelSelector": selector, "limit": _PAGE}
        items: list[dict[str, Any]] = []
        while True:
            page = self.request("GET", type_.path(), params=query, missing_ok=True)
            items += page.get("items") or []
            more = page.get("metadata", {}).get("continue")
            if not more:
                return items
            query["continue"] = more

    def request(self, method: str, path: str, *, missing_ok: bool = False, **options: Any) -> dict[str, Any]:
        """The answer's JSON; empty for a 404 that is ``missing_ok``.

        Raises Rejected for a definite refusal, CheckFailed when the server stays in trouble until the deadline. Every
        request made here may safely be repeated.
        """
        what = f"{method} {path} at the API server"
        return patiently(
            lambda: self._once(method, path, missing_ok, options), seconds=self._patience.trouble, what=what
        )

    def _once(self, method: str, path: str, missing_ok: bool, options: dict[str, Any]) -> dict[str, Any]:
        try:
            response = self.client.request(method, path, **options)
        except httpx.TransportError as error:
            raise TransientError(f"{type(error).__name__}: {error}") from error
        if response.status_code == 429 or response.status_code >= 500:
            raise TransientError(_message(response), retry_after=_seconds(response.headers.get("Retry-After")))
        if response.status_code == 404 and missing_ok:
            return {}
        if response.status_code >= 400:
            raise Rejected(_message(response), code=str(response.status_code))
        return cast("dict[str, Any]", response.json())


def _types(group: str, version: Mapping[str, Any]) -> list[ResourceType]:
    return [
        ResourceType(
            group=group,
            version=version["version"],
            kind=item["responseKind"]["kind"],
            plural=item["resource"],
            namespaced=item["scope"] == "Namespaced",
            verbs=frozenset(item["verbs"]),
        )
        for item in version.get("resources", ())
        if item.get("responseKind")
    ]


def _message(response: httpx.Response) -> str:
    try:
        return f"{response.status_code}: {response.json()['message']}"
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code}: {response.text[:200]}".rstrip(": ")


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdecimal() else 0.0
