"""Whether what an environment's overlays may come to fits the quota and the limits that its recording gives.

What is counted is the most there can be: every service at its largest, while all of them are rolled out. A preview's
quota is not declared by a stack but by Argo CD, of the settings' room for its tier.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ladder.check.findings import Finding, of_problem
from ladder.check.stacks import Environment
from ladder.contract.namespaces import Quota
from ladder.contract.overlay import Overlay, Resources, Seed
from ladder.contract.overlay_rules import brought_stores
from ladder.contract.previews import Previews
from ladder.contract.stack import TierLevel
from ladder.contract.types import quantity
from ladder.contract.violations import Path, Violation
from ladder.strict_yaml import dotted
from ladder.tree import Service, Tree

__all__ = ["Demand", "capacity", "demand"]

Demand = Mapping[str, Fraction]
"""By the names that a ResourceQuota has: cores, bytes and items."""

_QUOTA: Mapping[str, Path] = {
    "requests.cpu": ("requests", "cpu"),
    "requests.memory": ("requests", "memory"),
    "limits.cpu": ("limits", "cpu"),
    "limits.memory": ("limits", "memory"),
    "pods": ("pods",),
    "persistentvolumeclaims": ("persistentVolumeClaims",),
    "requests.storage": ("storage",),
}
"""Where ``namespaces.services.quota`` of the settings says each."""

_HEAVIEST = 3


def demand(service: str, overlay: Overlay) -> Demand:
    """The most that a service can come to: its pods and the surge, the stores it brings, and what fills them."""
    scale = overlay.scale
    total = dict.fromkeys(_QUOTA, Fraction(0))
    _add(total, scale.resources, scale.replicas.max + scale.surge)
    if isinstance(overlay.seed, Seed):
        _add(total, overlay.seed.resources, 1)
    for name in brought_stores(service, overlay):
        store = scale.stores[name]
        _add(total, store.resources, 1)
        if overlay.tier is TierLevel.STANDARD:
            total["persistentvolumeclaims"] += 1
            total["requests.storage"] += quantity(store.storage)
    return total


@dataclass(frozen=True, slots=True)
class _Room:
    """What a namespace has: by a ResourceQuota's names, and by kind what one container may have.

    ``path`` is where the settings say so.
    """

    path: Path
    namespace: str
    quota: Mapping[str, str]
    largest: Mapping[str, str]
    tier: TierLevel | None = None


def capacity(tree: Tree, environment: Environment) -> Iterator[Finding]:
    """What does not fit the quota of the services' namespace, or the limits of one container in it."""
    for room in _rooms(environment):
        yield from _fitting(tree, environment, room)


def _rooms(environment: Environment) -> Iterator[_Room]:
    granted, previews = environment.stack.granted, environment.stack.settings.previews
    if not environment.previews:
        yield _Room(("namespaces", "services"), granted.namespace, granted.quota, granted.largest)
    elif isinstance(previews, Previews):
        for tier, room in previews.tiers.items():
            quota = {name: _said(room.quota, path) for name, path in _QUOTA.items()}
            largest = room.containers.max.model_dump()
            yield _Room(("previews", "tiers", tier), f"a preview of tier {tier}", quota, largest, TierLevel(tier))


def _said(quota: Quota, path: Path) -> str:
    told: Any = quota.model_dump(by_alias=True)
    for key in path:
        told = told[key]
    return str(told)


def _fitting(tree: Tree, environment: Environment, room: _Room) -> Iterator[Finding]:
    demands = {
        name: demand(
            name, service.overlay if room.tier is None else service.overlay.model_copy(update={"tier": room.tier})
        )
        for name, service in environment.services.items()
    }
    for resource, path in _QUOTA.items():
        hard = room.quota.get(resource)
        asked = {name: each[resource] for name, each in demands.items()}
        if hard is not None and sum(asked.values()) > quantity(hard):
            yield _over(environment, resource, (*room.path, "quota", *path), hard, asked)
    for service in environment.services.values():
        yield from _too_large(tree, service, environment, room)


def _add(total: dict[str, Fraction], resources: Resources, pods: int) -> None:
    total["pods"] += pods
    total["requests.cpu"] += pods * quantity(resources.requests.cpu)
    total["requests.memory"] += pods * quantity(resources.requests.memory)
    total["limits.cpu"] += pods * quantity(resources.limits.cpu)
    total["limits.memory"] += pods * quantity(resources.limits.memory)


def _over(environment: Environment, resource: str, path: Path, hard: str, asked: Mapping[str, Fraction]) -> Finding:
    total = sum(asked.values(), Fraction(0))
    heaviest = sorted(asked, key=lambda name: (-asked[name], name))[:_HEAVIEST]
    shares = ", ".join(f"{name} {shown(resource, asked[name])}" for name in heaviest)
    rest = f", {len(asked) - len(heaviest)} others" if len(asked) > len(heaviest) else ""
    over = shown(resource, total - quantity(hard))
    violation = Violation(
        path=path,
        message=f"is less than the services come to, at their largest and all rolled out at once: {over} too little",
        found=f"{hard}; {shown(resource, total)} asked for: {shares}{rest}",
        accepted=f"{shown(resource, total)} or more",
    )
    mend = f"or lower scale of {', '.join(heaviest)} in {environment.name} by {over} together"
    return environment.stack.finding("capacity/quota", violation, mend)


def _too_large(tree: Tree, service: Service, environment: Environment, room: _Room) -> Iterator[Finding]:
    largest, scale = room.largest, service.overlay.scale
    containers: list[tuple[Path, Resources]] = [(("scale", "resources"), scale.resources)]
    containers += [(("scale", "stores", name, "resources"), store.resources) for name, store in scale.stores.items()]
    if isinstance(service.overlay.seed, Seed):
        containers.append((("seed", "resources"), service.overlay.seed.resources))
    for path, resources in containers:
        for kind in ("cpu", "memory"):
            limit: str = getattr(resources.limits, kind)
            if kind in largest and quantity(limit) > quantity(largest[kind]):
                violation = Violation(
                    path=(*path, "limits", kind),
                    message=f"is more than one container in {room.namespace} may have",
                    found=limit,
                    accepted=f"at most {largest[kind]}",
                )
                mend = f"or raise {dotted(room.path)}.containers.max.{kind} in {environment.stack.file}"
                yield of_problem("capacity/container", tree.problem(service, violation), mend)


def shown(resource: str, amount: Fraction) -> str:
    """An amount as a quantity, rounded up to what is usual: millicores, mebibytes, items."""
    if resource.endswith("cpu"):
        return str(amount) if amount.denominator == 1 else f"{math.ceil(amount * 1000)}m"
    if resource.endswith(("memory", "storage")):
        mebibytes = math.ceil(amount / 2**20)
        return f"{mebibytes // 1024}Gi" if mebibytes % 1024 == 0 else f"{mebibytes}Mi"
    return str(math.ceil(amount))
