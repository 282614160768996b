"""The stores that a service brings: which tier runs which, how they are opened, and what is kept."""

from __future__ import annotations

import re

import pytest

from tests.charts import ENVIRONMENTS, OVERLAYS, Object, Rendered, changed, overlay_values, render, rendered

ENGINES = {"postgresql": "5432", "redis": "6379", "s3": "8333"}
RUN = {"lite": {"cache", "database", "objects"}, "standard": {"cache", "database"}, "full": set[str]()}
TIERS = {overlay_values(environment, "api")["tier"]: environment for environment in ENVIRONMENTS}


def stores(release: Rendered) -> dict[str, Object]:
    return {name.removeprefix("api-"): each for name, each in release.of("StatefulSet").items()}


def container(store: Object) -> Object:
    (only,) = store["spec"]["template"]["spec"]["containers"]
    return only


def environment_of(store: Object) -> dict[str, object]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(store).get("env", [])}


def test_the_environments_show_every_tier() -> None:
    assert TIERS.keys() == RUN.keys()


@pytest.mark.parametrize("tier", RUN)
def test_each_tier_runs_the_stores_it_should(tier: str) -> None:
    assert stores(rendered(TIERS[tier], "api")).keys() == RUN[tier]


@pytest.mark.parametrize(("environment", "service"), [each for each in OVERLAYS if each[1] != "api"])
def test_only_the_owner_brings_a_store(environment: str, service: str) -> None:
    assert not rendered(environment, service).of("StatefulSet")


@pytest.mark.parametrize("tier", ["lite", "standard"])
def test_a_store_answers_at_the_host_and_port_its_users_are_told(tier: str) -> None:
    """Of every service of the environment, not of the owner alone."""
    release = rendered(TIERS[tier], "api")
    hosts = {
        (name, str(service["spec"]["ports"][0]["port"]))
        for name, service in release.of("Service").items()
        if name != "api"
    }
    for service in ("api", "worker", "web"):
        variables = rendered(TIERS[tier], service).variables
        told = {
            (variables[f"{name}_HOST"], variables[f"{name}_PORT"])
            for name in ("CACHE", "DATABASE")
            if f"{name}_HOST" in variables
        }
        objects = re.fullmatch(r"http://(.+):(\d+)", variables.get("AWS_ENDPOINT_URL_S3", ""))
        told |= {(objects[1], objects[2])} if objects else set()
        assert told <= hosts
        assert (service == "api") <= (told == hosts)


@pytest.mark.parametrize("tier", ["lite", "standard"])
def test_a_stores_service_leads_to_its_pod_and_the_port_it_listens_on(tier: str) -> None:
    release = rendered(TIERS[tier], "api")
    for name, store in release.of("StatefulSet").items():
        service = release.of("Service")[name]["spec"]
        assert service["selector"] == store["spec"]["selector"]["matchLabels"]
        assert store["spec"]["serviceName"] == name
        (port,) = container(store)["ports"]
        assert service["ports"][0]["targetPort"] == port["name"]
        assert str(port["containerPort"]) == ENGINES[port["name"]]


@pytest.mark.parametrize("tier", ["lite", "standard"])
def test_a_store_is_one_pod_of_the_size_given(tier: str) -> None:
    sizes = overlay_values(TIERS[tier], "api")["scale"]["stores"]
    for name, store in stores(rendered(TIERS[tier], "api")).items():
        assert store["spec"]["replicas"] == 1
        assert container(store)["resources"] == sizes[name]["resources"]


def test_what_lite_stores_is_thrown_away_with_the_pod() -> None:
    sizes = overlay_values(TIERS["lite"], "api")["scale"]["stores"]
    for name, store in stores(rendered(TIERS["lite"], "api")).items():
        assert "volumeClaimTemplates" not in store["spec"]
        (data,) = [each for each in store["spec"]["template"]["spec"]["volumes"] if each["name"] == "data"]
        assert data["emptyDir"] == {"sizeLimit": sizes[name]["storage"]}


