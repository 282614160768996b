"""Every joined rule of the tree: an overlay, or an environment, that breaks it and those that do not."""

import ast
import copy
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ladder.contract import overlay_rules, tree_rules
from ladder.contract.overlay import Overlay
from ladder.contract.overlay_rules import brought_stores, within_overlay
from ladder.contract.tree_rules import across_environments, of_environment, within_environment
from ladder.contract.violations import Violation
from ladder.strict_yaml import load
from tests.support import ROOT, put

ENVIRONMENTS = ("preview", "dev", "staging", "prod")
SERVICES = ("web", "api", "worker")
ARN = "arn:aws:iam::210987654321:role/ladder-dev-api"
ANOTHER = "ghcr.io/acme/mirror/postgres@sha256:" + "0a" * 32
VALUES: dict[tuple[str, str], dict[str, Any]] = {
    (environment, service): load(ROOT / "gitops" / "envs" / environment / service / "values.yaml").value
    for environment in ENVIRONMENTS
    for service in SERVICES
}

Changes = Mapping[str, Any]


def overlay(place: str, changes: Changes | None = None) -> Overlay:
    """The shipped overlay ``environment/service`` with the values at the dotted paths replaced."""
    environment, _, service = place.partition("/")
    values = copy.deepcopy(VALUES[environment, service])
    for path, value in (changes or {}).items():
        put(values, path, value)
    return Overlay.model_validate_json(json.dumps(values))


def environment_of(name: str, changes: Mapping[str, Changes] | None = None) -> dict[str, Overlay]:
    return {service: overlay(f"{name}/{service}", (changes or {}).get(service)) for service in SERVICES}


def spoken(violations: Iterable[Violation]) -> list[tuple[str, str]]:
    return [(".".join(map(str, each.path)), each.message) for each in violations]


