"""Rules over Kubernetes roles: what they grant is named, and no more than admission leaves of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ladder.recording import Recording, Resource
from ladder.rules.reading import APP_PROJECT, NAMESPACE, at, items, name, namespace, shown
from ladder.rules.requests import GUARD, NAME_LABEL, Request, in_force, is_refused
from ladder.rules.rule import Breach

__all__ = ["exact_rights"]

_RBAC = "kubernetes:rbac.authorization.k8s.io/v1"
_ROLE, _ROLE_BINDING = f"{_RBAC}:Role", f"{_RBAC}:RoleBinding"
_CLUSTER_ROLE, _CLUSTER_BINDING = f"{_RBAC}:ClusterRole", f"{_RBAC}:ClusterRoleBinding"
_RISING_VERBS = frozenset({"bind", "escalate", "impersonate"})
_READING = frozenset({"get", "list", "watch"})
_OPERATIONS = {
    "create": ("CREATE",),
    "update": ("UPDATE",),
    "patch": ("CREATE", "UPDATE"),
    "delete": ("DELETE",),
    "deletecollection": ("DELETE",),
}
_NEVER = frozenset({"appprojects", "applicationsets", "rolebindings", "roles", "secrets", "serviceaccounts/token"})
"""What holds secrets, or says who may do what."""
_GUARDING = frozenset({"applications", "limitranges", "resourcequotas"})
"""What bounds pods, or stands for all that is delivered: written only as far as admission lets it."""
_CLUSTERS_OWN = ("default", "kube-node-lease", "kube-public", "kube-system")
_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def exact_rights(recording: Recording) -> Iterator[Breach]:
    """Roles name verbs and resources, hold in one namespace, and raise no rights; none is of what says who may do what.

    Rights in every namespace, and over what guards one, are granted only to ServiceAccounts whom admission keeps from
    writing anything that the stack or the cluster has.
    """
    admission = _Admission(recording)
    for role in recording.of_type(_ROLE, _CLUSTER_ROLE):
        named = list(_unnamed(role))
        yield from named
        if not named:
            yield from _unbound(admission, role)
    for binding in recording.of_type(_ROLE_BINDING, _CLUSTER_BINDING):
        yield from _strangers(recording, binding)


@dataclass(frozen=True, slots=True)
class _Admission:
    """A recording, and the policies in force in each place that was asked about."""

    recording: Recording
    _policies: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict[str, list[Mapping[str, Any]]])

    def lets(self, user: str, request: Request) -> bool:
        place = request.namespace or request.named
        if place not in self._policies:
            self._policies[place] = list(in_force(self.recording, {NAME_LABEL: place}))
        return not is_refused(self._policies[place], request.by(user))


def _unnamed(role: Resource) -> Iterator[Breach]:
    """A subresource is refused whatever the verb: reading ``nodes/proxy`` or ``pods/exec`` runs commands."""
    for index, rule in enumerate(items(at(role.inputs, "rules"))):
        for part in ("apiGroups", "resources", "verbs"):
            broad = [each for each in items(at(rule, part)) if _is_broad(str(each), below=part == "resources")]
            if broad:
                yield Breach(
                    resource=role,
                    path=f"rules.{index}.{part}",
                    message="grants more than it names, or what guards the environment",
                    found=shown(broad),
                    accepted=f"{part} by name",
                )


def _is_broad(text: str, *, below: bool) -> bool:
    return "*" in text or text in _RISING_VERBS | _NEVER or (below and "/" in text)


def _unbound(admission: _Admission, role: Resource) -> Iterator[Breach]:
    """Rights that need admission, and who has them without."""
    wide = role.type == _CLUSTER_ROLE
    # Whoever writes where Argo CD is, runs as it, or tells it to look away.
    beside = namespace(role) in {namespace(each) for each in admission.recording.of_type(APP_PROJECT)}
    for index, rule in enumerate(items(at(role.inputs, "rules"))):
        for resource in items(at(rule, "resources")):
            writing = [verb for verb in items(at(rule, "verbs")) if verb not in _READING]
            if not (writing and (wide or beside or resource in _GUARDING)):
                continue
            for group in items(at(rule, "apiGroups")):
                found = next(_free(admission, role, str(group), str(resource), writing), "")
                if found:
                    message = "grants rights in every namespace" if wide else "grants what guards the environment"
                    accepted = f"a Role of other resources in one namespace; or {GUARD}, of whatever else there is"
                    path = f"rules.{index}.resources"
                    yield Breach(resource=role, path=path, message=message, found=found, accepted=accepted)


def _free(admission: _Admission, role: Resource, group: str, resource: str, verbs: list[Any]) -> Iterator[str]:
    """What somebody may write, by the role, that they should not."""
    users = list(_users(admission.recording, role))
    if not users:
        yield f"{', '.join(map(str, verbs))} {resource}, whoever is bound to it"
    for request in _foreign(admission.recording, role, group, resource, verbs):
        for user in users:
            if admission.lets(user, request):
                where = f" in {request.namespace}" if request.namespace else f" {request.named}"
                yield f"{user} may {request.operation} {resource}{where}"


def _users(recording: Recording, role: Resource) -> Iterator[str]:
    kind = role.type.rpartition(":")[2]
    for binding in recording.of_type(_ROLE_BINDING, _CLUSTER_BINDING):
        reference = at(binding.inputs, "roleRef")
        here = kind == "ClusterRole" or namespace(binding) == namespace(role)
        if here and (at(reference, "kind"), at(reference, "name")) == (kind, name(role)):
            for subject in items(at(binding.inputs, "subjects")):
                yield f"system:serviceaccount:{at(subject, 'namespace')}:{at(subject, 'name')}"


def _foreign(recording: Recording, role: Resource, group: str, resource: str, verbs: list[Any]) -> Iterator[Request]:
    """Writes of what is not the role's to write: in a namespace, or of a namespace or Application of that name."""
    own = {namespace(each) for each in recording.of_type(APP_PROJECT)}
    places = sorted({*(name(each) for each in recording.of_type(NAMESPACE)), *_CLUSTERS_OWN, *own, "probe"})
    operations = sorted({operation for verb in verbs for operation in _OPERATIONS.get(str(verb), ("UPDATE",))})
    for place in (*places, *(f"{each}1" for each in places), *_lookalikes(recording)):
        for operation in operations:
            named = place if resource == "namespaces" or role.type == _ROLE else "probe"
            inside = namespace(role) if role.type == _ROLE else place
            body: Mapping[str, Any] = {"metadata": {"name": named, "labels": _RESTRICTED}, "spec": {}}
            yield Request(
                namespace="" if resource == "namespaces" else inside,
                group=group,
                resource=resource,
                operation=operation,
                object=body,
            )


