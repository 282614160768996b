"""How long the sandbox takes, against kubectl where it is on PATH."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Figure, median_of, timed
from ladder import project
from ladder.recorder import record_stack

__all__ = ["figures"]


def figures(rounds: int) -> Iterator[Figure]:
    """Binaries must be cached; ``make up`` sees to that."""
    with tempfile.TemporaryDirectory(prefix="ladder-bench-") as directory:
        environment = {**os.environ, "LADDER_SANDBOX_DIR": f"{directory}/state"}
        try:
            start = timed(lambda: _ladder(environment, "sandbox", "start"))
            first = timed(lambda: _ladder(environment, "up", "dev"))
            yield Figure(
                name="sandbox start + first up dev, binaries cached", value=start + first, unit="s", aim="< 20 s"
            )
            second = [timed(lambda: _ladder(environment, "up", "dev")) for _ in range(rounds)]
            note = ""
            if shutil.which("kubectl"):
                peer = _kubectl(Path(directory), rounds)
                ratio = sorted(second)[rounds // 2] / peer
                note = f"{ratio:.2f} × kubectl apply --server-side --dry-run of its Kubernetes half ({peer:.2f} s)"
            yield median_of("second up dev, nothing to change", second, "s", aim="< 5 s", note=note)
            _ladder(environment, "sandbox", "stop")
            again = [timed(lambda: _restart(environment)) for _ in range(rounds)]
            yield median_of("sandbox start with its state", again, "s")
        finally:
            _ladder(environment, "sandbox", "stop")


def _restart(environment: dict[str, str]) -> None:
    _ladder(environment, "sandbox", "start")
    _ladder(environment, "sandbox", "stop")


def _ladder(environment: dict[str, str], *arguments: str) -> None:
    command = [str(Path(sys.executable).parent / "ladder"), *arguments]
    options = ["--engine", "builtin"] if arguments[0] == "up" else []
    subprocess.run([*command, *options], env=environment, check=True, capture_output=True)


def _kubectl(directory: Path, rounds: int) -> float:
    objects = [
        dict(resource.inputs)
        for resource in record_stack(project.root(), "dev").in_dependency_order()
        if resource.type.startswith("kubernetes:")
    ]
    manifest = directory / "dev.json"
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    command = ["kubectl", "apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(manifest)]
    environment = {**os.environ, "KUBECONFIG": str(directory / "state" / "kubeconfig")}

    def run() -> None:
        subprocess.run(command, env=environment, check=True, capture_output=True)

    return sorted(timed(run) for _ in range(rounds))[rounds // 2]
