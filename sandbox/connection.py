"""The front door: starting, finding and stopping a sandbox, and telling how it is."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPSConnection
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sandbox
from ladder.errors import CheckFailed
from sandbox import binaries, crds
from sandbox.access import NotRunningError, Sandbox, connect, load_identity, load_run, write_kubeconfig
from sandbox.paths import StateDir, exclusive, is_locked, write_private
from sandbox.progress import Progress
from sandbox.servers import HOST, Plan, choose_ports, get, is_free, server_context

__all__ = ["NotRunningError", "Sandbox", "ServerStatus", "Status", "connect", "start", "status", "stop"]

SHUTDOWN_DEADLINE = 30.0
NAMESPACE_DEADLINE = 30.0
POLL_INTERVAL = 0.02
REQUEST_TIMEOUT = 30.0
ATTEMPTS = 3


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


def start(state: Path, *, progress: Progress) -> Sandbox:
    """The running sandbox of ``state``, started first where it does not run.

    Of several starts at once, one does the work and the others find it running. Whatever ends this early, a SIGKILL
    included, ends the servers too. Raises CheckFailed when a server cannot be built or does not come up.
    """
    paths = StateDir(state.absolute())
    paths.create()
    with exclusive(paths.lock, lambda: progress.step("waiting for another start or stop to finish")):
        with contextlib.suppress(NotRunningError):
            return connect(paths.root)
        _end_leftovers(paths)
        built = {name: str(path) for name, path in binaries.ensure(progress).items()}
        definitions = crds.ensure(progress)
        for attempt in range(1, ATTEMPTS + 1):
            plan = _prepare(paths, built)
            try:
                _launch(paths, plan, definitions, progress)
            except CheckFailed:
                if attempt == ATTEMPTS or all(is_free(port) for port in plan.ports.values()):
                    raise
                progress.step("a port was taken meanwhile: trying with others")
            else:
                break
        return connect(paths.root)


def stop(state: Path) -> bool:
    """Stop the servers and keep their state; answers whether there was anything to stop."""
    paths = StateDir(state.absolute())
    if not paths.root.is_dir():
        return False
    with exclusive(paths.lock):
        if not is_locked(paths.alive):
            return False
        _signal(load_run(paths), signal.SIGTERM)
        _end_leftovers(paths)
    return True


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


def _prepare(paths: StateDir, built: Mapping[str, str]) -> Plan:
    """Write all that the servers read; ports, keys and tokens of an earlier start are used again."""
    from sandbox.certificates import ensure as ensure_certificates

    ensure_certificates(paths.pki)
    kept = _secrets(paths)
    rows = [f"{kept['admin']},ladder,ladder,system:masters"]
    rows += [f"{kept['controller']},system:kube-controller-manager,controller-manager,system:masters"]
    write_private(paths.tokens, "\n".join(rows) + "\n")
    earlier: Mapping[str, int] = {}
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
        earlier = Plan.of_json(paths.plan.read_text()).ports
    plan = Plan(choose_ports(earlier), built)
    url, authority = plan.url("kube-apiserver"), paths.pki / "ca.crt"
    write_private(paths.kubeconfig, write_kubeconfig(url, authority, kept["admin"]))
    write_private(paths.controller_kubeconfig, write_kubeconfig(url, authority, kept["controller"]))
    write_private(paths.plan, plan.as_json())
    paths.run.unlink(missing_ok=True)
    plugins = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
    if plugins.is_dir() and not (paths.pulumi_home / "plugins").exists():
        # Downloaded once a machine and without secrets, unlike what else is in Pulumi's home.
        (paths.pulumi_home / "plugins").symlink_to(plugins)
    return plan


def _secrets(paths: StateDir) -> dict[str, str]:
    try:
        return json.loads(paths.secrets.read_text())
    except FileNotFoundError:
        made = {name: secrets.token_urlsafe(32) for name in ("admin", "controller", "aws", "pulumi")}
        write_private(paths.secrets, json.dumps(made, indent=2) + "\n")
        return made


def _launch(paths: StateDir, plan: Plan, definitions: Path, progress: Progress) -> None:
    with _supervisor(paths) as (lifeline, events):
        _await_ready(paths, events, progress)
        _check_identity(paths, plan)
        context, port = server_context(paths.pki), plan.ports["kube-apiserver"]
        crds.install(
            definitions,
            lambda: HTTPSConnection(HOST, port, timeout=REQUEST_TIMEOUT, context=context),
            _secrets(paths)["admin"],
            progress,
        )
        os.write(lifeline, b"d")


@contextmanager
def _supervisor(paths: StateDir) -> Generator[tuple[int, int]]:
    """A new supervisor: the write end of its lifeline, and the read end of its events.

    Left early, the lifeline is closed and the supervisor's end waited for.
    """
    life_read, life_write = os.pipe()
    events_read, events_write = os.pipe()
    environment = {**os.environ, "PYTHONPATH": str(Path(sandbox.__file__).parent.parent)}
    command = [sys.executable, "-P", "-m", "sandbox.supervisor", str(paths.root), str(life_read), str(events_write)]
    try:
        try:
            with (paths.logs / "supervisor.log").open("wb") as log:
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=paths.root,
                    env=environment,
                    pass_fds=(life_read, events_write),
                ).wait()
        finally:
            os.close(life_read)
            os.close(events_write)
        yield life_write, events_read
    except BaseException:
        os.close(life_write)
        life_write = -1
        _drain(events_read)
        raise
    finally:
        if life_write >= 0:
            os.close(life_write)
        os.close(events_read)


def _drain(events: int) -> None:
    """Wait until the supervisor has closed its end, which is when all its servers have ended."""
    deadline = time.monotonic() + SHUTDOWN_DEADLINE
    while (left := deadline - time.monotonic()) > 0:
        if select.select([events], [], [], left)[0] and not os.read(events, 65536):
            return


def _await_ready(paths: StateDir, events: int, progress: Progress) -> None:
    with os.fdopen(os.dup(events), "rb") as lines:
        for line in lines:
            event: dict[str, Any] = json.loads(line)
            if "step" in event:
                progress.step(str(event["step"]))
            elif "error" in event:
                raise CheckFailed(f"the sandbox did not start: {event['error']}")
            elif event.get("ready"):
                return
    log = paths.logs / "supervisor.log"
    raise CheckFailed(f"the sandbox did not start: its supervisor ended; its log is {log}\n{log.read_text()[-1000:]}")


def _check_identity(paths: StateDir, plan: Plan) -> None:
    """Record the cluster's UID at the first start, and hold every later one against it."""
    context = server_context(paths.pki)
    headers = {"Authorization": f"Bearer {_secrets(paths)['admin']}"}
    deadline = time.monotonic() + NAMESPACE_DEADLINE
    while True:
        code, body = get(plan.ports["kube-apiserver"], "/api/v1/namespaces/kube-system", context, headers)
        if code == HTTPStatus.OK:
            break
        if time.monotonic() > deadline:
            raise CheckFailed("the sandbox did not start: its API server made no kube-system namespace")
        time.sleep(POLL_INTERVAL)
    uid, known = str(json.loads(body)["metadata"]["uid"]), load_identity(paths)
    if known is None:
        write_private(paths.identity, json.dumps({"cluster_uid": uid}) + "\n")
    elif known != uid:
        raise CheckFailed(
            f"{paths.etcd} holds another cluster (UID {uid}) than this sandbox started with (UID {known});"
            f" remove {paths.root} to begin anew"
        )


