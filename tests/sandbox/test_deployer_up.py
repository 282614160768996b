"""What the built-in deployer promises, on the sandbox's real servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from ladder.errors import CheckFailed, LadderError
from sandbox.connection import Sandbox
from sandbox.deployer import Change, Difference, Patience, Target, destroy, drift, preview, up
from tests.sandbox.test_deployer_support import Program, actions, aws, edit, every_type, keys_of, kube, names, proxied

pytestmark = pytest.mark.servers

ACCOUNT = "111122223333"
REGION = "eu-west-1"


@pytest.fixture(scope="module")
def target(sandbox: Sandbox) -> Target:
    return Target.of(sandbox, ACCOUNT, REGION).with_patience(Patience(request=5, trouble=10, settle=30))


@pytest.fixture(scope="module")
def everything(target: Target) -> Program:
    """A stack with every type in it, up; each test leaves it as it was."""
    program = every_type("every")
    up(program.recording(), target)
    return program


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def small(numbers: Iterator[int]) -> Program:
    """An empty stack of the test's own."""
    return Program(f"small{next(numbers)}")


def test_preview_of_a_new_stack_creates_everything_and_changes_nothing(target: Target) -> None:
    program = every_type("fresh")
    with proxied(target) as proxy:
        changes = preview(program.recording(), proxy.target)
        assert proxy.writes == []
    assert actions(changes) == {"create"}
    assert len(changes) == len(program.resources)
    assert kube(target, "GET", "/api/v1/namespaces/fresh-services") == {}


def test_up_creates_and_says_each_as_it_is_done(small: Program, target: Target) -> None:
    small.namespace(small.stack)
    small.config("one", small.stack, {"a": "1"})
    heard: list[Change] = []
    changes = up(small.recording(), target, on_change=heard.append)
    assert tuple(heard) == changes
    assert names(changes, "create") == [small.stack, f"{small.stack}/one"]
    assert {change.urn for change in changes} == {one.urn for one in small.resources.values()}
    found = kube(target, "GET", f"/api/v1/namespaces/{small.stack}/configmaps/one")
    assert found["data"] == {"a": "1"}


def test_second_up_changes_nothing(everything: Program, target: Target) -> None:
    with proxied(target) as proxy:
        changes = up(everything.recording(), proxy.target)
        assert proxy.writes == []
    assert actions(changes) == {"same"}
    assert len(changes) == len(everything.resources)


