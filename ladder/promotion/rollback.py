"""``rollback``: a rung goes back to digests that were healthy in it, and stays there until it is unpinned.

It asks for neither soak nor freeze: what it brings was seen to work there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from ladder.errors import CheckFailed, InputError, Problem
from ladder.promotion.chain import Entry
from ladder.promotion.ground import Ground
from ladder.promotion.history import Rung
from ladder.promotion.promote import Plan, edits
from ladder.promotion.statements import Observed, Pinned, Purpose, Request, as_moment, name_of

__all__ = ["above_the_lowest", "rollback", "unpin"]


def rollback(ground: Ground, environment: str, to: str | None, at: datetime, by: str | None = None) -> Plan:
    """The way back to the candidate ``to``; to the last healthy one before what is there now where that is None.

    It is warned of, and not refused, where it goes back behind what ``promotion.irreversible`` names.
    Raises InputError for an environment or a candidate that was never healthy there, CheckFailed where there is none,
    or nothing to change.
    """
    rung = above_the_lowest(ground, environment)
    found = _healthy(ground, rung, to)
    if found is None:
        known = sorted({name_of(each.versions) for _, each in rung.observed if each.healthy})
        if to is None:
            told = f"{environment} was never observed healthy with other digests than it has, of the services it has"
            raise CheckFailed(f"{told}, none of them revoked; `--to` names any of {', '.join(known) or 'none'}")
        accepted = f"one that was healthy in {environment}: {', '.join(known) or 'there is none'}"
        raise InputError(Problem(file="--to", message="was never seen healthy there", found=to, accepted=accepted))
    entry, observed = found
    changed, files = edits(ground, environment, observed.versions)
    if not changed:
        raise CheckFailed(f"{environment} has the digests of {name_of(observed.versions)} already")
    sequence, previous = rung.chain.next
    request = Request(
        environment=environment,
        sequence=sequence,
        previous=previous,
        at=as_moment(at),
        purpose=Purpose.ROLLBACK,
        by=by,
        candidate=name_of(observed.versions),
        services=observed.versions,
        rests_on=entry.digest,
        base=ground.commit,
    )
    warnings = (*_crossed(ground, rung, entry, observed.versions), *_revoked(ground, observed.versions))
    return Plan(request, {}, files, changed, warnings)


def unpin(ground: Ground, environment: str, at: datetime, by: str | None = None) -> Plan:
    """The end of a rollback's hold, which changes no digest. Raises CheckFailed where nothing is held."""
    rung = above_the_lowest(ground, environment)
    if rung.hold is None:
        raise CheckFailed(f"{environment} is not pinned")
    _, held = rung.hold
    sequence, previous = rung.chain.next
    request = Request(
        environment=environment,
        sequence=sequence,
        previous=previous,
        at=as_moment(at),
        purpose=Purpose.UNPIN,
        by=by,
        candidate=held.candidate,
        services=held.services,
        rests_on=None,
        base=ground.commit,
    )
    return Plan(request, {}, {}, ())


def above_the_lowest(ground: Ground, environment: str) -> Rung:
    """A rung that can go back. Raises InputError for the lowest, and where there is no such environment."""
    ground.environment(environment)
    if environment == ground.ladder[0]:
        accepted = f"one of {', '.join(ground.ladder[1:])}; in {environment} the next build mends the last"
        raise InputError(Problem(file="--env", message="is the lowest rung", found=environment, accepted=accepted))
    return ground.history.rung(environment)


def _crossed(ground: Ground, rung: Rung, since: Entry, target: Mapping[str, Pinned]) -> Iterator[str]:
    """What was in the rung after the target was last healthy there, and left something that it may not live with."""
    later = [each.services for entry, each in (*rung.observed, *rung.requests) if since.precedes(entry)]
    now = {service: ground.version(rung.environment, service)[1] for service in target}
    ran = {each.image: service for services in (*later, now) for service, each in services.items()}
    lives = {each.image for each in target.values()}
    for image, left in sorted(ground.promotion.irreversible.items()):
        if image in ran and image not in lives:
            yield f"{ran[image]} had {image} since, and what comes back may not live with what that left: {left}"


def _healthy(ground: Ground, rung: Rung, to: str | None) -> tuple[Entry, Observed] | None:
    """The last healthy observation of that candidate.

    Without a name, of the last digests but those that the tree has, of the same services, none of them revoked.
    """
    now = {service: ground.version(rung.environment, service)[1] for service in ground.services(rung.environment)}
    for entry, observed in reversed(rung.observed):
        versions = observed.versions
        if not observed.healthy:
            continue
        if to is None:
            digests = {digest for each in versions.values() for digest in (each.image, each.chart)}
            if versions == now or versions.keys() != now.keys() or digests & ground.promotion.revoked.keys():
                continue
        elif name_of(versions) != to:
            continue
        return entry, observed
    return None


def _revoked(ground: Ground, target: Mapping[str, Pinned]) -> Iterator[str]:
    """What comes back though it was revoked: who names it may have to."""
    for service, each in sorted(target.items()):
        for digest in (each.image, each.chart):
            if digest in ground.promotion.revoked:
                yield f"{service} comes back with {digest}, which is revoked: {ground.promotion.revoked[digest]}"
