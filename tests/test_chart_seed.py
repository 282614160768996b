"""What fills an environment's stores: the Job by which the chart runs ``ladder seed``, and what it is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ladder.commands.seed import command
from ladder.contract import ladder_settings
from ladder.contract.overlay import ChartValues
from ladder.contract.overlay_rules import within_overlay
from ladder.contract.seed import read_seed
from tests.charts import OVERLAYS, Object, Rendered, changed, overlay_values, refusal, render, rendered
from tests.support import ROOT

FILLED = {"lite": "preview", "standard": "dev", "full": "staging"}
"""An environment that is filled, for each tier."""

every_tier = pytest.mark.parametrize("tier", FILLED)


def job(release: Rendered) -> Object:
    return release.one("Job")


def container(release: Rendered) -> Object:
    (only,) = job(release)["spec"]["template"]["spec"]["containers"]
    return only


def told(release: Rendered) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(release)["env"]}


def test_the_environments_show_every_tier() -> None:
    assert {tier: overlay_values(name, "api")["tier"] for tier, name in FILLED.items()} == {
        tier: tier for tier in FILLED
    }


@pytest.mark.parametrize(("environment", "service"), OVERLAYS)
def test_what_is_filled_are_the_stores_of_the_databases_owner_where_data_is_made_up(
    environment: str, service: str
) -> None:
    filled = service == "api" and environment != "prod"
    release = rendered(environment, service)
    assert bool(release.of("Job")) == (f"{service}-seed" in release.of("NetworkPolicy")) == filled
    assert overlay_values(environment, service)["seed"]["enabled"] == filled


@every_tier
def test_the_command_is_one_that_the_command_line_takes(tier: str) -> None:
    """By the arguments' own parser, and the environment is one of those that may be filled."""
    name, verb, *arguments = container(rendered(FILLED[tier], "api"))["command"]
    assert (name, verb) == ("ladder", "seed")
    parsed = command.make_context("seed", list(arguments)).params
    environment, number = FILLED[tier], overlay_values(FILLED[tier], "api")["seed"]["number"]
    assert (parsed["environment"], parsed["seed"], parsed["format_"]) == (environment, number, "json")
    assert (parsed["store"], parsed["hash_only"]) == (None, False)


@every_tier
def test_it_fills_the_stores_that_the_service_is_told_of(tier: str) -> None:
    release = rendered(FILLED[tier], "api")
    own, given = release.variables, told(release)
    database = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGDATABASE": "NAME"}
    assert {name: given.pop(name) for name in database} == {
        name: own[f"DATABASE_{part}"] for name, part in database.items()
    }
    password = {"secretKeyRef": {"name": "api", "key": "DATABASE_PASSWORD"}}
    assert given.pop("PGPASSWORD", None) == (None if tier == "lite" else password)
    assert given == {name: value for name, value in own.items() if name.startswith(("AWS_", "BUCKET_"))}


@every_tier
def test_every_bucket_that_gets_objects_is_told_and_may_be_written(tier: str) -> None:
    shape = read_seed(ROOT, ladder_settings(ROOT))
    assert shape is not None
    buckets = overlay_values(FILLED[tier], "api")["dependencies"]["objects"]["buckets"]
    for bucket in shape.objects:
        assert f"BUCKET_{bucket.upper()}" in told(rendered(FILLED[tier], "api"))
        assert "write" in buckets[bucket]


@every_tier
def test_a_number_arrives_as_it_was_given(tier: str) -> None:
    for number in (0, 10**15 - 1):
        release = render("api", changed(FILLED[tier], "api", {"seed.number": number}))
        assert container(release)["command"][4] == str(number)


@every_tier
def test_argo_cd_runs_it_anew_with_each_sync(tier: str) -> None:
    """As a hook: a Job cannot be changed, and is not there before the stores are."""
    annotations = job(rendered(FILLED[tier], "api"))["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/hook"] == "Sync"
    assert annotations["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"


@every_tier
def test_it_ends_and_runs_as_the_service_does(tier: str) -> None:
    release = rendered(FILLED[tier], "api")
    spec = job(release)["spec"]
    pod, own = spec["template"]["spec"], release.pod["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], pod["restartPolicy"]) == (3, 3600, "Never")
    for key in ("serviceAccountName", "securityContext", "automountServiceAccountToken", "volumes"):
        assert pod[key] == own[key]
    values = overlay_values(FILLED[tier], "api")["seed"]
    assert container(release)["image"] == values["image"]
    assert container(release)["resources"] == values["resources"]


@every_tier
def test_it_is_labelled_for_the_stores_that_it_fills_and_no_others(tier: str) -> None:
    labels = job(rendered(FILLED[tier], "api"))["spec"]["template"]["metadata"]["labels"]
    filled = {"lite": {"database", "objects"}, "standard": {"database"}, "full": set[str]()}
    prefix = "ladder.internal/store-"
    assert {label for label in labels if label.startswith(prefix)} == {f"{prefix}api-{name}" for name in filled[tier]}


@every_tier
def test_filling_the_stores_or_not_changes_nothing_else(tier: str) -> None:
    off = render("api", changed(FILLED[tier], "api", {"seed": {"enabled": False}}))
    on = rendered(FILLED[tier], "api")
    assert off.objects == tuple(each for each in on.objects if each["metadata"]["name"] != "api-seed")


def test_where_no_objects_are_kept_it_reaches_the_database_alone() -> None:
    changes = {"dependencies.objects": {"enabled": False}, "endpoints.buckets": {}}
    for environment in ("dev", "staging"):
        release = render("api", changed(environment, "api", changes))
        (rule,) = release.of("NetworkPolicy")["api-seed"]["spec"]["egress"]
        assert [port["port"] for port in rule["ports"]] == [5432]
        assert told(release).keys() == {"AWS_REGION", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD"}


@every_tier
@pytest.mark.parametrize(
    "change",
    [
        {"dependencies.stores.database": ...},
        {"dependencies.stores.database.engine": "redis"},
        {"dependencies.stores.database.owner": "worker"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_only_postgresql_of_the_service_itself_is_filled(tier: str, change: dict[str, object]) -> None:
    """By the contract, and by the chart for whoever calls Helm by hand."""
    values = changed(FILLED[tier], "api", change)
    assert "seed.enabled: database in dependencies.stores is not PostgreSQL of this service" in refusal("api", values)
    overlay = ChartValues.model_validate_json(json.dumps(values))
    found = [violation for violation in within_overlay("api", overlay) if violation.path == ("seed", "enabled")]
    assert [violation.accepted.partition(",")[0] for violation in found] == ["false"]
