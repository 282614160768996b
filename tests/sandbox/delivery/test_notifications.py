"""What a pull request is told of its preview, by Argo CD's own notifications controller and the shipped configuration.

One story in the order of its tests: every test starts from what those before it left. The Application is made by hand,
of a git and an OCI source as the previews' ApplicationSet makes it; GitHub is a stand-in on loopback.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
import yaml

from ladder import project
from sandbox.connection import Sandbox
from sandbox.paths import StateDir
from sandbox.progress import Silent
from sandbox.publishing import publish
from tests.previews.serving import Asked, Reply, serving
from tests.sandbox.cluster import Cluster, container, until
from tests.sandbox.delivery.github_app import AppStandIn

pytestmark = pytest.mark.servers

CONFIGURATION = project.root() / "gitops" / "argocd" / "notifications.yaml"
NUMBER = 4711
NAME = f"pr-{NUMBER}"
HOST = f"{NAME}.acme-previews.dev"
EXPIRES = "2031-05-17T12:00:00Z"
OWN = "notified"
"""The namespace that the preview is synced to, and the AppProject, ServiceAccount, branch and chart."""

DEADLINE = 120.0
CORE = "/api/v1/namespaces"
ARGOCD = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
SERVER = "https://kubernetes.default.svc"
MERGE = "application/merge-patch+json"
ROLLOUT = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        # Neither more pods nor fewer: there is no way to roll out, and Argo Rollouts says so.
        "strategy": {"canary": {"maxUnavailable": 0, "maxSurge": "SURGE"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [container(image="ghcr.io/acme/shop/web@{{ .Values.image.digest }}")]},
        },
    },
}


def head(push: int) -> str:
    return sha1(f"push {push}".encode(), usedforsecurity=False).hexdigest()


def image(push: int) -> str:
    return f"sha256:{push:064x}"


@dataclass
class Scene:
    """The preview of one pull request, and what GitHub was told of it."""

    sandbox: Sandbox
    cluster: Cluster
    github: AppStandIn
    chart: str
    _wanted: dict[str, Any] = field(default_factory=dict[str, Any], init=False)

    def pushed(self, push: int, *, built: int = 0, surge: int = 1, chart: str = "") -> str:
        """What the ApplicationSet makes of an admitted head, whose image is that of ``built``; answers the head."""
        sha = head(push)
        self.github.pulls[sha] = [NUMBER]
        annotations = {
            "notifications.argoproj.io/subscribe.ladder-preview.ladder-previews": f"{sha}/{EXPIRES}",
            "ladder.internal/repository": f"https://github.com/{self.github.repository}",
            "ladder.internal/head": sha,
            "ladder.internal/host": HOST,
            "ladder.internal/expires": EXPIRES,
            "ladder.internal/tier": "lite",
        }
        assert self.sandbox.sources is not None
        sources = [
            {"repoURL": self.sandbox.sources.tree, "targetRevision": OWN, "ref": "values"},
            {
                "repoURL": f"{self.sandbox.sources.charts}/{OWN}",
                "path": ".",
                "targetRevision": chart or self.chart,
                "helm": {
                    "releaseName": "web",
                    "valueFiles": ["$values/gitops/values.yaml"],
                    "valuesObject": {"image": {"digest": image(built or push)}, "surge": surge},
                },
            },
        ]
        self._wanted = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {
                "name": NAME,
                "annotations": annotations,
                "finalizers": ["resources-finalizer.argocd.argoproj.io"],
            },
            "spec": {
                "project": OWN,
                "destination": {"server": SERVER, "namespace": OWN},
                "sources": sources,
                "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "syncOptions": ["ServerSideApply=true"]},
            },
        }
        if self.live():
            assert self.cluster.patch(f"{ARGOCD}/applications/{NAME}", self._wanted, MERGE).status == 200
        else:
            assert self.cluster.call("POST", f"{ARGOCD}/applications", self._wanted).status == 201
        return sha

    def _keep(self) -> None:
        """As the ApplicationSet's controller does: what tells writes all annotations back as it had read them."""
        wanted = self._wanted["metadata"]["annotations"]
        if not wanted.items() <= self.live()["metadata"]["annotations"].items():
            body = {"metadata": {"annotations": wanted}}
            assert self.cluster.patch(f"{ARGOCD}/applications/{NAME}", body, MERGE).status == 200

    def live(self) -> Mapping[str, Any]:
        """The Application as it is; empty where it is gone."""
        answer = self.cluster.call("GET", f"{ARGOCD}/applications/{NAME}")
        return answer.body if answer.status == 200 else {}

    def status(self) -> Mapping[str, Any]:
        return self.live().get("status", {})

    def comment(self) -> str:
        """The only comment; empty where there is none."""
        said = self.github.of_pull(NUMBER)
        assert len(said) <= 1
        return "".join(said)

    def states(self, sha: str) -> list[str]:
        return [each["state"] for each in self.github.told(sha)]

    def until_told(self, sha: str, says: str, state: str) -> None:
        """Wait for the comment, and for the latest status of the commit's deployment."""

        def told() -> bool:
            self._keep()
            return sha in self.comment() and says in self.comment() and self.states(sha)[-1:] == [state]

        until(told, DEADLINE, lambda: json.dumps([self.comment(), self.states(sha), self.live()], indent=1))

    def log(self) -> str:
        return (StateDir(self.sandbox.state).logs / "argocd-notifications-controller.log").read_text()


