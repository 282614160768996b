"""The recorded ApplicationSets and AppProjects: each rule sees what breaks it, and the shipped ones break none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ladder.check.findings import Finding
from tests.checked import APP_PROJECT, APPLICATION_SET, Checked, rules, shipped

Spec = dict[str, Any]
URN = "ladder:delivery:EnvironmentDelivery$kubernetes:argoproj.io/v1alpha1:ApplicationSet::delivery"


def children(spec: Spec) -> list[Any]:
    """The two generators of the recorded matrix."""
    return spec["generators"][0]["matrix"]["generators"]


def git(spec: Spec) -> Spec:
    return children(spec)[1]["git"]


def broken(change: Callable[[Spec], object], *, name: str = "delivery", stack: str = "dev") -> list[Finding]:
    """What is found once an ApplicationSet's spec is changed."""
    checked = shipped().with_resource(stack, APPLICATION_SET, name, lambda inputs: change(inputs["spec"]))
    return list(checked.delivery(stack).findings)


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_nothing_is_found_in_the_shipped_ones(stack: str) -> None:
    assert shipped().delivery(stack).findings == ()


def test_every_service_of_an_environment_becomes_an_application() -> None:
    made = shipped().delivery("dev")
    services = shipped().tree.environments["dev"]
    assert made.applications == len(services) + 2, "each service, and the two pull requests that stand for all"
    assert made.projects == {"dev": frozenset({"ladder-dev"}), "preview": frozenset({"ladder-dev-previews"})}


@dataclass(frozen=True)
class Break:
    """A change of the recorded spec, the rule it breaks, and what must be told of it."""

    change: Callable[[Spec], object]
    rule: str
    path: str
    found: str = ""
    accepted: str = ""
    name: str = "delivery"


