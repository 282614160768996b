"""How a candidate climbs, as a file: the shipped one is right, and what is wrong with another is told at its place."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from ladder.contract.promotion import PROMOTION, Freeze, Promotion, read_promotion
from ladder.contract.types import Moment
from ladder.errors import InputError, Problem
from ladder.schemas import schemas
from ladder.strict_yaml import load
from tests.support import ROOT

SCHEMA: dict[str, Any] = json.loads(schemas()["schemas/promotion.schema.json"])
VALIDATOR = Draft202012Validator(SCHEMA)
SHIPPED: dict[str, Any] = dict(load(ROOT / PROMOTION).value)
DIGEST = "sha256:" + "0a" * 32
Change = Callable[[dict[str, Any]], object]


def shipped() -> dict[str, Any]:
    return copy.deepcopy(SHIPPED)


def written(root: Path, document: Any) -> Path:
    """The document as a file with a key on each line."""
    (root / PROMOTION).write_text(json.dumps(document, indent=2), encoding="utf-8")
    return root


def told(root: Path) -> tuple[Problem, ...]:
    """What is wrong with the file; nothing where it is taken."""
    try:
        read_promotion(root)
    except InputError as error:
        return error.problems
    return ()


def put(path: str, value: Any) -> Change:
    *parents, last = path.split(".")

    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for part in parents:
            place = place[part]
        place[last] = value

    return change


def without(path: str) -> Change:
    *parents, last = path.split(".")

    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for part in parents:
            place = place[part]
        del place[last]

    return change


def test_the_shipped_file_is_accepted_and_says_what_it_says() -> None:
    promotion = read_promotion(ROOT)
    assert promotion.checks.all() == ("scan", "test")
    assert promotion.soak_time == timedelta(hours=24)
    assert promotion.revoked == {}
    signers = promotion.evidence.signers
    assert signers.request.subject == (
        "https://github.com/acme/environment-ladder/.github/workflows/promote.yml@refs/heads/main"
    )
    assert len({each.subject for each in (signers.request, signers.approval, signers.observed, signers.load)}) == 4


def test_the_shipped_file_points_to_its_schema_in_its_first_line_and_validates() -> None:
    first = (ROOT / PROMOTION).read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=schemas/promotion.schema.json"
    assert list(VALIDATOR.iter_errors(SHIPPED)) == []


def test_without_the_file_nothing_climbs(tmp_path: Path) -> None:
    (problem,) = told(tmp_path)
    assert (problem.file, problem.message) == (PROMOTION, "is missing: without it nothing climbs")
    assert "schemas/promotion.schema.json" in problem.accepted


YEAR_END = "freezes.year-end"
SIGNERS = "evidence.signers"

BAD: dict[str, tuple[Change, str, str, str, str]] = {
    "a freeze that ends before it begins": (
        put(f"{YEAR_END}.until", "2026-12-19T23:59:59Z"),
        f"{YEAR_END}.until",
        "ends before it begins",
        "2026-12-19T23:59:59Z",
        "a time after 2026-12-20T00:00:00Z",
    ),
    "a freeze that ends as it begins": (
        put(f"{YEAR_END}.until", "2026-12-20T00:00:00Z"),
        f"{YEAR_END}.until",
        "ends before it begins",
        "2026-12-20T00:00:00Z",
        "a time after 2026-12-20T00:00:00Z",
    ),
    "a step longer than the soak": (
        put("soak.step", "24h0m1s"),
        "soak.step",
        "is longer than the soak: there would be one sample",
        "24h0m1s",
        "at most 24h",
    ),
    "no check that is asked for": (
        put("checks.required", {"test": False}),
        "checks.required",
        "asks for no check",
        "none that is true",
        "at least one check's name, true",
    ),
    "no check": (put("checks.required", {}), "checks.required", "is not accepted", "{}", "at least 1 item"),
    "who asks approves": (
        put(f"{SIGNERS}.approval", SHIPPED["evidence"]["signers"]["request"]),
        f"{SIGNERS}.approval.workflow",
        "signs for request too",
        ".github/workflows/promote.yml",
        "a workflow of its own",
    ),
    "who asks sees": (
        put(f"{SIGNERS}.observed", SHIPPED["evidence"]["signers"]["request"]),
        f"{SIGNERS}.observed.workflow",
        "signs for request too",
        ".github/workflows/promote.yml",
        "a workflow of its own",
    ),
    "who sees loads": (
        put(f"{SIGNERS}.load", SHIPPED["evidence"]["signers"]["observed"]),
        f"{SIGNERS}.load.workflow",
        "signs for observed too",
        ".github/workflows/observe.yml",
        "a workflow of its own",
    ),
    "a signer by another path": (
        put(f"{SIGNERS}.request.workflow", "promote.yml"),
        f"{SIGNERS}.request.workflow",
        "does not have the required form",
        '"promote.yml"',
        "a workflow's file in its repository",
    ),
    "a signer at a branch's short name": (
        put("builds.signer.ref", "main"),
        "builds.signer.ref",
        "does not have the required form",
        '"main"',
        "a branch or tag, by its whole name",
    ),
    "a day that there is not": (
        put(f"{YEAR_END}.from", "2026-02-30T00:00:00Z"),
        f"{YEAR_END}.from",
        "is a time that does not exist",
        '"2026-02-30T00:00:00Z"',
        "a time of UTC, quoted",
    ),
    "a threshold of nothing": (put("soak.threshold", 0), "soak.threshold", "is not accepted", "0", "greater than 0"),
    "a threshold above all": (
        put("soak.threshold", 1.01),
        "soak.threshold",
        "is not accepted",
        "1.01",
        "less than or equal to 1",
    ),
    "no request a second": (
        put("load.requestsPerSecond", 0),
        "load.requestsPerSecond",
        "is not accepted",
        "0",
        "greater than 0",
    ),
    "nothing but errors": (put("load.errorRate", 1), "load.errorRate", "is not accepted", "1", "less than 1"),
    "fewer errors than none": (
        put("load.errorRate", -0.1),
        "load.errorRate",
        "is not accepted",
        "-0.1",
        "greater than or equal to 0",
    ),
    "no app": (put("checks.app", 0), "checks.app", "is not accepted", "0", "greater than 0"),
    "a digest by its tag": (put("revoked", {"v1": "root"}), "revoked.v1", "required form", '"v1"', "sha256: and 64"),
    "a freeze without a reason": (
        put(f"{YEAR_END}.reason", ""),
        f"{YEAR_END}.reason",
        "not accepted",
        '""',
        "at least 1",
    ),
    "an address that a token may not be sent to": (
        put("soak.metrics.staging", "http://prometheus.acme.dev"),
        "soak.metrics.staging",
        "is not an address that a token may be sent to",
        '"http://prometheus.acme.dev"',
        "an https URL",
    ),
    "evidence elsewhere": (
        put("evidence.folder", "../evidence"),
        "evidence.folder",
        "is not a plain relative path",
        '"../evidence"',
        "a relative path inside the repository",
    ),
    "no time to break the glass": (
        put("breakGlass.expiresAfter", "0h"),
        "breakGlass.expiresAfter",
        "must be more than zero",
        '"0h"',
        "a Go duration above zero",
    ),
    "an unknown key": (put("soak.treshold", 1), "soak.treshold", "is an unknown key", "treshold", "threshold"),
    "a key of the program": (
        put("sigstore.trusted_root", None),
        "sigstore.trusted_root",
        "is an unknown key",
        "trusted_root",
        "trustedRoot, signingConfig",
    ),
    "a missing key": (without("evidence.signers.load"), "evidence.signers.load", "is missing", "no such key", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_told_at_its_place(name: str, tmp_path: Path) -> None:
    change, path, says, found, accepted = BAD[name]
    document = shipped()
    change(document)
    (problem,) = told(written(tmp_path, document))
    assert (problem.file, problem.path) == (PROMOTION, path)
    assert says in problem.message
    assert problem.found == found
    assert accepted in problem.accepted
    line = (tmp_path / PROMOTION).read_text(encoding="utf-8").splitlines()[problem.line - 1]
    assert any(f'"{word}"' in line for word in path.split(".")[-2:])


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    document = shipped()
    for name in ("a step longer than the soak", "a freeze that ends before it begins", "who asks sees"):
        BAD[name][0](document)
    paths = {problem.path for problem in told(written(tmp_path, document))}
    assert paths == {"soak.step", f"{YEAR_END}.until", f"{SIGNERS}.observed.workflow"}


def test_a_step_as_long_as_the_soak_is_accepted(tmp_path: Path) -> None:
    document = shipped()
    put("soak.step", "1440m")(document)
    assert told(written(tmp_path, document)) == ()


def test_a_check_that_is_not_required_is_not_asked_for(tmp_path: Path) -> None:
    document = shipped()
    put("checks.required", {"test": True, "scan": False})(document)
    assert read_promotion(written(tmp_path, document)).checks.all() == ("test",)


BEGIN = datetime(2026, 12, 20, tzinfo=UTC)


@given(st.integers(-10, 10), st.integers(1, 10), st.integers(0, 999_999))
def test_a_freeze_holds_from_its_first_second_to_before_its_last(at: int, lasts: int, micros: int) -> None:
    bounds = {"from": BEGIN, "until": BEGIN + timedelta(seconds=lasts)}
    texts = {name: each.strftime("%Y-%m-%dT%H:%M:%SZ") for name, each in bounds.items()}
    freeze = Freeze.model_validate({**texts, "reason": "year-end"})
    asked = BEGIN + timedelta(seconds=at, microseconds=micros)
    assert freeze.holds(asked) == (0 <= at < lasts)
    promotion = read_promotion(ROOT).model_copy(update={"freezes": {"one": freeze}})
    assert promotion.freeze_at(asked) == (("one", freeze) if 0 <= at < lasts else None)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, below in value.items() if isinstance(value, dict) else ():
        yield from places(below, (*path, key))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=6,
)
PLACES = [path for path in places(SHIPPED) if path]
VALUES = JSON | st.sampled_from(["1h", "a", "main", DIGEST, "https://a.b", "2031-12-31T23:59:59Z", {DIGEST: "x"}, {}])


def changed(path: tuple[Any, ...], how: str, value: Any) -> dict[str, Any]:
    document = shipped()
    place: Any = document
    for part in path[:-1]:
        place = place[part]
    match how:
        case "delete":
            del place[path[-1]]
        case "add":
            place["unheardOf"] = value
        case _:
            place[path[-1]] = value
    return document


@given(st.sampled_from(PLACES), st.sampled_from(["delete", "add", "put"]), VALUES)
def test_whatever_stands_in_the_file_is_taken_or_told_with_its_place(
    path: tuple[Any, ...], how: str, value: Any
) -> None:
    """And the schema is never stricter than the contract."""
    document = changed(path, how, value)
    with tempfile.TemporaryDirectory() as folder:
        problems = told(written(Path(folder), document))
    for problem in problems:
        assert problem.file == PROMOTION
        assert problem.message
        assert problem.line
    if not problems:
        assert list(VALIDATOR.iter_errors(document)) == []
    if not VALIDATOR.is_valid(document):
        assert problems


@pytest.mark.parametrize("name", ["a key of the program", "an unknown key", "a missing key", "no check", "no app"])
def test_what_the_contract_refuses_by_its_form_the_schema_refuses(name: str) -> None:
    document = shipped()
    BAD[name][0](document)
    assert not VALIDATOR.is_valid(document)


def test_a_promotion_is_the_same_written_and_read_again(tmp_path: Path) -> None:
    promotion = read_promotion(ROOT)
    document = promotion.model_dump(mode="json", by_alias=True)
    assert read_promotion(written(tmp_path, document)) == promotion
    assert Promotion.model_validate_json(json.dumps(document)) == promotion


def accepted(value: str) -> bool:
    try:
        TypeAdapter(Moment).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    "value",
    [
        *("2031-02-29T00:00:00Z", "2031-13-01T00:00:00Z", "2031-12-31T24:00:00Z", "2031-12-31T23:60:00Z"),
        *("2031-12-31T23:59:60Z", "0000-01-01T00:00:00Z", "2031-12-31T23:59:59Z\n", "2031-12-31t23:59:59z"),
    ],
)
def test_a_time_that_does_not_exist_is_no_moment(value: str) -> None:
    assert not accepted(value)


@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001 - written as UTC
def test_every_second_there_is_is_a_moment(at: datetime) -> None:
    assert accepted(at.strftime("%Y-%m-%dT%H:%M:%SZ"))


@given(st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", fullmatch=True))
def test_a_moment_that_is_accepted_is_a_time(text: str) -> None:
    if accepted(text):
        assert datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").strftime("%H:%M:%S") == text[11:19]
