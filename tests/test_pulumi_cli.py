"""What the Pulumi CLI is called with on the sandbox. A script that writes down its call stands in for the program."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ladder import project
from ladder.contract import ladder_settings
from ladder.contract.load import settings_from_mapping
from ladder.errors import CheckFailed, InputError
from sandbox.access import Sources
from sandbox.engines import Engine, choose
from sandbox.localized import localized, reserved_account
from sandbox.pulumi_cli import PulumiStack, has_resources

_STAND_IN = """\
#!/usr/bin/env python3
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps({{"arguments": sys.argv[1:], "environment": dict(os.environ)}}) + "\\n")
sys.exit({code})
"""


def _stand_in(directory: Path, code: int = 0) -> Path:
    log = directory / "calls"
    program = directory / "bin" / "pulumi"
    program.parent.mkdir(exist_ok=True)
    program.write_text(_STAND_IN.format(log=str(log), code=code))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return log


def _calls(log: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def _stack(directory: Path, stack: str = "dev") -> PulumiStack:
    settings = localized(
        ladder_settings(project.root())[stack], aws_endpoint="http://127.0.0.1:4566", cluster_uid="a-uid"
    )
    environment = {"PATH": f"{directory / 'bin'}:{os.environ['PATH']}", "PULUMI_BACKEND_URL": f"file://{directory}/s"}
    return PulumiStack(project.root(), stack, settings, directory / "project", environment)


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("up", ["up", "--stack", "dev", "--yes", "--skip-preview"]),
        ("preview", ["preview", "--stack", "dev", "--diff"]),
        ("drift", ["preview", "--stack", "dev", "--refresh", "--expect-no-changes", "--diff"]),
        ("destroy", ["destroy", "--stack", "dev", "--yes", "--skip-preview", "--exclude-protected"]),
    ],
)
def test_a_verb_selects_the_stack_and_calls_the_cli(tmp_path: Path, verb: str, expected: list[str]) -> None:
    log = _stand_in(tmp_path)
    getattr(_stack(tmp_path), verb)()
    arguments = [call["arguments"] for call in _calls(log)]
    common = ["--non-interactive", "--cwd", str(tmp_path / "project")]
    assert arguments == [[*common, "stack", "select", "--create", "dev"], [*common, *expected]]


def test_the_cli_sees_only_the_environment_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient")
    monkeypatch.setenv("PULUMI_ACCESS_TOKEN", "ambient")
    log = _stand_in(tmp_path)
    _stack(tmp_path).up()
    for call in _calls(log):
        assert call["environment"]["PULUMI_BACKEND_URL"] == f"file://{tmp_path}/s"
        assert "ambient" not in call["environment"].values()


def test_the_project_leads_to_the_program_and_the_settings_are_the_sandboxs(tmp_path: Path) -> None:
    stack = _stack(tmp_path)
    stack.write_project()
    written = yaml.safe_load((tmp_path / "project" / "Pulumi.yaml").read_text())
    assert (written["name"], written["main"]) == ("ladder", str(project.root()))
    document = yaml.safe_load((tmp_path / "project" / "Pulumi.dev.yaml").read_text())
    assert document["config"]["pulumi:disable-default-providers"] == ["*"]
    sections = {key.removeprefix("ladder:"): value for key, value in document["config"].items() if "ladder:" in key}
    assert settings_from_mapping(sections) == stack.settings


def test_what_the_cli_wrote_into_the_settings_is_kept(tmp_path: Path) -> None:
    stack = _stack(tmp_path)
    stack.write_project()
    path = tmp_path / "project" / "Pulumi.dev.yaml"
    path.write_text(path.read_text() + "encryptionsalt: v1:salt\n")
    stack.write_project()
    assert yaml.safe_load(path.read_text())["encryptionsalt"] == "v1:salt"


def test_a_failure_of_the_cli_is_told_with_its_exit_code(tmp_path: Path) -> None:
    _stand_in(tmp_path, code=255)
    with pytest.raises(CheckFailed, match="exit code 255"):
        _stack(tmp_path).up()


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([{"type": "pulumi:pulumi:Stack"}, {"type": "aws:s3/bucket:Bucket"}], True),
        ([{"type": "pulumi:pulumi:Stack"}], False),
        (None, False),
    ],
)
def test_a_stack_counts_as_deployed_when_its_state_knows_a_resource(
    tmp_path: Path, resources: Any, expected: bool
) -> None:
    state = tmp_path / ".pulumi" / "stacks" / "ladder" / "dev.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"version": 3, "checkpoint": {"stack": "dev", "latest": {"resources": resources}}}))
    assert has_resources(tmp_path, "dev") is expected
    assert has_resources(tmp_path, "prod") is False


def test_auto_is_the_cli_where_it_is_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert choose(Engine.AUTO) is Engine.BUILTIN
    with pytest.raises(InputError, match="not on PATH"):
        choose(Engine.PULUMI)
    _stand_in(tmp_path)
    assert choose(Engine.AUTO) is Engine.PULUMI
    assert choose(Engine.BUILTIN) is Engine.BUILTIN


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_no_real_account_cluster_or_role_is_left_in_the_sandboxs_settings(stack: str) -> None:
    stacks = ladder_settings(project.root())
    real = stacks[stack]
    local = localized(real, aws_endpoint="http://127.0.0.1:4566", cluster_uid="a-uid")
    text = local.model_dump_json()
    for account in {settings.cloud.account for settings in stacks.values()}:
        # A bucket's name or an issuer may hold any digits; an account id stands between quotes or colons.
        assert f'"{account}"' not in text
        assert f":{account}:" not in text
    assert local.cluster.context == "ladder-sandbox"
    assert local.cloud.deployer_role is None
    assert local.cloud.account == reserved_account(stack)
    assert local.namespaces == real.namespaces


def test_every_stack_has_a_reserved_account_of_its_own() -> None:
    accounts = {reserved_account(stack) for stack in ("dev", "staging", "prod")}
    assert len(accounts) == 3
    assert all(account.startswith("000000") and len(account) == 12 for account in accounts)


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_with_argocd_delivery_points_to_the_sandbox_and_is_otherwise_the_same(stack: str) -> None:
    real = ladder_settings(project.root())[stack]
    sources = Sources("file:///state/tree.git", "oci://127.0.0.1:5000/charts")
    plain, delivering = (
        localized(real, aws_endpoint="http://127.0.0.1:4566", cluster_uid="a-uid", sources=each)
        for each in (None, sources)
    )
    assert plain.delivery == real.delivery
    assert delivering.delivery.repository == "file:///state/tree.git"
    assert delivering.delivery.chart == "oci://127.0.0.1:5000/charts/service"
    own = {"repository": real.delivery.repository, "chart": real.delivery.chart}
    assert delivering.delivery.model_copy(update=own) == real.delivery
    assert delivering.model_copy(update={"delivery": plain.delivery}) == plain
