"""What the tests of a sandbox's lifecycle ask of its processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def processes_of(state: Path) -> list[psutil.Process]:
    """Every live process that has the state directory on its command line or as its working directory."""

    def belongs(process: psutil.Process) -> bool:
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            return str(state) in " ".join(process.cmdline()) or process.cwd() == str(state)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    return [process for process in psutil.process_iter() if belongs(process)]


def listening(state: Path) -> list[str]:
    """The address of every socket that the sandbox listens on."""
    return [
        connection.laddr.ip
        for process in processes_of(state)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
