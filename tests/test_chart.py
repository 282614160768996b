"""The service chart: what it makes of every overlay, and what it never makes."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.delivery import DELIVERED_KINDS
from components.secret_store import STORE
from ladder.contract.overlay import ChartValues
from ladder.variables import variables
from tests.charts import (
    CHART,
    ENVIRONMENTS,
    OVERLAYS,
    Object,
    Rendered,
    changed,
    overlay_values,
    render,
    rendered,
)
from tests.support import STACKS

every_overlay = pytest.mark.parametrize(("environment", "service"), OVERLAYS)


def templates(release: Rendered) -> list[Object]:
    return [each["spec"]["template"] for each in release.workloads()]


def images(value: Any) -> list[str]:
    """Whatever stands at a key called image, anywhere."""
    if isinstance(value, dict):
        own = [item for key, item in value.items() if key == "image"]
        return own + [image for item in value.values() for image in images(item)]
    return [image for item in value for image in images(item)] if isinstance(value, list) else []


def differences(one: Any, other: Any, path: str = "") -> set[str]:
    """The dotted paths at which two values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = {*one, *other}
        return {found for key in keys for found in differences(one.get(key), other.get(key), f"{path}/{key}")}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = zip(one, other, strict=True)
        return {found for index, pair in enumerate(pairs) for found in differences(*pair, f"{path}/{index}")}
    return set() if one == other else {path}


def by_name(release: Rendered) -> dict[str, Object]:
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in release.objects}


def test_no_template_names_an_environment() -> None:
    names = re.compile(rf"\b({'|'.join({*ENVIRONMENTS, *STACKS})})\b", re.IGNORECASE)
    files = [path for path in CHART.rglob("*") if path.is_file() and path.name != "values.schema.json"]
    assert len(files) > 10
    assert [path.name for path in files if names.search(path.read_text(encoding="utf-8"))] == []


@every_overlay
def test_every_object_is_one_that_delivery_may_write_and_leaves_its_namespace_open(
    environment: str, service: str
) -> None:
    allowed = {(kind.group, kind.kind) for kind in DELIVERED_KINDS}
    release = rendered(environment, service)
    for each in release.objects:
        group, _, version = each["apiVersion"].rpartition("/")
        assert version
        assert (group, each["kind"]) in allowed
        assert "namespace" not in each["metadata"]
    assert len(by_name(release)) == len(release.objects)


@every_overlay
def test_every_object_says_what_it_belongs_to(environment: str, service: str) -> None:
    for each in rendered(environment, service).objects:
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == service
        assert labels["app.kubernetes.io/part-of"] == "environment-ladder"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        own = each["metadata"]["name"] == service
        assert labels["app.kubernetes.io/component"] == (
            "service" if own else each["metadata"]["name"].removeprefix(f"{service}-")
        )


@every_overlay
def test_each_workload_selects_its_own_pods_and_nobody_elses(environment: str, service: str) -> None:
    workloads = list(rendered(environment, service).workloads())
    for one in (each for each in workloads if each["kind"] != "Job"):
        selector = one["spec"]["selector"]["matchLabels"].items()
        chosen = [each for each in workloads if selector <= each["spec"]["template"]["metadata"]["labels"].items()]
        assert chosen == [one]


@every_overlay
def test_an_image_is_named_by_digest_only(environment: str, service: str) -> None:
    values, release = overlay_values(environment, service), rendered(environment, service)
    found = images(list(release.objects))
    assert found
    assert all(re.fullmatch(r"[^@:]+@sha256:[a-f0-9]{64}", image) for image in found)
    (container,) = release.pod["spec"]["containers"]
    assert container["image"] == f"{values['service']['image']}@{values['image']['digest']}"


@every_overlay
def test_the_chart_and_the_contract_give_the_same_variables(environment: str, service: str) -> None:
    overlay = ChartValues.model_validate_json(json.dumps(overlay_values(environment, service)))
    assert rendered(environment, service).variables == variables(overlay)


