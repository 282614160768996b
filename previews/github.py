"""What GitHub says of pull requests: which are open, what was approved and by whom, and when a head was pushed.

Paths and shapes are those of GitHub's REST API, version 2022-11-28 (docs.github.com/rest). Whatever is not a whole,
sound answer raises Unavailable: what GitHub says decides, never that it says nothing.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ladder.contract.stack import TierLevel
from previews.facts import Approval, Permission, PullRequest
from previews.fetching import Absent, Answer, Unavailable, fetch, secret

__all__ = ["MOST_ASKED", "MOST_PAGES", "GitHub", "Round"]

_SOURCE = "GitHub"
MOST_PAGES = 10
"""The most pages of a list that are read, of a hundred entries each."""

MOST_ASKED = 600
"""The most questions for one set of facts: 200 pull requests, all from forks and none seen before, need fewer."""

_MOST_REVIEWERS = 10
_MOST_KEPT = 4096
_LONGEST_WAIT = 3600.0
_AHEAD = timedelta(minutes=10)
_OPINIONS = frozenset({"APPROVED", "CHANGES_REQUESTED", "DISMISSED"})
_LIMITED = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
_INSIDERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})

_Model = TypeVar("_Model")
_Sha = Annotated[str, Field(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")]


class _Told(BaseModel):
    """Part of what GitHub tells: the fields that are read, of exactly these types."""

    model_config = ConfigDict(strict=True)


class _User(_Told):
    login: Annotated[str, Field(min_length=1, max_length=200)]
    type: str


class _Label(_Told):
    name: str


class _Repository(_Told):
    id: int
    full_name: str


class _Ref(_Told):
    sha: _Sha
    repo: _Repository | None


class _Base(_Told):
    repo: _Repository


class _Pull(_Told):
    number: Annotated[int, Field(gt=0)]
    state: Literal["open", "closed"]
    draft: bool = False
    user: _User | None
    labels: list[_Label]
    created_at: AwareDatetime
    head: _Ref
    base: _Base


class _Review(_Told):
    user: _User | None
    state: str
    commit_id: str | None
    author_association: str = ""


class _Granted(_Told):
    permission: Permission


class _Suite(_Told):
    created_at: AwareDatetime | None


class _Suites(_Told):
    total_count: int
    check_suites: list[_Suite]


_ABSENT = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY})
_PULLS, _PULL, _REVIEWS = TypeAdapter(list[_Pull]), TypeAdapter(_Pull), TypeAdapter(list[_Review])
_GRANTED, _SUITES = TypeAdapter(_Granted), TypeAdapter(_Suites)


def _unheard(status: int, left: int | None) -> None:
    """Nobody listens."""
    del status, left


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer that GitHub may call unchanged."""

    tag: str
    value: Any
    next: str


