"""A recording's order and its formats."""

import json
from dataclasses import replace
from typing import Any

import pytest

from ladder.errors import CheckFailed
from ladder.recording import Recording, Resource
from ladder.recording_formats import as_deployment, as_json, as_table, from_json
from tests.conftest import Recordings


def before(resource: dict[str, Any]) -> set[str]:
    """What the engine demands to stand before a resource in a deployment."""
    urns = {*resource.get("dependencies", []), *([resource["parent"]] if "parent" in resource else [])}
    urns |= {urn for found in resource.get("propertyDependencies", {}).values() for urn in found}
    return urns | ({resource["provider"].rpartition("::")[0]} if "provider" in resource else set())


def test_a_deployment_lists_what_is_needed_first(recordings: Recordings) -> None:
    for recording in recordings:
        known: set[str] = set()
        for resource in as_deployment(recording)["deployment"]["resources"]:
            assert before(resource) <= known, resource["urn"]
            assert resource["urn"] not in known
            known.add(resource["urn"])
        assert len(known) == len(recording.resources)


def test_a_deployment_has_what_the_engine_reads(recordings: Recordings) -> None:
    for recording in recordings:
        exported = as_deployment(recording)
        assert exported["version"] == 3
        assert exported["deployment"]["manifest"]["version"] == "recording"
        ids: dict[str, str] = {}
        for resource in exported["deployment"]["resources"]:
            assert resource["urn"].split("::")[2].split("$")[-1] == resource["type"]
            assert ("id" in resource) is resource["custom"]
            assert not resource["custom"] or resource["id"]
            assert {"inputs", "outputs"} <= set(resource)
            if resource["custom"] and not resource["type"].startswith("pulumi:"):
                provider, _, identifier = resource["provider"].rpartition("::")
                assert ids[provider] == identifier
            ids[resource["urn"]] = resource.get("id", "")


def test_a_deployment_keeps_the_stacks_outputs_on_the_stack(recordings: Recordings) -> None:
    stack, *_ = as_deployment(recordings["dev"])["deployment"]["resources"]
    assert stack["type"] == "pulumi:pulumi:Stack"
    assert stack["outputs"] == recordings["dev"].outputs
    assert "parent" not in stack


def test_a_deployment_keeps_protection(recordings: Recordings) -> None:
    exported = {r["urn"]: r for r in as_deployment(recordings["prod"])["deployment"]["resources"]}
    for resource in recordings["prod"].resources:
        assert exported[resource.urn].get("protect", False) is resource.protect
        assert exported[resource.urn].get("retainOnDelete", False) is resource.retain_on_delete


def test_json_has_every_registration(recordings: Recordings) -> None:
    for recording in recordings:
        plain = json.loads(json.dumps(as_json(recording)))
        assert [resource["urn"] for resource in plain["resources"]] == [r.urn for r in recording.resources]
        assert plain["outputs"] == recording.outputs
        assert (plain["project"], plain["stack"]) == ("ladder", recording.stack)


def test_the_table_names_every_resource_and_what_is_kept(recordings: Recordings) -> None:
    table = as_table(recordings["prod"])
    made = [resource for resource in recordings["prod"].resources if resource.custom]
    assert f"{len(made)} resources" in table
    assert all(resource.id in table for resource in made)
    assert table.count("protected, retained") == sum(resource.retain_on_delete for resource in made)


def test_dependency_order_survives_a_cycle_and_what_is_not_recorded() -> None:
    def resource(name: str, *needs: str) -> Resource:
        return Resource(urn=name, type="t", name=name, custom=True, dependencies=needs)

    recording = Recording(
        project="p", stack="s", resources=(resource("a", "c"), resource("b", "a", "gone"), resource("c", "b"))
    )
    assert sorted(found.name for found in recording.in_dependency_order()) == ["a", "b", "c"]


def test_json_is_read_back_but_for_what_a_provider_computes(recordings: Recordings) -> None:
    for recording in recordings:
        read = from_json(json.loads(json.dumps(as_json(recording))))
        given = [replace(resource, outputs=resource.inputs) for resource in recording.resources]
        assert read == replace(recording, resources=tuple(given))


def test_json_of_an_older_recorder_is_read(recordings: Recordings) -> None:
    """It did not say what is a component, nor any alias."""
    document = as_json(recordings["dev"])
    for resource in document["resources"]:
        del resource["custom"], resource["aliases"]
    assert [each.custom for each in from_json(document).resources] == [
        each.custom for each in recordings["dev"].resources
    ]


@pytest.mark.parametrize(
    "change", [{"resources": 1}, {"outputs": []}, {"stack": None}, {"resources": [{}]}, {"resources": ["urn"]}]
)
def test_what_is_no_recording_is_not_read(change: dict[str, Any], recordings: Recordings) -> None:
    with pytest.raises(CheckFailed, match="not a recording"):
        from_json({**as_json(recordings["dev"]), **change})


@pytest.mark.parametrize("urn", ["", "dev", "urn:pulumi:dev::ladder::a", 1])
def test_a_resource_without_a_urn_is_not_read(urn: object, recordings: Recordings) -> None:
    document = as_json(recordings["dev"])
    document["resources"][0]["urn"] = urn
    with pytest.raises(CheckFailed, match="not a recording"):
        from_json(document)
