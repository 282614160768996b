"""The backstop: a CronJob beside Argo CD that removes previews whose time is over, and can remove nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob
from pulumi_kubernetes.core.v1 import ConfigMap
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from components.base import Component
from components.network import dns, to_the_outside
from components.pods import API_SERVER, CLUSTER_AUTHORITY, CLUSTER_TOKEN, cluster_access, restricted
from components.rights import Account, create_account, grant, resource_rule
from ladder.contract.previews import Previews
from ladder.contract.stack import Delivery
from ladder.contract.types import duration

__all__ = ["PreviewsReaper", "PreviewsReaperArgs"]

_SETTINGS = "/etc/previews"
_DEADLINE_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class PreviewsReaperArgs:
    """``name`` is that of all its objects and of its ServiceAccount; ``project`` is the previews' AppProject.

    What binds its deletes is admission, which must stand before it runs: ``rails``.
    """

    name: str
    project: str
    previews: Previews
    delivery: Delivery
    labels: Mapping[str, str]
    rails: pulumi.Resource


class PreviewsReaper(Component):
    """It lists and deletes Namespaces and Applications; by admission only those that are previews'."""

    def __init__(self, name: str, args: PreviewsReaperArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self._args = args
        self._selected = {"app.kubernetes.io/name": args.name}
        self._inside = pulumi.ResourceOptions(parent=self)
        bound = self._create_rights(name)
        self._create_network(name)
        settings = ConfigMap(
            name, metadata=self._metadata(), data={"settings.yaml": self._settings()}, opts=self._inside
        )
        self._create_schedule(name, [settings, *bound, args.rails])
        self.register_outputs({"cronJob": args.name})

    def _metadata(self) -> ObjectMetaArgsDict:
        labels = {**self._args.labels, **self._selected}
        return {"name": self._args.name, "namespace": self._args.delivery.namespace, "labels": labels}

    def _create_rights(self, name: str) -> list[pulumi.Resource]:
        labels = {**self._args.labels, **self._selected}
        account = Account(name=self._args.name, namespace=self._args.delivery.namespace, labels=labels)
        after = [create_account(self, name, account), self._args.rails]
        namespaces = [resource_rule("", "namespaces", "delete", "list")]
        applications = [resource_rule("argoproj.io", "applications", "delete", "list")]
        return [
            grant(self, name, account, namespaces, after=after, everywhere=True),
            grant(self, name, account, applications, after=after),
        ]

    def _create_network(self, name: str) -> None:
        NetworkPolicy(
            name,
            metadata=self._metadata(),
            spec={
                "pod_selector": {"match_labels": self._selected},
                "policy_types": ["Ingress", "Egress"],
                "egress": [dns(), to_the_outside()],
            },
            opts=self._inside,
        )

    def _settings(self) -> str:
        """Its configuration, as ``previews.reaper_settings`` has it; JSON is YAML."""
        previews, reaper = self._args.previews, self._args.previews.reaper
        told: dict[str, Any] = {
            "cluster": {
                "url": API_SERVER,
                "namespace": self._args.delivery.namespace,
                "project": self._args.project,
                "token": CLUSTER_TOKEN,
                "authority": CLUSTER_AUTHORITY,
            },
            "grace": reaper.grace,
            "maxAge": previews.max_age,
            "most": reaper.most,
            "dryRun": reaper.dry_run,
        }
        return json.dumps(told, indent=2)

    def _create_schedule(self, name: str, depends_on: list[pulumi.Resource]) -> None:
        volume, mount = cluster_access()
        pod = restricted(
            self._args.name,
            {
                "name": "reaper",
                "image": self._args.previews.program,
                "command": [".venv/bin/python", "-m", "previews.reaper"],
                "args": [f"{_SETTINGS}/settings.yaml"],
                "volume_mounts": [mount, {"name": "settings", "mount_path": _SETTINGS, "read_only": True}],
            },
            [volume, {"name": "settings", "config_map": {"name": self._args.name}}],
            resources={"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
            stop_seconds=30,
            restart="Never",
        )
        CronJob(
            name,
            metadata=self._metadata(),
            spec={
                "schedule": _cron(self._args.previews.reaper.every),
                "time_zone": "Etc/UTC",
                "concurrency_policy": "Forbid",
                "starting_deadline_seconds": _DEADLINE_SECONDS,
                "successful_jobs_history_limit": 1,
                "failed_jobs_history_limit": 3,
                "job_template": {
                    "spec": {
                        "backoff_limit": 0,
                        "active_deadline_seconds": _DEADLINE_SECONDS,
                        "template": {
                            "metadata": {"labels": {**self._args.labels, **self._selected}},
                            "spec": pod,
                        },
                    }
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=depends_on),
        )


def _cron(every: str) -> str:
    """The schedule of what is done every so many minutes or hours; the contract has only those that come out even."""
    time = duration(every)
    hours = time // timedelta(hours=1)
    return f"17 */{hours} * * *" if hours else f"*/{time // timedelta(minutes=1)} * * * *"
