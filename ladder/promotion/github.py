"""What promotion asks of GitHub: checks of a commit, and one pull request for a branch.

Paths and shapes are those of GitHub's REST API, version 2022-11-28 (docs.github.com/rest).
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ladder.errors import CheckFailed, InputError, Problem

__all__ = ["BUILDS_VARIABLE", "TOKEN_VARIABLE", "GitHub", "Standing", "github"]

TOKEN_VARIABLE = "GITHUB_TOKEN"
BUILDS_VARIABLE = "BUILDS_TOKEN"
"""Whose token may read the repository that images are built in, where the first one may not."""
_SECONDS = 20.0
_MOST_PAGES = 10
_PAGE = 100

Standing = Literal["ahead", "behind", "diverged", "identical"]

_Model = TypeVar("_Model")


class _Told(BaseModel):
    model_config = ConfigDict(strict=True)


class _App(_Told):
    id: int


class _Run(_Told):
    id: int
    name: str
    status: str
    conclusion: str | None
    app: _App | None
    started_at: Annotated[AwareDatetime | None, Field(strict=False)] = None


class _Runs(_Told):
    total_count: int
    check_runs: list[_Run]


class _Pull(_Told):
    number: int
    html_url: str


class _Comparison(_Told):
    status: Standing


class GitHub:
    """One repository, by a client that has its token."""

    def __init__(self, client: httpx.Client, repository: str) -> None:
        self._client = client
        self.base = f"/repos/{repository}"
        self._owner = repository.partition("/")[0]

    def checks(self, commit: str, app: int) -> Mapping[str, str]:
        """The conclusions of a commit's checks by that app, by name: of one that ran more than once, the last run's.

        What has not ended has its status for a conclusion.
        """
        last: dict[str, _Run] = {}
        for run in self._runs(commit, app):
            known = last.get(run.name)
            if run.app is not None and run.app.id == app and (known is None or known.id < run.id):
                last[run.name] = run
        return {name: run.conclusion or run.status for name, run in last.items()}

    def compare(self, old: str, new: str) -> Standing:
        """How a commit stands to another: ahead of it, behind it, on another line, or the same."""
        path = f"{self.base}/compare/{old}...{new}"
        return self.ask("GET", path, TypeAdapter(_Comparison), params={"per_page": "1"}).status

    def pull_request(self, branch: str, base: str, title: str, body: str) -> tuple[str, bool]:
        """The open pull request of a branch, made where there is none: its address, and whether it is new.

        One that is open says what is asked for now: its gates may have been green, and not be any more.
        """
        query = {"head": f"{self._owner}:{branch}", "base": base, "state": "open", "per_page": "1"}
        found = self.ask("GET", f"{self.base}/pulls", TypeAdapter(list[_Pull]), params=query)
        if found:
            told = {"title": title, "body": body}
            path = f"{self.base}/pulls/{found[0].number}"
            return self.ask("PATCH", path, TypeAdapter(_Pull), json=told).html_url, False
        made = {"title": title, "head": branch, "base": base, "body": body, "maintainer_can_modify": False}
        return self.ask("POST", f"{self.base}/pulls", TypeAdapter(_Pull), json=made).html_url, True

    def _runs(self, commit: str, app: int) -> Iterator[_Run]:
        seen = 0
        for page in range(1, _MOST_PAGES + 1):
            query = {"filter": "all", "app_id": str(app), "per_page": str(_PAGE), "page": str(page)}
            path = f"{self.base}/commits/{commit}/check-runs"
            told = self.ask("GET", path, TypeAdapter(_Runs), params=query)
            yield from told.check_runs
            seen += len(told.check_runs)
            if seen >= told.total_count or not told.check_runs:
                return
        raise CheckFailed(f"GitHub: {commit} has more than {_MOST_PAGES * _PAGE} check runs")

    def pages(self, path: str, model: TypeAdapter[list[_Model]]) -> Iterator[_Model]:
        """Every element of a list. Raises CheckFailed where there are more than so many pages."""
        for page in range(1, _MOST_PAGES + 1):
            query = {"per_page": str(_PAGE), "page": str(page)}
            told = self.ask("GET", path, model, params=query)
            yield from told
            if len(told) < _PAGE:
                return
        raise CheckFailed(f"GitHub: {path} has more than {_MOST_PAGES * _PAGE} entries")

    def ask(self, method: str, path: str, model: TypeAdapter[_Model], **sent: Any) -> _Model:
        """What GitHub answers. Raises CheckFailed, in one line, for anything but what its documentation says."""
        try:
            response = self._client.request(method, path, **sent)
        except httpx.LocalProtocolError as error:
            # Its text shows headers, and so the token.
            raise CheckFailed(f"GitHub: {type(error).__name__}") from None
        except httpx.HTTPError as error:
            raise CheckFailed(f"GitHub: not reached: {type(error).__name__}: {error}") from error
        if not response.is_success:
            raise CheckFailed(_refused(method, path, response))
        try:
            return model.validate_json(response.content)
        except ValidationError as error:
            raise CheckFailed(f"GitHub: {method} {path}: is not answered as its documentation says") from error


@contextmanager
def github(api: str, repository: str, *, instead: str = "") -> Generator[GitHub]:
    """A client for the repository of that address, with the token of the variable ``instead`` where that is set.

    Raises InputError where there is no token.
    """
    token = os.environ.get(instead, "") or os.environ.get(TOKEN_VARIABLE, "")
    if not token or not token.isascii() or not token.isprintable():
        accepted = "the token of a GitHub App's installation, in the environment"
        raise InputError(Problem(file=TOKEN_VARIABLE, message="is not set", accepted=accepted))
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    # No environment variable may send a token through somebody's proxy, and no redirect elsewhere.
    with httpx.Client(base_url=api, headers=headers, timeout=_SECONDS, trust_env=False) as client:
        yield GitHub(client, urlsplit(repository).path.strip("/").removesuffix(".git"))


def _refused(method: str, path: str, response: httpx.Response) -> str:
    try:
        said = str(response.json()["message"])[:300]
    except (ValueError, KeyError, TypeError):
        said = response.reason_phrase
    used_up = response.headers.get("x-ratelimit-remaining") == "0"
    limited = response.status_code == HTTPStatus.TOO_MANY_REQUESTS or used_up
    again = ""
    if limited:
        reset = response.headers.get("x-ratelimit-reset", "")
        when = f" at {datetime.fromtimestamp(int(reset), UTC).isoformat()}" if reset.isdecimal() else ""
        again = f"; the limit of requests is used up, try again{when or ' later'}"
    return f"GitHub: {method} {path}: {response.status_code}: {said}{again}"
