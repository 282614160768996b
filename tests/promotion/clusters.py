"""What a cluster answers of one healthy service of prod, to be broken."""

from __future__ import annotations

from typing import Any

from ladder.contract import StackSettings

__all__ = [
    "APPLICATIONS",
    "CHART",
    "COMMIT",
    "GONE",
    "IMAGE",
    "OTHER",
    "PODS",
    "ROLLOUTS",
    "STABLE",
    "application",
    "places",
    "pod",
    "put",
    "reference",
    "rollout",
    "store",
]

IMAGE, CHART, COMMIT = "sha256:" + "1a" * 32, "sha256:" + "2b" * 32, "3c" * 20
OTHER = "sha256:" + "4d" * 32
APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
ROLLOUTS = "/apis/argoproj.io/v1alpha1/namespaces/prod-services/rollouts"
PODS = "/api/v1/namespaces/prod-services/pods"
SELECTOR = {"app.kubernetes.io/name": "web", "app.kubernetes.io/component": "service"}
STABLE = "6f5d9c"
GONE = object()
"""What is put in place of a value that goes."""


def reference(digest: str) -> str:
    return f"ghcr.io/acme/shop/web@{digest}"


def application(settings: StackSettings, service: str = "web") -> dict[str, Any]:
    folder = f"$values/gitops/envs/prod/{service}"
    values = [f"{folder}/values.yaml", f"{folder}/version.yaml"]
    helm = {"releaseName": service, "valueFiles": values}
    delivery = settings.delivery
    rollout = {"group": "argoproj.io", "kind": "Rollout", "namespace": "prod-services", "name": service}
    return {
        "metadata": {"name": f"prod-{service}", "annotations": {"ladder.internal/image": IMAGE}},
        "spec": {
            "project": "ladder-prod",
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "prod-services"},
            "sources": [
                {"repoURL": delivery.chart, "path": ".", "targetRevision": CHART, "helm": helm},
                {"repoURL": delivery.repository, "targetRevision": "main", "ref": "values"},
            ],
        },
        "status": {
            "sync": {"status": "Synced", "revisions": [CHART, COMMIT]},
            "health": {"status": "Healthy"},
            "operationState": {"phase": "Succeeded", "message": "successfully synced"},
            "resources": [{"kind": "Service", "name": service}, {**rollout, "version": "v1alpha1", "status": "Synced"}],
        },
    }


def rollout() -> dict[str, Any]:
    containers = [{"name": "service", "image": reference(IMAGE), "ports": []}]
    return {
        "metadata": {"name": "web", "generation": 7},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": SELECTOR},
            "template": {"spec": {"containers": containers, "serviceAccountName": "web"}},
        },
        "status": {
            "observedGeneration": "7",
            "currentPodHash": STABLE,
            "stableRS": STABLE,
            **dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), 2),
            "phase": "Healthy",
        },
    }


def pod(name: str, revision: str = STABLE) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"web-{revision}", "controller": True}
    labels = {**SELECTOR, "rollouts-pod-template-hash": revision}
    return {
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "service", "image": reference(IMAGE)}], "nodeName": "a"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "service", "imageID": reference(IMAGE), "ready": True}],
        },
    }


def store() -> dict[str, Any]:
    """A pod beside the services'."""
    made = pod("api-database-0")
    made["metadata"] |= {"labels": {"app.kubernetes.io/name": "api"}, "ownerReferences": []}
    return made


def put(item: Any, path: str, value: Any) -> None:
    """Set what stands at the path of keys and indices; without a value, it goes."""
    *parents, last = [int(part) if part.isdigit() else part.replace("~", "/") for part in path.split("/")]
    for part in parents:
        item = item[part]
    if value is GONE:
        del item[last]
    else:
        item[last] = value


def places(item: Any, at: str = "") -> list[str]:
    """The path of everything in it, as ``put`` takes them."""
    children = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    named = [(f"{at}{str(key).replace('/', '~')}", child) for key, child in children]
    return [path for name, child in named for path in (name, *places(child, f"{name}/"))]
