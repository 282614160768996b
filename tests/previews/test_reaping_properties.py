"""What holds of the reaper's decision whatever the cluster says."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from previews.moments import moment, parsed
from previews.reaping import BEYOND, Decision, Found, Kind, Terms, Verdict, decide
from tests.previews.pulls import NOW

pytestmark = pytest.mark.exhaustive

HOURS = st.integers(-24 * 30, 24 * 30).map(lambda hours: timedelta(hours=hours))
TIMES = HOURS.map(lambda hours: NOW + hours)
ODD = st.sampled_from(["", "never", "2031-05-17", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "\n"])
NAMES = st.sampled_from(["pr-1", "pr-7", "pr-12"])
OTHERS = st.text(max_size=12) | st.sampled_from(["pr-0", "pr-07", "pr-7\n", "pr-7-web", "PR-7", "pr-७", "prod", "pr-"])
TERMS = st.builds(
    lambda grace, more: Terms(timedelta(hours=grace), timedelta(hours=grace + more)),
    st.integers(0, 48),
    st.integers(0, 24 * 20),
)


def texts(odd: bool = True) -> st.SearchStrategy[str | None]:
    written = TIMES.map(moment) | st.none()
    return written | ODD | st.text(max_size=30) if odd else written


@st.composite
def parts(draw: st.DrawFn, names: st.SearchStrategy[str] = NAMES, odd: bool = True) -> Found:
    return Found(
        kind=draw(st.sampled_from(Kind)),
        name=draw(names),
        marked=draw(st.sampled_from([True, True, True, False])),
        uid="uid",
        version="1",
        created=draw(TIMES),
        expires=draw(texts(odd)),
        keep=draw(st.none() | texts(odd)),
        deleting=draw(st.none() | st.none() | TIMES),
    )


def clusters(names: st.SearchStrategy[str] = NAMES, odd: bool = True) -> st.SearchStrategy[list[Found]]:
    return st.lists(parts(names, odd), max_size=6, unique_by=lambda each: (each.kind, each.name))


def doomed(decisions: list[Decision]) -> list[Found]:
    return [found for decision in decisions for found in decision.doomed]


def of_one(found: list[Found], name: str) -> list[Found]:
    return [each for each in found if each.name == name and each.marked]


@given(clusters(odd=False), TIMES, TERMS)
def test_nothing_goes_before_the_last_time_that_is_told_and_grace(
    found: list[Found], now: datetime, terms: Terms
) -> None:
    for each in doomed(decide(found, now, terms)):
        both = of_one(found, each.name)
        last = max(part.created for part in both) + terms.max_age
        told = [parsed(part.expires) or last for part in both if part.expires is not None]
        assert now > min(max(told, default=last), last + BEYOND) + terms.grace


@given(clusters(), TIMES, TERMS)
def test_where_a_time_cannot_be_read_nothing_goes_before_its_age_and_grace(
    found: list[Found], now: datetime, terms: Terms
) -> None:
    for each in doomed(decide(found, now, terms)):
        both = of_one(found, each.name)
        if any(part.expires is not None and parsed(part.expires) is None for part in both):
            assert now > max(part.created for part in both) + terms.max_age + terms.grace


@given(clusters(NAMES | OTHERS), TIMES, TERMS)
def test_nothing_goes_that_is_not_named_and_marked_as_a_previews(
    found: list[Found], now: datetime, terms: Terms
) -> None:
    going = doomed(decide(found, now, terms))
    assert all(each.marked and re.fullmatch("pr-[1-9][0-9]*", each.name, re.ASCII) for each in going)
    assert all(each in found for each in going)


@given(clusters(), TIMES, TERMS, HOURS.map(abs))
def test_what_goes_goes_later_too(found: list[Found], now: datetime, terms: Terms, by: timedelta) -> None:
    assert set(doomed(decide(found, now, terms))) <= set(doomed(decide(found, now + by, terms)))


@given(clusters(), TERMS)
def test_nothing_stays_forever_whatever_its_annotations_say(found: list[Found], terms: Terms) -> None:
    now = max((each.created for each in found), default=NOW) + terms.max_age + BEYOND + terms.grace
    for decision in decide(found, now + timedelta(seconds=1), terms):
        assert decision.verdict in {Verdict.DUE, Verdict.TERMINATING}


@given(clusters(), TIMES, TERMS)
def test_what_a_person_keeps_stays_until_then(found: list[Found], now: datetime, terms: Terms) -> None:
    going = {each.name for each in doomed(decide(found, now, terms))}
    for each in found:
        until = parsed(each.keep) if each.keep is not None and each.marked else None
        if until is not None and until >= now:
            last = max(part.created for part in of_one(found, each.name)) + terms.max_age + BEYOND
            assert each.name not in going or now > last


@given(clusters(), TIMES, TERMS)
def test_what_is_being_deleted_is_not_deleted_again_and_a_namespace_waits_for_its_application(
    found: list[Found], now: datetime, terms: Terms
) -> None:
    for decision in decide(found, now, terms):
        both = of_one(found, decision.name)
        assert all(each.deleting is None for each in decision.doomed)
        assert (decision.verdict is Verdict.DUE) is bool(decision.doomed)
        if any(each.kind is Kind.NAMESPACE for each in decision.doomed):
            applications = [each for each in both if each.kind is Kind.APPLICATION]
            stuck = [each for each in applications if each.deleting and now > each.deleting + terms.grace]
            assert list(decision.doomed[:-1]) == [each for each in applications if each not in stuck]


@given(clusters(NAMES | OTHERS), TIMES, TERMS, st.randoms())
def test_the_order_of_the_lists_decides_nothing(
    found: list[Found], now: datetime, terms: Terms, dice: random.Random
) -> None:
    shuffled = found[:]
    dice.shuffle(shuffled)
    assert decide(shuffled, now, terms) == decide(found, now, terms)


@given(clusters(NAMES | OTHERS), TIMES, TERMS)
def test_every_name_with_the_mark_is_told_of_once(found: list[Found], now: datetime, terms: Terms) -> None:
    told = [decision.name for decision in decide(found, now, terms)]
    assert sorted(told) == sorted({each.name for each in found if each.marked})


@given(TIMES, TERMS)
def test_the_end_of_the_calendar_is_only_late(now: datetime, terms: Terms) -> None:
    last = datetime.max.replace(tzinfo=UTC)
    made = Found(kind=Kind.NAMESPACE, name="pr-7", marked=True, uid="uid", version="1", created=last)
    assert [decision.verdict for decision in decide([made], now, terms)] == [Verdict.LIVE]


@given(st.text(max_size=40) | ODD)
@example("2031-05-17T12:00:00Z\n")
@example("2031-02-30T12:00:00Z")
@example("२०३१-05-17T12:00:00Z")
@example("2031-05-17T12:00:00")
@example("2031-05-17T12:00:00+25:00")
def test_what_is_no_time_is_none(text: str) -> None:
    time = parsed(text)
    assert time is None or time.tzinfo is UTC


@given(TIMES, st.integers(-14 * 60, 14 * 60), st.booleans())
def test_a_time_is_read_as_it_was_written_in_whatever_zone(time: datetime, minutes: int, zulu: bool) -> None:
    local = time.astimezone(timezone(timedelta(minutes=minutes)))
    assert parsed(moment(time) if zulu else local.isoformat()) == time
