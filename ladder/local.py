"""The local rung: whose values a laptop runs, at which digests, and what of it is built from source."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ladder.compose import HOST, alongside, as_text, compose, host_ports, published, running
from ladder.contract import Rung, TierLevel, ladder_settings
from ladder.contract.overlay import Overlay
from ladder.errors import InputError, Problem
from ladder.files import write_atomically
from ladder.tree import VERSION, Tree, read_tree

__all__ = ["Address", "Local", "plan"]

DOCKERFILE = "Dockerfile"
MARK = "Made by 'ladder local'"
_LONGEST_LIST = 10


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service's port is reached from this machine."""

    service: str
    port: str
    address: str


@dataclass(frozen=True, slots=True)
class Local:
    """A choice of one environment's services, and what they run from.

    ``values`` and ``images`` are the folders of the tree that give the overlays and the digests. ``edits`` are absolute
    paths; ``options`` are how ``values`` was asked for.
    """

    values: Path
    images: Path
    overlays: Mapping[str, Overlay]
    digests: Mapping[str, str]
    edits: Mapping[str, Path]
    chosen: Collection[str]
    options: Sequence[str]

    def services(self) -> list[str]:
        """What runs: the chosen services and those they call."""
        return running(self.overlays, self.chosen)

    def alongside(self) -> dict[str, list[str]]:
        """What runs though it was not chosen, and who calls it."""
        return alongside(self.overlays, self.chosen)

    def addresses(self) -> Iterator[Address]:
        """Every published port, http first."""
        first = host_ports(self.overlays)
        for name in self.services():
            for port, _, outside in published(self.overlays[name], first[name]):
                yield Address(name, port, f"{HOST}:{outside}")

    def document(self, directory: Path) -> dict[str, Any]:
        """The Compose file's values, for a file in ``directory``."""
        return compose(self.overlays, self.digests, self._relative(directory), self.chosen)

    def text(self, directory: Path, name: str) -> str:
        """The Compose file: byte for byte the same for the same tree and options."""
        edits = [f"--edit={service}={path}" for service, path in self._relative(directory).items()]
        services = [] if len(self.chosen) == len(self.overlays) else [f"--services={','.join(sorted(self.chosen))}"]
        again = shlex.join(["ladder", "local", *self.options, *services, *edits, f"--out={name}"])
        return as_text(
            self.document(directory),
            f"{MARK}, which replaces it.\n"
            f"Values: {self.values} (tier {TierLevel.LITE}). Images: the digests of {self.images}.\n"
            f"Anew, from this directory: {again}\n"
            f"\n{self._table()}\n\n"
            "A port on this machine is made from the service's name: it stays when others come and go, but for those\n"
            "whose names lead to the same one. Health checks need a shell and wget or curl in the image.\n",
        )

    def write(self, path: Path) -> None:
        """Write the file. Raises InputError where something else than an earlier one stands there."""
        if os.path.lexists(path) and not _is_ours(path):
            raise InputError(
                Problem(
                    file=str(path),
                    message="is there, and was not made by ladder local",
                    found="a directory" if path.is_dir() else "another file",
                    accepted="a path where nothing is, or a file to make anew",
                    example=f"--out {path.with_name('compose.local.yaml')}",
                )
            )
        write_atomically(path, self.text(path.absolute().parent, path.name))

    def _relative(self, directory: Path) -> dict[str, Path]:
        return {name: Path(os.path.relpath(path, directory)) for name, path in sorted(self.edits.items())}

    def _table(self) -> str:
        rows = list(self.addresses())
        width = max(len(row.service) for row in rows)
        return "\n".join(f"  {row.service:<{width}}  {row.port:<7}  {row.address}" for row in rows)


