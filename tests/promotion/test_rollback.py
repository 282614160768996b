"""The way back: to what was healthy there, told where something that ran since left what cannot be taken back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from ladder.promotion.statements import Pinned, name_of
from tests.promotion.places import Place

LEFT = "the table `orders` has no column price\n[any more](https://example.com)"
OLD, NEW, NEXT = ("sha256:" + each * 64 for each in "456")


@pytest.fixture
def began() -> datetime:
    return datetime.now(UTC) - timedelta(hours=3)


def declare(place: Place, *images: str) -> None:
    """State that images leave something behind."""
    file = place.root / "promotion.yaml"
    declared = "".join(f"\n  {image}: {json.dumps(LEFT)}" for image in images)
    text = file.read_text(encoding="utf-8")
    assert text.count("irreversible: {}") == 1
    file.write_text(text.replace("irreversible: {}", f"irreversible:{declared}"), encoding="utf-8")


def runs(place: Place, image: str) -> Mapping[str, Pinned]:
    """Give prod's web an image; answers what prod has then."""
    file = place.root / "gitops/envs/prod/web/version.yaml"
    file.write_text(file.read_text().replace(place.versions("prod")["web"].image, image))
    return place.versions("prod")


def test_a_rollback_behind_what_cannot_be_undone_is_told_and_asked_for(place: Place, began: datetime) -> None:
    declare(place, NEW)
    old = runs(place, OLD)
    place.observe("prod", began)
    runs(place, NEW)
    place.observe("prod", began + timedelta(hours=1))
    told = place.ladder("rollback", "--env", "prod")
    assert told.code == 0, told.err
    said = f"web had {NEW} since, and what comes back may not live with what that left: "
    assert f"warning: {said}the table" in told.err
    (pull,) = place.elsewhere.pulls
    assert pull["head"] == f"rollback/prod/{name_of(old)}"
    shown = r"the table \u0060orders\u0060 has no column price\u000a[any more](https://example.com)"
    assert f"- **Warning**: `{said}{shown}`" in pull["body"].splitlines()


def test_a_rollback_that_goes_behind_nothing_is_not_warned_of(place: Place, began: datetime) -> None:
    declare(place, OLD, NEXT)
    runs(place, OLD)
    place.observe("prod", began)
    old = runs(place, "sha256:" + "7" * 64)
    place.observe("prod", began + timedelta(hours=1))
    runs(place, NEW)
    place.observe("prod", began + timedelta(hours=2))
    told = place.ladder("rollback", "--env", "prod", "--to", name_of(old))
    assert (told.code, told.err) == (0, "")
    assert "Warning" not in place.elsewhere.pulls[0]["body"]


def test_what_comes_back_lives_with_what_it_left_itself(place: Place, began: datetime) -> None:
    declare(place, OLD)
    runs(place, OLD)
    place.observe("prod", began)
    runs(place, NEW)
    place.observe("prod", began + timedelta(hours=1))
    told = place.ladder("rollback", "--env", "prod", "--dry-run", "--no-render")
    assert (told.code, told.err) == (0, "")


@pytest.mark.parametrize("observed", [True, False])
def test_what_never_turned_healthy_or_was_never_seen_left_something_all_the_same(
    place: Place, began: datetime, observed: bool
) -> None:
    declare(place, NEXT)
    old = runs(place, OLD)
    place.observe("prod", began)
    runs(place, NEW)
    place.observe("prod", began + timedelta(hours=1))
    runs(place, NEXT)
    if observed:
        place.observe("prod", began + timedelta(hours=2), "web: 0 of 2 pods are ready")
        runs(place, NEW)
    place.keep("As it is now")
    told = place.ladder("rollback", "--env", "prod", "--to", name_of(old), "--dry-run", "--no-render")
    assert told.code == 0
    assert told.err.count("warning: ") == 1
    assert f"web had {NEXT} since" in told.err


def test_what_was_asked_to_enter_may_have_left_something_though_nobody_saw_it(place: Place, began: datetime) -> None:
    declare(place, NEXT)
    runs(place, NEXT)
    place.observe("prod", began)
    old = runs(place, OLD)
    place.observe("prod", began + timedelta(hours=1))
    assert place.ladder("rollback", "--env", "prod", "--no-pr").code == 0
    place.git("fetch", "--quiet", "origin")
    (branch,) = place.git("for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes/origin/rollback").splitlines()
    place.merge(branch)
    runs(place, NEW)
    place.keep("By hand")
    told = place.ladder("rollback", "--env", "prod", "--to", name_of(old), "--dry-run", "--no-render")
    assert told.code == 0
    assert f"web had {NEXT} since" in told.err


def test_by_default_it_goes_back_from_what_the_tree_has_though_nobody_saw_it_run_yet(
    place: Place, began: datetime
) -> None:
    runs(place, OLD)
    place.observe("prod", began)
    last = runs(place, NEW)
    place.observe("prod", began + timedelta(hours=1))
    runs(place, NEXT)
    place.keep("Merged, and not seen yet")
    assert place.ladder("rollback", "--env", "prod", "--no-pr").code == 0
    place.git("fetch", "--quiet", "origin")
    assert f"origin/rollback/prod/{name_of(last)}" in place.git("branch", "--remotes")


def test_by_default_it_does_not_go_back_to_what_was_revoked_and_warns_of_it_where_it_is_named(
    place: Place, began: datetime
) -> None:
    older = runs(place, OLD)
    place.observe("prod", began)
    revoked = runs(place, NEW)
    place.observe("prod", began + timedelta(hours=1))
    runs(place, NEXT)
    rules = place.root / "promotion.yaml"
    rules.write_text(rules.read_text().replace("revoked: {}", f"revoked: {{{NEW}: loses orders}}"))
    place.observe("prod", began + timedelta(hours=2))
    assert place.ladder("rollback", "--env", "prod", "--no-pr").code == 0
    place.git("fetch", "--quiet", "origin")
    assert f"origin/rollback/prod/{name_of(older)}" in place.git("branch", "--remotes")
    told = place.ladder("rollback", "--env", "prod", "--to", name_of(revoked), "--no-pr")
    assert told.code == 0
    assert f"warning: web comes back with {NEW}, which is revoked: loses orders" in told.err


def test_by_default_it_does_not_go_back_to_other_services_than_there_are(place: Place, began: datetime) -> None:
    held = runs(place, OLD)
    place.observe("prod", began)
    mail = place.root / "gitops/envs/prod/mail"
    mail.mkdir()
    for name in ("values.yaml", "version.yaml"):
        (mail / name).write_text((place.root / f"gitops/envs/prod/worker/{name}").read_text())
    place.observe("prod", began + timedelta(hours=1))
    told = place.ladder("rollback", "--env", "prod")
    assert told.code == 1
    assert f"of the services it has, none of them revoked; `--to` names any of {name_of(held)}" in told.err
