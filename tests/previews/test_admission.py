"""Answers from one set of facts, how few questions they cost, and what is said while there is trouble."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from previews.admission import Admission
from previews.decision import Cause, Decision, Verdict
from previews.facts import Cost
from previews.fetching import Unavailable
from previews.live import as_text
from tests.previews.github_stand_in import Pull, Review, sha
from tests.previews.other_stand_ins import digest, preview, service
from tests.previews.plugins import BOUNDS, World
from tests.previews.serving import Reply

pytestmark = pytest.mark.exhaustive


async def answers(admission: Admission, pulls: list[Pull]) -> dict[int, Decision]:
    """As Argo CD asks in one reconcile: one after the other."""
    return {pull.number: await admission.answer(pull.number, pull.sha) for pull in pulls}


def made(world: World, decision: Decision) -> None:
    """Argo CD has made what was answered."""
    assert decision.item is not None
    world.cluster.put(preview(decision.number, as_text(decision.item.running)))


def kinds(world: World) -> dict[str, int]:
    counted: dict[str, int] = {}
    for path in world.github.paths():
        kind = re.sub(r"/(?:[0-9a-f]{40}|[0-9]+)(?=/|$)", "/…", path.partition("?")[0])
        counted[kind] = counted.get(kind, 0) + 1
    return counted


def test_a_pull_request_is_admitted_with_what_it_built(world: World) -> None:
    pull = world.pull(7)
    decision = world.run(world.admission().answer(7, pull.sha))
    assert decision.cause is Cause.BUILT
    assert decision.item is not None
    built = {each.name: each.digest for each in decision.item.running.services}
    assert built == {"api": digest("dev/api"), "web": digest(f"web@{pull.sha}")}


def test_one_set_of_facts_serves_a_whole_reconcile(world: World) -> None:
    pulls = [world.pull(number) for number in range(1, 4)]
    admission = world.admission()

    async def reconcile() -> None:
        await answers(admission, pulls)
        world.later(9)
        await answers(admission, pulls)
        await asyncio.gather(*(admission.answer(pull.number, pull.sha) for pull in pulls))

    world.run(reconcile())
    assert kinds(world) == {"/pulls": 1, "/commits/…/check-suites": 3}
    assert len(world.cluster.asked) == 1


def test_who_asks_at_once_waits_for_the_same_facts(world: World) -> None:
    pulls = [world.pull(number) for number in range(1, 4)]
    admission = world.admission()

    async def reconcile() -> None:
        await asyncio.gather(*(admission.answer(pull.number, pull.sha) for pull in pulls for _ in range(10)))

    world.run(reconcile())
    assert kinds(world)["/pulls"] == 1


def test_two_hundred_pull_requests_cost_a_bounded_number_of_questions(world: World) -> None:
    pulls = [world.pull(number) for number in range(1, 201)]
    admission = world.admission(replace(BOUNDS, max_count=20, budget=Cost(Fraction(10**6), Fraction(10**6))))

    async def reconciles() -> list[int]:
        seen: list[int] = []
        for _ in range(2):
            decisions = await answers(admission, pulls)
            seen.append(len(world.github.asked))
            for decision in decisions.values():
                if decision.verdict is Verdict.ADMITTED:
                    made(world, decision)
            world.later(11)
        return seen

    first, second = world.run(reconciles())
    # Two pages, and one question for each of the twenty that there is room for: then two, which are unchanged.
    assert (first, second, world.github.unchanged) == (22, 24, 2)
    assert len(world.registry.asked) == 20 * 2 + 20


def test_two_hundred_strangers_cost_no_more_than_the_most(world: World) -> None:
    pulls = [
        world.pull(number, fork=True, reviews=(Review(f"reviewer-{number}", sha(number)),)) for number in range(1, 195)
    ]
    decisions = world.run(answers(world.admission(), pulls))
    assert {decision.cause for decision in decisions.values()} == {Cause.APPROVAL}
    assert len(world.github.asked) == 2 + 3 * 194 <= 600


def test_a_push_keeps_what_runs_until_it_is_built_and_then_moves(world: World) -> None:
    first = world.pull(7)
    admission = world.admission()

    async def story() -> list[tuple[Cause, str]]:
        seen: list[tuple[Cause, str]] = []

        async def ask(pull: Pull) -> None:
            decision = await admission.answer(7, pull.sha)
            made(world, decision)
            assert decision.item is not None
            seen.append((decision.cause, decision.item.running.sha))
            world.later(11)

        await ask(first)
        second = world.pull(7, push=1, built=False)
        await ask(second)
        world.registry.build("api", second.sha)
        await ask(second)
        return seen

    assert world.run(story()) == [(Cause.BUILT, sha(7)), (Cause.KEPT, sha(7)), (Cause.BUILT, sha(7, 1))]


def test_a_restart_forgets_nothing(world: World) -> None:
    made(world, world.run(world.admission().answer(7, world.pull(7).sha)))
    pushed = world.pull(7, push=1, built=False)
    for name in ("api", "web"):
        world.cluster.put(service(name, digest(f"newer/{name}")))
    decision = world.run(world.admission().answer(7, pushed.sha))
    assert decision.item is not None
    assert (decision.cause, decision.item.running.sha) == (Cause.KEPT, sha(7))
    assert decision.item.running.services[0].digest == digest("dev/api")


def test_a_newer_head_than_the_facts_know_makes_newer_facts(world: World) -> None:
    approved = world.pull(7, fork=True, reviews=(Review("bob", sha(7)),))
    world.github.permissions["bob"] = "write"
    admission = world.admission()

    async def story() -> list[Cause]:
        seen = [(await admission.answer(7, approved.sha)).cause]
        world.later(1)
        pushed = world.pull(7, push=1, fork=True, reviews=(Review("bob", sha(7)),))
        return [*seen, (await admission.answer(7, pushed.sha)).cause]

    assert world.run(story()) == [Cause.BUILT, Cause.APPROVAL]


def test_what_is_not_listed_is_closed_only_where_github_says_so(world: World) -> None:
    pulls = [world.pull(number, state="closed") for number in (7, 8)]
    world.github.put(replace(pulls[1], state="open"))
    admission = world.admission()
    world.github.trouble = lambda asked: Reply(200, b"[]") if asked.path.endswith("/pulls") else None

    async def ask() -> tuple[Decision, Decision]:
        return await admission.answer(7, pulls[0].sha), await admission.answer(7, pulls[0].sha)

    first, second = world.run(ask())
    assert (first.cause, second) == (Cause.CLOSED, first)
    assert kinds(world) == {"/pulls": 1, "/pulls/…": 1}
    with pytest.raises(Unavailable, match="does not list #8, and says that it is open"):
        world.run(world.admission().answer(8, pulls[1].sha))
    with pytest.raises(Unavailable, match="answers 404"):
        world.run(world.admission().answer(9, sha(9)))


def test_an_empty_list_against_many_questions_is_confirmed_for_a_few(world: World) -> None:
    pulls = [world.pull(number, state="closed") for number in range(1, 31)]
    admission = world.admission()

    async def reconcile() -> list[str]:
        said: list[str] = []
        for pull in pulls:
            try:
                said.append((await admission.answer(pull.number, pull.sha)).cause)
            except Unavailable:
                said.append("trouble")
        return said

    assert world.run(reconcile()) == ["closed"] * 20 + ["trouble"] * 10
    assert kinds(world) == {"/pulls": 1, "/pulls/…": 20}


def test_an_answer_takes_its_place_before_the_cluster_shows_it(world: World) -> None:
    pulls = [world.pull(number) for number in (3, 4, 5, 6)]
    admission = world.admission()

    async def story() -> list[set[int]]:
        async def round_(asked: list[Pull]) -> set[int]:
            decisions = await answers(admission, asked)
            return {number for number, decision in decisions.items() if decision.verdict is Verdict.ADMITTED}

        first = await round_(pulls)
        world.later(11)
        older = [world.pull(1), *pulls]
        second = await round_(older)
        world.later(61)
        world.github.put(*(replace(pull, draft=True) for pull in pulls))
        return [first, second, await round_(older)]

    assert world.run(story()) == [{3, 4, 5}, {3, 4, 5}, {1}]


TROUBLES: dict[str, Any] = {
    "GitHub 500": lambda world: setattr(world.github, "trouble", lambda _: Reply(500)),
    "GitHub 404": lambda world: setattr(world.github, "trouble", lambda _: Reply(404)),
    "GitHub 403": lambda world: setattr(world.github, "trouble", lambda _: Reply(403)),
    "GitHub garbage": lambda world: setattr(world.github, "trouble", lambda _: Reply(200, b"<html>")),
    "registry down": lambda world: setattr(world.registry, "trouble", lambda _: Reply(503)),
    "cluster down": lambda world: setattr(world.cluster, "trouble", lambda _: Reply(503)),
}


def running(world: World) -> tuple[Admission, Pull, Pull]:
    """An admission in which #7 runs and #8, a draft, is refused; what comes next meets trouble."""
    pull, draft = world.pull(7), world.pull(8, draft=True)
    admission = world.admission()
    return admission, pull, draft


