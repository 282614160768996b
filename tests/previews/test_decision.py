"""Which pull requests become previews, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from ladder.contract.stack import TierLevel
from previews.decision import Cause, Verdict, decide, expired
from previews.facts import Approval, Cost, Facts, Live, Pinned, PullRequest, Service
from tests.previews.github_stand_in import sha
from tests.previews.other_stand_ins import digest
from tests.previews.plugins import BOUNDS
from tests.previews.pulls import NOW, SERVICES, admitted, decided, ran, request

HEAD = sha(7)
GOOD = Approval("bob", "write", HEAD, dismissed=False)


def test_an_admitted_one_runs_what_it_built_beside_what_dev_runs() -> None:
    decision = decided(request(7, hours=2))[7]
    assert (decision.verdict, decision.cause, decision.reason) == ("admitted", "built", f"runs {HEAD[:7]}")
    assert decision.item is not None
    assert decision.item.running.services == (
        Service("api", "", digest("dev/api"), digest("chart/api")),
        Service("web", "registry.example/acme/previews/web", digest(f"web@{HEAD}"), digest("chart/web")),
        Service("worker", "", digest("dev/worker"), digest("chart/worker")),
    )
    assert decision.item.expires == NOW + timedelta(hours=70)
    assert (decision.item.host, decision.item.seed) == ("pr-7.previews.example.com", 7)
    assert (decision.item.running.sha, decision.item.running.tier) == (HEAD, TierLevel.LITE)


@pytest.mark.parametrize(
    ("pull", "cause", "says"),
    [
        (request(7, labelled=False), Cause.LABEL, "does not carry the label"),
        (request(7, draft=True), Cause.DRAFT, "is a draft"),
        (request(7, closed=True), Cause.CLOSED, "is closed"),
        (request(7, hours=72), Cause.EXPIRED, "push again"),
        (request(7, hours=1, opened=24 * 14), Cause.TOO_OLD, "as old as"),
        (request(7, fork=True), Cause.APPROVAL, f"from a fork: needs an approval of {HEAD[:7]}"),
        (request(7, bot=True), Cause.APPROVAL, "opened by a bot: needs an approval"),
        (request(7, tiers=frozenset({"full"})), Cause.TIER, "not offered here (offered: lite, standard)"),
    ],
)
@pytest.mark.parametrize("live", [{}, {7: ran()}], ids=["new", "running"])
def test_what_refuses_refuses_whether_it_runs_or_not(
    live: dict[int, Live], pull: PullRequest, cause: Cause, says: str
) -> None:
    decision = decided(pull, live=live)[7]
    assert (decision.verdict, decision.cause, decision.item) == (Verdict.REFUSED, cause, None)
    assert says in decision.reason


@pytest.mark.parametrize("who", [{"fork": True}, {"bot": True}])
@pytest.mark.parametrize(
    ("approval", "enters"),
    [
        (GOOD, True),
        (replace(GOOD, permission="admin"), True),
        (replace(GOOD, permission="read"), False),
        (replace(GOOD, permission="none"), False),
        (replace(GOOD, sha=sha(7, 1)), False),
        (replace(GOOD, dismissed=True), False),
        (replace(GOOD, reviewer="Alice"), False),
    ],
)
def test_strangers_enter_by_an_approval_of_that_very_head_by_who_may_write(
    approval: Approval, enters: bool, who: dict[str, Any]
) -> None:
    assert (7 in admitted(decided(request(7, approvals=(approval,), **who)))) is enters


def test_a_push_to_a_fork_ends_its_preview() -> None:
    pushed = request(7, fork=True, head=sha(7, 1), approvals=(GOOD,), built=False)
    decision = decided(pushed, live={7: ran(HEAD)})[7]
    assert (decision.verdict, decision.cause) == (Verdict.REFUSED, Cause.APPROVAL)


def test_a_head_without_an_image_keeps_what_runs_and_the_new_end() -> None:
    decision = decided(request(7, built=False), live={7: ran("a" * 40)})[7]
    assert (decision.verdict, decision.cause) == (Verdict.ADMITTED, Cause.KEPT)
    assert decision.reason == f"runs aaaaaaa: no image of {HEAD[:7]} is built yet"
    assert decision.item is not None
    assert decision.item.running == ran("a" * 40).running
    assert decision.item.expires == NOW + timedelta(hours=71)


def test_a_head_without_an_image_waits_where_nothing_ran() -> None:
    decision = decided(request(7, built=False))[7]
    assert (decision.verdict, decision.cause, decision.reason) == (
        "waiting",
        "image",
        f"waits for an image of {HEAD[:7]}",
    )


def test_images_of_what_dev_does_not_run_are_no_images() -> None:
    services = {"other": Pinned(digest("a"), digest("b"))}
    assert decided(request(7), services=services)[7].cause is Cause.IMAGE


def test_what_runs_unreadably_is_neither_kept_nor_removed() -> None:
    decision = decided(request(7, built=False), live={7: Live(None)})[7]
    assert (decision.verdict, decision.item) == (Verdict.UNKNOWN, None)
    assert decided(request(7), live={7: Live(None)})[7].cause is Cause.BUILT


def test_a_pull_request_that_github_dates_nowhere_is_as_old_as_it_can_be() -> None:
    young, old = request(7, hours=1, opened=71), request(7, hours=1, opened=73)
    unknown = [replace(pull, details=replace(pull.details, pushed=None)) for pull in (young, old) if pull.details]
    assert [decided(pull)[7].verdict for pull in unknown] == [Verdict.ADMITTED, Verdict.REFUSED]


def test_what_was_pushed_long_before_it_was_opened_lasts_from_its_opening() -> None:
    decision = decided(request(7, hours=300, opened=2))[7]
    assert decision.item is not None
    assert decision.item.expires == NOW + timedelta(hours=70)


def test_the_hard_age_ends_sooner_than_the_last_push_would() -> None:
    decision = decided(request(7, hours=1, opened=14 * 24 - 5))[7]
    assert decision.item is not None
    assert decision.item.expires == NOW + timedelta(hours=5)


def test_an_admission_ends_when_it_expires_and_not_before() -> None:
    decision = decided(request(7, hours=2))[7]
    assert expired(decision, NOW + timedelta(hours=69.9)) is decision
    late = expired(decision, NOW + timedelta(hours=70))
    assert (late.verdict, late.cause, late.item) == (Verdict.REFUSED, Cause.EXPIRED, None)


def test_who_runs_is_not_displaced_and_the_next_enters_when_one_is_gone() -> None:
    pulls = [request(number) for number in (1, 2, 3, 4)]
    running = {number: ran(sha(number)) for number in (2, 3, 4)}
    decisions = decided(*pulls, live=running)
    assert admitted(decisions) == {2, 3, 4}
    assert decisions[1].reason == "waits for room: 3 of 3 places are taken or spoken for"
    del running[3]
    rest = [pull for pull in pulls if pull.number != 3]
    assert admitted(decided(*rest, live=running)) == {1, 2, 4}


def test_a_place_is_free_when_its_preview_is_gone_not_when_that_is_decided() -> None:
    leaving = {number: ran(sha(number)) for number in (2, 3, 4)}
    pulls = [request(1), request(2), request(3, draft=True), request(4)]
    assert admitted(decided(*pulls, live=leaving)) == {2, 4}
    assert decided(*pulls, live=leaving)[1].cause is Cause.ROOM


def test_one_that_waits_for_an_image_takes_no_place() -> None:
    pulls = [request(1, built=False), request(2), request(3), request(4)]
    assert admitted(decided(*pulls)) == {2, 3, 4}


def test_the_budget_bounds_what_the_count_would_let_in() -> None:
    budget = Cost(Fraction(144), Fraction(10**9))
    pulls = [request(number) for number in (1, 2, 3)]
    decisions = decided(*pulls, bounds=replace(BOUNDS, budget=budget))
    assert admitted(decisions) == {1, 2}
    assert decisions[3].reason == "waits for room in the budget: #3 is next, at tier lite"


def test_who_waits_for_the_budget_is_not_overtaken() -> None:
    budget = Cost(Fraction(288), Fraction(10**9))
    large = request(2, tiers=frozenset({"standard"}))
    decisions = decided(
        request(1), large, request(3), live={1: ran(sha(1)), 9: ran()}, bounds=replace(BOUNDS, budget=budget)
    )
    assert admitted(decisions) == {1}
    assert decisions[3].reason == "waits for room in the budget: #2 is next, at tier standard"


def test_a_tier_that_no_budget_holds_is_refused_and_holds_nobody_up() -> None:
    budget = Cost(Fraction(100), Fraction(10**9))
    large = request(1, tiers=frozenset({"standard"}))
    decisions = decided(large, request(2), bounds=replace(BOUNDS, budget=budget))
    assert (decisions[1].cause, admitted(decisions)) == (Cause.TIER, {2})


def test_a_preview_keeps_the_tier_it_entered_with() -> None:
    asked = request(7, tiers=frozenset({"standard"}))
    new, old = decided(asked)[7], decided(asked, live={7: ran()})[7]
    assert new.item is not None
    assert old.item is not None
    assert (new.item.running.tier, old.item.running.tier) == (TierLevel.STANDARD, TierLevel.LITE)


def test_lowered_bounds_hold_for_what_runs() -> None:
    live = {number: ran(sha(number)) for number in (1, 2, 3)}
    decisions = decided(*(request(number) for number in live), live=live, bounds=replace(BOUNDS, max_count=1))
    assert admitted(decisions) == {1}
    assert decisions[2].reason == "no longer fits what the bounds were lowered to"


def test_whom_nobody_asked_about_waits_for_room() -> None:
    decision = decided(request(7, details=False, fork=True))[7]
    assert (decision.verdict, decision.cause) == (Verdict.WAITING, Cause.ROOM)


def test_every_pull_request_gets_a_decision() -> None:
    pulls = tuple(request(number, draft=number % 2 == 0) for number in range(1, 30))
    facts = Facts(pulls=pulls, services=SERVICES, live={3: ran()}, now=NOW)
    assert list(decide(facts, BOUNDS).keys() ^ {pull.number for pull in pulls}) == []
