"""Overlays that the contract accepts, by construction: every tier, with and without each thing a service may have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from ladder.contract.overlay import ChartValues
from ladder.contract.overlay_rules import within_overlay
from ladder.contract.stack import RESERVED_SERVICE_ACCOUNTS
from ladder.contract.types import REGIONS
from ladder.variables import SEEDED_STORE
from tests.strategies import labels

__all__ = ["Case", "cases", "pairs"]

Section = dict[str, Any]

HOSTS = st.from_regex(r"[a-z][a-z0-9]{0,10}(\.[a-z][a-z0-9]{0,10}){1,3}", fullmatch=True)
SECRETS = st.from_regex(r"[A-Za-z0-9_+=.@-]{1,20}(/[A-Za-z0-9_+=.@-]{1,20}){1,3}", fullmatch=True)
VARIABLES = st.from_regex(r"[A-Z][A-Z0-9_]{0,20}", fullmatch=True)
DIGESTS = st.from_regex(r"sha256:[a-f0-9]{64}", fullmatch=True)
REPOSITORIES = st.from_regex(r"[a-z]{1,10}\.[a-z]{2,6}(:[1-9][0-9]{3})?(/[a-z0-9]{1,10}){1,2}", fullmatch=True)
IMAGES = st.builds("{}@{}".format, REPOSITORIES, DIGESTS)
PATHS = st.from_regex(r"(/[A-Za-z0-9._~-]{1,10}){1,3}", fullmatch=True)
DURATIONS = st.sampled_from(["30s", "1m", "1h30m", "1.5h", "500ms"])
NETWORKS = st.sampled_from(["10.0.0.0/8", "10.20.0.0/16", "172.16.4.0/24", "192.168.1.1/32"])
QUANTITIES = st.sampled_from(["1", "0.5", "250m", "1e3"])


@dataclass(frozen=True, slots=True)
class Case:
    """A service by its name, and both its files as one mapping."""

    service: str
    values: Section

    @property
    def model(self) -> ChartValues:
        return ChartValues.model_validate_json(json.dumps(self.values))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A service as the contract allows it to be, whatever its names and texts."""
    names = labels(20).filter(lambda name: name not in RESERVED_SERVICE_ACCOUNTS | {"service", "objects", "seed"})
    service, other, *further = draw(st.lists(names, min_size=4, max_size=6, unique=True))
    http = draw(st.booleans())
    fixed = {
        "service": draw(_service(http)),
        "ingress": {
            "public": http and draw(st.booleans()),
            "through": draw(st.sampled_from(["ingress", "gateway"])),
            "callers": draw(st.dictionaries(st.sampled_from(further), st.booleans(), max_size=2)) if http else {},
        },
        "dependencies": draw(_dependencies(service, other, further)),
    }
    case = draw(_case(service, fixed))
    return draw(_copy(case)) if draw(st.booleans()) else case


@st.composite
def _copy(draw: st.DrawFn, case: Case) -> Case:
    """One of many copies of the service, whose hosts have a label for it somewhere."""
    placeholder, name = draw(labels(20)), draw(labels(20))
    places = st.sampled_from([f"{placeholder}.{{}}", f"{{}}.{placeholder}", f"{placeholder}.{placeholder}-x.{{}}"])
    endpoints = case.values["endpoints"]
    hosts = {key: draw(places).format(host) for key, host in endpoints["hosts"].items()}
    copy = {
        "instance": {"placeholder": placeholder, "name": name, "seed": "7"},
        "endpoints": {**endpoints, "hosts": hosts},
    }
    return Case(case.service, {**case.values, **copy})


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Case, Case]:
    """One service in two environments: they differ in nothing but what says why it may."""
    one = draw(cases())
    fixed = {name: one.values[name] for name in ("service", "ingress", "dependencies")}
    return one, draw(_case(one.service, fixed))


