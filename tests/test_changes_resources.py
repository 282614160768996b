"""Two recordings of a stack: which resource is which, and what becomes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ladder.changes.report import Edit, Fate
from ladder.changes.resources import Pair, paired
from ladder.contract import StackSettings
from ladder.placeholders import unknowable
from ladder.recorder import record
from ladder.recording import Recording
from ladder.recording_formats import as_json, from_json
from tests.changed import recording, resource, with_change
from tests.conftest import BUCKET, KEY, NAMESPACE, QUOTA, ROLE, Recordings
from tests.rule_changes import gone, options, put, without
from tests.support import copy_project


def only(pairs: tuple[Pair, ...]) -> Pair:
    (found,) = [pair for pair in pairs if pair.fate is not None]
    return found


def test_a_recording_does_not_differ_from_itself_read_back(recordings: Recordings) -> None:
    for own in recordings:
        read = from_json(json.loads(json.dumps(as_json(own))))
        assert [pair.fate for pair in paired(own, read)] == [None] * len(
            [each for each in own.resources if each.custom]
        )


def test_a_changed_property_is_named_with_both_values(recordings: Recordings) -> None:
    after = with_change(recordings["dev"], QUOTA, "services-quota", put("spec.hard.pods", "61"))
    pair = only(paired(recordings["dev"], after))
    (found,) = pair.properties
    was = recordings["dev"].of_type(QUOTA)[1].inputs["spec"]["hard"]["pods"]
    assert (pair.fate, found.path, found.edit) == (Fate.CHANGED, "spec.hard.pods", Edit.CHANGED)
    assert (found.before, found.after, found.replaces) == (was, "61", False)


@pytest.mark.parametrize(
    ("type_", "name", "path", "value"),
    [
        (BUCKET, "uploads", "bucket", "another"),
        (BUCKET, "uploads", "objectLockEnabled", True),
        (ROLE, "api", "name", "another"),
        (KEY, "data", "multiRegion", True),
        (NAMESPACE, "data", "metadata.name", "another"),
        ("aws:s3/bucketPolicy:BucketPolicy", "uploads", "bucket", "another"),
        ("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding", "delivery-data", "roleRef.name", "another"),
    ],
)
def test_a_replacement_that_is_known_is_said(
    type_: str, name: str, path: str, value: object, recordings: Recordings
) -> None:
    pair = only(paired(recordings["dev"], with_change(recordings["dev"], type_, name, put(path, value))))
    assert pair.fate is Fate.REPLACED
    assert [each.path for each in pair.properties if each.replaces] == [path]


def test_another_cluster_replaces_all_that_is_in_it(recordings: Recordings) -> None:
    change = put("clusterIdentifier", "another")
    pairs = paired(recordings["dev"], with_change(recordings["dev"], "pulumi:providers:kubernetes", "cluster", change))
    fates = {pair.fate for pair in pairs if pair.resource.type.startswith("kubernetes:")}
    assert fates == {Fate.REPLACED}
    assert {pair.fate for pair in pairs if pair.resource.type.startswith("aws:")} == {None}


def test_a_policy_is_compared_by_statement(recordings: Recordings) -> None:
    after = with_change(recordings["dev"], "aws:s3/bucketPolicy:BucketPolicy", "uploads", without("DenyPlainHttp"))
    (found,) = only(paired(recordings["dev"], after)).properties
    assert (found.path, found.edit) == ("policy.Statement[DenyPlainHttp]", Edit.REMOVED)


def test_lost_protection_is_a_change(recordings: Recordings) -> None:
    after = with_change(recordings["prod"], BUCKET, "uploads", options(protect=False))
    (found,) = only(paired(recordings["prod"], after)).properties
    assert (found.path, found.before, found.after) == ("options.protect", True, False)


def test_what_is_not_declared_any_more_is_gone_and_components_are_left_out(recordings: Recordings) -> None:
    after = with_change(recordings["dev"], QUOTA, "data-quota", gone)
    pair = only(paired(recordings["dev"], after))
    assert (pair.fate, pair.resource.name) == (Fate.GONE, "data-quota")
    assert only(paired(after, recordings["dev"])).fate is Fate.ANEW
    assert all(pair.resource.custom for pair in paired(after, recordings["dev"]))


def test_a_renamed_resource_with_an_alias_is_the_same() -> None:
    before = resource("old", inputs={"data": {"a": "1"}})
    after = replace(resource("new", inputs={"data": {"a": "1"}}), aliases=(before.urn,))
    (pair,) = paired(recording([before]), recording([after]))
    assert (pair.fate, pair.before and pair.before.name) == (None, "old")


def test_without_an_alias_it_is_another() -> None:
    pairs = paired(recording([resource("old")]), recording([resource("new")]))
    assert {pair.fate for pair in pairs} == {Fate.ANEW, Fate.GONE}


def test_an_alias_does_not_take_what_is_still_declared() -> None:
    first = resource("first")
    second = replace(resource("second"), aliases=(first.urn,))
    pairs = paired(recording([first]), recording([first, second]))
    assert [(pair.resource.name, pair.fate) for pair in pairs] == [("first", None), ("second", Fate.ANEW)]


def test_a_placeholder_made_from_the_old_name_is_no_change() -> None:
    """The id of a key is not known: what stands for it is made from the URN, and so changes with the name."""

    def ends(name: str, aliases: tuple[str, ...] = ()) -> Recording:
        key = resource(name, KEY, aliases=aliases)
        key = replace(key, id=unknowable(key.urn))
        user = resource("user", inputs={"data": {"arn": f"arn:aws:kms:eu-west-1:1:key/{key.id}"}})
        return recording([key, user], key=key.id)

    before = ends("old")
    after = ends("new", (before.of_type(KEY)[0].urn,))
    assert [pair.fate for pair in paired(before, after)] == [None, None]


@pytest.mark.parametrize("alias", ["", "nonsense", "urn:pulumi:dev::ladder::x"])
def test_an_alias_that_is_no_name_is_overlooked(alias: str) -> None:
    parent = resource("new", "ladder:x:C", custom=False, id="", aliases=(alias,))
    child = resource("child", parent=parent.urn)
    pairs = paired(recording([]), recording([parent, child]))
    assert [pair.fate for pair in pairs] == [Fate.ANEW]


PROGRAM = """
import pulumi
from pulumi_kubernetes.core.v1 import Namespace


