"""The Compose file runs what the chart runs: both are read into one form, and what one says the other must say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ladder import helm
from ladder.compose import compose
from ladder.contract.types import quantity
from ladder.tree import CHART, VALUES, VERSION, read_tree
from sandbox.progress import Silent
from tests.support import ROOT

ENVS = Path("gitops/envs")
TREE = read_tree(ROOT, ENVS).environments
LITE, DEV = TREE["preview"], TREE["dev"]
DIGESTS = {name: service.version.image.digest for name, service in DEV.items()}
COMPOSE = compose({name: service.overlay for name, service in LITE.items()}, DIGESTS, {})["services"]

OF_KUBERNETES = {
    *("serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "topologySpreadConstraints"),
    *("imagePullPolicy", "name"),
}
"""What a pod and its containers say that Compose has no word for."""


@dataclass(frozen=True)
class Runs:
    """What a container is, whoever runs it. Times are in seconds, sizes in bytes.

    ``questions`` are what its health is asked by: a port and a path, or a command. ``memory`` is without what its
    writable folders hold.
    """

    image: str
    entrypoint: list[str] | None
    command: list[str] | None
    environment: Mapping[str, str]
    questions: set[tuple[int, str] | tuple[str, ...]]
    starting: tuple[int, int]
    asking: tuple[int, int]
    answering: int
    user: str
    read_only: bool
    confined: bool
    dropped: list[str]
    folders: Mapping[str, int]
    cpus: float
    memory: int


Object = Mapping[str, Any]
Rendered = dict[str, dict[str, Object]]


@pytest.fixture(scope="session")
def rendered() -> Rendered:
    """What the chart makes of each service at tier lite, with dev's digest: kind and name to object."""
    program = helm.find(Silent())
    found: Rendered = {}
    for name, service in LITE.items():
        release = helm.Release(name, (service.folder / VALUES, DEV[name].folder / VERSION), ROOT)
        documents = [manifest.document for manifest in helm.render(program, ROOT / "gitops" / CHART, release)]
        found[name] = {f"{each['kind']}/{each['metadata']['name']}": each for each in documents}
    return found


def of_chart(workload: Object, objects: Mapping[str, Object]) -> Runs:
    """Reads a Rollout or StatefulSet. What is in it and not known here fails the test: Compose may have to say it."""
    pod = workload["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    known = {"containers", "securityContext", "volumes", "terminationGracePeriodSeconds"}
    assert set(pod) - OF_KUBERNETES <= known
    probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}
    known = {"image", "command", "args", "env", "envFrom", "ports", "resources", "securityContext", "volumeMounts"}
    assert set(container) - OF_KUBERNETES - {f"{kind}Probe" for kind in probes} <= known
    environment: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        environment |= objects[f"ConfigMap/{source['configMapRef']['name']}"]["data"]
    environment |= {each["name"]: each["value"] for each in container.get("env", ())}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    questions = {question_of(probe, ports) for probe in probes.values()}
    security, limits = container["securityContext"], container["resources"]["limits"]
    volumes = {volume["name"]: int(quantity(volume["emptyDir"]["sizeLimit"])) for volume in pod["volumes"]}
    (timeout,) = {probe["timeoutSeconds"] for probe in probes.values()}
    return Runs(
        image=container["image"],
        entrypoint=container.get("command"),
        command=container.get("args"),
        environment=environment,
        questions=questions,
        starting=(
            probes["startup"]["periodSeconds"] * probes["startup"]["failureThreshold"],
            probes["startup"]["periodSeconds"],
        ),
        asking=(probes["readiness"]["periodSeconds"], probes["readiness"]["failureThreshold"]),
        answering=timeout * len(questions),
        user="{runAsUser}:{runAsGroup}".format(**pod["securityContext"]),
        read_only=security["readOnlyRootFilesystem"],
        confined=not security["allowPrivilegeEscalation"],
        dropped=security["capabilities"]["drop"],
        folders={mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]},
        cpus=float(quantity(limits["cpu"])),
        memory=int(quantity(limits["memory"])),
    )


def question_of(probe: Object, ports: Mapping[str, int]) -> tuple[int, str] | tuple[str, ...]:
    if "exec" in probe:
        return tuple(probe["exec"]["command"])
    return ports[probe["httpGet"]["port"]], probe["httpGet"]["path"]


def of_compose(service: Object) -> Runs:
    check, limits = service["healthcheck"], service["deploy"]["resources"]["limits"]
    kind, *test = check["test"]
    folders = {}
    for mount in service["tmpfs"]:
        path, size = re.fullmatch(r"(/[a-z/]+):size=([0-9]+),mode=1777,exec", mount).groups()  # pyright: ignore[reportOptionalMemberAccess]
        folders[path] = int(size)
    return Runs(
        image=service["image"],
        entrypoint=service.get("entrypoint"),
        command=service.get("command"),
        environment=service.get("environment", {}),
        questions={tuple(test)} if kind == "CMD" else asked(test[0]),
        starting=(seconds(check["start_period"]), seconds(check["start_interval"])),
        asking=(seconds(check["interval"]), check["retries"]),
        answering=seconds(check["timeout"]),
        user=service["user"],
        read_only=service["read_only"],
        confined=service["security_opt"] == ["no-new-privileges:true"],
        dropped=service["cap_drop"],
        folders=folders,
        cpus=float(limits["cpus"]),
        memory=int(limits["memory"].removesuffix("b")) - sum(folders.values()),
    )


def asked(shell: str) -> set[tuple[int, str] | tuple[str, ...]]:
    return {(int(port), path) for port, path in re.findall(r"http://127\.0\.0\.1:([0-9]+)(/\S*)", shell)}


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


@pytest.mark.parametrize("name", LITE)
def test_a_service_is_what_the_chart_makes_it(name: str, rendered: Rendered) -> None:
    workload = rendered[name][f"Rollout/{name}"]
    assert of_compose(COMPOSE[name]) == of_chart(workload, rendered[name])
    assert COMPOSE[name]["image"] == f"{LITE[name].overlay.service.image}@{DIGESTS[name]}"
    pod = workload["spec"]["template"]["spec"]
    assert {port["name"]: port["target"] for port in COMPOSE[name]["ports"]} == {
        port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]
    }
    assert COMPOSE[name]["stop_grace_period"] == f"{pod['terminationGracePeriodSeconds']}s"


def test_the_stores_are_those_the_chart_brings(rendered: Rendered) -> None:
    stores = {
        each["metadata"]["name"]: of_chart(each, objects)
        for objects in rendered.values()
        for each in objects.values()
        if each["kind"] == "StatefulSet"
    }
    assert stores == {name: of_compose(service) for name, service in COMPOSE.items() if name not in LITE}
    assert len(stores) == 3


def test_a_name_reaches_the_same_in_both(rendered: Rendered) -> None:
    """Every host a service is told of is a Service in the cluster, and in Compose a container that is waited for."""
    services = {each for objects in rendered.values() for each in objects if each.startswith("Service/")}
    assert services <= {f"Service/{name}" for name in COMPOSE}
    for service in (COMPOSE[name] for name in LITE):
        told = service["environment"]
        hosts = {value for variable, value in told.items() if variable.endswith("_HOST")}
        hosts |= {host for value in told.values() for host in re.findall(r"^http://([a-z-]+):[0-9]+$", value)}
        assert hosts == set(service["depends_on"])
        assert {f"Service/{host}" for host in hosts} <= services
