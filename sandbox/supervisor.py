"""The process that owns the servers: ``python -m sandbox.supervisor STATE LIFELINE EVENTS``.

LIFELINE is the read end of a pipe held by the command that is starting the sandbox: until that has written DONE to it,
its end means that the command is gone, and everything is shut down. EVENTS is the write end of a pipe that carries one
JSON object a line: ``{"step": text}``, then ``{"ready": true}`` or ``{"error": text}``. Where Argo CD is wanted,
``{"cluster": true}`` comes before: its servers are started when the command, having prepared the cluster, writes
PREPARED.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from sandbox.delivery_servers import delivery_servers
from sandbox.paths import StateDir, write_private
from sandbox.servers import Plan, Server, servers

__all__ = ["DONE", "PREPARED", "EndedError", "Supervisor", "die_with_parent", "main"]

DONE = b"d"
PREPARED = b"p"

READY_DEADLINE = 90.0
PROBE_INTERVAL = 0.05
PR_SET_PDEATHSIG = 1
LOG_TAIL = 12


class EndedError(Exception):
    """Why the servers are to be shut down."""

    def __init__(self, reason: str, *, failed: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failed = failed


def die_with_parent() -> Callable[[], None] | None:
    """A ``preexec_fn`` that has the kernel kill the child when this process dies; None where the kernel cannot."""
    if sys.platform != "linux":
        return None
    libc, parent = ctypes.CDLL(None), os.getpid()

    def prepare() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


class Supervisor:
    """Starts the servers in their order, watches them, and shuts all of them down when one thing goes wrong."""

    def __init__(self, state: StateDir, lifeline: int, events: int) -> None:
        self._state = state
        self._lifeline: int | None = lifeline
        self._events = events
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._grace: dict[str, float] = {}
        self._ready: set[str] = set()
        self._users: frozenset[str] = frozenset()
        self._prepared = False
        self._asked_to_stop = False
        self._began = datetime.now(UTC).isoformat(timespec="seconds")
        self._wake, self._waker = os.pipe()
        self._lock = os.open(state.alive, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def run(self) -> int:
        """Run until told to stop or until a server dies; returns the exit code."""
        self._listen_to_signals()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._tell({"error": "the servers of an earlier start are still running"})
            return 1
        ended = self._serve()
        self._record("stopping", ended.reason)
        self._shut_down()
        self._record("failed" if ended.failed else "stopped", ended.reason)
        self._tell({"error": ended.reason})
        return 1 if ended.failed else 0

    def _serve(self) -> EndedError:
        try:
            plan = Plan.of_json(self._state.plan.read_text())
            self._start(servers(self._state, plan))
            if plan.delivers:
                self._tell({"cluster": True})
                while not self._prepared:
                    self._wait(None)
                delivery = delivery_servers(self._state, plan)
                self._users = frozenset(server.name for server in delivery)
                self._start(delivery)
            self._record("ready")
            self._tell({"ready": True})
            while True:
                self._wait(None)
        except EndedError as ended:
            return ended
        except OSError as error:
            return EndedError(f"{error.filename or 'the supervisor'}: {error.strerror}", failed=True)

    def _start(self, wanted: tuple[Server, ...]) -> None:
        deadline = time.monotonic() + READY_DEADLINE
        waiting = list(wanted)
        while waiting:
            for server in waiting:
                if server.name not in self._processes and server.needs <= self._ready:
                    self._tell({"step": f"starting {server.name}"})
                    self._launch(server)
            pending = [server for server in waiting if server.name in self._processes]
            self._ready |= {server.name for server in pending if server.is_ready()}
            waiting = [server for server in waiting if server.name not in self._ready]
            if time.monotonic() > deadline:
                names = " and ".join(server.name for server in pending)
                raise EndedError(
                    f"{names}: not ready after {READY_DEADLINE:.0f} s; logs are in {self._state.logs}", failed=True
                )
            self._wait(PROBE_INTERVAL if waiting else 0)

    def _launch(self, server: Server) -> None:
        with (self._state.logs / f"{server.name}.log").open("wb") as log:
            self._processes[server.name] = subprocess.Popen(
                server.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._state.root,
                env=dict(server.environment),
                pass_fds=(self._lock,),
                preexec_fn=die_with_parent(),
            )
        self._grace[server.name] = server.grace
        self._record("starting")

    def _wait(self, timeout: float | None) -> None:
        """Wait for whatever happens, or the timeout in seconds; raises EndedError when it is a reason to end."""
        watched = [self._wake] if self._lifeline is None else [self._wake, self._lifeline]
        readable = select.select(watched, [], [], timeout)[0]
        if self._wake in readable:
            os.read(self._wake, 4096)
        if self._asked_to_stop:
            raise EndedError("stopped", failed=False)
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise EndedError(self._obituary(name, process.returncode), failed=True)
        if self._lifeline is not None and self._lifeline in readable:
            self._hear(self._lifeline)

    def _hear(self, lifeline: int) -> None:
        word = os.read(lifeline, 1)
        if not word:
            raise EndedError("the command that was starting it ended", failed=True)
        if word == PREPARED:
            self._prepared = True
        else:
            os.close(lifeline)
            self._lifeline = None

    def _obituary(self, name: str, code: int) -> str:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        log = self._state.logs / f"{name}.log"
        tail = log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
        return "\n".join((f"{name} {how}; its log is {log}", *(f"    {line[:400]}" for line in tail)))

    def _shut_down(self) -> None:
        """End the servers one by one, the latest first; before them and all at once, those that only use these."""
        ordered = [[name] for name in reversed(self._processes) if name not in self._users]
        for names in ([name for name in self._processes if name in self._users], *ordered):
            alive = [name for name in names if self._processes[name].poll() is None]
            for name in alive:
                self._processes[name].terminate()
            for name in alive:
                process = self._processes[name]
                try:
                    process.wait(self._grace[name])
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _record(self, phase: str, reason: str = "") -> None:
        pids = {name: process.pid for name, process in self._processes.items()}
        record = {"pid": os.getpid(), "phase": phase, "reason": reason, "began": self._began, "servers": pids}
        with contextlib.suppress(OSError):
            write_private(self._state.run, json.dumps(record, indent=2) + "\n")

    def _tell(self, event: dict[str, object]) -> None:
        with contextlib.suppress(OSError):
            os.write(self._events, json.dumps(event).encode() + b"\n")

    def _listen_to_signals(self) -> None:
        def stop(_signal: int, _frame: FrameType | None) -> None:
            self._asked_to_stop = True

        def ignore(_signal: int, _frame: FrameType | None) -> None:
            """SIGCHLD only has to wake the loop."""

        os.set_blocking(self._waker, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, ignore)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, stop)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.supervisor")
    parser.add_argument("state", type=Path)
    parser.add_argument("lifeline", type=int)
    parser.add_argument("events", type=int)
    options = parser.parse_args(arguments)
    for descriptor in (options.lifeline, options.events):
        os.set_inheritable(descriptor, False)
    # Nobody's child, so that nobody has to collect it; and the leader of a session, so that no terminal's signal and
    # every signal to its group reaches it together with its servers.
    if os.fork():
        os._exit(0)
    os.setsid()
    return Supervisor(StateDir(options.state), options.lifeline, options.events).run()


if __name__ == "__main__":
    sys.exit(main())
