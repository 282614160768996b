"""The settings: one model from the file and from the engine, that nothing changes after it is made."""

from __future__ import annotations

import contextvars
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import config
from pydantic import ValidationError

from ladder.contract import (
    CONFIG_NAMESPACE,
    DataClass,
    Rung,
    StackSettings,
    TierLevel,
    ladder_settings,
    settings_from_config,
    settings_from_mapping,
    stack_settings,
)
from ladder.contract.stack import RESERVED_SERVICE_ACCOUNTS
from ladder.errors import InputError
from ladder.recorder import record_stack
from ladder.strict_yaml import load
from tests.support import ROOT, STACKS, put, settings_sections


def engine_configuration(stack: str) -> dict[str, str]:
    """What the engine makes of a stack file's ``config``: maps and lists as JSON text, other values as text."""
    values: Mapping[str, Any] = load(ROOT / f"Pulumi.{stack}.yaml").value["config"]
    return {
        key: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        for key, value in values.items()
    }


def as_the_engine(values: Mapping[str, str], secret_keys: list[str] | None = None) -> StackSettings:
    def run() -> StackSettings:
        config.set_all_config(dict(values), secret_keys or [])
        return settings_from_config(pulumi.Config(CONFIG_NAMESPACE))

    return contextvars.copy_context().run(run)


@pytest.mark.parametrize("stack", STACKS)
def test_the_file_and_the_engines_configuration_give_one_model(stack: str) -> None:
    assert as_the_engine(engine_configuration(stack)) == stack_settings(ROOT, stack)


@pytest.mark.parametrize("stack", STACKS)
def test_the_sections_in_memory_give_that_model_too(stack: str) -> None:
    assert settings_from_mapping(settings_sections(stack)) == ladder_settings(ROOT)[stack]


@pytest.mark.parametrize("stack", STACKS)
def test_a_model_written_out_and_read_again_is_the_same(stack: str) -> None:
    settings = stack_settings(ROOT, stack)
    assert settings_from_mapping(settings.model_dump(mode="json", by_alias=True)) == settings


def test_what_the_engine_keeps_beside_the_configuration_does_not_matter() -> None:
    values = engine_configuration("dev") | {"encryptionsalt": "v1:AAAA", "secretsprovider": "awskms://alias/x"}
    assert as_the_engine(values) == stack_settings(ROOT, "dev")


def test_every_problem_of_the_engines_configuration_is_in_one_report() -> None:
    values = engine_configuration("dev")
    del values["ladder:tier"]
    data = {"class": "synthetic", "procedure": None, "noncurrentDays": "3", "colour": "red"}
    values["ladder:data"] = json.dumps(data)
    with pytest.raises(InputError) as caught:
        as_the_engine(values)
    found = {(problem.file, problem.path, problem.message) for problem in caught.value.problems}
    assert found == {
        ("stack configuration", "ladder:tier", "is missing"),
        ("stack configuration", "ladder:data.noncurrentDays", "is not accepted"),
        ("stack configuration", "ladder:data.colour", "is an unknown key"),
    }


def test_a_section_set_as_text_is_refused() -> None:
    values = engine_configuration("dev") | {"ladder:tier": "full", "ladder:cloud": "{"}
    with pytest.raises(InputError) as caught:
        as_the_engine(values)
    assert [problem.path for problem in caught.value.problems] == ["ladder:cloud", "ladder:tier"]
    assert {problem.message for problem in caught.value.problems} == {"is not a map"}


