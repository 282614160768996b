"""What follows of one rung: a soak, what was proven, what is held, and what was asked for and allowed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ladder.promotion.statements import Observed, Purpose, SeenService, name_of
from tests.promotion.ladders import COMMIT, SOURCE, START, Writer, climbed, versions

ONE, OTHER = versions(1), versions(2)
GAP = timedelta(hours=2)


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


def test_a_soak_is_the_last_unbroken_run_of_the_same_digests(writer: Writer) -> None:
    staging = "staging"
    assert writer.history().rung(staging).soaking(GAP) is None
    writer.observe(staging, OTHER)
    since = writer.now
    for _ in range(3):
        last = writer.observe(staging, ONE)
        writer.wait(timedelta(hours=1))
    soaking = writer.history().rung(staging).soaking(GAP)
    assert soaking is not None
    assert (soaking.versions, soaking.since, soaking.entry.digest) == (ONE, since, last)
    assert soaking.seen - soaking.since == timedelta(hours=2, minutes=2)


def test_a_soak_begins_anew_with_other_digests_and_does_not_come_back(writer: Writer) -> None:
    writer.observe("staging", ONE)
    writer.observe("staging", OTHER)
    since = writer.now
    writer.observe("staging", ONE)
    soaking = writer.history().rung("staging").soaking(GAP)
    assert soaking is not None
    assert (soaking.since, soaking.seen) == (since, since)


def test_a_soak_ends_where_the_rung_is_not_healthy_and_begins_anew_after(writer: Writer) -> None:
    writer.observe("staging", ONE)
    writer.observe("staging", ONE, "a pod is gone")
    assert writer.history().rung("staging").soaking(GAP) is None
    since = writer.now
    writer.observe("staging", ONE)
    soaking = writer.history().rung("staging").soaking(GAP)
    assert soaking is not None
    assert soaking.since == since


def test_a_soak_goes_on_while_something_else_is_asked_for(writer: Writer) -> None:
    writer.pin("dev", ONE)
    seen = writer.observe("dev", ONE)
    writer.cut("dev", ONE, seen)
    pin = writer.pin("dev", OTHER)
    writer.approve("dev", pin, OTHER)
    writer.observe("dev", ONE)
    soaking = writer.history().rung("dev").soaking(GAP)
    assert soaking is not None
    assert (soaking.versions, soaking.since) == (ONE, START + timedelta(minutes=1))


def test_a_soak_begins_anew_after_a_time_in_which_nobody_looked(writer: Writer) -> None:
    writer.observe("staging", ONE)
    writer.wait(GAP)
    since = writer.now
    writer.observe("staging", ONE)
    soaking = writer.history().rung("staging").soaking(GAP)
    assert soaking is not None
    assert soaking.since == since
    again = writer.history().rung("staging").soaking(GAP + timedelta(minutes=1))
    assert again is not None
    assert again.since == START


def test_a_soak_is_counted_from_the_logs_time_and_to_what_the_last_statement_says(writer: Writer) -> None:
    """So that no clock of whoever observes makes it longer."""
    for _ in range(2):
        place = writer.place("staging")
        services = {name: SeenService(**each.model_dump(), revision=COMMIT, pods=2) for name, each in ONE.items()}
        late = writer.now + timedelta(minutes=5)
        writer.append(Observed(**place, services=services, problems=()), logged=late)
        writer.wait(timedelta(hours=1))
    soaking = writer.history().rung("staging").soaking(GAP)
    assert soaking is not None
    assert soaking.since == START + timedelta(minutes=5)
    assert soaking.seen == START + timedelta(hours=1, minutes=1)


def test_a_soak_of_one_service_more_is_another(writer: Writer) -> None:
    writer.observe("staging", versions(1, ["web"]))
    since = writer.now
    writer.observe("staging", ONE)
    soaking = writer.history().rung("staging").soaking(GAP)
    assert soaking is not None
    assert soaking.since == since


def test_proven_is_the_last_time_that_exactly_these_were_healthy(writer: Writer) -> None:
    writer.observe("prod", ONE)
    last = writer.observe("prod", ONE)
    writer.observe("prod", ONE, "a pod is gone")
    writer.observe("prod", OTHER, "a pod is gone")
    rung = writer.history().rung("prod")
    proven = rung.proven(ONE)
    assert proven is not None
    assert proven.digest == last
    assert rung.proven(OTHER) is None
    assert rung.proven(versions(1, ["web"])) is None
    assert rung.current is not None
    assert rung.current.problems == ("a pod is gone",)


def test_a_rollback_holds_until_it_is_unpinned(writer: Writer) -> None:
    stated = climbed(writer)
    assert writer.history().rung("prod").hold is None
    asked = writer.roll_back("prod", ONE, stated["prod"])
    for _ in range(2):
        hold = writer.history().rung("prod").hold
        assert hold is not None
        assert (hold[0].digest, hold[1].candidate) == (asked, name_of(ONE))
        writer.observe("prod", ONE)
    assert writer.history().rung("staging").hold is None
    writer.unpin("prod", ONE)
    assert writer.history().rung("prod").hold is None


def test_a_rung_holds_what_was_last_asked_to_enter_it(writer: Writer) -> None:
    assert writer.history().rung("prod").holding is None
    stated = climbed(writer)
    assert writer.history().rung("prod").holding == name_of(ONE)
    assert writer.history().rung("dev").holding is None
    old = writer.observe("prod", OTHER)
    writer.roll_back("prod", OTHER, old)
    assert writer.history().rung("prod").holding == name_of(OTHER)
    writer.unpin("prod", OTHER)
    assert writer.history().rung("prod").holding == name_of(OTHER)
    writer.promote("prod", ONE, stated["staging"])
    assert writer.history().rung("prod").holding == name_of(ONE)


def test_a_candidate_is_found_by_its_name_as_it_was_first_cut(writer: Writer) -> None:
    seen = writer.observe("dev", ONE)
    first = writer.cut("dev", ONE, seen)
    writer.cut("dev", ONE, writer.observe("dev", ONE))
    found = writer.history().candidate(name_of(ONE))
    assert found is not None
    assert (found[0].digest, found[1].services) == (first, ONE)
    assert writer.history().candidate(name_of(OTHER)) is None


def test_rungs_stand_above_each_other_in_the_order_they_were_given(writer: Writer) -> None:
    history = writer.history()
    below = {name: history.below(name) for name in ("dev", "staging", "prod")}
    assert {name: rung and rung.environment for name, rung in below.items()} == {
        "dev": None,
        "staging": "dev",
        "prod": "staging",
    }


def test_an_approval_is_found_by_the_request_that_it_allows(writer: Writer) -> None:
    stated = climbed(writer)
    approvals = writer.history().rung("prod").approvals
    assert {request: approval.approver for request, (_, approval) in approvals.items()} == {
        stated["to prod"]: "octocat"
    }


def test_a_pins_source_is_kept(writer: Writer) -> None:
    climbed(writer)
    ((_, request),) = writer.history().rung("dev").requests
    assert (request.purpose, request.source) == (Purpose.PIN, SOURCE)
