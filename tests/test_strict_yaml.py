"""Strict YAML: what is read has one meaning to every parser, and what has not is told with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ladder.errors import InputError, Problem
from ladder.strict_yaml import MAX_BYTES, MAX_DEPTH, as_yaml, examine, load, parse


def problems(text: str) -> tuple[Problem, ...]:
    with pytest.raises(InputError) as caught:
        parse(text, file="file.yaml")
    return caught.value.problems


def only(text: str) -> Problem:
    (problem,) = problems(text)
    return problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", {"a": 1}),
        ("a: -0", {"a": 0}),
        ("a: 1.5", {"a": 1.5}),
        ("a: true\nb: false", {"a": True, "b": False}),
        ("a: null\nb:", {"a": None, "b": None}),
        ('a: "yes"', {"a": "yes"}),
        ("a: '012'", {"a": "012"}),
        ("a: |\n  yes\n", {"a": "yes\n"}),
        ("a: [1, {b: c}]", {"a": [1, {"b": "c"}]}),
        ("a: 100m", {"a": "100m"}),
        ("a: 0 9 * * 1-4", {"a": "0 9 * * 1-4"}),
        ("a: 127.0.0.1", {"a": "127.0.0.1"}),
        ("a: http://127.0.0.1:4566", {"a": "http://127.0.0.1:4566"}),
        ("a: 0a1b", {"a": "0a1b"}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 123456789012345", {"a": 123456789012345}),
    ],
)
def test_what_has_one_meaning_is_read(text: str, value: Any) -> None:
    assert parse(text, file="file.yaml").value == value


@pytest.mark.parametrize("word", ["yes", "No", "on", "OFF", "y", "N", "True", "FALSE"])
def test_words_some_parsers_read_as_booleans_are_refused(word: str) -> None:
    problem = only(f"# first\na:\n  b: {word}")
    assert (problem.file, problem.line, problem.path, problem.found) == ("file.yaml", 3, "a.b", word)
    assert "boolean" in problem.message
    assert problem.example in {"true", "false"}
    assert problem.accepted


@pytest.mark.parametrize(
    "word",
    [
        *("012", "0o17", "0x1F", "-0b1", "00", "08", "012.5"),
        *("1_000", "1__0", ".5", "5.", "1e3", "1.5E-3", ".inf", "-.INF", ".nan"),
        *("12:30", "1:2:3.5", "-190:20:30"),
        *("2026-01-01", "2026-1-1", "2026-01-01T00:00:00Z", "2026-01-01 10:00:00"),
        *("~", "NULL", "Null", "=", "<<"),
        *("1234567890123456", "9" * 5000, "0.1234567890123456", "0x" + "f" * 100, "1_" * 500),
    ],
)
def test_scalars_two_parsers_read_differently_are_refused(word: str) -> None:
    problem = only(f"a: {word}")
    assert (problem.line, problem.path) == (1, "a")
    assert problem.found
    assert problem.example.startswith('"')


def test_a_long_scalar_takes_no_quadratic_time() -> None:
    text = "1" + "_" * 900_000 + "x"
    assert parse(f"a: {text}", file="file.yaml").value == {"a": text}


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("1: a", 1, "1"),
        ("a: b\ntrue: a", 2, "true"),
        ("a: b\nyes: a", 2, "yes"),
        ("a: b\n~: a", 2, "~"),
        ("a: b\n012: a", 2, "012"),
        ("? [a, b]\n: c", 1, "a mapping or list as key"),
        ("? {a: b}\n: c", 1, "a mapping or list as key"),
        ("? \n: a", 1, "nothing"),
    ],
)
def test_keys_that_are_not_strings_are_refused(text: str, line: int, found: str) -> None:
    problem = only(text)
    assert (problem.line, problem.found) == (line, found)
    assert "key that is not a string" in problem.message


def test_a_key_that_stands_twice_is_refused_with_both_lines() -> None:
    problem = only("a:\n  b: 1\n  c: 2\n  b: 3")
    assert (problem.line, problem.path, problem.message) == (4, "a.b", "stands twice")
    assert problem.found == "first on line 2, again on line 4"


def test_a_key_that_stands_twice_is_refused_however_it_is_quoted() -> None:
    assert only("a: 1\n\"a\": 2\n'b': 3").path == "a"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a: !!python/object/apply:os.system [echo]", "!!python/object/apply:os.system"),
        ("a: !!python/name:os.system ''", "!!python/name:os.system"),
        ("a: !local x", "!local"),
        ("a: !!str x", "!!str"),
        ("a: !!map {b: c}", "!!map"),
        ("a: !!binary aGk=", "!!binary"),
        ("!!str a: x", "!!str"),
        ("a: !!set {b}", "!!set"),
    ],
)
def test_a_tag_is_refused_even_one_that_changes_nothing(text: str, found: str) -> None:
    problem = problems(text)[0]
    assert (problem.line, problem.message, problem.found) == (1, "has a tag", found)


def test_an_alias_and_an_anchor_are_refused_each_on_its_line() -> None:
    anchor, alias = problems("a: &x {b: 1}\nc: 2\nd: *x")
    assert (anchor.line, anchor.path, anchor.found) == (1, "a", "&x")
    assert (alias.line, alias.path, alias.found) == (3, "d", "an alias (*x)")


def test_a_merge_key_is_refused() -> None:
    assert "<<" in {problem.found for problem in problems("a: &x {b: 1}\nc:\n  <<: *x")}


def test_an_alias_bomb_is_refused_without_being_built() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert len(problems("\n".join(lines))) == 60 + 2 * 59


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment\n", "---\n", "---\n...\n", "null"])
def test_an_empty_file_is_refused(text: str) -> None:
    assert only(text).message == "is empty"


def test_a_second_document_is_refused() -> None:
    problem = only("a: 1\n---\nb: 2\n")
    assert (problem.line, problem.message) == (2, "has a second document")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1", 2),
        ("a: 1\nb: }", 2),
        ("a: 1\n\tb: 2", 2),
        ("a: 1\nb: 'x", 2),
        ("a: 1\nb: \x00", 2),
        ("a: é\nb: \x07", 2),
        ("a: 1\n b: 2\n", 2),
        ("%YAML 9.9\n---\na: 1", 1),
        ('a: "\\ud800"', 1),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(text: str, line: int) -> None:
    problem = only(text)
    assert (problem.line, problem.message) == (line, "is not YAML")
    assert problem.found


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 50_000, "- " * 50_000, "? " * 50_000, "a: " + "[" * 100_000])
def test_deep_nesting_is_refused_and_crashes_nothing(text: str) -> None:
    problem = problems(text)[-1]
    assert problem.message in {"is nested too deeply", "is not YAML"}
    assert problem.line == 1


def test_nesting_is_read_down_to_its_limit() -> None:
    assert parse("[" * MAX_DEPTH + "a" + "]" * MAX_DEPTH, file="file.yaml")
    assert only("[" * (MAX_DEPTH + 1) + "a" + "]" * (MAX_DEPTH + 1)).message == "is nested too deeply"


def test_every_problem_is_in_one_report() -> None:
    found = problems("a: yes\nb: !x 1\nc: 1\nc: 2\nd: &e 012\n")
    assert [(problem.line, problem.path) for problem in found] == [(1, "a"), (2, "b"), (4, "c"), (5, "d"), (5, "d")]


def test_problems_before_a_syntax_error_are_told_with_it() -> None:
    assert [problem.message for problem in problems("a: &x 1\nb: [")] == ["has an anchor", "is not YAML"]


def test_a_path_that_is_absent_has_the_line_of_its_nearest_ancestor() -> None:
    document = parse("a:\n  b:\n    - c\n    - d: 1\n", file="file.yaml")
    assert document.line(("a", "b", 1, "d")) == 4
    assert document.line(("a", "b", 1, "absent", "deeper")) == 4
    assert document.line(("a", "absent")) == 1


@pytest.mark.parametrize(
    ("content", "message", "found"),
    [
        (b"\xff\xfea\x00", "is not text", "byte 0xff"),
        (b"a: 1\n\x80", "is not text", "byte 0x80"),
        (b"\x7fELF\x02\x01\x01\x00", "is not YAML", "control characters"),
        (b"a: " + b"x" * MAX_BYTES, "is too large", f"{MAX_BYTES + 3:,} bytes"),
        (b"x" * 10_000_000, "is too large", "10,000,000 bytes"),
        (b"", "is empty", "no value"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, content: bytes, message: str, found: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert (problem.file, problem.message) == ("file.yaml", message)
    assert found in problem.found
    assert problem.accepted


def test_a_missing_file_a_directory_and_a_dangling_link_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, found in (("missing", "No such file"), (".", "Is a directory"), ("link", "No such file")):
        with pytest.raises(InputError) as caught:
            load(tmp_path / name, name="file.yaml")
        (problem,) = caught.value.problems
        assert (problem.file, problem.line, problem.message) == ("file.yaml", 0, "cannot be read")
        assert found in problem.found


def test_what_can_be_read_stands_beside_the_problems(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a: yes\nb: 1\nb: 2\n", encoding="utf-8")
    document = examine(path)
    assert document.value == {"a": None, "b": 1}
    assert [problem.path for problem in document.problems] == ["a", "b"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**14), 10**14) | st.text(st.characters(exclude_categories=["C"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES.filter(lambda value: value is not None))
def test_json_is_read_as_json(value: Any) -> None:
    assert parse(json.dumps(value, ensure_ascii=False), file="file.yaml").value == value


@given(st.text(st.sampled_from("0123456789abcdefxyzYNTeE_+-.:~=< \"'{}[]#&*!|>%@\n\t\u00e9"), max_size=12))
def test_whatever_is_read_pyyaml_reads_the_same_or_as_text(text: str) -> None:
    """A plain scalar that is accepted is not something else to YAML 1.1."""
    try:
        value = parse(f"a: {text}", file="file.yaml").value
    except InputError:
        return
    assert yaml.load(f"a: {text}", Loader=yaml.CSafeLoader) == value


@given(st.text(max_size=20) | st.sampled_from(["yes", "012", "1e3", "null", "", " a", "a: b", "a #b", "- a", "0x1"]))
def test_an_example_reads_as_what_it_stands_for(text: str) -> None:
    if text.isprintable():
        assert parse(f"a: {as_yaml(text)}", file="file.yaml").value == {"a": text}
