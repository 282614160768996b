"""``cut``: a release candidate is what dev was last observed running, where that commit's checks are green."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from ladder.errors import CheckFailed
from ladder.git import said
from ladder.promotion.ground import Ground
from ladder.promotion.statements import Candidate, Check, as_moment, name_of

__all__ = ["ChecksOf", "cut"]

ChecksOf = Callable[[str], Mapping[str, str]]
"""The conclusions of a commit's checks by the contract's app, by name; of one that ran twice, the last."""


def cut(ground: Ground, checks_of: ChecksOf, at: datetime) -> Candidate | str:
    """The statement that names a candidate; the name alone where these digests have one already.

    Raises CheckFailed where dev is not whole, or a required check is anything but a success: one that is skipped,
    neutral, running or missing was not passed.
    """
    lowest = ground.history.rungs[0]
    if not lowest.observed:
        raise CheckFailed(f"{lowest.environment} was never observed: `ladder observe {lowest.environment}` does that")
    entry, seen = lowest.observed[-1]
    if not seen.healthy:
        raise CheckFailed(f"{lowest.environment} was last observed, at {seen.at}, with problems: {seen.problems[0]}")
    revisions = sorted({each.revision for each in seen.services.values()})
    if len(revisions) > 1:
        raise CheckFailed(f"{lowest.environment} was last observed at several commits: {', '.join(revisions)}")
    name = name_of(seen.versions)
    if name in lowest.candidates:
        return name
    commit = _last_but_evidence(ground, *revisions)
    sequence, previous = lowest.chain.next
    return Candidate(
        environment=lowest.environment,
        sequence=sequence,
        previous=previous,
        at=as_moment(at),
        name=name,
        services=seen.versions,
        observed=entry.digest,
        checks=_green(ground, commit, checks_of(commit)),
    )


def _last_but_evidence(ground: Ground, revision: str) -> str:
    """The last commit of that history that changed more than evidence: whatever came after it has the same to check.

    Raises CheckFailed where this clone does not have it.
    """
    rest = (".", f":(exclude){ground.promotion.evidence.folder}")
    return said(ground.root, "log", "-1", "--format=%H", revision, "--", *rest).strip() or revision


def _green(ground: Ground, commit: str, conclusions: Mapping[str, str]) -> Mapping[str, Check]:
    required = ground.promotion.checks.all()
    missing = [
        f"{name} is {conclusions.get(name, 'missing')}" for name in required if conclusions.get(name) != "success"
    ]
    if missing:
        raise CheckFailed(f"not every check of {commit} is green: {', '.join(missing)}")
    return {name: Check(conclusion="success", commit=commit) for name in required}
