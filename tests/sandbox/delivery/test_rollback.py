"""A rollback reaches prod outside of its sync window, on Argo CD's own controllers, and the window stays as declared.

One story in the order of its tests: every test starts from what those before it left.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ladder import cli
from ladder.contract import StackSettings, ladder_settings
from ladder.contract.promotion import read_promotion
from ladder.promotion.deliver import windows
from ladder.rules.reading import at, items
from sandbox import deployer
from sandbox.access import CONTEXT
from sandbox.connection import Sandbox
from sandbox.delivery_objects import refresh
from sandbox.deployer.kube_api import KubeApi
from sandbox.engines import Deployment
from sandbox.paths import StateDir
from sandbox.progress import Silent
from sandbox.publishing import publish
from tests.previews.serving import serving
from tests.promotion.places import SERVICES, Elsewhere, Place, settle
from tests.promotion.test_signing import AMBIENT
from tests.sandbox.cluster import Cluster, until
from tests.sandbox.delivery.canarying import ARGOCD, DEADLINE, MERGE, Canarying, Prometheus
from tests.sigstore_stand_in import Job, StandIn
from tests.support import STACKS, Outcome, copy_project

pytestmark = pytest.mark.servers

BRANCH = "rolling"
NEW = "sha256:" + "5e" * 32
DELIVER = ("rollback", "--env", "prod", "--deliver")
OPEN, CLOSED = (
    f"    windows:\n      only:\n        kind: allow\n        schedule: {schedule}\n        duration: {duration}\n"
    "        timeZone: Europe/Berlin\n        manualSync: false\n"
    for schedule, duration in (("0 0 * * *", "24h"), ("0 0 29 2 *", "1s"))
)


@dataclass
class Rolling(Place):
    """A clone of the repository that the sandbox delivers from, on a branch of its own, with what prod runs of it."""

    seen: Canarying

    def ladder(self, *arguments: str) -> Outcome:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            code: object = 0
            try:
                cli.main(list(arguments))
            except SystemExit as error:
                code = error.code
        return Outcome(code if isinstance(code, int) else 1, out.getvalue(), err.getvalue())

    def merge(self, branch: str) -> None:
        self.git("fetch", "--quiet", "origin")
        self.git("push", "--quiet", "origin", f"refs/remotes/origin/{branch}:refs/heads/{BRANCH}")
        self.git("pull", "--quiet", "--ff-only", "origin", BRANCH)
        self._tell()

    def keep(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        self.git("push", "--quiet", "origin", f"HEAD:{BRANCH}")
        self._tell()

    def _tell(self) -> None:
        """As a repository's webhook does."""
        api = KubeApi(self.deployment.target)
        try:
            refresh(api)
        finally:
            api.close()

    @property
    def deployment(self) -> Deployment:
        return Deployment(self.root, "prod", self.seen.sandbox)

    @property
    def settings(self) -> StackSettings:
        return ladder_settings(self.root)["prod"]

    @property
    def project(self) -> Mapping[str, Any]:
        return self.seen.cluster.call("GET", f"{ARGOCD}/appprojects/ladder-prod").body

    @property
    def is_as_declared(self) -> bool:
        return self.project["spec"]["syncWindows"] == windows(self.settings)

    def up(self) -> None:
        deployer.up(self.deployment.recording, self.deployment.target)

    def windows(self, text: str) -> None:
        self.seen.edit("Pulumi.prod.yaml", r"(?s)    windows:\n.*?(?=    keepWhenRemoved)", text)
        self.keep("Other windows")
        self.up()

    def runs(self, image: str) -> None:
        """Give prod's web an image."""
        self.seen.edit("gitops/envs/prod/web/version.yaml", r"(image:\n  digest: )\S+", rf"\g<1>{image}")
        self.keep("An image")

    def names(self, image: str) -> None:
        """Wait until Argo CD has seen that prod's web is to have the image, and has compared with that commit."""

        def named() -> bool:
            found = self.seen.application("prod")
            revisions = items(at(found, "status", "sync", "revisions"))
            names = at(found, "metadata", "annotations", "ladder.internal/image")
            return names == image and self.git("rev-parse", "HEAD") in revisions

        until(named, DEADLINE, self.seen.told("prod"))

    def sync(self) -> None:
        """What a person's click or ``argocd app sync`` sends, to every Application of prod."""
        operation = {"operation": {"initiatedBy": {"username": "ada"}, "sync": {}}}
        for service in SERVICES:
            answer = self.seen.cluster.patch(f"{ARGOCD}/applications/prod-{service}", operation, MERGE)
            assert answer.status == 200, answer.message


