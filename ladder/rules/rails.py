"""Rules over admission beside images: whose hosts an environment answers at, and what delivery may not touch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ladder.recording import Recording
from ladder.rules.reading import NETWORK_POLICY, at, items, name, namespace
from ladder.rules.requests import GUARD, Delivered, Request, delivered, is_refused, texts
from ladder.rules.rule import Breach

__all__ = ["no_identity", "own_hosts", "untouched_rails"]

_FOREIGN = "host.invalid"
_CONTAINERS = ("containers", "initContainers")
_SERVICE_ACCOUNT = "kubernetes:core/v1:ServiceAccount"
_GUARDS = {NETWORK_POLICY: ("networking.k8s.io", "networkpolicies"), _SERVICE_ACCOUNT: ("", "serviceaccounts")}


def own_hosts(recording: Recording) -> Iterator[Breach]:
    """Wherever a project delivers, nothing answers at any host, nor at one outside of a domain that a policy names."""
    for to in delivered(recording):
        hole = next((each for each in _hosts(to) if not is_refused(to.policies, each[1])), None)
        if hole is not None:
            what, request = hole
            message, found = f"is where {what}", f"{request.operation} {request.resource}"
            yield Breach(resource=to.project, path=to.path, message=message, found=found, accepted=GUARD)


def _hosts(to: Delivered) -> Iterator[tuple[str, Request]]:
    """What must be refused: hosts that are not the namespace's, alone and behind one that may be; and no host."""
    domains = sorted(text for text in texts(to.policies) if "." in text.strip(".") and "/" not in text)
    foreign = [_FOREIGN, *_around(domains), *(f"{to.sibling}.{each.strip('.')}" for each in domains if to.sibling)]
    own = [f"{to.namespace}{each}" if each.startswith(".") else each for each in domains]
    for operation in ("CREATE", "UPDATE"):
        for hosts in ([*beside, host] for host in foreign for beside in ((), *((each,) for each in own))):
            what = f"something may answer at {hosts[-1]}"
            yield what, _ingress(to.namespace, operation, {"rules": [{"host": host} for host in hosts]})
            yield what, _route(to.namespace, operation, {"hostnames": hosts})
        for request in (
            _ingress(to.namespace, operation, {"rules": [{"http": {}}]}),
            _ingress(to.namespace, operation, {"defaultBackend": {"service": {}}}),
            _route(to.namespace, operation, {"rules": []}),
        ):
            yield "something may answer at any host, by naming none", request


def _around(domains: Iterable[str]) -> Iterator[str]:
    """Hosts that only begin or end like one of the texts that may be domains."""
    for each in domains:
        yield f"other{each}"
        yield f"{each.strip('.')}.invalid"


def _ingress(namespace: str, operation: str, spec: Mapping[str, Any]) -> Request:
    return _request(namespace, "networking.k8s.io", "ingresses", operation, spec)


def _route(namespace: str, operation: str, spec: Mapping[str, Any]) -> Request:
    return _request(namespace, "gateway.networking.k8s.io", "httproutes", operation, spec)


def _request(namespace: str, group: str, resource: str, operation: str, spec: Mapping[str, Any]) -> Request:
    probe = {"metadata": {"name": "probe", "namespace": namespace}, "spec": spec}
    return Request(namespace=namespace, group=group, resource=resource, operation=operation, object=probe)


def untouched_rails(recording: Recording) -> Iterator[Breach]:
    """Wherever a project delivers, the stack's own network policies and ServiceAccounts are out of delivery's reach.

    Who delivers can neither change nor delete them, and no pod runs as one of those ServiceAccounts.
    """
    for to in delivered(recording):
        for what, request in _touching(recording, to):
            if not is_refused(to.policies, request):
                found = f"{request.operation} {request.resource}"
                yield Breach(resource=to.project, path=to.path, message=f"is where {what}", found=found, accepted=GUARD)


