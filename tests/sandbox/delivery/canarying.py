"""The scene of the canaries' story: prod and dev on Argo CD's and Argo Rollouts' controllers, and who plays Prometheus.

The tree is the shipped one, with what it waits for shortened and its monitoring at the stand-in's address.
"""

from __future__ import annotations

import json
import re
import shutil
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import yaml

from ladder import project
from ladder.promotion.observing import Observation, observe
from sandbox import deployer
from sandbox.connection import Sandbox
from sandbox.engines import Deployment
from sandbox.progress import Silent
from sandbox.publishing import publish
from tests.previews.serving import Asked, Reply, StandIn, serving
from tests.sandbox.cluster import Cluster, until

__all__ = ["DEADLINE", "ENVIRONMENTS", "SERVICE", "Canarying", "Prometheus", "canarying"]

BRANCH = "canary"
ENVIRONMENTS = ("prod", "dev")
SERVICE = "web"
DEADLINE = 180.0
ROLLOUTS = "/apis/argoproj.io/v1alpha1/namespaces"
ARGOCD = f"{ROLLOUTS}/argocd"
ALWAYS = """    windows:
      always:
        kind: allow
        schedule: 0 0 * * *
        duration: 24h
        timeZone: Europe/Berlin
        manualSync: false
"""
MERGE = "application/merge-patch+json"


