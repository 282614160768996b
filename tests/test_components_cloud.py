"""Identities, keys, buckets and secrets, and what of them survives: from recordings of the real program."""

from typing import Any

import pytest

from ladder.contract import StackSettings
from ladder.recording import Recording
from tests.conftest import (
    ADMISSION,
    ALIAS,
    BINDING,
    BUCKET,
    BUCKET_POLICY,
    KEY,
    LIMITS,
    NAMESPACE,
    NETWORK_POLICY,
    QUOTA,
    ROLE,
    ROLE_POLICY,
    Recordings,
    document,
    one,
)

# identity, keys, buckets, secrets


def test_only_its_own_service_account_assumes_a_role(recording: Recording, chosen: StackSettings) -> None:
    for name in (*chosen.services, "secret-reader"):
        (statement,) = document(one(recording, ROLE, name), "assumeRolePolicy")
        issuer = chosen.cluster.oidc_issuer
        assert statement["Principal"] == {"Federated": f"arn:aws:iam::{chosen.cloud.account}:oidc-provider/{issuer}"}
        assert statement["Condition"]["StringEquals"] == {
            f"{issuer}:aud": "sts.amazonaws.com",
            f"{issuer}:sub": f"system:serviceaccount:{chosen.namespace('services')}:{name}",
        }


def test_a_service_touches_the_buckets_the_contract_gives_it_and_no_other(
    recording: Recording, chosen: StackSettings
) -> None:
    for name, service in chosen.services.items():
        policy = document(one(recording, ROLE_POLICY, name))
        listed = {arn for statement in policy if statement["Sid"] == "ListBuckets" for arn in statement["Resource"]}
        assert listed == {f"arn:aws:s3:::{chosen.buckets[bucket].name}" for bucket in service.buckets}


def test_a_service_without_buckets_has_a_role_without_rights(recordings: Recordings, ladder: Any) -> None:
    recording = recordings.altered("dev", services={"web": {"buckets": {}}})
    assert not [resource for resource in recording.of_type(ROLE_POLICY) if resource.name == "web"]
    assert one(recording, ROLE, "web")


def test_a_key_is_used_by_the_roles_that_need_it_and_no_other(recording: Recording, chosen: StackSettings) -> None:
    for key in chosen.keys:
        users = {
            arn
            for statement in document(one(recording, KEY, key))
            if statement["Sid"] == "AllowUseThroughServices"
            for arn in statement["Principal"]["AWS"]
        }
        expected = {
            name
            for name, service in chosen.services.items()
            if any(chosen.buckets[bucket].key == key for bucket in service.buckets)
        }
        expected |= {"secret-reader"} if chosen.secrets.key == key else set()
        anchors = {chosen.cloud.anchor_role} if chosen.buckets["evidence"].key == key else set[str | None]()
        assert users == {one(recording, ROLE, name).outputs["arn"] for name in expected} | anchors


def test_keys_rotate(recording: Recording) -> None:
    assert all(key.inputs["enableKeyRotation"] is True for key in recording.of_type(KEY))


def test_objects_expire_as_the_contract_says(recording: Recording, chosen: StackSettings) -> None:
    for key, bucket in chosen.buckets.items():
        rules = one(recording, "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", key).inputs["rules"]
        current = [rule["expiration"]["days"] for rule in rules if "expiration" in rule]
        assert current == ([] if bucket.expire_days is None else [bucket.expire_days])
        (replaced,) = [rule for rule in rules if "noncurrentVersionExpiration" in rule]
        assert replaced["noncurrentVersionExpiration"]["noncurrentDays"] == chosen.data.noncurrent_days


def test_evidence_bucket_is_locked(recording: Recording, chosen: StackSettings) -> None:
    (lock,) = recording.of_type("aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration")
    wanted: Any = chosen.buckets["evidence"].object_lock
    assert lock.name == "evidence"
    assert one(recording, BUCKET, "evidence").inputs["objectLockEnabled"] is True
    assert lock.inputs["rule"]["defaultRetention"] == {"mode": wanted.mode.upper(), "days": wanted.days}


def test_one_role_anchors_and_in_the_evidence_bucket_alone(recording: Recording, chosen: StackSettings) -> None:
    for key in chosen.buckets:
        policy = document(one(recording, BUCKET_POLICY, key))
        anchoring = [each["Principal"] for each in policy if each["Sid"].startswith("AllowAnchor")]
        assert anchoring == ([{"AWS": [chosen.cloud.anchor_role]}] * 4 if key == "evidence" else [])


def test_where_no_role_is_named_nobody_anchors(recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    cloud = ladder["dev"].cloud.model_dump(mode="json", by_alias=True)
    recording = recordings.altered("dev", cloud={**cloud, "anchorRole": None})
    policy = document(one(recording, BUCKET_POLICY, "evidence"))
    assert not [each for each in policy if each["Sid"].startswith("AllowAnchor")]
    assert "AllowUseThroughServices" not in {each["Sid"] for each in document(one(recording, KEY, "logs"))}


def test_no_bucket_can_be_emptied_by_a_destroy(recording: Recording) -> None:
    assert all(bucket.inputs["forceDestroy"] is False for bucket in recording.of_type(BUCKET))


def test_secret_store_reads_one_prefix_as_one_account(recording: Recording, chosen: StackSettings) -> None:
    store = one(recording, "kubernetes:external-secrets.io/v1:SecretStore", "secrets").inputs
    account = one(recording, "kubernetes:core/v1:ServiceAccount", "secrets").inputs
    aws = store["spec"]["provider"]["aws"]
    assert aws["auth"] == {"jwt": {"serviceAccountRef": {"name": account["metadata"]["name"]}}}
    assert account["metadata"]["namespace"] == store["metadata"]["namespace"] == chosen.namespace("services")
    role = one(recording, ROLE, "secret-reader").outputs["arn"]
    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == role
    (read,) = [s for s in document(one(recording, ROLE_POLICY, "secrets")) if s["Sid"] == "ReadSecrets"]
    (arn,) = read["Resource"]
    assert arn.endswith(f"{chosen.cloud.account}:secret:{chosen.secrets.prefix}/*")


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