@pytest.fixture(scope="module")
def scene(delivery_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    github, cluster = AppStandIn(), Cluster(delivery_sandbox, delivery_sandbox.token)
    tree = tmp_path_factory.mktemp("project") / "gitops"
    (tree / "chart" / "templates").mkdir(parents=True)
    (tree / "chart" / "Chart.yaml").write_text(f"apiVersion: v2\nname: {OWN}\nversion: 0.0.1\n")
    text = json.dumps(ROLLOUT).replace('"SURGE"', "{{ .Values.surge }}")
    (tree / "chart" / "templates" / "rollout.yaml").write_text(text)
    (tree / "values.yaml").write_text("{}\n")
    chart = publish(delivery_sandbox, tree, Silent(), folder="gitops", branch=OWN).chart
    assert chart is not None
    made = list(objects(delivery_sandbox))
    with serving(github):
        try:
            for path, body in (*made, *settings(github)):
                assert cluster.call("POST", path, body).status == 201
            yield Scene(delivery_sandbox, cluster, github, chart)
        finally:
            until(lambda: cluster.call("DELETE", f"{ARGOCD}/applications/{NAME}").status == 404, DEADLINE)
            for path, body in (*made, *settings(github)):
                cluster.call("DELETE", f"{path}/{body['metadata']['name']}")
            cluster.close()


def objects(running: Sandbox) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where the preview is synced to, as whom."""
    assert running.sources is not None
    rules = [{"apiGroups": ["argoproj.io"], "resources": ["rollouts"], "verbs": ["*"]}]
    rbac, named = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{OWN}", {"metadata": {"name": OWN}}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": OWN}
    subject = {"kind": "ServiceAccount", "name": OWN, "namespace": OWN}
    yield CORE, named
    yield f"{CORE}/{OWN}/serviceaccounts", named
    yield f"{rbac}/roles", {**named, "rules": rules}
    yield f"{rbac}/rolebindings", {**named, "roleRef": reference, "subjects": [subject]}
    spec = {
        "sourceRepos": [running.sources.tree, f"{running.sources.charts}/{OWN}"],
        "destinations": [{"server": SERVER, "namespace": OWN}],
        "destinationServiceAccounts": [{"server": SERVER, "namespace": OWN, "defaultServiceAccount": f"{OWN}:{OWN}"}],
        "namespaceResourceWhitelist": [{"group": "argoproj.io", "kind": "Rollout"}],
    }
    yield (
        f"{ARGOCD}/appprojects",
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", **named, "spec": spec},
    )


def settings(github: AppStandIn) -> Iterator[tuple[str, dict[str, Any]]]:
    """What an installation has: somebody else's trigger, and the App's secrets."""
    other = {"trigger.other": "- when: 'false'\n  send: [other]\n"}
    yield f"{CORE}/argocd/configmaps", {"metadata": {"name": "argocd-notifications-cm"}, "data": other}
    secrets = {
        "ladder-previews-app-id": str(github.app),
        "ladder-previews-installation-id": str(github.installation),
        "ladder-previews-private-key": github.key,
    }
    yield f"{CORE}/argocd/secrets", {"metadata": {"name": "argocd-notifications-secret"}, "stringData": secrets}


def configure(scene: Scene) -> Mapping[str, str]:
    """Apply the shipped file as it says, with the stand-in for GitHub; answers what the ConfigMap then holds."""
    body = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    body["data"]["service.github.ladder-previews"] += f"enterpriseBaseURL: {scene.github.url}/api/v3\n"
    path = f"{CORE}/argocd/configmaps/{body['metadata']['name']}"
    how: dict[str, Any] = {
        "params": {"fieldManager": "ladder-previews"},
        "headers": {"Content-Type": "application/apply-patch+yaml"},
    }
    answer = scene.cluster.call("PATCH", path, body, **how)
    assert answer.status == 200, answer.message
    return answer.body["data"]


@pytest.fixture(autouse=True)
def sound(scene: Scene) -> Iterator[None]:
    """Nothing was asked that GitHub would not understand, nor of another repository."""
    yield
    assert scene.github.invalid == set()


def test_configuration_is_applied_beside_somebody_elses(scene: Scene) -> None:
    found = configure(scene)
    assert "trigger.other" in found
    assert "trigger.ladder-preview" in found


def test_running_preview_is_told_once(scene: Scene) -> None:
    sha = scene.pushed(1)
    scene.until_told(sha, "is running", "success")
    comment, (deployment,), (status,) = scene.comment(), scene.github.deployments, scene.github.told(sha)
    for part in (f"https://shop.{HOST}", sha, EXPIRES, "lite"):
        assert part in comment
    assert (deployment["ref"], deployment["environment"]) == (sha, NAME)
    assert deployment["transient_environment"] is True
    assert deployment["production_environment"] is False
    assert status["environment_url"] == f"https://shop.{HOST}"


def test_deployment_is_neither_held_up_by_checks_nor_merges_anything(scene: Scene) -> None:
    (asked,) = [each for each in scene.github.asked if each.method == "POST" and each.path.endswith("/deployments")]
    wanted = json.loads(asked.body)
    assert wanted["required_contexts"] == []
    assert wanted["auto_merge"] is False


def test_new_head_edits_the_comment_in_place(scene: Scene) -> None:
    before = list(scene.github.comments)
    sha = scene.pushed(2)
    scene.until_told(sha, "is running", "success")
    assert list(scene.github.comments) == before
    assert head(1) not in scene.comment()
    assert [each["ref"] for each in scene.github.deployments] == [head(1), sha]


def test_head_whose_images_are_those_before_it_is_told_of(scene: Scene) -> None:
    """Nothing is synced for it: only the annotations are others."""
    operation = scene.status()["operationState"]["startedAt"]
    sha = scene.pushed(3, built=2)
    scene.until_told(sha, "is running", "success")
    assert scene.status()["operationState"]["startedAt"] == operation


def test_head_that_does_not_run_yet_is_not_said_to(scene: Scene) -> None:
    """Argo CD says of the Application what was true of the head before, until it has compared the new one."""
    sha = scene.pushed(4, chart="sha256:" + "0" * 64)

    def refused() -> bool:
        return any(each["type"] == "ComparisonError" for each in scene.status().get("conditions", []))

    until(refused, DEADLINE, lambda: json.dumps(scene.status()))
    assert sha not in scene.comment()
    assert scene.states(sha) == []
    scene.pushed(4)
    scene.until_told(sha, "is running", "success")
    assert scene.states(sha) == ["success"]


def test_preview_that_does_not_work_says_so_in_the_same_comment(scene: Scene) -> None:
    sha = scene.pushed(5, surge=0)
    scene.until_told(sha, "does not work", "failure")
    assert "https://" not in scene.comment()
    scene.pushed(5)
    scene.until_told(sha, "is running", "success")
    assert scene.states(sha) == ["failure", "success"]


def test_what_github_did_not_take_comes_again_by_itself(scene: Scene) -> None:
    refused: list[Asked] = []

    def trouble(asked: Asked) -> Reply | None:
        if asked.method != "PATCH":
            return None
        refused.append(asked)
        return Reply(500, b'{"message": "Server Error"}', {"Content-Type": "application/json"})

    scene.github.trouble = trouble
    sha = scene.pushed(6)
    until(lambda: refused and scene.states(sha) == ["success"], DEADLINE, scene.log)
    assert sha not in scene.comment()
    scene.github.trouble = lambda _: None
    scene.until_told(sha, "is running", "success")
    assert scene.states(sha) == ["success"], "what GitHub took is not repeated with what it did not"


def test_preview_that_goes_is_not_linked_to_any_longer(scene: Scene) -> None:
    sha = head(6)
    assert scene.cluster.call("DELETE", f"{ARGOCD}/applications/{NAME}").status == 200
    until(lambda: scene.states(sha)[-1:] == ["inactive"] and "is being removed" in scene.comment(), DEADLINE, scene.log)
    assert "https://" not in scene.comment()
    until(lambda: not scene.live(), DEADLINE)


def test_neither_tokens_nor_the_key_are_in_any_log(scene: Scene) -> None:
    assert "ladder-previews" in scene.log()
    assert scene.github.tokens
    secret = {*scene.github.tokens, *scene.github.key.splitlines()[1:-1]}
    logs: list[Path] = sorted(StateDir(scene.sandbox.state).logs.glob("*.log"))
    assert [path.name for path in logs if any(each in path.read_text(errors="replace") for each in secret)] == []
