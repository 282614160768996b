"""What every pod that this program declares itself has in common: restricted, with a short-lived token of its own."""

from __future__ import annotations

from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    PodSpecArgsDict,
    ResourceRequirementsArgsDict,
    VolumeArgsDict,
    VolumeMountArgsDict,
)

__all__ = ["API_SERVER", "CLUSTER_AUTHORITY", "CLUSTER_TOKEN", "cluster_access", "restricted"]

API_SERVER = "https://kubernetes.default.svc"
CLUSTER_TOKEN = "/var/run/secrets/ladder/cluster/token"
CLUSTER_AUTHORITY = "/var/run/secrets/ladder/cluster/ca.crt"

_USER = 65532
_TOKEN_SECONDS = 3600


def restricted(
    service_account: str,
    container: ContainerArgsDict,
    volumes: list[VolumeArgsDict],
    *,
    resources: ResourceRequirementsArgsDict,
    stop_seconds: int,
    restart: str = "Always",
) -> PodSpecArgsDict:
    """A pod of one container that the restricted Pod Security Standard accepts; it writes nothing."""
    return {
        "service_account_name": service_account,
        "automount_service_account_token": False,
        "enable_service_links": False,
        "restart_policy": restart,
        "termination_grace_period_seconds": stop_seconds,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": _USER,
            "run_as_group": _USER,
            "fs_group": _USER,
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                **container,
                "image_pull_policy": "IfNotPresent",
                "resources": resources,
                "security_context": {
                    "allow_privilege_escalation": False,
                    "read_only_root_filesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": volumes,
    }


def cluster_access() -> tuple[VolumeArgsDict, VolumeMountArgsDict]:
    """The ServiceAccount's token, an hour long and for the API server alone, and whom to trust there."""
    volume: VolumeArgsDict = {
        "name": "cluster",
        "projected": {
            "default_mode": 0o440,
            "sources": [
                {"service_account_token": {"path": "token", "expiration_seconds": _TOKEN_SECONDS}},
                {"config_map": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            ],
        },
    }
    return volume, {"name": "cluster", "mount_path": "/var/run/secrets/ladder/cluster", "read_only": True}
