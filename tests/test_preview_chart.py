"""The chart that owns a preview's namespace, rendered by Helm as the program's own ApplicationSet tells it to."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ladder.check.applications import ChartUse
from ladder.check.applicationsets import delivery
from ladder.check.charts import guarding
from ladder.check.generators import PLUGIN_ANSWER, PULL_REQUESTS
from ladder.check.kubernetes_schemas import KubernetesSchemas
from ladder.check.repository import Repository
from ladder.check.template import render
from ladder.contract import ladder_settings
from ladder.errors import InputError
from ladder.helm import Manifest, Release, find, render_many
from ladder.recorder import record_stack
from ladder.tree import read_tree
from sandbox.progress import Lines
from tests.conftest import APPLICATION_SET, LIMITS, NAMESPACE, NETWORK_POLICY, QUOTA, Recordings, one
from tests.support import ROOT

CHART = ROOT / "gitops" / "preview"


@pytest.fixture(scope="module")
def told(recordings: Recordings) -> dict[str, Any]:
    """The values that the ApplicationSet gives it."""
    patch = one(recordings["dev"], APPLICATION_SET, "previews").inputs["spec"]["templatePatch"]
    parameters = {**PULL_REQUESTS[0], **PLUGIN_ANSWER, "services": []}
    return yaml.safe_load(render(patch, parameters))["spec"]["sources"][0]["helm"]["valuesObject"]


def made(values: Mapping[str, Any], folder: Path) -> dict[str, Mapping[str, Any]]:
    """The objects by kind and name."""
    (folder / "values.yaml").write_text(json.dumps(values), encoding="utf-8")
    release = Release("preview", (Path("values.yaml"),), folder, namespace="pr-7")
    ((_, manifests),) = render_many(find(Lines()), CHART, [release], Lines())
    if isinstance(manifests, InputError):
        raise manifests
    return {_key(each): each.document for each in manifests}


def _key(manifest: Manifest) -> str:
    return f"{manifest.document['kind']}/{manifest.document['metadata']['name']}"


def test_it_makes_the_namespace_and_what_guards_it(told: dict[str, Any], tmp_path: Path) -> None:
    objects = made(told, tmp_path)
    assert set(objects) == {
        "Namespace/pr-7",
        "ResourceQuota/quota",
        "LimitRange/limits",
        "NetworkPolicy/default-deny",
        "NetworkPolicy/allow-dns",
    }
    waves = {key: int(each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for key, each in objects.items()}
    assert waves.pop("Namespace/pr-7") < min(waves.values()) <= max(waves.values()) < -3, (
        "before all that services have"
    )


def test_kubernetes_takes_all_of_it(told: dict[str, Any], tmp_path: Path) -> None:
    known = KubernetesSchemas.load(Lines())
    for key, document in made(told, tmp_path).items():
        assert list(known.problems(document, file=key, source="gitops/preview")) == []


def test_a_preview_is_guarded_as_the_environments_own_namespaces(
    told: dict[str, Any], tmp_path: Path, recordings: Recordings
) -> None:
    objects, recording = made(told, tmp_path), recordings["dev"]
    own = one(recording, NAMESPACE, "services").inputs["metadata"]["labels"]
    labels = objects["Namespace/pr-7"]["metadata"]["labels"]
    assert {key: value for key, value in labels.items() if key.startswith("pod-security")} == {
        key: value for key, value in own.items() if key.startswith("pod-security")
    }
    for name in ("default-deny", "allow-dns"):
        there = one(recording, NETWORK_POLICY, f"services-{name}").inputs["spec"]
        assert objects[f"NetworkPolicy/{name}"]["spec"] == there
    there = one(recording, QUOTA, "services-quota").inputs["spec"]["hard"]
    assert objects["ResourceQuota/quota"]["spec"]["hard"].keys() == there.keys()
    ((here,), (there,)) = (
        objects["LimitRange/limits"]["spec"]["limits"],
        one(recording, LIMITS, "services-limits").inputs["spec"]["limits"],
    )
    assert here.keys() == there.keys()


def test_it_says_until_when_it_may_be_there(told: dict[str, Any], tmp_path: Path) -> None:
    annotations = made(told, tmp_path)["Namespace/pr-7"]["metadata"]["annotations"]
    assert annotations["ladder.internal/expires"] == PLUGIN_ANSWER["expires"]


@pytest.mark.parametrize(
    ("path", "value"),
    [("tier", "full"), ("tier", "standard"), ("expires", "tomorrow"), ("tiers", {}), ("labels", None), ("more", 1)],
)
def test_what_it_is_not_told_right_is_not_made(told: dict[str, Any], tmp_path: Path, path: str, value: Any) -> None:
    with pytest.raises(InputError):
        made({**told, path: value}, tmp_path)


def weakened(folder: Path, file: str, old: str, new: str) -> list[str]:
    """What the check says of the chart with one edit."""
    shutil.copytree(CHART, folder / "gitops" / "preview", dirs_exist_ok=True)
    template = folder / "gitops" / "preview" / "templates" / file
    text = template.read_text(encoding="utf-8")
    assert old in text
    template.write_text(text.replace(old, new), encoding="utf-8")
    found = guarding(folder, uses(), KubernetesSchemas.load(Lines()), Lines())
    return [f"{each.rule}: {each.message}" for each in found]


@functools.lru_cache(maxsize=1)
def uses() -> tuple[ChartUse, ...]:
    recording = record_stack(ROOT, "dev")
    tree = read_tree(ROOT, "gitops/envs")
    return delivery(recording, Repository.of(ladder_settings(ROOT)["dev"].delivery, tree), []).charts


TO, OPEN = "    - to:\n", "lets pods reach anything"
OF_DNS = "- namespaceSelector:\n            matchLabels:\n              kubernetes.io/metadata.name: kube-system"
LABELS = "{{- toYaml .Values.labels | nindent 4 }}"
UNMARKED = '{{- toYaml (omit .Values.labels "ladder.internal/preview") | nindent 4 }}'
FIRST_ONLY = 'kind: {{ eq .Release.Namespace "pr-1" | ternary "LimitRange" "ConfigMap" }}'
WEAKENED = {
    "no quota": ("room.yaml", "kind: ResourceQuota", "kind: ConfigMap", "ResourceQuota"),
    "a quota of pods": (
        "room.yaml",
        "{{- toYaml $room.quota | nindent 4 }}",
        'pods: "1"',
        "ResourceQuota of all its pods",
    ),
    "limits of pods": ("room.yaml", "- type: Container", "- type: Pod", "LimitRange of containers"),
    "limits where somebody looks": ("room.yaml", "kind: LimitRange", FIRST_ONLY, "LimitRange"),
    "any pod": ("namespace.yaml", LABELS, "a: b", "not restricted"),
    "another namespace": ("namespace.yaml", ".Release.Namespace", '"pr-0"', "makes no Namespace"),
    "no end": ("namespace.yaml", "ladder.internal/expires:", "ladder.internal/until:", "never remove it"),
    "no mark": ("namespace.yaml", LABELS, UNMARKED, "never remove it"),
    "calls from anywhere": ("network.yaml", "    - Ingress\n", "", "denies ingress by default"),
    "calls to anything": ("network.yaml", TO, f"    - {{}}\n{TO}", OPEN),
    "calls to every namespace": ("network.yaml", OF_DNS, "- namespaceSelector: {}", OPEN),
    "calls to metadata": ("network.yaml", TO, f"    - to: [{{ipBlock: {{cidr: 169.254.169.254/32}}}}]\n{TO}", OPEN),
    "calls to half of all": ("network.yaml", TO, f"    - to: [{{ipBlock: {{cidr: 0.0.0.0/1}}}}]\n{TO}", OPEN),
}


@pytest.mark.parametrize("what", WEAKENED)
def test_a_chart_that_guards_less_is_found(tmp_path: Path, what: str) -> None:
    file, old, new, said = WEAKENED[what]
    assert [each for each in weakened(tmp_path, file, old, new) if said in each]


def test_as_shipped_it_guards(tmp_path: Path) -> None:
    assert weakened(tmp_path, "room.yaml", "quota", "quota") == []