def _lookalikes(recording: Recording) -> Iterator[str]:
    """Names that only look like those of a prefix that a project delivers to."""
    for project in recording.of_type(APP_PROJECT):
        for item in items(at(project.inputs, "spec", "destinations")):
            prefix, star, _ = str(at(item, "namespace")).partition("*")
            if star:
                yield from (f"x{prefix}1", f"{prefix}1x", f"{prefix}0", prefix.rstrip("-"))


def _strangers(recording: Recording, binding: Resource) -> Iterator[Breach]:
    """Roles that are not the stack's own, and subjects that are no ServiceAccount of the binding's namespace.

    For every namespace, they may be of any that is the stack's, or Argo CD's.
    """
    wide = binding.type == _CLUSTER_BINDING
    places, kind = {namespace(binding)}, "Role"
    known = {name(each) for each in recording.of_type(_ROLE) if namespace(each) == namespace(binding)}
    if wide:
        places = {namespace(each) for each in recording.of_type(APP_PROJECT)}
        places |= {name(each) for each in recording.of_type(NAMESPACE)}
        known, kind = {name(each) for each in recording.of_type(_CLUSTER_ROLE)}, "ClusterRole"
    reference = at(binding.inputs, "roleRef")
    if at(reference, "kind") != kind or at(reference, "name") not in known:
        yield Breach(
            resource=binding,
            path="roleRef",
            message="grants what a role says that the stack does not declare",
            found=shown(reference),
            accepted=f"a {kind} of the stack: {', '.join(sorted(known)) or 'it has none there'}",
        )
    for index, subject in enumerate(items(at(binding.inputs, "subjects"))):
        if at(subject, "kind") != "ServiceAccount" or at(subject, "namespace") not in places:
            path, accepted = f"subjects.{index}", f"a ServiceAccount of {' or '.join(sorted(places))}"
            message = "lets in others than the namespace's own"
            yield Breach(resource=binding, path=path, message=message, found=shown(subject), accepted=accepted)