WITHIN: dict[str, tuple[str, Changes, tuple[str, str]]] = {
    "metrics are always read": (
        "dev/web",
        {"service.ports": {"http": 8080}},
        ("service.ports", "lacks the port that metrics are read from"),
    ),
    "probes ask a port there is": (
        "dev/worker",
        {"service.probes.port": "http"},
        ("service.probes.port", "is not a port of the service"),
    ),
    "two ports are not one": (
        "dev/web",
        {"service.ports": {"http": 9090, "metrics": 9090}},
        ("service.ports", "gives one port twice"),
    ),
    "who is called answers": (
        "dev/worker",
        {"ingress.callers": {"web": True}},
        ("service.ports", "lacks the port that callers reach"),
    ),
    "who is public has a host": (
        "dev/web",
        {"endpoints.hosts": {}},
        ("endpoints.hosts", "lacks a host for the outside world"),
    ),
    "who is not public has none": (
        "dev/api",
        {"endpoints.hosts": {"public": "api.dev.acme.dev"}},
        ("endpoints.hosts", "is where the outside world reaches the service"),
    ),
    "nobody calls itself": (
        "dev/api",
        {"dependencies.services": {"api": {"port": 8080}}},
        ("dependencies.services.api", "is the service itself"),
    ),
    "nobody lets itself in": (
        "dev/api",
        {"ingress.callers": {"api": True}},
        ("ingress.callers.api", "is the service itself"),
    ),
    "a store is not called as the object store is": (
        "staging/worker",
        {"dependencies.stores": {"objects": {"engine": "redis", "owner": "api", "image": ANOTHER}}},
        ("dependencies.stores.objects", "is a reserved name"),
    ),
    "a store is not called as the service's own pods are": (
        "staging/worker",
        {"dependencies.stores": {"service": {"engine": "redis", "owner": "api", "image": ANOTHER}}},
        ("dependencies.stores.service", "is a reserved name"),
    ),
    "a bucket can be made by its key": (
        "dev/web",
        {"dependencies.objects.buckets": {"up": "read"}},
        ("dependencies.objects.buckets.up", "is too short: at tier lite it is a bucket's name"),
    ),
    "a store's name fits": (
        "staging/worker",
        {"dependencies.stores": {"d" * 50: {"engine": "redis", "owner": "api", "image": ANOTHER}}},
        (f"dependencies.stores.{'d' * 50}", "makes too long a name with its owner's"),
    ),
    "at tier full somebody else runs the stores": (
        "prod/api",
        {"endpoints.stores": {}},
        ("endpoints.stores", "does not name exactly the stores somebody else runs at tier full"),
    ),
    "at tier standard nobody else does": (
        "dev/api",
        {"endpoints.stores": {"cache": {"host": "a.b", "port": 6379, "cidr": "10.0.0.0/16"}}},
        ("endpoints.stores", "does not name exactly the stores somebody else runs at tier standard"),
    ),
    "every bucket used has its name": (
        "dev/api",
        {"endpoints.buckets": {"uploads": "acme-shop-dev-uploads"}},
        ("endpoints.buckets", "does not name exactly the buckets used at tier standard"),
    ),
    "a store it brings has a size": (
        "preview/api",
        {"scale.stores": {}},
        ("scale.stores", "does not name exactly the stores it brings at tier lite"),
    ),
    "tier lite has no cloud role": (
        "preview/api",
        {"endpoints.role": {"enabled": True, "arn": ARN}},
        ("endpoints.role.enabled", "gives a cloud role to tier lite, which reaches no cloud"),
    ),
    "buckets need a role": (
        "dev/api",
        {"endpoints.role": {"enabled": False}},
        ("endpoints.role.enabled", "leaves the service without the role its buckets need"),
    ),
    "tier lite has no secrets": (
        "preview/web",
        {"secrets": {"SESSION_KEY": "ladder/dev/web/session-key"}},
        ("secrets", "belongs to tiers above lite, which is throwaway"),
    ),
    "a store that stays has a password": (
        "dev/worker",
        {"secrets": {"CACHE_PASSWORD": "ladder/dev/api/cache-password"}},
        ("secrets", "lacks the password of database"),
    ),
    "every external service has its URL": (
        "dev/api",
        {"endpoints.external": {}},
        ("endpoints.external", "does not name exactly what dependencies.external names"),
    ),
    "an external service is reached by TLS": (
        "dev/api",
        {"endpoints.external": {"payments": "http://sandbox.payments.example:443"}},
        (
            "endpoints.external.payments",
            "is not reached by TLS on the port that dependencies.external.payments opens",
        ),
    ),
    "two settings do not make one variable": (
        "dev/api",
        {"secrets.AWS_REGION": "ladder/dev/api/region"},
        ("secrets.AWS_REGION", "makes the variable that endpoints.region makes"),
    ),
    "most is not less than least": (
        "staging/web",
        {"scale.replicas": {"min": 2, "max": 1, "cpuPercent": 70}},
        ("scale.replicas.max", "is less than min"),
    ),
    "nodes can be emptied": (
        "dev/web",
        {"scale.minAvailable": 2},
        ("scale.minAvailable", "leaves a drain no pod to take: nodes could not be emptied"),
    ),
    "a request is within its limit": (
        "dev/web",
        {"scale.resources.requests.cpu": "600m"},
        ("scale.resources.requests.cpu", "asks for more than the limit"),
    ),
    "a store's request is within its limit": (
        "dev/api",
        {"scale.stores.cache.resources.requests.memory": "1Gi"},
        ("scale.stores.cache.resources.requests.memory", "asks for more than the limit"),
    ),
    "a canary goes up": (
        "prod/web",
        {"rollout.canary": [{"weight": 50, "pause": "1m"}, {"weight": 50, "pause": "1m"}]},
        ("rollout.canary.1.weight", "is not more than the step before"),
    ),
    "pods can make the weight": (
        "prod/web",
        {"rollout.canary": [{"weight": 10, "pause": "1m"}]},
        ("rollout.canary.0.weight", "cannot be realised by 4 pods, which are what weights are made of"),
    ),
    "an analysis can stop something": (
        "staging/web",
        {"rollout.canary": []},
        ("rollout.analysis.enabled", "analyses a rollout that has no step to be stopped at"),
    ),
    "a store is not called as what fills it": (
        "dev/api",
        {"dependencies.stores": {"seed": {"engine": "redis", "owner": "api", "image": ANOTHER}}},
        ("dependencies.stores.seed", "is a reserved name"),
    ),
    "what is filled is the service's own": (
        "dev/worker",
        {"seed": VALUES["dev", "api"]["seed"]},
        ("seed.enabled", "fills a store that is not the service's own: database, PostgreSQL"),
    ),
    "what fills it asks for no more than it may have": (
        "dev/api",
        {"seed.resources.requests.memory": "257Mi"},
        ("seed.resources.requests.memory", "asks for more than the limit"),
    ),
}