def _touching(recording: Recording, to: Delivered) -> Iterator[tuple[str, Request]]:
    """What must be refused."""
    deliverers = [
        f"system:serviceaccount:{to.namespace}:{at(item, 'defaultServiceAccount')}"
        for item in items(at(to.project.inputs, "spec", "destinationServiceAccounts"))
        if at(item, "namespace") == to.namespace
    ]
    for guard in recording.of_type(*_GUARDS):
        if namespace(guard) != to.namespace:
            continue
        group, resource = _GUARDS[guard.type]
        metadata = {"metadata": {"name": name(guard), "namespace": to.namespace}}
        for deliverer in deliverers:
            for operation in ("UPDATE", "DELETE"):
                request = Request(
                    namespace=to.namespace,
                    group=group,
                    resource=resource,
                    operation=operation,
                    object=metadata,
                    username=deliverer,
                )
                yield f"{deliverer} may {operation.lower()} {resource} {name(guard)}", request
        if guard.type == _SERVICE_ACCOUNT:
            pod: dict[str, Any] = {"metadata": {"name": "probe"}, "spec": {"serviceAccountName": name(guard)}}
            request = Request(namespace=to.namespace, resource="pods", operation="CREATE", object=pod)
            yield f"a pod may run as {name(guard)}", request


def no_identity(recording: Recording) -> Iterator[Breach]:
    """Where a project delivers to a prefix, which is what pull requests become, nothing is anybody and knows nothing.

    No pod there has a ServiceAccount's token or a secret, no ServiceAccount a cloud role; nobody puts a secret there.
    """
    for to in delivered(recording):
        for what, request in _identified(to.namespace) if to.sibling else ():
            if not is_refused(to.policies, request):
                found = f"{request.operation} {request.resource}"
                yield Breach(resource=to.project, path=to.path, message=f"is where {what}", found=found, accepted=GUARD)


def _identified(namespace: str) -> Iterator[tuple[str, Request]]:
    """What must be refused."""
    decoy: dict[str, Any] = {"name": "decoy", "projected": {"sources": [{"configMap": {"name": "decoy"}}]}}
    sources = [{"configMap": {"name": "decoy"}}, {"serviceAccountToken": {"path": "token"}}]
    token = {"name": "token", "projected": {"sources": sources}}
    role = {"name": "probe", "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::000000000000:role/probe"}}
    quiet: dict[str, Any] = {"automountServiceAccountToken": False}
    beside = {"name": "s", "projected": {"sources": [{"configMap": {"name": "c"}}, {"secret": {"name": "s"}}]}}
    plain = {"name": "plain", "env": [{"name": "A", "value": "b"}], "envFrom": [{"configMapRef": {"name": "c"}}]}
    reference = {"secretKeyRef": {"name": "s", "key": "k"}}
    known = {"name": "probe", "env": [{"name": "A", "value": "b"}, {"name": "S", "valueFrom": reference}]}
    all_ = {"name": "probe", "envFrom": [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}]}
    pods: tuple[tuple[str, dict[str, Any]], ...] = (
        ("a pod may have the token that comes by itself", {"containers": []}),
        ("a pod may have that token", {"containers": [], "automountServiceAccountToken": True}),
        ("a pod may ask for a token", {**quiet, "volumes": [decoy, token]}),
        ("a pod may have a secret's file", {**quiet, "volumes": [decoy, {"name": "s", "secret": {"secretName": "s"}}]}),
        ("a pod may have a secret's file beside others", {**quiet, "volumes": [beside]}),
        ("a pod may have files of a driver", {**quiet, "volumes": [decoy, {"name": "s", "csi": {"driver": "s"}}]}),
        *((f"a pod may have a secret's value in {each}", {**quiet, each: [plain, known]}) for each in _CONTAINERS),
        *((f"a pod may have a secret's values in {each}", {**quiet, each: [plain, all_]}) for each in _CONTAINERS),
    )
    for operation in ("CREATE", "UPDATE"):
        for what, spec in pods:
            pod: dict[str, Any] = {"metadata": {"name": "probe", "namespace": namespace}, "spec": spec}
            yield what, Request(namespace=namespace, resource="pods", operation=operation, object=pod)
        for group, resource in (("", "secrets"), ("external-secrets.io", "externalsecrets")):
            made: dict[str, Any] = {"metadata": {"name": "probe", "namespace": namespace}}
            yield (
                f"there may be {resource}",
                Request(namespace=namespace, group=group, resource=resource, operation=operation, object=made),
            )
        account: dict[str, Any] = {"metadata": role}
        yield (
            "a ServiceAccount may have a cloud role",
            Request(namespace=namespace, resource="serviceaccounts", operation=operation, object=account),
        )
