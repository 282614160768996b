"""What the components declare in every stack and in the cluster, from recordings of the real program."""

import json
import re

from ladder.contract import StackSettings
from ladder.recording import Recording
from sandbox.localized import localized
from tests.conftest import (
    ADMISSION,
    ALIAS,
    BINDING,
    BUCKET,
    KEY,
    LIMITS,
    NAMESPACE,
    NETWORK_POLICY,
    QUOTA,
    ROLE,
    ROLE_POLICY,
    Recordings,
    kubernetes_objects,
    labels,
    made,
    one,
)

# every resource


def test_no_default_provider_is_used(recording: Recording) -> None:
    explicit = {f"{resource.urn}::{resource.id}": resource.type for resource in recording.resources}
    for resource in made(recording):
        package = resource.type.partition(":")[0]
        assert resource.provider, resource.urn
        assert explicit[resource.provider] == f"pulumi:providers:{package}", resource.urn


def test_providers_are_bound_to_the_contracts_account_and_cluster(recording: Recording, chosen: StackSettings) -> None:
    aws = one(recording, "pulumi:providers:aws", "aws")
    cluster = one(recording, "pulumi:providers:kubernetes", "cluster")
    assert json.loads(aws.inputs["allowedAccountIds"]) == [chosen.cloud.account]
    assert aws.inputs["region"] == chosen.cloud.region
    (assumed,) = json.loads(aws.inputs["assumeRoles"])
    assert assumed["roleArn"] == chosen.cloud.deployer_role
    assert cluster.inputs["context"] == chosen.cluster.context
    assert cluster.inputs["clusterIdentifier"] == chosen.cluster.identifier
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


def test_every_aws_resource_is_tagged_where_it_can_be(recording: Recording, chosen: StackSettings) -> None:
    taggable = {BUCKET, KEY, ROLE}
    untaggable = {ALIAS, ROLE_POLICY}
    for resource in made(recording):
        if resource.type in taggable:
            assert chosen.tags().items() <= resource.inputs["tags"].items(), resource.urn
        elif resource.type.startswith("aws:"):
            assert resource.type in untaggable or resource.type.startswith("aws:s3/bucket"), resource.urn


def test_every_kubernetes_object_is_labelled(recording: Recording, chosen: StackSettings) -> None:
    for resource in kubernetes_objects(recording):
        assert chosen.labels().items() <= labels(resource).items(), resource.urn


def test_cluster_wide_names_carry_the_environment(recording: Recording, chosen: StackSettings) -> None:
    for resource in kubernetes_objects(recording):
        metadata = resource.inputs["metadata"]
        if metadata.get("namespace") not in {chosen.namespace("services"), chosen.namespace("data")}:
            assert chosen.environment.name in metadata["name"].split("-"), resource.urn


def test_logical_names_do_not_carry_the_environment(recordings: Recordings) -> None:
    """A logical name is state: it is the same in every stack."""

    def urns(recording: Recording) -> set[str]:
        return {
            resource.urn.split("::", 2)[2] for resource in recording.resources if resource.type != "pulumi:pulumi:Stack"
        }

    common = {urn for urn in urns(recordings["dev"]) if "Previews" not in urn}
    assert common == urns(recordings["staging"]) == urns(recordings["prod"])


def test_outputs_name_what_people_need(recording: Recording, chosen: StackSettings) -> None:
    outputs = recording.outputs
    assert outputs["namespaces"] == {key: chosen.namespace(key) for key in chosen.namespaces}
    assert outputs["buckets"] == {key: bucket.name for key, bucket in chosen.buckets.items()}
    assert set(outputs["roles"]) == set(chosen.services)
    assert set(outputs["keys"]) == set(chosen.keys)
    assert outputs["previews"]["enabled"] is chosen.previews.enabled


