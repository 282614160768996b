"""What the tests on real servers say to the API server, as whom."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from sandbox.connection import Sandbox

DIGEST = "sha256:" + "5e" * 32


@dataclass(frozen=True)
class Answer:
    """A status code and the server's own words."""

    status: int
    body: Mapping[str, Any]

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))


class Cluster:
    """The sandbox's API server as seen by the bearer of one token."""

    def __init__(self, sandbox: Sandbox, token: str) -> None:
        self._sandbox = sandbox
        verify = ssl.create_default_context(cafile=str(sandbox.ca))
        self._client = httpx.Client(
            base_url=sandbox.api_server, verify=verify, headers={"Authorization": f"Bearer {token}"}, timeout=30
        )

    def close(self) -> None:
        self._client.close()

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        response = self._client.request(method, path, json=body, **options)
        return Answer(response.status_code, response.json())

    def patch(self, path: str, body: Any, kind: str = "application/strategic-merge-patch+json") -> Answer:
        return self.call("PATCH", path, body, headers={"Content-Type": kind})

    def token(self, namespace: str, account: str) -> str:
        """A real ServiceAccount's token, as a pod of it would have (TokenRequest)."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        answer = self.call("POST", path, body)
        assert answer.status == 201, answer.message
        return answer.body["status"]["token"]

    @contextmanager
    def acting_as(self, namespace: str, account: str) -> Iterator[Cluster]:
        """The same server with the token of a ServiceAccount."""
        other = Cluster(self._sandbox, self.token(namespace, account))
        try:
            yield other
        finally:
            other.close()


def image(name: str = "web", registry: str = "ghcr.io/acme/shop") -> str:
    return f"{registry}/{name}@{DIGEST}"


def container(name: str = "app", **fields: Any) -> dict[str, Any]:
    """A container that the restricted Pod Security Standard accepts."""
    security = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    return {"name": name, "image": image(), "securityContext": security, **fields}


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": list(containers) or [container()], **spec},
    }
