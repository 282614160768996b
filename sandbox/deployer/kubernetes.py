"""Kubernetes objects: owned by a label, compared by a dry run, changed by server-side apply."""
# ruff: noqa: ARG002 -- every kind has the same methods, whether or not it needs each argument

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

from ladder.errors import CheckFailed
from ladder.recording import Resource

from .fields import additions, taken_over
from .kube_api import MANAGER, KubeApi, ResourceType
from .model import Difference, Identity, Live, Rejected, Target
from .retry import wait_until
from .values import differences

__all__ = ["NAMESPACE", "OWNER", "PROTECT", "RETAIN", "Kubernetes"]

NAMESPACE = "/Namespace"
OWNER = "ladder.internal/stack"
PROTECT = "ladder.internal/protect"
RETAIN = "ladder.internal/retain"

# What the server keeps for itself, and what a controller reports.
_SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")
_SECRET_FIELDS = ("data", "stringData")


class Kubernetes:
    """One stack's side of an API server. ``validate`` also dry-runs what would be created."""

    def __init__(self, target: Target, stack: str, *, validate: bool = False) -> None:
        self.api = KubeApi(target)
        self._stack = stack
        self._validate = validate
        self._settle = target.patience.settle
        self._coming: frozenset[str] = frozenset()

    def close(self) -> None:
        self.api.close()

    def handles(self, resource: Resource) -> bool:
        return resource.type.startswith("kubernetes:") and {"apiVersion", "kind", "metadata"} <= resource.inputs.keys()

    def problems(self, resource: Resource) -> list[str]:
        """What makes this object impossible to deploy here, whatever its state."""
        version, kind = resource.inputs["apiVersion"], resource.inputs["kind"]
        type_ = self.api.types.get((version, kind))
        metadata = resource.inputs["metadata"]
        if type_ is None:
            return [f"the cluster serves no {kind} in {version}: its CustomResourceDefinition is not installed"]
        if not metadata.get("name"):
            return ["metadata.name is missing, and this engine makes up no names"]
        if type_.namespaced and not metadata.get("namespace"):
            return ["metadata.namespace is missing"]
        return []

    def identity(self, resource: Resource) -> Identity:
        return identity(resource.inputs)

    def survey(self, resources: Iterable[Resource], pool: Executor) -> list[Live]:
        """Every object that carries any stack's label and was applied by this engine."""
        resources = tuple(resources)
        bodies = [resource.inputs for resource in resources]
        self._coming = frozenset(body["metadata"]["name"] for body in bodies if _kind(body) == NAMESPACE)
        recorded = {_kind(resource.inputs): resource.inputs["apiVersion"] for resource in resources}
        types: dict[str, ResourceType] = {}
        for (version, kind), type_ in self.api.types.items():
            key = f"{type_.group}/{kind}"
            if {"list", "delete"} <= type_.verbs and (key not in types or recorded.get(key) == version):
                types[key] = type_
        found = self.api.list_labelled(list(types.values()), OWNER, pool)
        lives = [_live(item) for item in found if _applied_here(item)]
        dying = {live.name for live in lives if live.deleting and live.identity[0] == NAMESPACE}
        return [replace(live, deleting=live.deleting or live.namespace in dying) for live in lives]

    def find(self, resource: Resource) -> Live | None:
        """An object that exists without the label.

        Raises CheckFailed if it is somebody else's, or if its namespace neither exists nor is recorded.
        """
        type_, namespace, name = self._place(resource.inputs)
        item = self.api.get(type_, namespace, name)
        if item is None:
            if namespace and namespace not in self._coming and not self._has_namespace(namespace):
                raise CheckFailed(f"the namespace {namespace} neither exists nor is recorded")
            return None
        live = _live(item)
        if live.stack and live.stack != self._stack:
            raise CheckFailed(f"{live.name} belongs to stack {live.stack}")
        if not _applied_here(item):
            raise CheckFailed(
                f"{live.name} exists and was not made by this engine; remove it, or rename one of the two"
            )
        return live

    def _has_namespace(self, name: str) -> bool:
        return self.api.get(self.api.types["v1", "Namespace"], "", name) is not None

    def compare(self, resource: Resource, live: Live | None) -> tuple[Difference, ...]:
        """What applying would change, by the server's own word; nothing for what does not exist."""
        if live is None or live.deleting:
            if self._validate:
                self._try_creation(resource)
            return ()
        after = self.api.apply(*self._place(resource.inputs), self._body(resource), dry=True)
        found = (*differences(dict(live.properties), _comparable(after)), *live.additions)
        return tuple(_masked(resource, one) for one in found)

    def _try_creation(self, resource: Resource) -> None:
        try:
            self.api.apply(*self._place(resource.inputs), self._body(resource), dry=True)
        except Rejected as error:
            # The namespace is yet to be made, or is on its way out: the server cannot judge what goes into it.
            if error.code != "404" and "being terminated" not in str(error):
                raise

    def apply(self, resource: Resource, live: Live | None) -> Live:
        if live is not None and live.deleting:
            self.wait_gone([live])
        elif live is not None and live.additions:
            self._take_over(live)
        return _live(self.api.apply(*self._place(resource.inputs), self._body(resource), dry=False))

    def _take_over(self, live: Live) -> None:
        type_, namespace, name = self._place(live.properties)
        item = self.api.get(type_, namespace, name)
        if item is not None:
            self.api.set_managed_fields(type_, namespace, name, taken_over(item, MANAGER))

    def settle(self, lives: Iterable[Live]) -> None:
        """Wait as the real provider does: namespaces active, quotas counted."""
        for live in lives:
            if not _settled(live.properties, live.status):
                wait_until(
                    lambda live=live: self._settled_now(live),
                    seconds=self._settle,
                    what=lambda live=live: f"{live.identity[0].lstrip('/')} {live.name} is not ready",
                )

    def _settled_now(self, live: Live) -> bool:
        item = self.api.get(*self._place(live.properties))
        return item is not None and _settled(item, item.get("status") or {})

    def delete(self, live: Live, parts: Iterable[Live], inputs: Mapping[str, Any]) -> None:
        self.api.delete(*self._place(live.properties), live.id)

    def wait_gone(self, lives: Iterable[Live]) -> None:
        """Wait until each of these very objects is gone. Raises CheckFailed naming what holds one back."""
        for live in lives:
            wait_until(
                lambda live=live: self._gone(live), seconds=self._settle, what=lambda live=live: self._held_back(live)
            )

    def _gone(self, live: Live) -> bool:
        item = self.api.get(*self._place(live.properties))
        return item is None or item["metadata"]["uid"] != live.id

    def _held_back(self, live: Live) -> str:
        item = self.api.get(*self._place(live.properties)) or {}
        finalizers = item.get("metadata", {}).get("finalizers", []) + item.get("spec", {}).get("finalizers", [])
        reasons = [
            condition["message"]
            for condition in item.get("status", {}).get("conditions", [])
            if condition.get("status") == "True" and condition.get("message")
        ]
        held = f"; finalizers: {', '.join(finalizers)}" if finalizers else ""
        return f"{live.name} is still being deleted{held}" + "".join(f"; {reason}" for reason in reasons)

    def _place(self, body: Mapping[str, Any]) -> tuple[ResourceType, str, str]:
        type_ = self.api.types[body["apiVersion"], body["kind"]]
        metadata = body["metadata"]
        return type_, metadata["namespace"] if type_.namespaced else "", metadata["name"]

    def _body(self, resource: Resource) -> dict[str, Any]:
        body = copy.deepcopy({key: value for key, value in resource.inputs.items() if value is not None})
        metadata = body["metadata"]
        metadata["labels"] = {**(metadata.get("labels") or {}), OWNER: self._stack}
        marks = {PROTECT: resource.protect, RETAIN: resource.retain_on_delete}
        kept = {mark: "true" for mark, wanted in marks.items() if wanted}
        if kept:
            metadata["annotations"] = {**(metadata.get("annotations") or {}), **kept}
        return body


