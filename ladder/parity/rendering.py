"""Many renderings of overlays at once, by stock Helm, of values that stand in no file of the tree."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ladder.errors import InputError
from ladder.helm import Manifest, Release, render_many
from ladder.tree import VALUES, Service
from sandbox.progress import Progress

__all__ = ["Given", "Objects", "Renderer", "objects", "values_of"]

Objects = dict[str, Any]
"""What a chart makes, each by its kind and name."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a chart is given: a service, other values for it, and the namespace it is said to be for."""

    service: Service
    values: Mapping[str, Any]
    namespace: str


def values_of(service: Service) -> dict[str, Any]:
    """The values of both of the service's files, as the chart is given them."""
    return {**service.overlay.model_dump(mode="json", by_alias=True), **service.version.model_dump(mode="json")}


class Renderer:
    """Renders with the chart at ``chart``; writes values to the directory ``scratch``."""

    def __init__(self, helm: Path, chart: Path, scratch: Path, progress: Progress) -> None:
        self._helm = helm
        self._chart = chart
        self._scratch = scratch
        self._progress = progress
        self._written = 0

    def render(self, given: Iterable[Given]) -> Iterator[tuple[Manifest, ...] | InputError]:
        """What the chart makes of each, in the order given; in place of it, what the values are refused for."""
        releases = [self._release(each) for each in given]
        for _, made in render_many(self._helm, self._chart, releases, self._progress):
            yield made

    def _release(self, given: Given) -> Release:
        """Each in a root of its own, under the name that what is refused is to be told by."""
        self._written += 1
        root, file = self._scratch / str(self._written), given.service.folder / VALUES
        (root / file).parent.mkdir(parents=True)
        (root / file).write_text(json.dumps(given.values), encoding="utf-8")
        return Release(given.service.name, (file,), root, given.namespace)


def objects(manifests: Iterable[Manifest]) -> Objects:
    """The manifests as values that can be compared."""
    return {f"{each.document.get('kind')} {_name(each.document)}": dict(each.document) for each in manifests}


def _name(document: Mapping[str, Any]) -> str:
    metadata: Any = document.get("metadata")
    return str(cast("Mapping[str, Any]", metadata).get("name", "")) if isinstance(metadata, Mapping) else ""
