"""The kinds of objects that a stack needs its cluster to serve, from what it declares and what its chart makes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ladder.check.reading import begin_reading
from ladder.check.rendering import release
from ladder.check.stacks import preview_folders
from ladder.contract.previews import Previews
from ladder.contract.stack import StackSettings
from ladder.errors import InputError
from ladder.helm import Manifest, find, render_many
from ladder.recording import Recording
from sandbox.progress import Progress

__all__ = ["Kind", "declared", "rendered"]

Kind = tuple[str, str]
"""An apiVersion, such as ``argoproj.io/v1alpha1``, and a kind."""

_APPLICATION_SET = "ApplicationSet"
_APPLICATION = "Application"


def declared(recording: Recording) -> frozenset[Kind]:
    """The kinds of the recorded objects, and what recorded ApplicationSets make."""
    kinds = {
        (str(resource.inputs["apiVersion"]), str(resource.inputs["kind"]))
        for resource in recording.resources
        if resource.custom and resource.type.startswith("kubernetes:")
    }
    return frozenset(kinds | {(version, _APPLICATION) for version, kind in kinds if kind == _APPLICATION_SET})


def rendered(root: Path, settings: StackSettings, progress: Progress) -> frozenset[Kind]:
    """The kinds of what the chart makes of the stack's overlays, previews' too where it has them.

    Raises InputError where the project's files are not sound, CheckFailed where Helm cannot be had or cannot work.
    """
    every, reading = begin_reading(root, progress)
    tree = reading()
    folders = [settings.environment.name]
    folders += preview_folders(tree, every) if isinstance(settings.previews, Previews) else []
    services = [service for name in folders for service in tree.environments.get(name, {}).values()]
    made = render_many(find(progress), tree.chart, [release(tree, service) for service in services], progress)
    return frozenset(_kinds(objects for _, objects in made))


def _kinds(releases: Iterable[tuple[Manifest, ...] | InputError]) -> Iterator[Kind]:
    for objects in releases:
        if isinstance(objects, InputError):
            raise objects
        for each in objects:
            document: Any = each.document
            yield str(document["apiVersion"]), str(document["kind"])
