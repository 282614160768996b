"""Examining what only a live system can tell, read-only: the cluster, the AWS account, and GitHub."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ladder.contract import StackSettings, ladder_settings, stack_file
from ladder.doctor.diagnosis import Area, Diagnosis, Verdict
from ladder.doctor.github import GitHub, github, repository_of
from ladder.errors import InputError, Problem
from sandbox.progress import Progress

__all__ = ["Area", "Diagnosis", "GitHub", "Verdict", "examine"]

_REPOSITORY = re.compile(r"[A-Za-z0-9-]{1,39}/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}")


def examine(
    root: Path, progress: Progress, *, stack: str | None, areas: Collection[Area], asked: GitHub
) -> Iterator[Diagnosis]:
    """Diagnose the stack, or every one; on GitHub, where no repository is named, the one that is delivered from.

    Raises InputError where the project's files are not sound, and CheckFailed where a stack's program fails.
    """
    if stack is not None:
        stack_file(root, stack)
    stacks = {name: each for name, each in ladder_settings(root).items() if stack in {None, name}}
    for name, settings in stacks.items() if {Area.CLUSTER, Area.AWS} & set(areas) else ():
        yield from _stack(root, progress, name, settings, areas)
    if Area.GITHUB in areas:
        progress.step("ask GitHub")
        yield from github(root, _named(asked, stacks), stacks)


def _stack(
    root: Path, progress: Progress, name: str, settings: StackSettings, areas: Collection[Area]
) -> Iterator[Diagnosis]:
    from ladder.recorder import record

    progress.step(f"record {name}")
    recording = record(settings, stack=name, root=root)
    if Area.CLUSTER in areas:
        from ladder.doctor.cluster import Cluster, cluster
        from ladder.doctor.kinds import declared, rendered

        kinds = declared(recording) | rendered(root, settings, progress)
        progress.step(f"ask the cluster of {name}")
        yield from cluster(Cluster(name, settings, recording, kinds))
    if Area.AWS in areas:
        from ladder.doctor.aws import aws

        progress.step(f"ask the account of {name}")
        yield from aws(name, settings, recording)


def _named(asked: GitHub, stacks: Mapping[str, StackSettings]) -> GitHub:
    repository = asked.repository or repository_of(stacks)
    if not _REPOSITORY.fullmatch(repository):
        message, example = "names no repository of GitHub", "--repository acme/environment-ladder"
        raise InputError(
            Problem(file="--repository", message=message, found=repository, accepted="owner/name", example=example)
        )
    return replace(asked, repository=repository)
