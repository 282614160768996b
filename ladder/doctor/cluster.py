"""What only the live cluster can tell: that it is the stack's, serves every kind, and runs what acts on them."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from operator import itemgetter
from typing import Any
from urllib.parse import quote

from ladder.contract.stack import StackSettings
from ladder.doctor.asking import Answer, ask
from ladder.doctor.diagnosis import Area, Diagnosis, Patient
from ladder.doctor.kinds import Kind
from ladder.errors import CheckFailed
from ladder.recording import Recording
from ladder.rules.reading import at

__all__ = ["Cluster", "cluster"]

_OLDEST = (1, 30)
"""From there on the API server has ValidatingAdmissionPolicy by itself."""

_NAME = "app.kubernetes.io/name"
_CONTROLLERS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("argoproj.io", "Application"): ("argocd-application-controller", "argocd-repo-server"),
    ("argoproj.io", "ApplicationSet"): ("argocd-applicationset-controller",),
    ("argoproj.io", "Rollout"): ("argo-rollouts",),
    ("external-secrets.io", "ExternalSecret"): ("external-secrets",),
    ("external-secrets.io", "SecretStore"): ("external-secrets",),
}
"""What acts on a kind, by the label that its own manifests and its chart give its workload."""

_APP_PROJECT = "kubernetes:argoproj.io/v1alpha1:AppProject"
_APPLICATION_SET = "kubernetes:argoproj.io/v1alpha1:ApplicationSet"

_VERSION, _CORE, _GROUPS, _SYSTEM = "/version", "/api", "/apis", "/api/v1/namespaces/kube-system"
_ISSUER = "/.well-known/openid-configuration"

Asking = Callable[[str, Iterable[str]], Mapping[str, Answer]]


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a stack needs of its cluster. ``kinds`` are those it declares and delivers."""

    stack: str
    settings: StackSettings
    recording: Recording
    kinds: frozenset[Kind]


def cluster(needed: Cluster, *, asking: Asking = ask) -> Iterator[Diagnosis]:
    """Examine the cluster that the stack's context names."""
    patient = Patient(Area.CLUSTER, needed.stack)
    context = needed.settings.cluster.context
    claim = f"the context {context} reaches a cluster"
    try:
        answers = asking(context, _paths(needed))
    except CheckFailed as error:
        yield patient.unknown(claim, str(error), f"make 'kubectl --context {context} version' work, and ask again")
        return
    yield from _reached(patient, answers[_VERSION], claim)
    yield from _is_meant(patient, needed.settings, answers)
    yield from _served(patient, needed.kinds, answers)
    yield from _running(patient, needed, answers)
    yield from _argocd(patient, needed, answers)


def _paths(needed: Cluster) -> list[str]:
    namespace = needed.settings.delivery.namespace
    return [
        _VERSION,
        _CORE,
        _GROUPS,
        _SYSTEM,
        _ISSUER,
        _namespace(namespace),
        *_settings(namespace),
        *_workloads(needed),
    ]


def _namespace(name: str) -> str:
    return f"/api/v1/namespaces/{name}"


def _settings(namespace: str) -> tuple[str, str]:
    """Argo CD's settings, and those of its processes."""
    folder = f"{_namespace(namespace)}/configmaps"
    return f"{folder}/argocd-cm", f"{folder}/argocd-cmd-params-cm"


def _workloads(needed: Cluster) -> tuple[str, ...]:
    selector = quote(f"{_NAME} in ({','.join(_controllers(needed.kinds))})")
    return tuple(f"/apis/apps/v1/{plural}?labelSelector={selector}" for plural in ("deployments", "statefulsets"))


def _controllers(kinds: frozenset[Kind]) -> list[str]:
    groups = {(version.rpartition("/")[0], kind) for version, kind in kinds}
    return sorted({name for each in groups for name in _CONTROLLERS.get(each, ())})


def _reached(patient: Patient, answer: Answer, claim: str) -> Iterator[Diagnosis]:
    if answer.status != HTTPStatus.OK:
        yield patient.unknown(claim, answer.reason)
        return
    version = str(answer.body.get("gitVersion", ""))
    yield patient.judged(claim, version, "", holds=True)
    oldest = ".".join(map(str, _OLDEST))
    found = re.match(r"v?(\d+)\.(\d+)", version)
    claim, mend = f"Kubernetes is {oldest} or newer", "upgrade the cluster"
    yield patient.judged(claim, version, mend, holds=found is not None and (int(found[1]), int(found[2])) >= _OLDEST)


def _is_meant(patient: Patient, settings: StackSettings, answers: Mapping[str, Answer]) -> Iterator[Diagnosis]:
    own, answer = settings.cluster, answers[_ISSUER]
    claim, mend = "the cluster issues what the roles trust", "correct cluster.context or cluster.oidcIssuer"
    if answer.status == HTTPStatus.OK:
        issuer = str(answer.body.get("issuer", "")).removeprefix("https://")
        yield patient.judged(claim, issuer, f"{mend}: {own.oidc_issuer}", holds=issuer == own.oidc_issuer)
    else:
        yield patient.unknown(claim, answer.reason)
    if not _is_uid(own.identifier):
        return
    claim, answer = "kube-system has the UID that cluster.identifier says", answers[_SYSTEM]
    if answer.status == HTTPStatus.OK:
        uid = str(answer.body["metadata"]["uid"])
        yield patient.judged(claim, uid, f"correct cluster.context: {own.identifier}", holds=uid == own.identifier)
    else:
        yield patient.unknown(claim, answer.reason)


