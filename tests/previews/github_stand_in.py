"""A stand-in for GitHub's pull requests on loopback, in GitHub's own shapes: each answer is held against its schema."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from tests.previews.octokit import example, violation
from tests.previews.serving import Asked, Reply, StandIn

__all__ = ["GitHubStandIn", "Pull", "Review", "at", "sha"]

_HOME, _FORK = 1296269, 999


def sha(number: int, push: int = 0) -> str:
    """The head of a pull request after so many pushes."""
    return hashlib.sha1(f"{number}/{push}".encode(), usedforsecurity=False).hexdigest()


def at(now: datetime, hours: float) -> str:
    """So many hours ago, as GitHub writes it."""
    return (now - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Review:
    """One review; the association is what GitHub tells of the reviewer."""

    reviewer: str
    sha: str | None
    state: str = "APPROVED"
    association: str = "NONE"
    type: str = "User"


@dataclass(frozen=True)
class Pull:
    """A pull request. ``suites`` are when check suites of its head were made; ``home`` is the head's repository."""

    number: int
    created: str
    suites: tuple[str, ...] = ()
    head: str = ""
    author: str = "alice"
    type: str = "User"
    labels: tuple[str, ...] = ("preview",)
    draft: bool = False
    state: str = "open"
    fork: bool = False
    deleted_fork: bool = False
    ghost: bool = False
    title: str = "A change"
    reviews: tuple[Review, ...] = ()

    @property
    def sha(self) -> str:
        return self.head or sha(self.number)


@dataclass
class GitHubStandIn(StandIn):
    """One repository. ``invalid`` are answers that are not of GitHub's shape; ``unchanged`` counts the 304s."""

    owner: str = "acme"
    repository: str = "shop"
    token: str = "github-token"
    pulls: dict[int, Pull] = field(default_factory=dict[int, Pull])
    permissions: dict[str, str] = field(default_factory=dict[str, str])
    headers: dict[str, str] = field(default_factory=lambda: {"X-RateLimit-Remaining": "4999"})
    invalid: set[str] = field(default_factory=set[str])
    unchanged: int = 0

    def put(self, *pulls: Pull) -> None:
        self.pulls |= {pull.number: pull for pull in pulls}

    def paths(self) -> list[str]:
        """What was asked, without the repository's own path."""
        base = f"/repos/{self.owner}/{self.repository}"
        return [each.url.removeprefix(self.url).removeprefix(base) for each in self.asked]

    def reply(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return self._json(401, {"message": "Bad credentials", "status": "401"})
        # Argo CD takes any address but GitHub's own for an enterprise's, whose API is below /api/v3.
        base = rf"(?:/api/v3)?{re.escape(f'/repos/{self.owner}/{self.repository}')}"
        for pattern, answer in (
            (r"/pulls", self._list),
            (r"/pulls/([0-9]+)", self._one),
            (r"/pulls/([0-9]+)/reviews", self._reviews),
            (r"/collaborators/([^/]+)/permission", self._permission),
            (r"/commits/([0-9a-f]+)/check-suites", self._suites),
        ):
            match = re.fullmatch(base + pattern, asked.path)
            if match:
                return answer(asked, *match.groups())
        return self._json(404, {"message": "Not Found", "status": "404"})

    def _list(self, asked: Asked) -> Reply:
        found = [pull for _, pull in sorted(self.pulls.items()) if pull.state == asked.query.get("state", "open")]
        return self._page("pulls", asked, [_listed(self.owner, self.repository, pull) for pull in found])

    def _one(self, asked: Asked, number: str) -> Reply:
        pull = self.pulls.get(int(number))
        if pull is None:
            return self._json(404, {"message": "Not Found", "status": "404"})
        own = {key: value for key, value in example("pull").items() if key != "requested_teams"}
        told = {**own, **json.loads(_listed(self.owner, self.repository, pull)), "requested_teams": []}
        return self._told("pull", asked, json.dumps(told))

    def _reviews(self, asked: Asked, number: str) -> Reply:
        return self._page("reviews", asked, [_review(review) for review in self.pulls[int(number)].reviews])

    def _permission(self, asked: Asked, login: str) -> Reply:
        told = example("permission")
        told |= {"permission": self.permissions.get(login, "none"), "role_name": "custom"}
        told["user"] |= {"login": login, "role_name": "custom"}
        return self._told("permission", asked, json.dumps(told))

    def _suites(self, asked: Asked, commit: str) -> Reply:
        times = [time for pull in self.pulls.values() if pull.sha == commit for time in pull.suites]
        told = example("check-suites")
        one = told["check_suites"][0]
        suites = [{**one, "head_sha": commit, "created_at": time} for time in times]
        return self._told("check-suites", asked, json.dumps({"total_count": len(suites), "check_suites": suites}))

    def _page(self, name: str, asked: Asked, entries: list[str]) -> Reply:
        size, page = int(asked.query.get("per_page", "30")), int(asked.query.get("page", "1"))
        headers: dict[str, str] = {}
        if len(entries) > size * page:
            query = urlencode({**asked.query, "page": str(page + 1)})
            headers["Link"] = f'<{self.url}{asked.path}?{query}>; rel="next"'
        return self._told(name, asked, f"[{','.join(entries[size * (page - 1) : size * page])}]", headers)

    def _told(self, name: str, asked: Asked, text: str, headers: dict[str, str] | None = None) -> Reply:
        wrong = _wrong(name, text)
        if wrong:
            self.invalid.add(wrong)
        tag = f'W/"{hashlib.sha256(text.encode()).hexdigest()}"'
        told = {**self.headers, "ETag": tag, "Content-Type": "application/json; charset=utf-8", **(headers or {})}
        if asked.headers.get("if-none-match") == tag:
            self.unchanged += 1
            return Reply(304, b"", told)
        return Reply(200, text.encode(), told)

    def _json(self, status: int, body: Any) -> Reply:
        return Reply(status, json.dumps(body).encode(), {**self.headers, "Content-Type": "application/json"})


@functools.lru_cache(maxsize=256)
def _wrong(name: str, text: str) -> str:
    return violation(name, json.loads(text))


@functools.lru_cache(maxsize=1024)
def _listed(owner: str, repository: str, pull: Pull) -> str:
    """The pull request as a list has it."""
    told = example("pulls")[0]
    home = told["base"]["repo"] | {"id": _HOME, "full_name": f"{owner}/{repository}"}
    away = home | {"id": _FORK, "full_name": f"{pull.author}/{repository}", "fork": True}
    label = told["labels"][0]
    return json.dumps(
        told
        | {
            "number": pull.number,
            "state": pull.state,
            "title": pull.title,
            "draft": pull.draft,
            "user": None if pull.ghost else told["user"] | {"login": pull.author, "type": pull.type},
            "labels": [label | {"name": name} for name in pull.labels],
            "created_at": pull.created,
            "requested_teams": [],
            "base": told["base"] | {"repo": home},
            "head": told["head"]
            | {"sha": pull.sha, "repo": None if pull.deleted_fork else away if pull.fork else home},
        }
    )


def _review(review: Review) -> str:
    told = example("reviews")[0]
    user = told["user"] | {"login": review.reviewer, "type": review.type}
    own = {"user": user, "state": review.state, "commit_id": review.sha, "author_association": review.association}
    return json.dumps(told | own)