def test_live_ids_replace_placeholders_everywhere(everything: Program, target: Target) -> None:
    (key,) = keys_of(target, "every")
    arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key}"
    grant = aws(target, "iam", "get_role_policy", RoleName="every-web", PolicyName="data")
    assert grant["PolicyDocument"]["Statement"][0]["Resource"] == arn
    encryption = aws(target, "s3", "get_bucket_encryption", Bucket="every-data")
    (rule,) = encryption["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == arn


def test_a_quota_is_counted_once_up_returns(everything: Program, target: Target) -> None:
    quota = kube(target, "GET", "/api/v1/namespaces/every-services/resourcequotas/quota")
    assert quota["status"]["hard"] == {"pods": "5", "limits.cpu": "4"}


def test_an_edit_changes_only_that_object(small: Program, target: Target) -> None:
    small.namespace(small.stack)
    small.config("one", small.stack, {"a": "1"})
    small.config("two", small.stack, {"a": "1"})
    up(small.recording(), target)
    small.change("two", data={"a": "2"})
    path = f"/api/v1/namespaces/{small.stack}/configmaps/two"
    with proxied(target) as proxy:
        (change,) = (one for one in up(small.recording(), proxy.target) if one.action != "same")
        assert proxy.writes == [f"PATCH {path}"]
    assert (change.action, change.name) == ("update", f"{small.stack}/two")
    assert [(one.path, one.before, one.after) for one in change.differences] == [("data.a", "1", "2")]


def test_a_field_that_leaves_the_recording_leaves_the_object(small: Program, target: Target) -> None:
    small.namespace(small.stack)
    small.config("one", small.stack, {"a": "1", "b": "1"})
    up(small.recording(), target)
    small.change("one", data={"a": "1"})
    up(small.recording(), target)
    found = kube(target, "GET", f"/api/v1/namespaces/{small.stack}/configmaps/one")
    assert found["data"] == {"a": "1"}


def test_a_removed_resource_is_pruned(small: Program, target: Target) -> None:
    small.namespace(small.stack)
    small.config("one", small.stack, {"a": "1"})
    small.bucket(f"{small.stack}-b")
    small.key("key")
    up(small.recording(), target)
    for name in ("one", f"{small.stack}-b", "key"):
        del small.resources[name]
    changes = up(small.recording(), target)
    assert sorted(names(changes, "delete")) == sorted([f"{small.stack}/one", f"{small.stack}-b", "key"])
    assert kube(target, "GET", f"/api/v1/namespaces/{small.stack}/configmaps/one") == {}
    (key,) = keys_of(target, small.stack)
    assert aws(target, "kms", "describe_key", KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    assert drift(small.recording(), target) == ()


def test_a_part_that_leaves_the_recording_is_reset(small: Program, target: Target) -> None:
    name = f"{small.stack}-b"
    bucket = small.bucket(name)
    rule = {"id": "old", "status": "Enabled", "expiration": {"days": 3}}
    small.part("BucketLifecycleConfiguration", bucket, {"rules": [rule]})
    small.part("BucketVersioning", bucket, {"versioningConfiguration": {"status": "Enabled"}})
    up(small.recording(), target)
    del small.resources[f"{name}-BucketLifecycleConfiguration"]
    del small.resources[f"{name}-BucketVersioning"]
    assert names(up(small.recording(), target), "delete") == [name, name]
    absent = ("NoSuchLifecycleConfiguration",)
    assert aws(target, "s3", "get_bucket_lifecycle_configuration", Bucket=name, missing=absent) == {}
    assert aws(target, "s3", "get_bucket_versioning", Bucket=name)["Status"] == "Suspended"
    assert drift(small.recording(), target) == ()


def test_a_key_pending_deletion_is_recovered_and_not_doubled(small: Program, target: Target) -> None:
    small.key("key")
    up(small.recording(), target)
    before = keys_of(target, small.stack)
    destroy(small.recording(), target)
    assert names(up(small.recording(), target), "create") == ["key"]
    assert keys_of(target, small.stack) == before
    assert aws(target, "kms", "describe_key", KeyId=before[0])["KeyMetadata"]["KeyState"] == "Enabled"


def damage(target: Target) -> dict[str, Callable[[], Any]]:
    """What drifts, by the name it is reported under, and how it is brought about out of band."""
    key = keys_of(target, "every")[0]
    space = "every-services"
    quota = f"/api/v1/namespaces/{space}/resourcequotas/quota"
    labels = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}
    suspended = {"Status": "Suspended"}
    return {
        f"{space}/quota": lambda: edit(target, quota, {"spec": {"hard": {"pods": "500"}}}),
        space: lambda: edit(target, f"/api/v1/namespaces/{space}", labels),
        f"{space}/default-deny": lambda: kube(
            target, "DELETE", f"/apis/networking.k8s.io/v1/namespaces/{space}/networkpolicies/default-deny"
        ),
        "every-data": lambda: aws(target, "s3", "delete_bucket_policy", Bucket="every-data"),
        "every-data ": lambda: aws(
            target, "s3", "put_bucket_versioning", Bucket="every-data", VersioningConfiguration=suspended
        ),
        "every-data  ": lambda: aws(target, "s3", "delete_bucket_tagging", Bucket="every-data"),
        "data-key": lambda: aws(target, "kms", "disable_key_rotation", KeyId=key),
        "every-web": lambda: aws(target, "iam", "update_role", RoleName="every-web", MaxSessionDuration=43200),
        "every-web:data": lambda: aws(target, "iam", "delete_role_policy", RoleName="every-web", PolicyName="data"),
        "alias/every-data": lambda: aws(target, "kms", "delete_alias", AliasName="alias/every-data"),
    }


def test_drift_is_found_and_repaired(everything: Program, target: Target) -> None:
    recording = everything.recording()
    assert drift(recording, target) == ()
    faults = damage(target)
    for bring_about in faults.values():
        bring_about()
    found = drift(recording, target)
    assert sorted(change.name for change in found) == sorted(name.strip() for name in faults)
    assert sorted(names(up(recording, target), "create", "update")) == sorted(name.strip() for name in faults)
    assert drift(recording, target) == ()


def test_what_others_add_to_a_spec_is_drift_and_is_taken_away(everything: Program, target: Target) -> None:
    recording = everything.recording()
    path = "/apis/networking.k8s.io/v1/namespaces/every-services/networkpolicies/default-deny"
    edit(target, path, {"spec": {"ingress": [{}]}, "metadata": {"annotations": {"note": "theirs"}}})
    edit(target, "/api/v1/namespaces/every-services/resourcequotas/quota", {"spec": {"hard": {"secrets": "1"}}})
    found = {change.name: change.differences for change in drift(recording, target)}
    assert found.keys() == {"every-services/default-deny", "every-services/quota"}
    assert found["every-services/default-deny"] == (Difference("spec.ingress", [{}], None),)
    assert found["every-services/quota"] == (Difference("spec.hard.secrets", "1", None),)
    assert sorted(names(up(recording, target), "update")) == sorted(found)
    live = kube(target, "GET", path)
    assert "ingress" not in live["spec"]
    assert live["metadata"]["annotations"] == {"note": "theirs"}
    assert drift(recording, target) == ()


def test_a_label_lost_out_of_band_is_put_back(small: Program, target: Target) -> None:
    small.namespace(small.stack)
    small.config("one", small.stack, {"a": "1"})
    up(small.recording(), target)
    path = f"/api/v1/namespaces/{small.stack}/configmaps/one"
    edit(target, path, {"metadata": {"labels": {"ladder.internal/stack": None}}})
    assert names(up(small.recording(), target), "update") == [f"{small.stack}/one"]


def test_destroy_leaves_what_is_protected_or_retained_and_says_so(small: Program, target: Target) -> None:
    kept, gone = small.stack, f"{small.stack}-gone"
    small.namespace(kept)
    small.config("retained", kept, {}, retain_on_delete=True)
    small.config("plain", kept, {})
    small.namespace(gone)
    key = small.key("key")
    small.bucket(f"{kept}-real", protect=True, retain_on_delete=True)
    up(small.recording(), target)
    changes = destroy(small.recording(), target)
    notes = {change.name: change.note for change in changes if change.action == "keep"}
    assert notes == {
        f"{kept}/retained": "retained",
        f"{kept}-real": "protected",
        kept: f"holds {kept}/retained",
    }
    assert sorted(names(changes, "delete")) == sorted([f"{kept}/plain", gone, key.name])
    assert kube(target, "GET", f"/api/v1/namespaces/{gone}") == {}
    assert kube(target, "GET", f"/api/v1/namespaces/{kept}/configmaps/retained")


def test_up_refuses_to_lose_a_protected_resource_before_changing_anything(small: Program, target: Target) -> None:
    name = f"{small.stack}-real"
    small.bucket(name, protect=True)
    small.namespace(small.stack)
    up(small.recording(), target)
    del small.resources[name]
    small.config("new", small.stack, {})
    with proxied(target) as proxy:
        with pytest.raises(CheckFailed, match=f"Bucket {name} is protected and no longer recorded"):
            up(small.recording(), proxy.target)
        assert proxy.writes == []


def test_up_leaves_a_retained_resource_that_is_no_longer_recorded(small: Program, target: Target) -> None:
    small.namespace(small.stack)
    small.config("one", small.stack, {}, retain_on_delete=True)
    up(small.recording(), target)
    del small.resources["one"]
    assert names(up(small.recording(), target), "keep") == [f"{small.stack}/one"]
    assert kube(target, "GET", f"/api/v1/namespaces/{small.stack}/configmaps/one")


def test_a_bucket_that_is_not_empty_stops_a_destroy_by_name(small: Program, target: Target) -> None:
    name = f"{small.stack}-full"
    small.bucket(name)
    up(small.recording(), target)
    aws(target, "s3", "put_object", Bucket=name, Key="a", Body=b"x")
    with pytest.raises(CheckFailed, match=f"bucket {name} is not empty and forceDestroy is not set"):
        destroy(small.recording(), target)
    small.change(name, forceDestroy=True)
    up(small.recording(), target)
    assert names(destroy(small.stack, target), "delete") == [name]


def test_stacks_side_by_side_leave_each_other_alone(small: Program, target: Target) -> None:
    other = Program(f"{small.stack}-other")
    for program in (other, small):
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
        program.object("rbac.authorization.k8s.io/v1", "ClusterRole", f"{program.stack}-reader", rules=rules)
        program.bucket(f"{program.stack}-b")
        program.key("key")
    up(other.recording(), target)
    up(small.recording(), target)
    assert len(names(destroy(small.recording(), target), "delete")) == 3
    assert drift(other.recording(), target) == ()
    assert len(names(destroy(other.recording(), target), "delete")) == 3


def test_what_another_stack_owns_is_refused(everything: Program, small: Program, target: Target) -> None:
    small.namespace("every-services")
    small.bucket("every-data")
    with pytest.raises(CheckFailed) as caught:
        up(small.recording(), target)
    text = str(caught.value)
    assert "every-services belongs to stack every" in text
    assert "every-data belongs to stack every" in text


def test_what_nobody_made_here_is_refused(small: Program, target: Target) -> None:
    small.namespace("default")
    with pytest.raises(CheckFailed, match="default exists and was not made by this engine"):
        up(small.recording(), target)


def test_a_missing_custom_resource_definition_is_named(small: Program, target: Target) -> None:
    small.object("example.com/v1", "Widget", "w", spec={})
    with pytest.raises(LadderError, match=r"serves no Widget in example.com/v1: its CustomResourceDefinition"):
        preview(small.recording(), target)


def test_a_namespace_nobody_makes_is_named_before_anything_changes(small: Program, target: Target) -> None:
    small.bucket(f"{small.stack}-b")
    small.config("one", "nowhere", {})
    with proxied(target) as proxy:
        with pytest.raises(CheckFailed, match="the namespace nowhere neither exists nor is recorded"):
            up(small.recording(), proxy.target)
        assert proxy.writes == []


def test_an_input_the_engine_does_not_know_is_refused(small: Program, target: Target) -> None:
    small.bucket(f"{small.stack}-b", acl="public-read")
    with pytest.raises(LadderError, match="does not know its input acl"):
        up(small.recording(), target)


def test_an_invalid_object_is_refused_with_its_urn_and_the_servers_words(small: Program, target: Target) -> None:
    small.namespace(small.stack)
    urn = small.object("v1", "Service", "web", namespace=small.stack, spec={"ports": [{"port": 99999}]}).urn
    with pytest.raises(CheckFailed) as caught:
        up(small.recording(), target)
    assert f"{urn}: 422: " in str(caught.value)
    assert "before that: 1 created; running it again goes on from here" in str(caught.value)


def test_a_change_that_needs_a_replacement_is_refused(small: Program, target: Target) -> None:
    name = f"{small.stack}-b"
    small.bucket(name)
    up(small.recording(), target)
    small.change(name, objectLockEnabled=True)
    with pytest.raises(CheckFailed, match=f"objectLockEnabled of {name} cannot change once created"):
        up(small.recording(), target)


def test_no_secret_shows_in_a_change(small: Program, target: Target) -> None:
    small.namespace(small.stack)
    small.object("v1", "Secret", "token", namespace=small.stack, stringData={"token": "first"})
    up(small.recording(), target)
    small.change("token", stringData={"token": "second"})
    (change,) = drift(small.recording(), target)
    assert change.differences
    assert "second" not in json.dumps([[one.before, one.after] for one in change.differences])
