"""The network policies of an environment's services together: who reaches what, by the rules of the API."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.charts import ENVIRONMENTS, SERVICES, Object, changed, overlay_values, render, rendered

every_environment = pytest.mark.parametrize("environment", ENVIRONMENTS)

HERE = "here"
INSIDE = ("10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "169.254.170.2")
PUBLIC = "93.184.216.34"


@dataclass(frozen=True, slots=True)
class Pod:
    """Where a pod is, its labels, and the ports it listens on."""

    name: str
    namespace: str
    labels: tuple[tuple[str, str], ...]
    ports: tuple[int, ...]


Policies = list[Object]


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}
    return selector.get("matchLabels", {}).items() <= labels.items()


def is_peer(peer: Mapping[str, Any], other: Pod | str) -> bool:
    """Rule: NetworkPolicyPeer. Without a namespace selector, pods are those of the policy's own namespace."""
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        if isinstance(other, Pod):
            return False
        address = ipaddress.ip_address(other)
        held = [ipaddress.ip_network(each) for each in block.get("except", [])]
        return address in ipaddress.ip_network(block["cidr"]) and not any(address in each for each in held)
    if isinstance(other, str):
        return False
    namespace = {"kubernetes.io/metadata.name": other.namespace}
    inside = matches(peer["namespaceSelector"], namespace) if "namespaceSelector" in peer else other.namespace == HERE
    return inside and matches(peer.get("podSelector", {}), dict(other.labels))


def allows(policies: Policies, pod: Pod, way: str, other: Pod | str, port: int) -> bool:
    """Whether any policy that selects the pod lets it be called (ingress) or call (egress)."""
    key = {"ingress": "from", "egress": "to"}[way]
    for policy in policies:
        if not matches(policy["spec"]["podSelector"], dict(pod.labels)):
            continue
        for rule in policy["spec"][way]:
            if any(is_peer(peer, other) for peer in rule[key]) and port in [each["port"] for each in rule["ports"]]:
                return True
    return False


@dataclass(frozen=True, slots=True)
class Network:
    """Every pod and policy of one environment's services."""

    pods: tuple[Pod, ...]
    policies: Policies

    def calls(self, *sides: str) -> set[tuple[str, str, int]]:
        """Who can open a connection to whom as far as the sides named say: caller's egress, called's ingress."""
        strangers = [Pod(name, name, (), ()) for name in ("monitoring", "gateways", "elsewhere")]
        return {
            (one.name, other.name, port)
            for one in (*self.pods, *strangers)
            for other in self.pods
            for port in (*other.ports, 22)
            if "egress" not in sides or one.namespace != HERE or allows(self.policies, one, "egress", other, port)
            if "ingress" not in sides or allows(self.policies, other, "ingress", one, port)
        }

    def outside(self, address: str) -> set[tuple[str, int]]:
        ports = (80, 443, 5432, 6379, 8443)
        reaches = ((pod, port) for pod in self.pods for port in ports)
        return {(pod.name, port) for pod, port in reaches if allows(self.policies, pod, "egress", address, port)}


def network(environment: str) -> Network:
    releases = [rendered(environment, service) for service in SERVICES]
    workloads = [each for release in releases for each in release.workloads()]
    policies = [policy for release in releases for policy in release.of("NetworkPolicy").values()]
    return Network(tuple(pods(workloads)), policies)


def pods(workloads: list[Object]) -> Iterator[Pod]:
    for each in workloads:
        template = each["spec"]["template"]
        containers = template["spec"]["containers"]
        ports = [port["containerPort"] for container in containers for port in container.get("ports", ())]
        labels = tuple(template["metadata"]["labels"].items())
        yield Pod(each["metadata"]["name"], HERE, labels, tuple(ports))


PORTS = {"postgresql": 5432, "redis": 6379}


def declared(environment: str) -> set[tuple[str, str, int]]:
    """What the overlays say, read anew: calls, stores that run here, objects at lite, metrics, and the edge."""
    expected: set[tuple[str, str, int]] = set()
    for service in SERVICES:
        values = overlay_values(environment, service)
        ports, dependencies = values["service"]["ports"], values["dependencies"]
        expected.add(("monitoring", service, ports["metrics"]))
        if values["ingress"]["public"]:
            expected.add(("gateways", service, ports["http"]))
        expected |= {(service, name, called["port"]) for name, called in dependencies["services"].items()}
        filled = f"{service}-seed"
        if values["tier"] != "full":
            expected |= {
                (service, f"{store['owner']}-{name}", PORTS[store["engine"]])
                for name, store in dependencies["stores"].items()
            }
            expected |= {(filled, f"{service}-database", 5432)} if values["seed"]["enabled"] else set()
        if values["tier"] == "lite" and dependencies["objects"]["enabled"]:
            objects = f"{dependencies['objects']['owner']}-objects"
            expected.add((service, objects, 8333))
            expected |= {(filled, objects, 8333)} if values["seed"]["enabled"] else set()
    return expected


