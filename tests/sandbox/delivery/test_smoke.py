"""The sandbox's half of delivery, by a chart and a tree of the test's own, under the real program's ApplicationSet."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ladder import project
from sandbox import deployer
from sandbox.connection import Sandbox
from sandbox.engines import Deployment
from sandbox.progress import Silent
from sandbox.publishing import Published, publish
from tests.sandbox.cluster import DIGEST, Cluster, container, until

pytestmark = pytest.mark.servers

BRANCH = "smoke"
SERVICES = ("web", "worker")
ARGOCD = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
SERVICES_NAMESPACE = "dev-services"
DEADLINE = 120.0
NAMED = {"name": "{{ .Release.Name }}", "labels": {"app": "{{ .Release.Name }}"}}
IMAGE = "ghcr.io/acme/shop/{{ .Release.Name }}@{{ .Values.image.digest }}"


def workload(api_version: str, kind: str, **spec: Any) -> dict[str, Any]:
    resources = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "20m", "memory": "32Mi"}}
    template = {
        "metadata": {"labels": NAMED["labels"]},
        "spec": {
            "serviceAccountName": "{{ .Release.Name }}",
            "automountServiceAccountToken": False,
            "containers": [container(image=IMAGE, resources=resources)],
        },
    }
    own = {"replicas": 1, "selector": {"matchLabels": NAMED["labels"]}, "template": template}
    return {"apiVersion": api_version, "kind": kind, "metadata": NAMED, "spec": {**own, **spec}}


OBJECTS = (
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": NAMED},
    {"apiVersion": "v1", "kind": "Service", "metadata": NAMED, "spec": {"ports": [{"port": 80}]}},
    workload("argoproj.io/v1alpha1", "Rollout", strategy={"canary": {}}),
    workload(
        "apps/v1",
        "StatefulSet",
        serviceName="{{ .Release.Name }}",
        volumeClaimTemplates=[
            {
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }
        ],
    ),
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": NAMED,
        "spec": {"parentRefs": [{"name": "public"}], "hostnames": ["{{ .Release.Name }}.DOMAIN"]},
    },
)


@dataclass
class Tree:
    """A project whose tree is the test's own, published on the sandbox."""

    root: Path
    running: Sandbox
    chart: str = field(default="", init=False)

    @property
    def folder(self) -> Path:
        return self.root / "gitops"

    def publish(self) -> Published:
        return publish(self.running, self.folder, Silent(), folder="gitops", branch=BRANCH)

    def deliver(self, service: str, digest: str) -> None:
        directory = self.folder / "envs" / "dev" / service
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "values.yaml").write_text("{}\n")
        version = {"image": {"digest": digest}, "chart": {"digest": self.chart}}
        (directory / "version.yaml").write_text(json.dumps(version))


@pytest.fixture(scope="module")
def cluster(delivery_sandbox: Sandbox) -> Iterator[Cluster]:
    cluster = Cluster(delivery_sandbox, delivery_sandbox.token)
    yield cluster
    cluster.close()


@pytest.fixture(scope="module")
def tree(delivery_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tree]:
    """Dev's stack as the program declares it, on a branch that only this module publishes to."""
    root = tmp_path_factory.mktemp("project")
    for path in (project.root() / "Pulumi.yaml", project.root() / "__main__.py", *project.root().glob("Pulumi.*.yaml")):
        text = re.sub(r"(?m)^    branch: .*$", f"    branch: {BRANCH}", path.read_text(encoding="utf-8"))
        (root / path.name).write_text(text, encoding="utf-8")
    tree, deployment = Tree(root, delivery_sandbox), Deployment(root, "dev", delivery_sandbox)
    templates = tree.folder / "chart" / "templates"
    templates.mkdir(parents=True)
    (templates.parent / "Chart.yaml").write_text("apiVersion: v2\nname: service\nversion: 0.0.1\n")
    text = "\n---\n".join(json.dumps(each, indent=1) for each in OBJECTS)
    (templates / "all.yaml").write_text(text.replace("DOMAIN", deployment.settings.hosts.domain))
    tree.chart = tree.publish().chart or ""
    for service in SERVICES:
        tree.deliver(service, DIGEST)
    tree.publish()
    deployment.prepare()
    deployer.up(deployment.recording, deployment.target)
    yield tree
    deployer.destroy(deployment.recording, deployment.target)
    shutil.rmtree(tree.folder)


