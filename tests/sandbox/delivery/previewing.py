"""The scene of the previews' story: Argo CD's controllers, the plugin as a process, a registry, and who plays GitHub.

No pod runs here. What the plugin's Deployment would mount is read from the cluster, as the program declared it; only
addresses and files are put in place of those that a pod would have.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from ladder import cli, project
from sandbox.connection import Sandbox
from sandbox.paths import StateDir
from sandbox.servers import Plan
from tests.previews.github_stand_in import GitHubStandIn, Pull, at, sha
from tests.previews.octokit import event
from tests.previews.processes import Process, unused_port
from tests.previews.registries import OciRegistry, push
from tests.previews.serving import serving
from tests.sandbox.cluster import Cluster, until
from tests.support import ROOT

__all__ = ["DEADLINE", "PREVIEWS", "Previewing", "previewing"]

ARGOCD = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
PREVIEWS = "ladder-dev-previews"
DEADLINE = 120.0
_MERGE = "application/merge-patch+json"
_TOKEN = "plugin-token"
_BETWEEN_NUDGES = 8.0


@dataclass
class Previewing:
    """Everything that a preview needs, and what can be seen of it."""

    root: Path
    sandbox: Sandbox
    cluster: Cluster
    registry: OciRegistry
    github: GitHubStandIn
    scratch: Path
    plugin: Process | None = None
    pushes: dict[int, int] = field(default_factory=dict[int, int])

    def run(self, *arguments: str) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            cli.main(list(arguments))
        return said.getvalue()

    def edit(self, path: str, pattern: str, replacement: str) -> None:
        file = self.root / path
        text, count = re.subn(pattern, replacement, file.read_text(encoding="utf-8"), count=1)
        assert count == 1, f"{pattern} is not in {path}"
        file.write_text(text, encoding="utf-8")

    # what happens to pull requests

    def opened(self, number: int, *, hours: float = 0.1, built: bool = True, **more: Any) -> str:
        """Open it, with an image of web unless it is not built; answers the image's digest."""
        when = at(datetime.now(UTC), hours)
        pull = Pull(number, when, (when,), sha(number), **more)
        self.github.put(pull)
        digest = self.build(pull.sha) if built else ""
        self.tell(number, "opened")
        return digest

    def build(self, head: str) -> str:
        return push(self.registry.url, "acme/previews/web", head)

    def pushed(self, number: int) -> str:
        """Another head, which no image is built of; answers it."""
        self.pushes[number] = self.pushes.get(number, 0) + 1
        head = sha(number, self.pushes[number])
        now = at(datetime.now(UTC), 0)
        self.change(number, "synchronize", head=head, suites=(now,))
        return head

    def closed(self, number: int) -> None:
        self.change(number, "closed", state="closed")

    def change(self, number: int, action: str, **fields: Any) -> None:
        self.github.put(replace(self.github.pulls[number], **fields))
        self.tell(number, action)

    def tell(self, number: int, action: str = "synchronize") -> None:
        """GitHub's webhook, as it comes to the ApplicationSet controller."""
        port = Plan.of_json(StateDir(self.sandbox.state).plan.read_text()).ports["argocd-applicationset-webhook"]
        body = event("pull_request", action)
        body["number"] = body["pull_request"]["number"] = number
        body["repository"] |= {"name": self.github.repository, "html_url": f"{self.github.url}/acme/shop"}
        body["repository"]["owner"]["login"] = self.github.owner
        headers = {"X-GitHub-Event": "pull_request"}
        httpx.post(f"http://127.0.0.1:{port}/api/webhook", json=body, headers=headers).raise_for_status()

    # what Argo CD made of it

    def application(self, number: int) -> Mapping[str, Any]:
        return self.cluster.call("GET", f"{ARGOCD}/applications/pr-{number}").body

    def previews(self) -> set[str]:
        items = self.cluster.call("GET", f"{ARGOCD}/applications").body["items"]
        return {each["metadata"]["name"] for each in items if each["spec"]["project"] == PREVIEWS}

    def namespace(self, number: int) -> Mapping[str, Any] | None:
        answer = self.cluster.call("GET", f"/api/v1/namespaces/pr-{number}")
        return answer.body if answer.status == 200 else None

    def items(self, path: str) -> list[Mapping[str, Any]]:
        return self.cluster.call("GET", path).body["items"]

    @contextmanager
    def kept(self, number: int) -> Iterator[None]:
        """Whatever happens meanwhile, the preview is the same afterwards as before: nothing of it was made anew."""
        before = self._uids(number)
        yield
        assert self._uids(number) == before

    def _uids(self, number: int) -> list[str]:
        namespace = self.namespace(number)
        assert namespace is not None
        rollouts = self.items(f"/apis/argoproj.io/v1alpha1/namespaces/pr-{number}/rollouts")
        found = [self.application(number), namespace, *rollouts]
        return [each["metadata"]["uid"] for each in found]

    def nudge(self) -> None:
        """What an operator does who does not want to wait.

        After trouble the annotation that the webhook set stays, and only its change is looked at: the webhook alone
        brings nothing back before minutes have passed.
        """
        path, name = f"{ARGOCD}/applicationsets/{PREVIEWS}", "argocd.argoproj.io/application-set-refresh"
        for value in (None, "true"):
            answer = self.cluster.patch(path, {"metadata": {"annotations": {name: value}}}, _MERGE)
            assert answer.status == 200, answer.message

    def recovered(self, number: int) -> None:
        nudged = -math.inf

        def is_well() -> bool:
            nonlocal nudged
            if time.monotonic() - nudged > _BETWEEN_NUDGES:
                self.nudge()
                nudged = time.monotonic()
            return not self.failing()

        until(is_well, DEADLINE, self.told(number))

    def troubled(self) -> bool:
        """Whether the plugin has no newer facts to be had."""
        assert self.plugin is not None
        return bool(httpx.get(f"{self.plugin.url}/previews.json").json()["trouble"])

    def image(self, number: int, service: str) -> str:
        path = f"/apis/argoproj.io/v1alpha1/namespaces/pr-{number}/rollouts/{service}"
        found = self.cluster.call("GET", path).body
        return found["spec"]["template"]["spec"]["containers"][0]["image"] if "spec" in found else ""

    def settled(self, number: int) -> None:
        def is_settled() -> bool:
            status = self.application(number).get("status", {})
            return (status.get("sync", {}).get("status"), status.get("health", {}).get("status")) == (
                "Synced",
                "Healthy",
            )

        until(is_settled, DEADLINE, self.told(number))

    def gone(self, number: int) -> bool:
        return f"pr-{number}" not in self.previews() and self.namespace(number) is None

    def told(self, number: int) -> Callable[[], str]:
        def tell() -> str:
            status = self.application(number).get("status", {})
            sets = self.cluster.call("GET", f"{ARGOCD}/applicationsets/{PREVIEWS}").body.get("status", {})
            plugin = self.plugin.lines()[-2000:] if self.plugin else ""
            return f"{json.dumps(status, indent=1)[:5000]}\n{json.dumps(sets.get('conditions'), indent=1)}\n{plugin}"

        return tell

    def decided(self, number: int) -> tuple[str, str]:
        """The plugin's own list: its verdict and why."""
        assert self.plugin is not None
        listed = httpx.get(f"{self.plugin.url}/previews.json").json()
        found = [each for each in listed["pullRequests"] if each["number"] == number]
        return (found[0]["verdict"], found[0]["reason"]) if found else ("", "")

    def failing(self) -> str:
        """Why the ApplicationSet could not be worked out; empty where it could."""
        status = self.cluster.call("GET", f"{ARGOCD}/applicationsets/{PREVIEWS}").body.get("status", {})
        found = [each for each in status.get("conditions", []) if each["type"] == "ErrorOccurred"]
        return str(found[0]["message"]) if found and found[0]["status"] == "True" else ""

    # the plugin

    def start_plugin(self, *, token: str = _TOKEN) -> None:
        """As its Deployment would: by the ConfigMap, the Secret and the ServiceAccount that the program declares."""
        port = unused_port()
        told = json.loads(self._settings("plugin-settings"))
        registry = self.registry.url
        told["listen"] = {"host": "127.0.0.1", "port": port}
        told["plugin"]["token"] = self._file("plugin", token)
        told["github"]["token"] = self._file("github", self.github.token)
        told["registry"]["url"] = registry
        told["cluster"] |= self._access("plugin")
        settings = self.scratch / "settings.yaml"
        settings.write_text(json.dumps(told), encoding="utf-8")
        self.plugin = Process(settings, port)
        self.plugin.wait_ready()
        patch = {"data": {"baseUrl": self.plugin.url}}
        path = f"/api/v1/namespaces/argocd/configmaps/{PREVIEWS}"
        answer = self.cluster.patch(path, patch, _MERGE)
        assert answer.status == 200, answer.message

    def stop_plugin(self) -> None:
        if self.plugin is not None:
            self.plugin.process.kill()
            self.plugin.process.wait()
            self.plugin = None

    def reap(self) -> tuple[int, str]:
        """One run of the CronJob's program, by its ConfigMap and its ServiceAccount: its exit code and its log."""
        told = json.loads(self._settings("reaper"))
        told["cluster"] |= self._access("reaper")
        settings = self.scratch / "reaper.yaml"
        settings.write_text(json.dumps(told), encoding="utf-8")
        command = [sys.executable, "-m", "previews.reaper", str(settings)]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stderr

    def _access(self, program: str) -> dict[str, str]:
        """The API server, as a pod of the program's ServiceAccount would find it."""
        token = self.cluster.token("argocd", f"{PREVIEWS}-{program}", 7200)
        return {
            "url": self.sandbox.api_server,
            "token": self._file(f"{program}-cluster", token),
            "authority": str(self.sandbox.ca),
        }

    def _settings(self, name: str) -> str:
        path = f"/api/v1/namespaces/argocd/configmaps/{PREVIEWS}-{name}"
        return self.cluster.call("GET", path).body["data"]["settings.yaml"]

    def _file(self, name: str, content: str) -> str:
        file = self.scratch / name
        file.write_text(f"{content}\n", encoding="utf-8")
        return str(file)

    def secret(self, token: str = _TOKEN) -> None:
        """What an operator puts beside Argo CD."""
        data = {"token": token, "github": self.github.token}
        encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
        labels = {"app.kubernetes.io/part-of": "argocd", "argocd.argoproj.io/secret-type": "scm-creds"}
        body = {"metadata": {"name": "previews-plugin", "labels": labels}, "data": encoded}
        path = "/api/v1/namespaces/argocd/secrets"
        if self.cluster.call("GET", f"{path}/previews-plugin").status == 404:
            answer = self.cluster.call("POST", path, body)
        else:
            answer = self.cluster.patch(f"{path}/previews-plugin", {"data": encoded}, _MERGE)
        assert answer.status in {200, 201}, answer.message


