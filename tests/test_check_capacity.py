"""What fits: the most that services can come to, against the quota and the limits that recordings give."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.check.capacity import capacity, demand, shown
from ladder.check.findings import Finding
from ladder.contract.overlay import Seed
from ladder.contract.types import quantity
from tests.checked import Checked, shipped
from tests.conftest import LIMITS, QUOTA
from tests.support import ROOT


def found(checked: Checked, environment: str = "dev") -> list[Finding]:
    return list(capacity(checked.tree, checked.environment(environment)))


@pytest.mark.parametrize("environment", ["dev", "staging", "prod", "preview"])
def test_the_shipped_services_fit(environment: str) -> None:
    assert found(shipped(), environment) == []


def test_a_service_counts_with_its_largest_number_its_surge_its_stores_and_what_fills_them() -> None:
    api = shipped().tree.environments["dev"]["api"].overlay
    assert isinstance(api.seed, Seed)
    seed = api.seed.resources.requests
    scale = api.scale
    pods = scale.replicas.max + scale.surge
    stores = list(scale.stores.values())
    asked = demand("api", api)
    assert asked["pods"] == pods + len(stores) + 1 == 6
    assert asked["persistentvolumeclaims"] == len(stores) == 2
    assert asked["requests.storage"] == sum(quantity(store.storage) for store in stores)
    others = quantity(seed.cpu) + sum(quantity(store.resources.requests.cpu) for store in stores)
    assert asked["requests.cpu"] == pods * quantity(scale.resources.requests.cpu) + others


def test_only_tier_standard_claims_volumes_and_only_owners_bring_stores() -> None:
    trees = shipped().tree.environments
    assert demand("worker", trees["dev"]["worker"].overlay)["persistentvolumeclaims"] == 0
    lite = demand("api", trees["preview"]["api"].overlay)
    assert (lite["persistentvolumeclaims"], lite["requests.storage"]) == (0, 0)
    assert lite["pods"] == 2 + 3 + 1, "one pod and one more, a database, a cache, an object store and what fills them"
    full = demand("api", trees["prod"]["api"].overlay)
    assert full["pods"] == trees["prod"]["api"].overlay.scale.replicas.max + 1


def test_what_does_not_fit_names_the_heaviest_and_what_would_fit() -> None:
    crowded = shipped().with_overlay("dev", "web", {"scale.replicas.max": 70})
    told = {
        finding.path.removeprefix("config.ladder:namespaces.services.quota."): finding for finding in found(crowded)
    }
    assert set(told) == {"requests.cpu", "limits.cpu", "pods"}
    pods = told["pods"]
    assert pods.rule == "capacity/quota"
    assert pods.where == f"Pulumi.dev.yaml:{line('pods: 60')}"
    assert pods.found.startswith("60; 79 asked for: web 71, api 6, worker 2")
    assert pods.accepted == "79 or more"
    assert "19 too little" in pods.message
    assert "or lower scale of web, api, worker in dev by 19 together" in pods.mend


def test_a_preview_must_fit_the_room_of_every_tier_that_is_offered() -> None:
    told = found(shipped().with_overlay("preview", "web", {"scale.replicas.max": 20}), "preview")
    assert {finding.path for finding in told} == {
        f"config.ladder:previews.tiers.lite.quota.{path}"
        for path in ("requests.cpu", "requests.memory", "limits.cpu", "pods")
    }
    assert {finding.where.partition(":")[0] for finding in told} == {"Pulumi.dev.yaml"}


def test_a_container_of_a_preview_must_fit_its_tiers_limits() -> None:
    told = found(shipped().with_overlay("preview", "api", {"scale.resources.limits.memory": "1025Mi"}), "preview")
    assert [(each.rule, each.path, each.accepted) for each in told] == [
        ("capacity/container", "scale.resources.limits.memory", "at most 1Gi")
    ]


def test_the_recorded_quota_decides_not_the_settings() -> None:
    small = shipped().with_resource(
        "dev", QUOTA, "services-quota", lambda inputs: inputs["spec"]["hard"].update({"requests.memory": "1Gi"})
    )
    (finding,) = found(small)
    assert finding.path.endswith("quota.requests.memory")
    assert finding.found.startswith("1Gi; ")


def test_a_quota_of_none_and_one_that_says_nothing_differ() -> None:
    none = shipped().with_resource(
        "dev", QUOTA, "services-quota", lambda inputs: inputs["spec"]["hard"].update({"persistentvolumeclaims": "0"})
    )
    assert [finding.found for finding in found(none)] == ["0; 2 asked for: api 2, web 0, worker 0"]
    silent = shipped().with_resource("dev", QUOTA, "services-quota", lambda inputs: inputs["spec"].update(hard={}))
    assert found(silent.with_overlay("dev", "web", {"scale.replicas.max": 700})) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("scale.resources.limits.memory", "1025Mi"),
        ("scale.stores.database.resources.limits.cpu", "1001m"),
    ],
)
def test_a_container_larger_than_the_limit_range_allows_is_found(path: str, value: str) -> None:
    (finding,) = found(shipped().with_overlay("dev", "api", {path: value}))
    assert (finding.rule, finding.path, finding.found) == ("capacity/container", path, value)
    assert finding.where.startswith("gitops/envs/dev/api/values.yaml:")


def test_the_recorded_limit_range_decides() -> None:
    def smaller(inputs: dict[str, dict[str, list[dict[str, dict[str, str]]]]]) -> None:
        inputs["spec"]["limits"][0]["max"]["cpu"] = "500m"

    told = found(shipped().with_resource("dev", LIMITS, "services-limits", smaller))
    assert {finding.accepted for finding in told} == {"at most 500m"}


@given(replicas=st.integers(1, 60), surge=st.integers(1, 50), pods=st.integers(1, 140), cpu=st.integers(1, 4000))
def test_exactly_what_is_more_than_the_quota_is_found(replicas: int, surge: int, pods: int, cpu: int) -> None:
    """Counted here in another way: pod by pod."""
    changes = {"scale.replicas.max": max(replicas, 2), "scale.surge": surge, "scale.resources.requests.cpu": f"{cpu}m"}
    changes["scale.resources.limits.cpu"] = "4"
    checked = shipped().with_overlay("dev", "web", changes)
    rest = [demand(name, checked.tree.environments["dev"][name].overlay) for name in ("api", "worker")]
    each = [Fraction(cpu, 1000)] * (max(replicas, 2) + surge)
    total_pods = len(each) + sum(demand_["pods"] for demand_ in rest)
    total_cpu = sum(each) + sum(demand_["requests.cpu"] for demand_ in rest)
    hard = {"pods": str(pods), "requests.cpu": "20"}
    checked = checked.with_resource("dev", QUOTA, "services-quota", lambda inputs: inputs["spec"].update(hard=hard))
    paths = {finding.path.partition(".quota.")[2] for finding in found(checked) if finding.rule == "capacity/quota"}
    assert paths == {name for name, over in (("pods", total_pods > pods), ("requests.cpu", total_cpu > 20)) if over}


@given(st.fractions(min_value=0, max_value=10**6, max_denominator=1000))
def test_a_shown_amount_is_enough_and_hardly_more(cores: Fraction) -> None:
    assert cores <= quantity(shown("requests.cpu", cores)) < cores + Fraction(1, 1000)
    amount = cores * 2**20
    assert amount <= quantity(shown("limits.memory", amount)) < amount + 2**20


def line(text: str) -> int:
    lines = (ROOT / "Pulumi.dev.yaml").read_text(encoding="utf-8").splitlines()
    return next(number for number, each in enumerate(lines, start=1) if text in each)