def application(cluster: Cluster, service: str) -> Mapping[str, Any]:
    return cluster.call("GET", f"{ARGOCD}/dev-{service}").body.get("status", {})


def state(cluster: Cluster, service: str) -> tuple[str, str]:
    status = application(cluster, service)
    return status.get("sync", {}).get("status", ""), status.get("health", {}).get("status", "")


def story(cluster: Cluster, service: str) -> str:
    """What Argo CD says of an Application, for a failure's message."""
    status = application(cluster, service)
    said = {name: status.get(name) for name in ("conditions", "resources")}
    operation = status.get("operationState", {})
    said["operation"] = [operation.get("phase"), operation.get("message"), operation.get("syncResult")]
    return json.dumps({service: said}, indent=1)


def settled(cluster: Cluster, *services: str) -> None:
    def told() -> str:
        return "\n".join(story(cluster, service) for service in services)

    until(lambda: all(state(cluster, each) == ("Synced", "Healthy") for each in services), DEADLINE, told)


def rollout(cluster: Cluster, service: str) -> Mapping[str, Any]:
    path = f"/apis/argoproj.io/v1alpha1/namespaces/{SERVICES_NAMESPACE}/rollouts/{service}"
    return cluster.call("GET", path).body


def image(cluster: Cluster, service: str) -> str:
    found = rollout(cluster, service)
    return found["spec"]["template"]["spec"]["containers"][0]["image"] if "spec" in found else ""


def test_what_the_tree_names_is_synced_and_turns_healthy(tree: Tree, cluster: Cluster) -> None:
    settled(cluster, *SERVICES)
    status = application(cluster, "web")
    assert {each["kind"] for each in status["resources"]} == {each["kind"] for each in OBJECTS}
    assert tree.chart in status["sync"]["revisions"]


def test_pods_run_and_claims_are_bound(tree: Tree, cluster: Cluster) -> None:
    settled(cluster, *SERVICES)
    base = f"/api/v1/namespaces/{SERVICES_NAMESPACE}"
    pods = cluster.call("GET", f"{base}/pods").body["items"]
    claims = cluster.call("GET", f"{base}/persistentvolumeclaims").body["items"]
    assert [each["status"]["phase"] for each in pods] == ["Running"] * 2 * len(SERVICES)
    assert [each["status"]["phase"] for each in claims] == ["Bound"] * len(SERVICES)


def test_argocd_can_only_do_what_the_environment_lets_it(tree: Tree, cluster: Cluster) -> None:
    """Without the binding of the environment's ServiceAccount nothing is synced: Argo CD has no right of its own."""
    settled(cluster, *SERVICES)
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SERVICES_NAMESPACE}/rolebindings/delivery"
    assert cluster.call("DELETE", path).status == 200
    tree.deliver("worker", "sha256:" + "b1" * 32)
    tree.publish()

    def refused() -> bool:
        said = " ".join(each["message"] for each in application(cluster, "worker").get("conditions", []))
        return 'User "system:serviceaccount:dev-services:delivery" cannot patch' in said

    until(refused, DEADLINE, lambda: story(cluster, "worker"))
    assert image(cluster, "worker").endswith(DIGEST)
    deployment = Deployment(tree.root, "dev", tree.running)
    deployer.up(deployment.recording, deployment.target)


def test_commit_is_delivered_to_the_service_it_is_about(tree: Tree, cluster: Cluster) -> None:
    settled(cluster, "web")
    before, wanted = rollout(cluster, "worker")["metadata"]["uid"], "sha256:" + "c2" * 32
    tree.deliver("web", wanted)
    tree.publish()
    until(lambda: image(cluster, "web").endswith(wanted), DEADLINE, lambda: story(cluster, "web"))
    settled(cluster, "web")
    assert rollout(cluster, "worker")["metadata"]["uid"] == before
    assert not image(cluster, "worker").endswith(wanted)


def test_folder_that_goes_takes_its_application_and_workload_along(tree: Tree, cluster: Cluster) -> None:
    shutil.rmtree(tree.folder / "envs" / "dev" / "worker")
    tree.publish()
    until(lambda: cluster.call("GET", f"{ARGOCD}/dev-worker").status == 404, DEADLINE)
    assert rollout(cluster, "worker").get("code") == 404
    settled(cluster, "web")
