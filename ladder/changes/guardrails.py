"""Where Kubernetes' guards and Argo CD's bounds are loosened: one function for each kind, with its rule.

Each takes the object before and after, None where it is not there, and yields whether it is certain, what happens, and
the values it happens to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ladder.changes.fields import at, items

__all__ = [
    "Found",
    "Inputs",
    "admission",
    "application_set",
    "binding",
    "namespace",
    "network",
    "project",
    "role",
    "role_binding",
]

Found = Iterator[tuple[bool, str, tuple[str, ...]]]
"""Whether it is certain, what happens, and the values it happens to."""

Inputs = Mapping[str, Any] | None
"""None where the resource is not there."""

_LEVELS = ("privileged", "baseline", "restricted")
_ENFORCE = "pod-security.kubernetes.io/enforce"
_PERMITS = (
    "sourceRepos",
    "sourceNamespaces",
    "destinations",
    "namespaceResourceWhitelist",
    "clusterResourceWhitelist",
    "destinationServiceAccounts",
    "roles",
)


def admission(before: Inputs, after: Inputs) -> Found:
    """A policy goes, fails open, loses a validation or speaks of less.

    A validation that is written otherwise, and a condition or constraint that is another, may loosen.
    """
    if after is None:
        yield True, "what it refuses is no longer refused", ()
        return
    if before is None:
        return
    if at(before, "spec", "failurePolicy") != at(after, "spec", "failurePolicy") == "Ignore":
        yield True, "where it cannot be evaluated, it lets everything pass", ()
    old, new = ([at(each, "expression") for each in items(end, "spec", "validations")] for end in (before, after))
    lost, won = [each for each in old if each not in new], [each for each in new if each not in old]
    for expression in lost:
        what = "a validation is written otherwise" if won else "a validation is gone"
        yield not won, what, (str(expression),)
    wider = [
        name
        for name in ("matchConditions", "matchConstraints", "variables")
        if at(before, "spec", name) != at(after, "spec", name)
    ]
    if wider:
        yield False, "it speaks of other requests, or looks at other values", tuple(wider)


def binding(before: Inputs, after: Inputs) -> Found:
    """A binding goes or no longer denies; one that matches other resources or names another policy may loosen."""
    if after is None:
        yield True, "the policy is no longer in force", ()
        return
    if before is None:
        return
    old, new = (items(end, "spec", "validationActions") for end in (before, after))
    if "Deny" in old and "Deny" not in new:
        yield True, "it no longer denies", (", ".join(map(str, new)),)
    if any(
        at(before, "spec", name) != at(after, "spec", name) for name in ("matchResources", "policyName", "paramRef")
    ):
        yield False, "it binds another policy, or other resources", ()


def network(before: Inputs, after: Inputs) -> Found:
    """A policy that only closes goes; one that lets something through comes; a rule is added.

    Policies add up: what one lets through is let through. Where a policy with rules goes, where rules are written
    otherwise or other pods are chosen, it may.
    """
    if after is None:
        closes = not any(_rules(before, direction) for direction in ("ingress", "egress"))
        yield closes, "pods that it chose are open where no other policy chooses them", ()
        return
    for direction in ("ingress", "egress"):
        old, new = (_rules(end, direction) for end in (before, after))
        added = new - old
        if added:
            yield not old - new, f"a rule for {direction} lets more through", tuple(sorted(added))
    if before is not None and any(
        at(before, "spec", name) != at(after, "spec", name) for name in ("podSelector", "policyTypes")
    ):
        yield False, "it chooses other pods, or closes another direction", ()


def _rules(inputs: Inputs, direction: str) -> set[str]:
    return {json.dumps(rule, sort_keys=True) for rule in items(inputs, "spec", direction)}


def namespace(before: Inputs, after: Inputs) -> Found:
    """The Pod Security level that is enforced falls."""
    if before is None or after is None:
        return
    old, new = (at(end, "metadata", "labels", _ENFORCE) or "privileged" for end in (before, after))
    ranks = {level: rank for rank, level in enumerate(_LEVELS)}
    if old != new and ranks.get(new, -1) < ranks.get(old, -1):
        yield True, "a lower Pod Security level is enforced", (f"{old} → {new}",)


def role(before: Inputs, after: Inputs) -> Found:
    """A verb on a resource comes that no rule had; ``*`` covers every value."""
    old = _permissions(before)
    added = {one for one in _permissions(after) if not any(_permits(other, one) for other in old)}
    if added:
        yield True, "RBAC allows more", tuple(_verb(permission) for permission in sorted(added))


_Permission = tuple[str, str, str, str]


def _permissions(inputs: Inputs) -> set[_Permission]:
    return {
        (str(group), str(resource), str(name), str(verb))
        for rule in items(inputs, "rules")
        for group in items(rule, "apiGroups") or [""]
        for resource in items(rule, "resources") or items(rule, "nonResourceURLs")
        for name in items(rule, "resourceNames") or [""]
        for verb in items(rule, "verbs")
    }


def _verb(permission: _Permission) -> str:
    group, resource, name, verb = permission
    return f"{verb} {resource}{f'.{group}' if group else ''} {name}".rstrip()


def _permits(one: _Permission, other: _Permission) -> bool:
    """No name stands for every name."""
    group, resource, name, verb = (mine in {theirs, "*"} for mine, theirs in zip(one, other, strict=True))
    return group and resource and verb and (name or not one[2])


def role_binding(before: Inputs, after: Inputs) -> Found:
    """A subject is added; another role is bound, which may."""
    old, new = (_entries(end, "subjects") for end in (before, after))
    if new - old:
        yield True, "others get the role", tuple(sorted(new - old))
    if before is not None and after is not None and before.get("roleRef") != after.get("roleRef"):
        yield False, "it binds another role", ()


def project(before: Inputs, after: Inputs) -> Found:
    """A repository, destination or kind is added; a window that is another may."""
    if before is None:
        yield True, "another project may deliver", ()
        return
    if after is None:
        return
    for name in _PERMITS:
        added = _entries(after, "spec", name) - _entries(before, "spec", name)
        if added:
            yield True, f"delivery is allowed more {name}", tuple(sorted(added))
    for name in ("syncWindows", "namespaceResourceBlacklist", "clusterResourceBlacklist", "signatureKeys"):
        if _entries(before, "spec", name) != _entries(after, "spec", name):
            yield False, "what holds delivery back is another", (name,)


def application_set(before: Inputs, after: Inputs) -> Found:
    """Delivery begins to act by itself."""
    if before is None or after is None:
        return
    old, new = (at(end, "spec", "template", "spec", "syncPolicy", "automated") for end in (before, after))
    if old is None and new is not None:
        yield True, "delivery acts by itself", ()


def _entries(inputs: Inputs, *path: str) -> set[str]:
    return {item if isinstance(item, str) else json.dumps(item, sort_keys=True) for item in items(inputs, *path)}
