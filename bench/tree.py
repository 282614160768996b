"""What a large GitOps tree costs: 1,000 services in each of four environments, generated from the shipped web."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Figure, median_of, timed
from ladder import helm, project
from ladder.helm import Release
from ladder.recorder import record_stack
from ladder.tree import VALUES, VERSION, read_tree
from sandbox.progress import Silent

__all__ = ["SERVICES", "figures", "generate"]

SERVICES = 1000
_RENDERED = 48
_TREE = "gitops/envs"
_ALONE = (
    (r"(?ms)^    api: \{port: 8080\}$", ""),
    (r"(?m)^  services:\n\n", "  services: {}\n"),
    (r"(?ms)^  objects:\n.*?^  external", "  objects: {enabled: false}\n  external"),
    (r"(?ms)^  role:\n.*?^  buckets", "  role: {enabled: false}\n  buckets"),
    (r"(?ms)^  buckets:.*?^  keys", "  buckets: {}\n  keys"),
    (r"public: true", "public: false"),
    (r"hosts: \{.*\}", "hosts: {}"),
)
"""What makes an overlay of web one that needs nothing else: no calls, no buckets, no role, no host."""


def figures(rounds: int) -> Iterator[Figure]:
    root = project.root()
    with tempfile.TemporaryDirectory(prefix="ladder-bench-") as directory:
        large = Path(directory)
        generate(root, large)
        yield _recording(root, large, rounds)
        yield _checking(large, rounds)
    yield _rendering(root, rounds)


def _recording(root: Path, large: Path, rounds: int) -> Figure:
    """The program does not read the tree: the same resources, in the same time."""
    small, many = len(record_stack(root, "dev").resources), len(record_stack(large, "dev").resources)
    if small != many:
        raise AssertionError(
            f"the program declares {many} resources beside a large tree, and {small} beside a small one"
        )
    seconds = [timed(lambda: record_stack(large, "dev")) for _ in range(rounds)]
    own = sorted(timed(lambda: record_stack(root, "dev")) for _ in range(rounds))[rounds // 2]
    ratio = sorted(seconds)[rounds // 2] / own
    return median_of(
        f"record dev beside {SERVICES:,} services",
        seconds,
        "s",
        note=f"{ratio:.2f} × beside the shipped tree; {many} resources in both",
    )


def _checking(large: Path, rounds: int) -> Figure:
    command = [str(Path(sys.executable).parent / "ladder"), "check", "--no-render", "--format", "json"]
    last: list[str] = []

    def run() -> None:
        done = subprocess.run(command, cwd=large, check=False, capture_output=True, text=True)
        last[:] = [done.stdout or done.stderr]

    seconds = [timed(run) for _ in range(rounds)]
    report = json.loads(last[0])
    if "findings" not in report:
        raise AssertionError(last[0][:2000])
    note = f"{report['overlays']:,} overlays, {len(report['findings'])} findings"
    return median_of("ladder check --no-render of that tree", seconds, "s", aim="< 10 s", note=note)


def _rendering(root: Path, rounds: int) -> Figure:
    """Rendering by all cores, beside plain ``helm template`` one after the other."""
    tree = read_tree(root, _TREE)
    shipped = [
        Release(name=service.name, files=(service.folder / VALUES, service.folder / VERSION), root=root)
        for service in tree.services()
    ]
    releases = (shipped * (_RENDERED // len(shipped) + 1))[:_RENDERED]
    program = helm.find(Silent())
    seconds = [timed(lambda: list(helm.render_many(program, tree.chart, releases, Silent()))) for _ in range(rounds)]
    plain = sorted(timed(lambda: _plainly(program, tree.chart, root, releases)) for _ in range(rounds))[rounds // 2]
    ratio = sorted(seconds)[rounds // 2] / plain
    return median_of(
        f"render {_RENDERED} releases and read what came out",
        seconds,
        "s",
        note=f"{ratio:.2f} × plain helm template, one after the other ({plain:.2f} s)",
    )


def _plainly(program: Path, chart: Path, root: Path, releases: list[Release]) -> None:
    for release in releases:
        values = [option for file in release.files for option in ("-f", str(root / file))]
        command = [str(program), "template", release.name, str(chart), *values]
        subprocess.run(command, check=True, capture_output=True)


def generate(root: Path, large: Path, services: int = SERVICES) -> None:
    """A project whose tree has as many services, and whose quotas hold them."""
    for path in (*root.glob("Pulumi*.yaml"), root / "__main__.py", root / "parity.yaml"):
        if path.is_file():
            shutil.copy(path, large)
    for folder in ("components", "schemas", "gitops"):
        shutil.copytree(root / folder, large / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in large.glob("Pulumi.*.yaml"):
        text = re.sub(
            r"(requests|limits): \{cpu: \"\d+\", memory: \d+Gi\}",
            r'\1: {cpu: "90000", memory: 90000Gi}',
            path.read_text(),
        )
        # A preview's quota is one of them, and the budget of all previews must hold one for its whole time.
        text = re.sub(r'budget: \{cpu: "\d+", memory: \d+Gi\}', 'budget: {cpu: "90000000", memory: 90000000Gi}', text)
        path.write_text(re.sub(r"pods: \d+", "pods: 90000", text))
    for environment in sorted((large / _TREE).iterdir()):
        values, version = ((environment / "web" / name).read_text() for name in (VALUES, VERSION))
        for pattern, alone in _ALONE:
            values = re.sub(pattern, alone, values)
        for number in range(services - 3):
            folder = environment / f"service-{number}"
            folder.mkdir()
            (folder / VALUES).write_text(values)
            (folder / VERSION).write_text(version)
