"""An approval is stated from a review of the very head that was merged, and of nobody who had a part in it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ladder.contract.promotion import read_promotion
from ladder.promotion.statements import Approval, parse
from tests.previews.serving import Asked, Reply
from tests.promotion.places import Place, report, soaked
from tests.sigstore_stand_in import Job
from tests.support import Outcome

NUMBER = 7
REVIEWED, MERGED, AFTERWARDS = (f"2026-11-20T09:0{minute}:00Z" for minute in range(3))
OPENER = "promoter[bot]"


@dataclass
class Merged:
    """A promotion's pull request after its merge, as GitHub tells of it."""

    place: Place
    head: str
    merged: str
    opener: str = OPENER
    base: str = "main"
    is_merged: bool = True
    unlisted: int = 0
    authors: list[str | None] = field(default_factory=lambda: [OPENER])
    reviews: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    permissions: dict[str, str] = field(default_factory=lambda: {"octocat": "write"})

    def review(self, who: str = "octocat", state: str = "APPROVED", **changed: Any) -> None:
        told = {"id": 100 + len(self.reviews), "user": user(who), "state": state, "commit_id": self.head}
        told |= {"submitted_at": REVIEWED, "body": "`$(touch /tmp/never)`"}
        self.reviews.append({**told, **changed})

    def answer(self, asked: Asked) -> Reply | None:
        path = asked.path.removeprefix("/repos/acme/environment-ladder")
        begin = (int(asked.query.get("page", "1")) - 1) * int(asked.query.get("per_page", "100"))
        page = slice(begin, begin + int(asked.query.get("per_page", "100")))
        if path == f"/pulls/{NUMBER}":
            told: Any = {
                "number": NUMBER,
                "title": "{{ x }}",
                "merged": self.is_merged,
                "merged_at": MERGED if self.is_merged else None,
                "commits": len(self.authors) + self.unlisted,
                "merge_commit_sha": self.merged,
                "user": user(self.opener),
                "head": {"sha": self.head, "ref": "$(x)"},
                "base": {"ref": self.base},
            }
        elif path == f"/pulls/{NUMBER}/commits":
            who = [None if each is None else user(each) for each in self.authors]
            told = [{"sha": self.head, "author": each, "committer": each} for each in who][page]
        elif path == f"/pulls/{NUMBER}/reviews":
            told = self.reviews[page]
        elif found := re.fullmatch(r"/collaborators/([^/]+)/permission", path):
            told = {"permission": self.permissions.get(found[1], "read"), "user": user(found[1])}
        else:
            return None
        return Reply(200, json.dumps(told).encode())

    def approve(self) -> Outcome:
        self.place.git("fetch", "--quiet", "origin")
        return self.place.ladder("approve", str(NUMBER))

    def stated(self) -> list[Approval]:
        """The approvals on the delivered branch, without their signatures."""
        self.place.git("pull", "--quiet", "origin", "main")
        files = sorted((self.place.root / "evidence/prod").glob("*-approval.sigstore.json"))
        return [statement(file) for file in files]


def statement(file: Path) -> Approval:
    told = parse(base64.b64decode(json.loads(file.read_text())["dsseEnvelope"]["payload"]))
    assert isinstance(told, Approval)
    return told


def user(login: str) -> dict[str, str]:
    return {"login": login, "type": "Bot" if login.endswith("[bot]") else "User"}


@pytest.fixture
def merged(place: Place) -> Merged:
    return promoted(place)


def promoted(place: Place, *more: str) -> Merged:
    """A candidate was asked into prod by ``asker``, and the pull request was merged by a merge commit."""
    name = soaked(place)
    asked = ("promote", name, "--to", "prod", "--by", "asker", "--load-report", str(report(place)), "--no-pr")
    done = place.ladder(*asked, *more)
    assert done.code == 0, done.out + done.err
    place.git("fetch", "--quiet", "origin")
    head = place.git("rev-parse", f"origin/promotion/prod/{name}")
    place.git("merge", "--quiet", "--no-ff", "--message", f"Merge #{NUMBER}", head)
    place.git("push", "--quiet", "origin", "HEAD:main")
    told = Merged(place, head, place.git("rev-parse", "HEAD"))
    place.elsewhere.trouble = told.answer
    place.sigstore.job = Job.of(read_promotion(place.root).evidence.signers.approval)
    return told


def test_a_review_of_the_merged_head_becomes_the_approval(merged: Merged) -> None:
    merged.review()
    told = merged.approve()
    assert told.code == 0, told.err
    assert "approved by octocat in #7" in told.out
    (approval,) = merged.stated()
    assert (approval.approver, approval.head, approval.merged) == ("octocat", merged.head, merged.merged)
    assert (approval.opener, approval.authors, approval.review) == (OPENER, (OPENER,), 100)
    assert merged.place.ladder("lineage").code == 0


def test_what_is_approved_is_not_approved_again(merged: Merged) -> None:
    merged.review()
    assert merged.approve().code == 0
    told = merged.approve()
    assert (told.code, told.out.strip()) == (0, "#7 is approved already")
    assert len(merged.stated()) == 1


Change = Callable[[Merged], object]

