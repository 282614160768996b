"""What is seen of a rung, by built answers; ``tests/sandbox/delivery/test_canary.py`` observes real controllers."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from ladder.contract import StackSettings
from ladder.doctor.asking import Answer, ask
from ladder.errors import CheckFailed
from ladder.promotion.observing import Observation, Seen, observe
from tests.promotion.clusters import (
    APPLICATIONS,
    CHART,
    COMMIT,
    GONE,
    IMAGE,
    OTHER,
    PODS,
    ROLLOUTS,
    STABLE,
    application,
    places,
    pod,
    put,
    reference,
    rollout,
    store,
)

SEEN = Seen(IMAGE, CHART, COMMIT, 2)

Objects = dict[str, list[Any]]


@pytest.fixture
def settings(ladder: dict[str, StackSettings]) -> StackSettings:
    return ladder["prod"]


@pytest.fixture
def objects(settings: StackSettings) -> Objects:
    other = application(settings, "other")
    other["metadata"]["name"] = "staging-web"
    other["spec"] |= {"project": "ladder-staging", "destination": {"namespace": "staging-services"}}
    return {
        APPLICATIONS: [application(settings), other],
        ROLLOUTS: [rollout()],
        PODS: [pod("web-1"), pod("web-2"), store()],
    }


def seen(
    settings: StackSettings, objects: Objects, services: Iterable[str] = ("web",), *, played: bool = False
) -> Observation:
    def asking(context: str, paths: Iterable[str]) -> dict[str, Answer]:
        assert context == "acme-prod"
        return {path: Answer(200, {"items": copy.deepcopy(objects[path])}) for path in paths}

    return observe("acme-prod", "prod", settings, list(services), asking=asking, played=played)


def test_what_all_agree_on_is_green(settings: StackSettings, objects: Objects) -> None:
    before = datetime.now(UTC)
    observation = seen(settings, objects)
    assert observation.problems == ()
    assert observation.services == {"web": SEEN}
    assert observation.environment == "prod"
    assert before <= observation.at <= datetime.now(UTC)


def test_a_chart_that_waits_for_its_sync_is_not_said_to_run(settings: StackSettings, objects: Objects) -> None:
    """Argo CD compares with what is wanted, long before that is applied."""
    status = objects[APPLICATIONS][0]["status"]
    status["sync"] = {"status": "OutOfSync", "revisions": [CHART, COMMIT]}
    status["operationState"]["syncResult"] = {"revisions": [OTHER, COMMIT]}
    observation = seen(settings, objects)
    assert observation.services["web"].chart == OTHER
    assert observation.problems
    del status["operationState"]["syncResult"]
    assert "web" not in seen(settings, objects).services


def test_pods_that_are_over_or_end_are_not_counted(settings: StackSettings, objects: Objects) -> None:
    evicted, ending = pod("web-0"), pod("web-3")
    evicted["status"]["phase"] = "Failed"
    ending["metadata"]["deletionTimestamp"] = "2026-05-17T12:00:00Z"
    objects[PODS] += [evicted, ending]
    observation = seen(settings, objects)
    assert (observation.services, observation.problems) == ({"web": SEEN}, ())


NOT_DELIVERED: dict[str, tuple[str, Any, str]] = {
    "of another project": ("spec/project", "default", "is of the project default, not ladder-prod"),
    "to another namespace": ("spec/destination/namespace", "prod-data", "delivers to"),
    "to another cluster": ("spec/destination/server", "https://other.example", "delivers to https://other.example"),
    "of another chart": ("spec/sources/0/repoURL", "oci://ghcr.io/acme/charts/other", "other sources"),
    "of another repository": ("spec/sources/1/repoURL", "https://github.com/acme/other", "other sources"),
    "of another branch": ("spec/sources/1/targetRevision", "feature", "other sources"),
    "of another folder": ("spec/sources/0/helm/valueFiles/0", "$values/elsewhere/values.yaml", "other sources"),
    "with a value of its own": ("spec/sources/0/helm/parameters", [{"name": "image.digest"}], "other sources"),
    "of one source": ("spec/sources/1", GONE, "other sources"),
    "of no source": ("spec/sources", GONE, "other sources"),
    "on its way out": ("metadata/deletionTimestamp", "2026-05-17T12:00:00Z", "the Application is being deleted"),
    "out of sync": ("status/sync/status", "OutOfSync", "Argo CD says OutOfSync, not Synced"),
    "never compared": ("status/sync/status", "", "Argo CD says nothing, not Synced"),
    "progressing": ("status/health", {"status": "Progressing"}, "Argo CD says Progressing, not Healthy"),
    "degraded": ("status/health", {"status": "Degraded", "message": "aborted"}, "Degraded, not Healthy: aborted"),
    "of no health": ("status/health", {}, "Argo CD says nothing, not Healthy"),
    "asked to sync": ("operation", {"sync": {}}, "a sync was asked for and is not over"),
    "syncing": ("status/operationState", {"phase": "Running"}, "the last sync is Running"),
    "refused": ("status/operationState", {"phase": "Failed", "message": "window"}, "the last sync is Failed: window"),
    "never synced": ("status/operationState", GONE, "nothing was synced yet"),
    "compared with the chart before": ("status/sync/revisions/0", OTHER, f"the chart {OTHER}, and {CHART} is wanted"),
    "compared with a branch": ("status/sync/revisions/1", "main", "compared with main, which is no commit"),
    "compared with a version": ("status/sync/revisions/0", "1.2.3", "compared with 1.2.3, which is no digest"),
    "compared with one source": ("status/sync/revisions/1", GONE, "1 revisions, and there are 2 sources"),
    "compared with nothing": ("status/sync/revisions", GONE, "0 revisions, and there are 2 sources"),
    "without its Rollout": ("status/resources/1", GONE, "does not count the Rollout among what it has delivered"),
    "with its Rollout out of sync": ("status/resources/1/status", "OutOfSync", "does not count the Rollout"),
    "of nothing": ("status", GONE, "Argo CD says nothing, not Synced"),
    "that applied nothing": ("metadata/annotations/ladder.internal~image", OTHER, f"the tree names the image {OTHER}"),
    "that names no image": ("metadata/annotations", GONE, "the tree names the image by nothing"),
}

NOT_ROLLED_OUT: dict[str, tuple[str, Any, str]] = {
    "changed since": ("metadata/generation", 8, "has not seen its last change"),
    "seen by no controller": ("status", GONE, "has not seen its last change"),
    "on its way out": ("metadata/deletionTimestamp", "2026-05-17T12:00:00Z", "the Rollout is being deleted"),
    "aborted": ("status/abort", True, "the Rollout was aborted"),
    "paused by a step": ("status/pauseConditions", [{"reason": "CanaryPauseStep"}], "the Rollout is paused"),
    "about to go on": ("status/controllerPause", True, "the Rollout is paused"),
    "paused by hand": ("spec/paused", True, "the Rollout is paused"),
    "progressing": ("status/phase", "Progressing", "the Rollout is Progressing, not Healthy"),
    "degraded": ("status/phase", "Degraded", "the Rollout is Degraded, not Healthy"),
    "between two revisions": ("status/currentPodHash", "7b8c", f"revision 7b8c is not the stable one, {STABLE}"),
    "of no stable revision": ("status/stableRS", GONE, "is not the stable one"),
    "of too many pods": ("status/replicas", 3, "3 pods of the Rollout are there, and 2 are wanted"),
    "half updated": ("status/updatedReplicas", 1, "1 pods of the Rollout are updated, and 2 are wanted"),
    "half available": ("status/availableReplicas", 1, "1 pods of the Rollout are available, and 2 are wanted"),
    "that wants more": ("spec/replicas", 3, "2 of 3 pods are ready"),
    "that wants none": ("spec/replicas", 0, "2 of 0 pods are ready"),
    "of another image": ("spec/template/spec/containers/0/image", reference(OTHER), "and the Rollout"),
    "of a tag": ("spec/template/spec/containers/0/image", "ghcr.io/acme/shop/web:1", "and the Rollout"),
    "of another container": ("spec/template/spec/containers/0/name", "other", "the Rollout has no container service"),
}

NOT_RUN: dict[str, tuple[str, Any, str]] = {
    "not ready": ("status/conditions/1/status", "False", "1 of 2 pods are ready"),
    "pending": ("status", {"phase": "Pending"}, "1 of 2 pods are ready"),
    "over": ("status/phase", "Failed", "1 of 2 pods are ready"),
    "of another revision": (
        "metadata/labels/rollouts-pod-template-hash",
        "7b8c",
        "of another revision still runs (web-2)",
    ),
    "of no ReplicaSet": ("metadata/ownerReferences", GONE, "a pod of another revision still runs (web-2)"),
    "of another ReplicaSet": ("metadata/ownerReferences/0/name", "web-7b8c", "a pod of another revision still runs"),
    "of another image": (
        "spec/containers/0/image",
        reference(OTHER),
        "has other containers than the Rollout says (web-2)",
    ),
    "of a tag": ("spec/containers/0/image", "ghcr.io/acme/shop/web:1", "names its image by no digest"),
    "with another container": ("spec/initContainers", [{"name": "x", "image": reference(OTHER)}], "other containers"),
    "with somebody's container": (
        "spec/ephemeralContainers",
        [{"name": "x", "image": "x"}],
        "somebody's own container",
    ),
    "of which no runtime speaks": ("status/containerStatuses", GONE, "no runtime says by a digest what"),
    "of which the runtime says nothing": ("status/containerStatuses/0/imageID", "", "no runtime says by a digest what"),
    "of which it names no manifest": ("status/containerStatuses/0/imageID", OTHER, "no runtime says by a digest what"),
    "of which it says another": ("status/containerStatuses/0/imageID", reference(OTHER), f"the runtime says {OTHER}"),
}


def not_green(observation: Observation, says: str) -> None:
    assert any(each.startswith("web: ") and says in each for each in observation.problems), observation.problems


@pytest.mark.parametrize("how", NOT_DELIVERED)
def test_an_application_is_not_green(how: str, settings: StackSettings, objects: Objects) -> None:
    path, value, says = NOT_DELIVERED[how]
    put(objects[APPLICATIONS][0], path, value)
    not_green(seen(settings, objects), says)


@pytest.mark.parametrize("how", NOT_ROLLED_OUT)
def test_a_rollout_is_not_green(how: str, settings: StackSettings, objects: Objects) -> None:
    path, value, says = NOT_ROLLED_OUT[how]
    put(objects[ROLLOUTS][0], path, value)
    not_green(seen(settings, objects), says)


@pytest.mark.parametrize("how", NOT_RUN)
def test_a_pod_is_not_green(how: str, settings: StackSettings, objects: Objects) -> None:
    path, value, says = NOT_RUN[how]
    put(objects[PODS][1], path, value)
    not_green(seen(settings, objects), says)


def test_no_pod_at_all_is_not_green(settings: StackSettings, objects: Objects) -> None:
    objects[PODS] = [store()]
    observation = seen(settings, objects)
    assert observation.problems == ("web: 0 of 2 pods are ready",)
    assert observation.services == {}


def test_none_wanted_and_none_there_is_not_green(settings: StackSettings, objects: Objects) -> None:
    objects[PODS] = []
    put(objects[ROLLOUTS][0], "spec/replicas", 0)
    for name in ("replicas", "updatedReplicas", "availableReplicas"):
        put(objects[ROLLOUTS][0], f"status/{name}", GONE)
    assert seen(settings, objects).problems == ("web: 0 of 0 pods are ready",)


def test_what_the_runtime_says_is_what_is_seen(settings: StackSettings, objects: Objects) -> None:
    for each in objects[PODS][:2]:
        put(each, "status/containerStatuses/0/imageID", f"docker-pullable://{reference(OTHER)}")
    observation = seen(settings, objects)
    assert observation.services["web"].image == OTHER
    (says,) = observation.problems
    assert says == f"web: the container service is to run {IMAGE}, and the runtime says {OTHER} (web-1, web-2)"


def test_pods_that_run_different_digests_are_no_service_that_was_seen(
    settings: StackSettings, objects: Objects
) -> None:
    put(objects[PODS][0], "status/containerStatuses/0/imageID", reference(OTHER))
    assert seen(settings, objects).services == {}


def test_played_pods_are_believed_only_where_it_is_said(settings: StackSettings, objects: Objects) -> None:
    for each in objects[PODS][:2]:
        put(each, "status/containerStatuses/0/imageID", "")
    observation = seen(settings, objects)
    assert observation.services == {}
    assert [each.partition(" (")[0] for each in observation.problems] == [
        "web: no runtime says by a digest what the container service runs"
    ]
    observation = seen(settings, objects, played=True)
    assert (observation.services, observation.problems) == ({"web": SEEN}, ())


def test_played_pods_do_not_overrule_what_a_runtime_says(settings: StackSettings, objects: Objects) -> None:
    put(objects[PODS][1], "status/containerStatuses/0/imageID", reference(OTHER))
    not_green(seen(settings, objects, played=True), f"the runtime says {OTHER}")


def test_played_is_nobodys_default() -> None:
    assert inspect.signature(observe).parameters["played"].default is False


@pytest.mark.parametrize(("kind", "path"), [("Application", APPLICATIONS), ("Rollout", ROLLOUTS)])
def test_a_service_without_its_object_is_not_green(
    kind: str, path: str, settings: StackSettings, objects: Objects
) -> None:
    del objects[path][0]
    observation = seen(settings, objects)
    not_green(observation, f"there is no {kind}")
    assert observation.services == {}


def test_a_service_that_was_to_be_there_is_named(settings: StackSettings, objects: Objects) -> None:
    observation = seen(settings, objects, ["api", "web"])
    assert observation.problems == ("api: there is no Application", "api: there is no Rollout")
    assert set(observation.services) == {"web"}


def test_what_is_of_no_service_is_named(settings: StackSettings, objects: Objects) -> None:
    moved = application(settings, "moved")
    moved["spec"]["project"] = "default"
    objects[APPLICATIONS] += [application(settings, "extra"), moved]
    objects[ROLLOUTS].append({**rollout(), "metadata": {"name": "stray"}})
    assert seen(settings, objects).problems == (
        "the Application prod-extra delivers here and is of no service that is known",
        "the Application prod-moved delivers here and is of no service that is known",
        "the Rollout stray runs here and is of no service that is known",
    )


def test_no_service_at_all_is_not_green(settings: StackSettings, objects: Objects) -> None:
    objects = {path: [] for path in objects}
    assert seen(settings, objects, []).problems == ("there is no service to be seen",)


@pytest.mark.parametrize("path", [APPLICATIONS, ROLLOUTS, PODS])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(403, {"message": "you may not"}),
        Answer(404, {"message": "not found"}),
        Answer(500, "<html>"),
        Answer(0, "ReadTimeout: "),
        Answer(200, {}),
        Answer(200, {"items": None}),
        Answer(200, {"items": {"web": {}}}),
        Answer(200, {"items": [], "metadata": {"continue": "more"}}),
        Answer(200, {"items": [None]}),
        Answer(200, {"items": [{"metadata": {}}]}),
        Answer(200, {"items": [{"metadata": {"name": ["web"]}}]}),
        Answer(200, {"items": [{"metadata": {"name": "web"}}, {"metadata": {"name": "web"}}]}),
        None,
    ],
)
def test_what_was_not_answered_was_not_observed(
    answer: Answer | None, path: str, settings: StackSettings, objects: Objects
) -> None:
    def asking(context: str, paths: Iterable[str]) -> dict[str, Answer]:
        answers = {each: Answer(200, {"items": objects[each]}) for each in paths if each != path}
        return answers if answer is None else {**answers, path: answer}

    observation = observe("acme-prod", "prod", settings, ["web"], asking=asking)
    assert observation.services == {}
    (says,) = observation.problems
    assert says.startswith("not observed: ")


def test_a_cluster_that_nobody_reaches_was_not_observed(settings: StackSettings) -> None:
    def asking(context: str, paths: Iterable[str]) -> dict[str, Answer]:
        raise CheckFailed("no answer within 30 s")

    observation = observe("acme-prod", "prod", settings, ["web"], asking=asking)
    assert (observation.services, observation.problems) == ({}, ("not observed: no answer within 30 s",))


@pytest.mark.parametrize(("path", "item"), [(APPLICATIONS, "Application"), (ROLLOUTS, "Rollout"), (PODS, "Pod")])
def test_a_malformed_object_is_never_a_traceback_nor_seen_as_another(
    path: str, item: str, settings: StackSettings, objects: Objects
) -> None:
    for place in places(objects[path][0]):
        for value in (GONE, None, True, -1, 0.5, "", "x", [], [None], {}, {"x": None}):
            changed = copy.deepcopy(objects)
            put(changed[path][0], place, value)
            observation = seen(settings, changed)
            assert observation.problems or observation.services == {"web": SEEN}, (place, value)


@pytest.mark.parametrize(
    ("path", "place", "says"),
    [
        (APPLICATIONS, "status/sync/revisions", "web: the Application is malformed: status.sync.revisions: "),
        (ROLLOUTS, "status/observedGeneration", "web: the Rollout is malformed: status.observedGeneration: "),
        (PODS, "spec/containers", "pod web-1 is malformed: spec.containers: "),
    ],
)
def test_what_is_malformed_is_named(
    path: str, place: str, says: str, settings: StackSettings, objects: Objects
) -> None:
    put(objects[path][0], place, 7)
    assert any(each.startswith(says) for each in seen(settings, objects).problems)


def test_what_a_server_says_is_told_on_one_line_that_ends(settings: StackSettings, objects: Objects) -> None:
    put(objects[APPLICATIONS][0], "status/health", {"status": "Degraded", "message": "\x1b[2J\n" + "a" * 5000})
    (says,) = seen(settings, objects).problems
    assert says.isprintable()
    assert len(says) < 1000


def test_three_questions_are_asked_at_once_by_default_of_the_cluster_itself(settings: StackSettings) -> None:
    asked: list[list[str]] = []

    def asking(context: str, paths: Iterable[str]) -> dict[str, Answer]:
        asked.append(list(paths))
        return {}

    observe("acme-prod", "prod", settings, ["web"], asking=asking)
    assert asked == [[APPLICATIONS, ROLLOUTS, PODS]]
    assert inspect.signature(observe).parameters["asking"].default is ask
