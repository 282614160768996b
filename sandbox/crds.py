"""The custom resource definitions of Argo CD, Argo Rollouts and External Secrets, for the sandbox.

They are taken out of the projects' Go modules, whose checksums ``servers/crds/go.sum`` pins.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, cast

import yaml

from ladder.errors import CheckFailed
from sandbox.paths import cache_dir, exclusive
from sandbox.progress import Progress
from sandbox.toolchain import find_go, go_environment, required_version

__all__ = ["ensure", "install"]

MODULE = Path(__file__).parent / "servers" / "crds"
WANTED: Mapping[str, tuple[str, ...]] = {
    "github.com/argoproj/argo-cd/v3": (
        "manifests/crds/application-crd.yaml",
        "manifests/crds/applicationset-crd.yaml",
        "manifests/crds/appproject-crd.yaml",
    ),
    "github.com/argoproj/argo-rollouts": (
        "manifests/crds/analysis-run-crd.yaml",
        "manifests/crds/analysis-template-crd.yaml",
        "manifests/crds/cluster-analysis-template-crd.yaml",
        "manifests/crds/experiment-crd.yaml",
        "manifests/crds/rollout-crd.yaml",
    ),
    "github.com/external-secrets/external-secrets": (
        "config/crds/bases/external-secrets.io_clustersecretstores.yaml",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
        "config/crds/bases/external-secrets.io_secretstores.yaml",
    ),
}
LABEL = "ladder.example/crds"
PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MANAGER = "ladder-sandbox"
WRITERS = 4
SERVED_DEADLINE = 60.0
POLL_INTERVAL = 0.05


@dataclass(frozen=True, slots=True)
class _Pin:
    version: str
    checksum: str


def ensure(progress: Progress, *, cache: Path | None = None) -> Path:
    """The directory with the definitions as JSON, one a file; fetched first where it is missing.

    Raises CheckFailed when a module cannot be had or is not what ``go.sum`` says.
    """
    cache = cache or cache_dir()
    directory = cache / f"crds-{_key()}"
    with exclusive(cache / "crds.lock", lambda: progress.step("waiting for another process to fetch the definitions")):
        if not directory.is_dir():
            progress.step("fetching the custom resource definitions of Argo CD, Argo Rollouts and External Secrets")
            with tempfile.TemporaryDirectory(dir=cache, prefix=".crds.") as scratch:
                made = Path(scratch) / "made"
                made.mkdir()
                for module, archive in _download(cache, Path(scratch), progress).items():
                    _extract(module, archive, made)
                made.rename(directory)
    return directory


def _key() -> str:
    parts = [(MODULE / name).read_bytes() for name in ("go.mod", "go.sum")] + [repr(WANTED).encode(), LABEL.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _pins() -> dict[str, _Pin]:
    """Version and checksum of each wanted module, from go.mod and go.sum."""
    versions = dict(re.findall(r"^\s*(\S+) (v\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE))
    lines = (line.split() for line in (MODULE / "go.sum").read_text().splitlines())
    sums = {(module, version): checksum for module, version, checksum in lines}
    return {module: _Pin(versions[module], sums[module, versions[module]]) for module in WANTED}


def _download(cache: Path, scratch: Path, progress: Progress) -> dict[str, Path]:
    """Each module's archive.

    A module may ask for a newer Go than there is; fetching and checking it needs no more than any, so that what go
    says about it is not an error, and a missing archive or a wrong checksum is.
    """
    pins = _pins()
    go = find_go(required_version(MODULE), cache, progress)
    for name in ("go.mod", "go.sum"):
        shutil.copy(MODULE / name, scratch / name)
    environment = {**go_environment(os.environ), "GOFLAGS": "-mod=mod"}
    command = [go, "mod", "download", "-json", *(f"{module}@{pin.version}" for module, pin in pins.items())]
    done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True, check=False)
    archives: dict[str, Path] = {}
    for answer in _objects(done.stdout):
        module = str(answer["Path"])
        if answer.get("Sum") != pins[module].checksum or "Zip" not in answer:
            what = answer.get("Error") or f"its checksum is {answer.get('Sum')}, not {pins[module].checksum}"
            raise CheckFailed(f"{module}@{pins[module].version} could not be fetched: {what}")
        archives[module] = Path(str(answer["Zip"]))
    if archives.keys() != pins.keys():
        raise CheckFailed(f"the custom resource definitions could not be fetched:\n{done.stderr[-2000:]}")
    return archives


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that follow each other in ``text``."""
    decoder, position = json.JSONDecoder(), 0
    while (position := _skip_space(text, position)) < len(text):
        value, position = decoder.raw_decode(text, position)
        yield value


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _extract(module: str, archive: Path, directory: Path) -> None:
    loader = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    with zipfile.ZipFile(archive) as files:
        for member in WANTED[module]:
            text = files.read(f"{module}@{_pins()[module].version}/{member}")
            definition: dict[str, Any] = yaml.load(text, Loader=loader)  # noqa: S506 -- both are safe loaders
            definition["metadata"].setdefault("labels", {})[LABEL] = _key()
            definition.pop("status", None)
            name = definition["metadata"]["name"]
            (directory / f"{name}.json").write_text(json.dumps(definition, separators=(",", ":")))