@dataclass(slots=True)
class GitHub:
    """One repository, as a token may see it. ``on_answer`` hears of each status and of what is left of the rate limit.

    Lists and answers are kept with their ETags and always asked about again: one that is unchanged is not counted by
    GitHub. When a head was pushed never changes, and is asked once.
    """

    http: httpx.AsyncClient
    owner: str
    repository: str
    label: str
    token: Path
    on_answer: Callable[[int, int | None], object] = _unheard
    clock: Callable[[], float] = time.monotonic
    _known: OrderedDict[str, _Known] = field(default_factory=OrderedDict[str, _Known])
    _pushed: OrderedDict[str, datetime] = field(default_factory=OrderedDict[str, datetime])
    _silent_until: float = -math.inf

    def round(self) -> Round:
        """Questions for one set of facts."""
        return Round(self)

    async def ask(self, path: str, model: TypeAdapter[_Model]) -> tuple[_Model, str]:
        """The answer to one question, and where a list goes on. Raises Unavailable."""
        wait = self._silent_until - self.clock()
        if wait > 0:
            raise Unavailable(_SOURCE, f"asks to be left alone for {math.ceil(wait)} s more")
        known = self._known.get(path)
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "environment-ladder-previews",
            "Authorization": f"Bearer {secret(self.token, _SOURCE)}",
        } | ({"If-None-Match": known.tag} if known else {})
        answer = await fetch(self.http, _SOURCE, path, headers=headers)
        self._heed(answer)
        if answer.status == HTTPStatus.NOT_MODIFIED and known is not None:
            self._known.move_to_end(path)
            return known.value, known.next
        if answer.status != HTTPStatus.OK:
            trouble = Absent if answer.status in _ABSENT else Unavailable
            raise trouble(_SOURCE, f"answers {answer.status} to {path.partition('?')[0]}")
        try:
            value = model.validate_json(answer.body)
        except ValidationError as error:
            raise Unavailable(_SOURCE, f"what answers {path.partition('?')[0]} is not GitHub") from error
        following = self._within(answer.next)
        if "etag" in answer.headers:
            _keep(self._known, path, _Known(answer.headers["etag"], value, following))
        return value, following

    def _heed(self, answer: Answer) -> None:
        """Leaves GitHub alone for as long as it asks, an hour at most."""
        left, after = _number(answer.headers.get("x-ratelimit-remaining")), answer.headers.get("retry-after")
        self.on_answer(answer.status, None if left is None else int(left))
        wait = _number(after) if answer.status in _LIMITED else None
        if wait is None and left == 0:
            reset = _number(answer.headers.get("x-ratelimit-reset"))
            wait = reset - time.time() if reset is not None else 60.0
        if wait is not None:
            self._silent_until = self.clock() + min(max(wait, 1.0), _LONGEST_WAIT)

    def _within(self, following: str) -> str:
        """The next page's address, which gets the token: it must be GitHub's own."""
        if not following:
            return ""
        own, next_ = self.http.base_url, httpx.URL(following)
        if (own.scheme, own.host, own.port) != (next_.scheme, next_.host, next_.port):
            raise Unavailable(_SOURCE, "a list goes on at another address than GitHub's")
        return following

    @property
    def base(self) -> str:
        return f"/repos/{self.owner}/{self.repository}"

    def pull_request(self, pull: _Pull) -> PullRequest:
        """The listed pull request as facts. Raises Unavailable where it cannot be one of this repository."""
        home = pull.base.repo
        if home.full_name.casefold() != f"{self.owner}/{self.repository}".casefold():
            raise Unavailable(_SOURCE, f"#{pull.number} is listed and belongs to another repository")
        labels = {label.name for label in pull.labels}
        tiers = {tier.value for tier in TierLevel if f"{self.label}-{tier}" in labels}
        return PullRequest(
            number=pull.number,
            head=pull.head.sha,
            author=pull.user.login if pull.user else "",
            labelled=self.label in labels,
            tiers=frozenset(tiers),
            draft=pull.draft,
            closed=pull.state == "closed",
            fork=pull.head.repo is None or pull.head.repo.id != home.id,
            bot=pull.user is None or pull.user.type != "User",
            created=_past(pull.created_at),
        )

    def remembered(self, sha: str) -> datetime | None:
        return self._pushed.get(sha)

    def remember(self, sha: str, pushed: datetime) -> None:
        _keep(self._pushed, sha, pushed)


