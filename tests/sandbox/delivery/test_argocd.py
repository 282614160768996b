"""Delivery on Argo CD's own controllers: the shipped program, chart and tree, by the commands a user types.

One story in the order of its tests: every test starts from what those before it left.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ladder import cli, project
from sandbox import deployer
from sandbox.connection import Sandbox
from sandbox.engines import Deployment
from tests.sandbox.cluster import Cluster, until

pytestmark = pytest.mark.servers

STACKS = ("dev", "staging", "prod")
SERVICES = ("api", "web", "worker")
TREE = "gitops/envs"
ARGOCD = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
DEADLINE = 180.0
CLOSED = "    windows:\n      never:\n        kind: allow\n        schedule: 0 0 29 2 *\n        duration: 1s\n"
OPEN = "    windows:\n      always:\n        kind: allow\n        schedule: 0 0 * * *\n        duration: 24h\n"
ZONE = "        timeZone: Europe/Berlin\n        manualSync: false\n"
DRIFT = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}}
MERGE = "application/merge-patch+json"


@dataclass
class Scene:
    """A project of its own on a sandbox with Argo CD, and what can be asked of the cluster."""

    root: Path
    sandbox: Sandbox
    cluster: Cluster
    run: Callable[..., str]

    def up(self, stack: str) -> None:
        self.run("up", stack, "--engine", "builtin", "--format", "json")

    def publish(self) -> str:
        """Put the tree and the chart where Argo CD reads them; answers the chart's digest."""
        return re.findall(r"sha256:[a-f0-9]{64}", self.run("sandbox", "publish"))[-1]

    def application(self, name: str) -> Mapping[str, Any]:
        return self.cluster.call("GET", f"{ARGOCD}/applications/{name}").body

    def state(self, name: str) -> tuple[str, str]:
        """Sync and health, as Argo CD tells them."""
        status = self.application(name).get("status", {})
        return status.get("sync", {}).get("status", ""), status.get("health", {}).get("status", "")

    def applications(self) -> set[str]:
        return {item["metadata"]["name"] for item in self.cluster.call("GET", f"{ARGOCD}/applications").body["items"]}

    def rollout(self, environment: str, service: str) -> Mapping[str, Any]:
        path = f"/apis/argoproj.io/v1alpha1/namespaces/{environment}-services/rollouts/{service}"
        return self.cluster.call("GET", path).body

    def wanted(self) -> dict[str, str]:
        """What every Rollout is to be, but for how many pods: that is the autoscaler's to say."""
        items = self.cluster.call("GET", "/apis/argoproj.io/v1alpha1/rollouts").body["items"]
        return {
            f"{item['metadata']['namespace']}/{item['metadata']['name']}": json.dumps(
                {key: value for key, value in item["spec"].items() if key != "replicas"}, sort_keys=True
            )
            for item in items
        }

    def image(self, environment: str, service: str) -> str:
        found = self.rollout(environment, service)
        return found["spec"]["template"]["spec"]["containers"][0]["image"] if "spec" in found else ""

    def edit(self, path: str, pattern: str, replacement: str) -> None:
        file = self.root / path
        text, count = re.subn(pattern, replacement, file.read_text(encoding="utf-8"), count=1)
        assert count == 1, f"{pattern} is not in {path}"
        file.write_text(text, encoding="utf-8")

    def windows(self, text: str) -> None:
        """Put sync windows in place of those of prod's stack file."""
        self.edit("Pulumi.prod.yaml", r"(?s)    windows:\n.*?(?=    keepWhenRemoved)", text + ZONE)

    def sync(self, name: str) -> None:
        """What a person's click or ``argocd app sync`` sends."""
        operation = {"operation": {"initiatedBy": {"username": "test"}, "sync": {}}}
        answer = self.cluster.patch(f"{ARGOCD}/applications/{name}", operation, MERGE)
        assert answer.status == 200, answer.message

    def settled(self, *names: str) -> None:
        until(lambda: [n for n in names if self.state(n) != ("Synced", "Healthy")] == [], DEADLINE, self._told(*names))

    def _told(self, *names: str) -> Callable[[], str]:
        return lambda: json.dumps({name: self.application(name).get("status", {}) for name in names}, indent=1)[:6000]


