"""What the admission policies of a stack make of a request: their expressions are evaluated.

Semantics: kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ladder.recording import Recording, Resource
from ladder.rules.expressions import evaluate
from ladder.rules.reading import APP_PROJECT, BINDING, NAMESPACE, POLICY, at, items, name

__all__ = [
    "GUARD",
    "NAME_LABEL",
    "Delivered",
    "Request",
    "delivered",
    "in_force",
    "is_refused",
    "refuses",
    "speaks_of",
    "texts",
]

GUARD = "a ValidatingAdmissionPolicy (failurePolicy: Fail) with a binding that denies"
"""What is accepted where a request is not refused that must be."""

Specs = Sequence[Mapping[str, Any]]

NAME_LABEL = "kubernetes.io/metadata.name"
"""The label of a namespace that the API server sets, and nobody can change."""
_TEXTS = re.compile(r"""'([^'\\]*)'|"([^"\\]*)\"""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to the API server for ``object``, which is what it was before as well.

    As there, what is created was nothing before, and what is deleted is nothing after.

    ``resource`` is the plural of its kind, with a subresource as ``pods/ephemeralcontainers``; ``namespace`` is empty
    where it is in none.
    """

    namespace: str
    group: str = ""
    resource: str
    operation: str
    object: Mapping[str, Any]
    username: str = "probe"

    @property
    def named(self) -> str:
        """The object's own name."""
        return str(at(self.object, "metadata", "name") or "")

    def by(self, username: str) -> Request:
        """The same of somebody else."""
        return replace(self, username=username)

    def variables(self) -> dict[str, Any]:
        """What expressions know."""
        resource, _, subresource = self.resource.partition("/")
        request: dict[str, Any] = {
            "name": self.named,
            "namespace": self.namespace,
            "operation": self.operation,
            "resource": {"group": self.group, "version": "v1", "resource": resource},
            "userInfo": {"username": self.username, "groups": []},
        }
        if subresource:
            request["subResource"] = subresource
        after = None if self.operation == "DELETE" else self.object
        before = None if self.operation == "CREATE" else self.object
        return {"object": after, "oldObject": before, "request": request}


@dataclass(frozen=True, slots=True)
class Delivered:
    """A namespace that a project delivers to, and the policies in force there.

    Of a prefix, ``pr-*``, it is ``pr-1``, and ``sibling`` is ``pr-2``; of a name it is empty.
    """

    project: Resource
    path: str
    namespace: str
    sibling: str
    policies: Specs


def delivered(recording: Recording) -> Iterator[Delivered]:
    """Every namespace that a project of the stack delivers to."""
    labels: dict[str, Mapping[str, Any]] = {
        name(each): at(each.inputs, "metadata", "labels") or {} for each in recording.of_type(NAMESPACE)
    }
    for project in recording.of_type(APP_PROJECT):
        for index, item in enumerate(items(at(project.inputs, "spec", "destinations"))):
            named = str(at(item, "namespace"))
            namespace, sibling = named.replace("*", "1"), named.replace("*", "2") if "*" in named else ""
            known = {**labels.get(namespace, {}), NAME_LABEL: namespace}
            path = f"spec.destinations.{index}.namespace"
            yield Delivered(project, path, namespace, sibling, list(in_force(recording, known)))


def in_force(recording: Recording, labels: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The specs of policies that fail closed and whose binding denies, in a namespace of these labels.

    A binding that narrows what its policy speaks of is not counted on.
    """
    policies = {name(policy): policy for policy in recording.of_type(POLICY)}
    for binding in recording.of_type(BINDING):
        spec = at(binding.inputs, "spec")
        policy = policies.get(str(at(spec, "policyName")))
        if policy is not None and "Deny" in items(at(spec, "validationActions")) and _fails_closed(policy):
            if items(at(spec, "matchResources", "resourceRules")):
                continue
            bound, constraints = at(spec, "matchResources"), at(policy.inputs, "spec", "matchConstraints")
            if _selects(bound, labels) and _selects(constraints, labels):
                yield at(policy.inputs, "spec")


def _fails_closed(policy: Resource) -> bool:
    return (at(policy.inputs, "spec", "failurePolicy") or "Fail") == "Fail" and not at(
        policy.inputs, "spec", "paramKind"
    )


def _selects(match: Any, labels: Mapping[str, Any]) -> bool:
    """Whether a match holds for every object of a namespace of these labels. One that excludes is not counted on."""
    selector = at(match, "namespaceSelector")
    if at(match, "excludeResourceRules") or _asks(at(match, "objectSelector")):
        return False
    wanted: Mapping[str, Any] = at(selector, "matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_holds(each, labels) for each in items(at(selector, "matchExpressions")))


def _asks(selector: Any) -> bool:
    return bool(at(selector, "matchLabels") or at(selector, "matchExpressions"))


def _holds(expression: Any, labels: Mapping[str, Any]) -> bool:
    value, values = labels.get(str(at(expression, "key"))), items(at(expression, "values"))
    match at(expression, "operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            return False


def is_refused(policies: Specs, request: Request) -> bool:
    """Whether a policy speaks of the request and refuses it."""
    return any(speaks_of(spec, request) and refuses(spec, request) for spec in policies)


def speaks_of(spec: Mapping[str, Any], request: Request) -> bool:
    """Whether a policy's rules match the request's resource and operation."""
    scopes = (None, "*", "Namespaced" if request.namespace else "Cluster")
    return any(
        any(_matches(str(each), request.resource) for each in items(at(rule, "resources")))
        and request.operation in items(at(rule, "operations"))
        and not {request.group, "*"}.isdisjoint(items(at(rule, "apiGroups")))
        and not {"v1", "*"}.isdisjoint(items(at(rule, "apiVersions")))
        and not at(rule, "resourceNames")
        and at(rule, "scope") in scopes
        for rule in items(at(spec, "matchConstraints", "resourceRules"))
    )


def _matches(rule: str, resource: str) -> bool:
    """``*/*`` is everything, ``*`` everything but subresources, ``pods/*`` a resource and all of its own."""
    if rule in ("*/*", resource):
        return True
    kind, _, below = rule.partition("/")
    return (rule == "*" and "/" not in resource) or (below == "*" and resource.partition("/")[0] == kind)


def refuses(spec: Mapping[str, Any], request: Request) -> bool:
    """Whether a policy's expressions refuse the request. What cannot be evaluated here is not counted on."""
    known = request.variables()
    variables: dict[str, Any] = {}
    known["variables"] = variables
    try:
        for variable in items(at(spec, "variables")):
            variables[str(at(variable, "name"))] = _evaluate(variable, known)
        if not all(_evaluate(condition, known) is True for condition in items(at(spec, "matchConditions"))):
            return False
        return any(_evaluate(validation, known) is False for validation in items(at(spec, "validations")))
    except (KeyError, RuntimeError, TypeError, ValueError):
        return False


def _evaluate(holder: Any, known: Mapping[str, Any]) -> Any:
    return evaluate(str(at(holder, "expression")), known)


def texts(policies: Specs) -> set[str]:
    """The texts that stand in the policies' expressions: which of them are what is found out by evaluating."""
    holders = [holder for spec in policies for part in ("variables", "validations") for holder in items(at(spec, part))]
    return {"".join(pair) for holder in holders for pair in _TEXTS.findall(str(at(holder, "expression")))}
