"""The files that a sandbox with Argo CD takes out of the projects' Go modules, as their ``go.sum`` pins them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.binaries import MODULES
from sandbox.delivery_servers import BIN, STAGES
from sandbox.modules import fetch
from sandbox.paths import cache_dir, exclusive
from sandbox.progress import Progress

__all__ = ["OBJECTS", "ensure"]

OBJECTS = "objects"
"""The folder of objects that the projects themselves ask for: their controllers' roles, kwok's storage class."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Files of a module that a folder of ``servers`` pins, by the path they get; several for one path are joined."""

    folder: str
    module: str
    files: Mapping[str, tuple[str, ...]]


_STAGE = "kustomize/stage"
_SOURCES = (
    _Source(
        "argocd",
        "github.com/argoproj/argo-cd/v3",
        {
            f"{BIN}/git-verify-wrapper.sh": ("hack/git-verify-wrapper.sh",),
            f"{OBJECTS}/applicationsets.yaml": (
                "manifests/base/applicationset-controller/argocd-applicationset-controller-role.yaml",
            ),
        },
    ),
    _Source(
        "rollouts",
        "github.com/argoproj/argo-rollouts",
        {f"{OBJECTS}/rollouts.yaml": ("manifests/role/argo-rollouts-clusterrole.yaml",)},
    ),
    _Source(
        "kwok",
        "sigs.k8s.io/kwok",
        {
            f"{OBJECTS}/kwok.yaml": (
                "kustomize/rbac/role.yaml",
                f"{_STAGE}/volume/rbac/role.yaml",
                f"{_STAGE}/volume/fast/storage-class.yaml",
            ),
            # At once and without failures; the pod of a Job succeeds, and a claim gets the volume it asks for.
            STAGES: (
                f"{_STAGE}/node/fast/node-initialize.yaml",
                f"{_STAGE}/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
                f"{_STAGE}/pod/fast/pod-ready.yaml",
                f"{_STAGE}/pod/fast/pod-complete.yaml",
                f"{_STAGE}/pod/fast/pod-delete.yaml",
                f"{_STAGE}/volume/fast/pvc-provision.yaml",
                f"{_STAGE}/volume/fast/pvc-delete.yaml",
                f"{_STAGE}/volume/fast/pv-bind.yaml",
                f"{_STAGE}/volume/fast/pv-delete.yaml",
            ),
        },
    ),
)


def ensure(progress: Progress, *, cache: Path | None = None) -> Path:
    """The directory with the files, fetched first where it is missing.

    Raises CheckFailed when a module cannot be had or is not what ``go.sum`` says.
    """
    cache = cache or cache_dir()
    directory = cache / f"delivery-{_key()}"
    with exclusive(cache / "delivery.lock", lambda: progress.step("waiting for another process to fetch files")):
        if not directory.is_dir():
            progress.step("fetching what Argo CD, Argo Rollouts and kwok need besides their binaries")
            with tempfile.TemporaryDirectory(dir=cache, prefix=".delivery.") as scratch:
                made = Path(scratch) / "made"
                for source in _SOURCES:
                    _take(source, made, cache, progress)
                made.rename(directory)
    return directory


def _key() -> str:
    pins = [MODULES / source.folder / name for source in _SOURCES for name in ("go.mod", "go.sum")]
    parts = [path.read_bytes() for path in pins] + [repr(_SOURCES).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _take(source: _Source, directory: Path, cache: Path, progress: Progress) -> None:
    (archive,) = fetch(MODULES / source.folder, [source.module], cache, progress).values()
    for name, members in source.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\n---\n".join(archive.read(member) for member in members))
        if path.parent.name == BIN:
            path.chmod(0o755)
