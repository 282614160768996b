"""Order over the rungs, and joined planes: each rule finds what breaks it, and the shipped ladder keeps them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.contract.overlay import Analysis, AnalysisOff, CanaryStep, Rollout
from ladder.errors import InputError
from ladder.parity.order import order
from ladder.parity.planes import planes
from ladder.parity.rollouts import loosened
from ladder.parity.room import room
from tests.checked import APPLICATION_SET, changed
from tests.conftest import Recordings
from tests.ladders import broken, shipped_ladder

Changes = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """What is changed, and the one finding: its rule, the file it stands in, its path there."""

    rule: str
    file: str
    path: str
    stacks: Mapping[str, Changes] = field(default_factory=dict[str, Changes])
    overlays: Mapping[str, Changes] = field(default_factory=dict[str, Changes])


def overlay(place: str) -> str:
    return f"gitops/envs/{place}/values.yaml"


ANONYMIZED: Changes = {
    "data.class": "anonymized",
    "data.procedure": {"name": "k", "report": f"sha256:{'0' * 64}", "owner": "team-data", "expires": "2999-12-31"},
}

CASES: dict[str, Case] = {
    "the class of data rises going down": Case(
        "order/data", "Pulumi.dev.yaml", "config.ladder:data.class", stacks={"dev": ANONYMIZED}
    ),
    "automated sync above, not below": Case(
        "order/sync",
        "Pulumi.staging.yaml",
        "config.ladder:delivery.sync.automated",
        stacks={
            "dev": {"delivery.sync": {"automated": False, "selfHeal": False}},
            "staging": {"delivery.sync": {"automated": True, "selfHeal": False}},
        },
    ),
    "self-heal above, not below": Case(
        "order/sync",
        "Pulumi.staging.yaml",
        "config.ladder:delivery.sync.selfHeal",
        stacks={
            "dev": {"delivery.sync": {"automated": True, "selfHeal": False}},
            "staging": {"delivery.sync": {"automated": True, "selfHeal": True}},
        },
    ),
    "no canary above": Case(
        "order/rollout",
        overlay("prod/web"),
        "rollout.canary",
        overlays={
            "staging/web": {"rollout.analysis": {"enabled": False}},
            "prod/web": {"rollout": {"canary": [], "analysis": {"enabled": False}}},
        },
    ),
    "a larger jump above": Case(
        "order/rollout",
        overlay("prod/web"),
        "rollout.canary",
        overlays={"prod/web": {"rollout.canary": [{"weight": 75, "pause": "30m"}]}},
    ),
    "a feature above that is off below": Case(
        "order/feature",
        overlay("prod/web"),
        "features.new-search",
        overlays={"prod/web": {"features.new-search": True}},
    ),
    "a feature in dev that previews do not have": Case(
        "order/feature", overlay("dev/api"), "features.new-cart", overlays={"dev/api": {"features.new-cart": True}}
    ),
    "another tier of the stack below prod": Case(
        "order/tier", "Pulumi.staging.yaml", "config.ladder:tier.level", stacks={"staging": {"tier.level": "standard"}}
    ),
    "another spread below prod": Case(
        "order/topology",
        overlay("staging/web"),
        "scale.spread",
        overlays={"staging/web": {"scale.spread": "preferred"}},
    ),
    "no autoscaler below prod": Case(
        "order/topology",
        overlay("staging/web"),
        "scale.replicas.max",
        overlays={"staging/web": {"scale.replicas.max": 2}},
    ),
    "another way in below prod": Case(
        "order/topology",
        overlay("staging/web"),
        "ingress.through",
        overlays={"staging/web": {"ingress.through": "ingress"}},
    ),
    "another dependency below prod": Case(
        "order/topology",
        overlay("staging/api"),
        "dependencies.external.payments.port",
        overlays={"staging/api": {"dependencies.external.payments.port": 8443}},
    ),
    "another branch": Case(
        "order/branch",
        "Pulumi.prod.yaml",
        "config.ladder:delivery.branch",
        stacks={"prod": {"delivery.branch": "release"}},
    ),
    "a quota that is not scaled": Case(
        "order/scale",
        "Pulumi.staging.yaml",
        "config.ladder:namespaces.data.quota.storage",
        stacks={"staging": {"namespaces.data.quota.storage": "400Gi"}},
    ),
    "a claim too few": Case(
        "order/scale",
        "Pulumi.dev.yaml",
        "config.ladder:namespaces.services.quota.persistentVolumeClaims",
        stacks={"dev": {"namespaces.services.quota.persistentVolumeClaims": 3}},
    ),
    "a highest rung that is itself a share": Case(
        "order/scale", "Pulumi.prod.yaml", "config.ladder:scale.factor", stacks={"prod": {"scale.factor": 0.5}}
    ),
}


def test_the_shipped_ladder_keeps_every_rule(recordings: Recordings, ladder: dict[str, Any]) -> None:
    every = {stack: recordings[stack] for stack in ladder}
    part = order(shipped_ladder(), every)
    assert (part.findings, dict(part.looked_at)) == ((), {"pairs": 3, "services": 12})
    joined = planes(shipped_ladder(), every)
    assert (joined.findings, dict(joined.looked_at)) == ((), {"environments": 4, "overlays": 12})


@pytest.mark.parametrize("name", CASES)
def test_what_breaks_the_order_is_found_where_it_stands(
    name: str, recordings: Recordings, ladder: dict[str, Any]
) -> None:
    case = CASES[name]
    part = order(broken(stacks=case.stacks, overlays=case.overlays), {stack: recordings[stack] for stack in ladder})
    assert [(each.rule, each.where.partition(":")[0], each.path) for each in part.findings] == [
        (case.rule, case.file, case.path)
    ]
    assert all(each.found and each.accepted for each in part.findings)


def test_a_service_of_prod_that_the_rung_below_lacks_is_found(recordings: Recordings, ladder: dict[str, Any]) -> None:
    part = order(broken(drop="staging/worker"), {stack: recordings[stack] for stack in ladder})
    (finding,) = part.findings
    assert (finding.rule, finding.where) == ("order/topology", "gitops/envs/staging")
    assert "lacks the service worker" in finding.message


def test_one_replica_below_prod_is_found(recordings: Recordings, ladder: dict[str, Any]) -> None:
    changes = {"scale.replicas": {"min": 1, "max": 2, "cpuPercent": 70}, "scale.minAvailable": 0}
    part = order(broken(overlays={"staging/web": changes}), {stack: recordings[stack] for stack in ladder})
    assert [(each.rule, each.path) for each in part.findings] == [("order/topology", "scale.replicas.min")]


def test_dev_need_not_have_the_shape_of_staging(recordings: Recordings, ladder: dict[str, Any]) -> None:
    chosen = shipped_ladder().between("prod", "dev")
    assert order(chosen, {stack: recordings[stack] for stack in ladder}).proven


def test_an_application_set_of_prod_that_syncs_by_itself_is_found(
    recordings: Recordings, ladder: dict[str, Any]
) -> None:
    def automate(inputs: Any) -> None:
        inputs["spec"]["template"]["spec"]["syncPolicy"]["automated"] = {"prune": True}

    every = {stack: recordings[stack] for stack in ladder}
    every["prod"] = changed(every["prod"], APPLICATION_SET, "delivery", automate)
    (finding,) = order(shipped_ladder(), every).findings
    assert (finding.rule, finding.path) == ("order/prod-syncs", "inputs.spec.template")
    assert finding.where.endswith("::delivery")


def rollout(*steps: tuple[int, str], threshold: float | None = None, failures: int = 0) -> Rollout:
    canary = tuple(CanaryStep(weight=weight, pause=pause) for weight, pause in steps)
    analysis = (
        AnalysisOff(enabled=False)
        if threshold is None
        else Analysis(enabled=True, threshold=threshold, interval="30s", count=4, failures=failures)
    )
    return Rollout(canary=canary, analysis=analysis)


HALVES = rollout((50, "2m"), threshold=0.98, failures=1)


@pytest.mark.parametrize(
    ("above", "path"),
    [
        (rollout(), "canary"),
        (rollout((60, "1h"), threshold=0.98), "canary"),
        (rollout((30, "1h"), threshold=0.98), "canary"),
        (rollout((25, "30s"), (50, "1m"), threshold=0.98), "canary"),
        (rollout((50, "2m")), "analysis.enabled"),
        (rollout((50, "2m"), threshold=0.9), "analysis.threshold"),
        (rollout((50, "2m"), threshold=0.98, failures=2), "analysis.failures"),
    ],
    ids=["no canary", "first jump", "last jump", "shorter", "no analysis", "lower threshold", "more failures"],
)
def test_a_rollout_that_is_more_aggressive_than_below_is_found(above: Rollout, path: str) -> None:
    found = [".".join(map(str, each.path)) for each in loosened("staging", HALVES, above)]
    assert f"rollout.{path}" in found


@pytest.mark.parametrize(
    "above",
    [
        HALVES,
        rollout((25, "1m"), (50, "1m"), (75, "1m"), threshold=0.99),
        rollout((50, "120s"), threshold=1, failures=1),
    ],
)
def test_a_rollout_as_careful_as_below_or_more_is_not(above: Rollout) -> None:
    assert list(loosened("staging", HALVES, above)) == []


STEPS = st.lists(st.tuples(st.integers(1, 99), st.sampled_from(["30s", "2m", "1h"])), max_size=4)
ROLLOUTS = st.builds(
    lambda steps, threshold, failures: rollout(*steps, threshold=threshold, failures=failures),
    STEPS.map(lambda steps: sorted(steps, key=lambda step: step[0])),
    st.none() | st.sampled_from([0.9, 0.99]),
    st.integers(0, 2),
)


@given(one=ROLLOUTS, other=ROLLOUTS, third=ROLLOUTS)
def test_no_more_aggressive_is_an_order(one: Rollout, other: Rollout, third: Rollout) -> None:
    """Neighbours are enough: what holds from each rung to the next holds from the lowest to the highest."""
    assert list(loosened("lower", one, one)) == []
    if not list(loosened("lower", one, other)) and not list(loosened("lower", other, third)):
        assert list(loosened("lower", one, third)) == []


def test_what_is_counted_is_rounded_up() -> None:
    """0.3 of 16 claims are 4.8, and of 240 pods 72."""
    quotas = {
        "services": {
            "requests": {"cpu": "7200m", "memory": "14.4Gi"},
            "limits": {"cpu": "14.4", "memory": "28.8Gi"},
            "pods": 72,
            "persistentVolumeClaims": 5,
            "storage": "24Gi",
        },
        "data": {
            "requests": {"cpu": "2.4", "memory": "9.6Gi"},
            "limits": {"cpu": "4800m", "memory": "19.2Gi"},
            "pods": 15,
            "persistentVolumeClaims": 10,
            "storage": "120Gi",
        },
    }
    changes = {"scale.factor": 0.3} | {f"namespaces.{key}.quota": quota for key, quota in quotas.items()}
    assert list(room(broken(stacks={"dev": changes}))) == []


@pytest.mark.parametrize("factor", [0, -1, 1.5, "0.5", None])
def test_a_factor_that_is_no_share_is_refused(factor: object) -> None:
    with pytest.raises(InputError) as raised:
        broken(stacks={"dev": {"scale.factor": factor}})
    assert [problem.path for problem in raised.value.problems] == ["ladder:scale.factor"]


def test_a_bucket_of_another_environment_is_found_by_the_planes(recordings: Recordings, ladder: dict[str, Any]) -> None:
    moved = broken(overlays={"dev/web": {"endpoints.buckets.uploads": "acme-shop-prod-uploads"}})
    part = planes(moved, {stack: recordings[stack] for stack in ladder})
    assert [(each.rule, each.where.partition(":")[0]) for each in part.findings] == [
        ("planes/bucket", overlay("dev/web"))
    ]
    chosen = moved.between("staging", "prod")
    assert planes(chosen, {stack: recordings[stack] for stack in ladder}).proven