@pytest.mark.parametrize("trouble", TROUBLES)
def test_with_no_facts_at_all_trouble_is_the_answer(world: World, trouble: str) -> None:
    admission, pull, _ = running(world)
    TROUBLES[trouble](world)
    with pytest.raises(Unavailable):
        world.run(admission.answer(pull.number, pull.sha))


@pytest.mark.parametrize("trouble", ["GitHub 500", "GitHub garbage", "cluster down"])
def test_trouble_repeats_what_was_decided_and_only_for_a_while(world: World, trouble: str) -> None:
    admission, pull, draft = running(world)

    async def story() -> None:
        before = await answers(admission, [pull, draft])
        TROUBLES[trouble](world)
        world.later(60)
        assert await answers(admission, [pull, draft]) == before
        world.later(9 * 60 + 1)
        with pytest.raises(Unavailable):
            await admission.answer(pull.number, pull.sha)

    world.run(story())


def test_trouble_prolongs_nothing(world: World) -> None:
    pull = world.pull(7, hours=71.95)
    admission = world.admission()

    async def story() -> list[Cause]:
        before = (await admission.answer(7, pull.sha)).cause
        TROUBLES["GitHub 500"](world)
        world.later(240)
        return [before, (await admission.answer(7, pull.sha)).cause]

    assert world.run(story()) == [Cause.BUILT, Cause.EXPIRED]


