"""What a run of the program registered: the one substance behind tests, comparison, audit and the sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Recording", "Resource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One registration, as the engine would receive it.

    ``inputs`` and ``outputs`` are plain JSON values with secrets replaced by ``[secret]``. ``outputs`` holds the inputs
    and, for what only a provider knows (ids, ARNs), deterministic placeholders.
    ``provider`` has the engine's form ``<urn>::<id>``.
    """

    urn: str
    type: str
    name: str
    custom: bool
    id: str = ""
    parent: str | None = None
    provider: str | None = None
    protect: bool = False
    retain_on_delete: bool = False
    aliases: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def is_provider(self) -> bool:
        return self.type.startswith("pulumi:providers:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Every registration of one stack, sorted by URN, and the stack's outputs."""

    project: str
    stack: str
    resources: tuple[Resource, ...]
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def of_type(self, *types: str) -> tuple[Resource, ...]:
        """The resources of the given type tokens, e.g. ``aws:s3/bucket:Bucket``."""
        return tuple(resource for resource in self.resources if resource.type in types)

    def by_urn(self) -> dict[str, Resource]:
        return {resource.urn: resource for resource in self.resources}

    def in_dependency_order(self) -> Iterator[Resource]:
        """Parents, providers and dependencies first; ties by URN."""
        known = self.by_urn()
        done: set[str] = set()

        def visit(resource: Resource) -> Iterator[Resource]:
            if resource.urn in done:
                return
            done.add(resource.urn)
            before = {*resource.dependencies}
            for urns in resource.property_dependencies.values():
                before.update(urns)
            if resource.parent:
                before.add(resource.parent)
            if resource.provider:
                before.add(resource.provider.rpartition("::")[0])
            for urn in sorted(before):
                if urn in known:
                    yield from visit(known[urn])
            yield resource

        for resource in self.resources:
            yield from visit(resource)
