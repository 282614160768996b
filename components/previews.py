"""Previews: a pull request's environment, as Argo CD is told of it. What is admitted is decided by the plugin."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import ConfigMap
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

from components.admission import ImageAdmission, ImageAdmissionArgs
from components.base import Component
from components.delivery import DELIVERED_KINDS, IN_CLUSTER
from ladder.contract.stack import Delivery, Previews
from ladder.contract.types import duration

__all__ = ["PullRequestPreviews", "PullRequestPreviewsArgs"]

PLUGIN_SECRET = "previews-plugin"
"""The Secret (keys ``token`` and ``github``) an operator puts beside Argo CD; its values are never in configuration."""

_NAMESPACES = "^pr-[1-9][0-9]*$"

_NOT_IN_PREVIEWS = frozenset({"ExternalSecret"})
_TEMPLATE_PATCH = """\
spec:
  sources:
    - repoURL: {repository}
      targetRevision: {branch}
      ref: values
{{{{- range .services }}}}
    - repoURL: {chart}
      path: "."
      targetRevision: {{{{ .chart | toJson }}}}
      helm:
        releaseName: {{{{ .name | toJson }}}}
        valueFiles:
          - {{{{ printf "$values/{path}/preview/%s/values.yaml" .name | toJson }}}}
        valuesObject:
          image:
            digest: {{{{ .digest | toJson }}}}
{{{{- end }}}}
"""


@dataclass(frozen=True, kw_only=True)
class PullRequestPreviewsArgs:
    """``name`` is the AppProject's, ApplicationSet's and ConfigMap's."""

    name: str
    previews: Previews
    delivery: Delivery
    registries: Sequence[str]
    labels: Mapping[str, str]


class PullRequestPreviews(Component):
    """One Application ``pr-<n>`` per admitted pull request. ``project`` and ``application_set`` are names."""

    project: str
    application_set: str

    def __init__(self, name: str, args: PullRequestPreviewsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._args = args
        self.project = self.application_set = args.name
        project = self._create_project(name)
        plugin = self._create_plugin(name)
        images = self._create_image_admission(name)
        self._create_application_set(name, [project, plugin, images])
        self.register_outputs({"project": self.project, "applicationSet": self.application_set})

    def _metadata(self) -> ObjectMetaArgsDict:
        return {"name": self._args.name, "namespace": self._args.delivery.namespace, "labels": dict(self._args.labels)}

    def _create_project(self, name: str) -> CustomResource:
        delivery = self._args.delivery
        kinds = [kind for kind in DELIVERED_KINDS if kind.kind not in _NOT_IN_PREVIEWS]
        guardrails = [{"group": "", "kind": "LimitRange"}, {"group": "", "kind": "ResourceQuota"}]
        return CustomResource(
            name,
            api_version="argoproj.io/v1alpha1",
            kind="AppProject",
            metadata=self._metadata(),
            spec={
                "description": "Environments of pull requests",
                "sourceRepos": sorted([delivery.repository, delivery.chart]),
                "destinations": [{"server": IN_CLUSTER, "namespace": "pr-*"}],
                "clusterResourceWhitelist": [{"group": "", "kind": "Namespace", "name": "pr-*"}],
                "namespaceResourceWhitelist": [
                    *({"group": kind.group, "kind": kind.kind} for kind in kinds),
                    *guardrails,
                ],
            },
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _create_image_admission(self, name: str) -> ImageAdmission:
        args = ImageAdmissionArgs(
            policy=f"{self._args.name}-images",
            namespace_pattern=_NAMESPACES,
            registries=self._args.registries,
            labels=self._args.labels,
            real_data=False,
        )
        return ImageAdmission(f"{name}-images", args, pulumi.ResourceOptions(parent=self))

    def _create_plugin(self, name: str) -> ConfigMap:
        return ConfigMap(
            name,
            metadata=self._metadata(),
            data={
                "baseUrl": f"http://previews.{self._args.delivery.namespace}.svc.cluster.local",
                "token": f"${PLUGIN_SECRET}:token",
                "requestTimeout": "30",
            },
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _create_application_set(self, name: str, depends_on: list[pulumi.Resource]) -> None:
        delivery = self._args.delivery
        patch = _TEMPLATE_PATCH.format(
            repository=json.dumps(delivery.repository),
            branch=json.dumps(delivery.branch),
            chart=json.dumps(delivery.chart),
            path=delivery.path,
        )
        CustomResource(
            name,
            api_version="argoproj.io/v1alpha1",
            kind="ApplicationSet",
            metadata=self._metadata(),
            spec={
                "goTemplate": True,
                "goTemplateOptions": ["missingkey=error"],
                "generators": [{"matrix": {"generators": [self._pull_requests(), self._plugin()]}}],
                "syncPolicy": {"applicationsSync": "sync", "preserveResourcesOnDeletion": False},
                "template": self._template(),
                "templatePatch": patch,
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=depends_on),
        )

    def _requeue_seconds(self) -> int:
        return max(1, int(duration(self._args.previews.requeue).total_seconds()))

    def _pull_requests(self) -> dict[str, Any]:
        previews = self._args.previews
        github = {
            "owner": previews.owner,
            "repo": previews.repository,
            "labels": [previews.label],
            "tokenRef": {"secretName": PLUGIN_SECRET, "key": "github"},
        }
        return {
            "pullRequest": {
                "github": github,
                "requeueAfterSeconds": self._requeue_seconds(),
                "continueOnRepoNotFoundError": False,
            }
        }

    def _plugin(self) -> dict[str, Any]:
        return {
            "plugin": {
                "configMapRef": {"name": self._args.name},
                "input": {"parameters": self._question()},
                "requeueAfterSeconds": self._requeue_seconds(),
            }
        }

    def _question(self) -> dict[str, Any]:
        """What the plugin is asked: which pull request, and within which bounds."""
        previews = self._args.previews
        bounds = {"host": previews.host, "ttl": previews.ttl, "maxCount": previews.max_count}
        return {"number": "{{.number}}", "headSha": "{{.head_sha}}", **bounds}

    def _template(self) -> dict[str, Any]:
        return {
            "metadata": {
                "name": "pr-{{.number}}",
                "labels": dict(self._args.labels),
                "finalizers": ["resources-finalizer.argocd.argoproj.io"],
            },
            "spec": {
                "project": self._args.name,
                "destination": {"server": IN_CLUSTER, "namespace": "pr-{{.number}}"},
                "sources": [],
                "syncPolicy": {
                    "automated": {"prune": True, "selfHeal": True},
                    "syncOptions": ["CreateNamespace=false", "ServerSideApply=true"],
                },
            },
        }