@st.composite
def _case(draw: st.DrawFn, service: str, fixed: Section) -> Case:
    """The service with what may vary drawn anew."""
    tier = draw(st.sampled_from(["lite", "standard", "full"]))
    dependencies, public = fixed["dependencies"], fixed["ingress"]["public"]
    replicas = draw(_replicas())
    values = {
        **fixed,
        "tier": tier,
        "scale": {
            "replicas": replicas,
            "surge": draw(st.integers(1, 50)),
            "minAvailable": draw(st.integers(0, replicas["min"] - 1)),
            "spread": draw(st.sampled_from(["preferred", "required"])),
            "resources": draw(_resources()),
            "stores": {
                name: {"resources": draw(_resources()), "storage": draw(st.sampled_from(["1Gi", "1e9", "500M"]))}
                for name in _brought(service, tier, dependencies)
            },
        },
        "rollout": draw(_rollout(replicas["min"])),
        "endpoints": draw(_endpoints(tier, public, dependencies)),
        "features": draw(
            st.dictionaries(st.from_regex(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", fullmatch=True), st.booleans())
        ),
        "secrets": draw(_secrets(dependencies["stores"])) if tier != "lite" else {},
        "seed": draw(_seed(service, dependencies["stores"])),
        "image": {"digest": draw(DIGESTS)},
        "chart": {"digest": draw(DIGESTS)},
    }
    case = Case(service, values)
    # Two names may make one variable; that alone is left to chance.
    assume(not list(within_overlay(service, case.model)))
    return case


def _brought(service: str, tier: str, dependencies: Section) -> list[str]:
    own = [name for name, store in dependencies["stores"].items() if store["owner"] == service and tier != "full"]
    objects = dependencies["objects"]
    return own + (["objects"] if tier == "lite" and objects["enabled"] and objects["owner"] == service else [])


@st.composite
def _service(draw: st.DrawFn, http: bool) -> Section:
    first, second = draw(st.lists(st.integers(1024, 65535), min_size=2, max_size=2, unique=True))
    ports = {"metrics": first, "http": second} if http else {"metrics": first}
    probes = {name: draw(PATHS) for name in ("startup", "liveness", "readiness")}
    anything = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1, max_size=60)
    return {
        "image": draw(REPOSITORIES),
        "ports": ports,
        "probes": {"port": draw(st.sampled_from(sorted(ports))), **probes},
        "metrics": {"path": draw(PATHS), "successRate": draw(anything)},
        "stopSeconds": draw(st.integers(1, 600)),
    }


@st.composite
def _dependencies(draw: st.DrawFn, service: str, other: str, further: list[str]) -> Section:
    owners = st.sampled_from([service, other])
    store = st.fixed_dictionaries(
        {"engine": st.sampled_from(["postgresql", "redis"]), "owner": owners, "image": IMAGES}
    )
    stores = labels(20).filter(lambda name: name not in {"service", "objects", "seed"})
    access = st.sampled_from(["read", "write", "read-write"])
    buckets = st.dictionaries(labels(20).filter(lambda name: len(name) > 2), access, min_size=1, max_size=3)
    objects = st.fixed_dictionaries({"enabled": st.just(True), "owner": owners, "image": IMAGES, "buckets": buckets})
    ports = st.integers(1024, 65535)
    return {
        "services": draw(st.dictionaries(st.sampled_from(further), st.fixed_dictionaries({"port": ports}), max_size=2)),
        "stores": draw(st.dictionaries(st.just(SEEDED_STORE) | stores, store, max_size=3)),
        "objects": draw(st.just({"enabled": False}) | objects),
        "external": draw(
            st.dictionaries(labels(20), st.fixed_dictionaries({"port": st.integers(1, 65535)}), max_size=2)
        ),
    }


@st.composite
def _replicas(draw: st.DrawFn) -> Section:
    low = draw(st.integers(1, 20))
    return {"min": low, "max": low + draw(st.integers(0, 5)), "cpuPercent": draw(st.integers(10, 95))}


@st.composite
def _resources(draw: st.DrawFn) -> Section:
    same = {"cpu": draw(QUANTITIES), "memory": draw(st.sampled_from(["64Mi", "1G", "1e9", "134217728"]))}
    return {"requests": same, "limits": draw(st.sampled_from([same, {"cpu": "1e3", "memory": "1T"}]))}


@st.composite
def _rollout(draw: st.DrawFn, replicas: int) -> Section:
    possible = [weight for weight in range(1, 100) if replicas * weight % 100 == 0]
    weights = sorted(draw(st.sets(st.sampled_from(possible), max_size=4))) if possible else []
    analysis = {
        "enabled": True,
        "threshold": draw(st.floats(0.001, 1)),
        "interval": draw(DURATIONS),
        "count": draw(st.integers(1, 1000)),
        "failures": draw(st.integers(0, 1000)),
    }
    return {
        "canary": [{"weight": weight, "pause": draw(DURATIONS)} for weight in weights],
        "analysis": analysis if weights and draw(st.booleans()) else {"enabled": False},
    }


@st.composite
def _endpoints(draw: st.DrawFn, tier: str, public: bool, dependencies: Section) -> Section:
    objects = dependencies["objects"]
    buckets = list(objects["buckets"]) if objects["enabled"] and tier != "lite" else []
    role = bool(buckets) or (tier != "lite" and draw(st.booleans()))
    managed = st.fixed_dictionaries({"host": HOSTS, "port": st.integers(1, 65535), "cidr": NETWORKS})
    namespaces = labels(30)
    return {
        "hosts": draw(st.dictionaries(labels(20), HOSTS, min_size=1, max_size=3)) if public else {},
        "region": draw(st.sampled_from(sorted(set().union(*REGIONS.values())))),
        "role": {"enabled": True, "arn": "arn:aws:iam::210987654321:role/some-role"} if role else {"enabled": False},
        "buckets": {name: f"bucket-{number}" for number, name in enumerate(buckets)},
        "keys": draw(st.dictionaries(labels(20), st.just("alias/some-key"), max_size=2)) if tier != "lite" else {},
        "stores": {name: draw(managed) for name in dependencies["stores"]} if tier == "full" else {},
        "external": {
            name: f"https://{draw(HOSTS)}:{called['port']}" for name, called in dependencies["external"].items()
        },
        "edge": {"name": draw(namespaces), "namespace": draw(namespaces)},
        "monitoring": {"namespace": draw(namespaces), "address": f"http://{draw(HOSTS)}:9090"},
    }


@st.composite
def _seed(draw: st.DrawFn, service: str, stores: Section) -> Section:
    own = stores.get(SEEDED_STORE, {})
    if (own.get("engine"), own.get("owner")) != ("postgresql", service) or draw(st.booleans()):
        return {"enabled": False}
    return {
        "enabled": True,
        "image": draw(IMAGES),
        "environment": draw(labels(20)),
        "number": draw(st.integers(0, 10**15 - 1)),
        "resources": draw(_resources()),
    }


@st.composite
def _secrets(draw: st.DrawFn, stores: Section) -> Section:
    passwords = {f"{name.upper().replace('-', '_')}_PASSWORD": draw(SECRETS) for name in stores}
    return {**draw(st.dictionaries(VARIABLES, SECRETS, max_size=2)), **passwords}
