"""What an environment refuses, seen at the real API server's admission and authorization."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ladder import project
from sandbox import deployer
from sandbox.connection import Sandbox
from sandbox.engines import Deployment
from tests.sandbox.cluster import Answer, Cluster, container, image, pod

pytestmark = pytest.mark.servers

PODS = "/api/v1/namespaces/dev-services/pods"


@pytest.fixture(scope="module")
def admin(sandbox: Sandbox) -> Iterator[Cluster]:
    """The cluster's administrator, with dev up. Admission holds for administrators too."""
    deployment = Deployment(project.root(), "dev", sandbox)
    deployment.prepare()
    deployer.up(deployment.recording, deployment.target)
    cluster = Cluster(sandbox, sandbox.token)
    cluster.settle_admission()
    yield cluster
    cluster.close()
    deployer.destroy(deployment.recording, deployment.target)


@pytest.fixture
def name() -> str:
    return f"t-{secrets.token_hex(4)}"


@pytest.fixture
def created(admin: Cluster) -> Iterator[list[str]]:
    """Paths of objects to delete afterwards."""
    paths: list[str] = []
    yield paths
    for path in paths:
        admin.call("DELETE", path, params={"gracePeriodSeconds": "0"})


def _create(admin: Cluster, body: dict[str, Any], created: list[str], path: str = PODS) -> Answer:
    answer = admin.call("POST", path, body)
    if answer.status == 201:
        created.append(f"{path}/{body['metadata']['name']}")
    return answer


def test_a_restricted_pod_with_a_digest_of_an_allowed_registry_is_admitted(
    admin: Cluster, name: str, created: list[str]
) -> None:
    assert _create(admin, pod(name), created).status == 201


def test_a_container_that_asks_for_nothing_gets_the_contracts_defaults(
    admin: Cluster, name: str, created: list[str]
) -> None:
    answer = _create(admin, pod(name), created)
    assert answer.body["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"cpu": "500m", "memory": "256Mi"},
    }


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("ghcr.io/acme/shop/web:latest", "by digest"),
        ("ghcr.io/acme/shop/web", "by digest"),
        ("ghcr.io/acme/shop/web@sha256:" + "5E" * 32, "by digest"),
        ("ghcr.io/acme/shop/web@sha256:" + "5e" * 31, "by digest"),
        ("docker.io/library/nginx@sha256:" + "5e" * 32, "must come from"),
        ("ghcr.io/acme/shop-evil/web@sha256:" + "5e" * 32, "must come from"),
        ("evil.example/ghcr.io/acme/shop/web@sha256:" + "5e" * 32, "must come from"),
    ],
)
@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_an_image_without_digest_or_of_a_foreign_registry_is_refused(
    admin: Cluster, name: str, created: list[str], reference: str, reason: str, kind: str
) -> None:
    bad = container("bad", image=reference)
    body = pod(name, bad) if kind == "containers" else pod(name, initContainers=[bad])
    answer = _create(admin, body, created)
    assert (answer.status, reason in answer.message) == (403, True), answer.message
    assert "ladder-dev-images" in answer.message


def test_an_image_volume_is_held_to_the_same_rule(admin: Cluster, name: str, created: list[str]) -> None:
    def mounting(reference: str) -> dict[str, Any]:
        return pod(name, volumes=[{"name": "data", "image": {"reference": reference}}])

    refused = _create(admin, mounting("ghcr.io/acme/shop/data:1"), created)
    assert (refused.status, "by digest" in refused.message) == (403, True), refused.message
    assert _create(admin, mounting(image("data")), created).status == 201


def test_an_ephemeral_container_is_held_to_the_same_rule(admin: Cluster, name: str, created: list[str]) -> None:
    assert _create(admin, pod(name), created).status == 201

    def debug(reference: str) -> Answer:
        patch = {"spec": {"ephemeralContainers": [container("debug", image=reference)]}}
        return admin.patch(f"{PODS}/{name}/ephemeralcontainers", patch)

    refused = debug("docker.io/library/busybox:latest")
    assert (refused.status, "by digest" in refused.message) == (403, True), refused.message
    assert debug(image("debug")).status == 200