@pytest.mark.parametrize("name", WITHIN)
def test_the_rule_within_an_overlay_speaks(name: str) -> None:
    place, changes, expected = WITHIN[name]
    assert expected in spoken(within_overlay(place.partition("/")[2], overlay(place, changes)))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("service", SERVICES)
def test_the_overlays_keep_every_rule(environment: str, service: str) -> None:
    assert spoken(within_overlay(service, overlay(f"{environment}/{service}"))) == []


@pytest.mark.parametrize(
    ("place", "brought"),
    [
        ("preview/api", ("cache", "database", "objects")),
        ("dev/api", ("cache", "database")),
        ("prod/api", ()),
        ("preview/worker", ()),
        ("dev/worker", ()),
    ],
)
def test_a_tier_runs_the_stores_it_should_beside_their_owner(place: str, brought: tuple[str, ...]) -> None:
    assert brought_stores(place.partition("/")[2], overlay(place)) == brought


TOGETHER: dict[str, tuple[Mapping[str, Changes], tuple[str, str, str]]] = {
    "who is called is there": (
        {"web": {"dependencies.services": {"search": {"port": 8080}}}},
        ("web", "dependencies.services.search", "is no service of this environment"),
    ),
    "who is called answers on that port": (
        {"web": {"dependencies.services": {"api": {"port": 8081}}}},
        ("web", "dependencies.services.api.port", "is not the port api answers on"),
    ),
    "who is called lets the caller in": (
        {"worker": {"dependencies.services": {"api": {"port": 8080}}}},
        ("worker", "dependencies.services.api", "is called, but api does not let worker in"),
    ),
    "who is let in is there": (
        {"api": {"ingress.callers": {"web": True, "search": True}}},
        ("api", "ingress.callers.search", "is no service of this environment"),
    ),
    "who is let in calls": (
        {"api": {"ingress.callers": {"web": True, "worker": True}}},
        ("api", "ingress.callers.worker", "lets worker in, which does not call"),
    ),
    "a store's owner is there": (
        {"worker": {"dependencies.stores.database.owner": "search"}},
        ("worker", "dependencies.stores.database.owner", "is no service of this environment"),
    ),
    "a store is the one its owner brings": (
        {"worker": {"dependencies.stores.database.image": ANOTHER}},
        ("worker", "dependencies.stores.database", "is not the store api brings"),
    ),
    "an object store's owner is there": (
        {"worker": {"dependencies.objects.owner": "search"}},
        ("worker", "dependencies.objects.owner", "is no service of this environment"),
    ),
    "an object store is the one its owner brings": (
        {"worker": {"dependencies.objects.image": ANOTHER}},
        ("worker", "dependencies.objects", "is not the object store api brings"),
    ),
    "a bucket is made by the owner of the store": (
        {"web": {"dependencies.objects.buckets": {"avatars": "read"}}},
        ("web", "dependencies.objects.buckets.avatars", "is not a bucket of api, who makes them at tier lite"),
    ),
    "two services do not share a host": (
        {"worker": {"endpoints.hosts": {"jobs": "shop.dev.acme.dev"}}},
        ("worker", "endpoints.hosts.jobs", "is also a host of web"),
    ),
}


