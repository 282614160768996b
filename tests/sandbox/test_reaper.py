"""The reaper on a real API server, by the token of a ServiceAccount that may list and delete and nothing else."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from previews.deleting import Deletion, Objects, Outcome
from previews.fetching import client, trusting
from previews.moments import moment
from previews.reaping import Kind
from sandbox.connection import Sandbox
from tests.sandbox.cluster import Cluster, until
from tests.support import ROOT

pytestmark = pytest.mark.servers

NAMESPACES = "/api/v1/namespaces"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
FINALIZER = "ladder.internal/test"


@dataclass
class Place:
    """A namespace in the role of Argo CD's, with the reaper's ServiceAccount; what is made is taken away afterwards."""

    admin: Cluster
    sandbox: Sandbox
    folder: Path
    name: str = field(default_factory=lambda: f"t-{secrets.token_hex(4)}")
    made: list[str] = field(default_factory=list[str])

    @property
    def applications(self) -> str:
        return f"/apis/argoproj.io/v1alpha1/namespaces/{self.name}/applications"

    def make(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.admin.call("POST", path, body)
        assert answer.status == 201, answer.message
        self.made.append(f"{path}/{body['metadata']['name']}")
        return dict(answer.body)

    def prepare(self) -> None:
        named = {"metadata": {"name": self.name}}
        self.make(NAMESPACES, named)
        self.make(f"{NAMESPACES}/{self.name}/serviceaccounts", named)
        for group, resource, path, kind in (
            ("", "namespaces", RBAC, "ClusterRole"),
            ("argoproj.io", "applications", f"{RBAC}/namespaces/{self.name}", "Role"),
        ):
            rule = {"apiGroups": [group], "resources": [resource], "verbs": ["list", "delete"]}
            self.make(f"{path}/{kind.lower()}s", {**named, "rules": [rule]})
            subject = {"kind": "ServiceAccount", "name": self.name, "namespace": self.name}
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": self.name}
            self.make(f"{path}/{kind.lower()}bindings", {**named, "subjects": [subject], "roleRef": role})
        token = self.folder / "token"
        token.write_text(self.admin.token(self.name, self.name), encoding="utf-8")

    def namespace(self, name: str, hours: float, *, labelled: bool = True, **annotations: str) -> None:
        labels = {"ladder.internal/preview": "true"} if labelled else {}
        self.make(NAMESPACES, {"metadata": {**_over(name, hours, annotations), "labels": labels}})

    def application(self, name: str, hours: float, *finalizers: str) -> None:
        spec = {"project": "previews", "destination": {"server": "https://kubernetes.default.svc", "namespace": name}}
        metadata = {**_over(name, hours, {}), "finalizers": list(finalizers)}
        body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec}
        self.make(self.applications, body)

    def run(self, **more: Any) -> tuple[int, dict[str, str], str]:
        """One run: its exit code, what it told of each deletion, by kind and name, and its log."""
        cluster = {
            "url": self.sandbox.api_server,
            "namespace": self.name,
            "project": "previews",
            "token": str(self.folder / "token"),
            "authority": str(self.sandbox.ca),
        }
        settings = {"cluster": cluster, "grace": "1h", "maxAge": "336h", "most": 10, "dryRun": False, **more}
        file = self.folder / "settings.yaml"
        file.write_text(json.dumps(settings, indent=2), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "previews.reaper", str(file)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        told = {
            f"{each['what']} {each['namespace']}": each["verdict"]
            for each in lines
            if each["event"] != "decided" and "what" in each
        }
        return done.returncode, told, done.stderr

    def is_there(self, path: str) -> bool:
        """Whether it is, and nobody has asked to delete it."""
        answer = self.admin.call("GET", path)
        return answer.status == 200 and "deletionTimestamp" not in answer.body["metadata"]

    def is_gone(self, path: str) -> bool:
        return self.admin.call("GET", path).status == 404

    def clear(self) -> None:
        """Delete what was made; again where a policy that is going still holds."""
        for path in reversed(self.made):
            if path.startswith(self.applications):
                self.finish(path)
            self.admin.call("DELETE", path)
        for path in reversed(self.made):
            until(lambda path=path: self.admin.call("DELETE", path).status == 404, 60, lambda path=path: path)

    def finish(self, application: str) -> None:
        """What Argo CD does when it has seen to the Application's resources."""
        self.admin.patch(application, {"metadata": {"finalizers": None}}, "application/merge-patch+json")


def _over(name: str, hours: float, annotations: dict[str, str]) -> dict[str, Any]:
    """Metadata of what was over that many hours ago."""
    expires = moment(datetime.now(UTC) - timedelta(hours=hours))
    return {"name": name, "annotations": {"ladder.internal/expires": expires, **annotations}}


@pytest.fixture
def place(sandbox: Sandbox, tmp_path: Path) -> Iterator[Place]:
    made = Place(Cluster(sandbox, sandbox.token), sandbox, tmp_path)
    try:
        made.prepare()
        yield made
    finally:
        made.clear()
        made.admin.close()


@pytest.fixture
def pr() -> Callable[[int], str]:
    """Names of previews that no other test has."""
    first = secrets.randbelow(10**9) + 10**9
    return lambda number: f"pr-{first + number}"


