"""The shape of synthetic data: what is wrong with one is told at its place, and none can name a source of data."""

from __future__ import annotations

import functools
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ladder.check.procedures import procedures
from ladder.contract import StackSettings, ladder_settings, settings_from_mapping
from ladder.contract.seed import SEED, read_seed, seeded
from ladder.errors import InputError, Problem
from ladder.schemas import schemas
from ladder.strict_yaml import load
from tests.checked import shipped
from tests.seeds import SMALL, project_with, settings_of, shapes, small
from tests.support import ROOT, copy_project, run_ladder, settings_sections

SCHEMA: dict[str, Any] = json.loads(schemas()["schemas/seed.schema.json"])
Change = Callable[[dict[str, Any]], object]


def problems(root: Path, change: Change) -> list[Problem]:
    shape = small()
    change(shape)
    project = project_with(root, shape)
    with pytest.raises(InputError) as raised:
        read_seed(project.root, ladder_settings(project.root))
    return list(raised.value.problems)


def column(name: str, **changed: Any) -> Change:
    return lambda shape: shape["tables"]["order"]["columns"][name].update(changed)


def without(*path: str) -> Change:
    def change(shape: dict[str, Any]) -> None:
        place: Any = shape
        for part in path[:-1]:
            place = place[part]
        del place[path[-1]]

    return change


ORDER = "tables.order.columns"
BAD: dict[str, tuple[Change, str, str, str]] = {
    "a kind there is not": (column("state", kind="choise"), f"{ORDER}.state.kind", "is not accepted", "choice"),
    "no map": (
        lambda shape: shape["tables"]["order"]["columns"].update(state="paid"),
        f"{ORDER}.state",
        "is not accepted",
        "a map",
    ),
    "no kind": (without("tables", "order", "columns", "state", "kind"), f"{ORDER}.state.kind", "is missing", "key"),
    "a kind that is no text": (column("state", kind=[]), f"{ORDER}.state.kind", "is not accepted", "reference"),
    "a spread there is not": (
        column("items", spread={"kind": "normal"}),
        f"{ORDER}.items.spread.kind",
        "is not accepted",
        "even, bell, low, high",
    ),
    "a key of another kind": (column("state", percent=3), f"{ORDER}.state.percent", "is an unknown key", "weights"),
    "a missing key": (
        without("tables", "order", "columns", "total", "digits"),
        f"{ORDER}.total.digits",
        "is missing",
        "",
    ),
    "too much skew": (
        column("user", spread={"kind": "low", "power": 17}),
        f"{ORDER}.user.spread.power",
        "not accepted",
        "16",
    ),
    "text for a number": (column("items", min="0"), f"{ORDER}.items.min", "not accepted", "a whole number"),
    "a table there is not": (column("user", table="users"), f"{ORDER}.user.table", "names no table", "people, order"),
    "a bucket without objects": (
        column("receipt", bucket="exports"),
        f"{ORDER}.receipt.bucket",
        "names no bucket",
        "uploads",
    ),
    "a bucket that no stack has": (
        lambda shape: shape["objects"].update(pictures=shape["objects"]["uploads"]),
        "objects.pictures",
        "no stack declares",
        "uploads",
    ),
    "a range turned around": (column("items", min=41), f"{ORDER}.items.min", "is above max", "40"),
    "days turned around": (
        column("placed", first="2030-02-01"),
        f"{ORDER}.placed.first",
        "is above last",
        "2030-01-31",
    ),
    "sizes turned around": (
        lambda shape: shape["objects"]["uploads"].update(minBytes=3001),
        "objects.uploads.minBytes",
        "is above maxBytes",
        "3000",
    ),
    "a table without a key": (
        without("tables", "order", "columns", "id"),
        ORDER,
        "must have one key",
        "exactly one column",
    ),
    "two keys": (
        lambda shape: shape["tables"]["order"]["columns"].update(other={"kind": "key"}),
        ORDER,
        "must have one key",
        "exactly one column",
    ),
    "a column that PostgreSQL has": (
        lambda shape: shape["tables"]["order"]["columns"].update(xmin={"kind": "uuid", "nulls": 0}),
        f"{ORDER}.xmin",
        "PostgreSQL has in every table",
        "no system column",
    ),
    "rows for prod": (
        lambda shape: shape["tables"]["order"]["rows"].update(prod=5),
        "tables.order.rows.prod",
        "the stack's data is real",
        "preview, dev, staging",
    ),
    "rows for an environment there is not": (
        lambda shape: shape["tables"]["order"]["rows"].update(qa=5),
        "tables.order.rows.qa",
        "is no environment",
        "preview, dev, staging",
    ),
    "no rows for an environment": (
        without("tables", "order", "rows", "staging"),
        "tables.order.rows",
        "lacks the environment 'staging'",
        "preview, dev, staging",
    ),
    "an empty table": (
        lambda shape: shape["tables"]["order"]["rows"].update(dev=0),
        "tables.order.rows.dev",
        "not accepted",
        "greater than or equal to 1",
    ),
    "a dump": (
        lambda shape: shape.update(restore="dumps/prod.sql"),
        "restore",
        "is an unknown key",
        "seed, tables, objects",
    ),
}