MATRIX = "spec.generators.0.matrix.generators"
SOURCE = "spec.template.spec.sources"
LIST = {"list": {"elements": [{"a": "1"}]}}
NESTED = {"matrix": {"generators": [LIST, {"matrix": {"generators": [LIST, LIST]}}]}}
BREAKS = {
    "an unknown generator": Break(
        lambda spec: children(spec).__setitem__(0, {"lists": {"elements": []}}),
        "applicationset/unknown-generator",
        f"{MATRIX}.0.lists",
        "lists",
        "clusterDecisionResource, clusters, git, list",
    ),
    "no generator": Break(
        lambda spec: spec.update(generators=[]), "applicationset/one-kind", "spec.generators", "none", "git"
    ),
    "a generator of no kind": Break(
        lambda spec: spec.update(generators=[{}]), "applicationset/one-kind", "spec.generators.0", "none", "one of"
    ),
    "a generator of two kinds": Break(
        lambda spec: children(spec)[0].update(git={**git(spec), "files": [{"path": "gitops/envs/dev/*/version.yaml"}]}),
        "applicationset/one-kind",
        f"{MATRIX}.0",
        "list, git",
    ),
    "a matrix of three": Break(
        lambda spec: children(spec).append(LIST), "applicationset/matrix-children", MATRIX, "3", "2"
    ),
    "a matrix of one": Break(lambda spec: children(spec).pop(), "applicationset/matrix-children", MATRIX, "1", "2"),
    "a merge without keys": Break(
        lambda spec: spec.update(generators=[{"merge": {"generators": [LIST, LIST], "mergeKeys": []}}]),
        "applicationset/merge-children",
        "spec.generators.0.merge",
        "2 generators, 0 keys",
    ),
    "a merge whose keys tell nothing apart": Break(
        lambda spec: spec.update(
            generators=[{"merge": {"generators": [{"list": {"elements": [{}, {}]}}, LIST], "mergeKeys": ["a"]}}]
        ),
        "applicationset/merge-children",
        "spec.generators.0.merge.mergeKeys",
    ),
    "too deep a nesting": Break(
        lambda spec: spec.update(generators=[{"matrix": {"generators": [LIST, NESTED]}}]),
        "applicationset/nesting",
        "spec.generators.0.matrix.generators.1.matrix.generators.1.matrix",
        "3 levels",
        "at most 2",
    ),
    "an empty list": Break(
        lambda spec: children(spec)[0]["list"].update(elements=[]),
        "applicationset/empty-list",
        f"{MATRIX}.0.list.elements",
    ),
    "templates that are not Go's": Break(
        lambda spec: spec.update(goTemplate=False), "applicationset/go-template", "spec.goTemplate", "false", "true"
    ),
    "missing keys let through": Break(
        lambda spec: spec.update(goTemplateOptions=["missingkey=zero"]),
        "applicationset/go-template",
        "spec.goTemplateOptions",
        "missingkey=zero",
        "missingkey=error",
    ),
    "a field nothing gives": Break(
        lambda spec: spec["template"]["spec"]["sources"][0].update(targetRevision="{{.chart.version}}"),
        "applicationset/template-field",
        f"{SOURCE}.0.targetRevision",
    ),
    "a field of a generator that nothing gives": Break(
        lambda spec: git(spec)["files"][0].update(path="gitops/envs/{{.env}}/*/version.yaml"),
        "applicationset/template-field",
        f"{MATRIX}.1.git.files.0.path",
    ),
    "a field the plugin does not answer": Break(
        lambda spec: spec.update(templatePatch=spec["templatePatch"].replace(".digest", ".tag")),
        "applicationset/template-field",
        "spec.templatePatch",
        name="previews",
    ),
    "a field pull requests do not have": Break(
        lambda spec: spec["template"]["metadata"].update(name="pr-{{.id}}"),
        "applicationset/template-field",
        "spec.template.metadata.name",
        name="previews",
    ),
    "a template that does not parse": Break(
        lambda spec: spec["template"]["metadata"]["labels"].update(team="{{ .team"),
        "applicationset/template-syntax",
        "spec.template.metadata.labels.team",
    ),
    "a patch that does not parse": Break(
        lambda spec: spec.update(templatePatch=spec["templatePatch"].replace("{{- end }}", "")),
        "applicationset/template-syntax",
        "spec.templatePatch",
        name="previews",
    ),
    "a patch that is no YAML": Break(
        lambda spec: spec.update(templatePatch="spec: {"), "applicationset/template-patch", "spec.templatePatch"
    ),
    "a function that is not known": Break(
        lambda spec: spec["template"]["metadata"].update(name="{{ .path.basename | shuffle }}"),
        "applicationset/not-understood",
        "spec.template.metadata.name",
    ),
    "a generator that cannot be evaluated": Break(
        lambda spec: children(spec).__setitem__(0, {"clusters": {}}),
        "applicationset/not-understood",
        f"{MATRIX}.0.clusters",
    ),
    "a selector": Break(
        lambda spec: spec["generators"][0].update(selector={"matchLabels": {"environment": "dev"}}),
        "applicationset/not-understood",
        "spec.generators.0.matrix",
    ),
    "a glob that matches nothing": Break(
        lambda spec: git(spec)["files"][0].update(path="gitops/envs/{{.environment}}/*/versions.yaml"),
        "applicationset/empty-glob",
        f"{MATRIX}.1.git.files.0.path",
        "gitops/envs/dev/*/versions.yaml",
    ),
    "a glob outside of the tree": Break(
        lambda spec: git(spec)["files"][0].update(path="deploy/*/version.yaml"),
        "applicationset/other-tree",
        f"{MATRIX}.1.git.files.0.path",
        accepted="gitops/envs/",
    ),
    "a glob that cannot be evaluated": Break(
        lambda spec: git(spec)["files"][0].update(path="gitops/envs/{dev,qa}/*/version.yaml"),
        "applicationset/not-understood",
        f"{MATRIX}.1.git.files.0.path",
    ),
    "another repository": Break(
        lambda spec: git(spec).update(repoURL="https://github.com/acme/other"),
        "applicationset/other-tree",
        f"{MATRIX}.1.git.repoURL",
        "https://github.com/acme/other",
        "https://github.com/acme/environment-ladder",
    ),
    "another branch": Break(
        lambda spec: git(spec).update(revision="HEAD"),
        "applicationset/other-tree",
        f"{MATRIX}.1.git.revision",
        "HEAD",
        "main",
    ),
    "values of another branch": Break(
        lambda spec: spec["template"]["spec"]["sources"][1].update(targetRevision="next"),
        "applicationset/other-tree",
        SOURCE,
        "next",
        "main",
    ),
    "both files and directories": Break(
        lambda spec: git(spec).update(directories=[{"path": "gitops/envs/dev/*"}]),
        "applicationset/one-kind",
        f"{MATRIX}.1.git",
        "both",
    ),
    "one name for all": Break(
        lambda spec: spec["template"]["metadata"].update(name="{{.environment}}"),
        "application/duplicate-name",
        "spec.template.metadata.name",
        "dev",
    ),
    "one name for every pull request": Break(
        lambda spec: spec["template"]["metadata"].update(name="pr"),
        "application/duplicate-name",
        "spec.template.metadata.name",
        "pr",
        name="previews",
    ),
    "a name that another set makes": Break(
        lambda spec: spec["template"]["metadata"].update(name='{{ if eq .number "1" }}dev-web{{ else }}pr-2{{ end }}'),
        "application/duplicate-name",
        "spec.template.metadata.name",
        "dev-web",
        name="previews",
    ),
    "an illegal name": Break(
        lambda spec: spec["template"]["metadata"].update(name="{{.environment}}_{{.path.basename}}"),
        "application/name",
        "spec.template.metadata.name",
        "dev_api",
    ),
    "too long a name": Break(
        lambda spec: spec["template"]["metadata"].update(name="{{.path.basename}}-" + "x" * 60),
        "application/name",
        "spec.template.metadata.name",
        "(64 characters)",
        "at most 63",
    ),
    "a project that is not there": Break(
        lambda spec: spec["template"]["spec"].update(project="ladder-nowhere"),
        "application/project",
        "spec.template.spec.project",
        "ladder-nowhere",
        "ladder-dev",
    ),
    "a destination the project refuses": Break(
        lambda spec: spec["template"]["spec"]["destination"].update(namespace="kube-system"),
        "application/destination",
        "spec.template.spec.destination",
        "namespace kube-system",
        "namespace dev-services",
    ),
    "a cluster the project refuses": Break(
        lambda spec: spec["template"]["spec"]["destination"].update(server="https://10.0.0.1"),
        "application/destination",
        "spec.template.spec.destination",
        "https://10.0.0.1",
    ),
    "no destination": Break(
        lambda spec: spec["template"]["spec"].update(destination={"name": "a", "server": "b"}),
        "application/destination",
        "spec.template.spec.destination",
    ),
    "a source the project refuses": Break(
        lambda spec: spec["template"]["spec"]["sources"][0].update(repoURL="oci://ghcr.io/other/charts/service"),
        "application/source",
        SOURCE,
        "oci://ghcr.io/other/charts/service",
        "oci://ghcr.io/acme/charts/service",
    ),
    "a source of nothing": Break(
        lambda spec: spec["template"]["spec"]["sources"][0].pop("path"), "application/source", SOURCE
    ),
    "no source": Break(lambda spec: spec["template"]["spec"].update(sources=[]), "application/source", "spec.template"),
    "a values file that is not there": Break(
        lambda spec: spec["template"]["spec"]["sources"][0]["helm"]["valueFiles"].append(
            "$values/{{.path.path}}/x.yaml"
        ),
        "application/value-file",
        SOURCE,
        "gitops/envs/dev/api/x.yaml",
    ),
    "a values file of the chart that is not there": Break(
        lambda spec: spec["template"]["spec"]["sources"][0]["helm"]["valueFiles"].append("values.dev.yaml"),
        "application/value-file",
        SOURCE,
        "values.dev.yaml",
    ),
    "a ref that is not there": Break(
        lambda spec: spec["template"]["spec"]["sources"][1].update(ref="tree"),
        "application/value-file",
        SOURCE,
        "$values",
        "$tree",
    ),
    "a chart that is not in the repository": Break(
        lambda spec: spec.update(templatePatch=spec["templatePatch"].replace('"gitops/preview"', '"gitops/previews"')),
        "application/chart",
        "spec.templatePatch",
        "gitops/previews",
        name="previews",
    ),
    "a chart of the repository that is told too little": Break(
        lambda spec: spec.update(templatePatch=spec["templatePatch"].replace("expires: {{ .expires | toJson }}", "")),
        "application/chart",
        "spec.templatePatch",
        "its values",
        name="previews",
    ),
    "a previews' values file that is not there": Break(
        lambda spec: spec.update(templatePatch=spec["templatePatch"].replace("/preview/", "/previews/")),
        "application/value-file",
        "spec.templatePatch",
        "gitops/envs/previews/",
        name="previews",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_each_rule_sees_what_breaks_it(what: str) -> None:
    case = BREAKS[what]
    found = broken(case.change, name=case.name)
    told = [finding for finding in found if finding.rule == case.rule]
    assert told, f"{case.rule} is not among {rules(found)}"
    finding = told[0]
    assert finding.where.startswith("urn:pulumi:dev::ladder::")
    assert finding.where.endswith(f"ApplicationSet::{case.name}")
    assert finding.path == case.path or finding.path.startswith(case.path)
    assert case.found in finding.found
    assert case.accepted in finding.accepted


def test_the_same_of_many_applications_is_told_once() -> None:
    (finding,) = broken(lambda spec: spec["template"]["spec"]["destination"].update(namespace="kube-system"))
    assert "Application dev-api and 2 more" in finding.message


def test_a_matrix_gives_the_first_generators_values_precedence() -> None:
    """Else a file of the tree could say that it is of another environment."""
    (finding,) = broken(
        lambda spec: (
            children(spec)[0]["list"]["elements"][0].update(chart={"digest": "sha256:of-the-list"})
            or spec["template"]["metadata"].update(name="{{.chart.digest}}-{{.path.basename}}")
        )
    )[:1]
    assert "sha256:of-the-list" in finding.found


def test_directories_values_and_prefixes_are_read_too() -> None:
    def change(spec: Spec) -> None:
        body = git(spec)
        body.pop("files")
        body["directories"] = [{"path": "gitops/envs/dev/*"}, {"path": "gitops/envs/dev/worker", "exclude": True}]
        body["pathParamPrefix"] = "folder"
        body["values"] = {"own": "{{.folder.path.basename}}", "outer": "{{.environment}}"}
        spec["template"] = {
            "metadata": {"name": "{{.values.outer}}-{{.values.own}}"},
            "spec": {
                "project": "ladder-dev",
                "destination": {"name": "in-cluster", "namespace": "dev-services"},
                "source": {
                    "repoURL": "https://github.com/acme/environment-ladder.git",
                    "path": "{{.folder.path.path}}",
                },
            },
        }

    assert broken(change) == []


@pytest.mark.parametrize(
    ("change", "stands"),
    [
        (lambda spec: spec.update(destinations=[]), False),
        (lambda spec: spec.update(destinations=[{"server": "*", "namespace": "dev-*"}]), True),
        (lambda spec: spec.update(destinations=[{"name": "in-cluster", "namespace": "dev-services"}]), True),
        (lambda spec: spec.update(destinations=[{"server": "*", "namespace": "!dev-services"}]), False),
        (
            lambda spec: spec["destinations"].append({"server": "!https://kubernetes.default.svc", "namespace": "*"}),
            False,
        ),
        (lambda spec: spec.update(sourceRepos=["https://github.com/acme/environment-ladder"]), False),
        (lambda spec: spec.update(sourceRepos=["https://github.com/acme/*", "oci://ghcr.io/*/*/service"]), True),
        (lambda spec: spec.update(sourceRepos=["https://github.com/*", "oci://ghcr.io/**"]), False),
        (lambda spec: spec.update(sourceRepos=["**", "!https://github.com/acme/environment-ladder.git"]), False),
        (lambda spec: spec.update(sourceRepos=["HTTPS://GITHUB.com/acme/environment-ladder.git", "oci://**"]), True),
    ],
)
def test_a_project_permits_what_argo_cds_own_rules_permit(change: Callable[[Spec], object], stands: bool) -> None:
    checked = shipped().with_resource("dev", APP_PROJECT, "delivery", lambda inputs: change(inputs["spec"]))
    found = rules(checked.delivery("dev").findings)
    assert not found if stands else found <= {"application/source", "application/destination"} and found


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.update(generators=[{"list": []}, {"list": ["text"]}]),
        lambda spec: spec.update(template="text"),
        lambda spec: git(spec).update(files=["gitops/envs/dev/*/version.yaml"]),
        lambda spec: spec["template"]["spec"].update(sources=["text"]),
    ],
)
def test_what_has_another_shape_is_a_finding_and_no_crash(change: Callable[[Spec], object]) -> None:
    assert rules(broken(change)) & {"applicationset/shape", "applicationset/empty-list"}


def test_a_projects_pattern_that_is_not_understood_is_no_pass() -> None:
    def change(inputs: Spec) -> None:
        inputs["spec"]["sourceRepos"] = ["https://github.com/{acme,other}/environment-ladder", "oci://**"]

    checked: Checked = shipped().with_resource("dev", APP_PROJECT, "delivery", change)
    assert rules(checked.delivery("dev").findings) == {"application/not-understood"}