def test_a_running_pods_image_cannot_be_changed_to_a_tag(admin: Cluster, name: str, created: list[str]) -> None:
    assert _create(admin, pod(name), created).status == 201
    patch = {"spec": {"containers": [{"name": "app", "image": "ghcr.io/acme/shop/web:latest"}]}}
    answer = admin.patch(f"{PODS}/{name}", patch)
    assert (answer.status, "by digest" in answer.message) == (403, True), answer.message


def test_the_data_namespace_is_held_to_the_same_rule(admin: Cluster, name: str, created: list[str]) -> None:
    bad = pod(name, container(image="ghcr.io/acme/mirror/postgres:17"))
    answer = _create(admin, bad, created, "/api/v1/namespaces/dev-data/pods")
    assert (answer.status, "by digest" in answer.message) == (403, True), answer.message


def test_namespaces_of_others_are_not_touched(admin: Cluster, name: str, created: list[str]) -> None:
    body = pod(name, container(image="docker.io/library/nginx:latest"))
    assert _create(admin, body, created, "/api/v1/namespaces/default/pods").status == 201


def test_a_deployments_pods_are_refused_like_any_other(admin: Cluster, name: str, created: list[str]) -> None:
    path = "/apis/apps/v1/namespaces/dev-services/deployments"
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container(image="ghcr.io/acme/shop/web:1")]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    assert _create(admin, body, created, path).status == 201
    failure = _await_condition(admin, f"{path}/{name}", "ReplicaFailure")
    assert "by digest" in failure


