"""What the tests share: the project's settings, each stack recorded once, and how to look into a recording."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from ladder.contract import StackSettings, ladder_settings, settings_from_mapping
from ladder.recorder import record
from ladder.recording import Recording, Resource

ROOT = Path(__file__).parent.parent

NAMESPACE = "kubernetes:core/v1:Namespace"
QUOTA = "kubernetes:core/v1:ResourceQuota"
LIMITS = "kubernetes:core/v1:LimitRange"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
ADMISSION = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy"
BINDING = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding"
PROJECT = "kubernetes:argoproj.io/v1alpha1:AppProject"
APPLICATION_SET = "kubernetes:argoproj.io/v1alpha1:ApplicationSet"
KEY = "aws:kms/key:Key"
ALIAS = "aws:kms/alias:Alias"
BUCKET = "aws:s3/bucket:Bucket"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"

settings.register_profile("ladder", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ladder")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def ladder() -> dict[str, StackSettings]:
    """The settings of every stack."""
    return ladder_settings(ROOT)


class Recordings:
    """The recording of each stack, made when first asked for; ``altered`` records other settings."""

    def __init__(self, ladder: dict[str, StackSettings]) -> None:
        self._ladder = ladder
        self._made: dict[str, Recording] = {}

    def __getitem__(self, stack: str) -> Recording:
        if stack not in self._made:
            self._made[stack] = record(self._ladder[stack], stack=stack, root=ROOT)
        return self._made[stack]

    def __iter__(self) -> Iterator[Recording]:
        return (self[stack] for stack in self._ladder)

    def altered(self, stack: str, **sections: Any) -> Recording:
        """The stack with the given sections in place of its own; each must be whole."""
        own = self._ladder[stack].model_dump(mode="json", by_alias=True)
        return record(settings_from_mapping({**own, **sections}), stack=stack, root=ROOT)


@pytest.fixture(scope="session")
def recordings(ladder: dict[str, StackSettings]) -> Recordings:
    return Recordings(ladder)


@pytest.fixture(params=["dev", "staging", "prod"])
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def recording(stack: str, recordings: Recordings) -> Recording:
    return recordings[stack]


@pytest.fixture
def chosen(stack: str, ladder: dict[str, StackSettings]) -> StackSettings:
    return ladder[stack]


def one(recording: Recording, type_: str, name: str) -> Resource:
    (found,) = [resource for resource in recording.of_type(type_) if resource.name == name]
    return found


def made(recording: Recording) -> Iterator[Resource]:
    """What a provider makes."""
    return (resource for resource in recording.resources if resource.custom and not resource.is_provider)


def kubernetes_objects(recording: Recording) -> list[Resource]:
    return [resource for resource in made(recording) if resource.type.startswith("kubernetes:")]


def labels(resource: Resource) -> dict[str, str]:
    return resource.inputs["metadata"]["labels"]


def document(resource: Resource, key: str = "policy") -> list[dict[str, Any]]:
    return json.loads(resource.inputs[key])["Statement"]


def needs(recording: Recording, resource: Resource) -> set[str]:
    """The URNs of everything the engine creates before the resource, and deletes after it."""
    known = recording.by_urn()
    reached: set[str] = set()
    waiting = [resource.urn]
    while waiting:
        current = known[waiting.pop()]
        direct = {*current.dependencies, *(urn for urns in current.property_dependencies.values() for urn in urns)}
        waiting += direct - reached
        reached |= direct
    return reached


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Of the planted violations that were run, how many were caught."""
    outcomes = {
        outcome: sum("test_what_is_planted_is_caught" in each.nodeid for each in terminalreporter.getreports(outcome))
        for outcome in ("passed", "failed")
    }
    if planted := sum(outcomes.values()):
        terminalreporter.write_line(f"planted violations: caught {outcomes['passed']} / planted {planted}")