def test_a_stand_in_takes_every_aws_endpoint(recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    url = "http://127.0.0.1:4566"
    local = localized(ladder["dev"], aws_endpoint=url, cluster_uid="a-uid")
    recording = recordings.altered("dev", **local.model_dump(mode="json", by_alias=True))
    inputs = one(recording, "pulumi:providers:aws", "aws").inputs
    services = {resource.type.split(":")[1].split("/")[0] for resource in made(recording) if "aws:" in resource.type}
    (endpoints,) = json.loads(inputs["endpoints"])
    assert endpoints == dict.fromkeys(services | {"sts"}, url)
    assert "assumeRoles" not in inputs


# namespaces


def test_every_namespace_denies_network_traffic_by_default(recording: Recording, chosen: StackSettings) -> None:
    for key in chosen.namespaces:
        deny = one(recording, NETWORK_POLICY, f"{key}-default-deny").inputs
        assert deny["metadata"]["namespace"] == chosen.namespace(key)
        assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_every_namespace_may_ask_dns_and_nothing_else(recording: Recording, chosen: StackSettings) -> None:
    for key in chosen.namespaces:
        spec = one(recording, NETWORK_POLICY, f"{key}-allow-dns").inputs["spec"]
        (rule,) = spec["egress"]
        (peer,) = rule["to"]
        assert spec["policyTypes"] == ["Egress"]
        assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kube-system"}
        assert peer["podSelector"]["matchLabels"] == {"k8s-app": "kube-dns"}
        assert [(port["port"], port["protocol"]) for port in rule["ports"]] == [(53, "UDP"), (53, "TCP")]
    own = {chosen.namespace(key) for key in chosen.namespaces}
    policies = [each for each in recording.of_type(NETWORK_POLICY) if each.inputs["metadata"]["namespace"] in own]
    assert len(policies) == 2 * len(own)


def test_every_namespace_enforces_restricted_pods(recording: Recording) -> None:
    for namespace in recording.of_type(NAMESPACE):
        for mode in ("enforce", "audit", "warn"):
            assert labels(namespace)[f"pod-security.kubernetes.io/{mode}"] == "restricted"
            assert re.fullmatch(r"v1\.\d+", labels(namespace)[f"pod-security.kubernetes.io/{mode}-version"])


def test_quota_counts_what_the_contract_says(recording: Recording, chosen: StackSettings) -> None:
    for key, namespace in chosen.namespaces.items():
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


def test_containers_get_the_contracts_defaults_and_limit(recording: Recording, chosen: StackSettings) -> None:
    for key, namespace in chosen.namespaces.items():
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


def test_admission_is_bound_to_the_environments_namespaces_by_name(recording: Recording, chosen: StackSettings) -> None:
    policy, binding = one(recording, ADMISSION, "images").inputs, one(recording, BINDING, "images-binding").inputs
    names = sorted(chosen.namespace(key) for key in chosen.namespaces)
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


def test_admission_asks_for_a_digest_and_an_allowed_registry(recording: Recording, chosen: StackSettings) -> None:
    digest, registry = one(recording, ADMISSION, "images").inputs["spec"]["validations"]
    pattern = re.search(r"matches\('(.*)'\)", digest["expression"])
    assert pattern
    assert re.search(pattern[1], f"ghcr.io/acme/shop/web@sha256:{'0a' * 32}")
    assert not re.search(pattern[1], "ghcr.io/acme/shop/web:1.0")
    assert not re.search(pattern[1], f"ghcr.io/acme/shop/web@sha256:{'0a' * 32}:latest")
    allowed = re.findall(r"i\.startsWith\('([^']+)'\)", registry["expression"])
    assert allowed == sorted(f"{prefix}/" for prefix in chosen.images.registries.values())


def test_admission_does_not_take_a_longer_registry_name_for_an_allowed_one(recordings: Recordings) -> None:
    recording = recordings.altered("staging", images={"registries": {"only": "ghcr.io/acme"}})
    _, registry = one(recording, ADMISSION, "images").inputs["spec"]["validations"]
    (prefix,) = re.findall(r"i\.startsWith\('([^']+)'\)", registry["expression"])
    assert not "ghcr.io/acme-evil/web".startswith(prefix)