def test_what_standard_stores_is_kept() -> None:
    sizes = overlay_values(TIERS["standard"], "api")["scale"]["stores"]
    for name, store in stores(rendered(TIERS["standard"], "api")).items():
        (claim,) = store["spec"]["volumeClaimTemplates"]
        assert claim["metadata"]["name"] == "data"
        assert claim["spec"]["resources"]["requests"]["storage"] == sizes[name]["storage"]
        assert {"name": "data", "mountPath": "/data"} in container(store)["volumeMounts"]
    redis, postgresql = (stores(rendered(TIERS["standard"], "api"))[name] for name in ("cache", "database"))
    arguments = container(redis)["args"]
    assert arguments[arguments.index("--appendonly") + 1] == "yes"
    assert arguments[arguments.index("--dir") + 1] == "/data"
    assert str(environment_of(postgresql)["PGDATA"]).startswith("/data/")


def test_a_claim_does_not_change_with_the_chart() -> None:
    """A StatefulSet's claims may not be changed: a label of the chart's version would end every later sync."""
    for store in stores(rendered(TIERS["standard"], "api")).values():
        assert (
            store["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"] == store["spec"]["selector"]["matchLabels"]
        )


def test_lite_stores_ask_for_no_password() -> None:
    release = rendered(TIERS["lite"], "api")
    assert "secretKeyRef" not in str(release.objects)
    assert environment_of(stores(release)["database"])["POSTGRES_HOST_AUTH_METHOD"] == "trust"
    assert "--requirepass" not in container(stores(release)["cache"])["args"]


def test_standard_stores_take_the_password_that_the_service_gets() -> None:
    values, release = overlay_values(TIERS["standard"], "api"), rendered(TIERS["standard"], "api")
    for name, variable in (("database", "POSTGRES_PASSWORD"), ("cache", "REDISCLI_AUTH")):
        key = f"{name.upper()}_PASSWORD"
        assert key in values["secrets"]
        assert environment_of(stores(release)[name])[variable] == {"secretKeyRef": {"name": "api", "key": key}}
    assert "POSTGRES_HOST_AUTH_METHOD" not in environment_of(stores(release)["database"])
    arguments = container(stores(release)["cache"])["args"]
    assert arguments[arguments.index("--requirepass") + 1] == "$(REDISCLI_AUTH)"


@pytest.mark.parametrize("tier", ["lite", "standard"])
def test_the_database_and_its_user_are_those_the_services_are_told(tier: str) -> None:
    variables = rendered(TIERS[tier], "worker").variables
    given = environment_of(stores(rendered(TIERS[tier], "api"))["database"])
    assert (given["POSTGRES_DB"], given["POSTGRES_USER"]) == (variables["DATABASE_NAME"], variables["DATABASE_USER"])


@pytest.mark.parametrize("tier", ["lite", "standard"])
def test_a_store_is_probed_by_its_own_protocol(tier: str) -> None:
    release = stores(rendered(TIERS[tier], "api"))
    for name, store in release.items():
        asked = [container(store)[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")]
        if name == "objects":
            assert [probe["httpGet"]["path"] for probe in asked] == ["/uploads", "/healthz", "/healthz"]
            assert {probe["httpGet"]["port"] for probe in asked} == {"s3"}
        else:
            client = {"database": "pg_isready", "cache": "redis-cli"}[name]
            assert all(client in " ".join(probe["exec"]["command"]) for probe in asked)


def test_the_throwaway_store_has_started_when_it_has_made_every_bucket_of_its_owner() -> None:
    """One after the other, in the order of their names; the last is what the startup probe lists."""
    store = container(stores(rendered(TIERS["lite"], "api"))["objects"])
    assert store["command"] == ["sh", "-ec"]
    (script,) = store["args"]
    buckets = sorted(overlay_values(TIERS["lite"], "api")["dependencies"]["objects"]["buckets"])
    assert script.startswith(f"for bucket in {' '.join(buckets)}; do\n")
    assert store["startupProbe"]["httpGet"]["path"] == f"/{buckets[-1]}"


def test_a_pod_is_labelled_for_the_stores_it_uses_and_no_others() -> None:
    used = {
        "api": {"cache", "database", "objects"},
        "worker": {"cache", "database", "objects"},
        "web": {"objects"},
    }
    for service, names in used.items():
        labels = rendered(TIERS["lite"], service).pod["metadata"]["labels"]
        prefix = "ladder.internal/store-"
        assert {label for label in labels if label.startswith(prefix)} == {f"{prefix}api-{name}" for name in names}


def test_a_store_changes_without_rolling_the_service() -> None:
    larger = changed(TIERS["standard"], "api", {"scale.stores.cache.resources.limits.memory": "512Mi"})
    assert render("api", larger).rollout == rendered(TIERS["standard"], "api").rollout
