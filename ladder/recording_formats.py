"""A recording as a table, as JSON, and in the shape of Pulumi's own deployment."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from ladder.recording import Recording, Resource

__all__ = ["as_deployment", "as_json", "as_table"]

_EPOCH = "1970-01-01T00:00:00Z"


def as_json(recording: Recording) -> dict[str, Any]:
    """``{"project", "stack", "resources": […], "outputs": {…}}``, resources sorted by URN."""
    return {
        "project": recording.project,
        "stack": recording.stack,
        "resources": [_resource(resource) for resource in recording.resources],
        "outputs": dict(recording.outputs),
    }


def _resource(resource: Resource) -> dict[str, Any]:
    return {
        "urn": resource.urn,
        "type": resource.type,
        "name": resource.name,
        "id": resource.id,
        "parent": resource.parent,
        "provider": resource.provider,
        "protect": resource.protect,
        "retainOnDelete": resource.retain_on_delete,
        "dependencies": list(resource.dependencies),
        "propertyDependencies": {name: list(urns) for name, urns in resource.property_dependencies.items()},
        "inputs": dict(resource.inputs),
    }


def as_deployment(recording: Recording) -> dict[str, Any]:
    """Pulumi's deployment, version 3, as ``pulumi stack export`` writes and ``pulumi policy analyze`` reads it.

    ``manifest.version`` says that it is a recording: ids and ARNs of keys are placeholders, and no provider has
    checked the inputs. Dependencies stand before what needs them, as in a real one.
    """
    return {
        "version": 3,
        "deployment": {
            "manifest": {"time": _EPOCH, "magic": "", "version": "recording"},
            "resources": [_state(resource, recording) for resource in recording.in_dependency_order()],
            "metadata": {},
        },
    }


def _state(resource: Resource, recording: Recording) -> dict[str, Any]:
    stack = resource.type == "pulumi:pulumi:Stack"
    state: dict[str, Any] = {
        "urn": resource.urn,
        "custom": resource.custom,
        "id": resource.id if resource.custom else None,
        "type": resource.type,
        "inputs": dict(resource.inputs),
        "outputs": dict(recording.outputs) if stack else dict(resource.outputs),
        "parent": resource.parent,
        "protect": resource.protect or None,
        "retainOnDelete": resource.retain_on_delete or None,
        "dependencies": list(resource.dependencies) or None,
        "provider": resource.provider,
        "propertyDependencies": {name: list(urns) for name, urns in resource.property_dependencies.items()} or None,
    }
    return {name: value for name, value in state.items() if value is not None}


def as_table(recording: Recording) -> None:
    """Print every resource that a provider makes, by type and name, and the outputs."""
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for heading in ("TYPE", "NAME", "ID", "KEPT"):
        table.add_column(heading, no_wrap=True)
    made = sorted((item for item in recording.resources if item.custom), key=lambda item: (item.type, item.name))
    for resource in made:
        kept = ", ".join(
            word for word, holds in (("protected", resource.protect), ("retained", resource.retain_on_delete)) if holds
        )
        table.add_row(resource.type, resource.name, resource.id, kept)
    console.print(table)
    components = len(recording.resources) - len(made)
    console.print(f"\n{len(made)} resources and {components} components in {recording.stack}")
