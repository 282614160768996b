"""What starting, stopping and killing a sandbox with Argo CD leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import pytest

from ladder.errors import CheckFailed
from sandbox.connection import Sandbox, connect, start, status, stop
from sandbox.delivery_servers import APPLICATION_SETS, APPLICATIONS, KWOK, NOTIFICATIONS, ROLLOUTS
from sandbox.paths import StateDir
from sandbox.progress import Silent
from sandbox.publishing import publish
from sandbox.servers import PORTS, Plan, get
from tests.sandbox.cluster import Cluster
from tests.sandbox.processes import listening, on_linux, processes_of, until
from tests.support import ROOT, command

pytestmark = pytest.mark.servers

SERVERS = {
    "etcd",
    "moto",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "redis",
    "registry",
    "argo-rollouts",
    "argocd-repo-server",
    "argocd-application-controller",
    "argocd-applicationset-controller",
    "argocd-notifications-controller",
}


def plan_of(sandbox: Sandbox) -> Plan:
    return Plan.of_json(StateDir(sandbox.state).plan.read_text())


@pytest.fixture(scope="module")
def kept_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("own") / "state"
    yield path
    stop(path)


@pytest.fixture
def own(kept_state: Path) -> Sandbox:
    """A running sandbox with Argo CD that a test may break: the next one starts it again."""
    return start(kept_state, progress=Silent(), argocd=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with a chart nobody has seen before."""
    (tmp_path / "gitops" / "chart" / "templates").mkdir(parents=True)
    chart = f"apiVersion: v2\nname: service\nversion: 1.0.0\ndescription: {uuid4()}\n"
    (tmp_path / "gitops" / "chart" / "Chart.yaml").write_text(chart)
    return tmp_path / "gitops"


def test_running_sandbox_is_restarted_with_argocd_and_from_then_on_always_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    try:
        plain = start(state, progress=Silent())
        assert plain.sources is None
        with monkeypatch.context() as without_redis:
            without_redis.setenv("PATH", str(tmp_path))
            with pytest.raises(CheckFailed, match="redis-server"):
                start(state, progress=Silent(), argocd=True)
        assert connect(state) == plain
        assert set(plan_of(plain).ports) == set(PORTS)
        with pytest.raises(CheckFailed, match="start --argocd"):
            publish(plain, tmp_path, Silent(), folder="gitops", branch="main")
        delivering = start(state, progress=Silent(), argocd=True)
        assert delivering.sources is not None
        assert delivering.cluster_uid == plain.cluster_uid
        assert start(state, progress=Silent()) == delivering
        assert stop(state)
        assert start(state, progress=Silent()) == delivering
    finally:
        stop(state)


def test_every_server_runs_and_tells_its_version(own: Sandbox) -> None:
    found = {server.name: server for server in status(own.state).servers}
    assert found.keys() == SERVERS
    assert [name for name, server in found.items() if not server.version] == []
    assert {found[name].version for name in SERVERS if name.startswith("argocd-")} == {"3.6.1"}
    assert found["argo-rollouts"].version == "1.10.2"
    assert len(processes_of(own.state)) == 1 + len(SERVERS)


def test_only_loopback_is_listened_on(own: Sandbox) -> None:
    addresses = listening(own.state)
    assert set(addresses) == {"127.0.0.1"}
    assert len(addresses) == len(plan_of(own).ports)


def test_nobody_else_can_read_what_argocd_is_given(own: Sandbox) -> None:
    paths = StateDir(own.state)
    private = [*own.state.glob("*.kubeconfig"), paths.redis_configuration, paths.argocd, paths.registry]
    assert len(private) > 4
    assert [path.name for path in private if path.stat().st_mode & 0o077] == []


