"""The chart over whatever the contract accepts: it renders, and what it renders keeps the promises."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings

from components.delivery import DELIVERED_KINDS
from ladder.check.kubernetes_schemas import KubernetesSchemas
from ladder.contract.overlay_rules import brought_stores
from ladder.variables import variables
from sandbox.progress import Silent
from tests.charts import Rendered, render
from tests.overlay_strategies import Case, cases

LABEL = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
LABEL_NAME = re.compile(r"(?:[a-z0-9.-]+/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
KINDS = {kind.kind for kind in DELIVERED_KINDS}


def texts(value: Any) -> set[str]:
    """Every string that stands in the value as one."""
    if isinstance(value, dict):
        return set().union(*(texts(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(texts(item) for item in value))
    return {value} if isinstance(value, str) else set()


def keeps_the_promises(case: Case) -> None:
    release, model = render(case.service, case.values), case.model
    assert release.variables == variables(model)
    made = {name.removeprefix(f"{case.service}-") for name in release.of("StatefulSet")}
    assert made == set(brought_stores(case.service, model))
    is_well_formed(release)
    says_what_the_values_say(release, case)


@functools.cache
def schemas() -> KubernetesSchemas:
    return KubernetesSchemas.load(Silent())


def is_well_formed(release: Rendered) -> None:
    """Objects, names and labels the API server takes, none twice, and pods that nothing selects by mistake."""
    assert [found for each in release.objects for found in schemas().problems(each, file="", source="")] == []
    names = [(each["kind"], each["metadata"]["name"]) for each in release.objects]
    assert len(set(names)) == len(names)
    assert {kind for kind, _ in names} <= KINDS
    assert all(LABEL.fullmatch(name) for _, name in names)
    selectors = [each["spec"]["selector"]["matchLabels"] for each in release.workloads() if each["kind"] != "Job"]
    for each in release.workloads():
        labels = each["spec"]["template"]["metadata"]["labels"]
        assert all(LABEL_NAME.fullmatch(name) for name in labels)
        assert all(isinstance(value, str) and len(value) <= 63 for value in labels.values())
        assert sum(selector.items() <= labels.items() for selector in selectors) == (each["kind"] != "Job")
    for policy in release.of("NetworkPolicy").values():
        for rule in (*policy["spec"]["ingress"], *policy["spec"]["egress"]):
            assert all(rule.values())


def says_what_the_values_say(release: Rendered, case: Case) -> None:
    """Texts and numbers arrive as they were given, whatever is in them."""
    values, pod = case.values, release.pod["spec"]
    canary = release.rollout["spec"]["strategy"]["canary"]
    assert canary["maxSurge"] == values["scale"]["surge"]
    assert len(canary.get("steps", [])) == 2 * len(values["rollout"]["canary"])
    assert pod["containers"][0]["resources"] == values["scale"]["resources"]
    analysis = values["rollout"]["analysis"]
    if analysis["enabled"]:
        (metric,) = release.one("AnalysisTemplate")["spec"]["metrics"]
        assert metric["provider"]["prometheus"]["query"] == values["service"]["metrics"]["successRate"]
        assert float(metric["successCondition"].rpartition(" ")[2]) == analysis["threshold"]
    fills(release, case)
    if values["secrets"]:
        assert set(values["secrets"].values()) <= texts(release.one("ExternalSecret"))
    hosts = {own(host, values) for host in values["endpoints"]["hosts"].values()}
    routes = [*release.of("HTTPRoute").values(), *release.of("Ingress").values()]
    assert len(routes) == (1 if hosts else 0)
    assert all(hosts <= texts(route) for route in routes)


def own(host: str, values: Mapping[str, Any]) -> str:
    """The host as the values' copy of the environment has it."""
    instance = values.get("instance")
    if instance is None:
        return host
    return ".".join(instance["name"] if label == instance["placeholder"] else label for label in host.split("."))


def fills(release: Rendered, case: Case) -> None:
    """The Job is told of the environment, the number and the stores that the values say, and a password above lite."""
    seed, jobs = case.values["seed"], release.of("Job")
    assert list(jobs) == ([f"{case.service}-seed"] if seed["enabled"] else [])
    for job in jobs.values():
        (container,) = job["spec"]["template"]["spec"]["containers"]
        number = case.values.get("instance", {}).get("seed", str(seed["number"]))
        assert container["command"][2:5] == [seed["environment"], "--seed", number]
        assert (container["image"], container["resources"]) == (seed["image"], seed["resources"])
        told = {each["name"]: each.get("value") for each in container["env"]}
        database = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGDATABASE": "NAME"}
        assert {name: told.pop(name) for name in database} == {
            name: release.variables[f"DATABASE_{part}"] for name, part in database.items()
        }
        assert ("PGPASSWORD" in told) == (case.values["tier"] != "lite")
        told.pop("PGPASSWORD", None)
        assert told["AWS_REGION"] == case.values["endpoints"]["region"]
        assert told.items() <= release.variables.items()


@pytest.mark.exhaustive
@settings(max_examples=8)
@given(cases())
def test_whatever_the_contract_accepts_renders(case: Case) -> None:
    keeps_the_promises(case)


@pytest.mark.exhaustive
@settings(max_examples=150)
@given(cases())
def test_whatever_the_contract_accepts_renders_with_many_examples(case: Case) -> None:
    keeps_the_promises(case)
