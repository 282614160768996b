"""Where the sandbox keeps its things, and the two primitives that keep them whole: private writes and file locks."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ladder.errors import CheckFailed

__all__ = [
    "STATE_VARIABLE",
    "StateDir",
    "cache_dir",
    "default_state",
    "exclusive",
    "is_locked",
    "make_private_dir",
    "write_private",
]

STATE_VARIABLE = "LADDER_SANDBOX_DIR"


@dataclass(frozen=True, slots=True)
class StateDir:
    """The layout of one sandbox's state; every path is absolute."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by ``start`` and ``stop`` while they work."""
        return self.root / "lock"

    @property
    def alive(self) -> Path:
        """Held by the supervisor and inherited by its servers: locked as long as one of them lives."""
        return self.root / "alive"

    @property
    def identity(self) -> Path:
        """What stays the same for the life of the state: the cluster's UID."""
        return self.root / "identity.json"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets.json"

    @property
    def plan(self) -> Path:
        """What the supervisor is to run: ports and binaries."""
        return self.root / "plan.json"

    @property
    def run(self) -> Path:
        """What the supervisor runs, or why it ended."""
        return self.root / "run.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def tokens(self) -> Path:
        return self.root / "tokens.csv"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def etcd(self) -> Path:
        return self.root / "etcd"

    @property
    def journal(self) -> Path:
        return self.root / "cloud.jsonl"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def empty(self) -> Path:
        """An empty file, for tools that would otherwise read the user's own configuration."""
        return self.root / "empty"

    @property
    def pulumi_backend(self) -> Path:
        return self.root / "pulumi"

    @property
    def pulumi_home(self) -> Path:
        return self.root / "pulumi-home"

    @property
    def argocd(self) -> Path:
        """The home and scratch of Argo CD's processes, and what Argo CD reads from files."""
        return self.root / "argocd"

    @property
    def redis_configuration(self) -> Path:
        return self.root / "redis.conf"

    @property
    def tree(self) -> Path:
        """The bare git repository that Argo CD delivers from."""
        return self.root / "tree.git"

    @property
    def charts(self) -> Path:
        """Every chart archive that was published: the registry forgets its manifests when it stops."""
        return self.root / "charts"

    @property
    def registry(self) -> Path:
        return self.root / "registry"

    def user_kubeconfig(self, user: str) -> Path:
        """The kubeconfig of one of the sandbox's own servers."""
        return self.root / f"{user}.kubeconfig"

    def create(self) -> None:
        """Make the directories; only their owner may enter.

        Raises CheckFailed where the path is taken by something else or cannot be made.
        """
        for directory in (self.root, self.pki, self.logs, self.pulumi_backend, self.pulumi_home):
            make_private_dir(directory)
        self.empty.touch(mode=0o600)


def default_state(project: Path) -> Path:
    """``LADDER_SANDBOX_DIR``, or ``.sandbox`` in the project."""
    chosen = os.environ.get(STATE_VARIABLE)
    return (Path(chosen).expanduser() if chosen else project / ".sandbox").absolute()


def cache_dir() -> Path:
    """The per-user cache, shared by every clone and every state directory."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "ladder"


def make_private_dir(directory: Path) -> None:
    """Create ``directory`` with mode 0700, or tighten it to that."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if directory.stat().st_mode & 0o077:
            directory.chmod(0o700)
    except OSError as error:
        raise CheckFailed(f"{directory}: cannot be used as a directory of the sandbox: {error.strerror}") from error


def write_private(path: Path, content: str | bytes) -> None:
    """Replace a file at once, readable by its owner only: a reader sees the old content or the new, never a part."""
    data = content.encode() if isinstance(content, str) else content
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def exclusive(path: Path, waiting: Callable[[], None] | None = None) -> Generator[int]:
    """Hold an advisory lock on ``path``; yields its descriptor.

    ``waiting`` is called once when somebody else holds it, before waiting for them. The kernel drops the lock when the
    process ends, however it ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock on ``path``."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
