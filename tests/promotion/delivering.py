"""What stands in for an API server with Argo CD behind it: one environment's Applications and their AppProject."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from ladder.contract import StackSettings
from ladder.promotion.statements import Pinned
from tests.previews.serving import Asked, Reply, StandIn

__all__ = ["Cluster", "kubeconfig"]

_BASE = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
_BLOCKED = "Sync operation blocked by sync window"
_DECLARER = "pulumi-kubernetes-0a1b"


@dataclass
class Cluster(StandIn):
    """``head`` is the commit that Argo CD finds when it looks; ``failing`` are Applications whose syncs fail.

    Its windows are closed: a sync is let through where each has ``manualSync``. ``seen`` are the windows it ever had.
    """

    project: dict[str, Any] = field(default_factory=dict[str, Any])
    applications: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    head: str = ""
    failing: Sequence[str] = ()
    endless: bool = False
    """Syncs begin and do not end."""
    conflicts: int = 0
    """How many more patches come too late."""
    seen: list[list[dict[str, Any]]] = field(default_factory=list[list[dict[str, Any]]])
    synced: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    version: int = 1

    def settle(
        self, settings: StackSettings, windows: Sequence[Mapping[str, Any]], versions: Mapping[str, Pinned]
    ) -> None:
        """The environment with these digests, its ApplicationSet's work done, compared with an older commit."""
        name = settings.environment.name
        spec = {"sourceRepos": [], "syncWindows": [dict(each) for each in windows]}
        fields: dict[str, Any] = {"f:spec": {"f:sourceRepos": {}, "f:syncWindows": {}}}
        owner = {"manager": _DECLARER, "operation": "Apply", "fieldsV1": fields}
        self.project = {"metadata": {"name": f"ladder-{name}", "managedFields": [owner]}, "spec": spec}
        for service, each in versions.items():
            sources = [{"repoURL": settings.delivery.chart, "targetRevision": each.chart}, {"ref": "values"}]
            self.applications[f"{name}-{service}"] = {
                "metadata": {"name": f"{name}-{service}", "annotations": {"ladder.internal/image": each.image}},
                "spec": {
                    "project": f"ladder-{name}",
                    "destination": {"namespace": settings.namespace("services")},
                    "sources": sources,
                    "syncPolicy": {"syncOptions": ["ServerSideApply=true"]},
                },
                "status": {"sync": {"status": "OutOfSync", "revisions": [each.chart, self.head]}},
            }

    @property
    def windows(self) -> list[dict[str, Any]]:
        return self.project["spec"]["syncWindows"]

    @property
    def owners(self) -> list[str]:
        """Who holds the windows."""
        fields = self.project["metadata"]["managedFields"]
        return [each["manager"] for each in fields if "f:syncWindows" in each["fieldsV1"]["f:spec"]]

    def reply(self, asked: Asked) -> Reply:
        self._act()
        place = asked.path.removeprefix(_BASE)
        if asked.path.startswith("/version"):
            return _told(200, {"gitVersion": "v1.36.3"})
        found = self._at(place)
        if asked.method == "PATCH" and found is not None:
            return self._patched(found, json.loads(asked.body), asked.query["fieldManager"])
        return _told(200, found) if found is not None else _told(404, {"message": f"{place} not found"})

    def _at(self, place: str) -> dict[str, Any] | None:
        if place == "/applications":
            return {"metadata": {}, "items": [self._versioned(each) for each in self.applications.values()]}
        if place == f"/appprojects/{self.project['metadata']['name']}":
            return self._versioned(self.project)
        return self.applications.get(place.removeprefix("/applications/"))

    def _versioned(self, item: dict[str, Any]) -> dict[str, Any]:
        item["metadata"]["resourceVersion"] = str(self.version)
        return item

    def _patched(self, item: dict[str, Any], patch: dict[str, Any], manager: str) -> Reply:
        expected = patch.get("metadata", {}).pop("resourceVersion", None)
        if expected not in {None, str(self.version)} or self.conflicts:
            self.conflicts = max(0, self.conflicts - 1)
            return _told(409, {"message": "the object has been modified"})
        self.version += 1
        _merge(item, patch)
        if "syncWindows" in patch.get("spec", {}):
            self.seen.append(copy.deepcopy(self.windows))
            fields = self.project["metadata"]["managedFields"]
            for each in fields:
                each["fieldsV1"]["f:spec"].pop("f:syncWindows", None)
            own: dict[str, Any] = {"f:spec": {"f:syncWindows": {}}}
            others = [each for each in fields if each["manager"] != manager]
            owned = {"manager": manager, "operation": "Update", "fieldsV1": own}
            self.project["metadata"]["managedFields"] = [*others, owned]
        return _told(200, self._versioned(item))

    def _act(self) -> None:
        """What Argo CD does between two questions."""
        for name, item in self.applications.items():
            status = item["status"]
            if item["metadata"]["annotations"].pop("argocd.argoproj.io/refresh", None):
                status["sync"]["revisions"][1] = self.head
            if (operation := item.get("operation")) is None:
                continue
            state = {"operation": operation, "phase": "Running", "message": ""}
            status["operationState"] = state
            if not all(each["manualSync"] for each in self.windows):
                state["message"] = _BLOCKED
                continue
            if self.endless:
                continue
            del item["operation"]
            state["phase"], state["message"] = "Succeeded", "successfully synced"
            if name in self.failing:
                state["phase"], state["message"] = "Failed", "one or more objects failed to apply"
            else:
                self.synced[name] = operation["sync"]["revisions"]


def kubeconfig(file: Path, context: str, server: str) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "acme", "cluster": {"server": server}}],
        "users": [{"name": "acme", "user": {"token": "planted-token"}}],
        "contexts": [{"name": context, "context": {"cluster": "acme", "user": "acme"}}],
    }
    file.write_text(yaml.safe_dump(document), encoding="utf-8")


def _merge(item: dict[str, Any], patch: Mapping[str, Any]) -> None:
    """RFC 7396."""
    for key, value in patch.items():
        if value is None:
            item.pop(key, None)
        elif isinstance(value, dict) and isinstance(item.get(key), dict):
            _merge(item[key], cast("dict[str, Any]", value))
        else:
            item[key] = value


def _told(status: int, body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})
