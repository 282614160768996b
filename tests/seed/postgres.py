"""A PostgreSQL of one's own: on a socket in a temporary directory, as an unprivileged user, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.sandbox.processes import until

__all__ = ["PASSWORD", "Server", "running"]

PASSWORD = "correct-horse"
"""Of the one user there is, ``owner``."""

_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "max_connections": "20",
    "shared_buffers": "32MB",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Server:
    """A running server. ``directory`` holds its socket."""

    directory: Path

    def environment(self, database: str = "postgres") -> dict[str, str]:
        """The variables by which libpq finds it."""
        return {"PGHOST": str(self.directory), "PGUSER": "owner", "PGPASSWORD": PASSWORD, "PGDATABASE": database}

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=str(self.directory),
            user="owner",
            password=PASSWORD,
            dbname=database,
            autocommit=True,
            connect_timeout=5,
        )

    def fresh(self, name: str) -> str:
        """A new, empty database."""
        with self.connect() as connection:
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
        return name


@contextmanager
def running() -> Generator[Server]:
    """Start a server, and stop it and remove what it wrote whatever happens inside."""
    binaries = _binaries()
    directory = Path(tempfile.mkdtemp(prefix="seed-pg."))
    run_as = _unprivileged()
    if run_as:
        os.chown(directory, run_as["user"], run_as["group"])
    server: subprocess.Popen[bytes] | None = None
    try:
        password = directory / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        password.chmod(0o644)
        data = directory / "data"
        made = (*("-D", data, "-U", "owner", f"--pwfile={password}"), "--auth=scram-sha-256", "--no-sync", "-E", "UTF8")
        common: dict[str, Any] = {"cwd": directory, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}, **run_as}
        subprocess.run([binaries / "initdb", *made], check=True, stdout=subprocess.DEVNULL, **common)
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        with (directory / "log").open("wb") as log:
            command = [binaries / "postgres", "-D", data, "-k", directory, *settings]
            server = subprocess.Popen(command, stdout=log, stderr=log, **common)
        found = Server(directory)
        until(lambda: _answers(found, server))
        yield found
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)  # its fast shutdown, which waits for no client
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _answers(found: Server, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, (found.directory / "log").read_text(encoding="utf-8")
    try:
        found.connect().close()
    except psycopg.OperationalError:
        return False
    return True


def _binaries() -> Path:
    """Where ``initdb`` is: Debian keeps the server's programs off PATH, one directory for each version."""
    on_path = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    assert on_path or installed, "PostgreSQL is not installed; 'scripts/bootstrap test' says how"
    return (installed[-1] if installed else Path(str(on_path))).parent


def _unprivileged() -> dict[str, int]:
    """The server refuses to be root's; where root runs the tests it is Debian's user for it, or nobody's."""
    if os.getuid() != 0:
        return {}
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = users.get("postgres") or users["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid}
