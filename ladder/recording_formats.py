"""A recording as a table, as JSON and back, and in the shape of Pulumi's own deployment."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ladder.errors import CheckFailed
from ladder.recording import Recording, Resource

__all__ = ["as_deployment", "as_json", "as_table", "from_json"]

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
        "custom": resource.custom,
        "id": resource.id,
        "parent": resource.parent,
        "provider": resource.provider,
        "protect": resource.protect,
        "retainOnDelete": resource.retain_on_delete,
        "aliases": list(resource.aliases),
        "dependencies": list(resource.dependencies),
        "propertyDependencies": {name: list(urns) for name, urns in resource.property_dependencies.items()},
        "inputs": dict(resource.inputs),
    }


class _Written(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, alias_generator=to_camel, hide_input_in_errors=True)


class _Resource(_Written):
    urn: Annotated[str, Field(pattern=r"^urn:pulumi:[^:]+::[^:]+::.+::.+$")]
    type: str
    name: str
    custom: bool | None = None
    id: str
    parent: str | None
    provider: str | None
    protect: bool
    retain_on_delete: bool
    aliases: list[str] = []
    dependencies: list[str]
    property_dependencies: dict[str, list[str]]
    inputs: dict[str, Any]


class _Recording(_Written):
    project: str
    stack: str
    resources: list[_Resource]
    outputs: dict[str, Any]


def from_json(document: Any) -> Recording:
    """The recording that :func:`as_json` wrote, but for computed outputs; older ones have no aliases either.

    Raises CheckFailed for anything else.
    """
    try:
        written = _Recording.model_validate(document)
    except (ValidationError, RecursionError) as error:
        raise CheckFailed("what was written is not a recording") from error
    return Recording(
        project=written.project,
        stack=written.stack,
        resources=tuple(_registered(resource) for resource in written.resources),
        outputs=written.outputs,
    )


def _registered(written: _Resource) -> Resource:
    return Resource(
        urn=written.urn,
        type=written.type,
        name=written.name,
        custom=bool(written.id) if written.custom is None else written.custom,
        id=written.id,
        parent=written.parent,
        provider=written.provider,
        protect=written.protect,
        retain_on_delete=written.retain_on_delete,
        aliases=tuple(written.aliases),
        dependencies=tuple(written.dependencies),
        property_dependencies={name: tuple(urns) for name, urns in written.property_dependencies.items()},
        inputs=written.inputs,
        outputs=written.inputs,
    )


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


def as_table(recording: Recording) -> str:
    """Every resource that a provider makes, by type and name. Nothing is cut, however narrow the terminal."""
    made = sorted((item for item in recording.resources if item.custom), key=lambda item: (item.type, item.name))
    rows = [("TYPE", "NAME", "ID", "KEPT"), *((item.type, item.name, item.id, _kept(item)) for item in made)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [" ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]) for row in rows]
    components = len(recording.resources) - len(made)
    summary = f"{len(made)} resources and {components} components in {recording.stack}"
    return "\n".join([*(line.rstrip() for line in lines), "", summary])


def _kept(resource: Resource) -> str:
    words = (("protected", resource.protect), ("retained", resource.retain_on_delete))
    return ", ".join(word for word, holds in words if holds)