def test_argocd_reaches_nothing_off_this_machine(own: Sandbox) -> None:
    """An ApplicationSet that names a repository elsewhere, as that of a stack from before Argo CD does."""
    elsewhere = {"repoURL": "https://git.example.com/tree", "revision": "main", "directories": [{"path": "*"}]}
    template = {"metadata": {"name": "{{path.basename}}"}, "spec": {"project": "default", "destination": {}}}
    spec = {"generators": [{"git": elsewhere}], "template": template}
    body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": {"name": "out"}, "spec": spec}
    cluster, path = Cluster(own, own.token), "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets"
    try:
        assert cluster.call("POST", path, body).status == HTTPStatus.CREATED

        def told() -> str:
            conditions = cluster.call("GET", f"{path}/out").body.get("status", {}).get("conditions", [])
            return " ".join(condition["message"] for condition in conditions)

        until(lambda: "127.0.0.1 port 9" in told() or "127.0.0.1:9" in told(), 60)
    finally:
        cluster.call("DELETE", f"{path}/out")
        cluster.close()


def test_no_controller_may_write_into_an_environment_by_itself(own: Sandbox) -> None:
    cluster = Cluster(own, own.token)
    attributes = {"namespace": "dev-services", "verb": "create", "group": "apps", "resource": "deployments"}
    try:
        for user in (APPLICATIONS, APPLICATION_SETS, NOTIFICATIONS, ROLLOUTS, KWOK):
            spec = {"user": user, "resourceAttributes": attributes}
            answer = cluster.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
            assert answer.status == HTTPStatus.CREATED
            assert not answer.body["status"]["allowed"], user
    finally:
        cluster.close()


def test_published_charts_and_the_tree_are_there_after_a_restart(own: Sandbox, tree: Path) -> None:
    done = publish(own, tree, Silent(), folder="gitops", branch="main")
    assert done.chart is not None
    assert done.commit.made
    manifest = f"/v2/charts/service/manifests/{done.chart}"
    before = get(plan_of(own).ports["registry"], manifest, None)
    assert before[0] == HTTPStatus.OK
    assert stop(own.state)
    again = start(own.state, progress=Silent())
    assert again.sources == own.sources
    assert get(plan_of(again).ports["registry"], manifest, None) == before
    assert publish(again, tree, Silent(), folder="gitops", branch="main").commit.made is False


@on_linux
@pytest.mark.parametrize("step", ["giving Argo CD", "starting argocd-repo-server"])
def test_start_that_is_killed_leaves_no_process(tmp_path: Path, step: str) -> None:
    state = tmp_path / "state"
    process = subprocess.Popen(
        command("sandbox", "start", "--argocd"),
        cwd=ROOT,
        env={**os.environ, "LADDER_SANDBOX_DIR": str(state)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any(step in line for line in process.stderr), "the step was never reached"
    assert processes_of(state)
    process.kill()
    process.communicate(timeout=40)
    until(lambda: processes_of(state) == [] and not status(state).running)


@on_linux
def test_killed_supervisor_leaves_no_process(own: Sandbox) -> None:
    os.kill(status(own.state).supervisor, signal.SIGKILL)
    until(lambda: processes_of(own.state) == [] and not status(own.state).running)
    assert start(own.state, progress=Silent()).cluster_uid == own.cluster_uid


@pytest.mark.parametrize("server", ["redis", "argocd-application-controller"])
def test_dead_server_ends_the_others_and_is_reported(own: Sandbox, server: str) -> None:
    victim = next(each for each in status(own.state).servers if each.name == server)
    os.kill(victim.pid, signal.SIGKILL)
    until(lambda: not status(own.state).running and processes_of(own.state) == [])
    assert f"{server} was killed by signal 9" in status(own.state).reason


def test_missing_redis_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("redis-server") is None
    with pytest.raises(CheckFailed, match=r"redis-server.*not on PATH.*package is redis-server"):
        start(tmp_path / "state", progress=Silent(), argocd=True)
    assert processes_of(tmp_path / "state") == []


def test_state_whose_path_no_url_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"a b/state: .*LADDER_SANDBOX_DIR"):
        start(tmp_path / "a b" / "state", progress=Silent(), argocd=True)