@contextmanager
def previewing(sandbox: Sandbox, scratch: Path) -> Iterator[Previewing]:
    """Dev with its previews up, and everything taken down again."""
    root = scratch / "project"
    root.mkdir()
    for path in (project.root() / "Pulumi.yaml", project.root() / "__main__.py", *project.root().glob("Pulumi.*.yaml")):
        shutil.copy(path, root)
    shutil.copytree(project.root() / "gitops", root / "gitops")
    (scratch / "registry").mkdir()
    registry, github = OciRegistry(scratch / "registry"), GitHubStandIn()
    cluster = Cluster(sandbox, sandbox.token)
    scene = Previewing(root, sandbox, cluster, registry, github, scratch)
    with ExitStack() as stack:
        stack.callback(cluster.close)
        stack.callback(registry.stop)
        registry.start()
        stack.enter_context(serving(github))
        environment = {"LADDER_ROOT": str(root), "LADDER_SANDBOX_DIR": str(sandbox.state)}
        before = {name: os.environ.get(name) for name in environment}
        stack.callback(_restore, before)
        os.environ.update(environment)
        settings = "Pulumi.dev.yaml"
        scene.edit(settings, r"    api: \S+", f"    api: {github.url}/api/v3")
        scene.edit(settings, r"    images: \S+", f"    images: {registry.url.partition('://')[2]}/acme/previews")
        scene.edit(settings, r"    privateImages: true", "    privateImages: false")
        scene.edit(settings, r"    requeue: \w+", "    requeue: 5s")
        scene.edit(settings, r"    fresh: \w+", "    fresh: 1s")
        scene.edit(settings, r"    maxCount: \d+", "    maxCount: 3")
        scene.edit(settings, r"grace: \w+", "grace: 10s")
        scene.secret()
        scene.run("sandbox", "publish")
        stack.callback(lambda: scene.run("destroy", "dev", "--engine", "builtin"))
        scene.run("up", "dev", "--engine", "builtin", "--format", "json")
        cluster.settle_admission()
        stack.callback(scene.stop_plugin)
        scene.start_plugin()
        yield scene


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
