"""The rules of :mod:`ladder.rules` as policies of a Pulumi policy pack.

A rule that judges each resource alone runs before the resource is made; the others run over the whole stack, at the end
of a preview and of an update. Rules over all stacks together are not here: the engine sees one. Nor is that real data
is retained: the engine does not tell policies which resources are.

A value that a preview cannot know yet makes its policy advisory for that preview, as the SDK does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi_policy import (
    Policy,
    PolicyProviderResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from ladder.check.findings import Finding
from ladder.recording import Recording, Resource
from ladder.rules import RULES, StackRule, within

__all__ = ["POLICIES"]

_UNTOLD = frozenset({"rules/real-data-retained"})
"""Rules over what the engine does not tell policies."""


def _policy(rule: StackRule) -> Policy:
    name = rule.id.removeprefix("rules/")
    description = f"{rule.title}. It protects from {rule.protects}."

    def of_resource(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = _resource(args.urn, args.resource_type, args.name, args.props, args.opts.protect, args.provider)
        for finding in within(_recording([resource]), [rule]):
            report(_message(finding), finding.where)

    def of_stack(args: StackValidationArgs, report: ReportViolation) -> None:
        resources: dict[str, Resource] = {}
        for each in args.resources:
            known = _resource(each.urn, each.resource_type, each.name, each.props, each.opts.protect, each.provider)
            resources[each.urn] = known
        for each in args.resources:
            if each.provider is not None:
                resources[each.provider.urn] = _provider(each.provider)
        for finding in within(_recording(list(resources.values())), [rule]):
            report(_message(finding), finding.where)

    if rule.alone:
        return ResourceValidationPolicy(name=name, description=description, validate=of_resource)
    return StackValidationPolicy(name=name, description=description, validate=of_stack)


def _recording(resources: list[Resource]) -> Recording:
    return Recording(project="", stack="", resources=tuple(sorted(resources, key=lambda resource: resource.urn)))


def _resource(
    urn: str, type_: str, name: str, props: Mapping[str, Any], protect: bool, provider: PolicyProviderResource | None
) -> Resource:
    """A resource as rules read it. What the provider added stands among its properties, and is left alone."""
    return Resource(
        urn=urn,
        type=type_,
        name=name,
        custom=provider is not None,
        provider=f"{provider.urn}::" if provider is not None else None,
        protect=protect,
        inputs=props,
        outputs=props,
    )


def _provider(provider: PolicyProviderResource) -> Resource:
    """A provider as it was given, also where an update of some resources only leaves it out of the stack's."""
    return Resource(
        urn=provider.urn, type=provider.resource_type, name=provider.name, custom=True, inputs=provider.props
    )


def _message(finding: Finding) -> str:
    """What the engine shows under the policy's description; it names the resource itself."""
    lines = [f"{finding.path}: {finding.message}" if finding.path else finding.message]
    told = (("found", finding.found), ("accepted", finding.accepted), ("mend", finding.mend))
    return "\n".join(lines + [f"{name}: {value}" for name, value in told if value])


POLICIES = [_policy(rule) for rule in RULES if isinstance(rule, StackRule) and rule.id not in _UNTOLD]
"""One policy for each rule over one stack, by the rule's name."""