def test_in_trouble_nobody_enters_and_no_new_head_is_known(world: World) -> None:
    pull = world.pull(7)
    asked, late = world.pull(1), world.pull(9)
    admission = world.admission()

    async def story() -> None:
        await admission.answer(asked.number, asked.sha)
        TROUBLES["GitHub 500"](world)
        world.later(60)
        assert (await admission.answer(asked.number, asked.sha)).cause is Cause.BUILT
        for other, head in ((pull, pull.sha), (late, late.sha), (asked, sha(1, 1))):
            with pytest.raises(Unavailable):
                await admission.answer(other.number, head)

    world.run(story())


def test_after_trouble_github_is_left_alone_for_a_moment_and_then_asked(world: World) -> None:
    pull = world.pull(7)
    admission = world.admission()
    TROUBLES["GitHub 500"](world)

    async def story() -> int:
        for _ in range(20):
            with pytest.raises(Unavailable, match="answers 500"):
                await admission.answer(7, pull.sha)
        asked = len(world.github.asked)
        world.github.trouble = lambda _: None
        world.later(6)
        assert (await admission.answer(7, pull.sha)).cause is Cause.BUILT
        return asked

    assert world.run(story()) == 1


def test_what_runs_unreadably_gets_trouble_for_an_answer(world: World) -> None:
    pull = world.pull(7, built=False)
    world.cluster.put(preview(7, "garbled"))
    with pytest.raises(Unavailable, match="what it runs cannot be read"):
        world.run(world.admission().answer(7, pull.sha))


def test_changes_are_logged_once_without_title_or_token(world: World, caplog: pytest.LogCaptureFixture) -> None:
    pull = world.pull(7, title='"}\n{"event": "forged"')
    admission = world.admission()

    async def story() -> None:
        await admission.answer(7, pull.sha)
        world.later(11)
        await admission.answer(7, pull.sha)
        world.github.put(replace(pull, draft=True))
        world.later(11)
        await admission.answer(7, pull.sha)

    with caplog.at_level(logging.INFO, "previews"):
        world.run(story())
    told: list[dict[str, Any]] = [vars(record)["told"] for record in caplog.records]
    assert [(each["pullRequest"], each["verdict"], each["reason"]) for each in told] == [
        (7, "admitted", f"runs {pull.sha[:7]}"),
        (7, "refused", "is a draft"),
    ]
    assert told[1]["was"] == "admitted"
    assert not re.search("forged|token", json.dumps(told))
