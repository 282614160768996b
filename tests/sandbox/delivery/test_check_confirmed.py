"""What ``ladder check`` says of ApplicationSets, confirmed by Argo CD's own controllers.

Each case is the recorded ApplicationSet with one thing broken, as ``tests/test_check_applicationsets.py`` breaks it. It
is checked, and applied beside the others under a name of its own, with nothing synced.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ladder.check.applicationsets import APPLICATION_SET, Delivery, delivery
from ladder.check.repository import Repository
from ladder.tree import read_tree
from sandbox import deployer
from sandbox.connection import Sandbox
from sandbox.engines import Deployment
from sandbox.progress import Silent
from sandbox.publishing import publish
from tests.checked import changed, rules
from tests.conftest import one
from tests.sandbox.cluster import Cluster, until
from tests.support import copy_project
from tests.test_check_applicationsets import BREAKS, Break

pytestmark = pytest.mark.servers

BRANCH = "confirmed"
DEADLINE = 240.0
ARGOCD = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
SOUND = "nothing broken"


@dataclass(frozen=True)
class Refused:
    """The ApplicationSet's own condition: nothing of it is as it was meant."""

    says: str


@dataclass(frozen=True)
class Stuck:
    """An Application is made, and cannot be synced."""

    says: str


@dataclass(frozen=True)
class Nothing:
    """No Application is made, and no controller says a word: what had been generated would be deleted."""


CONFIRMED: Mapping[str, Refused | Stuck | Nothing] = {
    "an unknown generator": Refused("generated no parameters"),
    "a generator of no kind": Nothing(),
    "a generator of two kinds": Refused("more than one generator"),
    "a matrix of three": Refused("more than two generators"),
    "a matrix of one": Refused("less than two generators"),
    "a merge without keys": Refused("no merge keys"),
    "a merge whose keys tell nothing apart": Refused("not unique"),
    "too deep a nesting": Refused("generated no parameters"),
    "an empty list": Nothing(),
    "a field nothing gives": Refused("map has no entry for key"),
    "a field of a generator that nothing gives": Refused("map has no entry for key"),
    "a template that does not parse": Refused("failed to parse template"),
    "a patch that is no YAML": Refused("error while converting template to json"),
    "a glob that matches nothing": Nothing(),
    "one name for all": Refused("duplicate name"),
    "an illegal name": Refused("Invalid value"),
    "a project that is not there": Refused("not found"),
    "a cluster the project refuses": Refused("destination spec is invalid"),
    "no destination": Refused("destination spec is invalid"),
    "a destination the project refuses": Stuck("do not match any of the allowed destinations"),
    "a source the project refuses": Stuck("is not permitted in project"),
    "a source of nothing": Stuck("are required"),
    "values of another branch": Stuck("failed to get git client"),
    "a values file that is not there": Stuck("x.yaml"),
    "a ref that is not there": Stuck("$values"),
}


@dataclass(frozen=True)
class Confirmation:
    """Dev as it is deployed, what of the tree it delivers, and the cases that stand beside it."""

    deployment: Deployment
    repository: Repository
    cluster: Cluster

    def checked(self, case: Break | None) -> Delivery:
        recording = self.deployment.recording
        if case is not None:
            recording = changed(recording, APPLICATION_SET, case.name, lambda inputs: case.change(inputs["spec"]))
        return delivery(recording, self.repository, list(self.repository.tree.environments["preview"].values()))

    def apply(self, name: str, case: Break | None) -> None:
        recorded = one(self.deployment.recording, APPLICATION_SET, "delivery")
        spec: dict[str, Any] = copy.deepcopy(recorded.inputs["spec"])
        if case is not None:
            case.change(spec)
        spec["syncPolicy"] = {"preserveResourcesOnDeletion": True}
        metadata = spec["template"]["metadata"]
        metadata.pop("finalizers", None)
        metadata["name"] = f"{name}-{metadata['name']}"
        spec["template"]["spec"]["syncPolicy"].pop("automated")
        self.create(name, spec)

    def create(self, name: str, spec: Mapping[str, Any]) -> None:
        metadata = {"name": name}
        body = {"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": metadata, "spec": spec}
        answer = self.cluster.call("POST", f"{ARGOCD}/applicationsets", body)
        assert answer.status == 201, answer.message

    def conditions(self, name: str) -> Mapping[str, Mapping[str, str]]:
        status = self.cluster.call("GET", f"{ARGOCD}/applicationsets/{name}").body.get("status", {})
        return {each["type"]: each for each in status.get("conditions", [])}

    def applications(self, name: str) -> dict[str, Mapping[str, Any]]:
        """Those that the ApplicationSet owns, by name."""
        found = self.cluster.call("GET", f"{ARGOCD}/applications").body["items"]
        owned = [
            each for each in found if name in (owner["name"] for owner in each["metadata"].get("ownerReferences", []))
        ]
        return {each["metadata"]["name"]: each for each in owned}

    def told(self, name: str) -> str:
        applications = {key: each.get("status", {}) for key, each in self.applications(name).items()}
        return json.dumps([self.conditions(name), applications], indent=1)[:6000]


def case_name(what: str) -> str:
    return "c" + re.sub("[^a-z]+", "-", what.lower())[:40].strip("-").replace("-", "")


