"""A candidate climbs dev, staging and prod in a bare repository, by the commands, and its lineage can be replayed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ladder.contract.promotion import read_promotion
from ladder.promotion.statements import (
    name_of,
)
from tests.promotion.places import NEW, SERVICES, Place, report, soaked
from tests.sigstore_stand_in import Job


def test_what_dev_runs_is_cut_and_enters_staging_by_one_pull_request(place: Place) -> None:
    place.build()
    place.observe("dev", datetime.now(UTC))
    cut = place.ladder("cut")
    assert cut.code == 0, cut.err
    name = cut.out.strip()
    assert name == name_of(place.versions("dev"))
    place.git("fetch", "--quiet", "origin")
    first, again = (place.ladder("promote", name, "--to", "staging") for _ in range(2))
    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert [each["head"] for each in place.elsewhere.pulls] == [f"promotion/staging/{name}"]
    assert "opened" in first.out
    assert "open already" in again.out
    place.git("fetch", "--quiet", "origin")
    changed = place.git("diff", "--name-only", "origin/main", f"origin/promotion/staging/{name}").splitlines()
    versions = [f"gitops/envs/staging/{service}/version.yaml" for service in SERVICES]
    assert changed == ["evidence/staging/000001-request.sigstore.json", *versions]


def test_a_candidate_climbs_to_prod_and_its_lineage_is_replayed_offline(place: Place) -> None:
    name = soaked(place)
    done = place.ladder("promote", name, "--to", "prod", "--load-report", str(report(place)), "--no-pr")
    assert done.code == 0, done.out + done.err
    place.merge(f"promotion/prod/{name}")
    assert {each.image for each in place.versions("prod").values()} == set(NEW.values())
    told = place.ladder("lineage", name, "--format", "json")
    assert told.code == 0, told.err
    events = json.loads(told.out)["events"]
    assert [(each["environment"], each["kind"]) for each in events] == [
        ("dev", "observed"),
        ("dev", "candidate"),
        ("staging", "request"),
        ("staging", "observed"),
        ("staging", "observed"),
        ("staging", "observed"),
        ("prod", "request"),
    ]


def test_what_runs_in_prod_without_an_approval_is_told(place: Place) -> None:
    name = soaked(place)
    assert place.ladder("promote", name, "--to", "prod", "--load-report", str(report(place)), "--no-pr").code == 0
    place.merge(f"promotion/prod/{name}")
    place.observe("prod", datetime.now(UTC))
    told = place.ladder("lineage")
    assert told.code == 1
    assert "which nobody approved before" in told.err


@pytest.mark.parametrize("how", ["altered", "dropped", "swapped"])
def test_a_tampered_copy_is_refused(place: Place, how: str) -> None:
    soaked(place)
    folder = place.root / "evidence" / "staging"
    first, second, *_ = sorted(folder.iterdir())
    match how:
        case "altered":
            first.write_bytes(first.read_bytes().replace(b"MEUCI", b"MEUCJ").replace(b"MEQCI", b"MEQCJ"))
        case "dropped":
            second.unlink()
        case _:
            one, other = first.read_bytes(), second.read_bytes()
            first.write_bytes(other)
            second.write_bytes(one)
    place.keep("Nothing to see")
    told = place.ladder("lineage")
    assert told.code == 1
    assert "the evidence is broken: evidence/staging/" in told.err


@pytest.mark.parametrize(
    ("rate", "says"), [("0.5", "samples below 0.99"), ("NaN", "samples are missing"), ("0.999", "")]
)
def test_a_soak_that_is_not_green_keeps_prod_closed(place: Place, rate: str, says: str) -> None:
    name = soaked(place)
    place.elsewhere.rate = rate
    arguments = ("promote", name, "--to", "prod", "--load-report", str(report(place)), "--dry-run", "--no-render")
    told = place.ladder(*arguments)
    assert told.code == (1 if says else 0)
    assert says in told.out
    assert place.git("for-each-ref", at=place.bare).count("\n") == 0


def test_a_check_that_was_skipped_is_not_green(place: Place) -> None:
    place.build()
    place.observe("dev", datetime.now(UTC))
    place.elsewhere.checks["scan"] = "skipped"
    told = place.ladder("cut")
    assert told.code == 1
    assert "scan is skipped" in told.err


def test_the_checks_are_those_of_the_last_commit_that_changed_more_than_evidence(place: Place) -> None:
    place.build()
    built = place.git("rev-parse", "HEAD")
    place.observe("prod", datetime.now(UTC))
    place.observe("dev", datetime.now(UTC))
    assert place.git("rev-parse", "HEAD") != built
    assert place.ladder("cut").code == 0
    asked = [each.path for each in place.elsewhere.asked if each.path.endswith("/check-runs")]
    assert asked == [f"/repos/acme/environment-ladder/commits/{built}/check-runs"]


def test_nobody_but_the_workflow_may_ask(place: Place) -> None:
    """Another workflow of the same repository has a token, a certificate and a signature, and is not believed."""
    place.build()
    place.observe("dev", datetime.now(UTC))
    place.sigstore.job = Job.of(read_promotion(place.root).evidence.signers.observed)
    told = place.ladder("cut")
    assert told.code == 1
    assert "may state a candidate" in told.err
    assert "candidate" not in place.git("ls-tree", "-r", "--name-only", "main", at=place.bare)


def test_a_rung_is_not_skipped(place: Place) -> None:
    place.build()
    place.observe("dev", datetime.now(UTC))
    name = place.ladder("cut").out.strip()
    place.git("fetch", "--quiet", "origin")
    told = place.ladder("promote", name, "--to", "prod")
    assert told.code == 1
    assert "staging was not last observed running" in told.err


def test_a_pull_request_that_is_open_says_what_is_asked_for_now(place: Place) -> None:
    """A promotion that was green once, and is past its gates now, is marked so where it is reviewed."""
    name = soaked(place)
    asked = ("promote", name, "--to", "prod", "--load-report", str(report(place)))
    assert place.ladder(*asked).code == 0
    assert "Past its gates" not in place.elsewhere.pulls[0]["body"]
    place.elsewhere.rate = "0.5"
    past = ("--by", "octocat", "--break-glass", "customers cannot pay", "--second", "hubot")
    assert place.ladder(*asked, *past).code == 0
    (pull,) = place.elsewhere.pulls
    assert "**Past its gates**, by `octocat` with `hubot`" in pull["body"]


@pytest.mark.parametrize("reason", ["short", "x" * 501, "customers\ncannot pay", "customers\x1b[2K cannot pay"])
def test_a_reason_that_nobody_could_review_is_bad_input(place: Place, reason: str) -> None:
    name = soaked(place)
    past = ("--by", "octocat", "--break-glass", reason, "--second", "hubot")
    told = place.ladder("promote", name, "--to", "prod", *past)
    assert told.code == 2
    assert "--break-glass: is no reason" in told.err


def test_a_statement_that_nobody_could_read_is_not_pushed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is wrong, or a registry that took its time: the chain would be broken for everybody."""
    place.build()
    place.observe("dev", datetime.now(UTC) - timedelta(hours=1))
    before = place.git("rev-parse", "main", at=place.bare)
    monkeypatch.setattr("ladder.commands.cut.datetime", Late)
    told = place.ladder("cut")
    assert told.code == 1
    assert "nobody could read the chain with it" in told.err
    assert place.git("rev-parse", "main", at=place.bare) == before


class Late(datetime):
    """A quarter of an hour ago."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return datetime.now(tz) - timedelta(minutes=15)
