"""What the cluster must have before the controllers of a sandbox with Argo CD are started, and what makes them look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox.access import Sources
from sandbox.delivery_files import OBJECTS
from sandbox.delivery_servers import (
    APPLICATION_SETS,
    APPLICATIONS,
    ARGOCD_NAMESPACE,
    KWOK,
    NOTIFICATIONS,
    ROLLOUTS,
)
from sandbox.deployer.kube_api import KubeApi
from sandbox.deployer.model import Patience

__all__ = ["Administrator", "apply_objects", "refresh"]

PART_OF_ARGOCD = {"app.kubernetes.io/part-of": "argocd"}
ZONES = ("a", "b", "c")
"""One node in each: services that must be spread over zones find some to be spread over."""
_RBAC = "rbac.authorization.k8s.io"
_NOTIFYING = "argocd-notifications"
_HEALTHY = 'return {status = "Healthy", message = "what would act on it does not run in the sandbox"}'
_SCALER = """\
for _, condition in ipairs((obj.status or {}).conditions or {}) do
  if condition.type == "AbleToScale" and condition.status == "False" then
    return {status = "Degraded", message = condition.message}
  end
end
return {status = "Healthy", message = "there are no metrics to scale by in the sandbox"}
"""
_UNATTENDED = (
    "external-secrets.io_ExternalSecret",
    "gateway.networking.k8s.io_HTTPRoute",
    "networking.k8s.io_Ingress",
)


@dataclass(frozen=True, slots=True)
class Administrator:
    """The API server as the sandbox itself uses it."""

    api_server: str
    ca: Path
    token: str = field(repr=False)
    patience: Patience = field(default_factory=Patience)


def apply_objects(api: KubeApi, files: Path, sources: Sources, secret: str) -> None:
    """Bring the objects to what they should be; ``files`` are those of the plan, ``secret`` Argo CD signs with."""
    for body in (*_argocd(sources, secret), *_cluster(), *_from_files(files)):
        metadata = body["metadata"]
        type_ = api.types[body["apiVersion"], body["kind"]]
        api.apply(type_, metadata.get("namespace", ""), metadata["name"], body, dry=False)


def refresh(api: KubeApi) -> None:
    """Ask Argo CD to look at the tree now: its ApplicationSets first, then every Application there is."""
    asked = {"ApplicationSet": ("application-set-refresh", "true"), "Application": ("refresh", "normal")}
    for kind, (annotation, value) in asked.items():
        type_ = api.types["argoproj.io/v1alpha1", kind]
        for item in api.request("GET", type_.path(ARGOCD_NAMESPACE)).get("items") or ():
            api.request(
                "PATCH",
                type_.path(ARGOCD_NAMESPACE, item["metadata"]["name"]),
                missing_ok=True,
                json={"metadata": {"annotations": {f"argocd.argoproj.io/{annotation}": value}}},
                headers={"Content-Type": "application/merge-patch+json"},
            )


def _object(version: str, kind: str, name: str, namespace: str = "", **content: Any) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **content.pop("metadata", {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def _argocd(sources: Sources, secret: str) -> Iterator[dict[str, Any]]:
    """Argo CD's settings, as a real cluster is told to have them: see "Run it for real"."""
    labels = {"labels": PART_OF_ARGOCD}
    # Ingresses, routes and external secrets have no controller here that could say how they are.
    health = {f"resource.customizations.health.{kind}": _HEALTHY for kind in _UNATTENDED}
    health["resource.customizations.health.autoscaling_HorizontalPodAutoscaler"] = _SCALER
    settings = {"application.sync.impersonation.enabled": "true", **health}
    yield _object("v1", "Namespace", ARGOCD_NAMESPACE)
    yield _object("v1", "ConfigMap", "argocd-cm", ARGOCD_NAMESPACE, metadata=labels, data=settings)
    signing = {"server.secretkey": secret}
    yield _object("v1", "Secret", "argocd-secret", ARGOCD_NAMESPACE, metadata=labels, stringData=signing)
    nothing: dict[str, Any] = {"sourceRepos": [], "sourceNamespaces": [], "destinations": []}
    yield _object("argoproj.io/v1alpha1", "AppProject", "default", ARGOCD_NAMESPACE, spec=nothing)
    yield _repository("sandbox-tree", "repository", {"type": "git", "url": sources.tree})
    charts = {"type": "oci", "url": sources.charts, "insecureOCIForceHttp": "true"}
    yield _repository("sandbox-charts", "repo-creds", charts)


def _repository(name: str, type_: str, data: Mapping[str, str]) -> dict[str, Any]:
    """``repository`` is one of exactly this URL, ``repo-creds`` stands for all whose URL begins with it."""
    labels = {**PART_OF_ARGOCD, "argocd.argoproj.io/secret-type": type_}
    return _object("v1", "Secret", name, ARGOCD_NAMESPACE, metadata={"labels": labels}, stringData=dict(data))


def _cluster() -> Iterator[dict[str, Any]]:
    """The nodes, and what the controllers may do: none of them is an administrator."""
    for zone in ZONES:
        name = f"sandbox-{zone}"
        labels = {
            "kubernetes.io/hostname": name,
            "kubernetes.io/os": "linux",
            "topology.kubernetes.io/zone": f"sandbox-{zone}",
        }
        yield _object("v1", "Node", name, metadata={"labels": labels})
    # Argo CD reads everything, and writes as the ServiceAccount that an AppProject names.
    reading = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
    posing = {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}
    yield _object(f"{_RBAC}/v1", "ClusterRole", APPLICATIONS, rules=[reading, posing])
    own = [
        {"apiGroups": ["argoproj.io"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]},
    ]
    yield _object(f"{_RBAC}/v1", "Role", APPLICATIONS, ARGOCD_NAMESPACE, rules=own)
    # It keeps on each Application what it has told; its settings are the two objects of these names.
    telling = [
        {"apiGroups": ["argoproj.io"], "resources": ["applications"], "verbs": ["list", "watch", "patch"]},
        {"apiGroups": ["argoproj.io"], "resources": ["appprojects"], "verbs": ["list", "watch"]},
        *(
            {"apiGroups": [""], "resources": [kind], "resourceNames": [name], "verbs": ["list", "watch"]}
            for kind, name in (("configmaps", f"{_NOTIFYING}-cm"), ("secrets", f"{_NOTIFYING}-secret"))
        ),
    ]
    yield _object(f"{_RBAC}/v1", "Role", NOTIFICATIONS, ARGOCD_NAMESPACE, rules=telling)
    yield _binding("Role", NOTIFICATIONS, NOTIFICATIONS)
    yield _binding("ClusterRole", APPLICATIONS, APPLICATIONS)
    yield _binding("Role", APPLICATIONS, APPLICATIONS)
    yield _binding("Role", "argocd-applicationset-controller", APPLICATION_SETS)
    yield _binding("ClusterRole", "argo-rollouts", ROLLOUTS)
    yield _binding("ClusterRole", "kwok-controller", KWOK)
    yield _binding("ClusterRole", "kwok-volume", KWOK)


def _binding(kind: str, role: str, user: str) -> dict[str, Any]:
    content = {
        "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": role},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user}],
    }
    namespace = ARGOCD_NAMESPACE if kind == "Role" else ""
    return _object(f"{_RBAC}/v1", f"{kind}Binding", f"sandbox-{role}".replace(":", "-"), namespace, **content)


def _from_files(files: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((files / OBJECTS).glob("*.yaml")):
        for body in filter(None, yaml.safe_load_all(path.read_text())):
            if body["kind"] == "Role":
                body["metadata"]["namespace"] = ARGOCD_NAMESPACE
            yield body