@pytest.mark.parametrize("through", ["context", "environment"])
def test_a_section_set_as_a_secret_is_refused_and_not_shown(through: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = engine_configuration("dev") | {"ladder:secrets": json.dumps({"prefix": "hunter2", "key": 5})}
    if through == "environment":
        monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", '["ladder:secrets"]')
    with pytest.raises(InputError) as caught:
        as_the_engine(values, ["ladder:secrets"] if through == "context" else None)
    (problem,) = caught.value.problems
    assert (problem.path, problem.found) == ("ladder:secrets", "secure: (not shown)")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("stack", STACKS)
def test_settings_cannot_be_changed(stack: str) -> None:
    settings = stack_settings(ROOT, stack)
    with pytest.raises(ValidationError):
        settings.data.noncurrent_days = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_each_stack_is_an_environment_of_its_own() -> None:
    stacks = ladder_settings(ROOT).values()
    for value in (
        *(lambda one: one.cloud.account, lambda one: one.cluster.identifier, lambda one: one.cluster.context),
        *(lambda one: one.environment.name, lambda one: one.environment.rung, lambda one: one.secrets.prefix),
    ):
        assert len({value(settings) for settings in stacks}) == len(STACKS)


def test_real_data_is_in_prod_alone_and_dependencies_are_full_from_staging_on() -> None:
    stacks = ladder_settings(ROOT)
    assert {stack: settings.holds_real_data for stack, settings in stacks.items()} == {
        "dev": False,
        "prod": True,
        "staging": False,
    }
    assert stacks["prod"].data.data_class is DataClass.REAL
    assert [stacks[rung].tier.level for rung in Rung] == [TierLevel.STANDARD, TierLevel.FULL, TierLevel.FULL]


def test_three_services_run_in_every_environment() -> None:
    assert {frozenset(settings.services) for settings in ladder_settings(ROOT).values()} == {
        frozenset({"web", "api", "worker"})
    }


def test_names_labels_and_tags_carry_the_environment() -> None:
    settings = stack_settings(ROOT, "staging")
    assert settings.namespace("data") == "staging-data"
    assert settings.physical("api") == "ladder-staging-api"
    assert settings.labels()["ladder.internal/environment"] == "staging"
    assert settings.tags() == {
        "ladder:environment": "staging",
        "ladder:owner": settings.environment.owner,
        "ladder:data-class": "synthetic",
    }


def test_only_the_services_a_key_names_use_it() -> None:
    sections = settings_sections("dev")
    put(sections, "keys.data.via", {"s3": True})
    assert settings_from_mapping(sections).keys["data"].services == ("s3",)
    put(sections, "keys.data.via", {"s3": True, "secretsmanager": True})
    assert settings_from_mapping(sections).keys["data"].services == ("s3", "secretsmanager")


def test_every_service_account_the_program_makes_is_reserved() -> None:
    recording = record_stack(ROOT, "dev")
    services = recording.outputs["namespaces"]["services"]
    made = [each.inputs["metadata"] for each in recording.of_type("kubernetes:core/v1:ServiceAccount")]
    beside = {metadata["name"] for metadata in made if metadata["namespace"] == services}
    assert beside
    assert beside <= RESERVED_SERVICE_ACCOUNTS


@pytest.mark.parametrize("name", sorted(RESERVED_SERVICE_ACCOUNTS))
def test_a_service_may_not_take_the_name_of_the_programs_own_service_accounts(name: str) -> None:
    sections = settings_sections("dev")
    put(sections, f"services.{name}", {"buckets": {}})
    with pytest.raises(InputError) as caught:
        settings_from_mapping(sections)
    assert [problem.path for problem in caught.value.problems] == [f"ladder:services.{name}"]


@pytest.mark.parametrize("value", [{}, {"environment": None}, {"on": 1}, {"environment": {"off": {"on": []}}}])
def test_no_sections_however_odd_raise_anything_but_an_input_error(value: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        settings_from_mapping(value)


@pytest.mark.parametrize("switch", [True, False, "true", None, 1, [], {}])
@pytest.mark.parametrize("path", ["previews", "buckets.evidence.objectLock"])
def test_a_switch_that_is_neither_on_nor_off_is_told_at_its_own_path(path: str, switch: object) -> None:
    sections = settings_sections("dev")
    put(sections, path, {"enabled": switch, "on": {"off": 1}})
    with pytest.raises(InputError) as caught:
        settings_from_mapping(sections)
    told = {problem.path: problem.message for problem in caught.value.problems}
    assert all(place.startswith(f"ladder:{path}.") for place in told)
    assert told[f"ladder:{path}.on"] == "is an unknown key"
    assert (f"ladder:{path}.enabled" in told) == (not isinstance(switch, bool))


def test_importing_the_contract_imports_no_heavy_library() -> None:
    code = "import sys, ladder.contract; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(ROOT))
    assert not {"croniter", "pulumi", "pulumi_aws", "rich", "google"} & set(run.stdout.split())