def test_the_shipped_shape_is_of_every_environment_without_real_data() -> None:
    stacks = ladder_settings(ROOT)
    settings = read_seed(ROOT, stacks)
    assert settings is not None
    assert seeded(ROOT, stacks) == ("preview", "dev", "staging")
    assert {frozenset(counts) for _, counts in settings.counts()} == {frozenset({"preview", "dev", "staging"})}


def test_the_shipped_shape_points_to_its_schema_in_its_first_line_and_validates() -> None:
    first = (ROOT / SEED).read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=schemas/seed.schema.json"
    assert list(Draft202012Validator(SCHEMA).iter_errors(load(ROOT / SEED).value)) == []


@pytest.mark.exhaustive
@given(shapes())
def test_what_the_contract_accepts_the_schema_does_too(shape: dict[str, Any]) -> None:
    settings_of(shape)
    assert list(Draft202012Validator(SCHEMA).iter_errors(shape)) == []


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in the shape, its own first."""
    yield path
    for key, below in value.items() if isinstance(value, dict) else ():
        yield from places(below, (*path, key))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8) | st.just("kind"), below, max_size=3)
    ),
    max_leaves=6,
)


@given(place=st.sampled_from(list(places(SMALL))), value=JSON)
def test_whatever_stands_in_a_shape_is_taken_or_told_with_its_place(place: tuple[Any, ...], value: Any) -> None:
    shape: Any = {"whole": small()}
    parents, last = ("whole", *place)[:-1], ("whole", *place)[-1]
    holder = shape
    for key in parents:
        holder = holder[key]
    holder[last] = value
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "gitops" / "envs" / "preview").mkdir(parents=True)
        (Path(scratch) / SEED).write_text(json.dumps(shape["whole"]), encoding="utf-8")
        for problem in told_of(Path(scratch)):
            assert problem.file == SEED
            assert problem.message


def told_of(root: Path) -> tuple[Problem, ...]:
    """What is wrong with the shape; nothing where it is taken."""
    try:
        read_seed(root, ladder_of_the_project())
    except InputError as error:
        return error.problems
    return ()


@functools.cache
def ladder_of_the_project() -> dict[str, StackSettings]:
    return ladder_settings(ROOT)


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_shape_is_told_at_its_place(name: str, tmp_path: Path) -> None:
    change, path, says, accepted = BAD[name]
    told = [problem for problem in problems(tmp_path, change) if problem.path == path]
    assert len(told) == 1, problems
    (problem,) = told
    assert problem.file == SEED
    assert says in problem.message
    assert accepted in problem.accepted
    lines = (tmp_path / SEED).read_text(encoding="utf-8").splitlines()
    words = path.split(".")
    assert any(f'"{word}"' in lines[problem.line - 1] for word in words[-2:])


def test_the_small_shape_itself_is_accepted(tmp_path: Path) -> None:
    project = project_with(tmp_path, SMALL)
    assert read_seed(project.root, ladder_settings(project.root)) == settings_of(SMALL)


def test_checks_refuse_a_project_whose_shape_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = small()
    shape["tables"]["order"]["rows"]["prod"] = 1
    monkeypatch.setenv("LADDER_ROOT", str(project_with(tmp_path, shape).root))
    outcome = run_ladder(capsys, "check", "--no-render")
    assert outcome.code == 2
    assert f"{SEED}:" in outcome.err
    assert "the stack's data is real" in outcome.err


def test_a_project_without_a_shape_has_none(tmp_path: Path) -> None:
    project = copy_project(tmp_path)
    assert read_seed(project.root, ladder_settings(project.root)) is None


def texts(schema: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of a text, of values and of keys."""
    if isinstance(schema, list):
        for item in schema:
            yield from texts(item, name)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "string":
        yield name, schema
    for pattern in schema.get("patternProperties", {}):
        yield f"{name} key", {"type": "string", "pattern": pattern}
    for key, below in schema.items():
        if key not in {"examples", "required"}:
            yield from texts(below, key)


