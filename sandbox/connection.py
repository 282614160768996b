"""The front door: starting, finding and stopping a sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPSConnection
from pathlib import Path
from typing import IO, Any

import sandbox
from ladder.errors import CheckFailed
from sandbox import binaries, crds, delivery_files, delivery_servers
from sandbox.access import NotRunningError, Sandbox, connect, load_identity, load_run, write_kubeconfig
from sandbox.inspection import ServerStatus, Status, status
from sandbox.paths import STATE_VARIABLE, StateDir, exclusive, is_locked, write_private
from sandbox.progress import Progress
from sandbox.servers import DELIVERY_PORTS, HOST, PORTS, Plan, choose_ports, get, is_free, server_context
from sandbox.supervisor import DONE, PREPARED

__all__ = ["NotRunningError", "Sandbox", "ServerStatus", "Status", "connect", "start", "status", "stop"]

SHUTDOWN_DEADLINE = 30.0
NAMESPACE_DEADLINE = 30.0
POLL_INTERVAL = 0.02
REQUEST_TIMEOUT = 30.0
ATTEMPTS = 3
REDIS = "redis-server"
# What may stand in the URL of the tree's repository without being escaped, which git and Argo CD do not agree on.
PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]+")
# The API server's users, by the names of their secrets: what each is called there, and its groups.
USERS: Mapping[str, tuple[str, ...]] = {
    "admin": ("ladder", "ladder", "system:masters"),
    "controller": ("system:kube-controller-manager", "controller-manager", "system:masters"),
}


def start(state: Path, *, progress: Progress, argocd: bool = False) -> Sandbox:
    """The running sandbox of ``state``, started first where it does not run.

    A state that was once started with Argo CD is always started with it, and one that runs without is restarted for it.
    Of several starts at once, one does the work and the others find it running. Whatever ends this early, a SIGKILL
    included, ends the servers too. Raises CheckFailed when a server cannot be built or does not come up.
    """
    paths = StateDir(state.absolute())
    paths.create()
    with exclusive(paths.lock, lambda: progress.step("waiting for another start or stop to finish")):
        plain = False
        with contextlib.suppress(NotRunningError):
            running = connect(paths.root)
            if running.sources is not None or not argocd:
                return running
            plain = True
        means = _means(paths, progress, argocd=argocd or _earlier_plan(paths).delivers)
        definitions = crds.ensure(progress)
        if plain:
            progress.step("stopping it to start it again with Argo CD")
            _signal(load_run(paths), signal.SIGTERM)
        _end_leftovers(paths)
        for attempt in range(1, ATTEMPTS + 1):
            plan = _prepare(paths, means)
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


@dataclass(frozen=True, slots=True)
class _Means:
    """What is run: binaries by their names, and, for Argo CD, the directory of its files."""

    binaries: Mapping[str, str]
    files: str


def _means(paths: StateDir, progress: Progress, *, argocd: bool) -> _Means:
    if not argocd:
        return _Means({name: str(path) for name, path in binaries.ensure(progress).items()}, "")
    if not PLAIN_PATH.fullmatch(str(paths.root)):
        raise CheckFailed(
            f"Argo CD cannot deliver from {paths.root}: use a path of letters, digits and ._~/- only,"
            f" by {STATE_VARIABLE}"
        )
    redis = shutil.which(REDIS)
    if redis is None:
        raise CheckFailed(f"Argo CD needs {REDIS}, and it is not on PATH; install it (Debian's package is {REDIS})")
    built = binaries.ensure(progress, targets=(*binaries.SERVERS, *binaries.DELIVERY))
    found = {REDIS: redis, **{name: str(path) for name, path in built.items()}}
    return _Means(found, str(delivery_files.ensure(progress)))


def _earlier_plan(paths: StateDir) -> Plan:
    try:
        return Plan.of_json(paths.plan.read_text())
    except (FileNotFoundError, ValueError, KeyError):
        return Plan({}, {})


def _prepare(paths: StateDir, means: _Means) -> Plan:
    """Write all that the servers read; ports, keys and tokens of an earlier start are used again."""
    from sandbox.certificates import ensure as ensure_certificates

    ensure_certificates(paths.pki)
    names = (*PORTS, *DELIVERY_PORTS) if means.files else PORTS
    plan = Plan(choose_ports(_earlier_plan(paths).ports, names), means.binaries, means.files)
    users = {**USERS, **delivery_servers.USERS} if plan.delivers else USERS
    kept = _secrets(paths, users)
    rows = [",".join((kept[key], *user)) for key, user in users.items()]
    write_private(paths.tokens, "\n".join(rows) + "\n")
    url, authority = plan.url("kube-apiserver"), paths.pki / "ca.crt"
    write_private(paths.kubeconfig, write_kubeconfig(url, authority, kept["admin"]))
    for key in users.keys() - {"admin"}:
        write_private(paths.user_kubeconfig(key), write_kubeconfig(url, authority, kept[key]))
    if plan.delivers:
        delivery_servers.prepare(paths, plan)
    write_private(paths.plan, plan.as_json())
    paths.run.unlink(missing_ok=True)
    plugins = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi") / "plugins"
    if plugins.is_dir() and not (paths.pulumi_home / "plugins").exists():
        # Downloaded once a machine and without secrets, unlike what else is in Pulumi's home.
        (paths.pulumi_home / "plugins").symlink_to(plugins)
    return plan


def _secrets(paths: StateDir, users: Iterable[str] = USERS) -> dict[str, str]:
    """The state's tokens and passwords; those it lacks are made."""
    kept: dict[str, str] = {}
    with contextlib.suppress(FileNotFoundError):
        kept = json.loads(paths.secrets.read_text())
    lacking = [name for name in (*users, "aws", "pulumi", "redis", "argocd") if name not in kept]
    if lacking:
        kept |= {name: secrets.token_urlsafe(32) for name in lacking}
        write_private(paths.secrets, json.dumps(kept, indent=2) + "\n")
    return kept


def _launch(paths: StateDir, plan: Plan, definitions: Path, progress: Progress) -> None:
    with _supervisor(paths) as (lifeline, events), os.fdopen(os.dup(events), "rb") as told:
        _await("cluster" if plan.delivers else "ready", told, paths, progress)
        _check_identity(paths, plan)
        context, port = server_context(paths.pki), plan.ports["kube-apiserver"]
        crds.install(
            definitions,
            lambda: HTTPSConnection(HOST, port, timeout=REQUEST_TIMEOUT, context=context),
            _secrets(paths)["admin"],
            progress,
        )
        if plan.delivers:
            from sandbox import publishing

            publishing.furnish(paths, plan, progress)
            os.write(lifeline, PREPARED)
            _await("ready", told, paths, progress)
            publishing.restore_charts(paths, plan)
        os.write(lifeline, DONE)


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


def _await(word: str, told: IO[bytes], paths: StateDir, progress: Progress) -> None:
    """Wait for an event of the supervisor's. Raises CheckFailed when it has failed or ended instead."""
    for line in told:
        event: dict[str, Any] = json.loads(line)
        if "step" in event:
            progress.step(str(event["step"]))
        elif "error" in event:
            raise CheckFailed(f"the sandbox did not start: {event['error']}")
        elif event.get(word):
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
