"""The plugin as a process of its own, on a loopback port."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from sandbox.servers import choose_ports
from tests.sandbox.processes import until
from tests.support import ROOT

__all__ = ["Process", "plugin", "unused_port"]

_DEADLINE = 60.0


class Process:
    """A running plugin. ``log`` is where its lines go."""

    def __init__(self, settings: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = settings.with_suffix(".log")
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "previews", str(settings)], cwd=settings.parent, env=environment, stderr=log
            )

    def wait_ready(self) -> None:
        until(lambda: self.process.poll() is not None or self.is_ready(), _DEADLINE)
        assert self.process.poll() is None, f"the plugin did not come up: {self.lines()}"

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def lines(self) -> str:
        return self.log.read_text(encoding="utf-8")


@contextmanager
def plugin(settings: Path, port: int) -> Iterator[Process]:
    """A plugin that is ready; it is ended in any case."""
    running = Process(settings, port)
    try:
        running.wait_ready()
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def unused_port() -> int:
    return choose_ports({}, ["plugin"])["plugin"]
