"""An independent scanner over what every overlay renders to; each exception has its reason in ``exceptions.yaml``.

Workloads are Argo Rollouts, which scanners do not know: each is presented as the Deployment that makes the same pods.
Kinds it has no rules for (HTTPRoute, ExternalSecret, AnalysisTemplate) it passes over.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ladder.check.rendering import release
from ladder.helm import find, render_many
from ladder.strict_yaml import load
from ladder.tree import read_tree
from sandbox.progress import Silent
from tests.support import ROOT

pytestmark = pytest.mark.exhaustive

SCANNER = ROOT / "tests" / "scanner"
EXCEPTIONS: Mapping[str, str] = load(SCANNER / "exceptions.yaml").value
PLANTED = "/planted.json"
WORKLOADS = {"Deployment", "StatefulSet"}
PRIVILEGED, ESCALATING, UNPINNED = "CKV_K8S_16", "CKV_K8S_20", "CKV_K8S_43"

Object = dict[str, Any]


@dataclass(frozen=True)
class Scan:
    """What was to be scanned, as (file, resource), and what the scanner saw and found."""

    workloads: set[tuple[str, str]]
    scanned: set[tuple[str, str]]
    failed: list[dict[str, str]]
    unreadable: list[str]

    def findings(self, *, planted: bool) -> list[dict[str, str]]:
        return [each for each in self.failed if (each["file"] == PLANTED) == planted]


def as_scanned(document: Mapping[str, Any], namespace: str) -> Object:
    """The object in the namespace it is delivered to, a Rollout as the Deployment that it equals."""
    made: Object = copy.deepcopy(dict(document))
    made["metadata"]["namespace"] = namespace
    if made["kind"] == "Rollout":
        made |= {"apiVersion": "apps/v1", "kind": "Deployment"}
        del made["spec"]["strategy"]
    return made


def spoiled(deployment: Object) -> Object:
    """The same workload with a privileged container of an image by tag."""
    made = copy.deepcopy(deployment)
    container = made["spec"]["template"]["spec"]["containers"][0]
    container["image"] = "ghcr.io/acme/shop/api:latest"
    container["securityContext"] |= {"privileged": True, "allowPrivilegeEscalation": True}
    return made


def resource(document: Object) -> str:
    return f"{document['kind']}.{document['metadata']['namespace']}.{document['metadata']['name']}"


def python() -> Path:
    """The interpreter of the scanner's own environment, brought up to date with its lock."""
    bootstrap = subprocess.run([ROOT / "scripts" / "bootstrap"], stdout=subprocess.PIPE, text=True, check=True)
    uv = bootstrap.stdout.strip()
    outer = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    subprocess.run([uv, "sync", "--quiet", "--frozen", "--project", SCANNER], env=outer, check=True)
    return SCANNER / ".venv" / "bin" / "python"


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """One run over everything, with nothing of the user's environment."""
    directory = tmp_path_factory.mktemp("manifests")
    tree = read_tree(ROOT, "gitops/envs")
    services = list(tree.services())
    releases = [release(tree, service) for service in services]
    workloads: set[tuple[str, str]] = set()
    for service, (_, made) in zip(services, render_many(find(Silent()), tree.chart, releases, Silent()), strict=True):
        assert isinstance(made, tuple), made
        objects = [as_scanned(each.document, f"{service.environment}-services") for each in made]
        file = directory / service.environment / f"{service.name}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        found = [each for each in objects if each["kind"] in WORKLOADS]
        workloads |= {(f"/{file.relative_to(directory)}", resource(each)) for each in found}
        (directory / PLANTED[1:]).write_text(json.dumps(spoiled(found[0])))
    command = [python(), SCANNER / "scan.py", directory]
    environment = {"PATH": os.defpath, "HOME": str(tmp_path_factory.mktemp("home"))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    return Scan(workloads, {(file, name) for file, name in said["scanned"]}, said["failed"], said["unreadable"])


def test_nothing_is_found_but_what_has_a_reason(scan: Scan) -> None:
    found = [each for each in scan.findings(planted=False) if each["check"] not in EXCEPTIONS]
    assert found == [], "mend the chart, or say why not in tests/scanner/exceptions.yaml"


def test_every_workload_of_every_overlay_is_scanned(scan: Scan) -> None:
    assert len(scan.workloads) >= 12
    assert scan.workloads <= scan.scanned
    assert scan.unreadable == []


def test_a_planted_privileged_container_is_found(scan: Scan) -> None:
    found = {each["check"] for each in scan.findings(planted=True)}
    assert {PRIVILEGED, ESCALATING, UNPINNED} <= found


def test_every_exception_has_a_reason_and_is_still_needed(scan: Scan) -> None:
    assert set(EXCEPTIONS) <= {each["check"] for each in scan.findings(planted=False)}
    assert all(len(reason) > 40 for reason in EXCEPTIONS.values())