@dataclass
class Prometheus(StandIn):
    """Answers each query with the next of its vectors, and with the last of them from then on."""

    vectors: list[Sequence[str]] = field(default_factory=lambda: [()])

    def tell(self, *vectors: Sequence[str]) -> None:
        self.vectors = list(vectors)

    @property
    def queries(self) -> list[str]:
        return [parse_qs(asked.body.decode())["query"][-1] for asked in self.asked]

    def reply(self, asked: Asked) -> Reply:
        if (asked.method, asked.path) != ("POST", "/api/v1/query"):
            return Reply(404)
        vector = self.vectors.pop(0) if len(self.vectors) > 1 else self.vectors[0]
        result = [{"metric": {}, "value": [0, sample]} for sample in vector]
        body = {"status": "success", "data": {"resultType": "vector", "result": result}}
        return Reply(body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


@dataclass
class Canarying:
    """One service in prod and in dev, and what can be seen of it."""

    root: Path
    sandbox: Sandbox
    cluster: Cluster
    prometheus: Prometheus
    deployments: Mapping[str, Deployment] = field(default_factory=dict[str, Deployment])
    commit: str = ""

    # what is wanted

    def values(self, environment: str, name: str = "values") -> Any:
        return yaml.safe_load((self._folder(environment) / f"{name}.yaml").read_text(encoding="utf-8"))

    def edit(self, path: str, pattern: str, replacement: str, *, times: int = 1) -> None:
        file = self.root / path
        text, count = re.subn(pattern, replacement, file.read_text(encoding="utf-8"))
        assert count == times, f"{pattern} stands {count} times in {path}"
        file.write_text(text, encoding="utf-8")

    def publish(self) -> str:
        """Put the tree and the chart where Argo CD reads them; answers the chart's digest."""
        published = publish(self.sandbox, self.root / "gitops", Silent(), folder="gitops", branch=BRANCH)
        self.commit = published.commit.id
        assert published.chart is not None
        return published.chart

    def pin(self, environment: str, digest: str) -> None:
        """Deliver the digest: prod is synced by a person's hand."""
        path = (self._folder(environment) / "version.yaml").relative_to(self.root)
        self.edit(str(path), r"(image:\n  digest: )\S+", rf"\g<1>{digest}")
        self.publish()
        self.deliver(environment)
        until(lambda: self.image(environment).endswith(digest), DEADLINE, self.told(environment))

    def deliver(self, environment: str) -> None:
        """Have what was published last compared, and synced where that needs somebody."""
        path = f"{ARGOCD}/applications/{environment}-{SERVICE}"
        until(
            lambda: self.commit in self.application(environment)["status"].get("sync", {}).get("revisions", ()),
            DEADLINE,
            self.told(environment),
        )
        policy = self.application(environment)["spec"]["syncPolicy"]
        if "automated" not in policy:
            sync = {"syncOptions": policy["syncOptions"]}
            operation = {"operation": {"initiatedBy": {"username": "test"}, "sync": sync}}
            answer = self.cluster.patch(path, operation, MERGE)
            assert answer.status == 200, answer.message

    def _folder(self, environment: str) -> Path:
        return self.root / "gitops" / "envs" / environment / SERVICE

    # what is there

    def application(self, environment: str) -> Mapping[str, Any]:
        return {"status": {}, **self.cluster.call("GET", f"{ARGOCD}/applications/{environment}-{SERVICE}").body}

    def rollout(self, environment: str) -> Mapping[str, Any]:
        path = f"{ROLLOUTS}/{environment}-services/rollouts/{SERVICE}"
        return {"status": {}, **self.cluster.call("GET", path).body}

    def image(self, environment: str) -> str:
        found = self.rollout(environment)
        return found["spec"]["template"]["spec"]["containers"][0]["image"] if "spec" in found else ""

    def pods(self, environment: str) -> list[Mapping[str, Any]]:
        path = f"/api/v1/namespaces/{environment}-services/pods?labelSelector=app.kubernetes.io/name={SERVICE}"
        return self.cluster.call("GET", path).body["items"]

    def digests(self, environment: str) -> list[str]:
        """What the pods are to run, one for each."""
        return [pod["spec"]["containers"][0]["image"].rpartition("@")[2] for pod in self.pods(environment)]

    def analyses(self, environment: str, pod_hash: str = "") -> list[Mapping[str, Any]]:
        path = f"{ROLLOUTS}/{environment}-services/analysisruns"
        items = self.cluster.call("GET", path).body["items"]
        label = "rollouts-pod-template-hash"
        return [each for each in items if each["metadata"]["labels"].get(label) == pod_hash or not pod_hash]

    def history(self, environment: str, since: str) -> list[Mapping[str, Any]]:
        """Every state of the Rollout since a resource version: the API server remembers the last minutes."""
        asked = {"watch": "true", "resourceVersion": since, "timeoutSeconds": "1"}
        answer = httpx.get(
            f"{self.sandbox.api_server}{ROLLOUTS}/{environment}-services/rollouts",
            params={**asked, "fieldSelector": f"metadata.name={SERVICE}"},
            headers={"Authorization": f"Bearer {self.sandbox.token}"},
            verify=ssl.create_default_context(cafile=str(self.sandbox.ca)),
            timeout=30,
        )
        events = [json.loads(line) for line in answer.text.splitlines()]
        assert events, "nothing happened"
        assert {event["type"] for event in events} == {"MODIFIED"}, events[-1]
        return [event["object"] for event in events]

    def observe(self, environment: str, *, played: bool = True) -> Observation:
        settings = self.deployments[environment].settings
        return observe(settings.cluster.context, environment, settings, [SERVICE], played=played)

    def green(self, environment: str) -> Observation:
        """Wait until all agree on what the environment runs, in as many pods as it has at least."""
        seen: list[Observation] = []
        least = self.values(environment)["scale"]["replicas"]["min"]

        def is_green() -> bool:
            seen[:] = [self.observe(environment)]
            return seen[0].problems == () and seen[0].services[SERVICE].pods >= least

        until(is_green, DEADLINE, lambda: f"{seen}\n{self.told(environment)()}")
        return seen[0]

    def told(self, environment: str) -> Any:
        def tell() -> str:
            found = {"application": self.application(environment), "rollout": self.rollout(environment)}
            return json.dumps({name: each["status"] for name, each in found.items()}, indent=1)[:6000]

        return tell

    # what is left

    def forget(self) -> None:
        """Remove what both stacks deliver, also where that outlives them: of this story, or of one before it."""
        for environment in ENVIRONMENTS:
            self._remove(f"{ARGOCD}/applicationsets/ladder-{environment}")
        self._remove("/api/v1/namespaces/prod-services")
        for item in self.cluster.call("GET", f"{ARGOCD}/applications").body["items"]:
            if item["spec"]["project"] in {f"ladder-{each}" for each in ENVIRONMENTS}:
                path = f"{ARGOCD}/applications/{item['metadata']['name']}"
                self.cluster.patch(path, {"metadata": {"finalizers": None}}, MERGE)
                self._remove(path)

    def _remove(self, path: str) -> None:
        self.cluster.call("DELETE", path)
        until(lambda: self.cluster.call("GET", path).status == 404, DEADLINE, lambda: path)


@contextmanager
def canarying(sandbox: Sandbox, root: Path) -> Iterator[Canarying]:
    """Both environments up with what the tree pins, and everything taken down again."""
    for path in (project.root() / "Pulumi.yaml", project.root() / "__main__.py", *project.root().glob("Pulumi.*.yaml")):
        shutil.copy(path, root)
    shutil.copytree(project.root() / "gitops", root / "gitops")
    prometheus = Prometheus()
    cluster = Cluster(sandbox, sandbox.token)
    scene = Canarying(root, sandbox, cluster, prometheus)
    with ExitStack() as stack:
        stack.callback(cluster.close)
        stack.enter_context(serving(prometheus))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("KUBECONFIG", str(sandbox.kubeconfig))
        _shorten(scene)
        for stack_file in root.glob("Pulumi.*.yaml"):
            scene.edit(stack_file.name, r"    branch: main", f"    branch: {BRANCH}")
        scene.edit("Pulumi.prod.yaml", r"(?s)    windows:\n.*?(?=    keepWhenRemoved)", ALWAYS)
        scene.forget()
        chart = scene.publish()
        assert {scene.values(each, "version")["chart"]["digest"] for each in ENVIRONMENTS} == {chart}
        scene.deployments = {each: Deployment(root, each, sandbox) for each in ENVIRONMENTS}
        for deployment in scene.deployments.values():
            stack.callback(deployer.destroy, deployment.recording, deployment.target)
            deployer.up(deployment.recording, deployment.target)
        stack.callback(scene.forget)
        for each in ENVIRONMENTS:
            scene.deliver(each)
        for each in ENVIRONMENTS:
            scene.green(each)
        yield scene


def _shorten(scene: Canarying) -> None:
    """One service only, seconds in place of minutes, and the stand-in in place of Prometheus."""
    for environment in (scene.root / "gitops" / "envs").iterdir():
        for service in environment.iterdir():
            if environment.name not in ENVIRONMENTS or service.name != SERVICE:
                shutil.rmtree(service)
    path = f"gitops/envs/prod/{SERVICE}/values.yaml"
    scene.edit(path, r"pause: 10m", "pause: 2s", times=3)
    scene.edit(path, r"interval: 1m", "interval: 1s")
    for environment in ENVIRONMENTS:
        path = f"gitops/envs/{environment}/{SERVICE}/values.yaml"
        scene.edit(path, r"address: http://prometheus\S+\}", f"address: {scene.prometheus.url}}}")
