"""Synthetic data: the same everywhere and again, in its bounds, related to what is there, and seen to be made up."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import uuid
from collections import Counter
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.contract.seed import KeyColumn
from ladder.seed import hashed
from ladder.seed.columns import NULL, object_key
from ladder.seed.dataset import Dataset, TableData
from ladder.seed.draws import BITS, pick
from sandbox.progress import Silent
from tests.seeds import EVEN, SMALL, made, settings_of, shapes, small
from tests.support import ROOT

PROGRAM = """
import json, sys
from ladder.contract.seed import SeedSettings
from ladder.seed import hashed
from ladder.seed.dataset import dataset
from sandbox.progress import Silent
shape, environment, seed = json.load(sys.stdin)
print(hashed(dataset(SeedSettings.model_validate_json(json.dumps(shape)), environment, seed), Silent()).hash)
"""
WITHOUT_WORDS = "sha256:3b60906699a732b1fe4fd0711fc4224de62a96671b667dc5f57813f3b7bb803d"


def rows_of(table: TableData) -> list[dict[str, str]]:
    blocks = b"".join(table.group(number) for number in range(table.groups)).decode()
    names = [column.name for column in table.columns]
    return [dict(zip(names, line.split("\t"), strict=True)) for line in blocks.splitlines()]


def column_of(settings: dict[str, Any], rows: int = 20_000, **others: Any) -> list[str]:
    """The values of one column that is not null, in a table of its own."""
    table = {"rows": {"dev": rows}, "columns": {"id": {"kind": "key"}, "it": {"nulls": 0, **settings}}}
    dataset = made({"seed": 7, "tables": {"t": table, **others}, "objects": {}})
    return [row["it"] for row in rows_of(dataset.tables[0])]


def hash_of(dataset: Dataset) -> str:
    found = hashed(dataset, Silent()).hash
    assert found is not None
    return found


@pytest.mark.exhaustive
@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_makes_the_same_dataset(hash_seed: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([SMALL, "staging", 7]),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": "Asia/Kathmandu", "LC_ALL": "C"},
    )
    assert finished.stdout.strip() == hash_of(made(SMALL, "staging"))


@pytest.mark.exhaustive
@given(shapes(), st.randoms(use_true_random=False))
def test_groups_made_in_any_order_are_the_stream(shape: dict[str, Any], order: random.Random) -> None:
    for table in made(shape).tables:
        numbers = list(range(table.groups))
        order.shuffle(numbers)
        groups = {number: table.group(number) for number in numbers}
        written: list[bytes] = []
        part = table.stream(written.append, lambda _: None)
        assert b"".join(written) == b"".join(groups[number] for number in range(table.groups))
        assert (part.count, b"".join(written).count(b"\n")) == (table.rows, table.rows)


def test_a_larger_dataset_begins_with_the_smaller_ones_rows() -> None:
    shape = {"seed": 1, "objects": {}, "tables": {"t": {"rows": {"dev": 1500, "staging": 5000}, "columns": {}}}}
    shape["tables"]["t"]["columns"] = {"id": {"kind": "key"}, "mail": {"kind": "email", "nulls": 10}}
    fewer, more = (rows_of(made(shape, name).tables[0]) for name in ("dev", "staging"))
    assert (len(fewer), len(more)) == (1500, 5000)
    assert more[:1500] == fewer


@pytest.mark.parametrize(
    "change",
    [
        lambda shape: shape["tables"]["order"]["columns"]["state"]["weights"].update(paid=4),
        lambda shape: shape["tables"]["order"]["rows"].update(dev=1101),
        lambda shape: shape["tables"]["people"]["columns"]["name"].update(nulls=1),
        lambda shape: shape["objects"]["uploads"].update(maxBytes=3001),
        lambda shape: shape["tables"]["order"].update(
            columns=dict(reversed(shape["tables"]["order"]["columns"].items()))
        ),
    ],
)
def test_another_shape_is_another_recipe_and_another_dataset(change: Any) -> None:
    shape = small()
    change(shape)
    assert made(shape).recipe != made(SMALL).recipe
    assert hash_of(made(shape)) != hash_of(made(SMALL))


def test_another_seed_or_environment_is_another_dataset() -> None:
    datasets = [made(SMALL), made(SMALL, seed=8), made(SMALL, "staging"), made(SMALL, "preview")]
    assert len({each.recipe for each in datasets}) == len({hash_of(each) for each in datasets}) == len(datasets)


def test_another_environments_counts_leave_the_recipe_as_it_is() -> None:
    shape = small()
    shape["tables"]["order"]["rows"]["staging"] = 9
    assert made(shape).recipe == made(SMALL).recipe


def test_columns_do_not_depend_on_their_neighbours() -> None:
    shape = small()
    del shape["tables"]["order"]["columns"]["gift"]
    before, after = (rows_of(made(each).tables[1]) for each in (SMALL, shape))
    assert [{name: value for name, value in row.items() if name != "gift"} for row in before] == after


@pytest.mark.exhaustive
@given(shapes())
def test_whatever_the_contract_accepts_is_made_as_it_says(shape: dict[str, Any]) -> None:
    settings, dataset = settings_of(shape), made(shape)
    for table in dataset.tables:
        columns, rows = settings.tables[table.name].columns, rows_of(table)
        assert len(rows) == table.rows == settings.tables[table.name].rows["dev"]
        for name, column in columns.items():
            found = [row[name] for row in rows]
            if isinstance(column, KeyColumn):
                assert found == [str(number) for number in range(1, len(rows) + 1)]
                continue
            assert NULL not in found or column.nulls
            assert set(found) == {NULL} or column.nulls < 100
            for value in set(found) - {NULL}:
                check(column, value, settings.model_dump(mode="json"))
    for objects in dataset.objects:
        sizes = list(objects.sizes())
        assert len(sizes) == objects.count
        assert all(objects.settings.min_bytes <= size <= objects.settings.max_bytes for size in sizes)
        assert [len(objects.body(index, size)) for index, size in enumerate(sizes)] == sizes


def check(column: Any, value: str, shape: dict[str, Any]) -> None:
    match column.kind:
        case "reference":
            assert 1 <= int(value) <= shape["tables"][column.table]["rows"]["dev"]
        case "object":
            keys = [object_key(index) for index in range(shape["objects"][column.bucket]["count"]["dev"])]
            assert value in keys
        case "integer":
            assert column.min <= int(value) <= column.max
        case "decimal":
            assert re.fullmatch(rf"-?\d+\.\d{{{column.digits}}}", value)
            assert column.min <= float(value) <= column.max
        case "timestamp":
            day, time = value.split(" ")
            assert date.fromisoformat(column.first) <= date.fromisoformat(day) <= date.fromisoformat(column.last)
            assert re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d\+00", time)
        case "boolean":
            assert value in {"t", "f"}
        case "choice":
            assert value in column.weights
        case "uuid":
            assert (uuid.UUID(value).version, uuid.UUID(value).variant) == (4, uuid.RFC_4122)
        case "email":
            assert re.fullmatch(r"[a-z]+\.[a-z]+\.\d+@example\.com", value)
        case "phone":
            assert re.fullmatch(r"\+1-[2-9]\d\d-555-01\d\d", value)
        case kind:
            assert kind == "text"
            assert value
            assert re.search(r"[\x00-\x1f\\]", value) is None


def test_addresses_and_random_ids_are_each_another_one() -> None:
    for kind in ("email", "uuid"):
        found = column_of({"kind": kind}, 50_000)
        assert len(set(found)) == len(found)


@pytest.mark.parametrize("power", [2, 3, 8])
@pytest.mark.parametrize("kind", ["low", "high"])
def test_half_of_what_is_skewed_lies_in_the_last_part_of_its_range(kind: str, power: int) -> None:
    spread = {"kind": kind, "power": power}
    found = list(map(int, column_of({"kind": "integer", "min": 0, "max": 2**32, "spread": spread})))
    part = 2 ** (32 - power)
    inside = sum(value < part if kind == "low" else value > 2**32 - part for value in found)
    assert inside / len(found) == pytest.approx(0.5, abs=0.02)


def test_an_even_spread_is_even_and_a_bell_is_not() -> None:
    thirds: dict[str, list[float]] = {}
    for kind in ("even", "bell"):
        found = column_of({"kind": "integer", "min": 0, "max": 2, "spread": {"kind": kind}})
        thirds[kind] = [Counter(found)[str(third)] / len(found) for third in range(3)]
    assert thirds["even"] == pytest.approx([1 / 3, 1 / 3, 1 / 3], abs=0.02)
    # The sum of three numbers below one is itself below one a time in six.
    assert thirds["bell"] == pytest.approx([1 / 6, 2 / 3, 1 / 6], abs=0.02)


def test_weights_and_shares_are_kept() -> None:
    found = Counter(column_of({"kind": "choice", "weights": {"a": 70, "b": 25, "c": 5}}))
    assert [found[word] / 20_000 for word in "abc"] == pytest.approx([0.7, 0.25, 0.05], abs=0.02)
    assert Counter(column_of({"kind": "boolean", "percent": 10}))["t"] / 20_000 == pytest.approx(0.1, abs=0.02)
    assert column_of({"kind": "phone", "nulls": 35}).count(NULL) / 20_000 == pytest.approx(0.35, abs=0.02)


def test_both_ends_of_a_range_are_reached() -> None:
    for spread in (EVEN, {"kind": "low", "power": 2}, {"kind": "high", "power": 2}):
        found = set(column_of({"kind": "integer", "min": -2, "max": 2, "spread": spread}))
        assert found == {"-2", "-1", "0", "1", "2"}


def test_some_rows_have_many_more_references_than_others() -> None:
    parents = {"rows": {"dev": 1000}, "columns": {"id": {"kind": "key"}}}
    spread = {"kind": "low", "power": 4}
    found = Counter(column_of({"kind": "reference", "table": "p", "spread": spread}, p=parents))
    most = sum(count for _, count in found.most_common(63))
    assert most / 20_000 == pytest.approx(0.5, abs=0.03)
    assert max(map(int, found)) > 900


def test_objects_say_that_they_are_made_up_and_are_what_the_hash_is_of() -> None:
    (objects,) = made(SMALL).objects
    written: dict[str, bytes] = {}
    part = objects.stream(written.__setitem__, lambda _: None)
    assert list(written) == [object_key(index) for index in range(12)]
    assert all(body[:16] == b"synthetic object"[: len(body)] for body in written.values())
    assert part.count == len(written)
    lines = [["uploads"], *([key, len(body), hashlib.sha256(body).hexdigest()] for key, body in written.items())]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    assert part.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_a_hash_of_numbers_alone_is_what_it_was_when_the_generator_got_its_version() -> None:
    """Of no word, which another release of the library may have changed: whoever changes this changes GENERATOR."""
    shape = small()
    for table in shape["tables"].values():
        for name in [name for name, column in table["columns"].items() if column["kind"] in {"text", "email"}]:
            del table["columns"][name]
    assert hash_of(made(shape)) == WITHOUT_WORDS


def test_the_largest_draw_is_still_inside() -> None:
    for size in (1, 3, 2**32, 2**62 + 1):
        assert (pick(0, size), pick(2**BITS - 1, size)) == (0, size - 1)
