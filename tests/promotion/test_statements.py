"""Statements: what is written is read back, and nothing else is a statement."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.promotion import Broken
from ladder.promotion.statements import (
    TYPES,
    Kind,
    Link,
    Pinned,
    as_moment,
    as_statement,
    digest_of,
    moment,
    name_of,
    parse,
    signer_of,
)
from tests.promotion.ladders import SIGNERS, Versions, digest, digests, links, several_versions, versions

ANY = st.sampled_from(Kind).flatmap(links)


@given(ANY)
def test_what_is_stated_is_read_back(link: Link) -> None:
    read = parse(as_statement(link))
    assert read == link
    assert type(read) is type(link)


@given(ANY)
def test_a_statement_is_json_that_any_reader_of_in_toto_takes(link: Link) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(as_statement(link), parse_constant=refuse)
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == f"https://ladder.internal/{link.kind}/v1"
    assert set(document) == {"_type", "subject", "predicateType", "predicate"}


@given(ANY)
def test_the_subjects_are_the_digests_by_service(link: Link) -> None:
    subjects = json.loads(as_statement(link))["subject"]
    found = {each["name"]: each["digest"] for each in subjects}
    expected: dict[str, dict[str, str]] = {}
    for service, pinned in link.subjects().items():
        expected[f"{service}/image"] = {"sha256": pinned.image.removeprefix("sha256:")}
        expected[f"{service}/chart"] = {"sha256": pinned.chart.removeprefix("sha256:")}
    assert found == expected
    assert len(subjects) == 2 * len(link.subjects())


@given(ANY, st.randoms(use_true_random=False))
def test_the_same_values_are_the_same_bytes_in_whatever_order_they_came(link: Link, random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        pairs = list(value.items())
        random.shuffle(pairs)
        return {key: shuffled(below) for key, below in pairs}

    values = shuffled(link.model_dump(mode="json", by_alias=True))
    again = type(link).model_validate_json(json.dumps(values))
    assert as_statement(again) == as_statement(link)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in below:
        yield from places(item, (*path, key))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | digests() | st.sampled_from(Kind),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
    max_leaves=5,
)


def refused(content: bytes) -> bool:
    """Whether it is Broken; whatever else is raised is the test's failure."""
    try:
        parse(content)
    except Broken:
        return True
    return False