@pytest.fixture(scope="module")
def scene(delivery_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    root = tmp_path_factory.mktemp("project")
    for path in (project.root() / "Pulumi.yaml", project.root() / "__main__.py", *project.root().glob("Pulumi.*.yaml")):
        shutil.copy(path, root)
    shutil.copytree(project.root() / "gitops", root / "gitops")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LADDER_ROOT", str(root))
        patch.setenv("LADDER_SANDBOX_DIR", str(delivery_sandbox.state))
        cluster = Cluster(delivery_sandbox, delivery_sandbox.token)

        def run(*arguments: str) -> str:
            with contextlib.redirect_stdout(io.StringIO()) as said:
                cli.main(list(arguments))
            return said.getvalue()

        scene = Scene(root, delivery_sandbox, cluster, run)
        scene.windows(CLOSED)
        scene.publish()
        for stack in STACKS:
            scene.up(stack)
        yield scene
        for stack in STACKS:
            deployment = Deployment(root, stack, delivery_sandbox)
            deployer.destroy(deployment.recording, deployment.target)
        cluster.close()


def of(environment: str) -> list[str]:
    return [f"{environment}-{service}" for service in SERVICES]


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def digest(seed: str) -> str:
    return "sha256:" + sha256(seed.encode()).hexdigest()


def test_an_application_appears_for_every_service_of_every_stack(scene: Scene) -> None:
    expected = {f"{stack}-{service}" for stack in STACKS for service in SERVICES}
    until(lambda: scene.applications() == expected, DEADLINE, lambda: str(scene.applications()))


def test_dev_and_staging_sync_by_themselves_and_turn_healthy(scene: Scene) -> None:
    scene.settled(*of("dev"), *of("staging"))
    assert set(scene.wanted()) == {f"{stack}-services/{service}" for stack in STACKS[:2] for service in SERVICES}


def test_argocd_syncs_as_the_environments_own_service_account(scene: Scene) -> None:
    """What it wrote is owned by a field manager of Argo CD, and no right of its own would have allowed it."""
    with scene.cluster.acting_as("dev-services", "delivery") as delivery:
        path = "/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts/web"
        assert delivery.call("GET", path.format("dev-services")).status == 200
        assert delivery.call("GET", path.format("staging-services")).status == 403


def test_dev_runs_its_stores_and_staging_none(scene: Scene) -> None:
    def sets(namespace: str) -> set[str]:
        items = scene.cluster.call("GET", f"/apis/apps/v1/namespaces/{namespace}/statefulsets").body["items"]
        return {item["metadata"]["name"] for item in items}

    assert sets("dev-services") == {"api-cache", "api-database"}
    assert sets("staging-services") == set()


def test_prod_waits_and_a_sync_outside_its_window_is_refused(scene: Scene) -> None:
    until(lambda: all(scene.state(name)[0] == "OutOfSync" for name in of("prod")), DEADLINE)
    scene.sync("prod-web")

    def refused() -> bool:
        operation = scene.application("prod-web").get("status", {}).get("operationState", {})
        return "window" in operation.get("message", "")

    until(refused, DEADLINE, lambda: str(scene.application("prod-web").get("status")))
    assert not [name for name in scene.wanted() if name.startswith("prod-")]


def test_prod_syncs_in_its_window_when_told_to(scene: Scene) -> None:
    scene.windows(OPEN)
    scene.up("prod")
    for name in of("prod"):
        scene.sync(name)
    scene.settled(*of("prod"))


def test_one_digest_changes_that_workload_only(scene: Scene) -> None:
    before = scene.wanted()
    new = digest("the next web")
    scene.edit(f"{TREE}/dev/web/version.yaml", r"(image:\n  digest: )\S+", rf"\g<1>{new}")
    scene.publish()
    until(lambda: scene.image("dev", "web").endswith(new), DEADLINE, lambda: str(scene.application("dev-web")))
    scene.settled(*of("dev"))
    assert moved(before, scene.wanted()) == {"dev-services/web"}


def test_a_canary_goes_by_its_steps(scene: Scene) -> None:
    """The second version in staging stops at the first step, with the pods its weight makes."""
    new = digest("a canary of web")
    scene.edit(f"{TREE}/staging/web/values.yaml", r"pause: \w+", "pause: 1h")
    scene.edit(f"{TREE}/staging/web/values.yaml", r"analysis: .*", "analysis: {enabled: false}")
    scene.publish()
    until(
        lambda: (
            scene.rollout("staging", "web")["spec"]["strategy"]["canary"]["steps"][1] == {"pause": {"duration": "1h"}}
        ),
        DEADLINE,
    )
    scene.edit(f"{TREE}/staging/web/version.yaml", r"(image:\n  digest: )\S+", rf"\g<1>{new}")
    scene.publish()

    def paused() -> bool:
        status = scene.rollout("staging", "web").get("status", {})
        return (
            status.get("currentStepIndex") == 1
            and status.get("updatedReplicas") == 1
            and status.get("phase") == "Paused"
        )

    until(paused, DEADLINE, lambda: str(scene.rollout("staging", "web").get("status")))
    until(lambda: scene.state("staging-web")[1] == "Suspended", DEADLINE, lambda: str(scene.state("staging-web")))
    scene.edit(f"{TREE}/staging/web/values.yaml", r"(?s)canary:\n.*?  analysis", "canary: []\n  analysis")
    scene.publish()
    scene.settled(*of("staging"))
    assert scene.image("staging", "web").endswith(new)


def test_a_chart_edit_moves_nothing_until_a_version_pins_it(scene: Scene) -> None:
    before = scene.wanted()
    template, version = "gitops/chart/templates/rollout.yaml", f"{TREE}/dev/worker/version.yaml"
    scene.edit(template, r"revisionHistoryLimit: \d+", "revisionHistoryLimit: 5")
    edited = scene.publish()
    assert edited not in (scene.root / version).read_text(encoding="utf-8")
    refresh = {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "hard"}}}
    for name in of("dev"):
        scene.cluster.patch(f"{ARGOCD}/applications/{name}", refresh, MERGE)

    def looked() -> bool:
        metadata = [scene.application(name)["metadata"] for name in of("dev")]
        return not any("argocd.argoproj.io/refresh" in each.get("annotations", {}) for each in metadata)

    until(looked, DEADLINE)
    scene.settled(*of("dev"))
    assert moved(before, scene.wanted()) == set()
    scene.edit(version, r"(chart:\n  digest: )\S+", rf"\g<1>{edited}")
    scene.publish()
    until(lambda: scene.rollout("dev", "worker")["spec"]["revisionHistoryLimit"] == 5, DEADLINE)
    scene.settled(*of("dev"))
    assert moved(before, scene.wanted()) == {"dev-services/worker"}


