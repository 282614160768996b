"""``ladder doctor`` on the real API server: what a cluster lacks is named, what it has passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ladder import project
from ladder.doctor.asking import ask
from ladder.doctor.aws import aws
from ladder.doctor.cluster import Cluster, cluster
from ladder.doctor.diagnosis import Diagnosis, Verdict
from ladder.doctor.kinds import declared, rendered
from sandbox import deployer
from sandbox.access import CONTEXT
from sandbox.connection import Sandbox
from sandbox.engines import Deployment
from sandbox.progress import Silent
from tests.sandbox import cluster as servers
from tests.sandbox.cluster import until

pytestmark = pytest.mark.servers

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ISSUER = "/.well-known/openid-configuration"
NAMES = (
    *("argo-rollouts", "argocd-application-controller", "argocd-applicationset-controller", "argocd-repo-server"),
    "external-secrets",
)
SETTINGS = {
    "argocd-cm": {"application.sync.impersonation.enabled": "true"},
    "argocd-cmd-params-cm": {"applicationsetcontroller.enable.new.git.file.globbing": "true"},
}


@pytest.fixture(scope="module")
def admin(sandbox: Sandbox) -> Iterator[servers.Cluster]:
    client = servers.Cluster(sandbox, sandbox.token)
    yield client
    client.close()


@pytest.fixture(autouse=True)
def _kubeconfig(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(sandbox.kubeconfig))


@pytest.fixture(scope="module")
def deployment(sandbox: Sandbox) -> Deployment:
    """Dev as the sandbox runs it, before its first update."""
    made = Deployment(project.root(), "dev", sandbox)
    made.prepare()
    return made


@pytest.fixture(scope="module")
def needed(deployment: Deployment) -> Cluster:
    kinds = declared(deployment.recording) | rendered(project.root(), deployment.settings, Silent())
    return Cluster("dev", deployment.settings, deployment.recording, kinds)


def told(diagnoses: list[Diagnosis], verdict: Verdict) -> list[str]:
    return [f"{each.claim}: {each.found}" for each in diagnoses if each.verdict is verdict]


def test_the_sandbox_serves_every_kind_and_is_known_by_its_uid(needed: Cluster, sandbox: Sandbox) -> None:
    diagnoses = list(cluster(needed))
    passing = {each.claim: each.found for each in diagnoses if each.verdict is Verdict.PASS}
    versions = sorted({version for version, _ in needed.kinds})
    assert [claim.partition(" is served")[0] for claim in passing if " is served: " in claim] == versions
    assert passing["kube-system has the UID that cluster.identifier says"] == sandbox.cluster_uid
    assert passing[f"the namespace {needed.settings.delivery.namespace} is there"] == "Active"
    assert passing["Kubernetes is 1.30 or newer"].startswith("v1.")
    failing = {each.claim for each in diagnoses if each.verdict is Verdict.FAIL}
    assert failing == {
        "the cluster issues what the roles trust",
        *(f"{name} runs" for name in NAMES),
        *(f'{key} is "true" in {name}' for name, data in SETTINGS.items() for key in data),
    }
    assert told(diagnoses, Verdict.UNKNOWN) == []


def test_a_cluster_that_runs_all_of_it_passes(needed: Cluster, admin: servers.Cluster) -> None:
    issuer = ask(CONTEXT, [ISSUER])[ISSUER].body["issuer"].removeprefix("https://")
    own = needed.settings.cluster.model_copy(update={"oidc_issuer": issuer})
    meant = replace(needed, settings=needed.settings.model_copy(update={"cluster": own}))
    with _installed(admin, needed.settings.delivery.namespace):
        diagnoses = list(cluster(meant))
    assert [each for each in diagnoses if each.verdict is not Verdict.PASS] == []


@contextmanager
def _installed(admin: servers.Cluster, namespace: str) -> Iterator[None]:
    """What the controllers' own manifests would make, as far as it is looked at; their pods are played as running."""
    folders = {f"/api/v1/namespaces/{namespace}/configmaps": [_settings(*each) for each in SETTINGS.items()]}
    for kind, names in (("Deployment", [NAMES[0], *NAMES[2:]]), ("StatefulSet", [NAMES[1]])):
        folders[f"/apis/apps/v1/namespaces/{namespace}/{kind.lower()}s"] = [_workload(kind, name) for name in names]
    try:
        for folder, bodies in folders.items():
            for body in bodies:
                answer = admin.call("POST", folder, body)
                assert answer.status == 201, answer.message
        until(lambda: _all_available(admin, namespace, list(folders)[1:]), 60)
        yield
    finally:
        for folder, bodies in folders.items():
            for body in bodies:
                admin.call("DELETE", f"{folder}/{body['metadata']['name']}?propagationPolicy=Background")


