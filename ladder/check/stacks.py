"""The stacks a check works on, and which of them each folder of the tree belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ladder.check.findings import Finding, of_problem
from ladder.check.granted import Granted
from ladder.contract import StackSettings, stack_file
from ladder.contract.previews import Previews
from ladder.contract.problems import of_violation
from ladder.contract.violations import Violation
from ladder.recording import Recording
from ladder.strict_yaml import examine
from ladder.tree import Service, Tree

__all__ = ["Environment", "Stack", "environments", "preview_folders", "unmatched"]


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack: its settings, its recording, and what that grants."""

    root: Path
    name: str
    settings: StackSettings
    recording: Recording
    granted: Granted

    @property
    def file(self) -> str:
        return f"Pulumi.{self.name}.yaml"

    @property
    def has_previews(self) -> bool:
        return isinstance(self.settings.previews, Previews)

    def finding(self, rule: str, violation: Violation, mend: str = "") -> Finding:
        """A rule that the stack's file breaks, with its line."""
        return of_problem(rule, of_violation(violation, examine(stack_file(self.root, self.name))), mend)


@dataclass(frozen=True, slots=True)
class Environment:
    """A folder of the tree and the stack that runs it: as the environment itself, or as its previews."""

    name: str
    services: Mapping[str, Service]
    stack: Stack
    previews: bool


def preview_folders(tree: Tree, stacks: Collection[str]) -> list[str]:
    """The folders whose overlays can only be previews': no stack has their name."""
    return [name for name in tree.environments if name not in stacks]


def environments(tree: Tree, stacks: Mapping[str, Stack]) -> Iterator[Environment]:
    """Every folder that belongs to a stack, by its name or as previews' where one stack has previews."""
    hosts = [stack for stack in stacks.values() if stack.has_previews]
    for name, services in tree.environments.items():
        if name in stacks:
            yield Environment(name, services, stacks[name], previews=False)
        elif len(hosts) == len(preview_folders(tree, stacks)) == 1:
            yield Environment(name, services, hosts[0], previews=True)


def unmatched(tree: Tree, stacks: Mapping[str, Stack]) -> Iterator[Finding]:
    """Folders that no stack runs, and stacks that have nothing to run."""
    hosts = [stack.name for stack in stacks.values() if stack.has_previews]
    folders = preview_folders(tree, stacks)
    if folders and not len(hosts) == len(folders) == 1:
        for name in folders:
            yield Finding(
                rule="planes/folder-without-stack",
                where=(tree.path / name).as_posix(),
                message="is the folder of no stack, nor the one folder of the one stack that has previews",
                found=f"previews in {', '.join(hosts) or 'no stack'}; without a stack: {', '.join(folders)}",
                accepted=", ".join(stacks),
                mend="give it a stack of its name, or previews to one stack and one folder to previews",
            )
    lacking = [stack for stack in stacks if stack not in tree.environments]
    for name in lacking:
        message = "is an environment that the tree has no folder of"
        accepted = f"a folder {(tree.path / name).as_posix()}"
        violation = Violation(path=("environment", "name"), message=message, found="no folder", accepted=accepted)
        yield stacks[name].finding("planes/stack-without-folder", violation)
    for name in hosts if not folders else []:
        message = "lets pull requests become environments, for which the tree has no folder"
        accepted = f"a folder of their overlays in {tree.path.as_posix()}, or previews off"
        violation = Violation(path=("previews", "enabled"), message=message, found="true", accepted=accepted)
        yield stacks[name].finding("planes/stack-without-folder", violation)
