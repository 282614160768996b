"""What holds of the decision whatever the facts."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.contract.stack import TierLevel
from previews.decision import Decision, Verdict, decide
from previews.facts import Approval, Bounds, Cost, Details, Facts, Live, PullRequest
from tests.previews.github_stand_in import sha
from tests.previews.other_stand_ins import digest
from tests.previews.plugins import BOUNDS
from tests.previews.pulls import NOW, SERVICES, admitted, ran

pytestmark = pytest.mark.exhaustive

HOURS = st.floats(0, 24 * 20).map(lambda hours: timedelta(hours=hours))
TIERS = st.sampled_from([frozenset[str](), frozenset({"lite"}), frozenset({"standard"}), frozenset({"full"})])


@st.composite
def approvals(draw: st.DrawFn, number: int) -> Approval:
    return Approval(
        draw(st.sampled_from(["alice", "bob"])),
        draw(st.sampled_from(["admin", "write", "read", "none"])),
        draw(st.sampled_from([sha(number), sha(number, 1)])),
        draw(st.booleans()),
    )


@st.composite
def requests(draw: st.DrawFn, number: int) -> PullRequest:
    created = NOW - draw(HOURS)
    pushed = draw(st.none() | HOURS.map(lambda ago: NOW - ago))
    images = {name: digest(f"{name}@{sha(number)}") for name in draw(st.sets(st.sampled_from(sorted(SERVICES))))}
    given_ = tuple(draw(st.lists(approvals(number), max_size=2)))
    mostly = st.sampled_from([False, False, False, True])
    return PullRequest(
        number=number,
        head=sha(number),
        author="alice",
        labelled=not draw(mostly),
        tiers=draw(TIERS),
        draft=draw(mostly),
        closed=draw(mostly),
        fork=draw(st.booleans()),
        bot=draw(mostly),
        created=created,
        details=draw(st.just(Details(pushed, given_, images)) | st.none()),
    )


@st.composite
def bounds(draw: st.DrawFn) -> Bounds:
    lite = Cost(Fraction(draw(st.integers(1, 5))), Fraction(draw(st.integers(1, 5))))
    standard = Cost(lite.cpu * 3, lite.memory * 2)
    tiers = draw(st.sampled_from([{TierLevel.LITE: lite}, {TierLevel.LITE: lite, TierLevel.STANDARD: standard}]))
    budget = Cost(Fraction(draw(st.integers(1, 40))), Fraction(draw(st.integers(1, 40))))
    return replace(BOUNDS, max_count=draw(st.integers(1, 5)), tiers=tiers, budget=budget)


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    numbers = draw(st.sets(st.integers(1, 9), max_size=7))
    pulls = tuple(draw(requests(number)) for number in sorted(numbers))
    tiers = st.sampled_from([TierLevel.LITE, TierLevel.STANDARD])
    running = st.builds(lambda tier: ran(tier=tier), tiers) | st.just(Live(None))
    live = draw(st.dictionaries(st.integers(1, 10), running, max_size=4))
    return Facts(pulls=pulls, services=SERVICES, live=live, now=NOW)


def charged(decision: Decision, facts: Facts, bounds: Bounds) -> Cost:
    live = facts.live.get(decision.number)
    assert decision.item is not None
    return bounds.cost(live.tier if live is not None else decision.item.running.tier)


def total(costs: list[Cost]) -> Cost:
    return sum(costs, Cost())


@given(facts(), bounds())
def test_count_and_budget_are_never_exceeded(facts: Facts, bounds: Bounds) -> None:
    decisions = decide(facts, bounds)
    admissions = [decisions[number] for number in admitted(decisions)]
    assert len(admissions) <= bounds.max_count
    assert total([charged(each, facts, bounds) for each in admissions]).within(bounds.budget)


@given(facts(), bounds())
def test_nobody_enters_over_what_stands_in_the_cluster(facts: Facts, bounds: Bounds) -> None:
    decisions = decide(facts, bounds)
    entering = [decisions[number] for number in admitted(decisions) - facts.live.keys()]
    if entering:
        standing = [bounds.cost(live.tier) for live in facts.live.values()]
        assert len(standing) + len(entering) <= bounds.max_count
        assert total([*standing, *(charged(each, facts, bounds) for each in entering)]).within(bounds.budget)


@given(facts(), bounds(), st.randoms())
def test_the_order_of_the_list_decides_nothing(facts: Facts, bounds: Bounds, dice: random.Random) -> None:
    pulls, live = list(facts.pulls), list(facts.live.items())
    dice.shuffle(pulls)
    dice.shuffle(live)
    assert decide(replace(facts, pulls=tuple(pulls), live=dict(live)), bounds) == decide(facts, bounds)


@given(facts(), bounds())
def test_deciding_again_over_what_was_made_says_the_same(facts: Facts, bounds: Bounds) -> None:
    decisions = decide(facts, bounds)
    made = {number: Live(decision.item.running) for number, decision in decisions.items() if decision.item is not None}
    again = decide(replace(facts, live={**facts.live, **made}), bounds)
    assert admitted(again) == admitted(decisions)
    assert {number: again[number].item for number in made} == {number: decisions[number].item for number in made}


@given(facts(), bounds(), st.data())
def test_a_newcomer_displaces_nobody_who_runs(facts: Facts, bounds: Bounds, data: st.DataObject) -> None:
    before = admitted(decide(facts, bounds)) & facts.live.keys()
    number = data.draw(st.integers(1, 20).filter(lambda n: n not in facts.live))
    others = tuple(pull for pull in facts.pulls if pull.number != number)
    newcomer = data.draw(requests(number))
    after = admitted(decide(replace(facts, pulls=(*others, newcomer)), bounds)) & facts.live.keys()
    assert after == before


@given(facts(), bounds())
def test_a_stranger_whose_head_nobody_approved_is_never_admitted(facts: Facts, bounds: Bounds) -> None:
    decisions = decide(facts, bounds)
    for pull in facts.pulls:
        if (pull.fork or pull.bot) and pull.number in admitted(decisions):
            assert pull.details is not None
            assert any(
                each.sha == pull.head
                and not each.dismissed
                and each.permission in {"admin", "write"}
                and each.reviewer != "alice"
                for each in pull.details.approvals
            )


@given(facts(), bounds())
def test_what_is_over_is_never_admitted_and_no_end_is_later_than_a_whole_time(facts: Facts, bounds: Bounds) -> None:
    for decision in decide(facts, bounds).values():
        if decision.item is not None:
            (pull,) = [pull for pull in facts.pulls if pull.number == decision.number]
            assert NOW < decision.item.expires <= NOW + bounds.ttl
            assert decision.item.expires <= pull.created + bounds.max_age


@given(facts(), bounds())
def test_drafts_unlabelled_and_closed_ones_are_never_admitted(facts: Facts, bounds: Bounds) -> None:
    allowed = {pull.number for pull in facts.pulls if pull.labelled and not pull.draft and not pull.closed}
    assert admitted(decide(facts, bounds)) <= allowed


@given(facts(), bounds())
def test_every_digest_is_of_the_head_or_dev_or_what_ran(facts: Facts, bounds: Bounds) -> None:
    decisions = decide(facts, bounds)
    for pull in facts.pulls:
        item = decisions[pull.number].item
        if item is None or pull.details is None:
            continue
        live = facts.live.get(pull.number)
        kept = live is not None and item.running == live.running
        own = set(pull.details.images.values()) | {pinned.image for pinned in SERVICES.values()}
        assert kept or {each.digest for each in item.running.services} <= own


@given(facts(), bounds())
def test_only_what_runs_unreadably_gets_no_answer(facts: Facts, bounds: Bounds) -> None:
    for number, decision in decide(facts, bounds).items():
        if decision.verdict is Verdict.UNKNOWN:
            assert number in facts.live
