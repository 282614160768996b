"""What the tests of parity share: the shipped ladder, ways to break it in memory, and where recordings are made."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ladder.contract import ladder_settings
from ladder.contract.exceptions import Exceptions
from ladder.contract.overlay import Overlay, Version
from ladder.contract.stack import StackSettings
from ladder.helm import find
from ladder.parity.ladder import Ladder, ladder_of
from ladder.parity.recordings import Recorder
from ladder.parity.rendering import Renderer
from ladder.tree import Service, read_tree
from sandbox.progress import Silent
from tests.overlay_strategies import Case
from tests.support import ROOT, put, settings_of

__all__ = [
    "PARTS",
    "Here",
    "broken",
    "ladder_with",
    "only",
    "recorder_at",
    "renderer_of",
    "service_of",
    "shipped_ladder",
    "small",
]

Changes = Mapping[str, Any]

PARTS = ("contract", "law", "explained", "order", "planes")
"""Of the proof, in their order."""


@functools.cache
def shipped_ladder() -> Ladder:
    """The project as it is."""
    settings = ladder_settings(ROOT)
    return ladder_of(ROOT, settings, read_tree(ROOT, settings["dev"].delivery.path), Exceptions(exceptions={}))


def broken(
    *, stacks: Mapping[str, Changes] | None = None, overlays: Mapping[str, Changes] | None = None, drop: str = ""
) -> Ladder:
    """The shipped ladder with values at dotted paths changed, of stacks and of overlays ``<environment>/<service>``.

    ``drop`` is an overlay taken away.
    """
    ladder = shipped_ladder()
    settings, folders = dict(ladder.settings), {name: dict(each) for name, each in ladder.tree.environments.items()}
    for stack, changes in (stacks or {}).items():
        settings[stack] = changed_settings(settings[stack], changes)
    for place, changes in (overlays or {}).items():
        environment, _, name = place.partition("/")
        service = folders[environment][name]
        folders[environment][name] = replace(service, overlay=changed_overlay(service.overlay, changes))
    if drop:
        environment, _, name = drop.partition("/")
        del folders[environment][name]
    return ladder_of(ROOT, settings, replace(ladder.tree, environments=folders), ladder.exceptions)


def changed_settings(settings: StackSettings, changes: Changes) -> StackSettings:
    sections = settings.model_dump(mode="json", by_alias=True)
    for path, value in changes.items():
        put(sections, path, value)
    return settings_of(sections)


def changed_overlay(overlay: Overlay, changes: Changes) -> Overlay:
    values = overlay.model_dump(mode="json", by_alias=True)
    for path, value in changes.items():
        put(values, path, value)
    return Overlay.model_validate_json(json.dumps(values))


def only(ladder: Ladder, environments: Iterable[str], services: Iterable[str] = ()) -> Ladder:
    """A part of the ladder that is rendered and recorded sooner."""
    kept, wanted = set(services), set(environments)
    every = tuple(
        replace(each, services={name: service for name, service in each.services.items() if name in kept})
        for each in ladder.environments
        if each.name in wanted
    )
    return replace(ladder, environments=every, chosen=every)


def small(*stacks: str) -> Ladder:
    """Stacks with as little as the contract lets them have, and no overlay: what is planted shows as well there."""
    settings: dict[str, StackSettings] = {}
    for stack in stacks:
        own = shipped_ladder().settings[stack].model_dump(mode="json", by_alias=True)
        buckets = {"evidence": own["buckets"]["evidence"]}
        settings[stack] = settings_of({**own, "buckets": buckets, "services": {"web": {"buckets": {}}}})
    tree = replace(shipped_ladder().tree, environments={})
    return ladder_of(ROOT, settings, tree, shipped_ladder().exceptions)


def service_of(case: Case, environment: str) -> Service:
    """A generated service, as the tree would hold it."""
    files = {name: {key: case.values[key] for key in keys} for name, keys in _FILES.items()}
    return Service(
        environment,
        case.service,
        Path("gitops/envs") / environment / case.service,
        Overlay.model_validate_json(json.dumps(files["values"])),
        Version.model_validate_json(json.dumps(files["version"])),
    )


_FILES = {
    "values": [field.alias or name for name, field in Overlay.model_fields.items()],
    "version": [field.alias or name for name, field in Version.model_fields.items()],
}


def ladder_with(*services: Service) -> Ladder:
    """A ladder of nothing but these services, in the environments that they name."""
    folders: dict[str, dict[str, Service]] = {}
    for service in services:
        folders.setdefault(service.environment, {})[service.name] = service
    settings = {name: each for name, each in shipped_ladder().settings.items() if name in folders}
    tree = replace(shipped_ladder().tree, environments=folders)
    return ladder_of(ROOT, settings, tree, shipped_ladder().exceptions)


class Here(Executor):
    """Does everything in this process, where the SDK is imported already."""

    def map(self, fn: Callable[..., Any], *iterables: Iterable[Any], **options: Any) -> Iterator[Any]:
        return map(fn, *iterables)


def recorder_at(root: Path) -> Recorder:
    return Recorder(Here(), root, Silent())


@contextmanager
def renderer_of(chart: Path) -> Generator[Renderer]:
    with tempfile.TemporaryDirectory() as scratch:
        yield Renderer(find(Silent()), chart, Path(scratch), Silent())
