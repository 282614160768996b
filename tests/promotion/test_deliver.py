"""A merged rollback is synced at once, and the sync windows are as declared after it, whatever happens meanwhile."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ladder.contract import StackSettings, ladder_settings
from ladder.errors import CheckFailed
from ladder.promotion import deliver as delivering
from ladder.promotion.deliver import deliver, windows
from ladder.promotion.ground import standing
from sandbox.progress import Silent
from tests.conftest import PROJECT, Recordings
from tests.previews.serving import Asked, Reply, serving
from tests.promotion.delivering import Cluster, kubeconfig
from tests.promotion.places import SERVICES, Place
from tests.sandbox.cluster import until
from tests.support import Outcome, command

OLD, NEW = "sha256:" + "4" * 64, "sha256:" + "5" * 64
DELIVER = ("rollback", "--env", "prod", "--deliver")
APPLICATIONS = [f"prod-{service}" for service in SERVICES]


@dataclass
class Scene:
    """A place whose prod was rolled back from NEW to OLD, merged, and the cluster that has not seen it yet."""

    place: Place
    cluster: Cluster
    settings: StackSettings

    def deliver(self) -> Outcome:
        return self.place.ladder(*DELIVER)

    @property
    def is_as_declared(self) -> bool:
        return self.cluster.windows == windows(self.settings) and "ladder-rollback" not in self.cluster.owners

    @property
    def was_opened(self) -> bool:
        return windows(self.settings, manual=True) in self.cluster.seen


def runs(place: Place, image: str) -> None:
    file = place.root / "gitops/envs/prod/web/version.yaml"
    file.write_text(file.read_text().replace(place.versions("prod")["web"].image, image))


def rolled_back(place: Place) -> None:
    """Prod was healthy with OLD and then with NEW, and a rollback is merged."""
    began = datetime.now(UTC) - timedelta(hours=3)
    for hours, image in enumerate((OLD, NEW)):
        runs(place, image)
        place.observe("prod", began + timedelta(hours=hours))
    assert place.ladder("rollback", "--env", "prod", "--no-pr").code == 0
    (branch,) = place.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/rollback", at=place.bare).split()
    place.merge(branch)


@pytest.fixture
def scene(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    rolled_back(place)
    settings = ladder_settings(place.root)["prod"]
    cluster = Cluster(head=place.git("rev-parse", "HEAD~1"))
    with serving(cluster):
        kubeconfig(tmp_path / "kubeconfig", settings.cluster.context, cluster.url)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        cluster.settle(settings, windows(settings), place.versions("prod"))
        cluster.head = place.git("rev-parse", "HEAD")
        yield Scene(place, cluster, settings)


def test_windows_are_those_that_the_program_declares(ladder: dict[str, StackSettings], recordings: Recordings) -> None:
    (project,) = recordings["prod"].of_type(PROJECT)
    assert windows(ladder["prod"]) == project.inputs["spec"]["syncWindows"]
    assert [each["manualSync"] for each in windows(ladder["prod"], manual=True)] == [True]


def test_a_merged_rollback_is_synced_at_its_commit_with_the_windows_open_meanwhile(scene: Scene) -> None:
    told = scene.deliver()
    assert told.code == 0, told.err
    assert told.err == ""
    commit, versions = scene.place.git("rev-parse", "HEAD"), scene.place.versions("prod")
    assert told.out.splitlines() == [f"{name}: synced to {commit}" for name in APPLICATIONS]
    assert scene.cluster.synced == {f"prod-{service}": [versions[service].chart, commit] for service in SERVICES}
    assert scene.was_opened
    assert scene.is_as_declared
    assert scene.cluster.owners == ["pulumi-kubernetes-0a1b"]


def test_a_sync_is_asked_for_as_the_applications_own_policy_has_it(scene: Scene) -> None:
    policy = scene.cluster.applications["prod-web"]["spec"]["syncPolicy"]
    policy["automated"] = {"prune": True}
    assert scene.deliver().code == 0
    operations = {
        name: each["status"]["operationState"]["operation"] for name, each in scene.cluster.applications.items()
    }
    assert {name: each["sync"]["prune"] for name, each in operations.items()} == {
        name: name == "prod-web" for name in APPLICATIONS
    }
    assert {tuple(each["sync"]["syncOptions"]) for each in operations.values()} == {("ServerSideApply=true",)}
    assert {each["initiatedBy"]["username"] for each in operations.values()} == {"ladder rollback"}


def test_nothing_is_changed_but_the_windows_and_the_syncs(scene: Scene) -> None:
    before = {name: each["spec"] for name, each in scene.cluster.applications.items()}
    assert scene.deliver().code == 0
    assert {name: each["spec"] for name, each in scene.cluster.applications.items()} == before
    assert {each.method for each in scene.cluster.asked} == {"GET", "PATCH"}
    changed = {each.path.rpartition("/")[2] for each in scene.cluster.asked if each.method == "PATCH"}
    assert changed == {"ladder-prod", *APPLICATIONS}


def test_without_a_rollback_nobody_is_asked(place: Place) -> None:
    told = place.ladder(*DELIVER)
    assert told.code == 1
    assert "prod is pinned by no rollback at" in told.err


def test_a_rollback_whose_digests_are_not_there_is_refused(scene: Scene) -> None:
    runs(scene.place, NEW)
    scene.place.keep("By hand")
    told = scene.deliver()
    assert told.code == 1
    assert f"web has image {NEW}" in told.err
    assert scene.cluster.asked == []


def test_a_failed_sync_is_told_and_the_windows_are_as_declared(scene: Scene) -> None:
    scene.cluster.failing = ("prod-api",)
    told = scene.deliver()
    assert told.code == 1
    assert "prod-api: the sync is Failed: one or more objects failed to apply" in told.err
    assert sorted(scene.cluster.synced) == ["prod-web", "prod-worker"]
    assert scene.was_opened
    assert scene.is_as_declared


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_ended_run_leaves_the_windows_as_declared(scene: Scene, number: signal.Signals) -> None:
    scene.cluster.endless = True
    with subprocess.Popen(command(*DELIVER), stderr=subprocess.PIPE, text=True) as running:
        until(lambda: all("operation" in each for each in scene.cluster.applications.values()), 60)
        assert scene.cluster.windows == windows(scene.settings, manual=True)
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in said
    assert scene.is_as_declared


def test_windows_that_a_killed_run_left_open_are_closed_by_the_next(scene: Scene) -> None:
    scene.cluster.project["spec"]["syncWindows"] = [dict(each) for each in windows(scene.settings, manual=True)]
    scene.cluster.failing = APPLICATIONS
    assert scene.deliver().code == 1
    assert scene.is_as_declared


def test_somebody_elses_sync_that_waits_for_its_window_is_not_let_through(scene: Scene) -> None:
    operation: dict[str, Any] = {"initiatedBy": {"username": "ada"}, "sync": {"revisions": ["old", "older"]}}
    scene.cluster.applications["prod-web"]["operation"] = operation
    told = scene.deliver()
    assert told.code == 1
    assert "prod-web: a sync that ada asked for waits for its window" in told.err
    assert "argocd app terminate-op prod-web" in told.err
    assert scene.cluster.synced == {}
    assert not scene.was_opened


def test_a_sync_of_a_run_before_goes_on_and_another_follows(scene: Scene) -> None:
    """What it began with may be another commit."""
    operation: dict[str, Any] = {"initiatedBy": {"username": "ladder rollback"}, "sync": {"revisions": ["a", "b"]}}
    scene.cluster.applications["prod-web"]["operation"] = operation
    assert scene.deliver().code == 0
    assert scene.cluster.synced["prod-web"][1] == scene.place.git("rev-parse", "HEAD")


def test_who_changes_the_same_at_the_same_time_is_not_overwritten(scene: Scene) -> None:
    """Every patch that rests on something names the version that it saw."""
    scene.cluster.conflicts = 3
    told = scene.deliver()
    assert told.code == 0, told.err
    assert scene.is_as_declared


@pytest.mark.parametrize(("status", "says"), [(403, "you may not"), (404, "not found")])
def test_a_refusal_is_told_in_the_servers_words(scene: Scene, status: int, says: str) -> None:
    def refuse(asked: Asked) -> Reply | None:
        refused = asked.method == "PATCH" and "appprojects" in asked.path
        return Reply(status, f'{{"message": "{says}"}}'.encode()) if refused else None

    scene.cluster.trouble = refuse
    told = scene.deliver()
    assert told.code == 1
    assert f"{status}: {says}" in told.err
    assert scene.cluster.synced == {}
    assert scene.is_as_declared


def test_a_server_that_is_away_for_a_moment_is_asked_again(scene: Scene) -> None:
    left = [Reply(503, b'{"message": "away"}')] * 3
    scene.cluster.trouble = lambda asked: left.pop() if scene.was_opened and left else None
    assert scene.deliver().code == 0
    assert scene.is_as_declared
    assert left == []


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("behind", "prod-web: Argo CD compared with "),
        ("unnamed", f"prod-web: it names image {NEW}"),
        ("missing", "prod-web: there is no such Application"),
    ],
)
def test_what_argocd_has_not_seen_in_time_is_told_and_no_window_is_touched(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, what: str, says: str
) -> None:
    monkeypatch.setattr(delivering, "_PAUSES", (0.01, 0.01))
    match what:
        case "behind":
            scene.cluster.head = scene.place.git("rev-parse", "HEAD~1")
        case "unnamed":
            scene.cluster.applications["prod-web"]["metadata"]["annotations"]["ladder.internal/image"] = NEW
        case _:
            del scene.cluster.applications["prod-web"]
    with standing(scene.place.root, "HEAD") as ground, pytest.raises(CheckFailed, match="not done in time") as told:
        deliver(ground, "prod", Silent(), seconds=0.2)
    assert says in str(told.value)
    assert scene.cluster.seen == []


def test_a_commit_that_is_newer_than_this_clone_knows_counts_as_seen(scene: Scene) -> None:
    """Observations go to the same branch; what is synced is the rollback's own commit."""
    scene.cluster.head = "f" * 40
    assert scene.deliver().code == 0
    assert scene.cluster.synced["prod-web"][1] == scene.place.git("rev-parse", "HEAD")


def test_a_rung_without_windows_is_synced_and_its_project_is_left_alone(scene: Scene) -> None:
    file = scene.place.root / "Pulumi.prod.yaml"
    text = file.read_text(encoding="utf-8")
    begin, end = text.index("    windows:"), text.index("    keepWhenRemoved")
    file.write_text(f"{text[:begin]}    windows: {{}}\n{text[end:]}", encoding="utf-8")
    scene.place.keep("No windows")
    scene.cluster.head = scene.place.git("rev-parse", "HEAD")
    scene.cluster.project["spec"]["syncWindows"] = []
    assert scene.deliver().code == 0
    assert scene.cluster.seen == []


@pytest.mark.parametrize("other", [("--unpin",), ("--dry-run",), ("--no-pr",), ("--to", "rc-0123456789abcdef")])
def test_delivering_is_something_of_its_own(place: Place, other: tuple[str, ...]) -> None:
    told = place.ladder(*DELIVER, *other)
    assert told.code == 2
    assert "--deliver goes with none of" in told.err
