"""What GitHub says of a merged pull request: who wrote it, who reviewed which commit of it, and who may.

Paths and shapes are those of GitHub's REST API, version 2022-11-28 (docs.github.com/rest/pulls).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from ladder.contract.types import GitSha, Login
from ladder.errors import CheckFailed
from ladder.promotion.github import GitHub

__all__ = ["PullRequest", "Review", "may_write", "pull_request"]

_MAY_WRITE = frozenset({"admin", "write"})
"""GitHub tells the role ``maintain`` as ``write`` here."""

_At = Annotated[AwareDatetime | None, Field(strict=False)]


class _Told(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _User(_Told):
    login: Login
    type: str


class _Head(_Told):
    sha: GitSha


class _Base(_Told):
    ref: str


class _Pull(_Told):
    number: int
    merged: bool
    merged_at: _At
    merge_commit_sha: GitSha | None
    user: _User
    head: _Head
    base: _Base
    commits: int


class _Commit(_Told):
    sha: GitSha
    author: _User | None
    committer: _User | None


class Review(_Told):
    """``state`` of one that is only a comment says nothing of approval."""

    id: int
    user: _User | None
    state: Literal["APPROVED", "CHANGES_REQUESTED", "COMMENTED", "DISMISSED", "PENDING"]
    commit_id: GitSha | None
    submitted_at: _At = None


class _Permission(_Told):
    permission: str


class PullRequest(_Told):
    """A merged pull request. ``authors`` wrote or committed any of its commits.

    ``reviews`` are each reviewer's last before the merge: what came after it let nothing be merged. A comment does not
    take the place of a review before it.
    """

    number: int
    base: str
    head: GitSha
    merged: GitSha
    opener: Login
    authors: tuple[Login, ...]
    reviews: Mapping[str, Review]


def pull_request(asked: GitHub, number: int) -> PullRequest:
    """Raises CheckFailed for one that is not merged, or has a commit whose author GitHub does not know or list."""
    path = f"{asked.base}/pulls/{number}"
    pull = asked.ask("GET", path, TypeAdapter(_Pull))
    if not pull.merged or pull.merged_at is None or pull.merge_commit_sha is None:
        raise CheckFailed(f"#{number} is not merged")
    authors: dict[str, str] = {}
    commits = list(asked.pages(f"{path}/commits", TypeAdapter(list[_Commit])))
    # GitHub lists no more than 250 of them.
    if not commits or len(commits) != pull.commits:
        raise CheckFailed(f"#{number} has {pull.commits} commits, of which GitHub lists {len(commits)}")
    for commit in commits:
        for who in (commit.author, commit.committer):
            if who is None:
                raise CheckFailed(f"#{number}: GitHub does not know who wrote {commit.sha}, who might be who approves")
            authors.setdefault(who.login.casefold(), who.login)
    reviews: dict[str, Review] = {}
    for review in asked.pages(f"{path}/reviews", TypeAdapter(list[Review])):
        if review.user is None or review.submitted_at is None or review.state in {"COMMENTED", "PENDING"}:
            continue
        if review.submitted_at <= pull.merged_at:
            reviews[review.user.login.casefold()] = review
    return PullRequest(
        number=number,
        base=pull.base.ref,
        head=pull.head.sha,
        merged=pull.merge_commit_sha,
        opener=pull.user.login,
        authors=tuple(sorted(authors.values())),
        reviews=reviews,
    )


def may_write(asked: GitHub, login: str) -> bool:
    """Whether somebody may write to the repository."""
    path = f"{asked.base}/collaborators/{login}/permission"
    return asked.ask("GET", path, TypeAdapter(_Permission)).permission in _MAY_WRITE
