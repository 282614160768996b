"""``observe``: what a rung was seen to run becomes a statement, where it says anything new."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from ladder.contract.types import duration
from ladder.errors import CheckFailed
from ladder.promotion.ground import Ground
from ladder.promotion.observing import Observation
from ladder.promotion.statements import Observed, SeenService, as_moment, moment

__all__ = ["observed", "says_more", "settled"]

_SECONDS = 5.0
_MOST = 200
"""Problems that are stated one by one."""


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
        problems=(*(each[:1000] for each in seen.problems[:_MOST]), *_more(seen.problems)),
    )


def settled(look: Callable[[], Observation], seconds: float, *, pause: float = _SECONDS) -> Observation:
    """What is seen once nothing is wrong, or what is seen last where that does not come within so many seconds."""
    deadline = time.monotonic() + seconds
    while (seen := look()).problems and time.monotonic() + pause <= deadline:
        time.sleep(pause)
    return seen


def says_more(ground: Ground, statement: Observed) -> bool:
    """Whether it is to be kept: other digests, other health, or half of the longest time without an observation.

    That last only where a candidate soaks, or is on its way into the next rung: everything else is what the chain says
    already, and a schedule may look often without making it long. What is wrong may read otherwise at each look, and
    says no more so soon: requests would lose their place. The lowest rung is kept once it is of one commit.
    """
    rung = ground.history.rung(statement.environment)
    last = rung.current
    if last is None or last.versions != statement.versions or last.healthy != statement.healthy:
        return True
    long = moment(statement.at) - moment(last.at) >= duration(ground.promotion.soak.gap) / 2
    if not statement.healthy:
        return long and last.problems != statement.problems
    lowest = rung is ground.history.rungs[0]
    if lowest and len(_commits(last)) > 1 and len(_commits(statement)) == 1:
        return True
    above = ground.history.above(statement.environment)
    return long and above is not None and not lowest and above.proven(statement.versions) is None


def _commits(observed: Observed) -> frozenset[str]:
    """What its services were seen to be of. A candidate is cut where that is one commit, whose checks are asked for."""
    return frozenset(each.revision for each in observed.services.values())


def _more(problems: Sequence[str]) -> Iterator[str]:
    if len(problems) > _MOST:
        yield f"and {len(problems) - _MOST} more"
