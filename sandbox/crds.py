"""The custom resource definitions of Argo CD, Argo Rollouts, External Secrets and Gateway API, for the sandbox.

They are taken out of the projects' Go modules, whose checksums ``servers/crds/go.sum`` pins.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, cast

import yaml

from ladder.errors import CheckFailed
from sandbox.modules import Archive, fetch
from sandbox.paths import cache_dir, exclusive
from sandbox.progress import Progress

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
    "sigs.k8s.io/gateway-api": ("config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",),
}
LABEL = "ladder.example/crds"
PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MANAGER = "ladder-sandbox"
WRITERS = 4
SERVED_DEADLINE = 60.0
POLL_INTERVAL = 0.05


def ensure(progress: Progress, *, cache: Path | None = None) -> Path:
    """The directory with the definitions as JSON, one a file; fetched first where it is missing.

    Raises CheckFailed when a module cannot be had or is not what ``go.sum`` says.
    """
    cache = cache or cache_dir()
    directory = cache / f"crds-{_key()}"
    with exclusive(cache / "crds.lock", lambda: progress.step("waiting for another process to fetch the definitions")):
        if not directory.is_dir():
            progress.step("fetching the custom resource definitions")
            with tempfile.TemporaryDirectory(dir=cache, prefix=".crds.") as scratch:
                made = Path(scratch) / "made"
                made.mkdir()
                for archive in fetch(MODULE, WANTED, cache, progress).values():
                    _extract(archive, made)
                made.rename(directory)
    return directory


def _key() -> str:
    parts = [(MODULE / name).read_bytes() for name in ("go.mod", "go.sum")] + [repr(WANTED).encode(), LABEL.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _extract(archive: Archive, directory: Path) -> None:
    loader = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for member in WANTED[archive.module]:
        definition: dict[str, Any] = yaml.load(archive.read(member), Loader=loader)  # noqa: S506 -- both are safe loaders
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
