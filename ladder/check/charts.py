"""Charts of the repository itself: what they make of what an ApplicationSet tells them must guard its namespace.

The namespaces that the program declares are held to the same rule in their recordings.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ladder.check.applications import ChartUse
from ladder.check.findings import Finding, of_problem
from ladder.check.kubernetes_schemas import KubernetesSchemas
from ladder.contract.previews import EXPIRES, MARK
from ladder.errors import InputError
from ladder.helm import Manifest, Release, find, render
from ladder.recording import Recording, Resource
from ladder.rules.namespaces import guarded
from ladder.rules.reading import NAMESPACE, at, name, shown
from sandbox.progress import Progress

__all__ = ["guarding"]

_VALUES = "values.json"


def guarding(root: Path, uses: Sequence[ChartUse], known: KubernetesSchemas, progress: Progress) -> Iterator[Finding]:
    """What is wrong with what the charts make, at every tier that they are told of.

    Raises CheckFailed where Helm cannot be had or cannot work.
    """
    seen: set[tuple[str, str, str]] = set()
    for use in uses:
        for tier in use.values.get("tiers") or (use.values.get("tier"),):
            if (use.folder, use.namespace, str(tier)) not in seen:
                seen.add((use.folder, use.namespace, str(tier)))
                told = replace(use, values={**use.values, "tier": tier})
                yield from _of_one(root, told, known, progress)


def _of_one(root: Path, use: ChartUse, known: KubernetesSchemas, progress: Progress) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory(prefix="chart.") as scratch:
        (Path(scratch) / _VALUES).write_text(json.dumps(use.values), encoding="utf-8")
        release = Release("preview", (Path(_VALUES),), Path(scratch), namespace=use.namespace)
        try:
            made = render(find(progress), root / use.folder, release)
        except InputError as error:
            yield from (of_problem("rendering/chart", problem) for problem in error.problems)
            return
    for manifest in made:
        found = known.problems(manifest.document, file=use.folder, source=manifest.source)
        yield from (of_problem("rendering/chart", problem) for problem in found)
    yield from _unguarded(use, made)


def _unguarded(use: ChartUse, made: Sequence[Manifest]) -> Iterator[Finding]:
    resources = tuple(_resource(use, manifest) for manifest in made)
    recording = Recording(project="", stack="", resources=resources)
    own = next((each for each in recording.of_type(NAMESPACE) if name(each) == use.namespace), None)
    if own is None:
        message = "makes no Namespace, so that nothing guards what is delivered beside it"
        accepted = "a Namespace named as the one it is for, and what guards it"
        yield Finding(rule="rendering/guardrails", where=use.folder, message=message, accepted=accepted)
    else:
        yield from _unmarked(use, own)
    for breach in guarded(recording):
        yield Finding(
            rule="rendering/guardrails",
            where=f"{use.folder}/{breach.resource.urn}",
            path=breach.path,
            message=breach.message,
            found=breach.found,
            accepted=breach.accepted,
        )


def _unmarked(use: ChartUse, namespace: Resource) -> Iterator[Finding]:
    """What the reaper goes by, and so must be there."""
    for kind, key, wanted in (
        ("labels", *MARK),
        ("annotations", EXPIRES, use.values.get("expires")),
    ):
        found = at(namespace.inputs, "metadata", kind, key)
        if found != wanted:
            yield Finding(
                rule="rendering/guardrails",
                where=f"{use.folder}/{namespace.urn}",
                path=f"metadata.{kind}.{key}",
                message="is not there for the reaper, which would never remove it",
                found=shown(found),
                accepted=shown(wanted),
            )


def _resource(use: ChartUse, manifest: Manifest) -> Resource:
    """The object as a recording would have it: the namespace is the one that Argo CD gives it."""
    document: Mapping[str, Any] = manifest.document
    version = document["apiVersion"] if "/" in document["apiVersion"] else f"core/{document['apiVersion']}"
    metadata = {"namespace": use.namespace, **document["metadata"]}
    if document["kind"] == "Namespace":
        del metadata["namespace"]
    type_ = f"kubernetes:{version}:{document['kind']}"
    return Resource(
        urn=manifest.source,
        type=type_,
        name=str(metadata["name"]),
        custom=True,
        inputs={**document, "metadata": metadata},
    )
