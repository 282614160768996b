"""``guard``: whether a pull request may be merged, by what its merge would make the rungs run.

The code is the protected base's; the pull request is data. Digests of a rung above the lowest change by one statement
and nothing beside it; settings change without a digest; everything else is none of the guard's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ladder.contract.promotion import PROMOTION
from ladder.contract.types import duration
from ladder.errors import CheckFailed, InputError, Problem
from ladder.git import said
from ladder.promotion import Broken
from ladder.promotion.delta import Delta
from ladder.promotion.ground import Ground
from ladder.promotion.guard.digests import Changes
from ladder.promotion.guard.evidence import Appended, appended, rewritten
from ladder.promotion.guard.findings import Case, Finding, Pack
from ladder.promotion.guard.settings import foreign_images, other_rules, other_sources
from ladder.promotion.guard.shape import misshapen
from ladder.promotion.kept import REPORTS, report_file
from ladder.promotion.promote import free
from ladder.promotion.statements import Purpose, Request, as_moment, digest_of, moment
from ladder.proposed import merged

__all__ = ["Finding", "Verdict", "guard"]

_WITH = "reports come with the promotion that rests on them, by `ladder promote`"
_ANEW = "close this pull request, and ask anew by `ladder promote`"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pull request is, and what is refused of it.

    ``kind`` is the purpose of its request (promotion, rollback, unpin, pin); else evidence, settings, or other.
    """

    kind: str
    about: str
    findings: Sequence[Finding]

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "about": self.about, "findings": [each.as_json() for each in self.findings]}


def guard(ground: Ground, head: str, at: datetime, pack: Pack) -> Verdict:
    """The verdict on merging a commit into the ground's; ``at`` is when that would be.

    Raises CheckFailed where both cannot be merged, or the base's own evidence is broken, and InputError for settings or
    overlays of the pull request that the contract refuses.
    """
    if below := said(ground.root, "rev-parse", "--show-prefix").strip():
        accepted = "a project at its repository's top: Argo CD reads delivery.path from there"
        raise InputError(Problem(file=below, message="is a folder of the repository", accepted=accepted))
    tree = merged(ground.root, ground.commit, head)
    case = Case(ground, Delta.of(ground.root, ground.commit, tree), tree, at, pack)
    if findings := [*misshapen(case), *rewritten(case)]:
        return Verdict("other", "", findings)
    try:
        added = appended(case)
    except Broken as error:
        raise CheckFailed(f"the evidence is broken: {ground.promotion.evidence.folder}/{error}") from error
    if isinstance(added, Finding):
        return Verdict("evidence", "", [added])
    changes = Changes(case, added)
    findings = [*changes.findings(), *foreign_images(case), *other_sources(case), *other_rules(case)]
    findings += _reported(case, added)
    for number, (entry, request) in enumerate(added.requests):
        if number:
            path = f"{ground.promotion.evidence.folder}/{entry.file}"
            findings.append(Finding(path, "is a second request", "a pull request for each"))
        findings += _asked(case, added, changes, request)
    return Verdict(*_kind(case, added), findings)


def _kind(case: Case, added: Appended) -> tuple[str, str]:
    for _, request in added.requests:
        candidate = request.candidate or ", ".join(sorted(request.services))
        return request.purpose.value, f"{candidate} in {request.environment}"
    if added.entries:
        return "evidence", ", ".join(f"{entry.link.kind} of {entry.link.environment}" for entry in added.entries)
    data = {PROMOTION, *(f"Pulumi.{stack}.yaml" for stack in case.ground.stacks), *case.below(case.services_folder)}
    return ("settings", "") if data & set(case.delta.changed) else ("other", "")


def _asked(case: Case, added: Appended, changes: Changes, request: Request) -> Iterator[Finding]:
    """Whether the tree has what a request says, nothing stands beside it, and what let it still holds."""
    if request.purpose is not Purpose.UNPIN:
        yield from changes.of_request(request)
    if request.purpose is Purpose.PIN:
        return
    yield from _beside(case, added, changes, request)
    if request.purpose is not Purpose.PROMOTION:
        return
    statement = _statement(case, added, request)
    for wrong in _overtaken(case, added, request):
        yield Finding(statement, wrong, _ANEW)


def _beside(case: Case, added: Appended, changes: Changes, request: Request) -> Iterator[Finding]:
    """Everything that is neither a digest of the request's rung, nor its statement, nor a report it rests on."""
    allowed = {_statement(case, added, request), *_reports(case, added)}
    for path in case.delta.changed:
        change = changes.all.get(path)
        own = change is not None and change.environment == request.environment and change.moves
        if path in allowed or (own and change is not None and change.exact):
            continue
        message = "changes more than digests" if own else f"stands beside a {request.purpose}"
        instead = (
            f"a pull request of its own: a {request.purpose} is digests of {request.environment} and their statement"
        )
        yield Finding(path, message, instead)


def _reports(case: Case, added: Appended) -> set[str]:
    """The load reports that the added requests rest on, by their files."""
    gates = [gate for _, request in added.requests for gate in request.gates.values()]
    return {report_file(case.ground.promotion.evidence, gate.evidence) for gate in gates if gate.evidence}


def _reported(case: Case, added: Appended) -> Iterator[Finding]:
    """Reports that are not there, are not what they are called, or that nothing rests on."""
    wanted, folder = _reports(case, added), f"{case.ground.promotion.evidence.folder}/{REPORTS}"
    for path in sorted(wanted - case.delta.after.keys()):
        yield Finding(path, "is what the statement rests on, and is not there", _ANEW)
    for path, content in case.delta.contents(case.below(folder), after=True).items():
        if path not in wanted:
            yield Finding(path, "is a report on which no statement of this pull request rests", _WITH)
        elif report_file(case.ground.promotion.evidence, digest_of(content)) != path:
            yield Finding(path, "is not the report that the statement rests on", _ANEW)


def _overtaken(case: Case, added: Appended, request: Request) -> Iterator[str]:
    """What was true when a promotion was asked for, and is not any more."""
    history, promotion, to = added.before, case.ground.promotion, request.environment
    below, past = history.below(to), request.past_gates
    cut = history.candidate(request.candidate or "")
    if below is None or cut is None:  # the chains would be broken
        return
    try:
        free(history, to, cut[1], supersede=request.supersedes is not None)
    except CheckFailed as error:
        yield str(error)
    if below is not history.rungs[0]:
        soaking = below.soaking(duration(promotion.soak.gap))
        if soaking is None or soaking.versions != request.services:
            yield f"{below.environment} was not last observed running {request.candidate}, healthy"
        elif (rests := below.chain.find(request.rests_on)) is not None and rests.logged < soaking.since:
            yield f"{below.environment} was not healthy all the time since: its soak began anew"
        elif past is None and case.at - soaking.seen > duration(promotion.soak.gap):
            yield f"{below.environment} was not observed since {as_moment(soaking.seen)}"
    for service, each in sorted(request.services.items()):
        for digest in {each.image, each.chart} & promotion.revoked.keys():
            yield f"{service}: {digest} is revoked: {promotion.revoked[digest]}"
    frozen = promotion.freeze_at(case.at) if to == case.ground.ladder[-1] and past is None else None
    if frozen is not None:
        yield f"{frozen[0]}: nothing enters {to} until {frozen[1].until}: {frozen[1].reason}"
    if past is not None and case.at > moment(past.expires):
        yield f"what let it past its gates ended at {past.expires}"


def _statement(case: Case, added: Appended, request: Request) -> str:
    entry = next(entry for entry, each in added.requests if each is request)
    return f"{case.ground.promotion.evidence.folder}/{entry.file}"