@given(ANY, st.data())
def test_with_anything_else_anywhere_it_is_that_other_statement_or_broken(link: Link, data: st.DataObject) -> None:
    """A key gone, one more, or another value; never another exception, and never read as what was not written."""
    holder: Any = {"whole": json.loads(as_statement(link))}
    path = ("whole", *data.draw(st.sampled_from(list(places(holder["whole"])))))
    place = holder
    for key in path[:-1]:
        place = place[key]
    match data.draw(st.sampled_from(["replace", "delete", "add"])):
        case "delete" if len(path) > 1:
            del place[path[-1]]
        case "add" if isinstance(place[path[-1]], dict):
            place[path[-1]][data.draw(st.text(max_size=8))] = data.draw(JSON)
        case _:
            place[path[-1]] = data.draw(JSON)
    content = json.dumps(holder["whole"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    written = content.encode("utf-8", "surrogatepass")
    assert refused(written) or as_statement(parse(written)) == written


@given(ANY, st.data())
def test_the_same_values_in_another_form_are_broken(link: Link, data: st.DataObject) -> None:
    document = json.loads(as_statement(link))
    forms = [
        json.dumps(document, sort_keys=True, indent=data.draw(st.integers(0, 4))),
        json.dumps(document, sort_keys=True),
        json.dumps({key: document[key] for key in sorted(document, reverse=True)}, separators=(",", ":")),
        as_statement(link).decode() + data.draw(st.sampled_from([" ", "\n", "\0", "{}"])),
        "\ufeff" + as_statement(link).decode(),
    ]
    assert refused(data.draw(st.sampled_from(forms)).encode())
    encoding = data.draw(st.sampled_from(["utf-16", "utf-32", "utf-16-le"]))
    assert refused(as_statement(link).decode().encode(encoding))


@given(ANY)
def test_a_key_that_stands_twice_is_broken(link: Link) -> None:
    assert refused(as_statement(link).replace(b'{"_type":', b'{"_type":0,"_type":', 1))


@given(ANY)
def test_a_key_under_its_name_in_the_program_is_broken(link: Link) -> None:
    """The program fills statements in by the names of fields; bytes have the aliases only."""
    document = json.loads(as_statement(link))
    document["predicate"] = link.model_dump(mode="json", by_alias=False)
    content = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert refused(content) == (content != as_statement(link))


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_other_bytes_are_broken(content: bytes) -> None:
    assert refused(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"{}",
        b'{"predicateType": []}',
        b'{"predicateType": {}}',
        b'{"predicateType": "https://ladder.internal/observed/v2"}',
        b'{"predicateType": "https://ladder.internal/observed/v1"}',
        b'{"predicateType": "https://ladder.internal/observed/v1", "predicate": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        b'{"predicateType": "https://ladder.internal/observed/v1", "predicate": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"predicateType": "\\ud800"}',
        b'{"predicateType": "https://ladder.internal/observed/v1", "predicate": {"environment": "\\ud800"}}',
        b"\xff\xfe",
    ],
    ids=lambda content: content[:40].decode("latin-1"),
)
def test_what_is_no_statement_is_broken(content: bytes) -> None:
    with pytest.raises(Broken, match="is no statement of this project") as raised:
        parse(content)
    assert len(str(raised.value).splitlines()) == 1


@given(ANY, ANY)
def test_two_statements_have_the_same_bytes_only_where_they_are_the_same(one: Link, other: Link) -> None:
    assert (as_statement(one) == as_statement(other)) == (type(one) is type(other) and one == other)


@given(several_versions(), several_versions())
def test_names_are_equal_exactly_where_the_digests_are(one: Versions, other: Versions) -> None:
    assert (name_of(one) == name_of(other)) == (one == other)


@given(several_versions(), st.randoms(use_true_random=False))
def test_a_name_does_not_depend_on_order(services: Versions, random: Any) -> None:
    pairs = list(services.items())
    random.shuffle(pairs)
    assert name_of(dict(pairs)) == name_of(services)


def test_digests_of_image_and_chart_changed_for_each_other_have_another_name() -> None:
    one = Pinned(image=digest(1), chart=digest(2))
    assert name_of({"web": one}) != name_of({"web": Pinned(image=one.chart, chart=one.image)})


def test_digests_of_two_services_changed_for_each_other_have_another_name() -> None:
    api, web = versions(1).values()
    assert name_of({"api": api, "web": web}) != name_of({"api": web, "web": api})


def test_every_kind_has_its_model_and_its_signer() -> None:
    assert {kind.predicate_type: kind for kind in Kind} == {name: model.kind for name, model in TYPES.items()}
    signers = {kind: signer_of(kind, SIGNERS).workflow.rpartition("/")[2] for kind in Kind}
    assert signers == {
        Kind.CANDIDATE: "promote.yml",
        Kind.REQUEST: "promote.yml",
        Kind.APPROVAL: "approve.yml",
        Kind.OBSERVED: "observe.yml",
    }


@given(
    st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001 - made aware at once
    st.integers(-14 * 60, 14 * 60),
)
def test_a_moment_is_the_same_second_wherever_it_was_told(at: datetime, offset: int) -> None:
    there = at.replace(tzinfo=UTC)
    local = there.astimezone(timezone(timedelta(minutes=offset)))
    assert as_moment(local) == as_moment(there)
    assert moment(as_moment(local)) == there.replace(microsecond=0)


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_files_are_told_apart_by_their_digests(one: bytes, other: bytes) -> None:
    assert (digest_of(one) == digest_of(other)) == (one == other)
