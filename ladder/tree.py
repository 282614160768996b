"""The GitOps tree: every service of every environment, read strictly and held to the contract.

``<path>/<environment>/<service>/{values,version}.yaml``, beside ``<path>/../chart``. Adding a service or an environment
is adding a folder.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from ladder.contract.exceptions import Place, live, read_exceptions
from ladder.contract.overlay import Overlay, Version
from ladder.contract.overlay_rules import within_overlay
from ladder.contract.problems import FileKind, checked, of_violation
from ladder.contract.stack import RESERVED_SERVICE_ACCOUNTS
from ladder.contract.tree_rules import across_environments, of_environment, within_environment
from ladder.contract.types import DNS_LABEL
from ladder.contract.violations import Violation
from ladder.errors import InputError, Problem
from ladder.strict_yaml import examine

__all__ = ["CHART", "OVERRIDES", "VALUES", "VERSION", "Service", "Tree", "begin_tree", "read_tree"]

VALUES = "values.yaml"
VERSION = "version.yaml"
CHART = "chart"
"""The chart's folder, beside the environments'."""

LONGEST_ENVIRONMENT = 20
LONGEST_SERVICE = 40
"""Helm takes 53 for a release's name; what the chart adds to it must fit 63."""

_KINDS = {VALUES: FileKind(Overlay), VERSION: FileKind(Version)}
OVERRIDES = ".argocd-source"
_WORTH_PROCESSES = 200
_Model = TypeVar("_Model", bound=BaseModel)
_Rules = Callable[[_Model], Iterator[Violation]]


@dataclass(frozen=True, slots=True)
class Service:
    """One service in one environment. ``folder`` is relative to the project's root."""

    environment: str
    name: str
    folder: Path
    overlay: Overlay
    version: Version


@dataclass(frozen=True, slots=True)
class Tree:
    """Everything Argo CD is pointed at. ``environments`` maps an environment to its services, both sorted by name."""

    root: Path
    path: Path
    environments: Mapping[str, Mapping[str, Service]]

    @property
    def chart(self) -> Path:
        """The chart's folder, absolute."""
        return self.root / self.path.parent / CHART

    def services(self) -> Iterator[Service]:
        """Every service of every environment."""
        for services in self.environments.values():
            yield from services.values()

    def overlays(self) -> dict[str, dict[str, Overlay]]:
        """Every overlay, by environment and service."""
        return {
            environment: {name: service.overlay for name, service in services.items()}
            for environment, services in self.environments.items()
        }

    def problem(self, service: Service, violation: Violation, *, file: str = VALUES) -> Problem:
        """A violation of a joined rule, with the line it stands on."""
        path = service.folder / file
        document = examine(self.root / path, name=path.as_posix())
        return of_violation(violation, document, (), _KINDS[file])


def read_tree(root: Path, path: str | Path, *, processes: int | None = None, equal: bool = True) -> Tree:
    """Read the tree at ``path`` below ``root``; large ones by several processes.

    Raises InputError with every problem found: what is no plain file or folder of the tree, what is not YAML, what the
    contract refuses, what joins badly, and, unless ``equal`` is false, what differs between environments and has no
    reason to, nor an exception.
    """
    return begin_tree(root, path, processes=processes, equal=equal)()


def begin_tree(root: Path, path: str | Path, *, processes: int | None = None, equal: bool = True) -> Callable[[], Tree]:
    """Begin to read the tree; the answer waits for it, as :func:`read_tree` does.

    Processes are begun at once: do so before threads are, and before what they would inherit grows large.
    """
    path = Path(path)
    folders, problems = _folders(root, path)
    begun = _begin_all(root, folders, processes)
    return partial(_finish, Tree(root, path, {}), folders, problems, begun, equal=equal)


def _finish(
    empty: Tree, folders: Sequence[_Folder], problems: list[Problem], begun: Iterator[_Read], *, equal: bool
) -> Tree:
    read: dict[str, dict[str, Service]] = {environment: {} for environment, _, _ in folders}
    for service, found in begun:
        problems += found
        if service is not None:
            read[service.environment][service.name] = service
    tree = replace(empty, environments={name: dict(sorted(read[name].items())) for name in sorted(read)})
    excepted: Collection[Place] | None = None
    try:
        excepted = live(read_exceptions(tree.root)) if equal else None
    except InputError as error:
        problems += error.problems
    if not problems:
        problems += _joined(tree, excepted)
    if problems:
        raise InputError(sorted(problems, key=lambda problem: (problem.file, problem.line)))
    return tree


_Folder = tuple[str, str, Path]
_Read = tuple[Service | None, list[Problem]]


