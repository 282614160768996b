"""What the plugin learns from GitHub, by a stand-in whose answers are held against GitHub's own description."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from previews.facts import Approval, PullRequest
from previews.fetching import Unavailable
from previews.github import MOST_ASKED, Round
from tests.previews.github_stand_in import GitHubStandIn, Pull, Review, at, sha
from tests.previews.plugins import World
from tests.previews.serving import Asked, Reply

HEAD = sha(7)


def only(status: int, body: bytes = b"{}", headers: dict[str, str] | None = None) -> Any:
    return lambda _: Reply(status, body, headers or {})


def on(part: str, reply: Reply) -> Any:
    return lambda asked: reply if part in asked.path else None


def test_every_open_pull_request_is_listed_over_all_pages(world: World) -> None:
    for number in range(1, 251):
        world.pull(number)
    world.pull(300, state="closed")
    pulls = world.run(world.sources().github.round().open())
    assert [pull.number for pull in pulls] == list(range(1, 251))
    assert [each.partition("?")[0] for each in world.github.paths()] == ["/pulls"] * 3


def test_a_pull_request_is_read_as_it_is(world: World) -> None:
    world.pull(1)
    world.pull(2, labels=("bug", "preview-standard"), draft=True, author="bob")
    world.pull(3, fork=True)
    world.pull(4, deleted_fork=True)
    world.pull(5, author="dependabot[bot]", type="Bot")
    world.pull(6, ghost=True)
    own, other, fork, deleted, bot, ghost = world.run(world.sources().github.round().open())
    assert own == PullRequest(
        number=1,
        head=sha(1),
        author="alice",
        labelled=True,
        tiers=frozenset(),
        draft=False,
        closed=False,
        fork=False,
        bot=False,
        created=world.now - timedelta(hours=1),
    )
    assert (other.labelled, other.tiers, other.draft, other.author) == (False, {"standard"}, True, "bob")
    assert [(each.fork, each.bot) for each in (fork, deleted, bot, ghost)] == [
        (True, False),
        (True, False),
        (False, True),
        (False, True),
    ]


def test_what_is_unchanged_is_asked_again_and_not_sent_again(world: World) -> None:
    world.pull(1)
    hub = world.sources().github

    async def thrice() -> list[list[PullRequest]]:
        first, second = await hub.round().open(), await hub.round().open()
        world.pull(2)
        return [first, second, await hub.round().open()]

    first, second, third = world.run(thrice())
    assert first == second
    assert [pull.number for pull in third] == [1, 2]
    assert (len(world.github.asked), world.github.unchanged) == (3, 1)


@pytest.mark.parametrize(
    "trouble",
    [
        only(500),
        only(502, b"<html>"),
        only(403, b'{"message": "Resource not accessible by integration"}'),
        only(404, b'{"message": "Not Found"}'),
        only(401),
        only(304),
        only(301, headers={"Location": "https://elsewhere.example"}),
        only(200, b"<html>"),
        only(200, b"{}"),
        only(200, b"null"),
        only(200, b'[{"number": 1}]'),
        only(200, b'[{"number": "1"}]'),
        only(200, b"[" * 100_000),
        only(200, b""),
    ],
)
def test_trouble_of_any_kind_is_no_answer(world: World, trouble: Any) -> None:
    world.pull(1)
    world.github.trouble = trouble
    with pytest.raises(Unavailable, match="GitHub: "):
        world.run(world.sources().github.round().open())


def test_an_empty_list_is_an_answer(world: World) -> None:
    assert world.run(world.sources().github.round().open()) == []


def test_an_answer_that_never_comes_is_trouble(world: World) -> None:
    def never(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    hub = world.sources().github
    hub.http = httpx.AsyncClient(base_url="https://github.example", transport=httpx.MockTransport(never))
    with pytest.raises(Unavailable, match="ReadTimeout"):
        asyncio.run(hub.round().open())


def test_an_answer_without_end_is_cut(world: World) -> None:
    world.github.trouble = only(200, b" " * (33 * 1024 * 1024))
    with pytest.raises(Unavailable, match="answers more than 33,554,432 bytes"):
        world.run(world.sources().github.round().open())


def test_a_pull_request_of_another_repository_is_garbage(world: World) -> None:
    world.pull(1)
    hub = world.sources().github
    world.github.repository, hub.repository = "elsewhere", "shop"
    world.github.trouble = lambda asked: world.github.reply(
        Asked(asked.method, "/repos/acme/elsewhere/pulls", asked.query, asked.headers, asked.url)
    )
    with pytest.raises(Unavailable, match="belongs to another repository"):
        world.run(hub.round().open())


def test_a_list_that_goes_on_elsewhere_gets_no_token(world: World) -> None:
    link = {"Link": '<https://evil.example/repos/acme/shop/pulls?page=2>; rel="next"'}
    world.github.trouble = only(200, b"[]", link)
    with pytest.raises(Unavailable, match="at another address"):
        world.run(world.sources().github.round().open())
    assert len(world.github.asked) == 1


def test_a_list_without_end_is_trouble(world: World) -> None:
    link = {"Link": f'<{world.github.url}/repos/acme/shop/pulls?page=2>; rel="next"'}
    world.github.trouble = only(200, b"[]", link)
    with pytest.raises(Unavailable, match="lists more than 1000"):
        world.run(world.sources().github.round().open())
    assert len(world.github.asked) == 10


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (403, {"Retry-After": "60"}, 60),
        (429, {"Retry-After": "5"}, 5),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "+90"}, 90),
        (200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "+30"}, 30),
        (403, {"Retry-After": "99999999"}, 3600),
        (403, {"X-RateLimit-Remaining": "0"}, 60),
    ],
)
def test_it_is_left_alone_for_as_long_as_it_asks(
    world: World, status: int, headers: dict[str, str], seconds: float
) -> None:
    told = {key: str(int(time.time()) + int(value)) if value[0] == "+" else value for key, value in headers.items()}
    world.github.trouble = only(status, b"[]", told)
    hub = world.sources().github

    async def several() -> list[str]:
        said: list[str] = []
        for later in (0.0, seconds - 2, 3.0):
            world.later(later)
            try:
                await hub.round().open()
                said.append("")
            except Unavailable as trouble:
                said.append(str(trouble))
        return said

    first, second, third = world.run(several())
    assert ("answers" in first) is (status != 200)
    assert "asks to be left alone for" in second
    assert "left alone" not in third
    assert len(world.github.asked) == 2


def test_no_more_is_asked_at_once_than_was_said(world: World) -> None:
    questions = Round(world.sources().github, asked=MOST_ASKED)
    with pytest.raises(Unavailable, match=f"more than {MOST_ASKED} questions"):
        world.run(questions.open())
    assert world.github.asked == []


def pushed(world: World, *hours: float) -> datetime | None:
    suites = tuple(at(world.now, each) for each in hours)
    world.github.put(Pull(7, at(world.now, 50), suites))
    return world.run(world.sources().github.round().pushed(HEAD))


def test_the_first_check_suite_tells_when_a_head_was_pushed(world: World) -> None:
    assert pushed(world, 2, 9, 5) == world.now - timedelta(hours=9)


def test_a_head_without_a_check_suite_has_no_date(world: World) -> None:
    assert pushed(world) is None


def test_a_date_that_is_yet_to_come_is_trouble(world: World) -> None:
    with pytest.raises(Unavailable, match="which is yet to come"):
        pushed(world, -1)


def test_when_a_head_was_pushed_is_asked_once(world: World) -> None:
    world.pull(7)
    hub = world.sources().github

    async def twice() -> tuple[datetime | None, datetime | None]:
        return await hub.round().pushed(HEAD), await hub.round().pushed(HEAD)

    first, second = world.run(twice())
    assert (first, len(world.github.asked)) == (second, 1)


def approvals(world: World, *reviews: Review) -> tuple[Approval, ...]:
    world.pull(7, fork=True, reviews=reviews)
    world.github.permissions = {"bob": "write", "carol": "admin", "dave": "read"}
    questions = world.sources().github.round()

    async def of_seven() -> tuple[Approval, ...]:
        (pull,) = await questions.open()
        return await questions.approvals(pull)

    return world.run(of_seven())


def test_an_approval_comes_with_what_its_reviewer_may_do(world: World) -> None:
    assert approvals(world, Review("dave", HEAD), Review("bob", HEAD, association="MEMBER")) == (
        Approval("bob", "write", HEAD, dismissed=False),
        Approval("dave", "read", HEAD, dismissed=False),
    )


@pytest.mark.parametrize(
    "reviews",
    [
        [Review("bob", sha(7, 1))],
        [Review("bob", None)],
        [Review("bob", HEAD, "COMMENTED")],
        [Review("bob", HEAD, "PENDING")],
        [Review("ci[bot]", HEAD, type="Bot")],
        [],
    ],
)
def test_what_is_no_approval_of_the_head_counts_for_nothing(world: World, reviews: list[Review]) -> None:
    assert approvals(world, *reviews) == ()
    assert not any("permission" in path for path in world.github.paths())


@pytest.mark.parametrize("then", ["DISMISSED", "CHANGES_REQUESTED"])
def test_an_approval_that_was_taken_back_is_none(world: World, then: str) -> None:
    assert approvals(world, Review("bob", HEAD), Review("bob", HEAD, then)) == (
        Approval("bob", "none", HEAD, dismissed=True),
    )


def test_a_comment_takes_no_approval_back(world: World) -> None:
    (approval,) = approvals(world, Review("bob", HEAD), Review("bob", HEAD, "COMMENTED"))
    assert not approval.dismissed


def test_a_crowd_of_strangers_hides_no_insider_and_costs_ten_questions(world: World) -> None:
    crowd = [Review(f"stranger-{number}", HEAD) for number in range(150)]
    found = approvals(world, *crowd, Review("carol", HEAD, association="OWNER"))
    assert (found[0], len(found)) == (Approval("carol", "admin", HEAD, dismissed=False), 10)
    assert sum("permission" in path for path in world.github.paths()) == 10


def test_more_reviews_than_are_read_are_no_approval_and_no_trouble(world: World) -> None:
    crowd = [Review(f"stranger-{number}", sha(7, 1)) for number in range(1000)]
    assert approvals(world, *crowd, Review("bob", HEAD)) == ()


@pytest.mark.parametrize("status", [401, 403, 500])
def test_a_permission_that_is_not_told_is_trouble(world: World, status: int) -> None:
    world.github.trouble = on("/permission", Reply(status, b'{"message": "no"}'))
    with pytest.raises(Unavailable, match=f"answers {status} to"):
        approvals(world, Review("bob", HEAD))


def test_a_reviewer_whom_github_does_not_know_may_do_nothing_and_stops_nobody(world: World) -> None:
    """Accounts that are renamed, deleted or hidden are answered so, and anybody may review."""
    world.github.trouble = on("/permission", Reply(404, b'{"message": "Not Found"}'))
    (approval,) = approvals(world, Review("bob", HEAD))
    assert approval.permission == "none"


@pytest.mark.parametrize("status", [404, 422])
def test_a_head_that_github_does_not_know_has_no_date_and_stops_nobody(world: World, status: int) -> None:
    world.github.trouble = on("/check-suites", Reply(status, b'{"message": "No commit found"}'))
    assert pushed(world, 2) is None


@pytest.mark.parametrize("state", ["open", "closed"])
def test_one_pull_request_tells_whether_it_is_closed(world: World, state: str) -> None:
    world.pull(7, state=state)
    assert world.run(world.sources().github.round().one(7)).closed is (state == "closed")


def test_the_token_is_the_one_that_the_file_has_now(world: World) -> None:
    hub = world.sources().github
    world.run(hub.round().open())
    world.github.token = "another"
    with pytest.raises(Unavailable, match="answers 401"):
        world.run(hub.round().open())
    (world.folder / "github").write_text("another", encoding="utf-8")
    assert world.run(hub.round().open()) == []


@pytest.mark.parametrize("text", ["", "two\nlines", "\x00"])
def test_a_file_that_holds_no_token_is_trouble(world: World, text: str) -> None:
    (world.folder / "github").write_text(text, encoding="utf-8")
    with pytest.raises(Unavailable, match="holds no token"):
        world.run(world.sources().github.round().open())


def test_the_stand_in_would_notice_a_shape_that_is_not_githubs(world: World) -> None:
    world.github.put(Pull(1, "yesterday", state="open"))
    body = json.loads(world.github.reply(_list(world.github)).body)
    assert body[0]["created_at"] == "yesterday"
    world.github.put(Pull(1, None))  # pyright: ignore[reportArgumentType]
    world.github.reply(_list(world.github))
    assert any("created_at" in wrong for wrong in world.github.invalid)


def _list(github: GitHubStandIn) -> Asked:
    path = f"/repos/{github.owner}/{github.repository}/pulls"
    return Asked("GET", path, {}, {"authorization": f"Bearer {github.token}"}, f"{github.url}{path}")
