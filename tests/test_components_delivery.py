"""Delivery, previews, and the order of creation and deletion: from recordings of the real program."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ladder.check.generators import PLUGIN_ANSWER, PULL_REQUESTS
from ladder.check.template import render
from ladder.contract import StackSettings
from ladder.contract.preview_values import PreviewValues
from ladder.recording import Recording
from previews.live import IMAGE, RUNNING
from previews.settings import PluginSettings
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


DIGEST = "sha256:" + "0a" * 32


def asked(*services: dict[str, str], **more: Any) -> dict[str, Any]:
    """A pull request's parameters with the plugin's answer."""
    return {**PULL_REQUESTS[0], **PLUGIN_ANSWER, "services": list(services), **more}


def service(name: str, repository: str = "", digest: str = DIGEST, chart: str = DIGEST) -> dict[str, str]:
    return {"name": name, "repository": repository, "digest": digest, "chart": chart}


def sources(recording: Recording, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    return yaml.safe_load(render(application_set(recording, "previews")["templatePatch"], parameters))["spec"][
        "sources"
    ]


@pytest.mark.parametrize("branch", ["main", "1.10", "on", "0123", "release/2"])
def test_preview_sources_are_valid_yaml_for_any_branch(recordings: Recordings, ladder: Any, branch: str) -> None:
    delivery = ladder["dev"].delivery.model_dump(mode="json", by_alias=True)
    recording = recordings.altered("dev", delivery={**delivery, "branch": branch})
    services = [service("web", "ghcr.io/acme/previews/web"), service('x"\n- y', "", "yes", "1e3")]
    owner, *each = sources(recording, asked(*services))
    assert (owner["repoURL"], owner["targetRevision"]) == (delivery["repository"], branch)
    assert (owner["path"], owner["ref"]) == ("gitops/preview", "values")
    assert [source["targetRevision"] for source in each] == [told["chart"] for told in services]
    assert [source["helm"]["releaseName"] for source in each] == [told["name"] for told in services]
    folder = "$values/gitops/envs/preview/web"
    assert each[0]["helm"]["valueFiles"] == [f"{folder}/values.yaml", f"{folder}/version.yaml"]
    assert each[1]["helm"]["valuesObject"]["image"] == {"digest": "yes"}
    assert len(sources(recording, asked())) == 1


def test_a_preview_runs_what_its_pull_request_built_from_where_it_was_built(recordings: Recordings) -> None:
    _, built, other = sources(recordings["dev"], asked(service("web", "ghcr.io/acme/previews/web"), service("api")))
    assert built["helm"]["valuesObject"]["service"] == {"image": "ghcr.io/acme/previews/web"}
    assert "service" not in other["helm"]["valuesObject"]


def test_the_charts_of_a_preview_take_what_they_are_told(recordings: Recordings) -> None:
    owner, web = sources(recordings["dev"], asked(service("web")))
    PreviewValues.model_validate(owner["helm"]["valuesObject"])
    told = web["helm"]["valuesObject"]
    assert told["tier"] == PLUGIN_ANSWER["tier"]
    assert told["instance"]["placeholder"] == "pr-0"
    assert told["instance"]["name"] == "pr-1"


def test_the_plugins_words_stand_on_the_application_as_they_are(recordings: Recordings) -> None:
    annotations = application_set(recordings["dev"], "previews")["template"]["metadata"]["annotations"]
    running = '{"sha":"1\\""}'
    assert render(annotations["ladder.internal/running"], asked(running=running)) == running
    assert RUNNING in annotations
    assert IMAGE in application_set(recordings["dev"])["template"]["metadata"]["annotations"]


def test_the_plugin_takes_the_settings_that_the_program_gives_it(recordings: Recordings, ladder: Any) -> None:
    settings = one(recordings["dev"], "kubernetes:core/v1:ConfigMap", "previews-plugin-settings").inputs["data"]
    told = PluginSettings.model_validate_json(settings["settings.yaml"])
    previews = ladder["dev"].previews
    assert (told.limits.host, told.limits.max_count) == (previews.host, previews.max_count)
    assert told.limits.tiers["lite"] == previews.tiers["lite"].quota.requests
    assert told.plugin.application_set == application_set_name(recordings["dev"])
    assert told.cluster.previews == application_set(recordings["dev"], "previews")["template"]["spec"]["project"]


def application_set_name(recording: Recording) -> str:
    return one(recording, APPLICATION_SET, "previews").inputs["metadata"]["name"]


def test_no_secret_of_the_plugin_is_declared(recordings: Recordings) -> None:
    assert not recordings["dev"].of_type("kubernetes:core/v1:Secret")
    spec = one(recordings["dev"], "kubernetes:apps/v1:Deployment", "previews-plugin").inputs["spec"]
    names = [each["secret"]["secretName"] for each in spec["template"]["spec"]["volumes"] if "secret" in each]
    assert names == ["previews-plugin"]


SCHEDULES = {"5m": "*/5 * * * *", "30m": "*/30 * * * *", "1h": "17 */1 * * *", "12h": "17 */12 * * *"}


@pytest.mark.parametrize("every", SCHEDULES)
def test_the_reaper_comes_as_often_as_the_contract_says(recordings: Recordings, ladder: Any, every: str) -> None:
    previews = ladder["dev"].previews.model_dump(mode="json", by_alias=True)
    recording = recordings.altered("dev", previews={**previews, "reaper": {**previews["reaper"], "every": every}})
    assert (
        one(recording, "kubernetes:batch/v1:CronJob", "previews-reaper").inputs["spec"]["schedule"] == SCHEDULES[every]
    )


def test_an_update_does_not_wait_for_a_secret_that_an_operator_brings(recordings: Recordings) -> None:
    for kind in ("apps/v1:Deployment", "core/v1:Service"):
        metadata = one(recordings["dev"], f"kubernetes:{kind}", "previews-plugin").inputs["metadata"]
        assert metadata["annotations"] == {"pulumi.com/skipAwait": "true"}


@pytest.mark.parametrize(
    ("api", "images", "ports"),
    [
        ("https://api.github.com", "ghcr.io/acme/previews", [443, 6443]),
        ("https://git.acme.example:8443/api/v3", "registry.acme.example:5000/pulls", [443, 5000, 6443, 8443]),
    ],
)
def test_the_plugin_reaches_whom_it_asks(
    recordings: Recordings, ladder: Any, api: str, images: str, ports: list[int]
) -> None:
    previews = ladder["dev"].previews.model_dump(mode="json", by_alias=True)
    recording = recordings.altered("dev", previews={**previews, "api": api, "images": images})
    _, outside = one(recording, NETWORK_POLICY, "previews-plugin").inputs["spec"]["egress"]
    assert [each["port"] for each in outside["ports"]] == ports
    assert outside["to"] == [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}]


def test_argo_cd_does_not_give_a_preview_up(recordings: Recordings) -> None:
    policy = application_set(recordings["dev"], "previews")["template"]["spec"]["syncPolicy"]
    assert policy["retry"]["limit"] == -1


def test_whoever_writes_previews_is_bound_before_it_may(recordings: Recordings) -> None:
    recording = recordings["dev"]
    bound = one(recording, BINDING, "previews-rails-writers-binding").urn
    wide = [("ClusterRoleBinding", "previews"), ("ClusterRoleBinding", "previews-reaper")]
    for kind, name in [*wide, ("RoleBinding", "previews-reaper")]:
        binding = one(recording, f"kubernetes:rbac.authorization.k8s.io/v1:{kind}", name)
        assert bound in needs(recording, binding), binding.urn


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
    assert one(recording, "kubernetes:core/v1:ConfigMap", "previews-plugin").urn in before
    assert one(recording, "kubernetes:apps/v1:Deployment", "previews-plugin").urn in before
    assert one(recording, BINDING, "previews-images-binding").urn in before
    assert one(recording, BINDING, "previews-hosts-binding").urn in before


def test_previews_run_images_of_the_environment_and_what_pull_requests_built(recordings: Recordings) -> None:
    """Their namespaces do not exist yet, so it is their names that bind the policy."""
    own = one(recordings["dev"], ADMISSION, "images").inputs["spec"]
    previews = one(recordings["dev"], ADMISSION, "previews-images").inputs["spec"]
    assert previews["validations"][0] == own["validations"][0]
    assert "ghcr.io/acme/previews/" in previews["validations"][1]["expression"]
    assert "ghcr.io/acme/previews/" not in own["validations"][1]["expression"]
    assert previews["variables"] == own["variables"]
    assert previews["matchConstraints"]["namespaceSelector"] == {}
    (condition,) = previews["matchConditions"]
    assert condition["expression"] == "request.namespace.matches('^pr-[1-9][0-9]*$')"


def test_an_environment_answers_at_its_own_hosts_only(recording: Recording, chosen: StackSettings) -> None:
    spec = one(recording, ADMISSION, "hosts").inputs["spec"]
    (expression,) = spec["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == sorted(chosen.namespace(key) for key in chosen.namespaces)
    assert spec["variables"][0] == {"name": "domain", "expression": f"'{chosen.hosts.domain}'"}
    kinds = {resource for rule in spec["matchConstraints"]["resourceRules"] for resource in rule["resources"]}
    assert kinds == {"ingresses", "httproutes"}
    assert recording.outputs["domain"] == chosen.hosts.domain


def test_a_preview_answers_at_no_other_previews_hosts(recordings: Recordings) -> None:
    spec = one(recordings["dev"], ADMISSION, "previews-hosts").inputs["spec"]
    assert spec["variables"][0]["expression"] == "request.namespace + '.acme-previews.dev'"
    (condition,) = spec["matchConditions"]
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