def identity(body: Mapping[str, Any]) -> Identity:
    metadata = body["metadata"]
    namespace = metadata.get("namespace")
    return _kind(body), f"{namespace}/{metadata['name']}" if namespace else metadata["name"]


def _kind(body: Mapping[str, Any]) -> str:
    return f"{body['apiVersion'].rpartition('/')[0]}/{body['kind']}"


def _live(item: Mapping[str, Any]) -> Live:
    metadata = item["metadata"]
    labels: Mapping[str, str] = metadata.get("labels") or {}
    annotations: Mapping[str, str] = metadata.get("annotations") or {}
    version: str = item["apiVersion"]
    return Live(
        type=f"kubernetes:{version if '/' in version else f'core/{version}'}:{item['kind']}",
        identity=identity(item),
        id=metadata["uid"],
        properties=_comparable(item),
        status=item.get("status") or {},
        namespace=metadata.get("namespace", ""),
        stack=labels.get(OWNER, ""),
        protected=annotations.get(PROTECT) == "true",
        retained=annotations.get(RETAIN) == "true",
        deleting="deletionTimestamp" in metadata,
        additions=additions(item, MANAGER),
    )


def _settled(body: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    match body["apiVersion"], body["kind"]:
        case "v1", "Namespace":
            return status.get("phase") == "Active"
        case "v1", "ResourceQuota":
            return (status.get("hard") or {}).keys() == (body["spec"].get("hard") or {}).keys()
        case _:
            return True


def _applied_here(item: Mapping[str, Any]) -> bool:
    """Whether this engine applied it: controllers copy labels to objects of their own (a Service's to its slices)."""
    return any(entry.get("manager") == MANAGER for entry in item["metadata"].get("managedFields") or ())


def _comparable(item: Mapping[str, Any]) -> dict[str, Any]:
    body = {key: value for key, value in item.items() if key != "status"}
    body["metadata"] = {key: value for key, value in body["metadata"].items() if key not in _SERVERS_OWN}
    return body


def _masked(resource: Resource, difference: Difference) -> Difference:
    if resource.inputs["kind"] == "Secret" and difference.path.startswith(_SECRET_FIELDS):
        return Difference(difference.path, "[secret]", "[secret]")
    return difference
