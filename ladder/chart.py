"""The service chart as an OCI artifact: packaged to the same bytes wherever that is done, and pushed."""

from __future__ import annotations

import gzip
import os
import re
import struct
import subprocess
import tempfile
import time
import zlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import cast

from ladder.errors import CheckFailed, InputError, Problem
from ladder.helm import environment
from ladder.strict_yaml import load
from sandbox.binaries import CRANE, ensure
from sandbox.progress import Progress
from sandbox.servers import HOST, choose_ports, get
from sandbox.supervisor import die_with_parent

__all__ = ["digest", "name_of", "package", "push"]

EPOCH = 0
"""The time of everything in the archive, and of the archive: Helm writes the latter into the manifest."""
READY_DEADLINE = 30.0
POLL_INTERVAL = 0.02
_LONGEST_BLOCK = 0xFFFF
_GZIP_HEADER = bytes.fromhex("1f8b08000000000000ff")
_REGISTRY = "registry"
_DIGEST = re.compile(r"^Digest: (sha256:[a-f0-9]{64})$", re.MULTILINE)
_REPOSITORY = re.compile(r"oci://(?P<folder>[^\s?#]+)/(?P<name>[^\s/?#:@]+)")


def name_of(chart: Path, *, root: Path) -> str:
    """The name in the chart's ``Chart.yaml``. Raises InputError where there is none."""
    file = (chart / "Chart.yaml").relative_to(root).as_posix()
    if not (root / file).is_file():
        raise InputError(Problem(file=file, message="not found", accepted="a Helm chart", example="gitops/chart"))
    document = load(root / file, name=file)
    name = cast("Mapping[str, object]", document.value).get("name") if isinstance(document.value, dict) else None
    if not isinstance(name, str):
        raise InputError(Problem(file=file, path="name", message="is missing", accepted="the chart's name"))
    return name


def package(helm: Path, chart: Path, directory: Path) -> Path:
    """Package the chart into ``directory``; returns the archive.

    Its bytes and its time depend on nothing but what is in the chart. Raises CheckFailed with Helm's own words.
    """
    said = _run([helm, "package", chart.absolute(), "--destination", directory], {"SOURCE_DATE_EPOCH": str(EPOCH)})
    archive = Path(said.rpartition("saved it to: ")[2].strip())
    archive.write_bytes(_stored(gzip.decompress(archive.read_bytes())))
    os.utime(archive, (EPOCH, EPOCH))
    return archive


def push(helm: Path, archive: Path, repository: str, *, plain_http: bool = False) -> str:
    """Push the archive to ``oci://host/folder/name``, ``name`` being the chart's; returns the manifest's digest.

    Registries that are not on this machine are used with the credentials that its user gave to Helm. Raises InputError
    for a repository that cannot be meant, CheckFailed with Helm's own words.
    """
    found = _REPOSITORY.fullmatch(repository)
    if found is None or not archive.name.startswith(f"{found['name']}-"):
        raise _refused(repository, "is not where the chart can be pushed to", "an oci:// repository, chart's name last")
    host = found["folder"].partition("/")[0]
    loopback = host.startswith((f"{HOST}:", "localhost:", "[::1]:"))
    if plain_http and not loopback:
        raise _refused(repository, "is not on this machine", "without --plain-http, or a registry on loopback")
    command = [helm, "push", archive, f"oci://{found['folder']}", *(["--plain-http"] if plain_http else [])]
    said = _run(command, {} if loopback else dict(os.environ))
    pushed = _DIGEST.search(said)
    if pushed is None:
        raise CheckFailed(f"helm push {repository} told no digest: {said.strip()}")
    return pushed[1]


def digest(helm: Path, archive: Path, name: str, progress: Progress) -> str:
    """The digest the archive has in any registry, learnt from one that lives as long as this takes."""
    with _registry(progress) as address:
        return push(helm, archive, f"oci://{address}/{name}", plain_http=True)


def _stored(data: bytes) -> bytes:
    """The data as a gzip file (RFC 1952) of stored blocks (RFC 1951, 3.2.4).

    What a compressor makes of it depends on the version of Go that Helm was built with.
    """
    parts = [data[start : start + _LONGEST_BLOCK] for start in range(0, len(data), _LONGEST_BLOCK)]
    blocks = [
        struct.pack("<BHH", number == len(parts), len(part), len(part) ^ _LONGEST_BLOCK) + part
        for number, part in enumerate(parts, start=1)
    ]
    return b"".join((_GZIP_HEADER, *blocks, struct.pack("<II", zlib.crc32(data), len(data))))


@contextmanager
def _registry(progress: Progress) -> Generator[str]:
    """An empty registry on loopback; yields its host and port."""
    crane = ensure(progress, targets=(CRANE,))[CRANE.name]
    port = choose_ports({}, [_REGISTRY])[_REGISTRY]
    command = [crane, "registry", "serve", f"--address={HOST}:{port}"]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent()) as process,
    ):
        try:
            deadline = time.monotonic() + READY_DEADLINE
            while get(port, "/v2/", None)[0] != HTTPStatus.OK:
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise CheckFailed(f"no registry could be started: {log.read().decode(errors='replace')[-1000:]}")
                time.sleep(POLL_INTERVAL)
            yield f"{HOST}:{port}"
        finally:
            process.terminate()


def _run(command: list[str | Path], extra: Mapping[str, str]) -> str:
    """What Helm says. The manifest has the archive's time in the time zone of the process."""
    with tempfile.TemporaryDirectory(prefix="helm.") as home:
        variables = {**environment(Path(home)), **extra, "TZ": "UTC"}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckFailed(f"helm {command[1]}: {done.stderr.strip().removeprefix('Error: ')}")
    return done.stdout + done.stderr


def _refused(repository: str, message: str, accepted: str) -> InputError:
    example = "oci://ghcr.io/acme/charts/service"
    return InputError(Problem(file="--push", message=message, found=repository, accepted=accepted, example=example))