def test_live_drift_heals_on_dev(scene: Scene) -> None:
    path = "/apis/argoproj.io/v1alpha1/namespaces/dev-services/rollouts/web"
    wanted = scene.rollout("dev", "web")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    answer = scene.cluster.patch(path, DRIFT, MERGE)
    assert answer.status == 200, answer.message
    until(
        lambda: scene.rollout("dev", "web")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == wanted,
        DEADLINE,
    )
    scene.settled(*of("dev"))


def test_live_drift_shows_on_prod_and_stays(scene: Scene) -> None:
    path = "/apis/argoproj.io/v1alpha1/namespaces/prod-services/rollouts/web"
    assert scene.cluster.patch(path, DRIFT, MERGE).status == 200
    until(lambda: scene.state("prod-web")[0] == "OutOfSync", DEADLINE, lambda: str(scene.state("prod-web")))
    assert scene.rollout("prod", "web")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 1


def test_a_removed_folder_takes_devs_workload_and_leaves_prods(scene: Scene) -> None:
    before = {name for name in scene.wanted() if name.startswith("prod-")}
    shutil.rmtree(scene.root / TREE / "dev" / "worker")
    shutil.rmtree(scene.root / TREE / "prod")
    scene.publish()
    until(lambda: "dev-worker" not in scene.applications(), DEADLINE, lambda: str(scene.application("dev-worker")))
    until(lambda: "dev-services/worker" not in scene.wanted(), DEADLINE)
    assert {name for name in scene.wanted() if name.startswith("prod-")} == before
    assert set(of("prod")) <= scene.applications()
