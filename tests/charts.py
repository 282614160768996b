"""The service chart rendered by the pinned Helm, and how to look into what comes out."""

from __future__ import annotations

import copy
import functools
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ladder import helm
from ladder.errors import InputError
from ladder.helm import Release, find
from ladder.strict_yaml import load
from sandbox.progress import Silent
from tests.support import ROOT

__all__ = [
    "CHART",
    "ENVIRONMENTS",
    "OVERLAYS",
    "SERVICES",
    "Object",
    "Rendered",
    "changed",
    "overlay_values",
    "refusal",
    "render",
    "rendered",
]

CHART = ROOT / "gitops" / "chart"
TREE = ROOT / "gitops" / "envs"
ENVIRONMENTS = tuple(sorted(path.name for path in TREE.iterdir()))
SERVICES = tuple(sorted({path.name for path in TREE.glob("*/*")}))
OVERLAYS = tuple((path.parent.name, path.name) for path in sorted(TREE.glob("*/*")))

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The objects of one release, in the order Helm gives them."""

    objects: tuple[Object, ...]

    def of(self, kind: str) -> dict[str, Object]:
        """Every object of the kind, by name."""
        return {each["metadata"]["name"]: each for each in self.objects if each["kind"] == kind}

    def one(self, kind: str) -> Object:
        (found,) = self.of(kind).values()
        return found

    def workloads(self) -> Iterator[Object]:
        """What has a pod template."""
        return (each for each in self.objects if "template" in each.get("spec", {}))

    @property
    def rollout(self) -> Object:
        return self.one("Rollout")

    @property
    def pod(self) -> Object:
        """The template of the service's pods."""
        return self.rollout["spec"]["template"]

    @property
    def variables(self) -> dict[str, str]:
        return self.one("ConfigMap")["data"]


@functools.cache
def _helm() -> Path:
    return find(Silent())


def _rendered(service: str, root: Path, files: tuple[Path, ...], chart: Path) -> Rendered:
    manifests = helm.render(_helm(), chart, Release(service, files, root))
    return Rendered(tuple(dict(manifest.document) for manifest in manifests))


def render(service: str, values: Mapping[str, Any], *, chart: Path = CHART) -> Rendered:
    """The chart with both files' values as one mapping. Raises InputError where it refuses them."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "values.yaml").write_text(json.dumps(values), encoding="utf-8")
        return _rendered(service, Path(folder), (Path("values.yaml"),), chart)


def refusal(service: str, values: Mapping[str, Any]) -> str:
    """What is said when the chart refuses the values."""
    with pytest.raises(InputError) as refused:
        render(service, values)
    return str(refused.value)


@functools.cache
def rendered(environment: str, service: str) -> Rendered:
    """A real overlay, from its two files, as Argo CD gives them to Helm."""
    folder = Path("gitops") / "envs" / environment / service
    return _rendered(service, ROOT, (folder / "values.yaml", folder / "version.yaml"), CHART)


@functools.cache
def _values(environment: str, service: str) -> dict[str, Any]:
    folder = TREE / environment / service
    return {**load(folder / "values.yaml").value, **load(folder / "version.yaml").value}


def overlay_values(environment: str, service: str) -> dict[str, Any]:
    """Both files of a real overlay as one mapping, free to be changed."""
    return copy.deepcopy(_values(environment, service))


def changed(environment: str, service: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """A real overlay with other values at dotted paths; ``...`` takes the key away."""
    values = overlay_values(environment, service)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = functools.reduce(lambda within, key: within[key], parents, values)
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return values