def _all_available(admin: servers.Cluster, namespace: str, folders: list[str]) -> bool:
    """Says of every pod that it is ready, as a kubelet would; whether that reached all workloads."""
    pods = f"/api/v1/namespaces/{namespace}/pods"
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    for pod in admin.call("GET", pods).body["items"]:
        if pod["status"]["phase"] == "Pending":
            path = f"{pods}/{pod['metadata']['name']}/status"
            admin.patch(path, {"status": ready}, "application/merge-patch+json")
    items = [item for folder in folders for item in admin.call("GET", folder).body["items"]]
    return len(items) == len(NAMES) and all(item["status"].get("availableReplicas") for item in items)


def _settings(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _workload(kind: str, name: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": servers.image()}]}}
    spec: dict[str, Any] = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "labels": labels}, "spec": spec}


def test_a_definition_that_was_removed_fails_with_its_name(needed: Cluster, admin: servers.Cluster) -> None:
    path = f"{DEFINITIONS}/externalsecrets.external-secrets.io"
    definition = dict(admin.call("GET", path).body)
    kept = {key: value for key, value in definition["metadata"].items() if key in {"name", "labels", "annotations"}}
    definition = {**definition, "metadata": kept}
    definition.pop("status")
    try:
        assert admin.call("DELETE", path).status == 200
        until(lambda: admin.call("GET", path).status == 404, 60)
        until(lambda: _missing(needed) != [], 60)
        (failing,) = _missing(needed)
        assert failing == "external-secrets.io/v1 is served: ExternalSecret, SecretStore: ExternalSecret is not served"
    finally:
        admin.call("POST", DEFINITIONS, definition)
        until(lambda: _missing(needed) == [], 60, lambda: str(_missing(needed)))


def _missing(needed: Cluster) -> list[str]:
    return [each for each in told(list(cluster(needed)), Verdict.FAIL) if " is served: " in each]


def test_whoever_may_read_nothing_is_told_what_could_not_be_checked(
    needed: Cluster, admin: servers.Cluster, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = yaml.safe_load(sandbox.kubeconfig.read_text(encoding="utf-8"))
    config["users"][0]["user"]["token"] = admin.token("kube-system", "default")
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(file))
    diagnoses = list(cluster(needed))
    unknown = [each for each in diagnoses if each.verdict is Verdict.UNKNOWN]
    assert {f"{name} runs" for name in NAMES} <= {each.claim for each in unknown}
    assert all(each.found.startswith("403: ") for each in unknown), unknown
    assert "Kubernetes is 1.30 or newer" in {each.claim for each in diagnoses if each.verdict is Verdict.PASS}


def test_the_account_that_was_brought_up_trusts_whom_it_declares(
    deployment: Deployment, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in sandbox.environment(deployment.settings.cloud.account).items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    deployer.up(deployment.recording, deployment.target)
    try:
        diagnoses = list(aws("dev", deployment.settings, deployment.recording))
    finally:
        deployer.destroy(deployment.recording, deployment.target)
    issuer = deployment.settings.cluster.oidc_issuer
    assert told(diagnoses, Verdict.UNKNOWN) == []
    assert told(diagnoses, Verdict.FAIL) == [
        f"the account trusts the cluster's issuer: there is no provider of {issuer}",
    ]
    claims = [each.claim for each in diagnoses if each.verdict is Verdict.PASS]
    assert sum(claim.endswith("trusts whom it declares") for claim in claims) == len(
        deployment.recording.of_type("aws:iam/role:Role")
    )
