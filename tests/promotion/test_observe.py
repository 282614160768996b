"""What of an observation is kept, and how long is looked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ladder.promotion.observe import observed, says_more, settled
from ladder.promotion.observing import Observation, Seen
from ladder.promotion.statements import Observed, Pinned, SeenService
from tests.promotion.ladders import COMMIT, Versions, digest
from tests.promotion.yards import Yard

GAP = timedelta(hours=1)


def observation(yard: Yard, environment: str, versions: Versions, *problems: str) -> Observation:
    services = {name: Seen(each.image, each.chart, COMMIT, 2) for name, each in versions.items()}
    return Observation(environment, yard.now, services, problems)


def keeps(yard: Yard, environment: str, versions: Versions | None = None, *problems: str) -> bool:
    """Whether an observation of what the tree has, or of other digests, would be stated now."""
    with yard.ground() as ground:
        seen = observation(yard, environment, versions or yard.versions(environment), *problems)
        return says_more(ground, observed(ground, seen))


def test_the_first_observation_is_kept(yard: Yard) -> None:
    assert keeps(yard, "prod")


def test_what_is_wrong_in_other_words_is_kept_seldom(yard: Yard) -> None:
    yard.observe("staging", "pod a is gone")
    assert not keeps(yard, "staging", None, "pod b is gone")
    yard.wait(GAP / 2)
    assert keeps(yard, "staging", None, "pod b is gone")
    assert not keeps(yard, "staging", None, "pod a is gone")


def test_the_lowest_rung_is_kept_once_it_is_of_one_commit(yard: Yard) -> None:
    """Of several, no candidate can be cut."""
    held = yard.versions("dev")
    services = {
        name: SeenService(image=each.image, chart=each.chart, revision=number * 20, pods=1)
        for (name, each), number in zip(held.items(), ("0a", "0b", "0a"), strict=True)
    }
    yard.state(Observed(**yard.place("dev"), services=services, problems=()))
    assert keeps(yard, "dev")
    yard.observe("dev")
    assert not keeps(yard, "dev")


def test_more_problems_than_anybody_reads_are_counted(yard: Yard) -> None:
    with yard.ground() as ground:
        seen = observation(yard, "dev", yard.versions("dev"), *map(str, range(1000)))
        stated = observed(ground, seen)
    assert (len(stated.problems), stated.problems[-1]) == (201, "and 800 more")


@pytest.mark.parametrize("environment", ["dev", "staging"])
def test_other_digests_and_other_health_are_kept(yard: Yard, environment: str) -> None:
    held = yard.versions(environment)
    assert keeps(yard, environment, {**held, "api": Pinned(image=digest("x"), chart=held["api"].chart)})
    assert keeps(yard, environment, None, "a pod is gone")


def test_where_a_candidate_soaks_half_of_the_longest_time_is_kept_and_less_is_not(yard: Yard) -> None:
    yard.observe("staging")
    yard.wait(GAP / 2 - timedelta(minutes=2))
    assert not keeps(yard, "staging")
    yard.wait(timedelta(minutes=1))
    assert keeps(yard, "staging")


def test_a_soak_that_is_long_enough_is_kept_fresh_until_the_next_rung_runs_it(yard: Yard) -> None:
    yard.wait(GAP * 3)
    assert keeps(yard, "staging")
    yard.keep(yard.edits("prod", yard.versions("staging")))
    yard.observe("prod")
    yard.observe("staging")
    yard.wait(GAP * 3)
    assert not keeps(yard, "staging")


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_where_nothing_soaks_the_same_again_is_not_kept_however_long_it_was(yard: Yard, environment: str) -> None:
    yard.observe(environment)
    yard.wait(timedelta(days=100))
    assert not keeps(yard, environment)


def seen_one_after_the_other(*problems: tuple[str, ...]) -> Iterator[Observation]:
    return (Observation("dev", datetime.now(UTC), {}, each) for each in problems)


def test_what_is_whole_is_looked_at_once() -> None:
    looks = seen_one_after_the_other((), ("a pod is gone",))
    assert settled(lambda: next(looks), 10.0, pause=0.0).problems == ()
    assert next(looks).problems


def test_what_is_not_whole_is_looked_at_until_it_is() -> None:
    looks = seen_one_after_the_other(("scaling",), ("scaling",), ())
    assert settled(lambda: next(looks), 10.0, pause=0.0).problems == ()


def test_what_does_not_become_whole_in_time_is_told_as_it_was_last() -> None:
    looks = seen_one_after_the_other(("first",), ("second",))
    assert settled(lambda: next(looks), 0.0).problems == ("first",)