def _is_uid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _served(patient: Patient, kinds: frozenset[Kind], answers: Mapping[str, Answer]) -> Iterator[Diagnosis]:
    for version, group in groupby(sorted(kinds), key=itemgetter(0)):
        names = [kind for _, kind in group]
        claim = f"{version} is served: {', '.join(names)}"
        answer = answers[_GROUPS if "/" in version else _CORE]
        if answer.status != HTTPStatus.OK:
            yield patient.unknown(claim, answer.reason)
            continue
        served = _discovered(answer.body)
        absent = [name for name in names if (version, name) not in served]
        others = [
            f"{name} is, as {other}" for other, name in sorted(served) if name in absent and _alike(other, version)
        ]
        found = "; ".join([*(f"{name} is not served" for name in absent), *others])
        mend = "install the definitions that the program and the chart were written for, or upgrade the cluster"
        yield patient.judged(claim, found, mend, holds=not absent)


def _alike(one: str, other: str) -> bool:
    """Whether both are versions of one group."""
    return one.rpartition("/")[0] == other.rpartition("/")[0]


def _discovered(document: Any) -> set[Kind]:
    return {
        (f"{group}/{version['version']}" if group else str(version["version"]), str(resource["responseKind"]["kind"]))
        for item in document.get("items") or ()
        for group in (item["metadata"].get("name", ""),)
        for version in item["versions"]
        for resource in version.get("resources") or ()
        if resource.get("responseKind")
    }


def _running(patient: Patient, needed: Cluster, answers: Mapping[str, Answer]) -> Iterator[Diagnosis]:
    paths = _workloads(needed)
    refused = [answers[path] for path in paths if answers[path].status != HTTPStatus.OK]
    ready: dict[str, int] = {}
    for path in paths if not refused else ():
        for item in answers[path].body.get("items") or ():
            name = item["metadata"]["labels"][_NAME]
            ready[name] = ready.get(name, 0) + int(at(item, "status", "availableReplicas") or 0)
    for name in _controllers(needed.kinds):
        claim = f"{name} runs"
        if refused:
            yield patient.unknown(claim, refused[0].reason)
            continue
        found = f"{ready[name]} available" if name in ready else f"no Deployment or StatefulSet labelled {_NAME}={name}"
        yield patient.judged(
            claim, found, "install it, or see why its pods are not ready", holds=ready.get(name, 0) > 0
        )


def _argocd(patient: Patient, needed: Cluster, answers: Mapping[str, Answer]) -> Iterator[Diagnosis]:
    namespace = needed.settings.delivery.namespace
    claim, answer = f"the namespace {namespace} is there", answers[_namespace(namespace)]
    if answer.status in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
        found = str(at(answer.body, "status", "phase") or "") if answer.status == HTTPStatus.OK else "not there"
        yield patient.judged(claim, found, f"install Argo CD in {namespace}", holds=found == "Active")
    else:
        yield patient.unknown(claim, answer.reason)
    own, processes = _settings(namespace)
    wanted = {
        (own, "application.sync.impersonation.enabled"): _impersonates(needed.recording),
        (processes, "applicationsetcontroller.enable.new.git.file.globbing"): _globs(needed.recording),
    }
    for (path, key), is_wanted in wanted.items():
        if is_wanted:
            yield _is_set(patient, path.rpartition("/")[2], key, answers[path])


def _is_set(patient: Patient, name: str, key: str, answer: Answer) -> Diagnosis:
    claim, mend = f'{key} is "true" in {name}', f'set {key}: "true" in the ConfigMap {name}, and restart what reads it'
    match answer.status:
        case HTTPStatus.OK:
            value: str | None = at(answer.body, "data", key)
            return patient.judged(claim, "not set" if value is None else f'"{value}"', mend, holds=value == "true")
        case HTTPStatus.NOT_FOUND:
            return patient.judged(claim, "there is no such ConfigMap", mend, holds=False)
        case _:
            return patient.unknown(claim, answer.reason)


def _impersonates(recording: Recording) -> bool:
    """Whether Argo CD is to sync as somebody else, which it overlooks where it is not told to."""
    return any(each.inputs["spec"].get("destinationServiceAccounts") for each in recording.of_type(_APP_PROJECT))


def _globs(recording: Recording) -> bool:
    """Whether a generator's path has a ``*``, which else matches deeper folders too."""
    return any(_has_pattern(each.inputs["spec"]["generators"]) for each in recording.of_type(_APPLICATION_SET))


def _has_pattern(generators: Any) -> bool:
    return any(
        any("*" in str(file.get("path", "")) for file in generator.get("git", {}).get("files") or ())
        or any(_has_pattern(generator.get(kind, {}).get("generators", ())) for kind in ("matrix", "merge"))
        for generator in generators
    )
