"""The plugin that admits pull requests, beside Argo CD: its Deployment, what it may read, and who may ask it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import (
    ConfigMap,
    KeyToPathArgsDict,
    Service,
    VolumeArgsDict,
    VolumeMountArgsDict,
)
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy, NetworkPolicyPeerArgsDict

from components.base import Component
from components.network import dns, to_the_outside
from components.pods import API_SERVER, CLUSTER_AUTHORITY, CLUSTER_TOKEN, cluster_access, restricted
from components.rights import Account, create_account, grant, resource_rule
from ladder.contract.namespaces import Compute
from ladder.contract.previews import Previews
from ladder.contract.stack import Delivery

__all__ = ["PLUGIN_SECRET", "PreviewsPlugin", "PreviewsPluginArgs"]

PLUGIN_SECRET = "previews-plugin"
"""The Secret an operator puts beside Argo CD: ``token``, ``github``, and ``registry`` where images are private.

Its values are never in configuration.
"""

_PORT = 8080
_SECRETS = "/var/run/secrets/ladder/plugin"
_SETTINGS = "/etc/previews"
_STOP_SECONDS = 40
"""Longer than it takes to answer what was asked (``previews.__main__``)."""


@dataclass(frozen=True, kw_only=True)
class PreviewsPluginArgs:
    """``name`` is the ApplicationSet's, whose questions it answers.

    ``project`` is the previews' AppProject, ``environment_project`` that of the services they run beside; ``selector``
    picks the Applications of both.
    """

    name: str
    project: str
    environment_project: str
    selector: str
    previews: Previews
    delivery: Delivery
    labels: Mapping[str, str]


class PreviewsPlugin(Component):
    """``generator`` is the name of the ConfigMap by which Argo CD finds it."""

    generator: str

    def __init__(self, name: str, args: PreviewsPluginArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._args = args
        self._name = f"{args.name}-plugin"
        self._selected = {"app.kubernetes.io/name": self._name}
        self._inside = pulumi.ResourceOptions(parent=self)
        self.generator = args.name
        reading = self._create_reader(name)
        self._create_network(name)
        settings = self._create_settings(name)
        self._create_deployment(name, [settings, reading])
        self._create_service(name)
        self._create_generator(name)
        self.register_outputs({"generator": self.generator})

    def _metadata(self, name: str = "") -> ObjectMetaArgsDict:
        labels = {**self._args.labels, **self._selected}
        return {"name": name or self._name, "namespace": self._args.delivery.namespace, "labels": labels}

    def _not_awaited(self) -> ObjectMetaArgsDict:
        """Its pod waits for the Secret that an operator puts there; an update does not wait with it."""
        return {**self._metadata(), "annotations": {"pulumi.com/skipAwait": "true"}}

    def _create_reader(self, name: str) -> pulumi.Resource:
        """It lists Applications, and may do nothing else."""
        labels = {**self._args.labels, **self._selected}
        account = Account(name=self._name, namespace=self._args.delivery.namespace, labels=labels)
        after = [create_account(self, name, account)]
        return grant(self, name, account, [resource_rule("argoproj.io", "applications", "list")], after=after)

    def _create_network(self, name: str) -> None:
        """Argo CD's ApplicationSet controller asks, Prometheus reads; it asks GitHub, the registry and the cluster."""
        asking: NetworkPolicyPeerArgsDict = {
            "pod_selector": {"match_labels": {"app.kubernetes.io/name": "argocd-applicationset-controller"}}
        }
        reading: NetworkPolicyPeerArgsDict = {
            "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": self._args.previews.monitoring}}
        }
        NetworkPolicy(
            name,
            metadata=self._metadata(),
            spec={
                "pod_selector": {"match_labels": self._selected},
                "policy_types": ["Ingress", "Egress"],
                "ingress": [
                    {
                        "from_": [asking, reading],
                        "ports": [{"port": _PORT, "protocol": "TCP"}],
                    }
                ],
                "egress": [dns(), to_the_outside(self._args.previews.api, f"https://{self._args.previews.images}")],
            },
            opts=self._inside,
        )

    def _create_settings(self, name: str) -> ConfigMap:
        data = {"settings.yaml": self._settings()}
        return ConfigMap(
            f"{name}-settings", metadata=self._metadata(f"{self._name}-settings"), data=data, opts=self._inside
        )

    def _settings(self) -> str:
        """Its configuration, as ``previews.settings.PluginSettings`` has it; JSON is YAML."""
        previews, delivery = self._args.previews, self._args.delivery
        credentials = f"{_SECRETS}/registry" if previews.private_images else None
        told: dict[str, Any] = {
            "listen": {"host": "0.0.0.0", "port": _PORT},  # noqa: S104 - inside its pod
            "plugin": {"applicationSet": self._args.name, "token": f"{_SECRETS}/token"},
            "github": {
                "url": previews.api,
                "owner": previews.owner,
                "repository": previews.repository,
                "label": previews.label,
                "token": f"{_SECRETS}/github",
            },
            "registry": {
                "url": f"https://{previews.images.partition('/')[0]}",
                "repository": previews.images,
                "credentials": credentials,
                "tokens": None,
            },
            "cluster": {
                "url": API_SERVER,
                "namespace": delivery.namespace,
                "selector": self._args.selector,
                "previews": self._args.project,
                "environment": self._args.environment_project,
                "chart": delivery.chart,
                "token": CLUSTER_TOKEN,
                "authority": CLUSTER_AUTHORITY,
            },
            "limits": {
                "host": previews.host,
                "ttl": previews.ttl,
                "maxAge": previews.max_age,
                "maxCount": previews.max_count,
                "tiers": {tier: _compute(room.quota.requests) for tier, room in sorted(previews.tiers.items())},
                "budget": _compute(previews.budget),
            },
            "keeping": {"fresh": previews.fresh, "stale": previews.stale},
        }
        return json.dumps(told, indent=2)

    def _create_deployment(self, name: str, depends_on: list[pulumi.Resource]) -> None:
        volume, mount = cluster_access()
        volumes: list[VolumeArgsDict] = [
            volume,
            {"name": "plugin", "secret": {"secret_name": PLUGIN_SECRET, "default_mode": 0o440, "items": self._keys()}},
            {"name": "settings", "config_map": {"name": f"{self._name}-settings"}},
        ]
        mounts: list[VolumeMountArgsDict] = [
            mount,
            {"name": "plugin", "mount_path": _SECRETS, "read_only": True},
            {"name": "settings", "mount_path": _SETTINGS, "read_only": True},
        ]
        pod = restricted(
            self._name,
            {
                "name": "plugin",
                "image": self._args.previews.program,
                "args": [f"{_SETTINGS}/settings.yaml"],
                "ports": [{"name": "http", "container_port": _PORT, "protocol": "TCP"}],
                "liveness_probe": {"http_get": {"path": "/healthz", "port": "http"}, "period_seconds": 10},
                "readiness_probe": {"http_get": {"path": "/readyz", "port": "http"}, "period_seconds": 5},
                "volume_mounts": mounts,
            },
            volumes,
            resources={
                "requests": {"cpu": "50m", "memory": "128Mi"},
                "limits": {"cpu": "500m", "memory": "256Mi"},
            },
            stop_seconds=_STOP_SECONDS,
        )
        labels = {**self._args.labels, **self._selected}
        Deployment(
            name,
            metadata=self._not_awaited(),
            spec={
                # One at a time: what it has just admitted counts before the cluster shows it.
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "revision_history_limit": 3,
                "selector": {"match_labels": self._selected},
                "template": {
                    "metadata": {
                        "labels": labels,
                        # They are read at the start. Their text, not its hash: its names are the environment's.
                        "annotations": {"ladder.internal/settings": self._settings()},
                    },
                    "spec": pod,
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=depends_on),
        )

    def _keys(self) -> list[KeyToPathArgsDict]:
        keys = ["github", "registry", "token"] if self._args.previews.private_images else ["github", "token"]
        return [{"key": key, "path": key} for key in keys]

    def _create_service(self, name: str) -> None:
        Service(
            name,
            metadata=self._not_awaited(),
            spec={
                "type": "ClusterIP",
                "selector": self._selected,
                "ports": [{"name": "http", "port": _PORT, "target_port": "http", "protocol": "TCP"}],
            },
            opts=self._inside,
        )

    def _create_generator(self, name: str) -> None:
        ConfigMap(
            name,
            metadata=self._metadata(self.generator),
            data={
                "baseUrl": f"http://{self._name}.{self._args.delivery.namespace}.svc.cluster.local:{_PORT}",
                "token": f"${PLUGIN_SECRET}:token",
                "requestTimeout": "30",
            },
            opts=self._inside,
        )


def _compute(told: Compute) -> dict[str, str]:
    return {"cpu": told.cpu, "memory": told.memory}