def _folders(root: Path, path: Path) -> tuple[list[_Folder], list[Problem]]:
    """Environment, service and folder of every overlay, and what in the tree is none."""
    problems = list(_strays(root, path.parent))
    if not (root / path).is_dir():
        accepted = "a folder of environments, as delivery.path of the stack files says"
        raise InputError([*problems, _odd(path, "is not there", "no folder", accepted)])
    folders: list[_Folder] = []
    for environment in _entries(root, path, "an environment", LONGEST_ENVIRONMENT, problems):
        below = path / environment
        found = _entries(root, below, "a service", LONGEST_SERVICE, problems)
        if not found:
            problems.append(_odd(below, "is an environment without a service", "no folder", f"{below}/<service>/"))
        for service in found:
            folders.append((environment, service, below / service))
            if service in RESERVED_SERVICE_ACCOUNTS:
                accepted = "another name: this ServiceAccount is the environment's own"
                problems.append(_odd(below / service, "is a reserved name", service, accepted))
    return folders, problems


def _entries(root: Path, folder: Path, what: str, longest: int, problems: list[Problem]) -> list[str]:
    names: list[str] = []
    with os.scandir(root / folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            if entry.is_symlink() or entry.name.startswith(OVERRIDES):
                continue
            place = folder / entry.name
            if not entry.is_dir():
                accepted = f"a folder for each: {folder}/<{what.partition(' ')[2]}>/"
                problems.append(_odd(place, f"is a file where {what} is expected", entry.name, accepted))
            elif not DNS_LABEL.fullmatch(entry.name) or len(entry.name) > longest:
                accepted = f"a DNS label of at most {longest}: a-z, 0-9 and -, a letter first"
                problems.append(_odd(place, f"is not the name of {what}", entry.name, accepted))
            else:
                names.append(entry.name)
    return names


def _strays(root: Path, folder: Path) -> Iterator[Problem]:
    """What would change what is delivered without a change of what is reviewed: links, and Argo CD's override files."""
    for directory, folders, files in os.walk(root / folder):
        here = Path(directory).relative_to(root)
        for name in sorted((*folders, *files)):
            place = here / name
            if (root / place).is_symlink():
                target = (root / place).readlink()
                yield _odd(place, "is a symbolic link", f"-> {target}", "a file or folder of the tree itself")
            elif name.startswith(OVERRIDES):
                yield _odd(
                    place,
                    "overrides what the files say: Argo CD would read parameters, the digest included, from it",
                    name,
                    f"no such file; a service's settings stand in {VALUES} and {VERSION}",
                )


def _begin_all(root: Path, folders: Sequence[_Folder], processes: int | None) -> Iterator[_Read]:
    processes = processes or os.cpu_count() or 1
    read = partial(_read, root)
    if len(folders) < _WORTH_PROCESSES or processes < 2:
        return map(read, folders)
    # Models are many and in no cycle: looking for cycles among them would take a quarter of the time.
    pool = ProcessPoolExecutor(processes, initializer=gc.disable)
    results = pool.map(read, folders, chunksize=max(1, len(folders) // (processes * 8)))
    pool.shutdown(wait=False)
    return results


def _read(root: Path, place: _Folder) -> _Read:
    environment, name, folder = place
    at = root / folder
    with os.scandir(at) as entries:
        links = {entry.name: entry.is_symlink() for entry in entries}
    problems = _unexpected(folder, links)
    linked = {file for file, link in links.items() if link}
    overlay = None if VALUES in linked else _parse(at, folder, VALUES, Overlay, problems, partial(within_overlay, name))
    version = None if VERSION in linked else _parse(at, folder, VERSION, Version, problems, _no_rules)
    if overlay is None or version is None or problems:
        return None, problems
    return Service(environment, name, folder, overlay, version), problems


def _no_rules(_: Version) -> Iterator[Violation]:
    return iter(())


def _unexpected(folder: Path, links: Mapping[str, bool]) -> list[Problem]:
    """What is in a folder, by name and whether it is a link, and is neither an overlay's nor told of already."""
    accepted = f"{VALUES} and {VERSION}, nothing else"
    return [
        _odd(folder / name, "is not part of an overlay", name, accepted)
        for name, link in sorted(links.items())
        if name not in _KINDS and not name.startswith(OVERRIDES) and not link
    ]


def _parse(
    at: Path, folder: Path, name: str, model: type[_Model], problems: list[Problem], rules: _Rules[_Model]
) -> _Model | None:
    try:
        document = examine(at / name, name=f"{folder.as_posix()}/{name}")
    except InputError as error:
        problems.extend(error.problems)
        return None
    value, found = checked(document, model)
    problems.extend(found)
    if value is not None:
        problems.extend(of_violation(violation, document, (), _KINDS[name]) for violation in rules(value))
    return value


def _joined(tree: Tree, excepted: Collection[Place] | None) -> Iterator[Problem]:
    """What joins badly; None leaves equality to others."""
    for environment, services in tree.overlays().items():
        for name, violation in (*within_environment(services), *of_environment(environment, services)):
            yield tree.problem(tree.environments[environment][name], violation)
    unequal = across_environments(tree.overlays(), excepted) if excepted is not None else ()
    for environment, name, violation in unequal:
        yield tree.problem(tree.environments[environment][name], violation)


def _odd(path: Path, message: str, found: str, accepted: str) -> Problem:
    return Problem(file=path.as_posix(), message=message, found=found, accepted=accepted)
