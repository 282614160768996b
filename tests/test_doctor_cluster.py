"""What ``ladder doctor`` says of a cluster, by the answers of one; ``tests/sandbox/test_doctor.py`` asks a real one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ladder.contract import StackSettings
from ladder.doctor.asking import Answer, ask
from ladder.doctor.cluster import Cluster, cluster
from ladder.doctor.diagnosis import Diagnosis, Verdict
from ladder.doctor.kinds import Kind, declared, rendered
from ladder.errors import CheckFailed
from sandbox.progress import Silent
from tests.conftest import ROOT, Recordings
from tests.github import Standin, serving

ARGOCD = "/api/v1/namespaces/argocd"
SETTINGS = f"{ARGOCD}/configmaps/argocd-cm"
PROCESSES = f"{ARGOCD}/configmaps/argocd-cmd-params-cm"
IMPERSONATION = "application.sync.impersonation.enabled"
GLOBBING = "applicationsetcontroller.enable.new.git.file.globbing"
CONTROLLERS = (
    *("argo-rollouts", "argocd-application-controller", "argocd-applicationset-controller", "argocd-repo-server"),
    "external-secrets",
)
CHART = frozenset(
    {
        ("argoproj.io/v1alpha1", "Rollout"),
        ("external-secrets.io/v1", "ExternalSecret"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    }
)
Answers = dict[str, Answer]


@pytest.fixture
def needed(ladder: dict[str, StackSettings], recordings: Recordings) -> Cluster:
    return Cluster("prod", ladder["prod"], recordings["prod"], declared(recordings["prod"]) | CHART)


def good(body: Any) -> Answer:
    return Answer(200, body)


def discovery(kinds: Iterable[Kind]) -> dict[str, Any]:
    """An APIGroupDiscoveryList that has the kinds."""
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for api_version, kind in kinds:
        group, _, version = api_version.rpartition("/")
        groups[group][version].append(kind)
    return {
        "items": [
            {
                "metadata": {"name": group} if group else {},
                "versions": [
                    {"version": version, "resources": [{"responseKind": {"kind": kind}} for kind in kinds]}
                    for version, kinds in versions.items()
                ],
            }
            for group, versions in groups.items()
        ]
    }


def workloads(*names: str, available: int = 1) -> Answer:
    status = {"availableReplicas": available}
    labelled = [{"labels": {"app.kubernetes.io/name": name}} for name in names]
    return good({"items": [{"metadata": metadata, "status": status} for metadata in labelled]})


def healthy(needed: Cluster) -> Answers:
    """What a cluster answers that has all the stack needs."""
    core = {kind for kind in needed.kinds if "/" not in kind[0]}
    return {
        "/version": good({"gitVersion": "v1.36.3-eks-0123456"}),
        "/api": good(discovery(core)),
        "/apis": good(discovery(needed.kinds - core)),
        "/api/v1/namespaces/kube-system": good({"metadata": {"uid": "0b7c8e6a-98f0-4f6e-8f36-0a4c3a0d2b11"}}),
        "/.well-known/openid-configuration": good({"issuer": f"https://{needed.settings.cluster.oidc_issuer}"}),
        ARGOCD: good({"status": {"phase": "Active"}}),
        SETTINGS: good({"data": {IMPERSONATION: "true"}}),
        PROCESSES: good({"data": {GLOBBING: "true"}}),
        "deployments": workloads(*CONTROLLERS[:1], *CONTROLLERS[2:]),
        "statefulsets": workloads("argocd-application-controller"),
    }


def examined(needed: Cluster, **changed: Answer) -> list[Diagnosis]:
    return asked(needed, {**healthy(needed), **changed})


def asked(needed: Cluster, answers: Mapping[str, Answer]) -> list[Diagnosis]:
    def asking(context: str, paths: Iterable[str]) -> Answers:
        assert context == needed.settings.cluster.context
        short = {path: path.partition("?")[0].removeprefix("/apis/apps/v1/") for path in paths}
        return {path: answers[name] for path, name in short.items()}

    return list(cluster(needed, asking=asking))


def told(diagnoses: Iterable[Diagnosis], verdict: Verdict) -> list[str]:
    return [f"{each.claim}: {each.found}" for each in diagnoses if each.verdict is verdict]


def test_a_cluster_that_has_all_passes(needed: Cluster) -> None:
    diagnoses = examined(needed)
    assert [each for each in diagnoses if each.verdict is not Verdict.PASS] == []
    claims = [each.claim for each in diagnoses]
    assert "argoproj.io/v1alpha1 is served: AppProject, Application, ApplicationSet, Rollout" in claims
    policies = "ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding"
    assert f"admissionregistration.k8s.io/v1 is served: {policies}" in claims
    assert [claim for claim in claims if claim.endswith(" runs")] == [f"{name} runs" for name in CONTROLLERS]


def test_a_kind_that_is_not_served_is_named_with_the_versions_that_are(needed: Cluster) -> None:
    kinds = needed.kinds - {("external-secrets.io/v1", "SecretStore"), ("argoproj.io/v1alpha1", "Rollout")}
    diagnoses = examined(needed, **{"/apis": good(discovery(kinds | {("external-secrets.io/v1beta1", "SecretStore")}))})
    assert [each.rpartition(": ")[2] for each in told(diagnoses, Verdict.FAIL)] == [
        "Rollout is not served",
        "SecretStore is not served; SecretStore is, as external-secrets.io/v1beta1",
    ]
    assert all(each.mend for each in diagnoses if each.verdict is Verdict.FAIL)


@pytest.mark.parametrize(
    ("path", "answer", "says"),
    [
        ("/version", {"gitVersion": "v1.29.9"}, "Kubernetes is 1.30 or newer: v1.29.9"),
        ("/version", {"gitVersion": "tilt"}, "Kubernetes is 1.30 or newer: tilt"),
        (
            "/.well-known/openid-configuration",
            {"issuer": "https://oidc.example/id/other"},
            "the cluster issues what the roles trust: oidc.example/id/other",
        ),
        (ARGOCD, {"status": {"phase": "Terminating"}}, "the namespace argocd is there: Terminating"),
        (SETTINGS, {"data": {}}, f'{IMPERSONATION} is "true" in argocd-cm: not set'),
        (SETTINGS, {}, f'{IMPERSONATION} is "true" in argocd-cm: not set'),
        (PROCESSES, {"data": {GLOBBING: "false"}}, f'{GLOBBING} is "true" in argocd-cmd-params-cm: "false"'),
    ],
)
def test_what_is_another_fails(path: str, answer: Any, says: str, needed: Cluster) -> None:
    assert told(examined(needed, **{path: good(answer)}), Verdict.FAIL) == [says]


@pytest.mark.parametrize("path", [ARGOCD, SETTINGS, PROCESSES])
def test_what_is_not_there_fails(path: str, needed: Cluster) -> None:
    answer = Answer(404, {"message": "not found"})
    (failing,) = told(examined(needed, **{path: answer}), Verdict.FAIL)
    assert failing.endswith((": not there", ": there is no such ConfigMap"))


@pytest.mark.parametrize(
    ("deployments", "says"),
    [
        (workloads("argo-rollouts", "argocd-repo-server", "external-secrets"), "no Deployment or StatefulSet labelled"),
        (workloads(*CONTROLLERS[:1], *CONTROLLERS[3:], "argocd-applicationset-controller", available=0), "0 available"),
    ],
)
def test_a_controller_that_does_not_run_is_named(deployments: Answer, says: str, needed: Cluster) -> None:
    failing = told(examined(needed, deployments=deployments), Verdict.FAIL)
    assert any(each.startswith(f"argocd-applicationset-controller runs: {says}") for each in failing)


def test_nothing_is_asked_of_controllers_that_no_kind_needs(needed: Cluster) -> None:
    kinds = frozenset(kind for kind in needed.kinds if kind[1] not in {"Rollout", "ExternalSecret", "SecretStore"})
    claims = [each.claim for each in examined(replace(needed, kinds=kinds))]
    assert "argo-rollouts runs" not in claims
    assert "external-secrets runs" not in claims


@pytest.mark.parametrize(
    "path",
    [
        *("/version", "/api", "/apis", "/.well-known/openid-configuration", ARGOCD, SETTINGS, PROCESSES),
        *("deployments", "statefulsets"),
    ],
)
@pytest.mark.parametrize("answer", [Answer(403, {"message": "you may not"}), Answer(0, "ReadTimeout: ")])
def test_what_is_refused_could_not_be_checked(path: str, answer: Answer, needed: Cluster) -> None:
    diagnoses = examined(needed, **{path: answer})
    assert told(diagnoses, Verdict.FAIL) == []
    unknown = told(diagnoses, Verdict.UNKNOWN)
    assert unknown
    assert all("403: you may not" in each or "ReadTimeout" in each for each in unknown)


def test_the_uid_is_compared_where_the_identifier_is_one(needed: Cluster) -> None:
    for uid, verdict in (("0b7c8e6a-98f0-4f6e-8f36-0a4c3a0d2b11", Verdict.PASS), ("1" * 8, None)):
        own = needed.settings.cluster.model_copy(update={"identifier": uid})
        diagnoses = examined(replace(needed, settings=needed.settings.model_copy(update={"cluster": own})))
        found = [each.verdict for each in diagnoses if "kube-system" in each.claim]
        assert found == ([verdict] if verdict else [])
    other = "11111111-98f0-4f6e-8f36-0a4c3a0d2b11"
    own = needed.settings.cluster.model_copy(update={"identifier": other})
    diagnoses = examined(replace(needed, settings=needed.settings.model_copy(update={"cluster": own})))
    (failing,) = [each for each in diagnoses if each.verdict is Verdict.FAIL]
    assert other in failing.mend


def test_settings_are_asked_for_only_where_the_program_needs_them(needed: Cluster) -> None:
    def plain(inputs: Mapping[str, Any]) -> Any:
        return json.loads(json.dumps(inputs).replace("destinationServiceAccounts", "x").replace("*", "x"))

    changed = [replace(each, inputs=plain(each.inputs)) for each in needed.recording.resources]
    recording = replace(needed.recording, resources=tuple(changed))
    claims = [each.claim for each in examined(replace(needed, recording=recording))]
    assert not [claim for claim in claims if IMPERSONATION in claim or GLOBBING in claim]


@pytest.mark.exhaustive
def test_the_charts_kinds_are_those_of_the_stacks_own_overlays(ladder: dict[str, StackSettings]) -> None:
    kinds = rendered(ROOT, ladder["prod"], Silent())
    assert kinds >= CHART
    assert {kind for _, kind in kinds} >= {"Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"}


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the kubeconfig that is used, of one context."""

    def write(server: str, **user: Any) -> None:
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "acme-dev",
            "clusters": [{"name": "acme", "cluster": {"server": server}}],
            "users": [{"name": "acme", "user": user or {"token": "planted-token"}}],
            "contexts": [{"name": "acme-prod", "context": {"cluster": "acme", "user": "acme"}}],
        }
        file = tmp_path / "kubeconfig"
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        monkeypatch.setenv("KUBECONFIG", str(file))

    return write