def _end_leftovers(paths: StateDir) -> None:
    """Wait for a supervisor that is shutting down, and kill what has not ended by the deadline."""
    deadline = time.monotonic() + SHUTDOWN_DEADLINE
    killed = False
    while is_locked(paths.alive):
        orphaned = not _exists(int(load_run(paths).get("pid", 0)))
        if not killed and (orphaned or time.monotonic() > deadline):
            killed = True
            _signal(load_run(paths), signal.SIGKILL)
            deadline = time.monotonic() + SHUTDOWN_DEADLINE
        elif time.monotonic() > deadline:
            raise CheckFailed(f"the servers of {paths.root} do not end; their pids are in {paths.run}")
        time.sleep(POLL_INTERVAL)


def _signal(run: Mapping[str, Any], number: signal.Signals) -> None:
    """Signal the supervisor, or kill its whole group; the caller has seen that the group still holds its lock."""
    pid = int(run.get("pid", 0))
    with contextlib.suppress(ProcessLookupError):
        if pid and number == signal.SIGKILL:
            os.killpg(pid, number)
        elif pid:
            os.kill(pid, number)


def _exists(pid: int) -> bool:
    if not pid:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _server_statuses(paths: StateDir, run: Mapping[str, Any]) -> Iterator[ServerStatus]:
    plan = Plan.of_json(paths.plan.read_text())
    versions = _versions(plan)
    for name, pid in run["servers"].items():
        scheme = "http" if name == "moto" else "https"
        yield ServerStatus(name, int(pid), plan.url(name, scheme), versions.get(name, ""))


def _versions(plan: Plan) -> dict[str, str]:
    """Each binary's own word on its version."""
    asked = {
        name: subprocess.Popen([path, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for name, path in plan.binaries.items()
    }
    found = {"moto": version("moto")}
    for name, process in asked.items():
        lines = process.communicate()[0].splitlines()
        found[name] = lines[0].split()[-1].removeprefix("v") if process.returncode == 0 and lines else ""
    return found
