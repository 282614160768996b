"""The schemas of Kubernetes' own kinds, in the version the sandbox runs.

They are taken out of the Go module the API server is built from, whose checksum ``servers/kubernetes/go.sum`` pins.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any, cast

from ladder.errors import CheckFailed
from sandbox.modules import Archive, fetch, pinned_version
from sandbox.paths import cache_dir, exclusive
from sandbox.progress import Progress

__all__ = ["ensure", "version"]

MODULE = Path(__file__).parent / "servers" / "kubernetes"
NAME = "k8s.io/kubernetes"
FOLDER = "api/openapi-spec/v3/"


def version() -> str:
    """The version of Kubernetes, e.g. ``v1.36.3``."""
    return pinned_version(MODULE, NAME)


def ensure(progress: Progress, *, cache: Path | None = None) -> Path:
    """A JSON file of every definition by its name, without the prose; fetched first where it is missing.

    Raises CheckFailed when the module cannot be had, is not what ``go.sum`` says, or holds no definitions.
    """
    cache = cache or cache_dir()
    path = cache / f"kubernetes-openapi-{version()}.json"
    with exclusive(cache / "openapi.lock", lambda: progress.step("waiting for another process to fetch the schemas")):
        if not path.is_file():
            progress.step(f"fetching the schemas of Kubernetes {version()} (20 MB)")
            definitions = _definitions(fetch(MODULE, [NAME], cache, progress)[NAME])
            with tempfile.TemporaryDirectory(dir=cache, prefix=".openapi.") as scratch:
                made = Path(scratch) / path.name
                made.write_text(json.dumps(definitions, separators=(",", ":")))
                made.rename(path)
    return path


def _definitions(archive: Archive) -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    with zipfile.ZipFile(archive.path) as files:
        for name in files.namelist():
            if name.startswith(f"{archive.root}/{FOLDER}") and name.endswith(".json"):
                document: dict[str, Any] = json.loads(files.read(name))
                definitions |= document.get("components", {}).get("schemas", {})
    if not definitions:
        raise CheckFailed(f"{archive.root} holds no definitions in {FOLDER}")
    return {name: _without_prose(definition) for name, definition in sorted(definitions.items())}


def _without_prose(schema: Any) -> Any:
    """The schema without its descriptions; a property may itself be called ``description``."""
    if isinstance(schema, list):
        return [_without_prose(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for name, value in cast("dict[str, Any]", schema).items():
        if name == "properties":
            kept[name] = {key: _without_prose(item) for key, item in value.items()}
        elif name != "description":
            kept[name] = _without_prose(value)
    return kept
