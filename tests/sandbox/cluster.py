"""What the tests on real servers say to the API server, as whom."""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
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


def until(condition: Callable[[], object], seconds: float, told: Callable[[], str] = str) -> None:
    """Wait for the condition; where the deadline passes first, the failure says what ``told`` answers then."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {told()}")
        time.sleep(0.25)


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

    def token(self, namespace: str, account: str, seconds: int = 600) -> str:
        """A real ServiceAccount's token, as a pod of it would have (TokenRequest)."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        answer = self.call("POST", path, body)
        assert answer.status == 201, answer.message
        return answer.body["status"]["token"]

    def settle_admission(self) -> None:
        """Return once every admission policy created so far holds: the API server takes them up in their order."""
        name = f"settled-{secrets.token_hex(4)}"
        path = "/apis/admissionregistration.k8s.io/v1"
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
        policy = {
            "matchConstraints": {"resourceRules": [{**rule, "resourceNames": [name]}]},
            "validations": [{"expression": "false", "message": name}],
        }
        last = {
            "validatingadmissionpolicies": policy,
            "validatingadmissionpolicybindings": {"policyName": name, "validationActions": ["Deny"]},
        }
        for plural, spec in last.items():
            answer = self.call("POST", f"{path}/{plural}", {"metadata": {"name": name}, "spec": spec})
            assert answer.status == 201, answer.message
        probe = {"metadata": {"name": name}}
        configmaps = "/api/v1/namespaces/default/configmaps"
        try:
            until(
                lambda: name in self.call("POST", configmaps, probe, params={"dryRun": "All"}).message,
                30,
                lambda: "the last policy does not hold",
            )
        finally:
            for plural in last:
                self.call("DELETE", f"{path}/{plural}/{name}")

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
