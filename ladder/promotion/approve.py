"""``approve``: who allowed a request, by a review of the very head that was merged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from ladder.errors import CheckFailed, InputError, Problem
from ladder.git import git, objects, resolved, said
from ladder.promotion.chain import Entry
from ladder.promotion.ground import Ground
from ladder.promotion.reviews import PullRequest, Review
from ladder.promotion.statements import Approval, Purpose, Request, as_moment, digest_of, moment

__all__ = ["approve"]

MayWrite = Callable[[str], bool]


def approve(ground: Ground, pull: PullRequest, may_write: MayWrite, at: datetime) -> Approval | None:
    """The statement of the approval; None where the request is approved already.

    Raises CheckFailed where the pull request brought no request that asks for approval, or nobody who may approve it
    did, with everybody's reason; InputError where this clone does not have its commits.
    """
    entry, request = _request(ground, pull)
    rung = ground.history.rung(request.environment)
    if entry.digest in rung.approvals:
        return None
    if request.past_gates is not None and at > moment(request.past_gates.expires):
        raise CheckFailed(f"what let {entry.file} past its gates ended at {request.past_gates.expires}")
    refusals: list[str] = []
    for review in sorted(pull.reviews.values(), key=lambda each: each.id):
        if review.user is None:
            continue
        why = next(_unfit(pull, request, review, may_write), None)
        if why is None:
            return _approval(ground, pull, entry, request, review, at)
        refusals.append(f"{review.user.login}: {why}")
    raise CheckFailed(f"#{pull.number}: {'; '.join(refusals) or 'nobody reviewed it before it was merged'}")


def _unfit(pull: PullRequest, request: Request, review: Review, may_write: MayWrite) -> Iterator[str]:
    """Why a review is no approval. To GitHub a login is the same in whatever case it is written."""
    if review.user is None:
        return
    who, past = review.user.login.casefold(), request.past_gates
    if review.state != "APPROVED":
        yield "asked for changes" if review.state == "CHANGES_REQUESTED" else "the review was dismissed"
    if review.commit_id != pull.head:
        yield f"reviewed {review.commit_id}, and {pull.head} was merged"
    if who == pull.opener.casefold():
        yield "opened it"
    if who in {each.casefold() for each in pull.authors}:
        yield "wrote or committed of it"
    if request.by is not None and who == request.by.casefold():
        yield "asked for it"
    if review.user.type != "User":
        yield "is nobody"
    if past is not None and who != past.second.casefold():
        yield f"past its gates only {past.second} can allow it"
    if not may_write(review.user.login):
        yield "may not write to the repository"


def _approval(
    ground: Ground, pull: PullRequest, entry: Entry, request: Request, review: Review, at: datetime
) -> Approval:
    if review.user is None:
        raise CheckFailed(f"#{pull.number}: the review is nobody's")
    sequence, previous = ground.history.rung(request.environment).chain.next
    return Approval(
        environment=request.environment,
        sequence=sequence,
        previous=previous,
        at=as_moment(at),
        request=entry.digest,
        services=request.services,
        pull_request=pull.number,
        head=pull.head,
        merged=pull.merged,
        approver=review.user.login,
        review=review.id,
        opener=pull.opener,
        authors=pull.authors,
    )


def _request(ground: Ground, pull: PullRequest) -> tuple[Entry, Request]:
    """The one request that the merge added, as its reviewed head has it too."""
    root, delivered = ground.root, ground.delivery.branch
    if pull.base != delivered:
        raise CheckFailed(f"#{pull.number} was merged into another branch than {delivered}")
    for commit, fetch in ((pull.merged, delivered), (pull.head, f"refs/pull/{pull.number}/head")):
        if not resolved(root, commit):
            accepted = f"a clone that has it: git fetch origin {fetch}"
            raise InputError(Problem(file=f"#{pull.number}", message="is not here", found=commit, accepted=accepted))
    if git(root, "merge-base", "--is-ancestor", pull.merged, ground.commit).returncode:
        raise CheckFailed(f"#{pull.number} was merged as {pull.merged}, which {ground.commit} does not have")
    asked = [(entry, link) for rung in ground.history.rungs for entry, link in rung.requests]
    by_digest = {entry.digest: (entry, link) for entry, link in asked}
    found = [by_digest[digest] for digest in _added(ground, pull) if digest in by_digest]
    if len(found) != 1:
        raise CheckFailed(
            f"#{pull.number} brought {len(found)} requests, where one is approved at a time; of a rebase, the last "
            "commit alone is looked at"
        )
    ((entry, request),) = found
    if request.purpose is Purpose.PIN:
        raise CheckFailed(f"#{pull.number} lets a build enter {request.environment}, which asks for nobody's approval")
    return entry, request


def _added(ground: Ground, pull: PullRequest) -> Iterator[str]:
    """The digests of the evidence that the merge added and the head has as it is."""
    root, folder = ground.root, ground.promotion.evidence.folder
    before = _files(ground, f"{pull.merged}^1")
    head = _files(ground, pull.head)
    added = {path: name for path, name in _files(ground, pull.merged).items() if path not in before}
    if altered := sorted(path for path, name in added.items() if head.get(path) != name):
        raise CheckFailed(f"#{pull.number}: {folder}/{altered[0]} was merged otherwise than it was reviewed")
    names = sorted(set(added.values()))
    yield from (digest_of(content) for content in objects(root, names))


def _files(ground: Ground, commit: str) -> dict[str, str]:
    """The evidence of a commit: the names of its objects, by path."""
    told = said(ground.root, "ls-tree", "-r", "-z", commit, "--", f"{ground.promotion.evidence.folder}/")
    rows = (line.partition("\t") for line in told.split("\0") if line)
    return {path: row.split()[2] for row, _, path in rows}
