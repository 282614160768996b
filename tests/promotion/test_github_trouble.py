"""Whatever GitHub answers: one clear line, the right exit code, and a repository that is as it was, or comes right."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tests.previews.serving import Asked, Reply
from tests.promotion.places import Place
from tests.promotion.test_pin import Shop, shop  # noqa: F401 - a fixture
from tests.support import Outcome

Answer = Callable[[Asked], Reply | None]
DOWN = "GitHub: not reached: ConnectError"


def answering(status: int, body: bytes = b'{"message": "no"}', **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda asked: Reply(status, body, named) if asked.path.startswith("/repos/") else None


TROUBLE: dict[str, tuple[Answer, str]] = {
    "403": (answering(403), "403: no"),
    "404": (answering(404), "404: no"),
    "422": (answering(422, b'{"message": "Validation Failed", "errors": []}'), "422: Validation Failed"),
    "500": (answering(500, b"oops"), "500: Internal Server Error"),
    "502": (answering(502, b"<html>"), "502: Bad Gateway"),
    "a limit of requests": (
        answering(403, x_ratelimit_remaining="0", x_ratelimit_reset="2000000000"),
        "the limit of requests is used up, try again at 2033-05-18T03:33:20+00:00",
    ),
    "too many at once": (answering(429), "the limit of requests is used up, try again later"),
    "garbage": (answering(200, b"<html>"), "is not answered as its documentation says"),
    "another shape": (answering(200, b'{"message": 1}'), "is not answered as its documentation says"),
    "a redirect elsewhere": (answering(302, Location="http://127.0.0.1:9/"), "302"),
}


def refs(place: Place) -> str:
    return place.git("for-each-ref", at=place.bare)


def told(outcome: Outcome, says: str, code: int = 1) -> None:
    assert outcome.code == code, outcome.out + outcome.err
    assert says in outcome.err
    assert "Traceback" not in outcome.err
    assert "ghs_0a" not in outcome.out + outcome.err


def cut(place: Place) -> str:
    place.build()
    place.observe("dev", datetime.now(UTC))
    name = place.ladder("cut").out.strip()
    place.git("fetch", "--quiet", "origin")
    return name


@pytest.mark.parametrize("name", TROUBLE)
def test_a_candidate_is_not_cut(place: Place, name: str) -> None:
    answer, says = TROUBLE[name]
    place.build()
    place.observe("dev", datetime.now(UTC))
    before, place.elsewhere.trouble = refs(place), answer
    told(place.ladder("cut"), says)
    assert refs(place) == before


@pytest.mark.parametrize("name", TROUBLE)
def test_a_promotion_whose_pull_request_could_not_be_opened_is_opened_once_by_running_again(
    place: Place, name: str
) -> None:
    answer, says = TROUBLE[name]
    candidate = cut(place)
    place.elsewhere.trouble = answer
    told(place.ladder("promote", candidate, "--to", "staging"), says)
    place.elsewhere.trouble = lambda _: None
    again = place.ladder("promote", candidate, "--to", "staging")
    assert again.code == 0, again.err
    assert [each["head"] for each in place.elsewhere.pulls] == [f"promotion/staging/{candidate}"]
    branches = place.git("for-each-ref", "--format=%(refname)", at=place.bare).splitlines()
    assert branches == ["refs/heads/main", f"refs/heads/promotion/staging/{candidate}"]


@pytest.mark.parametrize("name", TROUBLE)
def test_a_build_that_cannot_be_compared_does_not_enter(shop: Shop, name: str) -> None:  # noqa: F811
    answer, says = TROUBLE[name]
    assert shop.pin(shop.build()).code == 0
    newer, before = shop.build("2b" * 20), refs(shop.place)
    shop.place.elsewhere.trouble = answer
    told(shop.pin(newer), says)
    assert refs(shop.place) == before


@pytest.mark.parametrize("name", TROUBLE)
def test_nothing_is_approved(place: Place, name: str) -> None:
    answer, says = TROUBLE[name]
    before, place.elsewhere.trouble = refs(place), answer
    told(place.ladder("approve", "7"), says)
    assert refs(place) == before


def nobody_there(place: Place) -> None:
    rules = place.root / "promotion.yaml"
    rules.write_text(rules.read_text().replace(f"api: {place.elsewhere.url}", "api: http://127.0.0.1:9"))
    place.keep("Nobody is there")


@pytest.mark.parametrize("verb", ["cut", "approve"])
def test_a_network_that_is_down_is_told(place: Place, verb: str) -> None:
    place.build()
    place.observe("dev", datetime.now(UTC))
    nobody_there(place)
    before = refs(place)
    told(place.ladder(*{"cut": ("cut",), "approve": ("approve", "7")}[verb]), DOWN)
    assert refs(place) == before


def test_a_promotion_is_opened_once_the_network_is_there_again(place: Place) -> None:
    candidate = cut(place)
    place.git("pull", "--quiet", "origin", "main")
    nobody_there(place)
    told(place.ladder("promote", candidate, "--to", "staging"), DOWN)
    place.git("revert", "--no-edit", "HEAD")
    place.git("push", "--quiet", "origin", "HEAD:main")
    again = place.ladder("promote", candidate, "--to", "staging")
    assert again.code == 0, again.err
    assert [each["head"] for each in place.elsewhere.pulls] == [f"promotion/staging/{candidate}"]


def test_without_a_network_no_build_takes_the_place_of_another(shop: Shop) -> None:  # noqa: F811
    assert shop.pin(shop.build()).code == 0
    nobody_there(shop.place)
    newer, before = shop.build("2b" * 20), refs(shop.place)
    told(shop.pin(newer), DOWN)
    assert refs(shop.place) == before


@pytest.mark.parametrize("token", ["", "ghs_\n0a", "ghs_é"])
def test_a_token_that_is_none_is_bad_input(place: Place, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", token)
    told(place.ladder("approve", "7"), "GITHUB_TOKEN: is not set", 2)


def test_neither_a_dirty_work_tree_nor_a_detached_head_is_part_of_it(place: Place) -> None:
    candidate = cut(place)
    place.git("checkout", "--quiet", "--detach", "HEAD~1")
    version = place.root / "gitops/envs/staging/api/version.yaml"
    version.write_text("not: yaml: at: all")
    (place.root / "promotion.yaml").write_text("[]")
    before = place.git("status", "--porcelain")
    done = place.ladder("promote", candidate, "--to", "staging")
    assert done.code == 0, done.err
    assert place.git("status", "--porcelain") == before


def test_a_remote_that_there_is_not_is_told(place: Place) -> None:
    candidate = cut(place)
    told(
        place.ladder("promote", candidate, "--to", "staging", "--base", "origin/main", "--remote", "nowhere"), "nowhere"
    )


def test_more_reviews_than_are_read_are_no_approval(place: Place) -> None:
    user = {"login": "a", "type": "User"}
    pull = {"number": 7, "merged": True, "merged_at": "2026-11-20T09:00:00Z", "merge_commit_sha": "0c" * 20}
    pull |= {"user": user, "head": {"sha": "0c" * 20}, "base": {"ref": "main"}, "commits": 1}
    review = {"id": 1, "user": user, "state": "COMMENTED", "commit_id": "0c" * 20}
    answers = {
        "/pulls/7": pull,
        "/pulls/7/commits": [{"sha": "0c" * 20, "author": user, "committer": user}],
        "/pulls/7/reviews": [review] * 100,
    }

    def endless(asked: Asked) -> Reply:
        return Reply(200, json.dumps(answers[asked.path.removeprefix("/repos/acme/environment-ladder")]).encode())

    place.elsewhere.trouble = endless
    told(place.ladder("approve", "7"), "/reviews has more than 1000 entries")
