"""``observe``: what a rung was seen to run becomes a statement, where it says anything new."""

from __future__ import annotations

from ladder.errors import CheckFailed
from ladder.promotion.ground import Ground
from ladder.promotion.observing import Observation
from ladder.promotion.statements import Observed, SeenService, as_moment, moment

__all__ = ["observed", "says_more"]


def observed(ground: Ground, seen: Observation) -> Observed:
    """The statement of an observation, next in its environment's chain.

    Raises CheckFailed where nothing could be made out: then there is nothing to state, and what is stated stands.
    """
    if not seen.services:
        raise CheckFailed(f"nothing of {seen.environment} could be made out: {'; '.join(seen.problems)}")
    sequence, previous = ground.history.rung(seen.environment).chain.next
    return Observed(
        environment=seen.environment,
        sequence=sequence,
        previous=previous,
        at=as_moment(seen.at),
        services={
            name: SeenService(image=each.image, chart=each.chart, revision=each.revision, pods=each.pods)
            for name, each in seen.services.items()
        },
        problems=tuple(each[:1000] for each in seen.problems),
    )


def says_more(ground: Ground, statement: Observed) -> bool:
    """Whether it is to be kept: other digests, other health, or the moment at which a soak is long enough.

    Everything else is what the chain says already: a schedule may look often without making the chain long.
    """
    rung = ground.history.rung(statement.environment)
    last = rung.current
    if last is None or last.versions != statement.versions or last.problems != statement.problems:
        return True
    soaking = rung.soaking()
    if soaking is None:
        return False
    needed = soaking.since + ground.promotion.soak_time
    return soaking.seen < needed <= moment(statement.at)
