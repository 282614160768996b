"""Whether a change keeps the order of the ladder: by the rungs in the settings, not by the stacks' names."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ladder.changes.order import below
from ladder.changes.report import Danger
from ladder.contract import StackSettings, settings_from_mapping
from ladder.recording import Recording
from tests.changed import report, stack, with_change
from tests.conftest import BUCKET, QUOTA, Recordings
from tests.rule_changes import Change, gone, put

pytestmark = pytest.mark.exhaustive

FIRST = "is passed over: this comes here without having been there"
OWN = "cannot meet this first: these values are this environment's own"
LABEL = put("metadata.labels.team", "new")


def ends(recordings: Recordings) -> dict[str, Recording | str]:
    return {each.stack: each for each in recordings}


def reached(before: dict[str, Any], after: dict[str, Any], ladder: dict[str, StackSettings]) -> list[tuple[str, ...]]:
    """Each caution of order: where, the rung below, what is said, and of what."""
    found = [each for each in report(before, after, ladder).cautions() if each.danger is Danger.ORDER]
    return [(each.where, each.subject, each.message, *each.details) for each in found]


def changed(recordings: Recordings, stacks: str, change: Change, name: str = "services-quota") -> dict[str, Any]:
    own = ends(recordings)
    return own | {each: with_change(recordings[each], QUOTA, name, change) for each in stacks.split()}


def test_what_changes_in_prod_alone_is_out_of_order(recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    found = reached(ends(recordings), changed(recordings, "prod", LABEL), ladder)
    assert found == [("prod", "staging", FIRST, "ResourceQuota services-quota metadata.labels.team")]


def test_what_changes_in_staging_alone_passes_dev_over(
    recordings: Recordings, ladder: dict[str, StackSettings]
) -> None:
    found = reached(ends(recordings), changed(recordings, "staging", LABEL), ladder)
    assert [each[:3] for each in found] == [("staging", "dev", FIRST)]


@pytest.mark.parametrize("stacks", ["dev", "dev staging", "dev staging prod"])
def test_what_climbs_is_in_order(stacks: str, recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    assert reached(ends(recordings), changed(recordings, stacks, LABEL), ladder) == []


def test_what_stands_below_already_is_in_order(recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    """The last step of a change that climbs by one pull request for each rung."""
    before = changed(recordings, "dev staging", LABEL)
    after = changed(recordings, "dev staging prod", LABEL)
    assert reached(before, after, ladder) == []


def test_a_value_of_the_environments_own_is_told_apart(
    recordings: Recordings, ladder: dict[str, StackSettings]
) -> None:
    found = reached(ends(recordings), changed(recordings, "prod", put("spec.hard.pods", "1")), ladder)
    assert found == [("prod", "staging", OWN, "ResourceQuota services-quota spec.hard.pods")]


def test_a_resource_that_comes_or_goes_in_prod_alone_is_out_of_order(
    recordings: Recordings, ladder: dict[str, StackSettings]
) -> None:
    without = changed(recordings, "prod", gone)
    found = reached(ends(recordings), without, ladder)
    assert found == [("prod", "staging", FIRST, "ResourceQuota services-quota")]
    assert reached(without, ends(recordings), ladder) == []
    nowhere = changed(recordings, "staging prod", gone)
    only_prod = nowhere | {"prod": recordings["prod"]}
    assert reached(nowhere, only_prod, ladder) == [("prod", "staging", FIRST, "ResourceQuota services-quota")]


def test_names_of_the_environment_are_no_difference(recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    """A bucket is called otherwise everywhere; renamed by the same rule everywhere, it is in step."""
    names = {each: f"acme-shop-{each}-incoming" for each in ladder}
    before = ends(recordings)
    after = {
        each: with_change(recordings[each], BUCKET, "uploads", put("bucket", name)) for each, name in names.items()
    }
    assert reached(before, after, ladder) == []
    assert reached(before | {"staging": after["staging"], "dev": after["dev"]}, after, ladder) == []
    found = reached(before, before | {"prod": after["prod"]}, ladder)
    assert [each[:4] for each in found] == [("prod", "staging", FIRST, "Bucket uploads bucket")]


def test_the_rung_and_not_the_name_decides(ladder: dict[str, StackSettings]) -> None:
    def on(stack: str, rung: str) -> StackSettings:
        sections = copy.deepcopy(ladder[stack].model_dump(mode="json", by_alias=True))
        sections["environment"]["rung"] = rung
        return settings_from_mapping(sections)

    assert below(ladder) == {"staging": "dev", "prod": "staging"}
    assert below({"a": on("staging", "staging"), "z": on("dev", "dev")}) == {"a": "z"}
    assert below({"alone": ladder["prod"]}) == {}
    assert below({name: ladder[name] for name in ("dev", "prod")}) == {"prod": "dev"}


def test_a_rung_that_could_not_be_recorded_is_passed_to_the_one_below(
    recordings: Recordings, ladder: dict[str, StackSettings]
) -> None:
    before, after = ends(recordings), changed(recordings, "prod", LABEL)
    found = reached(before | {"staging": "it fails"}, after, ladder)
    assert [each[:2] for each in found] == [("prod", "dev")]


def overlays(prod: str, staging: str, **prod_values: Any) -> dict[str, Any]:
    values = {"tier": "full", "features": {}}
    return {
        f"{name}/web": {"values": {**values, **more}, "version": {"image": {"digest": digest}}}
        for name, digest, more in (("prod", prod, prod_values), ("staging", staging, {}))
    }


@pytest.mark.parametrize(
    ("before", "after", "out_of_order"),
    [
        (("old", "old"), ("new", "old"), True),
        (("old", "old"), ("new", "new"), False),
        (("old", "new"), ("new", "new"), False),
        (("old", "new"), ("new", "newest"), False),
        (("old", "new"), ("other", "new"), True),
        (("old", "new"), ("other", "newest"), True),
        (("old", "old"), ("old", "new"), False),
    ],
)
def test_a_digest_climbs_the_ladder(
    before: tuple[str, str], after: tuple[str, str], out_of_order: bool, ladder: dict[str, StackSettings]
) -> None:
    found = report({}, {}, ladder, (overlays(*before), overlays(*after))).tree
    in_prod = [(each.subject, each.danger, *each.details) for each in found.cautions if each.where == "prod"]
    assert in_prod == [("staging", Danger.ORDER, f"web image {after[0]}")] * out_of_order
    paths = [each.path for service in found.services for each in service.properties]
    assert set(paths) == {"version.image.digest"}


def test_a_flag_turned_on_in_prod_alone_is_out_of_order(ladder: dict[str, StackSettings]) -> None:
    found = report({}, {}, ladder, (overlays("a", "a"), overlays("a", "a", features={"new": True}))).tree
    (caution,) = [each for each in found.cautions if each.where == "prod"]
    assert (caution.subject, caution.message, caution.details) == ("staging", FIRST, ("web features.new",))


def test_a_service_that_goes_and_a_tier_that_changes_may_lose_data(ladder: dict[str, StackSettings]) -> None:
    before, after = overlays("a", "a"), overlays("a", "a", tier="lite")
    tier = report({}, {}, ladder, (before, after)).tree
    assert ["stores" in each.message for each in tier.cautions if each.danger is Danger.DATA] == [True]
    del after["prod/web"]
    removed = report({}, {}, ladder, (before, after)).tree
    assert [each.message.partition(":")[0] for each in removed.cautions if each.danger is Danger.DATA] == [
        "is no longer delivered"
    ]


def test_stacks_stand_in_the_ladders_order(recordings: Recordings, ladder: dict[str, StackSettings]) -> None:
    found = report(ends(recordings), ends(recordings), ladder)
    assert [each.name for each in found.stacks] == ["dev", "staging", "prod"]
    assert [stack(found, each).rung for each in ladder] == [own.environment.rung for own in ladder.values()]
    assert found.is_empty
