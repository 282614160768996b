"""Where pods may call to: what the network policies of several components have in common."""

from __future__ import annotations

from urllib.parse import urlsplit

from pulumi_kubernetes.networking.v1 import (
    NetworkPolicyEgressRuleArgsDict,
    NetworkPolicyPeerArgsDict,
    NetworkPolicyPortArgsDict,
)

__all__ = ["dns", "to_the_outside"]


def dns() -> NetworkPolicyEgressRuleArgsDict:
    """Names are asked of the cluster's own servers."""
    ports: list[NetworkPolicyPortArgsDict] = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    to: NetworkPolicyPeerArgsDict = {
        "namespace_selector": {"match_labels": {"kubernetes.io/metadata.name": "kube-system"}},
        "pod_selector": {"match_labels": {"k8s-app": "kube-dns"}},
    }
    return {"to": [to], "ports": ports}


def to_the_outside(*urls: str) -> NetworkPolicyEgressRuleArgsDict:
    """To anywhere but a machine's metadata service, at the ports of TLS, of the API server and of the URLs.

    The API server's address is not known here.
    """
    own = {port for url in urls if (port := urlsplit(url).port) is not None}
    ports: list[NetworkPolicyPortArgsDict] = [{"port": port, "protocol": "TCP"} for port in sorted({443, 6443, *own})]
    return {"to": [{"ip_block": {"cidr": "0.0.0.0/0", "except_": ["169.254.0.0/16"]}}], "ports": ports}