def together(services: Mapping[str, Overlay]) -> list[tuple[str, str, str]]:
    return [(name, ".".join(map(str, each.path)), each.message) for name, each in within_environment(services)]


@pytest.mark.parametrize("name", TOGETHER)
def test_the_rule_within_an_environment_speaks(name: str) -> None:
    changes, expected = TOGETHER[name]
    assert expected in together(environment_of("dev", changes))


def _store_named_as_a_service() -> dict[str, Overlay]:
    services = environment_of("dev")
    return {**services, "api-cache": services["web"]}


def test_a_store_is_not_named_as_a_service() -> None:
    expected = ("api", "dependencies.stores.cache", "makes the name of a service")
    assert expected in together(_store_named_as_a_service())


def test_a_service_is_not_named_as_what_fills_anothers_stores() -> None:
    services = environment_of("dev")
    assert ("api", "seed", "makes the name of a service") in together({**services, "api-seed": services["web"]})


def test_two_stores_do_not_share_a_name() -> None:
    """The owner a-b with the store c, and the owner a with the store b-c."""
    store = {"engine": "redis", "image": ANOTHER}
    services = {
        "a": overlay("staging/worker", {"dependencies.stores": {"b-c": {**store, "owner": "a"}}}),
        "a-b": overlay("staging/worker", {"dependencies.stores": {"c": {**store, "owner": "a-b"}}}),
    }
    assert ("a-b", "dependencies.stores.c", "makes the name of a part of a") in together(services)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_environments_keep_every_rule(environment: str) -> None:
    services = environment_of(environment)
    assert together(services) == []
    assert list(of_environment(environment, services)) == []


def test_an_environment_is_not_filled_for_another() -> None:
    services = environment_of("dev", {"api": {"seed.environment": "staging"}})
    ((service, violation),) = of_environment("dev", services)
    assert (service, violation.path, violation.found, violation.accepted) == (
        "api",
        ("seed", "environment"),
        "staging",
        "dev",
    )


def test_what_has_no_reason_to_vary_is_equal_everywhere() -> None:
    environments = {name: environment_of(name) for name in ENVIRONMENTS}
    assert list(across_environments(environments)) == []
    environments["prod"] = environment_of("prod", {"api": {"service.probes.liveness": "/alive"}})
    ((environment, service, violation),) = across_environments(environments)
    assert (environment, service, violation.path) == ("prod", "api", ("service", "probes", "liveness"))
    assert (violation.found, violation.accepted) == ("/alive", "/healthz")
    assert violation.message.startswith("differs from preview")


def test_what_may_vary_does_so_in_silence() -> None:
    changes = {"web": {"features.new-search": True, "scale.replicas.min": 3, "rollout.canary": []}}
    environments = {"dev": environment_of("dev"), "staging": environment_of("staging", changes)}
    assert list(across_environments(environments)) == []


def test_every_rule_has_its_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each place in the modules that reports a violation is reached by a case above."""
    helpers = {"_missing", "_unknown"}
    makers = {"Violation", *helpers}
    places = {
        (module.__name__, node.lineno)
        for module in (overlay_rules, tree_rules)
        for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers
    }
    reached: set[tuple[str, int]] = set()

    def noting(make: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **fields: Any) -> Any:
            caller = sys._getframe(1)
            reached.add((caller.f_globals["__name__"], caller.f_lineno))
            return make(*arguments, **fields)

        return noted

    for module in (overlay_rules, tree_rules):
        for name in makers:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, noting(getattr(module, name)))
    for place, changes, _ in WITHIN.values():
        list(within_overlay(place.partition("/")[2], overlay(place, changes)))
    for changes, _ in TOGETHER.values():
        together(environment_of("dev", changes))
    together(_store_named_as_a_service())
    changed = {"dev": environment_of("dev"), "prod": environment_of("prod", {"web": {"service.stopSeconds": 31}})}
    list(across_environments(changed))
    list(of_environment("staging", environment_of("dev")))
    assert places - reached == set()
