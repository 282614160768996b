"""Delivery by Argo CD: what may be delivered here (AppProject), by whom (RBAC), and what is (ApplicationSet)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict

from components.base import Component
from components.namespace import NETWORK_RAILS
from components.rights import Account, create_account, grant
from ladder.contract.stack import DELIVERY_SERVICE_ACCOUNT, RESERVED_SERVICE_ACCOUNTS, Delivery, SyncWindow

__all__ = [
    "DELIVERED_KINDS",
    "IN_CLUSTER",
    "DeliveredKind",
    "EnvironmentDelivery",
    "EnvironmentDeliveryArgs",
    "rules",
]

IN_CLUSTER = "https://kubernetes.default.svc"


@dataclass(frozen=True)
class DeliveredKind:
    """A kind the service chart may hold: API group, kind, and the resource name RBAC knows it by."""

    group: str
    kind: str
    resource: str


_OWN_OBJECTS = [
    *({"group": "networking.k8s.io", "kind": "NetworkPolicy", "name": name} for name in NETWORK_RAILS),
    *({"kind": "ServiceAccount", "name": name} for name in sorted(RESERVED_SERVICE_ACCOUNTS)),
]
"""What this program, or the cluster, keeps in the namespaces Argo CD delivers to."""

DELIVERED_KINDS = (
    DeliveredKind("", "ConfigMap", "configmaps"),
    DeliveredKind("", "PersistentVolumeClaim", "persistentvolumeclaims"),
    DeliveredKind("", "Service", "services"),
    DeliveredKind("", "ServiceAccount", "serviceaccounts"),
    DeliveredKind("apps", "Deployment", "deployments"),
    DeliveredKind("apps", "StatefulSet", "statefulsets"),
    DeliveredKind("argoproj.io", "AnalysisTemplate", "analysistemplates"),
    DeliveredKind("argoproj.io", "Rollout", "rollouts"),
    DeliveredKind("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    DeliveredKind("batch", "Job", "jobs"),
    DeliveredKind("external-secrets.io", "ExternalSecret", "externalsecrets"),
    DeliveredKind("gateway.networking.k8s.io", "HTTPRoute", "httproutes"),
    DeliveredKind("networking.k8s.io", "Ingress", "ingresses"),
    DeliveredKind("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
    DeliveredKind("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
)
"""Neither RBAC, nor quota, nor Secret, nor Namespace: what guards an environment is not delivered with it."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentDeliveryArgs:
    """``name`` is the AppProject's and ApplicationSet's; ``namespaces`` maps a namespace's key to its physical name.

    ``guardrails`` must stand before the first service is delivered.
    """

    name: str
    environment: str
    namespaces: Mapping[str, pulumi.Input[str]]
    guardrails: Sequence[pulumi.Resource]
    delivery: Delivery
    labels: Mapping[str, str]


