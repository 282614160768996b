"""The reaper as a whole: what it deletes, in which order, and that it deletes nothing where anything is odd."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from previews.moments import moment
from previews.reaper import main
from tests.previews.reaped import Reaper, ago, reply, status
from tests.previews.serving import Asked, Reply, serving
from tests.support import ROOT


@pytest.fixture
def reaper(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Reaper:
    return Reaper(tmp_path, capsys)


def deleting(asked: Asked) -> bool:
    return asked.method == "DELETE"


def is_dry_run(asked: Asked) -> bool:
    return json.loads(asked.body)["dryRun"] == ["All"]


def test_what_is_over_goes_application_first_and_its_namespace_in_the_next_run(reaper: Reaper) -> None:
    reaper.server.namespace("pr-7", ago(2))
    reaper.server.application("pr-7", ago(2))
    first = reaper.run()
    assert (first.code, reaper.server.names()) == (0, {"namespaces/pr-7"})
    assert first.verdicts("deletion") == {"Application pr-7": "begun", "Namespace pr-7": "waits"}
    meanwhile = reaper.run()
    assert (meanwhile.code, reaper.server.names()) == (0, {"namespaces/pr-7"})
    assert meanwhile.verdicts() == {"preview pr-7": "terminating"}
    reaper.server.finish()
    last = reaper.run()
    assert (last.code, reaper.server.names()) == (0, set())
    assert last.verdicts("deletion") == {"Namespace pr-7": "begun"}
    assert reaper.server.deletions(dry_run=False) == ["applications/pr-7", "namespaces/pr-7"]


def test_an_application_that_goes_at_once_takes_its_namespace_along(reaper: Reaper) -> None:
    reaper.server.namespace("pr-7", ago(2))
    reaper.server.application("pr-7", ago(2), finalizers=[])
    assert reaper.run().code == 0
    assert reaper.server.names() == set()
    both = ["applications/pr-7", "namespaces/pr-7"]
    assert (reaper.server.deletions(dry_run=True), reaper.server.deletions(dry_run=False)) == (both, both)


def test_an_application_without_a_namespace_goes_too(reaper: Reaper) -> None:
    reaper.server.application("pr-7", ago(2))
    assert reaper.run().code == 0
    assert reaper.server.names() == set()


def test_the_later_of_both_times_counts_and_grace_after_it(reaper: Reaper) -> None:
    for name, own, others in (("pr-1", 2, -1), ("pr-2", -1, 2), ("pr-3", 0.5, 2), ("pr-4", 2, 1.5)):
        reaper.server.namespace(name, ago(own))
        reaper.server.application(name, ago(others))
    told = reaper.run()
    live = {"preview pr-1": "live", "preview pr-2": "live", "preview pr-3": "live"}
    assert told.verdicts() == {**live, "preview pr-4": "due"}
    assert reaper.server.deletions(dry_run=False) == ["applications/pr-4"]


def test_without_a_time_it_goes_by_age(reaper: Reaper) -> None:
    created = {"creationTimestamp": moment(datetime.now(UTC) - timedelta(hours=338))}
    reaper.server.namespace("pr-1", None)
    reaper.server.namespace("pr-2", None, **created)
    reaper.server.namespace("pr-3", "tomorrow", **created)
    told = reaper.run()
    assert told.verdicts() == {"preview pr-1": "live", "preview pr-2": "due", "preview pr-3": "due"}
    (odd,) = [line for line in told.lines if "problems" in line]
    assert odd["level"] == "warning"
    assert odd["problems"] == ["the Namespace's ladder.internal/expires is not a time as RFC 3339 has it"]


def test_what_is_not_a_previews_is_left_alone(reaper: Reaper) -> None:
    mine = {"ladder.internal/preview": "true"}
    reaper.server.namespace("prod", ago(900), labels=mine)
    reaper.server.namespace("pr-07", ago(900), labels=mine)
    reaper.server.namespace("pr-7", ago(900), labels={"ladder.internal/preview": "false"})
    reaper.server.namespace("pr-8", ago(900), labels={})
    reaper.server.application("pr-7", ago(900), project="default")
    reaper.server.application("dev-web", ago(900))
    before = reaper.server.names()
    told = reaper.run()
    assert (told.code, reaper.server.names()) == (0, before)
    assert told.verdicts() == {"preview prod": "left", "preview pr-07": "left", "preview dev-web": "left"}
    assert [each.query.get("labelSelector") for each in reaper.server.asked] == ["ladder.internal/preview=true", None]


def test_a_server_that_overlooks_the_selector_loses_nothing(reaper: Reaper) -> None:
    reaper.server.namespace("pr-7", ago(900), labels={})
    listed = {"kind": "NamespaceList", "metadata": {}, "items": list(reaper.server.objects.values())}
    reaper.server.trouble = lambda asked: reply(200, listed) if "labelSelector" in asked.query else None
    assert (reaper.run().code, reaper.server.names()) == (0, {"namespaces/pr-7"})


@pytest.mark.parametrize("kept", ["namespace", "application"])
def test_a_person_can_keep_it_for_a_while(reaper: Reaper, kept: str) -> None:
    until = {"annotations": {"ladder.internal/keep-until": ago(-5)}}
    reaper.server.namespace("pr-7", ago(2), **(until if kept == "namespace" else {}))
    reaper.server.application("pr-7", ago(2), **(until if kept == "application" else {}))
    told = reaper.run()
    assert (told.code, told.verdicts()) == (0, {"preview pr-7": "kept"})
    assert len(reaper.server.names()) == 2


def test_what_keeps_it_and_cannot_be_read_is_told_and_keeps_it_for_a_bounded_time(reaper: Reaper) -> None:
    forever = {"annotations": {"ladder.internal/keep-until": "forever"}}
    old = {"creationTimestamp": moment(datetime.now(UTC) - timedelta(hours=336, days=8))}
    reaper.server.namespace("pr-7", ago(2), **forever)
    reaper.server.namespace("pr-8", ago(30), **forever, **old)
    told = reaper.run()
    assert told.verdicts() == {"preview pr-7": "kept", "preview pr-8": "due"}
    assert ["keep-until" in line["problems"][0] for line in told.lines if "problems" in line] == [True, True]


def test_what_is_being_deleted_is_told_with_since_when(reaper: Reaper) -> None:
    since = ago(5)
    reaper.server.namespace("pr-7", ago(9), deletionTimestamp=since)
    told = reaper.run()
    assert (told.code, told.verdicts()) == (0, {"preview pr-7": "terminating"})
    assert f"its Namespace is being deleted since {since}; was to be gone by" in told.lines[0]["reason"]
    assert [each for each in reaper.server.asked if deleting(each)] == []


def test_a_namespace_whose_application_does_not_end_goes_after_a_grace(reaper: Reaper) -> None:
    reaper.server.namespace("pr-7", ago(9))
    reaper.server.application("pr-7", ago(9), deletionTimestamp=ago(5))
    reaper.server.namespace("pr-8", ago(9))
    reaper.server.application("pr-8", ago(9), deletionTimestamp=ago(0))
    told = reaper.run()
    assert told.verdicts() == {"preview pr-7": "due", "preview pr-8": "terminating"}
    assert told.verdicts("deletion") == {"Namespace pr-7": "begun"}


def test_an_application_whose_namespace_is_being_deleted_goes(reaper: Reaper) -> None:
    reaper.server.namespace("pr-7", ago(9), deletionTimestamp=ago(5))
    reaper.server.application("pr-7", ago(9))
    assert reaper.run().code == 0
    assert reaper.server.deletions(dry_run=False) == ["applications/pr-7"]


def test_a_dry_run_asks_and_deletes_nothing(reaper: Reaper) -> None:
    reaper.settings["dryRun"] = True
    reaper.server.namespace("pr-7", ago(2))
    reaper.server.application("pr-7", ago(2))
    told = reaper.run()
    assert (told.code, len(reaper.server.names())) == (0, 2)
    assert told.verdicts("dry run") == {"Application pr-7": "would", "Namespace pr-7": "would"}
    assert reaper.server.deletions(dry_run=True) == ["applications/pr-7", "namespaces/pr-7"]
    assert reaper.server.deletions(dry_run=False) == []


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    "refusal",
    [status(403, "may not"), status(401, ""), status(422, ""), status(429, ""), Reply(500), Reply(200, b"<html>")],
)
def test_one_dry_run_that_is_refused_and_nothing_is_deleted(reaper: Reaper, refusal: Reply, dry_run: bool) -> None:
    reaper.settings["dryRun"] = dry_run
    for number in (7, 8, 9):
        reaper.server.namespace(f"pr-{number}", ago(2))
    reaper.server.trouble = lambda asked: refusal if deleting(asked) and asked.path.endswith("pr-8") else None
    told = reaper.run()
    assert (told.code, len(reaper.server.names())) == (1, 3)
    assert told.verdicts("dry run")["Namespace pr-8"] == "failed"
    assert told.last()["event"] == "nothing was deleted"
    assert reaper.server.deletions(dry_run=False) == []


def test_the_servers_words_are_told_where_it_refuses(reaper: Reaper) -> None:
    reaper.server.namespace("pr-7", ago(2))
    reaper.server.trouble = lambda asked: status(403, "policy says no" * 900) if deleting(asked) else None
    (line,) = [line for line in reaper.run().lines if line["event"] == "dry run"]
    assert "answers 403: policy says no" in line["reason"]
    assert len(line["reason"]) < 400


def test_what_was_renewed_meanwhile_stays_and_the_others_go(reaper: Reaper) -> None:
    reaper.server.namespace("pr-7", ago(2))
    reaper.server.application("pr-7", ago(2))
    reaper.server.namespace("pr-8", ago(2))
    seven = reaper.server.objects["/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/pr-7"]["metadata"]

    def renew(asked: Asked) -> Reply | None:
        if deleting(asked):
            seven["resourceVersion"] = "42"
        return None

    reaper.server.trouble = renew
    told = reaper.run()
    assert (told.code, reaper.server.names()) == (0, {"namespaces/pr-7", "applications/pr-7"})
    assert told.verdicts("dry run") == {"Application pr-7": "conflict"}
    assert reaper.server.deletions(dry_run=False) == ["namespaces/pr-8"]


def test_what_is_renewed_after_the_dry_run_stays_too(reaper: Reaper) -> None:
    reaper.server.namespace("pr-7", ago(2))
    reaper.server.application("pr-7", ago(2), finalizers=[])
    seven = reaper.server.objects["/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/pr-7"]["metadata"]

    def renew(asked: Asked) -> Reply | None:
        if deleting(asked) and not is_dry_run(asked):
            seven["uid"] = "another"
        return None

    reaper.server.trouble = renew
    told = reaper.run()
    assert (told.code, len(reaper.server.names())) == (0, 2)
    assert told.verdicts("deletion") == {"Application pr-7": "conflict", "Namespace pr-7": "waits"}


def test_what_went_meanwhile_is_no_trouble(reaper: Reaper) -> None:
    reaper.server.namespace("pr-7", ago(2))
    reaper.server.application("pr-7", ago(2))
    absent = status(404, "not found")
    reaper.server.trouble = lambda asked: absent if deleting(asked) and "applications" in asked.path else None
    told = reaper.run()
    assert (told.code, told.verdicts("dry run")) == (0, {"Application pr-7": "absent"})
    assert reaper.server.deletions(dry_run=False) == ["namespaces/pr-7"]


def test_a_deletion_that_fails_ends_with_1_and_leaves_what_comes_after_it(reaper: Reaper) -> None:
    reaper.server.namespace("pr-7", ago(2))
    reaper.server.application("pr-7", ago(2), finalizers=[])
    reaper.server.namespace("pr-8", ago(2))

    def fail(asked: Asked) -> Reply | None:
        return Reply(500) if deleting(asked) and "applications" in asked.path and not is_dry_run(asked) else None

    reaper.server.trouble = fail
    told = reaper.run()
    assert (told.code, reaper.server.names()) == (1, {"namespaces/pr-7", "applications/pr-7"})
    assert told.last()["event"] == "not done"


def test_too_many_and_none_is_deleted(reaper: Reaper) -> None:
    reaper.settings["most"] = 2
    for number in (7, 8, 9):
        reaper.server.namespace(f"pr-{number}", ago(2))
        reaper.server.application(f"pr-{number}", ago(2))
    told = reaper.run()
    assert (told.code, len(reaper.server.names())) == (1, 6)
    assert told.last()["level"] == "error"
    assert "3 previews are due, and one run may remove 2" in told.last()["reason"]
    assert [each for each in reaper.server.asked if deleting(each)] == []
    reaper.settings["most"] = 3
    assert reaper.run().code == 0
    assert reaper.server.deletions(dry_run=False) == ["applications/pr-7", "applications/pr-8", "applications/pr-9"]


def dated(reaper: Reaper, date: str) -> None:
    def answer(asked: Asked) -> Reply:
        told = reaper.server.reply(asked)
        return Reply(told.status, told.body, {**told.headers, "Date": date})

    reaper.server.trouble = answer


@pytest.mark.parametrize("minutes", [-6, 6, 60 * 24 * 400])
def test_clocks_that_are_apart_and_nothing_is_deleted(reaper: Reaper, minutes: int) -> None:
    reaper.server.namespace("pr-7", ago(900))
    dated(reaper, format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True))
    told = reaper.run()
    assert (told.code, reaper.server.names()) == (1, {"namespaces/pr-7"})
    assert "the clocks are" in told.last()["reason"]


@pytest.mark.parametrize("date", ["", "yesterday", "Sat, 17 May 2031 12:00:00 -0000", "Sat, 99 May 2031 12:00:00 GMT"])
def test_a_server_that_does_not_tell_the_time_is_not_believed(reaper: Reaper, date: str) -> None:
    reaper.server.namespace("pr-7", ago(900))
    dated(reaper, date)
    assert (reaper.run().code, reaper.server.names()) == (1, {"namespaces/pr-7"})


def test_of_two_clocks_the_earlier_one_counts(reaper: Reaper) -> None:
    reaper.settings["grace"] = "1s"
    reaper.server.namespace("pr-7", ago(0.05))
    dated(reaper, format_datetime(datetime.now(UTC) - timedelta(minutes=4), usegmt=True))
    assert reaper.run().verdicts() == {"preview pr-7": "live"}
    dated(reaper, format_datetime(datetime.now(UTC) + timedelta(minutes=4), usegmt=True))
    reaper.server.namespace("pr-7", ago(-0.05))
    assert reaper.run().verdicts() == {"preview pr-7": "live"}


def test_every_page_is_read(reaper: Reaper) -> None:
    reaper.server.size = 2
    for number in range(1, 8):
        reaper.server.namespace(f"pr-{number}", ago(2))
        reaper.server.application(f"pr-{number}", ago(2 if number == 7 else -2))
    assert reaper.run().verdicts()["preview pr-7"] == "due"
    assert reaper.server.deletions(dry_run=False) == ["applications/pr-7"]
    listed = [each.path for each in reaper.server.asked if each.method == "GET"]
    assert len(listed) == 8


def _list(*items: Any, kind: str = "ApplicationList", **metadata: str) -> bytes:
    return json.dumps({"kind": kind, "metadata": metadata, "items": items}).encode()


ITEM = {"name": "pr-7", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2031-05-17T12:00:00Z"}


@pytest.mark.parametrize(
    "answer",
    [
        Reply(500),
        Reply(401),
        Reply(403),
        Reply(404),
        Reply(410),
        Reply(302, b"", {"Location": "/elsewhere"}),
        Reply(200, b""),
        Reply(200, b"null"),
        Reply(200, b"<html>"),
        Reply(200, b"{}"),
        Reply(200, b"\xff\xfe"),
        Reply(200, b"[" * 100_000),
        Reply(200, _list()[:-1]),
        Reply(200, _list(kind="NamespaceList")),
        Reply(200, _list(kind="Status")),
        Reply(200, _list({})),
        Reply(200, _list({"metadata": {**ITEM, "uid": ""}})),
        Reply(200, _list({"metadata": {**ITEM, "resourceVersion": None}})),
        Reply(200, _list({"metadata": {**ITEM, "creationTimestamp": "yesterday"}})),
        Reply(200, _list({"metadata": {**ITEM, "creationTimestamp": 0}})),
        Reply(200, _list({"metadata": {**ITEM, "annotations": {"ladder.internal/expires": 3}}})),
        Reply(200, _list({"metadata": ITEM}, {"metadata": ITEM})),
        Reply(200, _list({"metadata": ITEM}, **{"continue": "1"})),
        Reply(200, _list(**{"continue": "1"})),
        Reply(200, _list(), {"Content-Encoding": "gzip"}),
    ],
)
def test_a_list_that_does_not_come_whole_and_nothing_is_deleted(reaper: Reaper, answer: Reply) -> None:
    reaper.server.namespace("pr-7", ago(900))
    reaper.server.trouble = lambda asked: answer if "applications" in asked.path else None
    told = reaper.run()
    assert (told.code, reaper.server.names()) == (1, {"namespaces/pr-7"})
    assert told.last()["event"] == "nothing was deleted"
    assert [each for each in reaper.server.asked if deleting(each)] == []


def test_a_later_page_that_fails_and_nothing_is_deleted(reaper: Reaper) -> None:
    reaper.server.size = 1
    for number in (7, 8):
        reaper.server.namespace(f"pr-{number}", ago(900))
    reaper.server.trouble = lambda asked: status(410, "expired") if "continue" in asked.query else None
    told = reaper.run()
    assert (told.code, len(reaper.server.names())) == (1, 2)
    assert "answers 410 where Namespaces are listed: expired" in told.last()["reason"]


def test_a_server_that_is_not_there_ends_with_1(
    reaper: Reaper, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reaper.settings["cluster"]["url"] = "http://127.0.0.1:9"
    monkeypatch.setattr("previews.reaper.configure", lambda: None)
    assert main([str(reaper.written())]) == 1


def test_its_log_is_one_object_a_line_and_has_neither_secrets_nor_lines_of_others(reaper: Reaper) -> None:
    """As a process of its own, as it is run."""
    forged = 'pr-7\n{"event": "forged"}'
    reaper.server.namespace("pr-7", ago(2), annotations={"ladder.internal/keep-until": forged})
    reaper.server.namespace(forged, ago(2))
    reaper.server.namespace("pr-8", ago(2))
    with serving(reaper.server):
        reaper.settings["cluster"]["url"] = reaper.server.url
        done = subprocess.run(
            [sys.executable, "-m", "previews.reaper", str(reaper.written())],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, done.stdout) == (0, "")
    assert [(each["event"], each.get("verdict")) for each in lines] == [
        ("decided", "kept"),
        ("decided", "due"),
        ("decided", "left"),
        ("deletion", "begun"),
        ("done", None),
    ]
    assert all({"time", "level", "event"} <= each.keys() for each in lines)
    assert reaper.server.token not in done.stderr
    assert reaper.server.deletions(dry_run=False) == ["namespaces/pr-8"]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("grace", "soon", "grace: is not a Go duration"),
        ("maxAge", None, "maxAge: is not accepted"),
        ("most", 0, "most: is not accepted"),
        ("most", "10", "most: is not accepted"),
        ("dryRun", "false", "dryRun: is not accepted"),
        ("more", 1, "more: is an unknown key"),
        ("cluster.url", "https://kubernetes.default.svc", "cluster.authority: is null"),
        ("cluster.url", "http://kubernetes.default.svc", "cluster.url: is not an address that a token may be sent to"),
        ("cluster.namespace", "argocd/../x", "cluster.namespace: does not have the required form"),
        ("cluster.project", "*", "cluster.project: does not have the required form"),
        ("cluster.token", "token", "cluster.token: is not a plain absolute path"),
        ("cluster.token", "/nowhere/token", "/nowhere/token: holds no token (cluster.token)"),
        ("cluster.authority", "/nowhere/ca.crt", "/nowhere/ca.crt: cannot be read (cluster.authority)"),
        ("cluster.authority", str(ROOT / "Makefile"), "Makefile: has no certificate (cluster.authority)"),
    ],
)
def test_settings_that_are_wrong_end_with_2(
    reaper: Reaper, capsys: pytest.CaptureFixture[str], path: str, value: Any, says: str
) -> None:
    *sections, key = path.split(".")
    target = reaper.settings[sections[0]] if sections else reaper.settings
    target[key] = value
    assert main([str(reaper.written())]) == 2
    assert says in capsys.readouterr().err


def test_every_problem_of_the_settings_is_in_one_report(reaper: Reaper, capsys: pytest.CaptureFixture[str]) -> None:
    reaper.settings |= {"grace": "soon", "most": 0}
    del reaper.settings["dryRun"]
    assert main([str(reaper.written())]) == 2
    told = capsys.readouterr().err
    assert all(place in told for place in ("grace:", "most:", "dryRun: is missing"))


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_it_takes_one_argument(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "usage: " in capsys.readouterr().err
