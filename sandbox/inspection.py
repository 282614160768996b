"""How a sandbox is: whether it runs, why it ended, and what each of its servers says of itself."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sandbox.access import load_run
from sandbox.paths import StateDir, is_locked
from sandbox.servers import Plan, basic_environment

__all__ = ["ServerStatus", "Status", "status"]

SECURE = frozenset({"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"})
# What a server is called where that is not its binary's name, and how a binary is asked where not by --version.
BINARIES = {
    "redis": "redis-server",
    "registry": "crane",
    "argo-rollouts": "rollouts",
    "argocd-repo-server": "argocd",
    "argocd-application-controller": "argocd",
    "argocd-applicationset-controller": "argocd",
    "argocd-notifications-controller": "argocd",
}
QUESTIONS = {"crane": ["version"], "argocd": ["version", "--client", "--short"]}
_VERSION = re.compile(r"\bv?=?(\d+\.\d+\.\d+[^\s(]*)")


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One server: ``pid`` is 0 while it does not run, ``version`` empty where it cannot be told."""

    name: str
    pid: int
    endpoint: str
    version: str


@dataclass(frozen=True, slots=True)
class Status:
    """Whether the sandbox of ``state`` runs; ``reason`` tells why it ended, where it ended by itself."""

    running: bool
    state: Path
    phase: str
    began: str
    supervisor: int
    servers: tuple[ServerStatus, ...]
    reason: str


def status(state: Path) -> Status:
    """How the sandbox of ``state`` is; never raises for one that does not run."""
    paths = StateDir(state.absolute())
    run = load_run(paths)
    alive = is_locked(paths.alive)
    phase = str(run.get("phase", "never started"))
    if not alive and phase in {"starting", "ready", "stopping"}:
        phase = "killed"
    running = alive and phase == "ready"
    return Status(
        running=running,
        state=paths.root,
        phase=phase,
        began=str(run.get("began", "")),
        supervisor=int(run.get("pid", 0)) if alive else 0,
        servers=tuple(_server_statuses(paths, run)) if running else (),
        reason=_reason(phase, run),
    )


def _reason(phase: str, run: Mapping[str, Any]) -> str:
    if phase == "killed":
        return "its supervisor was killed"
    return str(run.get("reason", "")) if phase == "failed" else ""


def _server_statuses(paths: StateDir, run: Mapping[str, Any]) -> Iterator[ServerStatus]:
    plan = Plan.of_json(paths.plan.read_text())
    versions = _versions(plan)
    for name, pid in run["servers"].items():
        scheme = "https" if name in SECURE else "redis" if name == "redis" else "http"
        yield ServerStatus(name, int(pid), plan.url(name, scheme), versions.get(BINARIES.get(name, name), ""))


def _versions(plan: Plan) -> dict[str, str]:
    """Each binary's own word on its version."""
    asked = {
        name: subprocess.Popen(
            [path, *QUESTIONS.get(name, ["--version"])],
            env=basic_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for name, path in plan.binaries.items()
    }
    found = {"moto": version("moto")}
    for name, process in asked.items():
        said = _VERSION.search(process.communicate()[0])
        found[name] = said[1] if process.returncode == 0 and said else ""
    return found
