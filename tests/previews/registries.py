"""A real OCI registry for the tests, the one that the sandbox runs as its own, and what pull requests push to it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import httpx

from sandbox.binaries import CRANE, ensure
from sandbox.progress import Lines
from tests.previews.processes import unused_port
from tests.sandbox.processes import until

__all__ = ["OciRegistry", "push"]

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_EMPTY = b"{}"
_NAMED = f"sha256:{hashlib.sha256(_EMPTY).hexdigest()}"


class OciRegistry:
    """A process on a loopback port that can be stopped and started again with what it has."""

    def __init__(self, folder: Path) -> None:
        self._program, self._port, self._folder = ensure(Lines(), targets=(CRANE,))["crane"], unused_port(), folder
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        address = f"--address=127.0.0.1:{self._port}"
        command = [self._program, "registry", "serve", address, f"--disk={self._folder}"]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until(self._answers)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v2/").is_success
        except httpx.TransportError:
            return False


def push(url: str, repository: str, tag: str) -> str:
    """The digest of a manifest that the registry has under the tag from now on; no two tags have the same."""
    began = httpx.post(f"{url}/v2/{repository}/blobs/uploads/").raise_for_status()
    place = httpx.URL(url).join(began.headers["location"])
    httpx.put(place, params={"digest": _NAMED}, content=_EMPTY).raise_for_status()
    blob = f'{{"mediaType": "application/vnd.oci.empty.v1+json", "digest": "{_NAMED}", "size": 2}}'
    told = f'"annotations": {{"tag": "{tag}"}}'
    text = f'{{"schemaVersion": 2, "mediaType": "{_MANIFEST}", "config": {blob}, "layers": [{blob}], {told}}}'
    headers = {"Content-Type": _MANIFEST}
    httpx.put(f"{url}/v2/{repository}/manifests/{tag}", content=text, headers=headers).raise_for_status()
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
