"""What an environment admits: images by digest from allowed registries, and no way around its own rails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.admissionregistration.v1 import (
    MatchConditionArgsDict,
    NamedRuleWithOperationsArgsDict,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicySpecArgsDict,
    ValidationArgsDict,
    VariableArgsDict,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgsDict, ObjectMetaArgsDict

from components.base import Component, durable

__all__ = ["DeliveryRails", "DeliveryRailsArgs", "ImageAdmission", "ImageAdmissionArgs"]

_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


@dataclass(frozen=True, kw_only=True)
class ImageAdmissionArgs:
    """``policy`` is the cluster-scoped name; ``registries`` are the exact ones images may come from.

    It holds for the ``namespaces`` named or, where there are none, for those whose name matches ``namespace_pattern``
    (RE2, anchored): namespaces that do not exist yet.
    """

    policy: str
    namespaces: Sequence[str] = ()
    namespace_pattern: str = ""
    registries: Sequence[str]
    labels: Mapping[str, str]
    real_data: bool


class ImageAdmission(Component):
    """A ValidatingAdmissionPolicy over pods and their ephemeral containers, bound to namespaces by name.

    It fails closed. Workloads of any kind end in pods, so a Rollout's image is checked like a Deployment's.
    """

    def __init__(self, name: str, args: ImageAdmissionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        registries = sorted(set(args.registries))
        _create_bound_policy(
            self,
            name,
            _PolicyArgs(
                policy=args.policy,
                namespaces=args.namespaces,
                namespace_pattern=args.namespace_pattern,
                labels=args.labels,
                real_data=args.real_data,
                rules=[_rule("", ["pods", "pods/ephemeralcontainers"], ["CREATE", "UPDATE"])],
                variables=[{"name": "images", "expression": _images()}],
                validations=[
                    _refusal(
                        "variables.images.all(i, i.matches('@sha256:[a-f0-9]{64}$'))",
                        "every image must be named by digest: <image>@sha256:<64 hexadecimal digits>",
                    ),
                    _refusal(
                        f"variables.images.all(i, {_from_any(registries)})",
                        "every image must come from " + " or ".join(registries),
                    ),
                ],
            ),
        )
        self.register_outputs({"policy": args.policy})


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


def _from_any(registries: Sequence[str]) -> str:
    return " || ".join(f"i.startsWith('{registry}/')" for registry in registries)


@dataclass(frozen=True, kw_only=True)
class DeliveryRailsArgs:
    """``reserved`` are ServiceAccounts no pod may run as; ``deliverers`` are users, ``rails`` what they may not touch.

    A user is ``system:serviceaccount:<namespace>:<name>``; ``rails`` are names of NetworkPolicies and ServiceAccounts.
    """

    policy: str
    namespaces: Sequence[str]
    reserved: Sequence[str]
    deliverers: Sequence[str]
    rails: Sequence[str]
    labels: Mapping[str, str]
    real_data: bool


class DeliveryRails(Component):
    """What RBAC cannot say: delivery writes NetworkPolicies and ServiceAccounts, but not the environment's own.

    And no pod runs as the ServiceAccount that reads secrets, or the one that delivers.
    """

    def __init__(self, name: str, args: DeliveryRailsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        account = "has(object.spec.serviceAccountName) ? object.spec.serviceAccountName : ''"
        identities = _PolicyArgs(
            policy=f"{args.policy}-identities",
            namespaces=args.namespaces,
            labels=args.labels,
            real_data=args.real_data,
            rules=[_rule("", ["pods"], ["CREATE", "UPDATE"])],
            variables=[{"name": "account", "expression": account}],
            validations=[
                _refusal(
                    f"!(variables.account in {_strings(args.reserved)})",
                    "no pod may run as " + " or ".join(sorted(args.reserved)),
                )
            ],
        )
        rails = _PolicyArgs(
            policy=f"{args.policy}-rails",
            namespaces=args.namespaces,
            labels=args.labels,
            real_data=args.real_data,
            rules=[
                _rule("", ["serviceaccounts"], ["UPDATE", "DELETE"]),
                _rule("networking.k8s.io", ["networkpolicies"], ["UPDATE", "DELETE"]),
            ],
            conditions=[
                {"name": "delivery", "expression": f"request.userInfo.username in {_strings(args.deliverers)}"}
            ],
            validations=[
                _refusal(
                    f"!(oldObject.metadata.name in {_strings(args.rails)})",
                    "delivery may not change what guards the environment",
                )
            ],
        )
        _create_bound_policy(self, f"{name}-identities", identities)
        _create_bound_policy(self, f"{name}-guards", rails)
        self.register_outputs({"policy": args.policy})


@dataclass(frozen=True, kw_only=True)
class _PolicyArgs:
    policy: str
    labels: Mapping[str, str]
    real_data: bool
    rules: Sequence[NamedRuleWithOperationsArgsDict]
    validations: Sequence[ValidationArgsDict]
    namespaces: Sequence[str] = ()
    namespace_pattern: str = ""
    variables: Sequence[VariableArgsDict] = ()
    conditions: Sequence[MatchConditionArgsDict] = ()


def _create_bound_policy(parent: pulumi.Resource, name: str, args: _PolicyArgs) -> None:
    """A policy that fails closed, and its binding, for the same namespaces."""
    conditions = list(args.conditions)
    if args.namespace_pattern:
        expression = f"request.namespace.matches('{args.namespace_pattern}')"
        conditions.append({"name": "namespace", "expression": expression})
    selector: LabelSelectorArgsDict = _by_name(args.namespaces) if args.namespaces else {}
    metadata: ObjectMetaArgsDict = {"name": args.policy, "labels": dict(args.labels)}
    spec: ValidatingAdmissionPolicySpecArgsDict = {
        "failure_policy": "Fail",
        "match_constraints": {
            "match_policy": "Equivalent",
            "namespace_selector": selector,
            "object_selector": {},
            "resource_rules": list(args.rules),
        },
        "validations": list(args.validations),
    }
    if conditions:
        spec["match_conditions"] = conditions
    if args.variables:
        spec["variables"] = list(args.variables)
    opts = durable(parent, real_data=args.real_data)
    policy = ValidatingAdmissionPolicy(name, metadata=metadata, spec=spec, opts=opts)
    ValidatingAdmissionPolicyBinding(
        f"{name}-binding",
        metadata=metadata,
        spec={
            "policy_name": args.policy,
            "validation_actions": ["Deny"],
            "match_resources": {
                "match_policy": "Equivalent",
                "namespace_selector": selector,
                "object_selector": {},
            },
        },
        opts=durable(parent, real_data=args.real_data, depends_on=[policy]),
    )


def _rule(group: str, resources: Sequence[str], operations: Sequence[str]) -> NamedRuleWithOperationsArgsDict:
    return {
        "api_groups": [group],
        "api_versions": ["v1"],
        "operations": list(operations),
        "resources": list(resources),
        "scope": "Namespaced",
    }


def _refusal(expression: str, message: str) -> ValidationArgsDict:
    return {"expression": expression, "message": message, "reason": "Forbidden"}


def _strings(values: Sequence[str]) -> str:
    """A CEL list; every value is checked by the contract and holds no quote."""
    return "[" + ", ".join(f"'{value}'" for value in sorted(values)) + "]"