def test_what_is_over_goes_application_first_and_everything_else_stays(place: Place, pr: Callable[[int], str]) -> None:
    over, other = pr(0), f"{place.name}-not-a-preview"
    place.namespace(over, 2)
    place.application(over, 2, FINALIZER)
    place.namespace(pr(1), -2)
    place.namespace(pr(2), 2, labelled=False)
    place.namespace(pr(3), 0.5)
    place.namespace(pr(4), 2)
    place.application(pr(4), -2)
    place.namespace(pr(5), 2, **{"ladder.internal/keep-until": moment(datetime.now(UTC) + timedelta(hours=1))})
    place.namespace(other, 2)
    code, told, log = place.run()
    assert (code, told) == (0, {f"Application {over}": "begun", f"Namespace {over}": "waits"}), log
    assert place.is_there(f"{NAMESPACES}/{over}")
    code, told, log = place.run()
    assert (code, told) == (0, {}), log
    assert "its Application is being deleted since" in log
    place.finish(f"{place.applications}/{over}")
    code, told, log = place.run()
    assert (code, told) == (0, {f"Namespace {over}": "begun"}), log
    until(lambda: place.is_gone(f"{NAMESPACES}/{over}"), 60)
    assert all(place.is_there(f"{NAMESPACES}/{name}") for name in (*map(pr, range(1, 6)), other))
    assert place.is_there(f"{place.applications}/{pr(4)}")
    assert (place.folder / "token").read_text(encoding="utf-8") not in log


def test_an_application_that_goes_at_once_takes_its_namespace_along(place: Place, pr: Callable[[int], str]) -> None:
    place.namespace(pr(0), 2)
    place.application(pr(0), 2)
    code, told, log = place.run()
    assert (code, told) == (0, {f"Application {pr(0)}": "removed", f"Namespace {pr(0)}": "begun"}), log
    assert place.is_gone(f"{place.applications}/{pr(0)}")
    until(lambda: place.is_gone(f"{NAMESPACES}/{pr(0)}"), 60)


def test_a_dry_run_deletes_nothing(place: Place, pr: Callable[[int], str]) -> None:
    place.namespace(pr(0), 2)
    place.application(pr(0), 2)
    code, told, log = place.run(dryRun=True)
    assert (code, told) == (0, {f"Application {pr(0)}": "would", f"Namespace {pr(0)}": "would"}), log
    assert place.is_there(f"{NAMESPACES}/{pr(0)}")
    assert place.is_there(f"{place.applications}/{pr(0)}")


def test_a_dry_run_that_authorization_refuses_and_nothing_is_deleted(place: Place, pr: Callable[[int], str]) -> None:
    place.namespace(pr(0), 2)
    place.namespace(pr(1), 2)
    place.application(pr(1), 2)
    rule = {"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": ["list"]}
    role = f"{RBAC}/namespaces/{place.name}/roles/{place.name}"
    assert place.admin.patch(role, {"rules": [rule]}, "application/merge-patch+json").status == 200
    code, told, log = place.run()
    assert (code, told[f"Application {pr(1)}"]) == (1, "failed"), log
    assert "cannot delete resource" in log
    assert place.is_there(f"{NAMESPACES}/{pr(0)}")
    assert place.is_there(f"{NAMESPACES}/{pr(1)}")


def test_a_dry_run_that_admission_refuses_and_nothing_is_deleted(place: Place, pr: Callable[[int], str]) -> None:
    place.namespace(pr(0), 2)
    place.namespace(pr(1), 2)
    named = {"metadata": {"name": place.name}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["namespaces"]}
    denied = {"expression": f"oldObject.metadata.name != '{pr(1)}'", "message": "not this one"}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [denied]}
    place.make(f"{ADMISSION}/validatingadmissionpolicies", {**named, "spec": spec})
    binding = {"policyName": place.name, "validationActions": ["Deny"]}
    place.make(f"{ADMISSION}/validatingadmissionpolicybindings", {**named, "spec": binding})
    place.admin.settle_admission()
    code, told, log = place.run()
    assert (code, told) == (1, {f"Namespace {pr(1)}": "failed"}), log
    assert "not this one" in log
    assert place.is_there(f"{NAMESPACES}/{pr(0)}")
    assert place.is_there(f"{NAMESPACES}/{pr(1)}")


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_is_not_as_it_was_found_stays(place: Place, pr: Callable[[int], str], dry_run: bool) -> None:
    place.namespace(pr(0), 2)
    place.application(pr(0), 2)

    async def deletions() -> list[Deletion]:
        http = client(place.sandbox.api_server, verify=trusting(str(place.sandbox.ca)))
        objects = Objects(http, place.folder / "token", place.name, "previews")
        found = [each for each in (await objects.seen()).found if each.name == pr(0)]
        assert [each.kind for each in found] == [Kind.NAMESPACE, Kind.APPLICATION]
        others = [replace(each, uid=secrets.token_hex(16)) for each in found]
        earlier = [replace(each, version="1") for each in found]
        told = [await objects.delete(each, dry_run=dry_run) for each in (*others, *earlier)]
        await http.aclose()
        return told

    assert [each.outcome for each in asyncio.run(deletions())] == [Outcome.CONFLICT] * 4
    assert place.is_there(f"{NAMESPACES}/{pr(0)}")
    assert place.is_there(f"{place.applications}/{pr(0)}")
