"""The servers' binaries: from ``KUBEBUILDER_ASSETS``, else built once from pinned Go modules into a cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ladder.errors import CheckFailed
from sandbox.modules import fetch, pinned_version
from sandbox.paths import cache_dir, exclusive
from sandbox.progress import Progress
from sandbox.supervisor import die_with_parent
from sandbox.toolchain import find_go, go_environment, required_version

__all__ = ["ASSETS_VARIABLE", "CRANE", "DELIVERY", "HELM", "SERVERS", "Edit", "Target", "ensure", "run_go"]

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
REQUIRED_ASSETS = ("etcd", "kube-apiserver")
ASSETS = (*REQUIRED_ASSETS, "kube-controller-manager", "kube-scheduler")
MODULES = Path(__file__).parent / "servers"
FLAGS = ("-trimpath",)
TAIL = 30
SCRATCH = ".building."


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to one file of the source before it is built; ``old`` must stand there exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Target:
    """A binary, the package it is built from, and the directory of the module that pins it.

    ``source`` is the module the package belongs to. ``stamps`` are variables that the linker sets, by which the binary
    knows its version, the one that ``source`` is pinned to; ``edits`` are made in ``source`` first.
    """

    name: str
    package: str
    module: Path
    source: str = ""
    stamps: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()

    @property
    def version(self) -> str:
        """What ``source`` is pinned to, e.g. ``v1.36.3``."""
        return pinned_version(self.module, self.source)

    @property
    def linker_flags(self) -> str:
        """Strip the binary, and stamp it."""
        if not self.stamps:
            return "-s -w"
        version = self.version
        major, minor, _ = version.removeprefix("v").split(".", 2)
        values = {"version": version, "major": major, "minor": minor}
        return "-s -w " + " ".join(f"-X {stamp.format(**values)}" for stamp in self.stamps)

    @property
    def key(self) -> str:
        """Changes with everything the binary depends on: pins, flags, edits and the machine's kind."""
        parts = [(self.module / "go.mod").read_bytes(), (self.module / "go.sum").read_bytes()]
        parts += [
            text.encode() for text in (self.package, *FLAGS, self.linker_flags, platform.system(), platform.machine())
        ]
        parts += [repr(edit).encode() for edit in self.edits]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]

    def path(self, cache: Path) -> Path:
        return cache / "binaries" / f"{self.name}-{self.key}" / self.name


def _kubernetes(name: str) -> Target:
    values = {"gitVersion": "{version}", "gitMajor": "{major}", "gitMinor": "{minor}", "gitTreeState": "clean"}
    stamps = tuple(f"k8s.io/component-base/version.{variable}={value}" for variable, value in values.items())
    return Target(name, f"k8s.io/kubernetes/cmd/{name}", MODULES / "kubernetes", "k8s.io/kubernetes", stamps)


def _argo(name: str, source: str, package: str, versions: str, *edits: Edit) -> Target:
    """Argo's projects take their version from a tag, and believe in it where there is also a commit."""
    values = {"gitTag": "{version}", "gitCommit": "{version}", "gitTreeState": "clean"}
    stamps = tuple(f"{source}/{versions}.{variable}={value}" for variable, value in values.items())
    return Target(name, f"{source}/{package}", MODULES / name, source, stamps, edits)


SERVERS = (
    Target("etcd", "go.etcd.io/etcd/server/v3", MODULES / "etcd"),
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
)
"""What every sandbox runs."""

HELM = Target(
    "helm",
    "helm.sh/helm/v4/cmd/helm",
    MODULES / "helm",
    "helm.sh/helm/v4",
    ("helm.sh/helm/v4/internal/version.version={version}", "helm.sh/helm/v4/internal/version.gitTreeState=clean"),
)

CRANE = Target(
    "crane",
    "github.com/google/go-containerregistry/cmd/crane",
    MODULES / "registry",
    "github.com/google/go-containerregistry",
    ("github.com/google/go-containerregistry/cmd/crane/cmd.Version={version}",),
)
"""It has an OCI registry in it."""

DELIVERY = (
    HELM,
    CRANE,
    _kubernetes("kube-scheduler"),
    Target("kwok", "sigs.k8s.io/kwok/cmd/kwok", MODULES / "kwok"),
    # Both have an address on every interface in their source, and no flag for it.
    _argo(
        "rollouts",
        "github.com/argoproj/argo-rollouts",
        "cmd/rollouts-controller",
        "utils/version",
        Edit("controller/controller.go", '"0.0.0.0:%d"', '"127.0.0.1:%d"'),
    ),
    _argo(
        "argocd",
        "github.com/argoproj/argo-cd/v3",
        "cmd",
        "common",
        Edit("controller/appcontroller.go", '"0.0.0.0:%d"', '"127.0.0.1:%d"'),
        Edit("cmd/argocd-notification/commands/argocd_notification.go", '"0.0.0.0:%d"', '"127.0.0.1:%d"'),
    ),
)
"""What a sandbox with Argo CD runs besides."""


def ensure(
    progress: Progress,
    *,
    targets: Sequence[Target] = SERVERS,
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
    names = [target.name for target in targets if target.name in ASSETS]
    candidates = {name: Path(directory).expanduser().absolute() / name for name in names}
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
            _build(go, target, cache, environment, progress)


def _build(go: Path, target: Target, cache: Path, environment: Mapping[str, str], progress: Progress) -> None:
    progress.step(f"building {target.name}: looking for what there is to compile")
    binary = target.path(cache)
    binary.parent.mkdir(parents=True, exist_ok=True)
    for left in binary.parent.glob(f"{SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=binary.parent, prefix=SCRATCH, ignore_cleanup_errors=True) as scratch:
        environment = {**environment, "GOTMPDIR": scratch}
        selection = [*FLAGS, f"-ldflags={target.linker_flags}"]
        if target.edits:
            selection.append(f"-modfile={_edited(target, Path(scratch), cache, progress)}")
        listing = [go, "list", *selection, "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", target.package]
        stale = run_go(listing, target.module, environment, _download_counter(progress))
        progress.step(f"building {target.name}")
        output = Path(scratch) / target.name
        building = [go, "build", "-v", *selection, "-o", output, target.package]
        run_go(building, target.module, environment, _package_counter(progress, len(stale.split())))
        output.replace(binary)


def _edited(target: Target, scratch: Path, cache: Path, progress: Progress) -> Path:
    """A go.mod that takes the source from a copy with the edits made, the copy's checksum verified before.

    Raises CheckFailed where the source cannot be had, or is not what an edit was written for.
    """
    (archive,) = fetch(target.module, [target.source], cache, progress).values()
    root = archive.extract(scratch / "source")
    for edit in target.edits:
        file = root / edit.file
        text = file.read_text()
        if text.count(edit.old) != 1:
            raise CheckFailed(f"{target.source}/{edit.file} is not as expected: it must have {edit.old} once")
        file.write_text(text.replace(edit.old, edit.new))
    shutil.copy(target.module / "go.sum", scratch)
    pinned = (target.module / "go.mod").read_text()
    (scratch / "go.mod").write_text(f"{pinned}\nreplace {target.source} => {json.dumps(str(root))}\n")
    return scratch / "go.mod"


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
