"""Stand-ins for the cluster's Applications and for a registry, as far as the plugin asks them."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.previews.serving import Asked, Reply, StandIn

__all__ = ["CHART", "ClusterStandIn", "RegistryStandIn", "digest", "preview", "service"]

CHART = "oci://registry.example/charts/service"
_VALUES = "https://github.com/acme/environment-ladder"


def digest(text: str) -> str:
    """Some digest, the same for the same text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def service(name: str, image: str | None = None) -> dict[str, Any]:
    """The Application of a service that dev runs."""
    annotations = {"ladder.internal/image": image or digest(f"dev/{name}")}
    sources = [
        {"repoURL": CHART, "path": ".", "targetRevision": digest(f"chart/{name}")},
        {"repoURL": _VALUES, "targetRevision": "main", "ref": "values"},
    ]
    metadata = {"name": f"dev-{name}", "labels": {"ladder.internal/service": name}, "annotations": annotations}
    return {"metadata": metadata, "spec": {"project": "ladder-dev", "sources": sources}}


def preview(number: int, running: str | None) -> dict[str, Any]:
    """The Application of a preview, with the annotation that it was admitted with."""
    annotations = {} if running is None else {"ladder.internal/running": running}
    metadata = {"name": f"pr-{number}", "labels": {}, "annotations": annotations}
    return {"metadata": metadata, "spec": {"project": "ladder-dev-previews", "sources": []}}


@dataclass
class ClusterStandIn(StandIn):
    """Applications by name. Pages are of ``size``, however many are asked for."""

    token: str = "cluster-token"
    applications: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    size: int = 100

    def put(self, *applications: dict[str, Any]) -> None:
        self.applications |= {each["metadata"]["name"]: each for each in applications}

    def reply(self, asked: Asked) -> Reply:
        path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return _json(401, {"kind": "Status"})
        if asked.path != path or asked.query["labelSelector"] != "ladder.internal/environment=dev":
            return _json(404, {"kind": "Status"})
        start = int(asked.query.get("continue", "0"))
        found = [each for _, each in sorted(self.applications.items())]
        rest = {"continue": str(start + self.size)} if len(found) > start + self.size else {}
        items = found[start : start + self.size]
        return _json(200, {"kind": "ApplicationList", "metadata": {"resourceVersion": "1", **rest}, "items": items})


@dataclass
class RegistryStandIn(StandIn):
    """Images by service and tag, in the repository ``acme/previews``."""

    images: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])

    def build(self, name: str, commit: str) -> str:
        """The digest of an image that is there from now on."""
        return self.images.setdefault((name, commit), digest(f"{name}@{commit}"))

    def reply(self, asked: Asked) -> Reply:
        match = re.fullmatch(r"/v2/acme/previews/([a-z]+)/manifests/([0-9a-f]+)", asked.path)
        found = self.images.get((match[1], match[2])) if match and asked.method == "HEAD" else None
        return Reply(404) if found is None else Reply(200, b"", {"Docker-Content-Digest": found})


def _json(status: int, body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
