"""Where two JSON values differ."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.differences import ABSENT, differences, is_walkable, opened, renamed

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def found(left: Any, right: Any, **options: Any) -> list[tuple[str, Any, Any]]:
    return list(differences(left, right, **options))


@given(value=VALUES)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert found(value, json.loads(json.dumps(value)), keyed=True) == []


@given(left=VALUES, right=VALUES)
def test_values_that_differ_have_a_difference(left: Any, right: Any) -> None:
    assert bool(found(left, right)) is (left != right)
    assert bool(found(left, right, keyed=True)) is (left != right)


def test_a_leaf_is_named_by_its_dotted_path() -> None:
    assert found({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}) == [("a.b[1]", 2, 3)]
    assert found({"a": 1}, {"b": 1}) == [("a", 1, ABSENT), ("b", ABSENT, 1)]


def test_null_is_a_value_unless_it_stands_for_nothing() -> None:
    assert found({"a": None}, {}) == [("a", None, ABSENT)]
    assert found({"a": None}, {}, absent=None) == []


def test_a_subset_overlooks_what_only_the_right_has() -> None:
    assert found({"a": {}}, {"a": {"b": 1}, "c": 2}, subset=True) == []


@pytest.mark.parametrize(
    ("left", "right", "paths"),
    [
        (["a", "b"], ["a", "c"], ["[b]", "[c]"]),
        ([], ["a"], ["[a]"]),
        ([{"Sid": "A", "n": 1}, {"Sid": "B"}], [{"Sid": "B"}, {"Sid": "A", "n": 2}], ["[A].n"]),
        ([{"name": "x", "n": 1}], [{"name": "x", "n": 1}, {"name": "y"}], ["[y]"]),
        (["b", "a"], ["a", "b"], ["[0]", "[1]"]),
        (["a", "a"], ["a"], [""]),
        ([{"n": 1}], [{"n": 1}, {"n": 2}], [""]),
        ([{"Sid": "A"}, {"Sid": "A"}], [{"Sid": "A"}], [""]),
        ([1], [1, 2], [""]),
    ],
)
def test_things_with_names_are_compared_by_name(left: list[Any], right: list[Any], paths: list[str]) -> None:
    assert [path for path, _, _ in found(left, right, keyed=True)] == paths


def test_a_document_in_a_string_is_compared_inside_and_its_lists_as_sets() -> None:
    left, right = ({"policy": json.dumps({"Action": actions})} for actions in (["a", "b"], ["b", "a"]))
    assert found(opened(left), opened(right)) == []


@pytest.mark.parametrize("text", ["{{.environment}}", "[secret]", "{", "x", "[" * 5000, "[" * 200 + "]" * 200])
def test_what_is_no_document_stays_text(text: str) -> None:
    assert opened({"a": text}) == {"a": text}


def test_a_document_inside_a_document_stays_text() -> None:
    inner = json.dumps({"b": 1})
    assert opened(json.dumps({"a": inner})) == {"a": inner}


def test_a_value_nested_without_end_is_not_walked() -> None:
    value: Any = 0
    for _ in range(500):
        value = [value]
    assert not is_walkable(value)
    assert is_walkable([[1], {"a": [2]}])


def test_names_are_replaced_wherever_they_stand() -> None:
    assert renamed({"a": ["x-old", 1], "old": None}, {"old": "new"}) == {"a": ["x-new", 1], "old": None}
