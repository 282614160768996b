"""The Pulumi CLI on the sandbox: the same program, a project and a state of the sandbox's own, a sealed environment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from ladder.contract import CONFIG_NAMESPACE, StackSettings
from ladder.errors import CheckFailed
from ladder.files import write_atomically

__all__ = ["PulumiStack", "has_resources"]


def has_resources(backend: Path, stack: str) -> bool:
    """Whether the private state of the ``file://`` backend knows a resource of the stack, the Stack itself aside."""
    state = backend / ".pulumi" / "stacks" / CONFIG_NAMESPACE / f"{stack}.json"
    try:
        document: Any = json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    latest = cast("Mapping[str, Any]", document.get("checkpoint", {}).get("latest") or {})
    resources = cast("Sequence[Mapping[str, Any]]", latest.get("resources") or [])
    return any(resource["type"] != "pulumi:pulumi:Stack" for resource in resources)


@dataclass(frozen=True)
class PulumiStack:
    """One stack under the CLI. ``environment`` is all the CLI sees; ``directory`` holds its project and settings."""

    project: Path
    stack: str
    settings: StackSettings
    directory: Path
    environment: Mapping[str, str] = field(repr=False)

    def up(self) -> None:
        self._run("up", "--yes", "--skip-preview")

    def preview(self) -> None:
        self._run("preview", "--diff")

    def drift(self) -> None:
        """Raises CheckFailed where live state differs."""
        self._run("preview", "--refresh", "--expect-no-changes", "--diff")

    def destroy(self) -> None:
        self._run("destroy", "--yes", "--skip-preview", "--exclude-protected")

    def write_project(self) -> None:
        """Write the project that leads to the program, and the stack's settings as the sandbox has them."""
        runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
        project = {"name": CONFIG_NAMESPACE, "runtime": runtime, "main": str(self.project)}
        write_atomically(self.directory / "Pulumi.yaml", yaml.safe_dump(project, sort_keys=False))
        sections: Mapping[str, Any] = self.settings.model_dump(mode="json", by_alias=True)
        path = self.directory / f"Pulumi.{self.stack}.yaml"
        kept = _engine_keys(path)
        config = {f"{CONFIG_NAMESPACE}:{name}": value for name, value in sections.items()}
        config = {"pulumi:disable-default-providers": ["*"], **config}
        write_atomically(path, yaml.safe_dump({**kept, "config": config}, sort_keys=False), mode=0o600)

    def _run(self, verb: str, *options: str) -> None:
        self.write_project()
        self._call("stack", "select", "--create", self.stack)
        self._call(verb, "--stack", self.stack, *options)

    def _call(self, *arguments: str) -> None:
        command = ["pulumi", "--non-interactive", "--cwd", str(self.directory), *arguments]
        finished = subprocess.run(command, env=dict(self.environment), check=False)
        if finished.returncode:
            raise CheckFailed(f"pulumi {arguments[0]} of {self.stack} ended with exit code {finished.returncode}")


def _engine_keys(path: Path) -> dict[str, Any]:
    """What the CLI itself wrote into the settings file: the salt its passphrase encryption needs."""
    try:
        document: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        return {}
    return {name: value for name, value in document.items() if name != "config"}
