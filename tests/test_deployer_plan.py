"""The deployer's decisions, without servers."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ladder.errors import CheckFailed, LadderError
from ladder.recording import Recording, Resource
from sandbox.deployer import Difference, Target
from sandbox.deployer.fields import additions, taken_over
from sandbox.deployer.kubernetes import NAMESPACE
from sandbox.deployer.lock import locked
from sandbox.deployer.model import Identity, Live
from sandbox.deployer.plan import Removals, check, deployable, guards_of, placeholders
from sandbox.deployer.retry import TransientError, patiently, wait_until
from sandbox.deployer.s3 import PARTS
from sandbox.deployer.values import differences, find_secrets, pascal, substitute, without_empty

BUCKET = "aws:s3/bucket:Bucket"
POLICY = "aws:s3/bucketPolicy:BucketPolicy"
KEY = "aws:kms/key:Key"


def resource(name: str, type_: str = BUCKET, **more: Any) -> Resource:
    return Resource(urn=f"urn:{name}", type=type_, name=name, custom=True, **more)


def live(type_: str, name: str, **more: Any) -> Live:
    more.setdefault("stack", "dev")
    more.setdefault("properties", {})
    return Live(type=type_, identity=(type_, name), id=name, **more)


def object_(kind: str, name: str, namespace: str = "", **more: Any) -> Live:
    more.setdefault("stack", "dev")
    place = f"{namespace}/{name}" if namespace else name
    type_ = f"kubernetes:core/v1:{kind}"
    return Live(type=type_, identity=(f"/{kind}", place), id=name, namespace=namespace, properties={}, **more)


def removals(*lives: Live, **more: Any) -> Removals:
    return Removals("dev", {one.identity: one for one in lives}, **more)


def actions(found: Removals) -> dict[str, str]:
    return {one.name: found.change(one).action for one in found.ordered}


class Judge:
    def handles(self, resource: Resource) -> bool:
        return resource.type == BUCKET

    def problems(self, resource: Resource) -> list[str]:
        return []

    def identity(self, resource: Resource) -> Identity:
        return resource.type, resource.inputs["bucket"]


def test_a_difference_names_the_leaf_its_live_value_and_the_recorded_one() -> None:
    before = {"spec": {"hard": {"pods": "5"}, "scopes": ["a"]}, "gone": 1}
    after = {"spec": {"hard": {"pods": "6"}, "scopes": ["a", "b"]}, "new": True}
    assert differences(before, after) == (
        Difference("gone", 1, None),
        Difference("new", None, True),
        Difference("spec.hard.pods", "5", "6"),
        Difference("spec.scopes", ["a"], ["a", "b"]),
    )


def test_a_difference_inside_a_list_names_its_index() -> None:
    assert differences([{"a": 1}], [{"a": 2}]) == (Difference("[0].a", 1, 2),)


def test_true_and_one_differ() -> None:
    assert differences({"a": True}, {"a": 1}) == (Difference("a", True, 1),)


def test_a_placeholder_is_substituted_inside_policy_text_and_an_arn_before_its_id() -> None:
    text = json.dumps({"Resource": "arn:key/placeholder", "id": "placeholder"})
    found = substitute({"policy": text}, {"placeholder": "real", "arn:key/placeholder": "arn:key/other"})
    assert json.loads(found["policy"]) == {"Resource": "arn:key/other", "id": "real"}


def test_only_outputs_that_differ_from_their_live_value_are_placeholders() -> None:
    recorded = resource("key", KEY, id="p", outputs={"arn": "arn:p", "keyId": "p", "multiRegion": False})
    found = live(KEY, "key", outputs={"id": "k", "keyId": "k", "arn": "arn:p"})
    assert placeholders(recorded, found) == {"p": "k"}


def test_pulumi_inputs_get_the_spelling_of_the_s3_api() -> None:
    shaped = pascal([{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": "k"}}])
    assert shaped == [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"}}]


def test_what_a_server_adds_empty_is_no_difference() -> None:
    told = {"Mode": "COMPLIANCE", "Days": 30, "Years": 0, "Filter": {"And": {}}, "Off": False, "On": True}
    assert without_empty(told) == {"Mode": "COMPLIANCE", "Days": 30, "On": True}


def test_a_lifecycle_rule_with_several_conditions_keeps_its_tags_as_written() -> None:
    part = next(part for part in PARTS if part.operation == "bucket_lifecycle_configuration")
    both = {"prefix": "a/", "tags": {"kind": "log"}}
    inputs = {"bucket": "b", "rules": [{"id": "x", "status": "Enabled", "filter": {"and": both}}]}
    (rule,) = part.shape(inputs)["Rules"]
    assert rule["Filter"] == {"And": {"Prefix": "a/", "Tags": [{"Key": "kind", "Value": "log"}]}}


def managed(manager: str, fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"manager": manager, "apiVersion": "v1", "fieldsV1": fields, **more}


def test_only_what_others_set_beyond_ours_in_the_spec_counts_as_added() -> None:
    ours = {"f:spec": {"f:hard": {"f:pods": {}}}}
    theirs = {"f:spec": {"f:hard": {".": {}, "f:pods": {}, "f:cpu": {}}}, "f:metadata": {"f:annotations": {}}}
    entries = [
        managed("us", ours),
        managed("kubectl", theirs),
        managed("controller", {"f:spec": {"f:x": {}}}, subresource="status"),
        managed("other", {"f:status": {}}),
    ]
    item = {"apiVersion": "v1", "spec": {"hard": {"pods": "1", "cpu": "2"}}, "metadata": {"managedFields": entries}}
    assert additions(item, "us") == (Difference("spec.hard.cpu", "2", None),)
    first, *rest = taken_over(item, "us")
    assert first["fieldsV1"] == {"f:spec": {"f:hard": {".": {}, "f:pods": {}, "f:cpu": {}}}}
    assert [one["manager"] for one in rest] == ["controller", "kubectl", "other"]
    assert rest[1]["fieldsV1"] == {"f:metadata": {"f:annotations": {}}}


def test_secrets_are_found_wherever_they_are() -> None:
    assert list(find_secrets({"data": {"a": ["x", "pre[secret]"]}})) == ["data.a[1]"]


def test_components_and_providers_are_not_deployed() -> None:
    component = Resource(urn="urn:c", type="ladder:module:Class", name="c", custom=False)
    rows = (component, resource("p", "pulumi:providers:aws"), resource("b"))
    assert [one.name for one in deployable(Recording(project="p", stack="dev", resources=rows))] == ["b"]


def test_everything_that_cannot_be_deployed_is_told_at_once() -> None:
    rows = [
        resource("queue", "aws:sqs/queue:Queue"),
        resource("first", inputs={"bucket": "same"}),
        resource("second", inputs={"bucket": "same"}),
        resource("third", inputs={"bucket": "third", "tags": {"a": "[secret]"}}),
    ]
    with pytest.raises(LadderError) as caught:
        check(rows, [Judge()])
    assert str(caught.value).splitlines() == [
        "urn:queue: aws:sqs/queue:Queue is not supported by the built-in engine",
        "urn:second: it is the same aws:s3/bucket:Bucket same as urn:first",
        "urn:third: tags.a is a secret, which a recording does not hold",
        "nothing was changed",
    ]


def test_what_another_stack_owns_is_never_removed() -> None:
    assert actions(removals(live(BUCKET, "theirs", stack="prod"), live(BUCKET, "ours"))) == {"ours": "delete"}


def test_what_is_wanted_or_on_its_way_out_is_not_removed() -> None:
    wanted = live(BUCKET, "wanted")
    found = removals(wanted, live(KEY, "pending", deleting=True), wanted=frozenset({wanted.identity}))
    assert actions(found) == {}
    assert [one.name for one in found.going] == ["pending"]


def test_a_part_goes_with_its_holder_and_is_named_there() -> None:
    bucket = live(BUCKET, "b")
    found = removals(bucket, live(POLICY, "b", holder=bucket.identity))
    assert [found.change(one).note for one in found.ordered] == ["with its BucketPolicy"]


def test_an_alias_that_moved_to_another_key_outlives_its_old_one() -> None:
    key = live(KEY, "old")
    alias = live("aws:kms/alias:Alias", "alias/a", holder=key.identity)
    assert removals(key, alias, wanted=frozenset({alias.identity})).parts(key) == []


def test_a_part_goes_alone_when_its_holder_stays_recorded() -> None:
    bucket = live(BUCKET, "b")
    part = live(POLICY, "b", holder=bucket.identity)
    assert removals(bucket, part, wanted=frozenset({bucket.identity})).ordered == [part]


def test_a_part_of_a_protected_bucket_may_not_be_dropped() -> None:
    bucket = live(BUCKET, "b", protected=True)
    part = live(POLICY, "b", holder=bucket.identity)
    assert removals(bucket, part, wanted=frozenset({bucket.identity})).protected == [part]


def test_what_is_retained_is_kept_and_says_so() -> None:
    found = removals(live(BUCKET, "b", retained=True))
    assert [(found.change(one).action, found.change(one).note) for one in found.ordered] == [("keep", "retained")]


@pytest.mark.parametrize("stack", ["dev", "other"])
def test_a_namespace_stays_while_anything_in_it_does(stack: str) -> None:
    space = object_("Namespace", "space")
    kept = object_("ConfigMap", "kept", "space", retained=True, stack=stack)
    found = removals(space, kept)
    assert found.change(space).action == "keep"
    assert found.change(space).note == "holds space/kept"


def test_namespaces_go_last() -> None:
    rows = (object_("Namespace", "a"), live(KEY, "k"), live(BUCKET, "b"), object_("ConfigMap", "c", "a"))
    assert [one.name for one in removals(*rows).ordered] == ["a/c", "b", "k", "a"]
    assert rows[0].identity[0] == NAMESPACE


def test_removal_reverses_the_recorded_order() -> None:
    rows = (live(KEY, "k"), live(BUCKET, "b"))
    recorded = {rows[1].identity: resource("b"), rows[0].identity: resource("k", KEY)}
    assert [one.name for one in removals(*rows, recorded=recorded).ordered] == ["k", "b"]


def test_what_a_protected_resource_depends_on_outlives_a_destroy() -> None:
    role = resource("role")
    key = resource("key", property_dependencies={"policy": (role.urn,)})
    bucket = resource("bucket", protect=True, dependencies=(key.urn,))
    other = resource("other", retain_on_delete=True)
    recording = Recording(project="p", stack="dev", resources=(bucket, key, other, role))
    guards = guards_of(recording, {(BUCKET, one.name): one for one in recording.resources})
    assert guards == {
        (BUCKET, "bucket"): "protected",
        (BUCKET, "key"): "needed by bucket",
        (BUCKET, "role"): "needed by bucket",
        (BUCKET, "other"): "retained",
    }


def test_trouble_is_retried_until_it_passes() -> None:
    outcomes = iter([TransientError("first"), TransientError("second", retry_after=0.01), "done"])

    def call() -> object:
        outcome = next(outcomes)
        if isinstance(outcome, TransientError):
            raise outcome
        return outcome

    assert patiently(call, seconds=5, what="the call") == "done"


def test_lasting_trouble_ends_in_a_clear_error() -> None:
    def call() -> None:
        raise TransientError("503: overloaded")

    with pytest.raises(CheckFailed, match=r"GET /x: 503: overloaded \(tried \d+ times in 0.3 s\)"):
        patiently(call, seconds=0.3, what="GET /x")


def test_waiting_for_a_state_has_a_deadline() -> None:
    with pytest.raises(CheckFailed, match=r"namespace a is not ready \(waited 0.05 s\)"):
        wait_until(lambda: False, seconds=0.05, what=lambda: "namespace a is not ready")


def test_the_target_is_on_loopback_or_nothing() -> None:
    with pytest.raises(LadderError, match="not on loopback"):
        Target(
            api_server="https://prod.example.com",
            ca=Path("ca"),
            token="t",
            aws_endpoint="http://127.0.0.1:1",
            access_key_id="a",
            secret_access_key="s",
            account="111122223333",
            region="eu-west-1",
            locks=Path("locks"),
        )


def test_the_second_of_two_changes_is_refused_naming_the_holder(tmp_path: Path) -> None:
    with locked(tmp_path, "dev", "up"):
        with (
            pytest.raises(
                CheckFailed, match=rf"^destroy of dev is refused: up by \S+@\S+, pid {os.getpid()}, has run since"
            ),
            locked(tmp_path, "dev", "destroy"),
        ):
            pass
        with locked(tmp_path, "staging", "up"):
            pass


def test_a_killed_holder_releases_the_lock(tmp_path: Path) -> None:
    code = "import os, signal, sys; from pathlib import Path; from sandbox.deployer.lock import locked\n"
    code += "with locked(Path(sys.argv[1]), 'dev', 'up'): os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode < 0
    with locked(tmp_path, "dev", "up"):
        pass


def test_an_unreadable_holder_still_refuses(tmp_path: Path) -> None:
    with (tmp_path / "dev").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(CheckFailed, match="another change has just begun"), locked(tmp_path, "dev", "up"):
            pass
