"""What gates were decided by is kept as it was, and read back as it was kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.promotion import Broken
from ladder.promotion.kept import as_samples, read_samples, report_file
from tests.promotion.ladders import PROMOTION, digest

NAMES = st.sampled_from(("api", "web", "worker"))
VALUES = st.floats(allow_nan=False, allow_infinity=False)
GOOD: Mapping[str, Any] = {"environment": "staging", "first": 0, "step": 300, "services": {"web": [0.99, None]}}


@given(st.integers(0, 2**31), st.integers(1, 3600), st.integers(1, 20), st.data())
def test_samples_are_read_as_they_were_taken(first: int, step: int, count: int, data: st.DataObject) -> None:
    at = range(first, first + step * count, step)
    measured = st.dictionaries(st.sampled_from(at), VALUES).map(lambda found: tuple(found.items()))
    taken = data.draw(st.dictionaries(NAMES, measured, min_size=1))
    samples = read_samples(as_samples("staging", at, taken))
    for name, found in taken.items():
        values = samples.services[name]
        assert len(values) == count
        read = {samples.first + samples.step * number: value for number, value in enumerate(values)}
        assert {time: value for time, value in read.items() if value is not None} == dict(found)


@pytest.mark.parametrize(
    "changed",
    [
        {"services": {}},
        {"services": {"web": [True]}},
        {"services": {"web": ["0.99"]}},
        {"services": {"Web": [0.99]}},
        {"step": 0},
        {"first": 0.5},
        {"more": 1},
        {"environment": "../staging"},
    ],
)
def test_what_holds_no_samples_is_broken(changed: dict[str, Any]) -> None:
    read_samples(json.dumps(GOOD).encode())
    with pytest.raises(Broken, match="holds no samples"):
        read_samples(json.dumps({**GOOD, **changed}).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", json.dumps(GOOD).replace("0.99", "NaN").encode()])
def test_what_is_no_json_is_broken(content: bytes) -> None:
    with pytest.raises(Broken, match="holds no samples"):
        read_samples(content)


def test_a_report_lies_beside_the_chains_by_its_digest() -> None:
    held = digest("x")
    assert report_file(PROMOTION.evidence, held) == f"evidence/reports/{held.removeprefix('sha256:')}.json"