@pytest.fixture(scope="module")
def scene(delivery_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rolling]:
    """Prod ran its shipped images, then another of web; both were observed healthy, and its window is closed now."""
    root, bare = tmp_path_factory.mktemp("project"), StateDir(delivery_sandbox.state).tree
    copy_project(root)
    sigstore, elsewhere, cluster = StandIn(), Elsewhere(), Cluster(delivery_sandbox, delivery_sandbox.token)
    with ExitStack() as stack:
        stack.callback(cluster.close)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for each in (sigstore, elsewhere):
            stack.enter_context(serving(each))
        for name in AMBIENT:
            patch.delenv(name, raising=False)
        for role in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{role}_NAME", "promoter")
            patch.setenv(f"GIT_{role}_EMAIL", "promoter@example.com")
        places = {"LADDER_ROOT": str(root), "KUBECONFIG": str(delivery_sandbox.kubeconfig)}
        for name, value in (sigstore.environment | places).items():
            patch.setenv(name, value)
        settle(root, sigstore, elsewhere)
        sigstore.job = Job.of(read_promotion(root).evidence.signers.request)
        seen = Canarying(root, delivery_sandbox, cluster, Prometheus())
        scene = Rolling(root, bare, sigstore, elsewhere, None, seen)  # pyright: ignore[reportArgumentType] - reads no capsys
        localize(scene, delivery_sandbox)
        seen.forget()
        publish(delivery_sandbox, root / "gitops", Silent(), folder="gitops", branch=f"{BRANCH}-chart")
        scene.git("init", "--quiet", f"--initial-branch={BRANCH}")
        scene.git("remote", "add", "origin", str(bare))
        scene.windows(OPEN)
        stack.callback(seen.forget)
        stack.callback(lambda: deployer.destroy(scene.deployment.recording, scene.deployment.target))
        began, old = datetime.now(UTC) - timedelta(hours=3), scene.versions("prod")["web"].image
        for hours, image in enumerate((old, NEW)):
            if image != old:
                scene.runs(image)
            scene.names(image)
            scene.sync()
            until(lambda image=image: seen.image("prod").endswith(image), DEADLINE, seen.told("prod"))
            scene.observe("prod", began + timedelta(hours=hours))
        scene.windows(CLOSED)
        yield scene


def localize(scene: Rolling, sandbox: Sandbox) -> None:
    """Point every stack file at what the sandbox delivers from, and prod at the sandbox's cluster."""
    assert sandbox.sources is not None
    sources = {"repository": sandbox.sources.tree, "branch": BRANCH, "chart": f"{sandbox.sources.charts}/service"}
    for name in STACKS:
        for key, value in sources.items():
            scene.seen.edit(f"Pulumi.{name}.yaml", rf"(?s)(ladder:delivery:.*?\n    {key}: )\S+", rf"\g<1>{value}")
    scene.seen.edit("Pulumi.prod.yaml", r"context: \S+", f"context: {CONTEXT}")


def terminate(scene: Rolling, service: str) -> None:
    """What ``argocd app terminate-op`` sends; then wait until it is over."""
    path = f"{ARGOCD}/applications/prod-{service}"
    ended = {"status": {"operationState": {"phase": "Terminating"}}}
    assert scene.seen.cluster.patch(path, ended, MERGE).status == 200
    until(lambda: "operation" not in scene.seen.cluster.call("GET", path).body, DEADLINE, scene.seen.told("prod"))


def holders(project: Mapping[str, Any]) -> Mapping[str, bool]:
    """Who manages fields of the AppProject, and whether its windows are among them."""
    fields = project["metadata"]["managedFields"]
    return {each["manager"]: "f:syncWindows" in each["fieldsV1"]["f:spec"] for each in fields}


def test_a_persons_sync_of_the_merged_rollback_waits_for_the_window(scene: Rolling) -> None:
    asked = scene.ladder("rollback", "--env", "prod", "--no-pr")
    assert asked.code == 0, asked.err
    (branch,) = scene.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/rollback/", at=scene.bare).split()
    scene.merge(branch)
    scene.names(scene.versions("prod")["web"].image)
    scene.sync()

    def waits() -> bool:
        message = scene.seen.application("prod")["status"].get("operationState", {}).get("message", "")
        return message == "Sync operation blocked by sync window"

    until(waits, DEADLINE, scene.seen.told("prod"))
    assert scene.seen.image("prod").endswith(NEW)


def test_that_sync_is_not_let_through_with_the_rollback(scene: Rolling) -> None:
    told = scene.ladder(*DELIVER)
    assert told.code == 1
    assert "a sync that ada asked for waits for its window" in told.err
    assert scene.is_as_declared
    for service in SERVICES:
        terminate(scene, service)
    assert scene.seen.image("prod").endswith(NEW)


def test_delivering_it_brings_the_old_digest_and_leaves_the_window_as_it_was(scene: Rolling) -> None:
    before = scene.project
    told = scene.ladder(*DELIVER)
    assert told.code == 0, told.err
    commit = scene.git("rev-parse", "HEAD")
    assert told.out.splitlines() == [f"prod-{service}: synced to {commit}" for service in SERVICES]
    assert scene.seen.image("prod").endswith(scene.versions("prod")["web"].image)
    after = scene.project
    assert scene.is_as_declared
    assert after["spec"] == before["spec"]
    assert holders(after) == holders(before)
    assert int(after["metadata"]["resourceVersion"]) > int(before["metadata"]["resourceVersion"])


def test_the_window_is_as_closed_to_a_person_as_it_was(scene: Rolling) -> None:
    scene.sync()
    blocked = "Sync operation blocked by sync window"

    def message() -> str:
        return scene.seen.application("prod")["status"].get("operationState", {}).get("message", "")

    until(lambda: message() == blocked, DEADLINE, scene.seen.told("prod"))
    for service in SERVICES:
        terminate(scene, service)


def test_a_delivery_that_fails_leaves_the_window_as_it_was(scene: Rolling) -> None:
    """Argo CD syncs as an account of the environment, which may do nothing any more."""
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/prod-services/rolebindings"
    bindings = scene.seen.cluster.call("GET", path).body["items"]
    held = [each for each in bindings if any(subject["name"] == "delivery" for subject in each["subjects"])]
    assert held
    for each in held:
        assert scene.seen.cluster.call("DELETE", f"{path}/{each['metadata']['name']}").status == 200
    told = scene.ladder(*DELIVER)
    assert told.code == 1
    assert "prod-web: the sync is Failed: " in told.err
    assert scene.is_as_declared
