"""The API server's schemas, offline: what it takes passes, what it refuses is told with path, found and accepted."""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ladder.check.kubernetes_schemas import KubernetesSchemas
from ladder.errors import CheckFailed, Problem
from ladder.recording import Recording, Resource
from ladder.strict_yaml import parse
from sandbox import kubernetes_openapi
from sandbox.modules import Archive
from sandbox.progress import Silent
from tests.bad_objects import BAD_OBJECTS, GOOD_OBJECTS, BadObject

CUSTOM = [
    ("argoproj.io/v1alpha1", "Rollout"),
    ("argoproj.io/v1alpha1", "AnalysisTemplate"),
    ("argoproj.io/v1alpha1", "Application"),
    ("argoproj.io/v1alpha1", "ApplicationSet"),
    ("argoproj.io/v1alpha1", "AppProject"),
    ("external-secrets.io/v1", "ExternalSecret"),
    ("external-secrets.io/v1", "SecretStore"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
]
Place = tuple[str | int, ...]


@pytest.fixture(scope="session")
def schemas() -> KubernetesSchemas:
    return KubernetesSchemas.load(Silent())


@pytest.fixture
def problems(schemas: KubernetesSchemas) -> Callable[[Mapping[str, Any]], list[Problem]]:
    return lambda document: list(schemas.problems(document, file="overlay", source="templates/x.yaml"))


def places(value: Any, path: Place = ()) -> Iterator[Place]:
    """The paths of everything in an object."""
    yield path
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def at(value: Any, path: Place) -> Any:
    for part in path:
        value = value[part]
    return value


@pytest.mark.parametrize("name", GOOD_OBJECTS)
def test_what_the_api_server_takes_passes(name: str, problems: Callable[..., list[Problem]]) -> None:
    assert problems(parse(GOOD_OBJECTS[name], file=name).value) == []


@pytest.mark.parametrize("bad", BAD_OBJECTS, ids=str)
def test_what_it_refuses_is_told_with_its_path(bad: BadObject, problems: Callable[..., list[Problem]]) -> None:
    (problem,) = problems(bad.document())
    assert (problem.file, problem.path) == ("overlay", bad.path)
    assert bad.message in problem.message
    assert (bad.found, bad.accepted) == (problem.found, problem.accepted)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("500m", "500MB", "spec.template.spec.containers.0.resources.limits.cpu"),
        (
            "      containers",
            "      volumes: [{name: one, emptydir: {}}]\n      containers",
            "spec.template.spec.volumes.0.emptydir",
        ),
    ],
)
def test_what_rollouts_leave_open_in_pods_is_held_to_kubernetes_own_schema(
    old: str, new: str, path: str, problems: Callable[..., list[Problem]]
) -> None:
    (problem,) = problems(BadObject("Rollout", old, new, path, "", "").document())
    assert problem.path == path


def test_every_problem_of_an_object_is_told_with_what_made_it(problems: Callable[..., list[Problem]]) -> None:
    document = parse(GOOD_OBJECTS["Deployment"], file="x").value
    document["spec"]["replica"] = 1
    del document["spec"]["template"]["spec"]["containers"][0]["name"]
    del document["metadata"]["name"]
    found = problems(document)
    assert {problem.path for problem in found} == {
        "metadata.name",
        "spec.replica",
        "spec.template.spec.containers.0.name",
    }
    assert all("Deployment without a name (templates/x.yaml)" in problem.message for problem in found)


@pytest.mark.parametrize(
    ("document", "found", "example"),
    [
        ({}, "neither apiVersion nor kind", ""),
        ({"apiVersion": "apps/v1beta1", "kind": "Deployment"}, "apps/v1beta1 Deployment", "apps/v1 Deployment"),
        ({"apiVersion": "example.com/v1", "kind": "Zebra"}, "example.com/v1 Zebra", ""),
        ({"apiVersion": "external-secrets.io/v1beta1", "kind": "ExternalSecret"}, None, None),
        ({"apiVersion": "v1", "kind": "DeleteOptions"}, None, None),
    ],
)
def test_a_kind_without_a_schema_does_not_pass(
    document: Mapping[str, Any], found: str | None, example: str | None, problems: Callable[..., list[Problem]]
) -> None:
    (problem,) = problems(document)
    assert problem.path == "kind"
    assert "no schema" in problem.message
    assert found is None or (problem.found, problem.example) == (found, example)


def test_the_kinds_in_use_have_a_schema_of_the_version_that_the_sandbox_runs(schemas: KubernetesSchemas) -> None:
    assert set(CUSTOM) <= schemas.kinds.keys()
    assert {("v1", "Service"), ("apps/v1", "StatefulSet"), ("autoscaling/v2", "HorizontalPodAutoscaler")} <= set(
        schemas.kinds
    )
    assert kubernetes_openapi.version().startswith("v1.36.")


def test_every_schema_is_sound_and_refuses_an_object_with_a_strange_field(schemas: KubernetesSchemas) -> None:
    for api_version, kind in schemas.kinds:
        document = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "strange": {}}
        assert "strange" in {problem.path for problem in schemas.problems(document, file="x")}, kind


@pytest.mark.parametrize("name", GOOD_OBJECTS)
def test_no_place_of_an_object_takes_anything(name: str, schemas: KubernetesSchemas) -> None:
    """A key with a map as its value, a null and a list of lists, put anywhere in an object, are refused."""
    good = parse(GOOD_OBJECTS[name], file=name).value
    for path in places(good):
        if isinstance(at(good, path), Mapping):
            changed = copy.deepcopy(good)
            at(changed, path)["unheard/of"] = {"of": {}}
            assert list(schemas.problems(changed, file="x")), path
        for wrong in (None, [[]]) if path else ():
            changed = copy.deepcopy(good)
            at(changed, path[:-1])[path[-1]] = wrong
            assert list(schemas.problems(changed, file="x")), (path, wrong)


def test_every_object_a_stack_declares_is_taken(recording: Recording, schemas: KubernetesSchemas) -> None:
    declared = [each for each in recording.resources if each.type.startswith("kubernetes:") and each.custom]
    assert len(declared) > 20
    assert list(schemas.of_recording(recording)) == []


def test_what_a_stack_declares_wrongly_is_told_with_its_name(schemas: KubernetesSchemas) -> None:
    inputs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": 1}}
    resource = Resource(urn="u", type="kubernetes:core/v1:ConfigMap", name="settings", custom=True, inputs=inputs)
    (problem,) = schemas.of_recording(Recording(project="p", stack="dev", resources=(resource,)))
    assert (problem.file, problem.path, problem.found) == ("Pulumi.dev.yaml", "data.a", "1")
    assert "ConfigMap x (settings)" in problem.message


def test_the_schemas_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kubernetes_openapi.ensure(Silent(), cache=tmp_path)
    assert json.loads(path.read_bytes())["io.k8s.api.core.v1.Pod"]["properties"]["spec"]
    monkeypatch.setattr(kubernetes_openapi, "fetch", None)
    assert kubernetes_openapi.ensure(Silent(), cache=tmp_path) == path
    assert [each.name for each in tmp_path.iterdir() if each.suffix != ".lock"] == [path.name]


def test_a_module_without_definitions_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty.zip"
    zipfile.ZipFile(empty, "w").close()
    archive = Archive("k8s.io/kubernetes", "v1.36.3", empty)
    monkeypatch.setattr(kubernetes_openapi, "fetch", lambda *_: {archive.module: archive})
    with pytest.raises(CheckFailed, match="no definitions"):
        kubernetes_openapi.ensure(Silent(), cache=tmp_path)
    assert not list(tmp_path.glob("*.json"))
