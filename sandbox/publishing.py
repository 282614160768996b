"""What Argo CD delivers in the sandbox: the tree as commits of a local git repository, charts in a local registry."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

from ladder import chart, helm
from ladder.errors import CheckFailed
from sandbox import tree_repository
from sandbox.access import Sandbox, Sources, sources_of
from sandbox.delivery_objects import Administrator, apply_objects, refresh
from sandbox.deployer.kube_api import KubeApi
from sandbox.paths import StateDir, write_private
from sandbox.progress import Progress
from sandbox.servers import HOST, Plan
from sandbox.tree_repository import Commit

__all__ = ["Published", "furnish", "publish", "restore_charts"]

CHART = "chart"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
REQUEST_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Published:
    """The commit that Argo CD delivers from now on, and the digest of the tree's chart, if it has one."""

    commit: Commit
    chart: str | None


def publish(running: Sandbox, tree: Path, progress: Progress, *, folder: str, branch: str) -> Published:
    """Commit the directory ``tree`` as ``folder`` of the repository's ``branch``, and have Argo CD look at it.

    A chart in its folder ``chart`` is pushed before. Of several at once, each is a commit of its own. Raises
    CheckFailed where the sandbox runs without Argo CD, or where git or Helm refuse.
    """
    if running.sources is None:
        raise CheckFailed("the sandbox runs without Argo CD; start it with `ladder sandbox start --argocd`")
    paths = StateDir(running.state)
    pushed = _push_chart(paths, tree / CHART, running.sources, progress) if (tree / CHART).is_dir() else None
    progress.step("committing the tree")
    commit = tree_repository.commit(paths.tree, tree, folder=folder, branch=branch)
    api = KubeApi(Administrator(running.api_server, running.ca, running.token))
    try:
        refresh(api)
    finally:
        api.close()
    return Published(commit, pushed)


def furnish(paths: StateDir, plan: Plan, progress: Progress) -> None:
    """Give a cluster that is to run Argo CD what that needs: its settings, and a repository to deliver from."""
    progress.step("giving Argo CD its settings")
    tree_repository.create(paths.tree)
    secrets: dict[str, str] = json.loads(paths.secrets.read_text())
    api = KubeApi(Administrator(plan.url("kube-apiserver"), paths.pki / "ca.crt", secrets["admin"]))
    try:
        apply_objects(api, Path(plan.files), sources_of(paths, plan), secrets["argocd"])
    finally:
        api.close()


def restore_charts(paths: StateDir, plan: Plan) -> None:
    """Give the registry back the manifests of what was published: it keeps their blobs only."""
    for file in sorted(paths.charts.rglob("*.json")):
        name = file.parent.relative_to(paths.charts).as_posix()
        _registry(plan.ports["registry"], "PUT", f"/v2/charts/{name}/manifests/sha256:{file.stem}", file.read_bytes())


def _push_chart(paths: StateDir, directory: Path, sources: Sources, progress: Progress) -> str:
    program, name = helm.find(progress), chart.name_of(directory, root=directory.parent.parent)
    progress.step(f"pushing the chart {name}")
    with tempfile.TemporaryDirectory(prefix="chart.") as scratch:
        archive = chart.package(program, directory, Path(scratch))
        digest = chart.push(program, archive, f"{sources.charts}/{name}", plain_http=True)
    port = Plan.of_json(paths.plan.read_text()).ports["registry"]
    manifest = _registry(port, "GET", f"/v2/charts/{name}/manifests/{digest}")
    kept = paths.charts / name
    kept.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(kept / f"{digest.removeprefix('sha256:')}.json", manifest)
    return digest


def _registry(port: int, method: str, path: str, body: bytes | None = None) -> bytes:
    connection = HTTPConnection(HOST, port, timeout=REQUEST_TIMEOUT)
    try:
        connection.request(method, path, body, {"Content-Type": MANIFEST_TYPE, "Accept": MANIFEST_TYPE})
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
        raise CheckFailed(f"the registry answered {response.status} to {method} {path}: {answer.decode()[:500]}")
    return answer