class EnvironmentDelivery(Component):
    """One Application per folder ``<path>/<environment>/<service>``. ``project`` and ``application_set`` are names."""

    project: str
    application_set: str

    def __init__(self, name: str, args: EnvironmentDeliveryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._args = args
        self.project = self.application_set = args.name
        deployers = [self._create_deployer(f"{name}-{key}", namespace) for key, namespace in args.namespaces.items()]
        project = self._create_project(name)
        self._create_application_set(name, [project, *deployers, *args.guardrails])
        self.register_outputs({"project": self.project, "applicationSet": self.application_set})

    def _create_deployer(self, name: str, namespace: pulumi.Input[str]) -> pulumi.Resource:
        account = Account(name=DELIVERY_SERVICE_ACCOUNT, namespace=namespace, labels=self._args.labels)
        return grant(self, name, account, rules(DELIVERED_KINDS), after=[create_account(self, name, account)])

    def _metadata(self) -> ObjectMetaArgsDict:
        return {"name": self._args.name, "namespace": self._args.delivery.namespace, "labels": dict(self._args.labels)}

    def _create_project(self, name: str) -> CustomResource:
        args = self._args
        namespaces = [namespace for _, namespace in sorted(args.namespaces.items())]
        spec: dict[str, Any] = {
            "description": f"Services of the environment {args.environment}",
            "sourceRepos": sorted([args.delivery.repository, args.delivery.chart]),
            "destinations": [{"server": IN_CLUSTER, "namespace": namespace} for namespace in namespaces],
            "clusterResourceWhitelist": [],
            "namespaceResourceWhitelist": [{"group": kind.group, "kind": kind.kind} for kind in DELIVERED_KINDS],
            "destinationServiceAccounts": [
                {"server": IN_CLUSTER, "namespace": namespace, "defaultServiceAccount": DELIVERY_SERVICE_ACCOUNT}
                for namespace in namespaces
            ],
            "orphanedResources": {"warn": True, "ignore": _OWN_OBJECTS},
        }
        if args.delivery.windows:
            spec["syncWindows"] = [_window(window) for _, window in sorted(args.delivery.windows.items())]
        return CustomResource(
            name,
            api_version="argoproj.io/v1alpha1",
            kind="AppProject",
            metadata=self._metadata(),
            spec=spec,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _create_application_set(self, name: str, depends_on: list[pulumi.Resource]) -> None:
        """Created after what its Applications need, and so deleted before it: else they could not be pruned."""
        delivery = self._args.delivery
        CustomResource(
            name,
            api_version="argoproj.io/v1alpha1",
            kind="ApplicationSet",
            metadata=self._metadata(),
            spec={
                "goTemplate": True,
                "goTemplateOptions": ["missingkey=error"],
                "generators": [{"matrix": {"generators": [self._environment(), self._versions()]}}],
                "syncPolicy": {
                    "applicationsSync": "create-update" if delivery.keep_when_removed else "sync",
                    "preserveResourcesOnDeletion": delivery.keep_when_removed,
                },
                "template": {"metadata": self._application_metadata(), "spec": self._application_spec()},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=depends_on, protect=delivery.keep_when_removed or None),
        )

    def _environment(self) -> dict[str, Any]:
        """The trusted half comes first: in a matrix, its values win over what a file says."""
        services = self._args.namespaces["services"]
        return {"list": {"elements": [{"environment": self._args.environment, "namespace": services}]}}

    def _versions(self) -> dict[str, Any]:
        delivery = self._args.delivery
        return {
            "git": {
                "repoURL": delivery.repository,
                "revision": delivery.branch,
                "files": [{"path": f"{delivery.path}/{{{{.environment}}}}/*/version.yaml"}],
            }
        }

    def _application_metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "name": "{{.environment}}-{{.path.basename}}",
            "labels": {**self._args.labels, "ladder.internal/service": "{{.path.basename}}"},
            # Previews run what no pull request built at the digests that stand here: what is wanted, of one commit.
            "annotations": {"ladder.internal/image": "{{.image.digest}}"},
        }
        if not self._args.delivery.keep_when_removed:
            metadata["finalizers"] = ["resources-finalizer.argocd.argoproj.io"]
        return metadata

    def _application_spec(self) -> dict[str, Any]:
        delivery = self._args.delivery
        folder = "$values/{{.path.path}}"
        policy: dict[str, Any] = {
            "syncOptions": ["CreateNamespace=false", "ServerSideApply=true", "FailOnSharedResource=true"],
        }
        if delivery.sync.automated:
            policy["automated"] = {"prune": True, "selfHeal": delivery.sync.self_heal}
        return {
            "project": self._args.name,
            "destination": {"server": IN_CLUSTER, "namespace": "{{.namespace}}"},
            "sources": [
                {
                    "repoURL": delivery.chart,
                    "path": ".",
                    "targetRevision": "{{.chart.digest}}",
                    "helm": {
                        "releaseName": "{{.path.basename}}",
                        "valueFiles": [f"{folder}/values.yaml", f"{folder}/version.yaml"],
                    },
                },
                {"repoURL": delivery.repository, "targetRevision": delivery.branch, "ref": "values"},
            ],
            "syncPolicy": policy,
        }


def rules(kinds: Sequence[DeliveredKind]) -> list[PolicyRuleArgsDict]:
    """What RBAC lets whoever delivers the kinds do with them."""
    groups: dict[str, list[str]] = {}
    for kind in kinds:
        groups.setdefault(kind.group, []).append(kind.resource)
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    return [
        {"api_groups": [group], "resources": sorted(resources), "verbs": verbs}
        for group, resources in sorted(groups.items())
    ]


def _window(window: SyncWindow) -> dict[str, Any]:
    return {
        "kind": window.kind,
        "schedule": window.schedule,
        "duration": window.duration,
        "timeZone": window.time_zone,
        "manualSync": window.manual_sync,
        "applications": ["*"],
    }
