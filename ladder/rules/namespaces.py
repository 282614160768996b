"""Rules over namespaces: what bounds the pods in them, and what they may reach."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from ladder.recording import Recording, Resource
from ladder.rules.reading import LIMITS, NAMESPACE, NETWORK_POLICY, QUOTA, at, items, name, namespace, shown
from ladder.rules.rule import Breach

__all__ = ["guarded"]

_BOUNDED = ("requests.cpu", "requests.memory", "limits.cpu", "limits.memory", "pods")
_COMPUTE = ("cpu", "memory")
_ENFORCE = "pod-security.kubernetes.io/enforce"
_NARROW = 8
"""Bits of a range of addresses that is still one network's."""
_LINK_LOCAL = ipaddress.ip_network("169.254.0.0/16")
_DIRECTIONS = (("Ingress", "ingress", "from"), ("Egress", "egress", "to"))


def guarded(recording: Recording) -> Iterator[Breach]:
    """Every namespace has a quota, container limits, a default-deny of traffic both ways, and restricted pods."""
    for each in recording.of_type(NAMESPACE):
        inside = [resource for resource in recording.resources if namespace(resource) == name(each)]
        level = at(each.inputs, "metadata", "labels", _ENFORCE)
        if level != "restricted":
            path, message = f"metadata.labels.{_ENFORCE}", "lets pods run that are not restricted"
            yield Breach(resource=each, path=path, message=message, found=shown(level), accepted="restricted")
        if not any(_bounds_everything(quota) for quota in inside if quota.type == QUOTA):
            yield _lacks(each, "a ResourceQuota of all its pods", f"hard: {', '.join(_BOUNDED)}")
        if not any(_limits_containers(limits) for limits in inside if limits.type == LIMITS):
            yield _lacks(each, "a LimitRange of containers", "type: Container, with default and max of cpu and memory")
        policies = [policy for policy in inside if policy.type == NETWORK_POLICY]
        for direction, field, peers in _DIRECTIONS:
            if not any(_denies(policy, direction, field) for policy in policies):
                accepted = f"podSelector: {{}}, policyTypes: [{direction}], and no rules"
                yield _lacks(each, f"a NetworkPolicy that denies {direction.lower()} by default", accepted)
            for policy in policies:
                yield from _opens(policy, field, peers)


def _bounds_everything(quota: Resource) -> bool:
    scoped = at(quota.inputs, "spec", "scopes") or at(quota.inputs, "spec", "scopeSelector")
    return not scoped and all(at(quota.inputs, "spec", "hard", each) is not None for each in _BOUNDED)


def _limits_containers(limits: Resource) -> bool:
    return any(
        at(item, "type") == "Container"
        and all(at(item, kind, each) for kind in ("default", "max") for each in _COMPUTE)
        for item in items(at(limits.inputs, "spec", "limits"))
    )


def _denies(policy: Resource, direction: str, field: str) -> bool:
    spec = at(policy.inputs, "spec")
    everything = not at(spec, "podSelector", "matchLabels") and not at(spec, "podSelector", "matchExpressions")
    return everything and direction in items(at(spec, "policyTypes")) and not at(spec, field)


def _opens(policy: Resource, field: str, peers: str) -> Iterator[Breach]:
    """Rules add up: one that names no peer undoes the default."""
    for index, rule in enumerate(items(at(policy.inputs, "spec", field))):
        named = items(at(rule, peers))
        if not named or any(_is_open(peer) for peer in named):
            yield Breach(
                resource=policy,
                path=f"spec.{field}.{index}.{peers}",
                message="opens the namespace to anyone" if field == "ingress" else "lets pods reach anything",
                found=shown(named),
                accepted="peers by selector, or by a range of addresses",
            )


def _is_open(peer: Any) -> bool:
    """Whether a peer is any namespace, or a range so wide that it is anything, or that machines' metadata are in."""
    cidr = at(peer, "ipBlock", "cidr")
    if cidr is not None:
        try:
            network = ipaddress.ip_network(str(cidr))
        except ValueError:
            return True
        return network.prefixlen < _NARROW or (network.version == _LINK_LOCAL.version and network.overlaps(_LINK_LOCAL))
    selector = at(peer, "namespaceSelector")
    return selector is not None and not at(selector, "matchLabels") and not at(selector, "matchExpressions")


def _lacks(each: Resource, what: str, accepted: str) -> Breach:
    return Breach(resource=each, message=f"lacks {what}", found="none", accepted=accepted)