@pytest.fixture
def server() -> Iterator[Standin]:
    with serving(Standin({})) as running:
        yield running


def test_each_path_is_asked_once_as_the_contexts_user(server: Standin, kubeconfig: Callable[..., None]) -> None:
    server.answers = {
        "/version": {"gitVersion": "v1.36.3"},
        "/apis": {"items": []},
        "/version/": {"gitVersion": "v1.36.3"},
        SETTINGS: (403, {"message": "you may not"}),
        "/apis/apps/v1/deployments": {"items": []},
    }
    kubeconfig(server.url)
    paths = ("/version", SETTINGS, "/apis/apps/v1/deployments?labelSelector=a%20in%20(b)", "/nowhere")
    answers = ask("acme-prod", paths)
    assert {path: answer.status for path, answer in answers.items()} == dict(
        zip(paths, (200, 403, 200, 404), strict=True)
    )
    assert answers[SETTINGS].reason == "403: you may not"
    assert {method for method, _, _ in server.asked} == {"GET"}
    assert {token for _, _, token in server.asked} == {"Bearer planted-token"}
    once = [path for _, path, _ in server.asked if path != "/version/"]  # the client's own question
    assert sorted(once) == sorted(paths)


@pytest.mark.parametrize("command", ["no-such-program", "false"])
def test_a_login_that_does_not_work_is_told(command: str, server: Standin, kubeconfig: Callable[..., None]) -> None:
    kubeconfig(server.url, exec={"apiVersion": "client.authentication.k8s.io/v1", "command": command, "args": []})
    with pytest.raises(CheckFailed):
        ask("acme-prod", ["/version"])
    assert server.asked == []


def test_a_context_there_is_not_is_told_and_no_other_is_asked(
    server: Standin, kubeconfig: Callable[..., None], needed: Cluster
) -> None:
    kubeconfig(server.url)
    with pytest.raises(CheckFailed, match="no usable context acme-staging"):
        ask("acme-staging", ["/version"])
    assert server.asked == []


def test_without_a_kubeconfig_it_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(CheckFailed, match="there is no kubeconfig"):
        ask("acme-prod", ["/version"])


def test_a_cluster_nobody_answers_for_could_not_be_checked(kubeconfig: Callable[..., None], needed: Cluster) -> None:
    kubeconfig("http://127.0.0.1:9")
    (only,) = list(cluster(needed))
    assert only.verdict is Verdict.UNKNOWN
    assert only.claim == "the context acme-prod reaches a cluster"
    assert only.mend