REFUSED: dict[str, tuple[Change, str]] = {
    "nobody reviewed it": (lambda _: None, "#7: nobody reviewed it"),
    "only a comment": (lambda merged: merged.review(state="COMMENTED"), "#7: nobody reviewed it"),
    "its opener": (
        lambda merged: (setattr(merged, "opener", "octocat"), merged.review()),
        "octocat: opened it",
    ),
    "its opener, in other letters": (
        lambda merged: (setattr(merged, "opener", "OctoCat"), merged.review()),
        "octocat: opened it",
    ),
    "an author of one of its commits": (
        lambda merged: (merged.authors.append("Octocat"), merged.review()),
        "octocat: wrote or committed of it",
    ),
    "an author on the second page of its commits": (
        lambda merged: (merged.authors.extend([OPENER] * 100 + ["octocat"]), merged.review()),
        "octocat: wrote or committed of it",
    ),
    "who asked for it": (
        lambda merged: (merged.permissions.update(asker="admin"), merged.review("asker")),
        "asker: asked for it",
    ),
    "a review of an older head": (
        lambda merged: merged.review(commit_id="0d" * 20),
        f"octocat: reviewed {'0d' * 20}, and",
    ),
    "a review that was dismissed": (
        lambda merged: (merged.review(), merged.review(state="DISMISSED")),
        "octocat: the review was dismissed",
    ),
    "changes asked for after the approval": (
        lambda merged: (merged.review(), merged.review(state="CHANGES_REQUESTED")),
        "octocat: asked for changes",
    ),
    "who may only read": (
        lambda merged: merged.review("stranger"),
        "stranger: may not write to the repository",
    ),
    "an App": (
        lambda merged: (merged.permissions.update({"friend[bot]": "write"}), merged.review("friend[bot]")),
        "friend[bot]: is nobody",
    ),
    "a commit whose author GitHub does not know": (
        lambda merged: (merged.authors.append(None), merged.review()),
        "GitHub does not know who wrote",
    ),
    "a commit that GitHub does not list": (
        lambda merged: (setattr(merged, "unlisted", 250), merged.review()),
        "#7 has 251 commits, of which GitHub lists 1",
    ),
    "a review after the merge": (
        lambda merged: merged.review(submitted_at=AFTERWARDS),
        "#7: nobody reviewed it before it was merged",
    ),
    "not merged": (lambda merged: setattr(merged, "is_merged", False), "#7 is not merged"),
    "merged into another branch": (
        lambda merged: setattr(merged, "base", "release"),
        "#7 was merged into another branch than main",
    ),
    "a merge that brought no request": (
        lambda merged: (
            merged.place.git("commit", "--quiet", "--allow-empty", "--message", "Nothing"),
            merged.place.git("push", "--quiet", "origin", "HEAD:main"),
            setattr(merged, "merged", merged.place.git("rev-parse", "HEAD")),
        ),
        "#7 brought 0 requests",
    ),
    "a head that has it otherwise": (
        lambda merged: setattr(merged, "head", merged.place.git("rev-parse", f"{merged.head}^")),
        "was merged otherwise than it was reviewed",
    ),
    "a merge that the branch does not have": (
        lambda merged: setattr(merged, "merged", merged.place.git("commit-tree", "-m", "x", "HEAD^{tree}")),
        "does not have",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_approval_is_refused_with_the_reason(merged: Merged, name: str) -> None:
    change, says = REFUSED[name]
    change(merged)
    before = merged.place.git("rev-parse", "main", at=merged.place.bare)
    told = merged.approve()
    assert told.code == 1, told.out
    assert says in told.err
    assert "Traceback" not in told.err
    assert merged.place.git("rev-parse", "main", at=merged.place.bare) == before


def test_the_first_who_may_is_who_approved_it(merged: Merged) -> None:
    merged.permissions["second"] = "admin"
    merged.review("stranger")
    merged.review("octocat", commit_id="0d" * 20)
    merged.review("second")
    assert merged.approve().code == 0
    assert [each.approver for each in merged.stated()] == ["second"]


def test_a_comment_does_not_take_an_approval_back(merged: Merged) -> None:
    merged.review()
    merged.review(state="COMMENTED")
    assert merged.approve().code == 0


def test_what_is_said_after_the_merge_neither_gives_nor_takes_an_approval(merged: Merged) -> None:
    merged.review()
    merged.review(state="CHANGES_REQUESTED", submitted_at=AFTERWARDS)
    assert merged.approve().code == 0


def test_past_its_gates_only_the_second_person_approves(place: Place) -> None:
    place.elsewhere.rate = "0.5"
    merged = promoted(place, "--break-glass", "customers cannot pay", "--second", "hubot")
    merged.permissions["hubot"] = "write"
    merged.review("octocat")
    told = merged.approve()
    assert told.code == 1
    assert "octocat: past its gates only hubot can allow it" in told.err
    merged.review("HuBot")
    merged.permissions["HuBot"] = "write"
    assert merged.approve().code == 0


def test_commits_that_this_clone_does_not_have_are_bad_input(merged: Merged) -> None:
    merged.head = "0f" * 20
    told = merged.approve()
    assert told.code == 2
    assert "git fetch origin refs/pull/7/head" in told.err


@pytest.mark.parametrize("number", ["0", "-1", "x", "7;x"])
def test_what_is_no_number_is_bad_input(place: Place, number: str) -> None:
    assert place.ladder("approve", "--", number).code == 2


def test_nobody_but_the_workflow_may_state_it(merged: Merged) -> None:
    merged.review()
    merged.place.sigstore.job = Job.of(read_promotion(merged.place.root).evidence.signers.request)
    told = merged.approve()
    assert told.code == 1
    assert "may state an approval" in told.err
