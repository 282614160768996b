"""What the chart makes of every overlay, by stock Helm, and whether the cluster and the AppProject take it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ladder.check.kubernetes_schemas import KubernetesSchemas
from ladder.errors import InputError, Problem
from ladder.helm import Manifest, Release, find, render_many
from ladder.recording import Recording
from ladder.tree import VALUES, VERSION, Service, Tree
from sandbox.progress import Progress

__all__ = ["GroupKind", "permitted", "release", "rendering_problems"]

GroupKind = tuple[str, str]
"""An API group, empty for Kubernetes' core, and a kind."""

_BY_DIGEST = re.compile("@sha256:[0-9a-f]{64}$")
_CONTAINERS = ("containers", "initContainers")
_PROJECT = "kubernetes:argoproj.io/v1alpha1:AppProject"


def release(tree: Tree, service: Service) -> Release:
    """The service as Argo CD renders it: named like the service, ``version.yaml`` over ``values.yaml``."""
    return Release(service.name, (service.folder / VALUES, service.folder / VERSION), tree.root)


def permitted(recording: Recording, project: str) -> frozenset[GroupKind]:
    """The namespaced kinds that the AppProject of this name lets in; empty where the stack declares none."""
    return frozenset(
        (str(kind["group"]), str(kind["kind"]))
        for resource in recording.of_type(_PROJECT)
        if resource.inputs["metadata"]["name"] == project
        for kind in resource.inputs["spec"]["namespaceResourceWhitelist"]
    )


def rendering_problems(
    tree: Tree,
    schemas: KubernetesSchemas,
    progress: Progress,
    *,
    kinds: Mapping[str, Collection[GroupKind]] | None = None,
    registries: Mapping[str, Collection[str]] | None = None,
    jobs: int | None = None,
) -> list[Problem]:
    """Everything wrong with what the tree renders to.

    ``kinds`` are those that may be delivered, and ``registries`` those that images may come from, by environment; they
    are not looked at where an environment is not in it.
    Raises CheckFailed where Helm cannot be had or cannot work.
    """
    services = list(tree.services())
    rendered = render_many(
        find(progress), tree.chart, [release(tree, service) for service in services], progress, jobs=jobs
    )
    check = _Check(schemas, kinds or {}, registries or {})
    problems: dict[tuple[str, int, str, str], Problem] = {}
    for service, (_, made) in zip(services, rendered, strict=True):
        for problem in made.problems if isinstance(made, InputError) else check.service(service, made):
            # A template that fails does so for every service: that is one problem.
            problems.setdefault((problem.file, problem.line, problem.path, problem.message), problem)
    return list(problems.values())


@dataclass(frozen=True, slots=True)
class _Check:
    """What objects are held against; ``owners`` are the objects seen, and what each was rendered from."""

    schemas: KubernetesSchemas
    kinds: Mapping[str, Collection[GroupKind]]
    registries: Mapping[str, Collection[str]]
    owners: dict[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str])

    def service(self, service: Service, manifests: Sequence[Manifest]) -> Iterator[Problem]:
        folder = service.folder.as_posix()
        for manifest in manifests:
            refused = tuple(self.schemas.problems(manifest.document, file=folder, source=manifest.source))
            yield from refused or self._delivery(service.environment, folder, manifest)
            yield from self._images(service.environment, folder, manifest)

    def _images(self, environment: str, folder: str, manifest: Manifest) -> Iterator[Problem]:
        """Images that admission would refuse; the chart's own stand in no overlay."""
        allowed = self.registries.get(environment)
        if allowed is None:
            return
        for path, image in _images(manifest.document):
            if not _BY_DIGEST.search(image) or not image.startswith(tuple(f"{each}/" for each in allowed)):
                message = f"is an image that the environment does not admit ({manifest.source})"
                accepted = f"an image by digest, of {' or '.join(allowed)}"
                yield Problem(file=folder, path=path, message=message, found=image, accepted=accepted)

    def _delivery(self, environment: str, folder: str, manifest: Manifest) -> Iterator[Problem]:
        """What Argo CD may still refuse of a sound object."""
        metadata: Mapping[str, Any] = manifest.document["metadata"]
        group, kind = manifest.document["apiVersion"].rpartition("/")[0], manifest.document["kind"]
        what = f"{kind} {metadata['name']} ({manifest.source})"
        allowed = self.kinds.get(environment)
        if allowed is not None and (group, kind) not in allowed:
            message = f"{what} is of a kind that the environment's AppProject does not let in"
            accepted = ", ".join(sorted(kind for _, kind in allowed))
            yield Problem(file=folder, path="kind", message=message, found=kind, accepted=accepted)
        if "namespace" in metadata:
            message, accepted = f"stands in {what}", "no namespace: Argo CD gives each object that of its Application"
            found = metadata["namespace"]
            yield Problem(file=folder, path="metadata.namespace", message=message, found=found, accepted=accepted)
        key = (environment, group, kind, metadata["name"])
        if owner := self.owners.get(key):
            message, accepted = f"{what} is rendered twice", "each object once in an environment"
            yield Problem(
                file=folder, path="metadata.name", message=message, found=f"also by {owner}", accepted=accepted
            )
        self.owners[key] = f"{folder} ({manifest.source})"


def _images(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every container's image, at whatever depth the pod stands, with its path."""
    if not isinstance(value, Mapping):
        return
    for key, item in cast("Mapping[str, Any]", value).items():
        below = f"{path}.{key}" if path else key
        if key in _CONTAINERS and isinstance(item, list):
            for index, container in enumerate(cast("list[Any]", item)):
                if isinstance(container, Mapping):
                    yield f"{below}.{index}.image", str(cast("Mapping[str, Any]", container).get("image", ""))
        else:
            yield from _images(item, below)
