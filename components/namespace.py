"""A namespace and its guardrails: quota, container limits, default-deny network, Pod Security."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import LimitRange, LimitRangeItemArgsDict, Namespace, ResourceQuota
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from components.base import Component, durable
from components.network import dns
from ladder.contract.namespaces import Compute, ContainerDefaults, NamespaceSettings, Quota

__all__ = ["NETWORK_RAILS", "GuardedNamespace", "GuardedNamespaceArgs", "hard", "pod_security"]

NETWORK_RAILS = ("allow-dns", "default-deny")
"""The names of a namespace's own network policies."""

POD_SECURITY_VERSION = "v1.33"
"""The version of the Pod Security Standards that is enforced; a cluster's upgrade does not change it."""


@dataclass(frozen=True, kw_only=True)
class GuardedNamespaceArgs:
    """``namespace`` is the physical name, e.g. ``dev-services``."""

    namespace: str
    settings: NamespaceSettings
    labels: Mapping[str, str]
    real_data: bool


class GuardedNamespace(Component):
    """A namespace that no pod can leave the rails of.

    ``physical_name`` comes from the Namespace object: whatever is put inside by it waits for it.
    """

    physical_name: pulumi.Output[str]

    def __init__(self, name: str, args: GuardedNamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._args = args
        namespace = self._create_namespace(name)
        self.physical_name = namespace.metadata.name
        self._inside = durable(self, real_data=args.real_data)
        self._create_quota(name)
        self._create_limits(name)
        self._create_default_deny(name)
        self._create_dns(name)
        self.register_outputs({"namespace": self.physical_name})

    def _create_namespace(self, name: str) -> Namespace:
        return Namespace(
            name,
            metadata={"name": self._args.namespace, "labels": {**self._args.labels, **pod_security()}},
            opts=durable(self, real_data=self._args.real_data),
        )

    def _metadata(self, object_name: str) -> ObjectMetaArgsDict:
        return {"name": object_name, "namespace": self.physical_name, "labels": dict(self._args.labels)}

    def _create_quota(self, name: str) -> None:
        ResourceQuota(
            f"{name}-quota",
            metadata=self._metadata("quota"),
            spec={"hard": hard(self._args.settings.quota)},
            opts=self._inside,
        )

    def _create_limits(self, name: str) -> None:
        LimitRange(
            f"{name}-limits",
            metadata=self._metadata("limits"),
            spec={"limits": [_container_limits(self._args.settings.containers)]},
            opts=self._inside,
        )

    def _create_default_deny(self, name: str) -> None:
        NetworkPolicy(
            f"{name}-default-deny",
            metadata=self._metadata("default-deny"),
            spec={"pod_selector": {}, "policy_types": ["Ingress", "Egress"]},
            opts=self._inside,
        )

    def _create_dns(self, name: str) -> None:
        NetworkPolicy(
            f"{name}-allow-dns",
            metadata=self._metadata("allow-dns"),
            spec={"pod_selector": {}, "policy_types": ["Egress"], "egress": [dns()]},
            opts=self._inside,
        )


def pod_security() -> dict[str, str]:
    """The labels by which a namespace takes no pod that is not restricted."""
    return {
        f"pod-security.kubernetes.io/{mode}{suffix}": value
        for mode in ("enforce", "audit", "warn")
        for suffix, value in (("", "restricted"), ("-version", POD_SECURITY_VERSION))
    }


def hard(quota: Quota) -> dict[str, str]:
    """A ResourceQuota's ``spec.hard``."""
    return {
        "requests.cpu": quota.requests.cpu,
        "requests.memory": quota.requests.memory,
        "limits.cpu": quota.limits.cpu,
        "limits.memory": quota.limits.memory,
        "pods": str(quota.pods),
        "persistentvolumeclaims": str(quota.persistent_volume_claims),
        "requests.storage": quota.storage,
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }


def _container_limits(containers: ContainerDefaults) -> LimitRangeItemArgsDict:
    def both(compute: Compute) -> dict[str, str]:
        return {"cpu": compute.cpu, "memory": compute.memory}

    return {
        "type": "Container",
        "default_request": both(containers.request),
        "default": both(containers.limit),
        "max": both(containers.max),
    }
