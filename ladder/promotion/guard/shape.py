"""What a pull request may change at all, whatever it holds: no links, no strays, nothing that Argo CD reads unasked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from ladder.contract.promotion import PROMOTION
from ladder.contract.types import DNS_LABEL
from ladder.promotion.guard.findings import Case, Finding
from ladder.promotion.kept import REPORTS
from ladder.proposed import STACK_FILE, odd
from ladder.tree import OVERRIDES, VALUES, VERSION

__all__ = ["misshapen"]

_ATTRIBUTES = ".gitattributes"


def misshapen(case: Case) -> Iterator[Finding]:
    """Files that none of the other rules could read as what they are."""
    ground, delta = case.ground, case.delta
    evidence, services = ground.promotion.evidence.folder, case.services_folder
    gitops = PurePosixPath(services).parent.as_posix()
    files = {PROMOTION, *(path for path in (*delta.before, *delta.after) if STACK_FILE.fullmatch(path))}
    guarded = {evidence, services, *files}
    above = {parent.as_posix() for each in guarded for parent in PurePosixPath(each).parents if parent.name}
    for path in sorted(above & delta.after.keys()):
        yield Finding(path, "stands where a folder must be", "leave the folder as it is")
    inside = {*case.below(gitops), *case.below(evidence), *(guarded & set(delta.changed))}
    there = [delta.after[path] for path in sorted(inside) if path in delta.after]
    # Reports may be larger than data is else; how large is asked of evidence.
    there = [replace(each, size=0) if each.path.startswith(f"{evidence}/{REPORTS}/") else each for each in there]
    for problem in odd(there):
        yield Finding(problem.file, problem.message, f"use {problem.accepted}")
    reads = {"", *(f"{each}/" for each in above | {gitops, evidence, services})}
    for path in sorted(
        path for path in delta.changed if PurePosixPath(path).name == _ATTRIBUTES and path in delta.after
    ):
        folder = path.removesuffix(_ATTRIBUTES)
        if folder in reads or path in inside:
            message = "would have git write other files than it keeps, and others than are looked at here"
            yield Finding(path, message, "no attributes above what is delivered, nor beside it")
    for folder in sorted({PurePosixPath(path).parent.as_posix() for path in case.below(services)}):
        halves = [f"{folder}/{name}" for name in (VALUES, VERSION)]
        if len([path for path in halves if path in delta.after]) == 1:
            yield Finding(folder, "would be half a service", f"{VALUES} and {VERSION} come and go together")
    for path in sorted(inside):
        if path not in delta.after:
            continue
        if PurePosixPath(path).name.startswith(OVERRIDES):
            message = "would override what the files say: Argo CD reads digests and parameters from it"
            yield Finding(path, message, f"settings stand in {VALUES}, digests enter by `ladder promote`")
        elif path.startswith(f"{services}/") and not _of_a_service(case, path):
            yield Finding(
                path, "is none of a service's files", f"{services}/<environment>/<service>/{VALUES} or {VERSION}"
            )


def _of_a_service(case: Case, path: str) -> bool:
    parts = path.removeprefix(f"{case.services_folder}/").split("/")
    if len(parts) != 3:
        return False
    environment, service, file = parts
    return environment in case.ground.stacks and DNS_LABEL.fullmatch(service) is not None and file in {VALUES, VERSION}
