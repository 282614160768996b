"""``ladder guard`` as CI runs it: by real signatures, the base's rules, and exit codes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.promotion.places import Place, report, soaked

BASE = ("guard", "--base", "origin/main")


def proposed(place: Place, branch: str = "proposed") -> str:
    """A pull request with what is in the work tree; answers its branch, and main is checked out again."""
    place.git("checkout", "--quiet", "-b", branch)
    place.git("add", "--all")
    place.git("commit", "--quiet", "--message", "$(touch /tmp/never); {{ malicious }}")
    place.git("checkout", "--quiet", "main")
    return branch


def by_hand(place: Place, environment: str = "prod") -> None:
    file = place.root / f"gitops/envs/{environment}/api/version.yaml"
    held = place.versions(environment)["api"].image
    file.write_text(file.read_text().replace(held, f"sha256:{'0' * 64}"))


def test_a_promotion_as_it_was_asked_for_may_be_merged(place: Place) -> None:
    place.build()
    place.observe("dev", datetime.now(UTC))
    name = place.ladder("cut").out.strip()
    place.git("fetch", "--quiet", "origin")
    assert place.ladder("promote", name, "--to", "staging", "--no-pr").code == 0
    place.git("fetch", "--quiet", "origin")
    told = place.ladder(*BASE, "--head", f"origin/promotion/staging/{name}")
    assert (told.code, told.out.strip()) == (0, f"promotion: {name} in staging"), told.err


@pytest.mark.parametrize("how", ["gone", "altered"])
@pytest.mark.parametrize("what", ["load", "soak"])
def test_a_promotion_to_prod_brings_what_it_was_decided_by_along(place: Place, what: str, how: str) -> None:
    name = soaked(place)
    place.git("fetch", "--quiet", "origin")
    done = place.ladder("promote", name, "--to", "prod", "--load-report", str(report(place)), "--no-pr")
    assert done.code == 0, done.out + done.err
    place.git("fetch", "--quiet", "origin")
    assert place.ladder(*BASE, "--head", f"origin/promotion/prod/{name}").code == 0
    place.merge(f"promotion/prod/{name}")
    assert place.ladder("lineage").code == 0
    kept = {"load" if b"verificationMaterial" in file.read_bytes() else "soak": file for file in reports(place)}
    assert len(kept) == 2
    if how == "gone":
        kept[what].unlink()
    else:
        kept[what].write_bytes(kept[what].read_bytes() + b" ")
    place.keep("Nothing to see")
    told = place.ladder("lineage")
    assert told.code == 1
    assert f"rests for {what} on sha256:" in told.err
    assert ("which is missing" if how == "gone" else "which was altered") in told.err


def reports(place: Place) -> list[Path]:
    return sorted((place.root / "evidence/reports").iterdir())


def test_a_digest_by_hand_is_refused_in_words_and_in_json(place: Place) -> None:
    by_hand(place)
    head = proposed(place)
    told = place.ladder(*BASE, "--head", head)
    assert told.code == 1
    assert "gitops/envs/prod/api/version.yaml: changes what prod runs" in told.out
    assert "instead: digests enter by `ladder promote`" in told.out
    document = json.loads(place.ladder(*BASE, "--head", head, "--format", "json").out)
    assert document["kind"] == "settings"
    assert [each["path"] for each in document["findings"]] == ["gitops/envs/prod/api/version.yaml"]


def test_a_pull_request_that_edits_the_rules_is_held_against_those_it_would_replace(place: Place) -> None:
    soaked(place)
    rules = place.root / "promotion.yaml"
    rules.write_text(rules.read_text().replace("workflows/observe.yml", "workflows/mine.yml"))
    told = place.ladder(*BASE, "--head", proposed(place))
    assert told.code == 1
    assert "promotion.yaml: by these rules the evidence is not believed: " in told.out


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("folder: evidence", "folder: proof", "evidence.folder would be proof, not evidence"),
        ("bucket: evidence", "bucket: logs", "evidence.bucket would be logs, not evidence"),
    ],
)
def test_evidence_is_not_put_out_of_sight(place: Place, old: str, new: str, says: str) -> None:
    soaked(place)
    rules = place.root / "promotion.yaml"
    assert old in rules.read_text()
    rules.write_text(rules.read_text().replace(old, new))
    told = place.ladder(*BASE, "--head", proposed(place))
    assert told.code == 1
    assert says in told.out


def test_whoever_signed_a_load_report_stays_who_may(place: Place) -> None:
    name = soaked(place)
    place.git("fetch", "--quiet", "origin")
    done = place.ladder("promote", name, "--to", "prod", "--load-report", str(report(place)), "--no-pr")
    assert done.code == 0, done.err
    place.merge(f"promotion/prod/{name}")
    rules = place.root / "promotion.yaml"
    rules.write_text(rules.read_text().replace("workflows/load.yml", "workflows/loadtest.yml"))
    place.git("fetch", "--quiet", "origin")
    told = place.ladder(*BASE, "--head", proposed(place))
    assert told.code == 1
    assert "rests for load on sha256:" in told.out


def test_attributes_that_were_merged_past_the_guard_change_nothing_that_is_read(place: Place) -> None:
    soaked(place)
    (place.root / ".gitattributes").write_text("evidence/** working-tree-encoding=UTF-16LE\ngitops/** eol=crlf\n")
    place.git("add", ".gitattributes")
    place.git("commit", "--quiet", "--message", "Past it")
    place.git("push", "--quiet", "origin", "HEAD:main")
    assert place.ladder("lineage").code == 0
    repaired = place.git("commit-tree", "HEAD~1^{tree}", "-p", "HEAD", "-m", "Without")
    assert place.ladder(*BASE, "--head", repaired).code == 0


def test_rules_that_still_believe_the_evidence_may_be_merged(place: Place) -> None:
    soaked(place)
    rules = place.root / "promotion.yaml"
    rules.write_text(rules.read_text().replace("threshold: 0.99", "threshold: 0.999"))
    told = place.ladder(*BASE, "--head", proposed(place))
    assert (told.code, told.out.strip()) == (0, "settings"), told.out


def test_what_changes_nothing_that_runs_may_be_merged_whatever_its_title_says(place: Place) -> None:
    (place.root / "NOTES.md").write_text("nothing\n")
    told = place.ladder(*BASE, "--head", proposed(place))
    assert (told.code, told.out.strip()) == (0, "other")


@pytest.mark.parametrize("option", ["--base", "--head"])
@pytest.mark.parametrize("ref", ["nowhere", "--upload-pack=x", "main; touch x", ""])
def test_a_ref_that_names_no_commit_is_bad_input(place: Place, option: str, ref: str) -> None:
    refs = {"--base": "origin/main", "--head": "main", option: ref}
    told = place.ladder("guard", *(f"{name}={value}" for name, value in refs.items()))
    assert told.code == 2
    assert "Traceback" not in told.err
