"""Image admission: every container of an environment's pods by digest, from an allowed registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.admissionregistration.v1 import (
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgsDict

from components.base import Component, durable

__all__ = ["ImageAdmission", "ImageAdmissionArgs"]

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


@dataclass(frozen=True, kw_only=True)
class ImageAdmissionArgs:
    """``policy`` is the cluster-scoped name; ``namespaces`` and ``registries`` are the exact ones it holds for."""

    policy: str
    namespaces: Sequence[str]
    registries: Sequence[str]
    labels: Mapping[str, str]
    real_data: bool


class ImageAdmission(Component):
    """A ValidatingAdmissionPolicy over pods and their ephemeral containers, bound to namespaces by name.

    It fails closed. Workloads of any kind end in pods, so a Rollout's image is checked like a Deployment's.
    """

    def __init__(self, name: str, args: ImageAdmissionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        policy = self._create_policy(name, args)
        self._create_binding(name, args, policy)
        self.register_outputs({"policy": args.policy})

    def _create_policy(self, name: str, args: ImageAdmissionArgs) -> ValidatingAdmissionPolicy:
        registries = sorted(set(args.registries))
        return ValidatingAdmissionPolicy(
            name,
            metadata={"name": args.policy, "labels": dict(args.labels)},
            spec={
                "failure_policy": "Fail",
                "match_constraints": {
                    "match_policy": "Equivalent",
                    "namespace_selector": _by_name(args.namespaces),
                    "object_selector": {},
                    "resource_rules": [
                        {
                            "api_groups": [""],
                            "api_versions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["pods", "pods/ephemeralcontainers"],
                            "scope": "Namespaced",
                        }
                    ],
                },
                "variables": [{"name": "images", "expression": _images()}],
                "validations": [
                    {
                        "expression": "variables.images.all(i, i.matches('@sha256:[a-f0-9]{64}$'))",
                        "message": "every image must be named by digest: <image>@sha256:<64 hexadecimal digits>",
                        "reason": "Forbidden",
                    },
                    {
                        "expression": "variables.images.all(i, "
                        + " || ".join(f"i.startsWith('{registry}/')" for registry in registries)
                        + ")",
                        "message": "every image must come from " + " or ".join(registries),
                        "reason": "Forbidden",
                    },
                ],
            },
            opts=durable(self, real_data=args.real_data),
        )

    def _create_binding(self, name: str, args: ImageAdmissionArgs, policy: ValidatingAdmissionPolicy) -> None:
        ValidatingAdmissionPolicyBinding(
            f"{name}-binding",
            metadata={"name": args.policy, "labels": dict(args.labels)},
            spec={
                "policy_name": args.policy,
                "validation_actions": ["Deny"],
                "match_resources": {
                    "match_policy": "Equivalent",
                    "namespace_selector": _by_name(args.namespaces),
                    "object_selector": {},
                },
            },
            opts=durable(self, real_data=args.real_data, depends_on=[policy]),
        )


def _by_name(namespaces: Sequence[str]) -> LabelSelectorArgsDict:
    """The label ``kubernetes.io/metadata.name`` is set by the API server and cannot be changed."""
    return {
        "match_expressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": sorted(namespaces)}]
    }


def _images() -> str:
    """Every image reference of a pod, OCI image volumes included."""
    lists = [
        f"(has(object.spec.{kind}) ? object.spec.{kind}.map(c, has(c.image) ? c.image : '') : [])"
        for kind in _CONTAINERS
    ]
    volumes = (
        "(has(object.spec.volumes) ? object.spec.volumes.filter(v, has(v.image))"
        ".map(v, has(v.image.reference) ? v.image.reference : '') : [])"
    )
    return " + ".join([*lists, volumes])