@every_environment
def test_the_network_policy_opens_exactly_what_is_declared(environment: str) -> None:
    assert network(environment).calls("egress", "ingress") == declared(environment)


@every_environment
def test_the_called_side_lets_nobody_in_that_the_calling_side_keeps_back(environment: str) -> None:
    assert network(environment).calls("ingress") == declared(environment)


@every_environment
def test_the_calling_side_reaches_nobody_that_the_called_side_shuts_out(environment: str) -> None:
    inside = {pod.name for pod in network(environment).pods}
    calls = {call for call in network(environment).calls("egress") if call[0] in inside}
    assert calls == {call for call in declared(environment) if call[0] in inside}


@every_environment
def test_what_is_outside_is_reached_on_declared_ports_only(environment: str) -> None:
    expected: set[tuple[str, int]] = set()
    for service in SERVICES:
        values = overlay_values(environment, service)
        expected |= {(service, external["port"]) for external in values["dependencies"]["external"].values()}
        if values["endpoints"]["role"]["enabled"]:
            expected.add((service, 443))
        if values["seed"]["enabled"] and values["endpoints"]["buckets"]:
            expected.add((f"{service}-seed", 443))
    assert network(environment).outside(PUBLIC) == expected


@every_environment
@pytest.mark.parametrize("address", INSIDE)
def test_no_private_address_is_reached_but_those_of_managed_stores(environment: str, address: str) -> None:
    expected: set[tuple[str, int]] = set()
    for service in SERVICES:
        values = overlay_values(environment, service)
        for name, store in values["endpoints"]["stores"].items():
            if ipaddress.ip_address(address) in ipaddress.ip_network(store["cidr"]):
                expected.add((service, store["port"]))
                if values["seed"]["enabled"] and name == "database":
                    expected.add((f"{service}-seed", store["port"]))
    assert network(environment).outside(address) == expected


FILLING = {("api-seed", 5432)}


@pytest.mark.parametrize(
    ("environment", "address", "filling"), [("staging", "10.20.3.4", FILLING), ("prod", "10.30.3.4", set())]
)
def test_a_managed_store_is_reached_in_its_own_network(
    environment: str, address: str, filling: set[tuple[str, int]]
) -> None:
    services = {(name, port) for name in ("api", "worker") for port in (5432, 6379)}
    assert network(environment).outside(address) == services | filling


@every_environment
def test_every_pod_is_selected_for_both_ways(environment: str) -> None:
    """A pod that no policy selects is open, whatever the namespace denies elsewhere."""
    net = network(environment)
    for pod in net.pods:
        chosen = [each for each in net.policies if matches(each["spec"]["podSelector"], dict(pod.labels))]
        assert len(chosen) == 1
        assert set(chosen[0]["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        assert chosen[0]["spec"]["podSelector"]["matchLabels"]


@every_environment
def test_no_rule_means_everybody(environment: str) -> None:
    """An empty list of peers or ports, or an empty selector, opens to all."""
    for policy in network(environment).policies:
        spec = policy["spec"]
        for rule, key in [*((each, "from") for each in spec["ingress"]), *((each, "to") for each in spec["egress"])]:
            assert rule.keys() == {key, "ports"}
            assert rule["ports"]
            assert rule[key]
            for peer in rule[key]:
                assert len(peer) == 1
                (selector,) = peer.values()
                assert selector.get("matchLabels") or selector.get("cidr")


def test_a_caller_that_is_not_allowed_any_more_is_shut_out() -> None:
    release = render("api", changed("dev", "api", {"ingress.callers.web": False}))
    rules = release.of("NetworkPolicy")["api"]["spec"]["ingress"]
    assert [rule["ports"] for rule in rules] == [[{"port": 9090, "protocol": "TCP"}]]


def test_nobody_calls_what_fills_the_stores() -> None:
    """Wherever it runs: it lets nobody in, and is not among the service's own pods."""
    for environment in ("preview", "dev", "staging"):
        net = network(environment)
        (filling,) = [pod for pod in net.pods if pod.name == "api-seed"]
        own = rendered(environment, "api")
        assert own.of("NetworkPolicy")["api-seed"]["spec"]["ingress"] == []
        assert not matches({"matchLabels": own.of("Service")["api"]["spec"]["selector"]}, dict(filling.labels))


def test_a_service_that_calls_nobody_opens_nothing() -> None:
    changes = {
        "endpoints.role": {"enabled": False},
        "dependencies": {"services": {}, "stores": {}, "objects": {"enabled": False}, "external": {}},
    }
    release = render("worker", changed("dev", "worker", changes))
    assert release.one("NetworkPolicy")["spec"]["egress"] == []
