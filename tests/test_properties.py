"""What holds for any settings the contract accepts, and for the three real stacks."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from ladder.contract import StackSettings
from ladder.contract.types import arn_account
from ladder.recorder import record
from ladder.recording import Recording, Resource
from ladder.recording_formats import as_deployment
from tests.conftest import ROOT, Recordings
from tests.strategies import stack_settings

pytestmark = pytest.mark.exhaustive

Claim = Callable[[StackSettings, Recording], Iterator[str]]

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
ALIAS_NAME = re.compile(r"alias/(?!aws/)[A-Za-z0-9/_-]{1,250}")
KEPT = (
    "aws:kms/key:Key",
    "aws:kms/alias:Alias",
    "kubernetes:core/v1:Namespace",
    "kubernetes:core/v1:ResourceQuota",
    "kubernetes:core/v1:LimitRange",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicy",
    "kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding",
)


def names_are_unique_and_legal(chosen: StackSettings, recording: Recording) -> Iterator[str]:
    seen: set[tuple[str, str]] = set()
    for resource in recording.resources:
        if not resource.custom:
            continue
        if (resource.type, resource.id) in seen:
            yield f"{resource.urn}: {resource.id} twice"
        seen.add((resource.type, resource.id))
        for name, rule in _names(resource):
            if not rule.fullmatch(name):
                yield f"{resource.urn}: {name}"


def _names(resource: Resource) -> Iterator[tuple[str, re.Pattern[str]]]:
    inputs: Any = resource.inputs
    if resource.type.startswith("kubernetes:"):
        single = resource.type.endswith((":Namespace", ":ServiceAccount"))
        yield inputs["metadata"]["name"], LABEL if single else SUBDOMAIN
        if "namespace" in inputs["metadata"]:
            yield inputs["metadata"]["namespace"], LABEL
        for value in inputs["metadata"]["labels"].values():
            yield value, re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
    elif resource.type == "aws:iam/role:Role":
        yield inputs["name"], ROLE_NAME
    elif resource.type.startswith("aws:s3/"):
        yield inputs["bucket"], BUCKET_NAME
    elif resource.type == "aws:kms/alias:Alias":
        yield inputs["name"], ALIAS_NAME


def every_namespace_has_its_guardrails(chosen: StackSettings, recording: Recording) -> Iterator[str]:
    wanted = {
        ("kubernetes:core/v1:ResourceQuota", "quota"),
        ("kubernetes:core/v1:LimitRange", "limits"),
        ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "default-deny"),
        ("kubernetes:networking.k8s.io/v1:NetworkPolicy", "allow-dns"),
    }
    bindings = recording.of_type("kubernetes:admissionregistration.k8s.io/v1:ValidatingAdmissionPolicyBinding")
    bound = {
        (namespace, binding.name)
        for binding in bindings
        for selector in binding.inputs["spec"]["matchResources"]["namespaceSelector"].get("matchExpressions", [])
        for namespace in selector["values"]
    }
    namespaces = recording.of_type("kubernetes:core/v1:Namespace")
    if {n.id for n in namespaces} != {chosen.namespace(key) for key in chosen.namespaces}:
        yield "not the contract's namespaces"
    for namespace in namespaces:
        inside = {
            (resource.type, resource.inputs["metadata"]["name"])
            for resource in recording.resources
            if resource.inputs.get("metadata", {}).get("namespace") == namespace.id
        }
        yield from (f"{namespace.id} lacks {missing}" for missing in wanted - inside)
        if namespace.inputs["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{namespace.id} does not enforce restricted pods"
        for policy in ("images-binding", "rails-identities-binding", "rails-guards-binding"):
            if (namespace.id, policy) not in bound:
                yield f"{namespace.id} is not bound by {policy}"


def no_bucket_is_public_or_unencrypted(chosen: StackSettings, recording: Recording) -> Iterator[str]:
    arns = {key.name: key.outputs["arn"] for key in recording.of_type("aws:kms/key:Key")}
    parts: dict[tuple[str, str], Any] = {
        (resource.type.rpartition(":")[2], resource.inputs["bucket"]): resource.inputs
        for resource in recording.resources
        if resource.type.startswith("aws:s3/")
    }
    for bucket in chosen.buckets.values():
        name = bucket.name
        found: dict[str, Any] = {kind: inputs for (kind, of), inputs in parts.items() if of == name}
        block = found["BucketPublicAccessBlock"]
        flags = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
        yield from (f"{name}: {flag} is off" for flag in flags if block[flag] is not True)
        if found["BucketOwnershipControls"]["rule"]["objectOwnership"] != "BucketOwnerEnforced":
            yield f"{name} has access control lists"
        (rule,) = found["BucketServerSideEncryptionConfiguration"]["rules"]
        if rule["applyServerSideEncryptionByDefault"] != {
            "sseAlgorithm": "aws:kms",
            "kmsMasterKeyId": arns[bucket.key],
        }:
            yield f"{name} is not encrypted with its key"
        if found["BucketVersioning"]["versioningConfiguration"]["status"] != "Enabled":
            yield f"{name} has no versions"
        sids = {statement["Sid"] for statement in json.loads(found["BucketPolicy"]["policy"])["Statement"]}
        yield from (f"{name} lacks {sid}" for sid in {"DenyPlainHttp", "DenyOtherAccounts", "DenyOtherKeys"} - sids)


def _statements(recording: Recording) -> Iterator[tuple[Resource, dict[str, Any]]]:
    for resource in recording.resources:
        for key in ("policy", "assumeRolePolicy"):
            if key in resource.inputs:
                yield from ((resource, statement) for statement in json.loads(resource.inputs[key])["Statement"])


def no_other_environments_principal_is_named(chosen: StackSettings, recording: Recording) -> Iterator[str]:
    replication = set(chosen.cloud.replication_roles.values())
    for resource, statement in _statements(recording):
        principal = statement.get("Principal", {})
        if principal == "*":
            if statement["Effect"] != "Deny":
                yield f"{resource.urn}: {statement['Sid']} allows everyone"
            continue
        for arn in [*_list(principal.get("AWS", [])), *_list(principal.get("Federated", []))]:
            if arn not in replication and (arn_account(arn) != chosen.cloud.account or "*" in arn):
                yield f"{resource.urn}: {statement['Sid']} names {arn}"
        for service in _list(principal.get("Service", [])):
            source = statement["Condition"]["StringEquals"]["aws:SourceAccount"]
            if service != "delivery.logs.amazonaws.com" or source != chosen.cloud.account:
                yield f"{resource.urn}: {statement['Sid']} lets in {service} for {source}"


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def no_policy_is_empty_or_too_large(chosen: StackSettings, recording: Recording) -> Iterator[str]:
    """Limits of IAM: role policies 10240 characters together, trust 2048; KMS 32768 bytes, S3 20480."""
    limits = {"RolePolicy": 10240, "Role": 2048, "Key": 32768, "BucketPolicy": 20480}
    for resource in recording.resources:
        text = resource.inputs.get("policy") or resource.inputs.get("assumeRolePolicy")
        if text and len(text) > limits[resource.type.rpartition(":")[2]]:
            yield f"{resource.urn}: {len(text)} characters"
    for resource, statement in _statements(recording):
        for key in ("Action", "Resource"):
            if key in statement and not statement[key]:
                yield f"{resource.urn}: {statement['Sid']} has no {key}"
        for operator, keys in statement.get("Condition", {}).items():
            yield from (f"{resource.urn}: {operator} {key} compares with nothing" for key in keys if not keys[key])


def real_data_is_protected_and_retained(chosen: StackSettings, recording: Recording) -> Iterator[str]:
    for resource in recording.resources:
        if resource.type in KEPT or resource.type.startswith("aws:s3/"):
            kept = resource.protect and resource.retain_on_delete
            if kept is not chosen.holds_real_data:
                yield f"{resource.urn}: {'not kept' if chosen.holds_real_data else 'kept'}"


def every_provider_is_explicit(chosen: StackSettings, recording: Recording) -> Iterator[str]:
    providers = {f"{resource.urn}::{resource.id}" for resource in recording.resources if resource.is_provider}
    for resource in recording.resources:
        if resource.custom and not resource.is_provider and resource.provider not in providers:
            yield resource.urn


def the_top_is_never_synced_by_itself(chosen: StackSettings, recording: Recording) -> Iterator[str]:
    for resource in recording.of_type("kubernetes:argoproj.io/v1alpha1:ApplicationSet"):
        policy = resource.inputs["spec"]["template"]["spec"]["syncPolicy"]
        if resource.name == "delivery" and ("automated" in policy) is not chosen.delivery.sync.automated:
            yield resource.urn


def a_deployment_can_be_read(chosen: StackSettings, recording: Recording) -> Iterator[str]:
    known: set[str] = set()
    for resource in as_deployment(recording)["deployment"]["resources"]:
        if not set(resource.get("dependencies", [])) <= known:
            yield resource["urn"]
        known.add(resource["urn"])


CLAIMS: tuple[Claim, ...] = (
    names_are_unique_and_legal,
    every_namespace_has_its_guardrails,
    no_bucket_is_public_or_unencrypted,
    no_other_environments_principal_is_named,
    no_policy_is_empty_or_too_large,
    real_data_is_protected_and_retained,
    every_provider_is_explicit,
    the_top_is_never_synced_by_itself,
    a_deployment_can_be_read,
)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_holds_for_the_real_stacks(claim: Claim, ladder: dict[str, StackSettings], recordings: Recordings) -> None:
    assert {stack: list(claim(ladder[stack], recordings[stack])) for stack in ladder} == {stack: [] for stack in ladder}


@settings(max_examples=20)
@given(chosen=stack_settings())
def test_holds_for_whatever_the_contract_accepts(chosen: StackSettings) -> None:
    recording = record(chosen, stack="any", root=ROOT)
    broken = {claim.__name__: found for claim in CLAIMS if (found := list(claim(chosen, recording)))}
    assert broken == {}


def changed(recording: Recording, type_: str, change: Callable[[Resource], Resource | None]) -> Recording:
    """The recording with the first resource of a type changed, or left out."""
    target = recording.of_type(type_)[0]
    kept = [change(resource) if resource is target else resource for resource in recording.resources]
    return replace(recording, resources=tuple(resource for resource in kept if resource is not None))


def altered(**inputs: Any) -> Callable[[Resource], Resource]:
    return lambda resource: replace(resource, inputs={**resource.inputs, **inputs})


STRANGER = json.dumps(
    {"Statement": [{"Sid": "S", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::210987654321:root"]}}]}
)
EVERYONE = json.dumps({"Statement": [{"Sid": "S", "Effect": "Allow", "Principal": "*"}]})


@pytest.mark.parametrize(
    ("claim", "type_", "change"),
    [
        (names_are_unique_and_legal, "aws:iam/role:Role", altered(name="r" * 65)),
        (names_are_unique_and_legal, "aws:iam/role:Role", lambda role: replace(role, id="ladder-prod-web")),
        (every_namespace_has_its_guardrails, "kubernetes:core/v1:LimitRange", lambda _: None),
        (every_namespace_has_its_guardrails, "kubernetes:networking.k8s.io/v1:NetworkPolicy", lambda _: None),
        (
            no_bucket_is_public_or_unencrypted,
            "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
            altered(ignorePublicAcls=False),
        ),
        (
            no_bucket_is_public_or_unencrypted,
            "aws:s3/bucketVersioning:BucketVersioning",
            altered(versioningConfiguration={"status": "Suspended"}),
        ),
        (no_other_environments_principal_is_named, "aws:kms/key:Key", altered(policy=STRANGER)),
        (no_other_environments_principal_is_named, "aws:s3/bucketPolicy:BucketPolicy", altered(policy=EVERYONE)),
        (real_data_is_protected_and_retained, "aws:s3/bucket:Bucket", lambda bucket: replace(bucket, protect=False)),
        (
            real_data_is_protected_and_retained,
            "kubernetes:core/v1:ResourceQuota",
            lambda quota: replace(quota, retain_on_delete=False),
        ),
        (every_provider_is_explicit, "aws:iam/role:Role", lambda role: replace(role, provider=None)),
        (no_policy_is_empty_or_too_large, "aws:iam/role:Role", altered(assumeRolePolicy="{" + " " * 2048)),
    ],
)
def test_each_claim_can_fail(
    claim: Claim, type_: str, change: Any, ladder: dict[str, StackSettings], recordings: Recordings
) -> None:
    broken = changed(recordings["prod"], type_, change)
    assert next(claim(ladder["prod"], broken), None)