class Group(pulumi.ComponentResource):
    def __init__(self, name, opts=None):
        super().__init__("ladder:group:Group", name, None, opts)
        own = pulumi.ResourceOptions(parent=self{inner})
        Namespace(f"{{name}}-namespace", metadata={{"name": "a"}}, opts=pulumi.ResourceOptions(parent=self))
        Namespace("{name}", metadata={{"name": "b"}}, opts=own)


Group("{group}"{outer})
"""


def test_a_renamed_parent_with_an_alias_keeps_its_children(tmp_path: Path, ladder: dict[str, StackSettings]) -> None:
    """The engine hands a parent's aliases on: to children named after it, and to those with aliases of their own."""
    ends: list[Recording] = []
    for number, (group, name, inner, outer) in enumerate(
        (
            ("former", "former-own", "", ""),
            (
                "later",
                "later-own",
                ', aliases=[pulumi.Alias(name="former-own")]',
                ', opts=pulumi.ResourceOptions(aliases=[pulumi.Alias(name="former")])',
            ),
        )
    ):
        root = tmp_path / str(number)
        root.mkdir()
        copy_project(root)
        (root / "__main__.py").write_text(PROGRAM.format(group=group, name=name, inner=inner, outer=outer))
        ends.append(record(ladder["dev"], stack="dev", root=root))
    pairs = paired(*ends)
    found = {pair.resource.name: (pair.fate, pair.before and pair.before.name) for pair in pairs}
    assert found == {"later-namespace": (None, "former-namespace"), "later-own": (None, "former-own")}
