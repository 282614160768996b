"""Delivery, previews, and the order of creation and deletion: from recordings of the real program."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ladder.contract import StackSettings
from ladder.recording import Recording
from tests.conftest import (
    ADMISSION,
    APPLICATION_SET,
    BINDING,
    BUCKET,
    KEY,
    LIMITS,
    NAMESPACE,
    NETWORK_POLICY,
    PROJECT,
    QUOTA,
    ROLE,
    Recordings,
    kubernetes_objects,
    made,
    needs,
    one,
)

# delivery


def project(recording: Recording, name: str = "delivery") -> dict[str, Any]:
    return one(recording, PROJECT, name).inputs["spec"]


def application_set(recording: Recording, name: str = "delivery") -> dict[str, Any]:
    return one(recording, APPLICATION_SET, name).inputs["spec"]


def strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from strings(item)
        case list():
            for item in value:
                yield from strings(item)
        case _:
            pass


def test_app_project_has_no_wildcard(recording: Recording) -> None:
    spec = project(recording)
    windows = spec.get("syncWindows", [])
    exact = {key: value for key, value in spec.items() if key != "syncWindows"}
    assert not [text for text in strings(exact) if "*" in text or text == "HEAD"]
    assert [window["applications"] for window in windows] == [["*"]] * len(windows)


def test_app_project_names_exactly_the_contracts_sources_and_namespaces(
    recording: Recording, chosen: StackSettings
) -> None:
    spec = project(recording)
    assert spec["sourceRepos"] == sorted([chosen.delivery.repository, chosen.delivery.chart])
    assert {d["namespace"] for d in spec["destinations"]} == {chosen.namespace(key) for key in chosen.namespaces}
    assert {d["server"] for d in spec["destinations"]} == {"https://kubernetes.default.svc"}


def test_app_project_delivers_nothing_that_guards_the_environment(recording: Recording) -> None:
    spec = project(recording)
    assert spec["clusterResourceWhitelist"] == []
    kinds = {item["kind"] for item in spec["namespaceResourceWhitelist"]}
    assert not kinds & {"Namespace", "ResourceQuota", "LimitRange", "Role", "RoleBinding", "Secret", "Pod"}


def test_delivery_may_do_what_its_project_allows_and_no_more(recording: Recording, chosen: StackSettings) -> None:
    groups = {item["group"] for item in project(recording)["namespaceResourceWhitelist"]}
    for key in chosen.namespaces:
        rules = one(recording, "kubernetes:rbac.authorization.k8s.io/v1:Role", f"delivery-{key}").inputs["rules"]
        assert {group for rule in rules for group in rule["apiGroups"]} == groups
        granted = sum(len(rule["resources"]) for rule in rules)
        assert granted == len(project(recording)["namespaceResourceWhitelist"])
        assert not [text for text in strings(rules) if "*" in text or text in {"secrets", "roles", "escalate", "bind"}]


def test_sync_acts_as_the_namespaces_own_account(recording: Recording, chosen: StackSettings) -> None:
    spec = project(recording)
    accounts = {item["namespace"]: item["defaultServiceAccount"] for item in spec["destinationServiceAccounts"]}
    for key in chosen.namespaces:
        namespace = chosen.namespace(key)
        account = one(recording, "kubernetes:core/v1:ServiceAccount", f"delivery-{key}").inputs
        binding = one(recording, "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", f"delivery-{key}").inputs
        assert account["metadata"]["name"] == accounts[namespace]
        assert account["metadata"]["namespace"] == namespace
        (subject,) = binding["subjects"]
        assert subject == {"kind": "ServiceAccount", "name": accounts[namespace], "namespace": namespace}


def test_the_trusted_half_of_the_matrix_comes_first(recording: Recording, chosen: StackSettings) -> None:
    (generator,) = application_set(recording)["generators"]
    first, second = generator["matrix"]["generators"]
    assert first["list"]["elements"] == [
        {"environment": chosen.environment.name, "namespace": chosen.namespace("services")}
    ]
    assert second["git"]["files"] == [{"path": "gitops/envs/{{.environment}}/*/version.yaml"}]


def test_a_missing_template_key_is_an_error(recording: Recording) -> None:
    for resource in recording.of_type(APPLICATION_SET):
        assert resource.inputs["spec"]["goTemplateOptions"] == ["missingkey=error"]


def test_the_chart_is_delivered_by_digest_and_values_from_the_branch(
    recording: Recording, chosen: StackSettings
) -> None:
    chart, values = application_set(recording)["template"]["spec"]["sources"]
    assert (chart["repoURL"], chart["targetRevision"]) == (chosen.delivery.chart, "{{.chart.digest}}")
    assert (values["repoURL"], values["targetRevision"]) == (chosen.delivery.repository, chosen.delivery.branch)
    assert "ignoreMissingValueFiles" not in chart["helm"]


def test_prod_never_syncs_by_itself(recordings: Recordings) -> None:
    assert "automated" not in application_set(recordings["prod"])["template"]["spec"]["syncPolicy"]


@pytest.mark.parametrize("stack", ["dev", "staging"], indirect=True)
def test_below_prod_a_commit_is_synced_and_drift_repaired(recording: Recording) -> None:
    policy = application_set(recording)["template"]["spec"]["syncPolicy"]
    assert policy["automated"] == {"prune": True, "selfHeal": True}


def test_prod_applications_outlive_their_set(recordings: Recordings) -> None:
    resource = one(recordings["prod"], APPLICATION_SET, "delivery")
    spec = application_set(recordings["prod"])
    assert spec["syncPolicy"] == {"applicationsSync": "create-update", "preserveResourcesOnDeletion": True}
    assert "finalizers" not in spec["template"]["metadata"]
    assert resource.protect


@pytest.mark.parametrize("stack", ["dev", "staging"], indirect=True)
def test_below_prod_a_removed_folder_removes_its_workload(recording: Recording) -> None:
    spec = application_set(recording)
    assert spec["syncPolicy"] == {"applicationsSync": "sync", "preserveResourcesOnDeletion": False}
    assert spec["template"]["metadata"]["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]


def test_prod_is_delivered_in_its_windows_only(recordings: Recordings) -> None:
    assert project(recordings["prod"])["syncWindows"] == [
        {
            "kind": "allow",
            "schedule": "0 9 * * 1-4",
            "duration": "6h",
            "timeZone": "Europe/Berlin",
            "manualSync": False,
            "applications": ["*"],
        }
    ]
    assert "syncWindows" not in project(recordings["dev"])


# previews


def test_previews_exist_where_the_contract_says(recordings: Recordings) -> None:
    with_previews = {
        recording.stack for recording in recordings for resource in recording.resources if "Previews" in resource.type
    }
    assert with_previews == {"dev"}


def test_previews_stay_in_their_own_namespaces(recordings: Recordings) -> None:
    spec = project(recordings["dev"], "previews")
    assert spec["destinations"] == [{"server": "https://kubernetes.default.svc", "namespace": "pr-*"}]
    assert spec["clusterResourceWhitelist"] == [{"group": "", "kind": "Namespace", "name": "pr-*"}]
    kinds = {item["kind"] for item in spec["namespaceResourceWhitelist"]}
    assert not kinds & {"ExternalSecret", "Secret", "Role", "RoleBinding"}


def test_an_unreachable_repository_keeps_previews(recordings: Recordings) -> None:
    (generator,) = application_set(recordings["dev"], "previews")["generators"]
    requests, plugin = generator["matrix"]["generators"]
    assert requests["pullRequest"]["continueOnRepoNotFoundError"] is False
    assert plugin["plugin"]["configMapRef"]["name"] == "ladder-dev-previews"
    assert requests["pullRequest"]["requeueAfterSeconds"] == plugin["plugin"]["requeueAfterSeconds"] == 300


def test_a_preview_is_deleted_with_what_it_made(recordings: Recordings) -> None:
    metadata = application_set(recordings["dev"], "previews")["template"]["metadata"]
    assert metadata["finalizers"] == ["resources-finalizer.argocd.argoproj.io"]


def rendered(patch: str, services: list[dict[str, str]]) -> Any:
    """The patch for the services, by the few template constructs it uses."""
    before, rest = patch.split("\n{{- range .services }}")
    body, after = rest.split("\n{{- end }}")
    text = before
    for service in services:
        filled = re.sub(
            r'\{\{ printf "([^"]*)" \.(\w+) \| toJson \}\}',
            lambda match, service=service: json.dumps(match[1].replace("%s", service[match[2]])),
            body,
        )
        text += re.sub(
            r"\{\{ \.(\w+) \| toJson \}\}", lambda match, service=service: json.dumps(service[match[1]]), filled
        )
    text += after
    assert "{{" not in text
    return yaml.safe_load(text)


@pytest.mark.parametrize("branch", ["main", "1.10", "on", "0123", "release/2"])
def test_preview_sources_are_valid_yaml_for_any_branch(recordings: Recordings, ladder: Any, branch: str) -> None:
    delivery = ladder["dev"].delivery.model_dump(mode="json", by_alias=True)
    recording = recordings.altered("dev", delivery={**delivery, "branch": branch})
    services = [
        {"name": "web", "digest": "sha256:" + "0a" * 32, "chart": "sha256:" + "0b" * 32},
        {"name": 'x"\n- y', "digest": "yes", "chart": "1e3"},
    ]
    patch = rendered(application_set(recording, "previews")["templatePatch"], services)
    values, *sources = patch["spec"]["sources"]
    assert values == {"repoURL": delivery["repository"], "targetRevision": branch, "ref": "values"}
    assert [source["targetRevision"] for source in sources] == [service["chart"] for service in services]
    assert [source["helm"]["releaseName"] for source in sources] == [service["name"] for service in services]
    assert sources[0]["helm"]["valueFiles"] == ["$values/gitops/envs/preview/web/values.yaml"]
    assert sources[0]["helm"]["valuesObject"] == {"image": {"digest": services[0]["digest"]}}
    assert len(rendered(application_set(recording, "previews")["templatePatch"], [])["spec"]["sources"]) == 1


# order of creation and deletion


def test_every_namespaced_object_waits_for_its_namespace(recording: Recording, chosen: StackSettings) -> None:
    own = {chosen.namespace(key): one(recording, NAMESPACE, key).urn for key in chosen.namespaces}
    for resource in kubernetes_objects(recording):
        namespace = resource.inputs["metadata"].get("namespace")
        if namespace in own:
            assert own[namespace] in needs(recording, resource), resource.urn


def test_nothing_is_delivered_before_what_guards_it(recording: Recording) -> None:
    """Nor, on the way down, is any of it gone before the last workload is."""
    before = needs(recording, one(recording, APPLICATION_SET, "delivery"))
    guards = [NAMESPACE, QUOTA, LIMITS, NETWORK_POLICY, ADMISSION, BINDING]
    own = {resource.urn for resource in recording.of_type(*guards) if "PullRequestPreviews" not in resource.urn}
    assert own <= before


def test_nothing_is_delivered_before_it_may_be(recording: Recording) -> None:
    before = needs(recording, one(recording, APPLICATION_SET, "delivery"))
    allowed = [
        resource.urn
        for resource in recording.resources
        if resource.custom and resource.name.startswith("delivery") and resource.type != APPLICATION_SET
    ]
    assert len(allowed) == 7
    assert set(allowed) <= before


def test_previews_wait_for_their_project_and_plugin(recordings: Recordings) -> None:
    recording = recordings["dev"]
    before = needs(recording, one(recording, APPLICATION_SET, "previews"))
    assert one(recording, PROJECT, "previews").urn in before
    assert one(recording, "kubernetes:core/v1:ConfigMap", "previews").urn in before
    assert one(recording, BINDING, "previews-images-binding").urn in before


def test_previews_run_only_images_that_the_environment_may_run(recordings: Recordings) -> None:
    """Their namespaces do not exist yet, so it is their names that bind the policy."""
    own = one(recordings["dev"], ADMISSION, "images").inputs["spec"]
    previews = one(recordings["dev"], ADMISSION, "previews-images").inputs["spec"]
    assert previews["validations"] == own["validations"]
    assert previews["variables"] == own["variables"]
    assert previews["matchConstraints"]["namespaceSelector"] == {}
    (condition,) = previews["matchConditions"]
    assert condition["expression"] == "request.namespace.matches('^pr-[1-9][0-9]*$')"


def test_the_admission_binding_waits_for_its_policy(recording: Recording) -> None:
    assert one(recording, ADMISSION, "images").urn in needs(recording, one(recording, BINDING, "images-binding"))


def test_a_policy_waits_for_everyone_it_names(recording: Recording) -> None:
    arns = {
        resource.outputs["arn"]: resource.urn
        for resource in recording.of_type(ROLE, KEY, BUCKET)
        if resource.outputs.get("arn")
    }
    checked = 0
    for resource in made(recording):
        for key in ("policy", "assumeRolePolicy"):
            text = resource.inputs.get(key, "")
            for arn, urn in arns.items():
                if re.search(re.escape(arn) + r"[\"/*]", text):
                    assert urn in needs(recording, resource), (resource.urn, arn)
                    checked += 1
    assert checked > 20


def test_every_part_of_a_bucket_waits_for_it(recording: Recording) -> None:
    for resource in made(recording):
        if resource.type.startswith("aws:s3/") and resource.type != BUCKET:
            assert one(recording, BUCKET, resource.name).urn in needs(recording, resource)


def test_a_bucket_is_closed_before_its_policy_and_versioned_before_its_lock(recording: Recording) -> None:
    versioning, policy = "aws:s3/bucketVersioning:BucketVersioning", "aws:s3/bucketPolicy:BucketPolicy"
    for bucket in recording.of_type(BUCKET):
        block = one(recording, "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", bucket.name)
        assert block.urn in needs(recording, one(recording, policy, bucket.name))
    lock = one(recording, "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration", "evidence")
    assert one(recording, versioning, "evidence").urn in needs(recording, lock)