@dataclass(slots=True)
class Round:
    """The questions of one set of facts. ``asked`` counts them; more than MOST_ASKED raise Unavailable."""

    github: GitHub
    asked: int = 0
    _granted: dict[str, Permission] = field(default_factory=dict[str, Permission])

    async def open(self) -> list[PullRequest]:
        """Every open pull request, oldest first. Raises Unavailable."""
        query = "state=open&sort=created&direction=asc&per_page=100"
        pulls, whole = await self._list(f"{self.github.base}/pulls?{query}", _PULLS)
        if not whole:
            raise Unavailable(_SOURCE, f"lists more than {MOST_PAGES * 100} open pull requests")
        listed = {pull.number: self.github.pull_request(pull) for pull in pulls}
        return [each for _, each in sorted(listed.items())]

    async def one(self, number: int) -> PullRequest:
        """One pull request, open or closed. Raises Unavailable."""
        pull, _ = await self._ask(f"{self.github.base}/pulls/{number}", _PULL)
        if pull.number != number:
            raise Unavailable(_SOURCE, f"answers with #{pull.number} for #{number}")
        return self.github.pull_request(pull)

    async def pushed(self, sha: str) -> datetime | None:
        """When GitHub first made a check suite for the commit, which is when it was pushed or first checked.

        The dates in a commit are whatever its author writes; a suite's is GitHub's own, and the earliest stays so
        whatever comes later. None where there is no suite, or more than one page of them.
        """
        known = self.github.remembered(sha)
        if known is not None:
            return known
        try:
            suites, _ = await self._ask(f"{self.github.base}/commits/{sha}/check-suites?per_page=100", _SUITES)
        except Absent:
            return None
        times = [_past(suite.created_at) for suite in suites.check_suites if suite.created_at is not None]
        if not times or suites.total_count > len(suites.check_suites):
            return None
        self.github.remember(sha, min(times))
        return min(times)

    async def approvals(self, pull: PullRequest) -> tuple[Approval, ...]:
        """Approvals of the head, with what each reviewer may do in the repository.

        Of ten reviewers at most, those whom GitHub counts as insiders first, because anybody may review. None at all
        where there are more reviews than are read.
        """
        path = f"{self.github.base}/pulls/{pull.number}/reviews?per_page=100"
        reviews, whole = await self._list(path, _REVIEWS)
        if not whole:
            return ()
        approvals: list[Approval] = []
        for reviewer, review in sorted(
            _last_words(reviews), key=lambda each: each[1].author_association not in _INSIDERS
        ):
            if review.commit_id == pull.head and len(approvals) < _MOST_REVIEWERS:
                dismissed = review.state != "APPROVED"
                may = "none" if dismissed else await self._permission(reviewer)
                approvals.append(Approval(reviewer, may, pull.head, dismissed))
        return tuple(approvals)

    async def _permission(self, login: str) -> Permission:
        if login not in self._granted:
            path = f"{self.github.base}/collaborators/{quote(login, safe='')}/permission"
            try:
                granted, _ = await self._ask(path, _GRANTED)
                self._granted[login] = granted.permission
            except Absent:
                # Somebody who renames or deletes their account must not stop all previews.
                self._granted[login] = "none"
        return self._granted[login]

    async def _list(self, path: str, model: TypeAdapter[list[_Model]]) -> tuple[list[_Model], bool]:
        """Every entry of a list, and whether that is all of them."""
        entries: list[_Model] = []
        for _ in range(MOST_PAGES):
            page, path = await self._ask(path, model)
            entries += page
            if not path:
                return entries, True
        return entries, False

    async def _ask(self, path: str, model: TypeAdapter[_Model]) -> tuple[_Model, str]:
        if self.asked >= MOST_ASKED:
            raise Unavailable(_SOURCE, f"would have to be asked more than {MOST_ASKED} questions at once")
        self.asked += 1
        return await self.github.ask(path, model)


def _last_words(reviews: Iterable[_Review]) -> list[tuple[str, _Review]]:
    """Each person's last review that is an opinion, insiders' first; GitHub lists reviews as they were given."""
    last = {
        review.user.login: review
        for review in reviews
        if review.user is not None and review.user.type == "User" and review.state in _OPINIONS
    }
    return sorted(last.items(), key=lambda each: each[1].author_association not in _INSIDERS)


def _past(moment: datetime) -> datetime:
    """The moment, in UTC. Raises Unavailable where it is yet to come: then one of two clocks is wrong."""
    if moment > datetime.now(UTC) + _AHEAD:
        raise Unavailable(_SOURCE, f"tells of {moment:%Y-%m-%d %H:%M}, which is yet to come")
    return moment.astimezone(UTC)


def _number(text: str | None) -> float | None:
    """A header's number of seconds or questions; a date, which GitHub does not send, is none."""
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _keep(kept: OrderedDict[str, _Model], key: str, value: _Model) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > _MOST_KEPT:
        kept.popitem(last=False)