@every_overlay
def test_every_pod_meets_the_restricted_standard(environment: str, service: str) -> None:
    """Rule: Kubernetes' Pod Security Standards, profile restricted, each of its controls."""
    for template in templates(rendered(environment, service)):
        pod = template["spec"]
        assert pod.keys().isdisjoint({"hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"})
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["securityContext"].keys().isdisjoint({"sysctls", "seLinuxOptions", "windowsOptions"})
        for volume in pod["volumes"]:
            assert volume.keys() == {"name", "emptyDir"}
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security.keys() == {"allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"}
            assert all("hostPort" not in port for port in container.get("ports", ()))


@every_overlay
def test_no_pod_runs_as_root_writes_its_image_or_gets_a_token(environment: str, service: str) -> None:
    for template in templates(rendered(environment, service)):
        pod = template["spec"]
        numbers = {pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")}
        assert numbers == {10001}
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            for kind in ("requests", "limits"):
                assert container["resources"][kind].keys() == {"cpu", "memory"}
        for volume in pod["volumes"]:
            assert volume["emptyDir"]["sizeLimit"]
    account = rendered(environment, service).one("ServiceAccount")
    assert account["automountServiceAccountToken"] is False


@every_overlay
def test_only_a_declared_role_is_given_to_the_pods(environment: str, service: str) -> None:
    role = overlay_values(environment, service)["endpoints"]["role"]
    release = rendered(environment, service)
    annotations = release.one("ServiceAccount")["metadata"].get("annotations", {})
    assert annotations.get("eks.amazonaws.com/role-arn") == role.get("arn")
    assert release.pod["spec"]["serviceAccountName"] == service


@every_overlay
def test_secrets_are_references_and_the_pods_take_them_all(environment: str, service: str) -> None:
    secrets = overlay_values(environment, service)["secrets"]
    release = rendered(environment, service)
    (container,) = release.pod["spec"]["containers"]
    taken = [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source]
    if not secrets:
        assert not release.of("ExternalSecret")
        assert not taken
        return
    made = release.one("ExternalSecret")["spec"]
    assert made["secretStoreRef"] == {"kind": "SecretStore", "name": STORE}
    assert made["target"]["name"] == service
    assert taken == [service]
    assert {item["secretKey"]: item["remoteRef"]["key"] for item in made["data"]} == secrets


@every_overlay
def test_the_pods_answer_on_the_ports_and_paths_declared(environment: str, service: str) -> None:
    shape = overlay_values(environment, service)["service"]
    release = rendered(environment, service)
    (container,) = release.pod["spec"]["containers"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == shape["ports"]
    for kind in ("startup", "liveness", "readiness"):
        asked = container[f"{kind}Probe"]["httpGet"]
        assert asked == {"path": shape["probes"][kind], "port": shape["probes"]["port"]}
    assert release.pod["spec"]["terminationGracePeriodSeconds"] == shape["stopSeconds"]
    annotations = release.pod["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(shape["ports"]["metrics"])
    assert annotations["prometheus.io/path"] == shape["metrics"]["path"]


@every_overlay
def test_whoever_calls_the_service_finds_it_where_the_variables_say(environment: str, service: str) -> None:
    release, ports = rendered(environment, service), overlay_values(environment, service)["service"]["ports"]
    own = release.of("Service").get(service)
    assert (own is not None) == ("http" in ports)
    if own is not None:
        (port,) = own["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (ports["http"], "http")
        assert own["spec"]["selector"] == release.rollout["spec"]["selector"]["matchLabels"]
        assert own["spec"]["type"] == "ClusterIP"


@every_overlay
def test_canary_steps_appear_only_where_values_give_them(environment: str, service: str) -> None:
    values = overlay_values(environment, service)
    canary = rendered(environment, service).rollout["spec"]["strategy"]["canary"]
    assert (canary["maxSurge"], canary["maxUnavailable"]) == (values["scale"]["surge"], 0)
    steps = [
        step
        for given in values["rollout"]["canary"]
        for step in ({"setWeight": given["weight"]}, {"pause": {"duration": given["pause"]}})
    ]
    assert canary.get("steps", []) == steps
    assert ("steps" in canary) == bool(steps)
    assert ("analysis" in canary) == values["rollout"]["analysis"]["enabled"]


@every_overlay
def test_a_canary_is_measured_by_the_query_and_the_threshold_given(environment: str, service: str) -> None:
    values, release = overlay_values(environment, service), rendered(environment, service)
    analysis = values["rollout"]["analysis"]
    if not analysis["enabled"]:
        assert not release.of("AnalysisTemplate")
        return
    (metric,) = release.one("AnalysisTemplate")["spec"]["metrics"]
    assert metric["provider"]["prometheus"] == {
        "address": values["endpoints"]["monitoring"]["address"],
        "query": values["service"]["metrics"]["successRate"],
    }
    given = (analysis["interval"], analysis["count"], analysis["failures"])
    assert (metric["interval"], metric["count"], metric["failureLimit"]) == given
    used = release.rollout["spec"]["strategy"]["canary"]["analysis"]
    assert used == {"startingStep": 1, "templates": [{"templateName": service}]}


@pytest.mark.parametrize(
    ("result", "green"),
    [([], False), ([math.nan], False), ([0.0], False), ([0.9899], False), ([0.99], True), ([1.0], True)],
)
def test_what_was_not_seen_is_not_green(result: list[float], green: bool) -> None:
    """Both conditions together, so that no measurement is inconclusive."""
    (metric,) = rendered("prod", "api").one("AnalysisTemplate")["spec"]["metrics"]

    def holds(condition: str) -> bool:
        python = condition.replace("&&", "and").replace("||", "or").replace("!(", "not (")
        return eval(python, {"result": result, "len": len})  # noqa: S307 -- the chart's own text

    assert holds(metric["successCondition"]) is green
    assert holds(metric["failureCondition"]) is not green


@every_overlay
def test_replicas_are_left_to_the_autoscaler(environment: str, service: str) -> None:
    replicas = overlay_values(environment, service)["scale"]["replicas"]
    release = rendered(environment, service)
    if replicas["max"] == replicas["min"]:
        assert release.rollout["spec"]["replicas"] == replicas["min"]
        assert not release.of("HorizontalPodAutoscaler")
        return
    assert "replicas" not in release.rollout["spec"]
    scaler = release.one("HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (replicas["min"], replicas["max"])
    target = {"apiVersion": release.rollout["apiVersion"], "kind": "Rollout", "name": service}
    assert scaler["scaleTargetRef"] == target
    (metric,) = scaler["metrics"]
    assert metric["resource"]["target"]["averageUtilization"] == replicas["cpuPercent"]


@every_overlay
def test_a_drain_leaves_the_pods_that_values_ask_for(environment: str, service: str) -> None:
    scale, release = overlay_values(environment, service)["scale"], rendered(environment, service)
    budgets = release.of("PodDisruptionBudget")
    assert bool(budgets) == (scale["minAvailable"] > 0)
    for budget in budgets.values():
        assert budget["spec"]["minAvailable"] == scale["minAvailable"]
        assert budget["spec"]["selector"] == release.rollout["spec"]["selector"]


@every_overlay
def test_pods_are_spread_as_strictly_as_values_ask(environment: str, service: str) -> None:
    asked = {"preferred": "ScheduleAnyway", "required": "DoNotSchedule"}
    release, spread = rendered(environment, service), overlay_values(environment, service)["scale"]["spread"]
    constraints = release.pod["spec"]["topologySpreadConstraints"]
    assert {each["topologyKey"]: each["whenUnsatisfiable"] for each in constraints} == {
        "topology.kubernetes.io/zone": asked[spread],
        "kubernetes.io/hostname": "ScheduleAnyway",
    }
    assert all(each["labelSelector"] == release.rollout["spec"]["selector"] for each in constraints)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_a_public_service_is_reached_from_outside(environment: str) -> None:
    values, release = overlay_values(environment, "web"), rendered(environment, "web")
    route = release.one("HTTPRoute")["spec"]
    edge = values["endpoints"]["edge"]
    (parent,) = route["parentRefs"]
    assert (parent["kind"], parent["name"], parent["namespace"]) == ("Gateway", edge["name"], edge["namespace"])
    assert route["hostnames"] == list(values["endpoints"]["hosts"].values())
    (backend,) = route["rules"][0]["backendRefs"]
    assert (backend["name"], backend["port"]) == ("web", values["service"]["ports"]["http"])
    for service in ("api", "worker"):
        assert not rendered(environment, service).of("HTTPRoute")
        assert not rendered(environment, service).of("Ingress")


def test_an_ingress_serves_the_same_hosts_by_tls() -> None:
    hosts = {"b": "b.example.com", "a": "a.example.com"}
    release = render("web", changed("dev", "web", {"ingress.through": "ingress", "endpoints.hosts": hosts}))
    assert not release.of("HTTPRoute")
    ingress = release.one("Ingress")["spec"]
    assert ingress["ingressClassName"] == "edge"
    assert ingress["tls"] == [{"hosts": sorted(hosts.values())}]
    assert [rule["host"] for rule in ingress["rules"]] == sorted(hosts.values())
    for rule in ingress["rules"]:
        (path,) = rule["http"]["paths"]
        assert path["backend"] == {"service": {"name": "web", "port": {"name": "http"}}}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("features.guest-checkout", False),
        ("endpoints.external.payments", "https://other.example"),
        ("secrets.PAYMENTS_TOKEN", "ladder/dev/api/another-token"),
    ],
)
def test_a_changed_variable_rolls_the_pods(path: str, value: object) -> None:
    changes = differences(rendered("dev", "api").pod, render("api", changed("dev", "api", {path: value})).pod)
    assert changes == {"/metadata/annotations/ladder.internal/variables"}


@every_overlay
def test_a_chart_version_alone_rolls_nothing(environment: str, service: str, tmp_path: Path) -> None:
    copied = shutil.copytree(CHART, tmp_path / "chart")
    file = copied / "Chart.yaml"
    file.write_text(re.sub(r"(?m)^version: .*", "version: 99.0.0+later", file.read_text(encoding="utf-8")))
    later = by_name(render(service, overlay_values(environment, service), chart=copied))
    now = by_name(rendered(environment, service))
    assert {found for name in now for found in differences(now[name], later[name])} == {
        "/metadata/labels/helm.sh/chart"
    }
    assert later.keys() == now.keys()


def test_an_image_that_climbs_changes_the_rollout_and_nothing_else() -> None:
    digest = "sha256:" + "0a" * 32
    later = by_name(render("api", changed("dev", "api", {"image.digest": digest})))
    now = by_name(rendered("dev", "api"))
    changes = {name: differences(now[name], later[name]) for name in now if now[name] != later[name]}
    assert changes == {"Rollout/api": {"/spec/template/spec/containers/0/image"}}


def test_which_chart_is_pinned_changes_nothing_that_runs() -> None:
    assert render("api", changed("dev", "api", {"chart.digest": "sha256:" + "0a" * 32})) == rendered("dev", "api")


@every_overlay
def test_configuration_stands_before_stores_they_before_what_fills_them_and_it_before_the_service(
    environment: str, service: str
) -> None:
    waves = {
        name: int(each["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", "0"))
        for name, each in by_name(rendered(environment, service)).items()
    }
    needed = [f"ServiceAccount/{service}", f"ConfigMap/{service}", f"NetworkPolicy/{service}"]
    assert {waves[name] for name in needed} == {-3}
    assert {wave for name, wave in waves.items() if name.startswith("ExternalSecret/")} <= {-3}
    assert {wave for name, wave in waves.items() if name.startswith("StatefulSet/")} <= {-2}
    assert {wave for name, wave in waves.items() if name.startswith("Job/")} <= {-1}
    assert waves.get(f"NetworkPolicy/{service}-seed", -3) == -3
    assert waves[f"Rollout/{service}"] == 0


def test_the_chart_has_no_defaults_and_no_dependencies() -> None:
    assert not (CHART / "values.yaml").exists()
    assert not (CHART / "charts").exists()
    assert "dependencies" not in (CHART / "Chart.yaml").read_text(encoding="utf-8")