@pytest.fixture(scope="module")
def confirmation(delivery_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Confirmation]:
    """Dev of a copy of the project on a branch of its own, with every case applied at once."""
    root = tmp_path_factory.mktemp("project")
    project = copy_project(root)
    for stack in ("dev", "prod", "staging"):
        project.edit(stack, "    branch: main", f"    branch: {BRANCH}")
    _publish(delivery_sandbox, root)
    deployment = Deployment(root, "dev", delivery_sandbox)
    deployment.prepare()
    deployer.up(deployment.recording, deployment.target)
    contract = deployment.settings.delivery
    cluster = Cluster(delivery_sandbox, delivery_sandbox.token)
    made = Confirmation(deployment, Repository.of(contract, read_tree(root, contract.path)), cluster)
    try:
        yield made
    finally:
        deployer.destroy(deployment.recording, deployment.target)
        cluster.close()


@pytest.fixture(scope="module")
def cases(confirmation: Confirmation) -> Iterator[Confirmation]:
    """Every case, applied at once."""
    names = {what: case_name(what) for what in (SOUND, *CONFIRMED)}
    try:
        for what, name in names.items():
            confirmation.apply(name, BREAKS.get(what))
        yield confirmation
    finally:
        for name in names.values():
            confirmation.cluster.call("DELETE", f"{ARGOCD}/applicationsets/{name}")
        until(lambda: not any(map(confirmation.applications, names.values())), DEADLINE)


def _publish(sandbox: Sandbox, root: Path) -> None:
    """Publish the tree, every version pinned to the chart as it is."""
    digest = publish(sandbox, root / "gitops", Silent(), folder="gitops", branch=BRANCH).chart
    for file in (root / "gitops/envs").glob("*/*/version.yaml"):
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(r"(?<=chart:\n  digest: ).*", str(digest), text), encoding="utf-8")
    publish(sandbox, root / "gitops", Silent(), folder="gitops", branch=BRANCH)


def test_what_is_passed_syncs(confirmation: Confirmation) -> None:
    assert confirmation.checked(None).findings == ()
    services = confirmation.repository.tree.environments["dev"]

    def synced() -> bool:
        states = [each.get("status", {}) for each in confirmation.applications("ladder-dev").values()]
        return len(states) == len(services) and all(each.get("sync", {}).get("status") == "Synced" for each in states)

    until(synced, DEADLINE, lambda: confirmation.told("ladder-dev"))


def test_a_case_with_nothing_broken_is_refused_by_nobody(cases: Confirmation) -> None:
    name, services = case_name(SOUND), cases.repository.tree.environments["dev"]
    until(lambda: len(_compared(cases, name)) == len(services), DEADLINE, lambda: cases.told(name))
    assert not _failed(cases, name)
    assert "Error" not in _complaints(cases, name)


@pytest.mark.parametrize("what", CONFIRMED)
def test_what_is_found_fails_on_the_real_controllers(what: str, cases: Confirmation) -> None:
    case, name = BREAKS[what], case_name(what)
    assert case.rule in rules(cases.checked(case).findings)
    match CONFIRMED[what]:
        case Refused(says):
            until(lambda: _failed(cases, name), DEADLINE, lambda: cases.told(name))
            assert says in cases.conditions(name)["ErrorOccurred"]["message"]
        case Stuck(says):
            until(lambda: says in _complaints(cases, name), DEADLINE, lambda: cases.told(name))
        case Nothing():
            until(lambda: "ResourcesUpToDate" in cases.conditions(name), DEADLINE, lambda: cases.told(name))
            assert not _failed(cases, name)
            assert cases.applications(name) == {}


def test_two_sets_that_make_one_name_fight(confirmation: Confirmation) -> None:
    """The second is refused what the first owns; a finding of it is in the other tests of this rule."""
    recorded = one(confirmation.deployment.recording, APPLICATION_SET, "delivery")
    spec = {**recorded.inputs["spec"], "syncPolicy": {"preserveResourcesOnDeletion": True}}
    until(lambda: confirmation.applications("ladder-dev"), DEADLINE, lambda: confirmation.told("ladder-dev"))
    confirmation.create("again", spec)
    try:
        until(lambda: _failed(confirmation, "again"), DEADLINE, lambda: confirmation.told("again"))
        assert "already owned by another" in confirmation.conditions("again")["ErrorOccurred"]["message"]
    finally:
        confirmation.cluster.call("DELETE", f"{ARGOCD}/applicationsets/again")


def _failed(confirmation: Confirmation, name: str) -> bool:
    return confirmation.conditions(name).get("ErrorOccurred", {}).get("status") == "True"


def _compared(confirmation: Confirmation, name: str) -> list[Mapping[str, Any]]:
    """The Applications that the controller has looked at."""
    states = (each.get("status", {}) for each in confirmation.applications(name).values())
    return [state for state in states if state.get("sync", {}).get("status") in {"Synced", "OutOfSync"}]


def _complaints(confirmation: Confirmation, name: str) -> str:
    """What is said of the Applications, each kind before its words."""
    states = [each.get("status", {}) for each in confirmation.applications(name).values()]
    return "\n".join(f"{each['type']}: {each['message']}" for state in states for each in state.get("conditions", []))
