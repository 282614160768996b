"""Rules over what Argo CD may deliver, and what it must leave standing."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from ladder.recording import Recording, Resource
from ladder.rules.reading import (
    APP_PROJECT,
    APPLICATION_SET,
    NAMESPACE,
    at,
    holds_real_data,
    items,
    name,
    namespace,
    shown,
)
from ladder.rules.rule import Breach

__all__ = ["exact_project", "kept_applications", "own_destinations"]

_SIGNS = frozenset("*?![{\\")
"""What makes a text of an AppProject a pattern, or its negation."""

_CLUSTERS_OWN = ("default", "kube-node-lease", "kube-public", "kube-system")
_KEPT = ("create-only", "create-update")
_NEVER_DELIVERED = frozenset({"AppProject", "Application", "ApplicationSet", "Role", "RoleBinding", "Secret"})
_BOUNDS = frozenset({"LimitRange", "ResourceQuota"})
"""What a namespace that delivery makes gets from it, and one that the stack declares must not."""


def exact_project(recording: Recording) -> Iterator[Breach]:
    """An AppProject names repositories, clusters and kinds; a namespace may be a prefix, ``pr-*``, never ``*``.

    Among the kinds is none that guards the environment or is its secret.
    """
    for project in recording.of_type(APP_PROJECT):
        for path, value, accepted in _named(project):
            if value is None or _is_pattern(value):
                yield Breach(resource=project, path=path, message="is not named", found=shown(value), accepted=accepted)
        for path, value in _namespaces(project):
            if _is_pattern(value) and not _is_prefix(value):
                message, accepted = "is any namespace", "a name, or a prefix that ends in *"
                yield Breach(resource=project, path=path, message=message, found=shown(value), accepted=accepted)
        yield from _guarding(project)
        if not items(at(project.inputs, "spec", "namespaceResourceWhitelist")):
            path = "spec.namespaceResourceWhitelist"
            message, accepted = "permits every kind by naming none", "the kinds that are delivered"
            yield Breach(resource=project, path=path, message=message, found="none", accepted=accepted)


def _guarding(project: Resource) -> Iterator[Breach]:
    destinations = items(at(project.inputs, "spec", "destinations"))
    declared = not any(_is_pattern(at(item, "namespace")) for item in destinations)
    refused = _NEVER_DELIVERED | _BOUNDS if declared else _NEVER_DELIVERED
    for index, kind in enumerate(items(at(project.inputs, "spec", "namespaceResourceWhitelist"))):
        if at(kind, "kind") in refused:
            yield Breach(
                resource=project,
                path=f"spec.namespaceResourceWhitelist.{index}.kind",
                message="guards the environment, or is its secret, and would be delivered",
                found=shown(at(kind, "kind")),
                accepted="kinds of workloads",
            )


def _named(project: Resource) -> Iterator[tuple[str, Any, str]]:
    """Where a project must name one thing, with what stands there and what is accepted."""
    spec = at(project.inputs, "spec")
    for index, repository in enumerate(items(at(spec, "sourceRepos"))):
        yield f"spec.sourceRepos.{index}", repository, "a repository's whole URL"
    for field in ("destinations", "destinationServiceAccounts"):
        for index, item in enumerate(items(at(spec, field))):
            key = "server" if at(item, "server") is not None else "name"
            yield f"spec.{field}.{index}.{key}", at(item, key), "a cluster's whole URL"
    for field in ("clusterResourceWhitelist", "namespaceResourceWhitelist"):
        for index, kind in enumerate(items(at(spec, field))):
            yield f"spec.{field}.{index}.group", at(kind, "group"), "one API group"
            yield f"spec.{field}.{index}.kind", at(kind, "kind"), "one kind"


def _namespaces(project: Resource) -> Iterator[tuple[str, Any]]:
    """Where a project names namespaces, in which it delivers, or from which Applications may name it."""
    spec = at(project.inputs, "spec")
    for field in ("destinations", "destinationServiceAccounts"):
        for index, item in enumerate(items(at(spec, field))):
            yield f"spec.{field}.{index}.namespace", at(item, "namespace")
    for index, kind in enumerate(items(at(spec, "clusterResourceWhitelist"))):
        yield f"spec.clusterResourceWhitelist.{index}.name", at(kind, "name")
    for index, source in enumerate(items(at(spec, "sourceNamespaces"))):
        yield f"spec.sourceNamespaces.{index}", source


def _is_pattern(value: Any) -> bool:
    return not isinstance(value, str) or bool(_SIGNS & set(value))


def _is_prefix(value: Any) -> bool:
    return isinstance(value, str) and value.endswith("*") and bool(value[:-1]) and not _is_pattern(value[:-1])


def own_destinations(recording: Recording) -> Iterator[Breach]:
    """A project delivers to namespaces of its stack, or to a prefix that none of anyone else's has."""
    declared = {name(each) for each in recording.of_type(NAMESPACE)}
    for project in recording.of_type(APP_PROJECT):
        guarded = {*declared, *_CLUSTERS_OWN, namespace(project)}
        for index, item in enumerate(items(at(project.inputs, "spec", "destinations"))):
            value = at(item, "namespace")
            path = f"spec.destinations.{index}.namespace"
            if not _is_pattern(value):
                if value not in declared:
                    message, accepted = "is no namespace that this stack declares", ", ".join(sorted(declared))
                    yield Breach(resource=project, path=path, message=message, found=value, accepted=accepted)
            elif reached := sorted(each for each in guarded if fnmatchcase(each, str(value))):
                message, accepted = f"also reaches {', '.join(reached)}", "a prefix of the namespaces it is for"
                yield Breach(resource=project, path=path, message=message, found=shown(value), accepted=accepted)


def kept_applications(recording: Recording) -> Iterator[Breach]:
    """Where data is real, workloads outlive their ApplicationSet and their folder, and nothing syncs by itself."""
    for each in recording.of_type(APPLICATION_SET) if holds_real_data(recording) else ():
        spec = at(each.inputs, "spec")
        template = at(spec, "template")
        wanted: tuple[tuple[str, Any, Any], ...] = (
            (
                "spec.syncPolicy.preserveResourcesOnDeletion",
                at(spec, "syncPolicy", "preserveResourcesOnDeletion"),
                True,
            ),
            ("spec.template.metadata.finalizers", items(at(template, "metadata", "finalizers")), []),
            ("spec.template.spec.syncPolicy.automated", at(template, "spec", "syncPolicy", "automated"), None),
            ("spec.templatePatch", at(spec, "templatePatch"), None),
        )
        for path, value, accepted in wanted:
            if value != accepted:
                message = "lets Applications of real data be deleted, or synced by themselves"
                yield Breach(resource=each, path=path, message=message, found=shown(value), accepted=shown(accepted))
        action = at(spec, "syncPolicy", "applicationsSync")
        if action not in _KEPT:
            path, message = "spec.syncPolicy.applicationsSync", "lets Applications of real data be deleted"
            accepted = " or ".join(_KEPT)
            yield Breach(resource=each, path=path, message=message, found=shown(action), accepted=accepted)
        if not each.protect:
            message, accepted = "is not protected, and deleting it collects its Applications", "protect=True"
            yield Breach(resource=each, path="protect", message=message, found="false", accepted=accepted)
