"""Previews: a pull request's environment, as Argo CD is told of it. What is admitted is decided by the plugin."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

from components.admission import (
    HostAdmission,
    HostAdmissionArgs,
    ImageAdmission,
    ImageAdmissionArgs,
)
from components.base import Component
from components.delivery import DELIVERED_KINDS, IN_CLUSTER, DeliveredKind, rules
from components.namespace import hard, pod_security
from components.previews_plugin import PLUGIN_SECRET, PreviewsPlugin, PreviewsPluginArgs
from components.previews_rails import PreviewRails, PreviewRailsArgs
from components.previews_reaper import PreviewsReaper, PreviewsReaperArgs
from components.rights import Account, create_account, grant
from ladder.contract.namespaces import NamespaceSettings
from ladder.contract.previews import EXPIRES, MARK, PLACEHOLDER, PREVIEW_NAMESPACES, Previews
from ladder.contract.stack import Delivery
from ladder.contract.types import duration

__all__ = ["PullRequestPreviews", "PullRequestPreviewsArgs"]

_GUARDRAILS = (
    DeliveredKind("", "LimitRange", "limitranges"),
    DeliveredKind("", "ResourceQuota", "resourcequotas"),
)
_KINDS = (*(kind for kind in DELIVERED_KINDS if kind.kind != "ExternalSecret"), *_GUARDRAILS)
"""What a preview is made of inside of its namespace: no secret from anywhere."""

_NAMESPACE_LABELS = {**dict([MARK]), **pod_security()}

_TEMPLATE_PATCH = """\
spec:
  sources:
    - repoURL: {repository}
      targetRevision: {branch}
      path: {folder}
      ref: values
      helm:
        releaseName: preview
        valuesObject:
          labels: {labels}
          expires: {{{{ .expires | toJson }}}}
          tier: {{{{ .tier | toJson }}}}
          tiers: {tiers}
{{{{- $preview := . }}}}
{{{{- range .services }}}}
    - repoURL: {chart}
      path: "."
      targetRevision: {{{{ .chart | toJson }}}}
      helm:
        releaseName: {{{{ .name | toJson }}}}
        valueFiles:
          - {{{{ printf "$values/{path}/preview/%s/values.yaml" .name | toJson }}}}
          - {{{{ printf "$values/{path}/preview/%s/version.yaml" .name | toJson }}}}
        valuesObject:
          tier: {{{{ $preview.tier | toJson }}}}
          image:
            digest: {{{{ .digest | toJson }}}}
          instance:
            placeholder: {placeholder}
            name: {{{{ printf "pr-%s" $preview.number | toJson }}}}
            seed: {{{{ $preview.seed | toJson }}}}
{{{{- if .repository }}}}
          service:
            image: {{{{ .repository | toJson }}}}
{{{{- end }}}}
{{{{- end }}}}
"""


@dataclass(frozen=True, kw_only=True)
class PullRequestPreviewsArgs:
    """``name`` is the AppProject's, ApplicationSet's, ConfigMap's, and that of the ServiceAccount that delivers.

    ``environment_project`` is the AppProject of the services that previews run beside; ``selector`` picks the
    Applications of both.
    """

    name: str
    environment_project: str
    selector: str
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
        rails = self._create_rails(name)
        project = self._create_project(name)
        deliverer = self._create_deliverer(name, rails)
        plugin = self._create_plugin(name)
        images = self._create_image_admission(name)
        hosts = self._create_host_admission(name)
        self._create_application_set(name, [project, deliverer, plugin, images, hosts])
        self._create_reaper(name, rails)
        self.register_outputs({"project": self.project, "applicationSet": self.application_set})

    def _metadata(self) -> ObjectMetaArgsDict:
        return {"name": self._args.name, "namespace": self._args.delivery.namespace, "labels": dict(self._args.labels)}

    def _create_project(self, name: str) -> CustomResource:
        delivery = self._args.delivery
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
                "namespaceResourceWhitelist": [{"group": kind.group, "kind": kind.kind} for kind in _KINDS],
                "destinationServiceAccounts": [
                    {
                        "server": IN_CLUSTER,
                        "namespace": "pr-*",
                        "defaultServiceAccount": f"{delivery.namespace}:{self._args.name}",
                    }
                ],
            },
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _create_image_admission(self, name: str) -> ImageAdmission:
        args = ImageAdmissionArgs(
            policy=f"{self._args.name}-images",
            namespace_pattern=PREVIEW_NAMESPACES,
            registries=[*self._args.registries, self._args.previews.images],
            labels=self._args.labels,
            real_data=False,
        )
        return ImageAdmission(f"{name}-images", args, pulumi.ResourceOptions(parent=self))

    def _create_host_admission(self, name: str) -> HostAdmission:
        args = HostAdmissionArgs(
            policy=f"{self._args.name}-hosts",
            namespace_pattern=PREVIEW_NAMESPACES,
            domain=self._args.previews.host,
            labels=self._args.labels,
            real_data=False,
        )
        return HostAdmission(f"{name}-hosts", args, pulumi.ResourceOptions(parent=self))

    def _create_rails(self, name: str) -> PreviewRails:
        namespace = self._args.delivery.namespace
        writers = [self._args.name, self._reaper]
        args = PreviewRailsArgs(
            policy=self._args.name,
            pattern=PREVIEW_NAMESPACES,
            namespace_labels=_NAMESPACE_LABELS,
            writers=[f"system:serviceaccount:{namespace}:{writer}" for writer in writers],
            applications=namespace,
            labels=self._args.labels,
        )
        return PreviewRails(f"{name}-rails", args, pulumi.ResourceOptions(parent=self))

    @property
    def _reaper(self) -> str:
        return f"{self._args.name}-reaper"

    def _create_deliverer(self, name: str, rails: PreviewRails) -> pulumi.Resource:
        """As whom Argo CD makes previews. Their namespaces are not there yet, so that RBAC can name none of them."""
        args = self._args
        account = Account(name=args.name, namespace=args.delivery.namespace, labels=args.labels)
        making = rules([*_KINDS, DeliveredKind("", "Namespace", "namespaces")])
        after = [create_account(self, name, account), rails]
        return grant(self, name, account, making, after=after, everywhere=True)

    def _create_plugin(self, name: str) -> PreviewsPlugin:
        args = PreviewsPluginArgs(
            name=self._args.name,
            project=self._args.name,
            environment_project=self._args.environment_project,
            selector=self._args.selector,
            previews=self._args.previews,
            delivery=self._args.delivery,
            labels=self._args.labels,
        )
        return PreviewsPlugin(f"{name}-plugin", args, pulumi.ResourceOptions(parent=self))

    def _create_reaper(self, name: str, rails: PreviewRails) -> None:
        args = PreviewsReaperArgs(
            name=self._reaper,
            project=self._args.name,
            previews=self._args.previews,
            delivery=self._args.delivery,
            labels=self._args.labels,
            rails=rails,
        )
        PreviewsReaper(f"{name}-reaper", args, pulumi.ResourceOptions(parent=self))

    def _create_application_set(self, name: str, depends_on: list[pulumi.Resource]) -> None:
        delivery = self._args.delivery
        patch = _TEMPLATE_PATCH.format(
            repository=json.dumps(delivery.repository),
            branch=json.dumps(delivery.branch),
            chart=json.dumps(delivery.chart),
            path=delivery.path,
            folder=json.dumps(self._args.previews.folder),
            placeholder=PLACEHOLDER,
            labels=json.dumps({**self._args.labels, "app.kubernetes.io/managed-by": "argocd", **_NAMESPACE_LABELS}),
            tiers=json.dumps({tier: _room(room) for tier, room in sorted(self._args.previews.tiers.items())}),
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
            "api": previews.api,
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
        """What the plugin is asked: which pull request. Its bounds are its own, whoever asks."""
        return {"number": "{{.number}}", "headSha": "{{.head_sha}}"}

    def _template(self) -> dict[str, Any]:
        return {
            "metadata": {
                "name": "pr-{{.number}}",
                "labels": dict(self._args.labels),
                "annotations": self._annotations(),
                "finalizers": ["resources-finalizer.argocd.argoproj.io"],
            },
            "spec": {
                "project": self._args.name,
                "destination": {"server": IN_CLUSTER, "namespace": "pr-{{.number}}"},
                "sources": [],
                "syncPolicy": {
                    "automated": {"prune": True, "selfHeal": True},
                    # Else Argo CD gives up after minutes, and only another push brings it back.
                    "retry": {"limit": -1, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "5m"}},
                    "syncOptions": ["CreateNamespace=false", "ServerSideApply=true", "FailOnSharedResource=true"],
                },
            },
        }

    def _annotations(self) -> dict[str, str]:
        """What the plugin finds its last answer by, and what people are told of (``gitops/argocd``)."""
        previews = self._args.previews
        public = previews.api == "https://api.github.com"
        web = "https://github.com" if public else previews.api.removesuffix("/api/v3")
        return {
            "ladder.internal/running": "{{.running}}",
            EXPIRES: "{{.expires}}",
            "ladder.internal/head": "{{.sha}}",
            "ladder.internal/host": "{{.host}}",
            "ladder.internal/tier": "{{.tier}}",
            "ladder.internal/repository": f"{web}/{previews.owner}/{previews.repository}",
            # What Argo CD remembers to have said: a new head, or a new end, is said again.
            "notifications.argoproj.io/subscribe.ladder-preview.ladder-previews": "{{.sha}}/{{.expires}}",
        }


def _room(room: NamespaceSettings) -> dict[str, Any]:
    """As ``ladder.contract.preview_values.Room`` has it."""
    given = room.containers
    containers = {"default": given.limit, "defaultRequest": given.request, "max": given.max}
    return {"quota": hard(room.quota), "containers": {key: each.model_dump() for key, each in containers.items()}}