def _await_condition(admin: Cluster, path: str, kind: str, seconds: float = 60) -> str:
    """The message of a condition, once a controller has set it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        conditions = admin.call("GET", path).body.get("status", {}).get("conditions", [])
        for condition in conditions:
            if condition["type"] == kind:
                return condition["message"]
    raise AssertionError(f"{path} has no condition {kind} after {seconds} s")


@pytest.mark.parametrize(
    "weakened",
    [
        {"securityContext": {"privileged": True}},
        {"securityContext": {"runAsUser": 0}},
        {"securityContext": {}},
    ],
    ids=["privileged", "root", "no-security-context"],
)
def test_a_pod_beyond_the_restricted_standard_is_refused(
    admin: Cluster, name: str, created: list[str], weakened: dict[str, Any]
) -> None:
    answer = _create(admin, pod(name, container(**weakened)), created)
    assert (answer.status, 'violates PodSecurity "restricted' in answer.message) == (403, True), answer.message


def test_a_pod_on_the_hosts_network_is_refused(admin: Cluster, name: str, created: list[str]) -> None:
    answer = _create(admin, pod(name, hostNetwork=True), created)
    assert (answer.status, "host namespaces" in answer.message) == (403, True), answer.message


def test_one_container_may_not_ask_for_more_than_the_limit_range_allows(
    admin: Cluster, name: str, created: list[str]
) -> None:
    answer = _create(admin, pod(name, container(resources={"limits": {"cpu": "2", "memory": "256Mi"}})), created)
    assert (answer.status, "maximum cpu usage per Container is 1" in answer.message) == (403, True), answer.message


def test_all_pods_together_may_not_ask_for_more_than_the_quota(admin: Cluster, name: str, created: list[str]) -> None:
    resources = {"limits": {"cpu": "1", "memory": "256Mi"}}
    many = [container(f"c{number}", resources=resources) for number in range(13)]
    answer = _create(admin, pod(name, *many), created)
    assert (answer.status, "exceeded quota: quota" in answer.message) == (403, True), answer.message


def test_a_load_balancer_is_not_within_the_quota(admin: Cluster, name: str, created: list[str]) -> None:
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
    answer = _create(admin, body, created, "/api/v1/namespaces/dev-services/services")
    assert (answer.status, "exceeded quota: quota" in answer.message) == (403, True), answer.message


def _config_map(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {}}


def test_delivery_may_write_what_the_chart_holds_in_its_namespace(
    admin: Cluster, name: str, created: list[str]
) -> None:
    with admin.acting_as("dev-services", "delivery") as delivery:
        answer = _create(delivery, _config_map(name), created, "/api/v1/namespaces/dev-services/configmaps")
    assert answer.status == 201


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/v1/namespaces/dev-data/configmaps", _config_map("elsewhere")),
        ("POST", "/api/v1/namespaces/default/configmaps", _config_map("elsewhere")),
        ("GET", "/api/v1/namespaces/dev-services/secrets", None),
        ("DELETE", "/api/v1/namespaces/dev-services/resourcequotas/quota", None),
        ("DELETE", "/api/v1/namespaces/dev-services/limitranges/limits", None),
        ("DELETE", "/api/v1/namespaces/dev-services", None),
        ("POST", "/api/v1/namespaces/dev-services/pods", pod("direct")),
        ("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/ladder-dev-images", None),
        ("GET", "/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects", None),
        (
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/dev-services/rolebindings",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "more"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
                "subjects": [{"kind": "ServiceAccount", "name": "delivery", "namespace": "dev-services"}],
            },
        ),
        ("POST", "/api/v1/namespaces/dev-services/serviceaccounts/secret-reader/token", {"spec": {}}),
    ],
)
def test_delivery_may_not_leave_its_namespace_or_touch_its_rails(
    admin: Cluster, method: str, path: str, body: dict[str, Any] | None
) -> None:
    with admin.acting_as("dev-services", "delivery") as delivery:
        answer = delivery.call(method, path, body)
    assert (answer.status, answer.body.get("reason")) == (403, "Forbidden"), answer.message


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("DELETE", "/apis/networking.k8s.io/v1/namespaces/dev-services/networkpolicies/default-deny", None),
        ("PATCH", "/apis/networking.k8s.io/v1/namespaces/dev-services/networkpolicies/allow-dns", {"spec": {}}),
        ("DELETE", "/api/v1/namespaces/dev-services/serviceaccounts/secret-reader", None),
        (
            "PATCH",
            "/api/v1/namespaces/dev-services/serviceaccounts/secret-reader",
            {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/other"}}},
        ),
        ("DELETE", "/api/v1/namespaces/dev-services/serviceaccounts/delivery", None),
    ],
)
def test_delivery_may_not_change_the_environments_own_policies_and_accounts(
    admin: Cluster, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """RBAC lets it write these kinds; admission keeps it from these names."""
    headers = {"Content-Type": "application/merge-patch+json"} if method == "PATCH" else {}
    with admin.acting_as("dev-services", "delivery") as delivery:
        answer = delivery.call(method, path, body, headers=headers)
    assert (answer.status, "ladder-dev-delivery-rails" in answer.message) == (403, True), answer.message


def test_delivery_may_write_network_policies_of_its_own(admin: Cluster, name: str, created: list[str]) -> None:
    path = "/apis/networking.k8s.io/v1/namespaces/dev-services/networkpolicies"
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}
    with admin.acting_as("dev-services", "delivery") as delivery:
        assert _create(delivery, body, created, path).status == 201
        assert delivery.call("DELETE", f"{path}/{name}").status == 200


@pytest.mark.parametrize("account", ["secret-reader", "delivery"])
def test_no_pod_runs_as_who_reads_secrets_or_delivers(
    admin: Cluster, name: str, created: list[str], account: str
) -> None:
    answer = _create(admin, pod(name, serviceAccountName=account), created)
    assert (answer.status, "no pod may run as" in answer.message) == (403, True), answer.message


def test_a_previews_pods_are_held_to_the_same_images(admin: Cluster, created: list[str]) -> None:
    namespace = f"pr-{secrets.randbelow(10**6) + 1}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    assert _create(admin, body, created, "/api/v1/namespaces").status == 201
    pods = f"/api/v1/namespaces/{namespace}/pods"
    bad = pod("bad", container(image="docker.io/library/nginx:latest"), automountServiceAccountToken=False)
    answer = admin.call("POST", pods, bad)
    assert (answer.status, "by digest" in answer.message) == (403, True), answer.message


@pytest.mark.parametrize("account", ["secret-reader", "default"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/dev-services/secrets",
        "/api/v1/namespaces/dev-services/pods",
        "/api/v1/namespaces/dev-services/configmaps",
        "/api/v1/namespaces",
    ],
)
def test_a_workloads_own_token_opens_nothing(admin: Cluster, account: str, path: str) -> None:
    with admin.acting_as("dev-services", account) as workload:
        assert workload.call("GET", path).status == 403
