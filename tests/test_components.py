"""What the components declare, from recordings of the real program. A test's name is its claim."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ladder.contract import StackSettings
from ladder.recording import Recording, Resource
from tests.conftest import Recordings

NAMESPACE = "kubernetes:core/v1:Namespace"
QUOTA = "kubernetes:core/v1:ResourceQuota"
LIMITS = "kubernetes:core/v1:LimitRange"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
ADMISSION = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy"
BINDING = "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding"
PROJECT = "kubernetes:argoproj.io/v1alpha1:AppProject"
APPLICATION_SET = "kubernetes:argoproj.io/v1alpha1:ApplicationSet"
KEY = "aws:kms/key:Key"
ALIAS = "aws:kms/alias:Alias"
BUCKET = "aws:s3/bucket:Bucket"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")
STACKS = ("dev", "staging", "prod")


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def recording(stack: str, recordings: Recordings) -> Recording:
    return recordings[stack]


@pytest.fixture
def settings(stack: str, ladder: dict[str, StackSettings]) -> StackSettings:
    return ladder[stack]


def one(recording: Recording, type_: str, name: str) -> Resource:
    (found,) = [resource for resource in recording.of_type(type_) if resource.name == name]
    return found


def made(recording: Recording) -> Iterator[Resource]:
    """What a provider makes."""
    return (resource for resource in recording.resources if resource.custom and not resource.is_provider)


def kubernetes_objects(recording: Recording) -> list[Resource]:
    return [resource for resource in made(recording) if resource.type.startswith("kubernetes:")]


def labels(resource: Resource) -> dict[str, str]:
    return resource.inputs["metadata"]["labels"]


def document(resource: Resource, key: str = "policy") -> list[dict[str, Any]]:
    return json.loads(resource.inputs[key])["Statement"]


def needs(recording: Recording, resource: Resource) -> set[str]:
    """The URNs of everything the engine creates before the resource, and deletes after it."""
    known = recording.by_urn()
    reached: set[str] = set()
    waiting = [resource.urn]
    while waiting:
        current = known[waiting.pop()]
        direct = {*current.dependencies, *(urn for urns in current.property_dependencies.values() for urn in urns)}
        waiting += direct - reached
        reached |= direct
    return reached


# every resource


def test_no_default_provider_is_used(recording: Recording) -> None:
    explicit = {f"{resource.urn}::{resource.id}": resource.type for resource in recording.resources}
    for resource in made(recording):
        package = resource.type.partition(":")[0]
        assert resource.provider, resource.urn
        assert explicit[resource.provider] == f"pulumi:providers:{package}", resource.urn


def test_providers_are_bound_to_the_contracts_account_and_cluster(
    recording: Recording, settings: StackSettings
) -> None:
    aws = one(recording, "pulumi:providers:aws", "aws")
    cluster = one(recording, "pulumi:providers:kubernetes", "cluster")
    assert json.loads(aws.inputs["allowedAccountIds"]) == [settings.cloud.account]
    assert aws.inputs["region"] == settings.cloud.region
    (assumed,) = json.loads(aws.inputs["assumeRoles"])
    assert assumed["roleArn"] == settings.cloud.deployer_role
    assert cluster.inputs["context"] == settings.cluster.context
    assert cluster.inputs["clusterIdentifier"] == settings.cluster.identifier
    assert "kubeconfig" not in cluster.inputs


def test_no_autonaming(recording: Recording) -> None:
    """Every physical name is written down, so that nothing is made twice and policies can name it."""
    for resource in made(recording):
        match resource.type.split(":")[0], resource.type:
            case "kubernetes", _:
                name = resource.inputs["metadata"]["name"]
            case _, kind if kind.startswith("aws:s3/"):
                name = resource.inputs["bucket"]
            case _, kind if kind == KEY:
                (alias,) = [a for a in recording.of_type(ALIAS) if a.inputs["targetKeyId"] == resource.outputs["keyId"]]
                name = alias.inputs["name"]
            case _:
                name = resource.inputs["name"]
        assert name
        assert not re.search(r"-[0-9a-f]{7}$", name), resource.urn


def test_every_aws_resource_is_tagged_where_it_can_be(recording: Recording, settings: StackSettings) -> None:
    taggable = {BUCKET, KEY, ROLE}
    untaggable = {ALIAS, ROLE_POLICY}
    for resource in made(recording):
        if resource.type in taggable:
            assert settings.tags().items() <= resource.inputs["tags"].items(), resource.urn
        elif resource.type.startswith("aws:"):
            assert resource.type in untaggable or resource.type.startswith("aws:s3/bucket"), resource.urn


def test_every_kubernetes_object_is_labelled(recording: Recording, settings: StackSettings) -> None:
    for resource in kubernetes_objects(recording):
        assert settings.labels().items() <= labels(resource).items(), resource.urn


def test_cluster_wide_names_carry_the_environment(recording: Recording, settings: StackSettings) -> None:
    for resource in kubernetes_objects(recording):
        metadata = resource.inputs["metadata"]
        if metadata.get("namespace") not in {settings.namespace("services"), settings.namespace("data")}:
            assert settings.environment.name in metadata["name"].split("-"), resource.urn


def test_logical_names_do_not_carry_the_environment(recordings: Recordings) -> None:
    """A logical name is state: it is the same in every stack."""

    def urns(recording: Recording) -> set[str]:
        return {
            resource.urn.split("::", 2)[2] for resource in recording.resources if resource.type != "pulumi:pulumi:Stack"
        }

    common = {urn for urn in urns(recordings["dev"]) if "Previews" not in urn}
    assert common == urns(recordings["staging"]) == urns(recordings["prod"])


def test_outputs_name_what_people_need(recording: Recording, settings: StackSettings) -> None:
    outputs = recording.outputs
    assert outputs["namespaces"] == {key: settings.namespace(key) for key in settings.namespaces}
    assert outputs["buckets"] == {key: bucket.name for key, bucket in settings.buckets.items()}
    assert set(outputs["roles"]) == set(settings.services)
    assert set(outputs["keys"]) == set(settings.keys)
    assert outputs["previews"]["enabled"] is settings.previews.enabled


def test_a_stand_in_takes_every_aws_endpoint(recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    cloud = ladder["dev"].cloud.model_dump(mode="json", by_alias=True)
    url = "http://127.0.0.1:4566"
    recording = recordings.altered("dev", cloud={**cloud, "standIn": url, "deployerRole": None})
    inputs = one(recording, "pulumi:providers:aws", "aws").inputs
    services = {resource.type.split(":")[1].split("/")[0] for resource in made(recording) if "aws:" in resource.type}
    (endpoints,) = json.loads(inputs["endpoints"])
    assert endpoints == dict.fromkeys(services | {"sts"}, url)
    assert "assumeRoles" not in inputs


# namespaces


def test_every_namespace_denies_network_traffic_by_default(recording: Recording, settings: StackSettings) -> None:
    for key in settings.namespaces:
        deny = one(recording, NETWORK_POLICY, f"{key}-default-deny").inputs
        assert deny["metadata"]["namespace"] == settings.namespace(key)
        assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_every_namespace_may_ask_dns_and_nothing_else(recording: Recording, settings: StackSettings) -> None:
    for key in settings.namespaces:
        spec = one(recording, NETWORK_POLICY, f"{key}-allow-dns").inputs["spec"]
        (rule,) = spec["egress"]
        (peer,) = rule["to"]
        assert spec["policyTypes"] == ["Egress"]
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kube-system"}
        assert peer["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}
        assert [(port["port"], port["protocol"]) for port in rule["ports"]] == [(53, "UDP"), (53, "TCP")]
    assert len(recording.of_type(NETWORK_POLICY)) == 2 * len(settings.namespaces)


def test_every_namespace_enforces_restricted_pods(recording: Recording) -> None:
    for namespace in recording.of_type(NAMESPACE):
        for mode in ("enforce", "audit", "warn"):
            assert labels(namespace)[f"pod-security.kubernetes.io/{mode}"] == "restricted"
            assert re.fullmatch(r"v1\.\d+", labels(namespace)[f"pod-security.kubernetes.io/{mode}-version"])


def test_quota_counts_what_the_contract_says(recording: Recording, settings: StackSettings) -> None:
    for key, namespace in settings.namespaces.items():
        quota = namespace.quota
        assert one(recording, QUOTA, f"{key}-quota").inputs["spec"] == {
            "hard": {
                "requests.cpu": quota.requests.cpu,
                "requests.memory": quota.requests.memory,
                "limits.cpu": quota.limits.cpu,
                "limits.memory": quota.limits.memory,
                "pods": str(quota.pods),
                "persistentvolumeclaims": str(quota.persistent_volume_claims),
                "requests.storage": quota.storage,
                "services.loadbalancers": "0",
                "services.nodeports": "0",
            }
        }


def test_containers_get_the_contracts_defaults_and_limit(recording: Recording, settings: StackSettings) -> None:
    for key, namespace in settings.namespaces.items():
        (item,) = one(recording, LIMITS, f"{key}-limits").inputs["spec"]["limits"]
        wanted = namespace.containers.model_dump(by_alias=True)
        assert item == {
            "type": "Container",
            "defaultRequest": wanted["request"],
            "default": wanted["limit"],
            "max": wanted["max"],
        }


# image admission


def test_admission_fails_closed_and_denies(recording: Recording) -> None:
    assert one(recording, ADMISSION, "images").inputs["spec"]["failurePolicy"] == "Fail"
    assert one(recording, BINDING, "images-binding").inputs["spec"]["validationActions"] == ["Deny"]


def test_admission_is_bound_to_the_environments_namespaces_by_name(
    recording: Recording, settings: StackSettings
) -> None:
    policy, binding = one(recording, ADMISSION, "images").inputs, one(recording, BINDING, "images-binding").inputs
    names = sorted(settings.namespace(key) for key in settings.namespaces)
    selector = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": names}]}
    assert policy["spec"]["matchConstraints"]["namespaceSelector"] == selector
    assert binding["spec"]["matchResources"]["namespaceSelector"] == selector
    assert binding["spec"]["policyName"] == policy["metadata"]["name"]


def test_admission_covers_pods_and_their_ephemeral_containers(recording: Recording) -> None:
    (rule,) = one(recording, ADMISSION, "images").inputs["spec"]["matchConstraints"]["resourceRules"]
    assert set(rule["resources"]) == {"pods", "pods/ephemeralcontainers"}
    assert set(rule["operations"]) == {"CREATE", "UPDATE"}


def test_admission_expression_collects_every_kind_of_container(recording: Recording) -> None:
    (images,) = one(recording, ADMISSION, "images").inputs["spec"]["variables"]
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        assert (
            f"has(object.spec.{kind}) ? object.spec.{kind}.map(c, has(c.image) ? c.image : '')" in images["expression"]
        )
    assert "object.spec.volumes.filter(v, has(v.image))" in images["expression"]
    assert images["expression"].count("(") == images["expression"].count(")")


def test_admission_asks_for_a_digest_and_an_allowed_registry(recording: Recording, settings: StackSettings) -> None:
    digest, registry = one(recording, ADMISSION, "images").inputs["spec"]["validations"]
    pattern = re.search(r"matches\('(.*)'\)", digest["expression"])
    assert pattern
    assert re.search(pattern[1], f"ghcr.io/acme/shop/web@sha256:{'0a' * 32}")
    assert not re.search(pattern[1], "ghcr.io/acme/shop/web:1.0")
    assert not re.search(pattern[1], f"ghcr.io/acme/shop/web@sha256:{'0a' * 32}:latest")
    allowed = re.findall(r"i\.startsWith\('([^']+)'\)", registry["expression"])
    assert allowed == sorted(f"{prefix}/" for prefix in settings.images.registries.values())


def test_admission_does_not_take_a_longer_registry_name_for_an_allowed_one(recordings: Recordings) -> None:
    recording = recordings.altered("dev", images={"registries": {"only": "ghcr.io/acme"}})
    _, registry = one(recording, ADMISSION, "images").inputs["spec"]["validations"]
    (prefix,) = re.findall(r"i\.startsWith\('([^']+)'\)", registry["expression"])
    assert not "ghcr.io/acme-evil/web".startswith(prefix)


# identity, keys, buckets, secrets


def test_only_its_own_service_account_assumes_a_role(recording: Recording, settings: StackSettings) -> None:
    for name in (*settings.services, "secret-reader"):
        (statement,) = document(one(recording, ROLE, name), "assumeRolePolicy")
        issuer = settings.cluster.oidc_issuer
        assert statement["Principal"] == {"Federated": f"arn:aws:iam::{settings.cloud.account}:oidc-provider/{issuer}"}
        assert statement["Condition"]["StringEquals"] == {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": f"system:serviceaccount:{settings.namespace('services')}:{name}",
        }


def test_a_service_touches_the_buckets_the_contract_gives_it_and_no_other(
    recording: Recording, settings: StackSettings
) -> None:
    for name, service in settings.services.items():
        policy = document(one(recording, ROLE_POLICY, name))
        listed = {arn for statement in policy if statement["Sid"] == "ListBuckets" for arn in statement["Resource"]}
        assert listed == {f"arn:aws:s3:::{settings.buckets[bucket].name}" for bucket in service.buckets}


def test_a_service_without_buckets_has_a_role_without_rights(recordings: Recordings, ladder: Any) -> None:
    recording = recordings.altered("dev", services={"web": {"buckets": {}}})
    assert not [resource for resource in recording.of_type(ROLE_POLICY) if resource.name == "web"]
    assert one(recording, ROLE, "web")


def test_a_key_is_used_by_the_roles_that_need_it_and_no_other(recording: Recording, settings: StackSettings) -> None:
    for key in settings.keys:
        users = {
            arn
            for statement in document(one(recording, KEY, key))
            if statement["Sid"] == "AllowUseThroughServices"
            for arn in statement["Principal"]["AWS"]
        }
        expected = {
            name
            for name, service in settings.services.items()
            if any(settings.buckets[bucket].key == key for bucket in service.buckets)
        }
        expected |= {"secret-reader"} if settings.secrets.key == key else set()
        assert users == {one(recording, ROLE, name).outputs["arn"] for name in expected}


def test_keys_rotate(recording: Recording) -> None:
    assert all(key.inputs["enableKeyRotation"] is True for key in recording.of_type(KEY))


def test_objects_expire_as_the_contract_says(recording: Recording, settings: StackSettings) -> None:
    for key, bucket in settings.buckets.items():
        rules = one(recording, "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", key).inputs["rules"]
        current = [rule["expiration"]["days"] for rule in rules if "expiration" in rule]
        assert current == ([] if bucket.expire_days is None else [bucket.expire_days])
        (replaced,) = [rule for rule in rules if "noncurrentVersionExpiration" in rule]
        assert replaced["noncurrentVersionExpiration"]["noncurrentDays"] == settings.data.noncurrent_days


def test_evidence_bucket_is_locked(recording: Recording, settings: StackSettings) -> None:
    (lock,) = recording.of_type("aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration")
    wanted: Any = settings.buckets["evidence"].object_lock
    assert lock.name == "evidence"
    assert one(recording, BUCKET, "evidence").inputs["objectLockEnabled"] is True
    assert lock.inputs["rule"]["defaultRetention"] == {"mode": wanted.mode.upper(), "days": wanted.days}


def test_no_bucket_can_be_emptied_by_a_destroy(recording: Recording) -> None:
    assert all(bucket.inputs["forceDestroy"] is False for bucket in recording.of_type(BUCKET))


def test_secret_store_reads_one_prefix_as_one_account(recording: Recording, settings: StackSettings) -> None:
    store = one(recording, "kubernetes:external-secrets.io/v1:SecretStore", "secrets").inputs
    account = one(recording, "kubernetes:core/v1:ServiceAccount", "secrets").inputs
    aws = store["spec"]["provider"]["aws"]
    assert aws["auth"] == {"jwt": {"serviceAccountRef": {"name": account["metadata"]["name"]}}}
    assert account["metadata"]["namespace"] == store["metadata"]["namespace"] == settings.namespace("services")
    role = one(recording, ROLE, "secret-reader").outputs["arn"]
    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == role
    (read,) = [s for s in document(one(recording, ROLE_POLICY, "secrets")) if s["Sid"] == "ReadSecrets"]
    (arn,) = read["Resource"]
    assert arn.endswith(f"{settings.cloud.account}:secret:{settings.secrets.prefix}/*")


# durability


def test_prod_bucket_survives_destroy(recordings: Recordings) -> None:
    for resource in recordings["prod"].resources:
        if resource.type.startswith("aws:s3/"):
            assert resource.protect, resource.urn
            assert resource.retain_on_delete, resource.urn


def test_prod_keys_and_namespaces_survive_destroy(recordings: Recordings) -> None:
    for resource in recordings["prod"].of_type(
        KEY, ALIAS, NAMESPACE, QUOTA, LIMITS, NETWORK_POLICY, ADMISSION, BINDING
    ):
        assert resource.protect, resource.urn
        assert resource.retain_on_delete, resource.urn


@pytest.mark.parametrize("stack", ["dev", "staging"], indirect=True)
def test_nothing_without_real_data_resists_destroy(recording: Recording) -> None:
    assert not [resource.urn for resource in recording.resources if resource.protect or resource.retain_on_delete]


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
    recording: Recording, settings: StackSettings
) -> None:
    spec = project(recording)
    assert spec["sourceRepos"] == sorted([settings.delivery.repository, settings.delivery.chart])
    assert {d["namespace"] for d in spec["destinations"]} == {settings.namespace(key) for key in settings.namespaces}
    assert {d["server"] for d in spec["destinations"]} == {"https://kubernetes.default.svc"}


def test_app_project_delivers_nothing_that_guards_the_environment(recording: Recording) -> None:
    spec = project(recording)
    assert spec["clusterResourceWhitelist"] == []
    kinds = {item["kind"] for item in spec["namespaceResourceWhitelist"]}
    assert not kinds & {"Namespace", "ResourceQuota", "LimitRange", "Role", "RoleBinding", "Secret", "Pod"}


def test_delivery_may_do_what_its_project_allows_and_no_more(recording: Recording, settings: StackSettings) -> None:
    groups = {item["group"] for item in project(recording)["namespaceResourceWhitelist"]}
    for key in settings.namespaces:
        rules = one(recording, "kubernetes:rbac.authorization.k8s.io/v1:Role", f"delivery-{key}").inputs["rules"]
        assert {group for rule in rules for group in rule["apiGroups"]} == groups
        granted = sum(len(rule["resources"]) for rule in rules)
        assert granted == len(project(recording)["namespaceResourceWhitelist"])
        assert not [text for text in strings(rules) if "*" in text or text in {"secrets", "roles", "escalate", "bind"}]


def test_sync_acts_as_the_namespaces_own_account(recording: Recording, settings: StackSettings) -> None:
    spec = project(recording)
    accounts = {item["namespace"]: item["defaultServiceAccount"] for item in spec["destinationServiceAccounts"]}
    for key in settings.namespaces:
        namespace = settings.namespace(key)
        account = one(recording, "kubernetes:core/v1:ServiceAccount", f"delivery-{key}").inputs
        binding = one(recording, "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", f"delivery-{key}").inputs
        assert account["metadata"]["name"] == accounts[namespace]
        assert account["metadata"]["namespace"] == namespace
        (subject,) = binding["subjects"]
        assert subject == {"kind": "ServiceAccount", "name": accounts[namespace], "namespace": namespace}


def test_the_trusted_half_of_the_matrix_comes_first(recording: Recording, settings: StackSettings) -> None:
    (generator,) = application_set(recording)["generators"]
    first, second = generator["matrix"]["generators"]
    assert first["list"]["elements"] == [
        {"environment": settings.environment.name, "namespace": settings.namespace("services")}
    ]
    assert second["git"]["files"] == [{"path": "gitops/envs/{{.environment}}/*/version.yaml"}]


def test_a_missing_template_key_is_an_error(recording: Recording) -> None:
    for resource in recording.of_type(APPLICATION_SET):
        assert resource.inputs["spec"]["goTemplateOptions"] == ["missingkey=error"]


def test_the_chart_is_delivered_by_digest_and_values_from_the_branch(
    recording: Recording, settings: StackSettings
) -> None:
    chart, values = application_set(recording)["template"]["spec"]["sources"]
    assert (chart["repoURL"], chart["targetRevision"]) == (settings.delivery.chart, "{{.chart.digest}}")
    assert (values["repoURL"], values["targetRevision"]) == (settings.delivery.repository, settings.delivery.branch)
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


def test_every_namespaced_object_waits_for_its_namespace(recording: Recording, settings: StackSettings) -> None:
    own = {settings.namespace(key): one(recording, NAMESPACE, key).urn for key in settings.namespaces}
    for resource in kubernetes_objects(recording):
        namespace = resource.inputs["metadata"].get("namespace")
        if namespace in own:
            assert own[namespace] in needs(recording, resource), resource.urn


def test_nothing_is_delivered_before_what_guards_it(recording: Recording) -> None:
    """Nor, on the way down, is any of it gone before the last workload is."""
    before = needs(recording, one(recording, APPLICATION_SET, "delivery"))
    guards = [NAMESPACE, QUOTA, LIMITS, NETWORK_POLICY, ADMISSION, BINDING]
    assert {resource.urn for resource in recording.of_type(*guards)} <= before


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
