"""The GitOps tree as Argo CD's git generators read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ladder.check.template import NotUnderstood
from ladder.contract.stack import Delivery
from ladder.strict_yaml import load
from ladder.tree import VALUES, VERSION, Service, Tree

__all__ = ["Repository"]


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository that ``delivery`` names, as it lies here: its files are those below the project's root."""

    delivery: Delivery
    tree: Tree
    folders: Mapping[str, Service]
    """Every overlay by its folder, as text."""

    @classmethod
    def of(cls, delivery: Delivery, tree: Tree) -> Repository:
        return cls(delivery, tree, {service.folder.as_posix(): service for service in tree.services()})

    def files(self, pattern: str) -> set[str]:
        """Files by a pattern of ``*``, ``?`` and ``**``; the new globbing, in which ``*`` stays in its folder."""
        return {path.as_posix() for path in self._found(pattern) if (self.tree.root / path).is_file()}

    def directories(self, pattern: str) -> set[str]:
        """Directories by a pattern; hidden ones are not looked into."""
        found = (path for path in self._found(pattern) if (self.tree.root / path).is_dir())
        return {path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)}

    def objects(self, file: str) -> list[Mapping[str, Any]]:
        """The map, or the maps of the list, that a file holds. Raises InputError where it is not strict YAML."""
        folder, _, name = file.rpartition("/")
        service = self.folders.get(folder)
        if service is not None and name == VERSION:
            return [service.version.model_dump(mode="json", by_alias=True)]
        value = load(self.tree.root / file, name=file).value
        items = cast("list[Any]", value) if isinstance(value, list) else [value]
        return [item for item in items if isinstance(item, Mapping)]

    def holds(self, file: str) -> bool:
        """Whether the repository has the file."""
        folder, _, name = file.rpartition("/")
        return (folder in self.folders and name in {VALUES, VERSION}) or (self.tree.root / file).is_file()

    def _found(self, pattern: str) -> Iterator[Path]:
        if set(pattern) & set("[]{}\\") or ".." in pattern.split("/") or pattern.startswith("/") or not pattern:
            raise NotUnderstood(f"the pattern {pattern!r}; known are paths from the repository's root with *, ** and ?")
        return (path.relative_to(self.tree.root) for path in self.tree.root.glob(pattern))
