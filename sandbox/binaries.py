"""The servers' binaries: from ``KUBEBUILDER_ASSETS``, else built once from pinned Go modules into a cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ladder.errors import CheckFailed
from sandbox.paths import cache_dir, exclusive
from sandbox.progress import Progress
from sandbox.supervisor import die_with_parent
from sandbox.toolchain import find_go, go_environment, required_version

__all__ = ["ASSETS_VARIABLE", "TARGETS", "Target", "ensure", "run_go"]

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
REQUIRED_ASSETS = ("etcd", "kube-apiserver")
SOURCES = Path(__file__).parent / "servers"
FLAGS = ("-trimpath",)
TAIL = 30
SCRATCH = ".building."


@dataclass(frozen=True, slots=True)
class Target:
    """A binary, the package it is built from, and the directory of the module that pins it."""

    name: str
    package: str
    module: Path

    @property
    def linker_flags(self) -> str:
        """Strip the binary, and stamp it with the pinned version: unstamped, Kubernetes reports v0.0.0."""
        match = re.search(
            r"^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\S*)", (self.module / "go.mod").read_text(), re.MULTILINE
        )
        if match is None:
            return "-s -w"
        values = {"gitVersion": match[1], "gitMajor": match[2], "gitMinor": match[3], "gitTreeState": "clean"}
        return "-s -w " + " ".join(f"-X k8s.io/component-base/version.{name}={text}" for name, text in values.items())

    @property
    def key(self) -> str:
        """Changes with everything the binary depends on: pins, flags and the machine's kind."""
        parts = [(self.module / "go.mod").read_bytes(), (self.module / "go.sum").read_bytes()]
        parts += [
            text.encode() for text in (self.package, *FLAGS, self.linker_flags, platform.system(), platform.machine())
        ]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]

    def path(self, cache: Path) -> Path:
        return cache / "binaries" / f"{self.name}-{self.key}" / self.name


TARGETS = (
    Target("etcd", "go.etcd.io/etcd/server/v3", SOURCES / "etcd"),
    Target("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", SOURCES / "kubernetes"),
    Target("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager", SOURCES / "kubernetes"),
)


def ensure(
    progress: Progress,
    *,
    targets: Sequence[Target] = TARGETS,
    cache: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Path]:
    """The path of each target's binary, built first where it is missing.

    Several processes may call this at once: one builds, the others wait. Raises CheckFailed when a build fails or
    ``KUBEBUILDER_ASSETS`` lacks a server.
    """
    cache = cache or cache_dir()
    environment = os.environ if environment is None else environment
    found = _assets(targets, environment)
    missing = [target for target in targets if target.name not in found]
    found |= {target.name: target.path(cache) for target in missing}
    missing = [target for target in missing if not target.path(cache).exists()]
    for number, target in enumerate(missing, start=1):
        _build_once(target, cache, environment, _Counted(progress, number, len(missing)))
    return found


@dataclass(frozen=True, slots=True)
class _Counted:
    """Progress whose steps carry the number of the binary they belong to."""

    inner: Progress
    number: int
    steps: int

    def step(self, text: str, number: int = 0, steps: int = 0) -> None:
        self.inner.step(text, number or self.number, steps or self.steps)

    def advance(self, done: int, total: int) -> None:
        self.inner.advance(done, total)


def _assets(targets: Iterable[Target], environment: Mapping[str, str]) -> dict[str, Path]:
    directory = environment.get(ASSETS_VARIABLE)
    if not directory:
        return {}
    candidates = {target.name: Path(directory).expanduser().absolute() / target.name for target in targets}
    found = {name: path for name, path in candidates.items() if os.access(path, os.X_OK) and path.is_file()}
    absent = [name for name in candidates if name in REQUIRED_ASSETS and name not in found]
    if absent:
        raise CheckFailed(
            f"{ASSETS_VARIABLE}={directory} has no executable {' and no '.join(absent)}."
            f" Point it at a directory with {' and '.join(REQUIRED_ASSETS)}, or unset it to have them built."
        )
    return found


def _build_once(target: Target, cache: Path, environment: Mapping[str, str], progress: Progress) -> None:
    binary = target.path(cache)
    lock = cache / "binaries" / f"{binary.parent.name}.lock"
    with exclusive(lock, lambda: progress.step(f"waiting for another process to build {target.name}")):
        if not binary.exists():
            go = find_go(required_version(target.module), cache, progress)
            _build(go, target, binary, environment, progress)


def _build(go: Path, target: Target, binary: Path, environment: Mapping[str, str], progress: Progress) -> None:
    progress.step(f"building {target.name}: looking for what there is to compile")
    binary.parent.mkdir(parents=True, exist_ok=True)
    for left in binary.parent.glob(f"{SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=binary.parent, prefix=SCRATCH, ignore_cleanup_errors=True) as scratch:
        environment = {**environment, "GOTMPDIR": scratch}
        selection = [*FLAGS, f"-ldflags={target.linker_flags}"]
        listing = [go, "list", *selection, "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", target.package]
        stale = run_go(listing, target.module, environment, _download_counter(progress))
        progress.step(f"building {target.name}")
        output = Path(scratch) / target.name
        building = [go, "build", "-v", *selection, "-o", output, target.package]
        run_go(building, target.module, environment, _package_counter(progress, len(stale.split())))
        output.replace(binary)


def run_go(
    command: Sequence[str | Path], directory: Path, environment: Mapping[str, str], on_line: Callable[[str], bool]
) -> str:
    """Run a go command in ``directory``; returns its standard output.

    ``on_line`` sees each line of standard error and answers whether it was progress: only the others are shown when
    the command fails, which raises CheckFailed. Whatever ends this early ends the command and its compilers too.
    """
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=go_environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=die_with_parent(),
        )
        tail: deque[str] = deque(maxlen=TAIL)
        try:
            for line in process.stderr or ():
                if not on_line(line.strip()):
                    tail.append(line.rstrip())
            code = process.wait()
        finally:
            _kill_group(process)
        if code:
            words = " ".join(Path(command[0]).name if index == 0 else str(word) for index, word in enumerate(command))
            raise CheckFailed(f"{words}\nin {directory} failed with exit code {code}:\n" + "\n".join(tail))
        output.seek(0)
        return output.read()


def _kill_group(process: subprocess.Popen[str]) -> None:
    """End the command's whole group; does nothing when it has ended by itself."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stderr is not None:
        process.stderr.close()


def _download_counter(progress: Progress) -> Callable[[str], bool]:
    fetched = 0

    def on_line(line: str) -> bool:
        nonlocal fetched
        if not line.startswith("go: downloading "):
            return False
        fetched += 1
        progress.advance(fetched, 0)
        return True

    return on_line


def _package_counter(progress: Progress, total: int) -> Callable[[str], bool]:
    """``go build -v`` prints the path of each package as it is compiled, alone on its line."""
    done = 0

    def on_line(line: str) -> bool:
        nonlocal done
        if not line or " " in line:
            return False
        done += 1
        progress.advance(min(done, total), total)
        return True

    return on_line
