"""Checking everything offline: the stacks, the tree, what Argo CD would make of both, and whether they fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ladder import schemas
from ladder.check.applicationsets import Delivery, delivery
from ladder.check.capacity import capacity
from ladder.check.findings import Finding, of_problem, ordered
from ladder.check.granted import granted
from ladder.check.planes import names
from ladder.check.procedures import procedures
from ladder.check.reading import begin_reading
from ladder.check.repository import Repository
from ladder.check.stacks import Stack, environments, preview_folders, unmatched
from ladder.collection import without_collection
from ladder.contract import StackSettings
from ladder.tree import Service, Tree

if TYPE_CHECKING:
    from sandbox.progress import Progress

__all__ = ["Finding", "Report", "check"]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and how much was looked at. ``rendered`` is the number of overlays that were."""

    findings: tuple[Finding, ...]
    stacks: int
    overlays: int
    applications: int
    rendered: int


def check(root: Path, progress: Progress, *, render: bool = True, today: date | None = None) -> Report:
    """Check the project at ``root``; ``render`` also holds what the chart makes of every overlay against schemas.

    What has a last day is judged on ``today``, by default the day that it is (UTC).
    Raises InputError with every problem of the stacks' files and the tree's, and CheckFailed where a stack's program
    fails or what rendering needs cannot be had.
    """
    with without_collection():
        settings, reading = begin_reading(root, progress)
        progress.step("record every stack")
        try:
            stacks = {name: _stack(root, name, each) for name, each in settings.items()}
            findings = [*_stale(root), *_audited(stacks)]
            day = today or datetime.now(UTC).date()
            findings += [finding for stack in stacks.values() for finding in procedures(stack, day)]
        finally:
            tree = reading()
        progress.step("check what is delivered, and that it fits")
        delivered = {name: _delivered(stack, tree, stacks) for name, stack in stacks.items()}
        findings += unmatched(tree, stacks)
        findings += [finding for each in delivered.values() for finding in each.findings]
        for environment in environments(tree, stacks):
            findings += names(tree, environment, stacks)
            findings += capacity(tree, environment)
        if render:
            findings += _rendered(tree, stacks, delivered, progress)
    overlays = sum(len(services) for services in tree.environments.values())
    applications = sum(each.applications for each in delivered.values())
    return Report(tuple(ordered(findings)), len(stacks), overlays, applications, overlays if render else 0)


def _stack(root: Path, name: str, settings: StackSettings) -> Stack:
    from ladder.recorder import record

    recording = record(settings, stack=name, root=root)
    return Stack(root, name, settings, recording, granted(recording))


def _stale(root: Path) -> Iterator[Finding]:
    for name in schemas.stale(root):
        message, accepted = "does not match the contract", "what 'ladder schema' writes"
        yield Finding(rule="schemas/stale", where=name, message=message, accepted=accepted, mend="ladder schema")


def _delivered(stack: Stack, tree: Tree, stacks: Mapping[str, Stack]) -> Delivery:
    return delivery(stack.recording, Repository.of(stack.settings.delivery, tree), _previewed(tree, stacks))


def _previewed(tree: Tree, stacks: Mapping[str, Stack]) -> list[Service]:
    """The services that previews run; where no folder is theirs, any one, so that templates have something to name."""
    folders = [list(tree.environments[name].values()) for name in preview_folders(tree, stacks)]
    return folders[0] if folders else list(tree.services())[:1]


def _audited(stacks: Mapping[str, Stack]) -> Iterator[Finding]:
    from ladder.check.registries import registries
    from ladder.rules import across, within

    recordings = {name: stack.recording for name, stack in stacks.items()}
    for stack in stacks.values():
        yield from within(stack.recording)
        yield from registries(stack)
    yield from across(recordings)


def _rendered(
    tree: Tree, stacks: Mapping[str, Stack], delivered: Mapping[str, Delivery], progress: Progress
) -> Iterator[Finding]:
    from ladder.check.charts import guarding
    from ladder.check.kubernetes_schemas import KubernetesSchemas
    from ladder.check.rendering import GroupKind, permitted, rendering_problems

    known = KubernetesSchemas.load(progress)
    for stack in stacks.values():
        yield from (of_problem("rendering/declared", problem) for problem in known.of_recording(stack.recording))
    for each in delivered.values():
        yield from guarding(tree.root, each.charts, known, progress)
    kinds: dict[str, frozenset[GroupKind]] = {}
    for name, each in delivered.items():
        for environment, projects in each.projects.items():
            for project in projects:
                allowed = permitted(stacks[name].recording, project)
                kinds[environment] = kinds.get(environment, allowed) & allowed
    images = {each.name: list(each.stack.settings.images.registries.values()) for each in environments(tree, stacks)}
    for problem in rendering_problems(tree, known, progress, kinds=kinds, registries=images):
        yield of_problem("rendering/overlay", problem)
