"""What the tests of ``ladder check`` share: the shipped project as it is checked, and ways to break parts of it."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ladder.check.applicationsets import APP_PROJECT, APPLICATION_SET, Delivery, delivery
from ladder.check.findings import Finding
from ladder.check.granted import granted
from ladder.check.repository import Repository
from ladder.check.stacks import Environment, Stack, environments
from ladder.contract import StackSettings, ladder_settings, settings_from_mapping
from ladder.contract.overlay import Overlay
from ladder.recorder import record
from ladder.recording import Recording, Resource
from ladder.tree import Tree, read_tree
from tests.support import ROOT, put

__all__ = ["APPLICATION_SET", "APP_PROJECT", "Checked", "changed", "rules", "shipped"]

Change = Callable[[Any], object]
"""Alters JSON values in place."""


@dataclass(frozen=True)
class Checked:
    """Stacks and a tree, as a check has them."""

    stacks: Mapping[str, Stack]
    tree: Tree

    def environment(self, name: str) -> Environment:
        (found,) = [each for each in environments(self.tree, self.stacks) if each.name == name]
        return found

    def delivery(self, stack: str) -> Delivery:
        """What the stack's ApplicationSets make of the tree."""
        chosen = self.stacks[stack]
        repository = Repository.of(chosen.settings.delivery, self.tree)
        return delivery(chosen.recording, repository, list(self.tree.environments["preview"].values()))

    def with_overlay(self, environment: str, service: str, changes: Mapping[str, Any]) -> Checked:
        """With values of one overlay changed, by dotted path."""
        services = dict(self.tree.environments[environment])
        values = services[service].overlay.model_dump(mode="json", by_alias=True)
        for path, value in changes.items():
            put(values, path, value)
        services[service] = replace(services[service], overlay=Overlay.model_validate_json(json.dumps(values)))
        return replace(self, tree=self._with_services(environment, services))

    def with_environments(self, **environments: str | None) -> Checked:
        """With folders of the tree named anew, each a copy of another one's services, or none."""
        folders = dict(self.tree.environments)
        for name, like in environments.items():
            if like is None:
                folders.pop(name)
            else:
                folders[name] = self.tree.environments[like]
        return replace(self, tree=replace(self.tree, environments=folders))

    def with_settings(self, stack: str, changes: Mapping[str, Any]) -> Checked:
        """With values of one stack's settings changed and the stack recorded anew."""
        sections = self.stacks[stack].settings.model_dump(mode="json", by_alias=True)
        for path, value in changes.items():
            put(sections, path, value)
        settings = settings_from_mapping(sections)
        return self.with_recording(stack, record(settings, stack=stack, root=ROOT), settings)

    def with_recording(self, stack: str, recording: Recording, settings: StackSettings | None = None) -> Checked:
        """With another recording of one stack."""
        chosen = self.stacks[stack]
        made = Stack(ROOT, stack, settings or chosen.settings, recording, granted(recording))
        return replace(self, stacks={**self.stacks, stack: made})

    def with_resource(self, stack: str, type_: str, name: str, change: Change) -> Checked:
        """With the inputs, and so the outputs, of one recorded resource changed in place."""
        return self.with_recording(stack, changed(self.stacks[stack].recording, type_, name, change))

    def _with_services(self, environment: str, services: Mapping[str, Any]) -> Tree:
        return replace(self.tree, environments={**self.tree.environments, environment: services})


@functools.cache
def shipped() -> Checked:
    """The project as it is."""
    settings = ladder_settings(ROOT)
    recordings = {name: record(each, stack=name, root=ROOT) for name, each in settings.items()}
    stacks = {
        name: Stack(ROOT, name, each, recordings[name], granted(recordings[name])) for name, each in settings.items()
    }
    return Checked(stacks, read_tree(ROOT, settings["dev"].delivery.path))


def changed(recording: Recording, type_: str, name: str, change: Change) -> Recording:
    """The recording with one resource's inputs changed."""

    def alter(resource: Resource) -> Resource:
        if (resource.type, resource.name) != (type_, name):
            return resource
        inputs = copy.deepcopy(dict(resource.inputs))
        change(inputs)
        return replace(resource, inputs=inputs, outputs={**resource.outputs, **inputs})

    resources = tuple(map(alter, recording.resources))
    assert resources != recording.resources, f"nothing changed in {type_} {name}"
    return replace(recording, resources=resources)


def rules(findings: Iterable[Finding]) -> set[str]:
    """The ids of the rules that are broken."""
    return {finding.rule for finding in findings}
