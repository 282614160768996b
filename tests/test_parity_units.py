"""Steps from one environment's settings to another's: each is valid, as small as can be, and the last one arrives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ladder.contract import StackSettings, Varies, settings_from_mapping
from ladder.errors import InputError
from ladder.parity.units import Unit, steps, units
from tests.ladders import changed_settings, shipped_ladder
from tests.strategies import stack_settings


def is_valid(sections: dict[str, Any]) -> bool:
    try:
        settings_from_mapping(sections)
    except InputError:
        return False
    return True


def dump(chosen: StackSettings) -> dict[str, Any]:
    return chosen.model_dump(mode="json", by_alias=True)


def path(unit: Unit) -> str:
    return str(unit)


def test_a_unit_is_the_deepest_field_with_a_reason_or_a_key_of_a_map() -> None:
    ladder = shipped_ladder().settings
    found = {str(unit): unit.reason for unit in units(ladder["staging"], ladder["prod"])}
    assert found["environment.rung"] is Varies.IDENTITY
    assert found["namespaces.services.quota"] is Varies.SCALE
    assert found["buckets.evidence.objectLock.days"] is Varies.DATA
    assert found["delivery.windows.weekdays"] is Varies.ROLLOUT
    assert found["cluster"] is Varies.ENDPOINTS
    assert not {"environment", "delivery", "buckets.evidence", "namespaces.services.quota.pods"} & set(found)


def test_a_field_without_a_reason_is_a_unit_without_one() -> None:
    staging = shipped_ladder().settings["staging"]
    other = changed_settings(
        staging, {"delivery.branch": "release", "images.registries.more": "ghcr.io/acme/more", "scale.factor": 0.4}
    )
    found = {str(unit): unit.reason for unit in units(staging, other)}
    assert found == {"delivery.branch": None, "images.registries.more": None, "scale": Varies.SCALE}


@pytest.mark.parametrize(("lower", "upper"), [("dev", "staging"), ("staging", "prod"), ("prod", "dev")])
def test_every_step_is_valid_and_the_last_is_the_other_environment(lower: str, upper: str) -> None:
    ladder = shipped_ladder().settings
    moving = list(units(ladder[lower], ladder[upper]))
    made = steps(dump(ladder[lower]), dump(ladder[upper]), moving, is_valid)
    assert all(is_valid(step.values) for step in made)
    assert made[-1].values == dump(ladder[upper])
    assert sorted(path(unit) for step in made for unit in step.units) == sorted(map(path, moving))
    together = [{path(unit) for unit in step.units} for step in made if len(step.units) > 1]
    roles = {"cloud.deployerRole", "cloud.keyAdministratorRole", "cloud.anchorRole"}
    account = {"environment.name", "cloud.account", *roles}
    assert together == [account], "one account belongs to one name, and its roles to the account"


@pytest.mark.exhaustive
@settings(max_examples=25)
@given(one=stack_settings(), other=stack_settings())
def test_there_is_a_way_between_any_two_valid_settings(one: StackSettings, other: StackSettings) -> None:
    moving = list(units(one, other))
    made = steps(dump(one), dump(other), moving, is_valid)
    assert all(is_valid(step.values) for step in made)
    assert sum(len(step.units) for step in made) == len(moving)
    assert not made or made[-1].values == dump(other)


@given(
    one=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2)),
    other=st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2)),
    bound=st.integers(0, 6),
)
def test_what_moves_together_cannot_be_moved_by_less(one: dict[str, int], other: dict[str, int], bound: int) -> None:
    """Valid is a sum that is at most so far from the start's or the end's: a rule that joins all keys."""
    start, end = {"a": 0, **one}, {"a": 0, **other}
    sums = (sum(start.values()), sum(end.values()))

    def valid(values: dict[str, Any]) -> bool:
        return min(abs(sum(values.values()) - each) for each in sums) <= bound

    moving = [Unit((key,), None) for key in sorted({*start, *end}) if start.get(key) != end.get(key)]
    made = steps(start, end, moving, valid)
    assert all(valid(step.values) for step in made)
    assert not made or made[-1].values == end
    before = start
    for step in made:
        if len(step.units) > 1:
            for unit in step.units:
                key = str(unit.path[0])
                alone = {name: value for name, value in before.items() if name != key}
                assert not valid(alone | ({key: end[key]} if key in end else {}))
        before = step.values