def plan(root: Path, services: str | None = None, edits: Iterable[str] = (), environment: str | None = None) -> Local:
    """The local rung of the project at ``root``.

    ``services`` are names with commas between them (None: all), ``edits`` have the form ``web=../web``, and
    ``environment`` says whose values are taken where several are at tier lite. The images are those of the lowest
    stack. Raises InputError with every problem found.
    """
    stacks = ladder_settings(root).values()
    rungs = list(Rung)
    lowest = min(stacks, key=lambda settings: rungs.index(settings.environment.rung))
    tree = read_tree(root, lowest.delivery.path)
    source = _lite(tree, environment)
    overlays = {name: service.overlay for name, service in tree.environments[source].items()}
    images = tree.environments.get(lowest.environment.name, {})
    problems: list[Problem] = []
    directories = _edits(edits, overlays, problems)
    chosen = {*_chosen(services, overlays, problems), *directories}
    images_folder = tree.path / lowest.environment.name
    if not problems:
        absent = [name for name in running(overlays, chosen) if name not in images and name not in directories]
        problems += (_no_digest(images_folder, name) for name in absent)
    if problems:
        raise InputError(problems)
    return Local(
        values=tree.path / source,
        images=images_folder,
        overlays=overlays,
        digests={name: service.version.image.digest for name, service in images.items()},
        edits=directories,
        chosen=chosen,
        options=() if environment is None else (f"--environment={environment}",),
    )


def _lite(tree: Tree, wanted: str | None) -> str:
    """The environment at tier lite, known by that and not by its name."""
    lite = [
        name
        for name, services in tree.environments.items()
        if all(service.overlay.tier is TierLevel.LITE for service in services.values())
    ]
    if wanted is not None:
        if wanted not in lite:
            raise InputError(_unknown("--environment", "is no environment at tier lite", wanted, lite))
        return wanted
    if len(lite) == 1:
        return lite[0]
    raise InputError(
        Problem(
            file=tree.path.as_posix(),
            message="has several environments at tier lite" if lite else "has no environment at tier lite",
            found=_listed(lite or tree.environments),
            accepted="one of them, by --environment" if lite else "an environment whose services all have tier: lite",
            example=f"ladder local --environment {lite[0]}" if lite else "",
        )
    )


def _chosen(services: str | None, known: Collection[str], problems: list[Problem]) -> list[str]:
    if services is None:
        return list(known)
    names = [name.strip() for name in services.split(",")]
    problems += (_unknown("--services", "is no service", name, known) for name in names if name not in known)
    return names


def _edits(texts: Iterable[str], known: Collection[str], problems: list[Problem]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in texts:
        name, _, directory = text.partition("=")
        path = Path(os.path.abspath(Path(directory).expanduser()))  # noqa: PTH100 - Compose does not follow links either
        if not directory:
            problems.append(_wrong_edit("names no directory", text, "a service and its directory: web=../web"))
        elif name not in known:
            problems.append(_unknown("--edit", "is no service", name, known))
        elif name in found:
            problems.append(_wrong_edit("is given twice", text, "one directory for each service"))
        elif not path.is_dir():
            accepted = f"a directory with a {DOCKERFILE}"
            problems.append(_wrong_edit("is no directory", directory, accepted))
        elif not (path / DOCKERFILE).is_file():
            message = f"has no {DOCKERFILE} to build {name} from"
            problems.append(_wrong_edit(message, directory, f"a directory with a {DOCKERFILE}"))
        else:
            found[name] = path
    return found


def _wrong_edit(message: str, found: str, accepted: str) -> Problem:
    return Problem(file="--edit", message=message, found=found, accepted=accepted, example="--edit web=../web")


def _no_digest(folder: Path, service: str) -> Problem:
    return Problem(
        file=(folder / service / VERSION).as_posix(),
        message="is not there, so that no digest is known",
        found="no such file",
        accepted=f"{service} in this environment too, or a build of it",
        example=f"--edit {service}=../{service}",
    )


def _unknown(option: str, message: str, found: str, known: Collection[str]) -> Problem:
    close = difflib.get_close_matches(found, known, n=1)
    accepted = _listed(known) or "nothing: there is none"
    return Problem(file=option, message=message, found=found or "nothing", accepted=accepted, example="".join(close))


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:_LONGEST_LIST]) + (", …" if len(shown) > _LONGEST_LIST else "")


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(2 + len(MARK)) == f"# {MARK}".encode()
