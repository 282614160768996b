"""How versions come in, on the real controllers: prod's own overlay climbs by its metrics, dev's does not wait for any.

One story in the order of its tests: every test starts from what those before it left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from typing import Any

import pytest

from ladder.promotion.observing import Seen
from sandbox.connection import Sandbox
from tests.sandbox.cluster import until
from tests.sandbox.delivery.canarying import DEADLINE, ENVIRONMENTS, MERGE, SERVICE, Canarying, canarying

pytestmark = pytest.mark.servers


def digest(seed: str) -> str:
    return "sha256:" + sha256(seed.encode()).hexdigest()


SECOND = digest("the version that is good")


@pytest.fixture(scope="module")
def scene(delivery_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canarying]:
    with canarying(delivery_sandbox, tmp_path_factory.mktemp("project")) as scene:
        yield scene


def weights(states: Sequence[Mapping[str, Any]]) -> list[int]:
    """The parts of the pods, in percent, that ran the new version while a step paused: each once, in their order."""
    paused = [each for each in states if each["status"].get("pauseConditions")]
    updated = [100 * each["status"]["updatedReplicas"] // each["spec"]["replicas"] for each in paused]
    return [weight for weight, _ in groupby(updated)]


def wanted(scene: Canarying) -> list[int]:
    return [step["weight"] for step in scene.values("prod")["rollout"]["canary"]]


def measurements(scene: Canarying) -> tuple[str, list[tuple[str, str]]]:
    """How the analysis of prod's newest version ended, and each of its measurements: how it was judged, and its value.

    A run that is told to end does so a moment after its Rollout.
    """
    pod_hash = scene.rollout("prod")["status"]["currentPodHash"]
    until(lambda: scene.analyses("prod", pod_hash)[0]["status"]["phase"] != "Running", DEADLINE)
    (run,) = scene.analyses("prod", pod_hash)
    (result,) = run["status"]["metricResults"]
    return run["status"]["phase"], [(each["phase"], each["value"]) for each in result["measurements"]]


def aborted(scene: Canarying, version: str) -> list[Mapping[str, Any]]:
    """Deliver a version that is aborted, and wait until the stable one runs alone again; answers what happened."""
    before = scene.rollout("prod")
    scene.pin("prod", version)

    def is_aborted() -> bool:
        status = scene.rollout("prod")["status"]
        is_other = status["currentPodHash"] != before["status"]["currentPodHash"]
        return is_other and status.get("abort") is True and status["phase"] == "Degraded"

    until(is_aborted, DEADLINE, scene.told("prod"))
    replicas = before["spec"]["replicas"]
    until(lambda: scene.digests("prod") == [SECOND] * replicas, DEADLINE, lambda: str(scene.digests("prod")))
    after = scene.rollout("prod")
    assert after["status"]["stableRS"] == before["status"]["stableRS"] != after["status"]["currentPodHash"]
    observation = scene.observe("prod")
    assert any("the Rollout was aborted" in each for each in observation.problems), observation.problems
    return scene.history("prod", before["metadata"]["resourceVersion"])


def test_what_runs_is_observed_by_its_digests_and_commit(scene: Canarying) -> None:
    for environment in ENVIRONMENTS:
        version, pods = scene.values(environment, "version"), scene.values(environment)["scale"]["replicas"]["min"]
        expected = Seen(version["image"]["digest"], version["chart"]["digest"], scene.commit, pods)
        assert scene.green(environment).services == {SERVICE: expected}


def test_pods_that_no_runtime_speaks_of_are_not_taken_for_running(scene: Canarying) -> None:
    observation = scene.observe("dev", played=False)
    assert observation.services == {}
    (says,) = observation.problems
    assert says.startswith(f"{SERVICE}: no runtime says by a digest what the container service runs")


def test_what_a_runtime_says_is_what_is_observed(scene: Canarying) -> None:
    """By its imageID: of the image as it was asked for, and then of another in one pod."""
    pods = scene.pods("dev")

    def runs(pod: Mapping[str, Any], image: str) -> None:
        statuses = [{**each, "imageID": image} for each in pod["status"]["containerStatuses"]]
        path = f"/api/v1/namespaces/dev-services/pods/{pod['metadata']['name']}/status"
        answer = scene.cluster.patch(path, {"status": {"containerStatuses": statuses}}, MERGE)
        assert answer.status == 200, answer.message

    for pod in pods:
        runs(pod, pod["spec"]["containers"][0]["image"])
    observation = scene.observe("dev", played=False)
    assert observation.problems == ()
    assert observation.services == scene.observe("dev").services
    runs(pods[0], f"{scene.values('dev')['service']['image']}@{SECOND}")
    (says,) = scene.observe("dev", played=False).problems
    assert f"the runtime says {SECOND} ({pods[0]['metadata']['name']})" in says


def test_the_second_version_climbs_through_prods_weights_on_good_metrics(scene: Canarying) -> None:
    before, overlay = scene.rollout("prod"), scene.values("prod")
    threshold = overlay["rollout"]["analysis"]["threshold"]
    scene.prometheus.tell([str(threshold)])
    scene.pin("prod", SECOND)
    observation = scene.green("prod")
    assert observation.services[SERVICE].image == SECOND
    assert weights(scene.history("prod", before["metadata"]["resourceVersion"])) == wanted(scene)
    phase, measured = measurements(scene)
    assert phase == "Successful"
    assert set(measured) == {("Successful", f"[{threshold}]")}
    assert set(scene.prometheus.queries) == {overlay["service"]["metrics"]["successRate"]}


def test_a_version_whose_metrics_turn_bad_is_aborted_and_the_stable_one_runs_again(scene: Canarying) -> None:
    threshold = scene.values("prod")["rollout"]["analysis"]["threshold"]
    good, bad = [str(threshold)], [str(threshold - 0.001)]
    scene.prometheus.tell(good, good, good, bad)
    states = aborted(scene, digest("the version that turns bad"))
    climbed = weights(states)
    assert climbed
    assert climbed == wanted(scene)[: len(climbed)]
    phase, measured = measurements(scene)
    assert phase == "Failed"
    assert measured == [("Successful", f"[{good[0]}]")] * 3 + [("Failed", f"[{bad[0]}]")]


@pytest.mark.parametrize(("what", "vector", "value"), [("no sample", [], "[]"), ("0/0", ["NaN"], "[NaN]")])
def test_a_version_that_was_not_measured_is_aborted(what: str, vector: list[str], value: str, scene: Canarying) -> None:
    scene.prometheus.tell(vector)
    states = aborted(scene, digest(f"the version of {what}"))
    assert weights(states) == wanted(scene)[:1]
    assert measurements(scene) == ("Failed", [("Failed", value)])


def test_the_stable_version_is_green_at_once_when_it_is_pinned_again(scene: Canarying) -> None:
    before, asked = scene.rollout("prod"), len(scene.prometheus.asked)
    scene.pin("prod", SECOND)
    assert scene.green("prod").services[SERVICE].image == SECOND
    assert weights(scene.history("prod", before["metadata"]["resourceVersion"])) == []
    assert len(scene.prometheus.asked) == asked


def test_dev_rolls_without_steps_by_the_same_chart(scene: Canarying) -> None:
    before, asked = scene.rollout("dev"), len(scene.prometheus.asked)
    scene.pin("dev", SECOND)
    observation = scene.green("dev")
    assert observation.services[SERVICE].image == SECOND
    assert observation.services[SERVICE].chart == scene.green("prod").services[SERVICE].chart
    states = scene.history("dev", before["metadata"]["resourceVersion"])
    assert weights(states) == []
    assert not [each for each in states if "currentStepIndex" in each["status"] or "abort" in each["status"]]
    assert scene.analyses("dev") == []
    assert len(scene.prometheus.asked) == asked
