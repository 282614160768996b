"""Which hosts an environment, and a preview, may answer at, seen at the real API server's admission."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from ladder import project
from sandbox import deployer
from sandbox.connection import Sandbox
from sandbox.engines import Deployment
from tests.sandbox.cluster import Answer, Cluster

pytestmark = pytest.mark.servers

PREVIEW = "pr-4711"
BACKEND = {"service": {"name": "web", "port": {"number": 8080}}}


@pytest.fixture(scope="module")
def admin(sandbox: Sandbox) -> Iterator[Cluster]:
    """The cluster's administrator, with dev up and the namespace of a preview. Admission holds for them too."""
    deployment = Deployment(project.root(), "dev", sandbox)
    deployment.prepare()
    deployer.up(deployment.recording, deployment.target)
    cluster = Cluster(sandbox, sandbox.token)
    cluster.settle_admission()
    cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": PREVIEW}})
    yield cluster
    cluster.call("DELETE", f"/api/v1/namespaces/{PREVIEW}")
    cluster.close()
    deployer.destroy(deployment.recording, deployment.target)


def ingress(cluster: Cluster, namespace: str, **spec: Any) -> Answer:
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
    return _create(cluster, path, "networking.k8s.io/v1", "Ingress", spec)


def route(cluster: Cluster, namespace: str, **spec: Any) -> Answer:
    path = f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes"
    return _create(cluster, path, "gateway.networking.k8s.io/v1", "HTTPRoute", spec)


def _create(cluster: Cluster, path: str, version: str, kind: str, spec: dict[str, Any]) -> Answer:
    """A dry run, which admission sees as it sees any other."""
    metadata = {"name": f"t-{secrets.token_hex(4)}"}
    body = {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
    return cluster.call("POST", path, body, params={"dryRun": "All"})


def rules(*hosts: str | None) -> list[dict[str, Any]]:
    http = {"paths": [{"path": "/", "pathType": "Prefix", "backend": BACKEND}]}
    return [{"http": http} | ({"host": host} if host else {}) for host in hosts]


@pytest.mark.parametrize(
    ("namespace", "host"),
    [
        ("dev-services", "dev.acme.dev"),
        ("dev-services", "shop.dev.acme.dev"),
        ("dev-services", "*.dev.acme.dev"),
        (PREVIEW, f"shop.{PREVIEW}.acme-previews.dev"),
        ("default", "shop.acme.com"),
    ],
)
def test_own_hosts_are_admitted(admin: Cluster, namespace: str, host: str) -> None:
    answer = ingress(admin, namespace, rules=rules(host))
    assert answer.status == 201, answer.message
    answer = route(admin, namespace, hostnames=[host])
    assert answer.status == 201, answer.message


@pytest.mark.parametrize(
    ("namespace", "host"),
    [
        ("dev-services", "shop.acme.com"),
        ("dev-services", "shop.staging.acme.dev"),
        ("dev-services", "evildev.acme.dev"),
        ("dev-services", "*.acme.dev"),
        ("dev-data", "shop.acme.com"),
        (PREVIEW, "shop.pr-4712.acme-previews.dev"),
        (PREVIEW, "shop.acme-previews.dev"),
        (PREVIEW, "shop.dev.acme.dev"),
    ],
)
def test_anybody_elses_hosts_are_refused(admin: Cluster, namespace: str, host: str) -> None:
    for answer in (
        ingress(admin, namespace, rules=rules(host)),
        ingress(admin, namespace, rules=rules(f"shop.{namespace}.dev.acme.dev", host)),
        route(admin, namespace, hostnames=[host]),
    ):
        assert (answer.status, "every host must be given" in answer.message) == (403, True), answer.message


def test_an_object_that_answers_at_every_host_is_refused(admin: Cluster) -> None:
    for answer in (
        ingress(admin, "dev-services", rules=rules(None)),
        ingress(admin, "dev-services", defaultBackend=BACKEND),
        ingress(admin, "dev-services", rules=rules("shop.dev.acme.dev"), defaultBackend=BACKEND),
        route(admin, "dev-services"),
        route(admin, "dev-services", hostnames=[]),
    ):
        assert (answer.status, "every host must be given" in answer.message) == (403, True), answer.message