@pytest.mark.parametrize(
    "source",
    [
        *(
            "dumps/prod.sql",
            "./prod",
            "../x",
            "/var/lib/x",
            "s3://bucket/key",
            "https://acme.com",
            "file:x",
            "prod.dump",
        ),
        *("postgresql://prod/db", "prod.acme.com", "snap:prod", "arn:aws:rds:eu-west-1:1:snapshot:x", "a b", "x;y"),
        *("SELECT 1", "COPY t FROM PROGRAM 'x'", "pg_restore -d x", "$(x)", "`x`", "x'y", 'x"y', "x\ny", "a=b", ""),
    ],
)
def test_no_text_of_a_shape_can_be_a_path_a_url_or_a_statement(source: str) -> None:
    found = list(texts(SCHEMA))
    assert len(found) > 20
    for name, schema in found:
        closed = schema.get("enum") or ([schema["const"]] if "const" in schema else None)
        assert closed or "pattern" in schema, name
        assert source not in closed if closed else re.search(schema["pattern"], source) is None, name


def anonymized(expires: str) -> dict[str, Any]:
    sections = settings_sections("staging")
    procedure = {"name": "k-2031", "report": f"sha256:{'0' * 64}", "owner": "team-data", "expires": expires}
    sections["data"] |= {"class": "anonymized", "procedure": procedure}
    return sections


@pytest.mark.parametrize(("day", "found"), [("2031-12-30", 0), ("2031-12-31", 0), ("2032-01-01", 1)])
def test_a_procedures_word_counts_until_its_last_day(day: str, found: int) -> None:
    from dataclasses import replace

    stack = replace(shipped().stacks["staging"], settings=settings_from_mapping(anonymized("2031-12-31")))
    findings = list(procedures(stack, date.fromisoformat(day)))
    assert len(findings) == found
    for finding in findings:
        assert finding.rule == "data/procedure-expired"
        assert finding.where.startswith("Pulumi.staging.yaml:")
        assert (finding.path, finding.found) == ("config.ladder:data.procedure.expires", "2031-12-31")
        assert "team-data" in finding.mend


@pytest.mark.exhaustive
def test_an_expired_procedure_is_a_finding_of_the_check_and_no_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy_project(tmp_path)
    report = f"sha256:{'0' * 64}"
    for stack, class_ in (("staging", "synthetic"), ("prod", "real")):
        project.edit(
            stack,
            f"class: {class_}\n    procedure: null",
            f"class: anonymized\n    procedure: {{name: k, report: '{report}', owner: me, expires: '2020-12-31'}}",
        )
    monkeypatch.setenv("LADDER_ROOT", str(project.root))
    outcome = run_ladder(capsys, "check", "--no-render", "--format", "json")
    assert outcome.code == 1
    findings = [each for each in json.loads(outcome.out)["findings"] if each["rule"] == "data/procedure-expired"]
    assert [each["where"].partition(":")[0] for each in findings] == ["Pulumi.prod.yaml", "Pulumi.staging.yaml"]


def test_a_key_of_another_kind_is_told_whose_it_is(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, column("state", percent=3))
    assert problem.example == "it belongs to kind: boolean"