def install(directory: Path, connect: Callable[[], HTTPSConnection], token: str, progress: Progress) -> None:
    """Create or replace what is not there as it should be, and wait until the API server serves every kind.

    Raises CheckFailed when it refuses one, or does not serve one in time.
    """
    definitions = {path.stem: path for path in sorted(directory.glob("*.json"))}
    client = _Client(connect, token)
    there = client.installed()
    wrong = [name for name in definitions if there.get(name, _ABSENT).key != _key()]
    if wrong:
        progress.step(f"installing {len(wrong)} custom resource definitions")

        def write(name: str) -> None:
            _Client(connect, token).write(definitions[name], there.get(name))

        with ThreadPoolExecutor(WRITERS) as pool:
            for done, _ in enumerate(pool.map(write, wrong), start=1):
                progress.advance(done, len(wrong))
    _await_served(client, set(definitions))


def _await_served(client: _Client, names: set[str]) -> None:
    deadline = time.monotonic() + SERVED_DEADLINE
    while absent := names - client.served():
        if time.monotonic() > deadline:
            raise CheckFailed(f"the API server does not serve {', '.join(sorted(absent))}")
        time.sleep(POLL_INTERVAL)


@dataclass(frozen=True, slots=True)
class _Installed:
    """A definition that the API server has: our label on it, and the version that a replacement must name."""

    key: str
    resource_version: str


_ABSENT = _Installed("", "")


class _Client:
    """The few requests this takes, over one connection."""

    def __init__(self, connect: Callable[[], HTTPSConnection], token: str) -> None:
        self._connection = connect()
        self._token = token

    def installed(self) -> dict[str, _Installed]:
        """Every definition there, by its name."""
        metadata = [item["metadata"] for item in self._list(PATH, "PartialObjectMetadataList;g=meta.k8s.io;v=v1")]
        return {
            str(each["name"]): _Installed(str(each.get("labels", {}).get(LABEL, "")), str(each["resourceVersion"]))
            for each in metadata
        }

    def served(self) -> set[str]:
        """``plural.group`` of every kind in discovery."""
        groups = self._list("/apis", "APIGroupDiscoveryList;g=apidiscovery.k8s.io;v=v2")
        return {
            f"{resource['resource']}.{group['metadata'].get('name', '')}"
            for group in groups
            for version in group["versions"]
            for resource in version["resources"]
        }

    def write(self, definition: Path, there: _Installed | None) -> None:
        """Create the definition, or replace the one that is there.

        Not an apply: tracking who owns which of ten thousand fields takes the server twice the time.
        """
        body: dict[str, Any] = json.loads(definition.read_bytes())
        if there is not None:
            body["metadata"]["resourceVersion"] = there.resource_version
        method, path = ("POST", PATH) if there is None else ("PUT", f"{PATH}/{definition.stem}")
        status, answer = self._request(method, f"{path}?fieldManager={MANAGER}", json.dumps(body).encode())
        if status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            reason = answer.decode(errors="replace")[:500]
            raise CheckFailed(f"the API server refused the definition of {definition.stem}: {reason}")

    def _list(self, path: str, shape: str) -> list[dict[str, Any]]:
        status, answer = self._request("GET", path, accept=f"application/json;as={shape}")
        if status != HTTPStatus.OK:
            raise CheckFailed(f"the API server answered {status} to {path}: {answer.decode(errors='replace')[:500]}")
        return json.loads(answer)["items"] or []

    def _request(
        self, method: str, path: str, body: bytes | None = None, accept: str = "application/json"
    ) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": accept, "Content-Type": "application/json"}
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException) as error:
            raise CheckFailed(f"the API server does not answer: {error}") from error
