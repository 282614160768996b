"""The real program's stacks on the real servers, by the commands a user types."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ladder import cli, project
from ladder.recorder import record_stack
from sandbox import deployer
from sandbox.connection import Sandbox
from sandbox.engines import Deployment
from tests.sandbox.cluster import Cluster

pytestmark = pytest.mark.servers

STACKS = ("dev", "staging", "prod")

Ladder = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, with stack files that a test may edit."""
    for path in (project.root() / "Pulumi.yaml", project.root() / "__main__.py", *project.root().glob("Pulumi.*.yaml")):
        shutil.copy(path, tmp_path)
    monkeypatch.setenv("LADDER_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def _afterwards(sandbox: Sandbox) -> Iterator[None]:
    yield
    for stack in STACKS:
        deployment = Deployment(project.root(), stack, sandbox)
        deployer.destroy(deployment.recording, deployment.target)


@pytest.fixture
def ladder(root: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ladder:
    """Runs a verb with the built-in engine; answers its exit code and JSON.

    A test's first ``up`` brings the stack to what its file says, whatever an earlier test left.
    """
    monkeypatch.setenv("LADDER_SANDBOX_DIR", str(sandbox.state))

    def run(verb: str, stack: str) -> tuple[int, dict[str, Any]]:
        code = 0
        capsys.readouterr()
        try:
            cli.main([verb, stack, "--engine", "builtin", "--format", "json"])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return code, json.loads(out or err)

    return run


PREVIEWS_OFF = "  ladder:previews:\n    enabled: false\n"


def actions(answer: dict[str, Any]) -> dict[str, list[str]]:
    """Action to the names of what it befell, without what stayed the same."""
    assert "changes" in answer, answer
    found: dict[str, list[str]] = {}
    for change in answer["changes"]:
        if change["action"] != "same":
            found.setdefault(change["action"], []).append(change["name"])
    return found


def edit(root: Path, stack: str, before: str, after: str) -> None:
    path = root / f"Pulumi.{stack}.yaml"
    text = path.read_text()
    assert text.count(before) == 1, before
    path.write_text(text.replace(before, after))


def test_three_stacks_stand_side_by_side_and_a_second_up_changes_nothing(ladder: Ladder) -> None:
    for stack in STACKS:
        code, answer = ladder("up", stack)
        assert (code, set(actions(answer)) <= {"create", "update"}) == (0, True), answer
    for stack in STACKS:
        code, answer = ladder("up", stack)
        assert (code, actions(answer)) == (0, {}), answer
        assert ladder("drift", stack)[0] == 0


def test_an_edit_changes_only_what_it_should(ladder: Ladder, root: Path) -> None:
    ladder("up", "dev")
    edit(root, "dev", "pods: 60", "pods: 61")
    expected = {"update": ["dev-services/quota"]}
    assert actions(ladder("preview", "dev")[1]) == expected
    assert actions(ladder("up", "dev")[1]) == expected
    assert actions(ladder("up", "dev")[1]) == {}


def test_what_the_settings_no_longer_name_is_pruned(ladder: Ladder, root: Path) -> None:
    ladder("up", "dev")
    metadata = [
        each.inputs["metadata"]
        for each in record_stack(root, "dev").resources
        if each.custom and "PullRequestPreviews" in each.urn
    ]
    names = ["/".join(filter(None, (each.get("namespace"), each["name"]))) for each in metadata]
    text = (root / "Pulumi.dev.yaml").read_text()
    (root / "Pulumi.dev.yaml").write_text(text.partition("  ladder:previews:")[0] + PREVIEWS_OFF)
    code, answer = ladder("up", "dev")
    assert code == 0, answer
    assert sorted(actions(answer)["delete"]) == sorted(names)


def test_drift_is_found_and_repaired(ladder: Ladder, sandbox: Sandbox) -> None:
    ladder("up", "dev")
    cluster = Cluster(sandbox, sandbox.token)
    quota = "/api/v1/namespaces/dev-services/resourcequotas/quota"
    deny = "/apis/networking.k8s.io/v1/namespaces/dev-services/networkpolicies/default-deny"
    assert cluster.patch(quota, {"spec": {"hard": {"pods": "600"}}}, "application/merge-patch+json").status == 200
    assert cluster.call("DELETE", deny).status == 200
    code, answer = ladder("drift", "dev")
    assert code == 1
    assert actions(answer) == {"update": ["dev-services/quota"], "create": ["dev-services/default-deny"]}
    assert ladder("up", "dev")[0] == 0
    assert cluster.call("GET", quota).body["spec"]["hard"]["pods"] == "60"
    assert cluster.call("GET", deny).status == 200
    assert ladder("drift", "dev")[0] == 0
    cluster.close()


def test_destroy_leaves_what_is_protected_or_retained_in_prod_and_nothing_in_staging(
    ladder: Ladder, sandbox: Sandbox
) -> None:
    ladder("up", "staging")
    ladder("up", "prod")
    staging = actions(ladder("destroy", "staging")[1])
    prod = actions(ladder("destroy", "prod")[1])
    assert "keep" not in staging
    kept = set(prod["keep"])
    assert {"prod-services", "prod-data", "acme-shop-prod-uploads", "acme-shop-prod-evidence"} <= kept
    cluster = Cluster(sandbox, sandbox.token)
    assert cluster.call("GET", "/api/v1/namespaces/staging-services").status == 404
    assert cluster.call("GET", "/api/v1/namespaces/prod-services").status == 200
    assert cluster.call("GET", "/api/v1/namespaces/prod-services/resourcequotas/quota").status == 200
    cluster.close()


@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ("pods: 60", "pods: sixty", "namespaces.services.quota.pods"),
        ("class: synthetic", "class: real", "data.class"),
        ("name: acme-shop-dev-logs", "name: Acme-Logs", "buckets.logs.name"),
    ],
)
def test_bad_settings_change_nothing(ladder: Ladder, root: Path, before: str, after: str, path: str) -> None:
    ladder("up", "dev")
    good = (root / "Pulumi.dev.yaml").read_text()
    edit(root, "dev", before, after)
    code, answer = ladder("up", "dev")
    assert code == 2
    assert path in answer["problems"][0]["path"]
    (root / "Pulumi.dev.yaml").write_text(good)
    assert actions(ladder("up", "dev")[1]) == {}


def test_an_unknown_stack_is_refused_before_anything_is_asked(ladder: Ladder) -> None:
    code, answer = ladder("up", "production")
    assert code == 2
    assert answer["problems"][0]["accepted"] == "dev, prod, staging"
