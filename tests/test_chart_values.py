"""What the chart refuses: by its schema, and what the schema cannot say."""

from __future__ import annotations

import pytest

from tests.charts import changed, refusal


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("unheardOf", 1, "'unheardOf' not allowed"),
        ("tier", "huge", ": tier: "),
        ("tier", ..., "missing property 'tier'"),
        ("image", ..., "missing property 'image'"),
        ("image.digest", "latest", ": image.digest: "),
        ("service.image", "ghcr.io/acme/shop/api:1.2", ": service.image: "),
        ("service.ports.http", "8080", ": service.ports.http: "),
        ("service.ports.http", 80, ": service.ports.http: "),
        ("service.ports.grpc", 9000, "'grpc'"),
        ("scale.replicas.min", 0, ": scale.replicas.min: "),
        ("scale.replicas.min", None, ": scale.replicas.min: "),
        ("scale.minAvailable", ..., "missing property 'minAvailable'"),
        ("scale.resources.limits.cpu", 1, ": scale.resources.limits.cpu: "),
        ("rollout.analysis", {"enabled": True}, ": rollout.analysis: "),
        ("rollout.canary", [{"weight": 100, "pause": "1m"}], ": rollout.canary.0.weight: "),
        ("dependencies.stores.database.image", "postgres:17", ": dependencies.stores.database.image: "),
        ("features.Guest", True, "'Guest' not allowed"),
        ("seed", ..., "missing property 'seed'"),
        ("seed.image", "ghcr.io/acme/shop/seed:1.2", ": seed: "),
        ("seed.number", "1", ": seed: "),
        ("instance", {"placeholder": "pr-0", "seed": "7"}, "missing property 'name'"),
    ],
)
def test_values_the_schema_refuses_name_the_key(path: str, value: object, said: str) -> None:
    assert said in refusal("api", changed("dev", "api", {path: value}))


MANAGED = {"cache": {"host": "a.b", "port": 6379, "cidr": "10.0.0.0/8"}}
ANALYSIS = {"enabled": True, "threshold": 1, "interval": "1m", "count": 1, "failures": 0}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("service.ports", {"http": 8080}, "service.ports: lacks metrics"),
        ("service.ports", {"metrics": 9090}, "service.probes.port: http is not in service.ports"),
        ("service.ports", {"metrics": 9090}, "service.ports: lacks http"),
        ("scale.replicas.max", 1, "scale.replicas.max: 1 is less than min, 2"),
        ("scale.minAvailable", 2, "scale.minAvailable: 2 of 2 pods"),
        ("endpoints.external", {}, "endpoints.external: lacks payments"),
        ("endpoints.buckets", {}, "endpoints.buckets: lacks exports"),
        ("scale.stores.cache", ..., "scale.stores: lacks cache"),
        ("secrets.CACHE_PASSWORD", ..., "secrets: lacks CACHE_PASSWORD"),
        ("tier", "lite", "scale.stores: lacks objects"),
        ("tier", "full", "endpoints.stores: lacks database, which somebody else runs at tier full"),
        ("endpoints.stores", MANAGED, "endpoints.stores: cache is run by this chart at tier standard"),
        ("rollout.analysis", ANALYSIS, "rollout.analysis: there is no step"),
    ],
)
def test_values_that_make_no_sense_together_are_refused(path: str, value: object, said: str) -> None:
    assert said in refusal("api", changed("dev", "api", {path: value}))


@pytest.mark.parametrize("name", ["service", "objects", "seed", "x" * 49])
def test_a_store_may_not_take_a_name_that_the_chart_cannot_give_it(name: str) -> None:
    values = changed("dev", "worker", {})
    values["dependencies"]["stores"][name] = values["dependencies"]["stores"].pop("cache")
    assert "dependencies.stores: " in refusal("worker", values)


def test_a_throwaway_bucket_has_a_name_that_s3_takes() -> None:
    said = refusal("api", changed("preview", "api", {"dependencies.objects.buckets.ab": "read"}))
    assert "dependencies.objects.buckets: ab is shorter than 3" in said


def test_what_fills_a_store_that_somebody_else_runs_has_its_password() -> None:
    said = refusal("api", changed("staging", "api", {"secrets.DATABASE_PASSWORD": ...}))
    assert "secrets: lacks DATABASE_PASSWORD, which opens the store database" in said


def test_a_copy_of_an_environment_has_hosts_of_its_own() -> None:
    hosts = {"here": "shop.pr-0.example.com", "shared": "shop.pr-01.example.com", "other": "pr-00.example.com"}
    copy = {"placeholder": "pr-0", "name": "pr-7", "seed": "7"}
    said = refusal("web", changed("preview", "web", {"endpoints.hosts": hosts, "instance": copy}))
    assert "endpoints.hosts.shared: shop.pr-01.example.com has no label pr-0, which instance replaces" in said
    assert "endpoints.hosts.other: " in said
    assert "endpoints.hosts.here" not in said


def test_everything_wrong_is_said_at_once() -> None:
    said = refusal("api", changed("dev", "api", {"scale.minAvailable": 2, "endpoints.buckets": {}, "secrets": {}}))
    for wrong in ("2 of 2 pods", "lacks exports", "lacks uploads", "CACHE_PASSWORD", "DATABASE_PASSWORD"):
        assert wrong in said
