"""A ValidatingAdmissionPolicy that fails closed, and its binding that denies, for namespaces by name."""

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

from components.base import durable

__all__ = ["CONTAINERS", "PolicyArgs", "create_bound_policy", "everything", "refusal", "rule", "strings"]

CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
"""Where a pod has containers."""


@dataclass(frozen=True, kw_only=True)
class PolicyArgs:
    policy: str
    labels: Mapping[str, str]
    real_data: bool
    rules: Sequence[NamedRuleWithOperationsArgsDict]
    validations: Sequence[ValidationArgsDict]
    namespaces: Sequence[str] = ()
    namespace_pattern: str = ""
    variables: Sequence[VariableArgsDict] = ()
    conditions: Sequence[MatchConditionArgsDict] = ()


def create_bound_policy(parent: pulumi.Resource, name: str, args: PolicyArgs) -> None:
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


def rule(group: str, resources: Sequence[str], operations: Sequence[str]) -> NamedRuleWithOperationsArgsDict:
    return {
        "api_groups": [group],
        "api_versions": ["v1"],
        "operations": list(operations),
        "resources": list(resources),
        "scope": "Namespaced",
    }


def everything() -> NamedRuleWithOperationsArgsDict:
    return {
        "api_groups": ["*"],
        "api_versions": ["*"],
        "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["*/*"],
        "scope": "*",
    }


def refusal(expression: str, message: str) -> ValidationArgsDict:
    return {"expression": expression, "message": message, "reason": "Forbidden"}


def strings(values: Sequence[str]) -> str:
    """A CEL list; every value is checked by the contract and holds no quote."""
    return "[" + ", ".join(f"'{value}'" for value in sorted(values)) + "]"


def _by_name(namespaces: Sequence[str]) -> LabelSelectorArgsDict:
    """The label ``kubernetes.io/metadata.name`` is set by the API server and cannot be changed."""
    return {
        "match_expressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": sorted(namespaces)}]
    }
