"""``ladder parity``: the shipped project is proven, what is violated is told in every format, bad input is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ladder.check.findings import Finding
from ladder.parity.ladder import ladder_of
from ladder.parity.proof import UNEXPLAINED, Difference, Part, Proof
from ladder.parity.report import as_markdown, as_text
from tests.ladders import PARTS, shipped_ladder
from tests.support import ROOT, Project, copy_project, run_ladder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    copy = copy_project(tmp_path)
    monkeypatch.setenv("LADDER_ROOT", str(copy.root))
    return copy


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(ROOT))


def difference(**changed: Any) -> Difference:
    fields: dict[str, Any] = {
        "lower": "dev",
        "upper": "staging",
        "service": None,
        "where": "ladder:environment:Environment$aws:s3/bucket:Bucket::uploads",
        "path": "inputs.bucket",
        "before": '"a"',
        "after": '"b"',
        "fields": ("buckets.uploads.name",),
        "category": "endpoints",
        **changed,
    }
    return Difference(**fields)


def proof(*findings: Finding, differences: tuple[Difference, ...] = (), rendered: bool = True) -> Proof:
    parts = [Part(name, {"stacks": 3}, ()) for name in PARTS]
    parts[0] = replace(parts[0], findings=findings)
    return Proof(("dev", "staging"), rendered, tuple(parts), differences)


FINDING = Finding(
    rule="contract/unexplained",
    where="Pulumi.prod.yaml:3",
    path="config.ladder:delivery.branch",
    message="differs",
    found="release",
    accepted="main",
    mend="make it equal",
)


@pytest.mark.exhaustive
def test_the_shipped_project_is_proven(here: None, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run_ladder(capsys, "parity", "--format", "json")
    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert document["proven"] is document["rendered"] is True
    assert document["environments"] == ["preview", "dev", "staging", "prod"]
    assert [(part["name"], part["proven"], part["findings"]) for part in document["parts"]] == [
        (name, True, []) for name in PARTS
    ]
    assert all(
        count > 0 for part in document["parts"] for name, count in part["lookedAt"].items() if name != "exceptions"
    )
    assert UNEXPLAINED not in document["categories"]
    assert sum(document["categories"].values()) == len(document["differences"]) > 500


@pytest.mark.parametrize("arguments", [("dev",), ("dev", "staging", "prod")])
def test_one_environment_or_three_are_no_pair(
    arguments: tuple[str, ...], here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_ladder(capsys, "parity", *arguments)
    assert outcome.code == 2
    assert "ladder parity staging prod" in outcome.err


def test_an_environment_that_is_none_is_refused_with_those_there_are(
    here: None, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = run_ladder(capsys, "parity", "stagin", "prod", "--no-render")
    assert outcome.code == 2
    assert "accepted: preview, dev, staging, prod" in outcome.err
    assert "ladder parity staging" in outcome.err
    assert run_ladder(capsys, "parity", "dev", "dev", "--no-render").code == 2


def test_bad_input_ends_with_2(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    line = project.edit("dev", "rung: dev", "rung: development")
    outcome = run_ladder(capsys, "parity", "--no-render")
    assert outcome.code == 2
    assert f"Pulumi.dev.yaml:{line}" in outcome.err


def test_environments_stand_in_the_order_of_their_rungs_whatever_they_are_called() -> None:
    ladder = shipped_ladder()
    names = {"dev": "zebra", "staging": "middle", "prod": "alpha"}
    settings = {names[stack]: each for stack, each in ladder.settings.items()}
    folders = {names.get(name, name): each for name, each in ladder.tree.environments.items()}
    renamed = ladder_of(ROOT, settings, replace(ladder.tree, environments=folders), ladder.exceptions)
    assert [each.name for each in renamed.environments] == ["preview", "zebra", "middle", "alpha"]
    pairs = [(lower.name, upper.name) for lower, upper in renamed.between("alpha", "preview").pairs()]
    assert pairs == [("preview", "alpha")]


def test_text_has_a_line_for_each_part_then_what_was_found() -> None:
    told = as_text(proof(FINDING, differences=(difference(),))).splitlines()
    assert [line.split()[:2] for line in told[:5]] == [
        [name, "proven" if index else "violated"] for index, name in enumerate(PARTS)
    ]
    assert told[0].endswith("stacks 3, findings 1")
    assert told[5] == "differences by category: endpoints 1"
    assert told[7] == "Pulumi.prod.yaml:3: config.ladder:delivery.branch: differs [contract/unexplained]"
    assert not any("inputs.bucket" in line for line in told)


def test_explained_text_shows_every_difference_with_its_fields_and_category() -> None:
    together = difference(service="web", where="Rollout web", fields=("tier", "endpoints"), category="endpoints + tier")
    told = as_text(proof(differences=(difference(), together)), explain=True)
    assert "dev → staging, the stacks\n  buckets.uploads.name: endpoints\n" in told
    assert '      aws:s3/bucket:Bucket uploads inputs.bucket: "a" → "b"\n' in told
    assert "dev → staging, the service web\n  tier, together with endpoints: endpoints + tier\n" in told


EVIL = "</details><script>alert(1)</script> @everyone `x` | [a](http://b)\n\n# Title \x1b[2J\u202e"


def test_what_comes_from_files_is_only_code_in_markdown() -> None:
    evil = replace(FINDING, where=EVIL, path=EVIL, message=EVIL, found=EVIL, accepted=EVIL, mend=EVIL)
    moved = difference(lower=EVIL, upper=EVIL, service=EVIL, where=EVIL, path=EVIL, before=EVIL, fields=(EVIL,))
    told = as_markdown(replace(proof(evil, differences=(moved,)), environments=(EVIL,)), explain=True)
    outside = "".join(part for line in told.splitlines() for part in line.split("`")[::2])
    for word in ("script", "@everyone", "Title", "http", "\x1b", "\u202e"):
        assert word not in outside
    assert all(line.count("`") % 2 == 0 for line in told.splitlines())
    assert told.count("</details>") == outside.count("</details>") + told.count("`</details>") + told.count(
        " </details>"
    )
    assert "\n# " not in told


def test_text_moves_no_cursor() -> None:
    evil = replace(FINDING, message=EVIL, found=EVIL)
    told = as_text(proof(evil, differences=(difference(before=EVIL, fields=(EVIL,)),)), explain=True)
    assert "\x1b" not in told
    assert "\u202e" not in told


def test_markdown_is_no_longer_than_a_comment_and_counts_the_rest() -> None:
    findings = tuple(replace(FINDING, where=f"Pulumi.prod.yaml:{line}") for line in range(2000))
    differences = tuple(difference(path=f"inputs.{number}") for number in range(2000))
    told = as_markdown(proof(*findings, differences=differences), explain=True)
    assert len(told) < 65_000
    shown = told.count("**contract/unexplained**")
    assert f"… and {2000 - shown} findings more" in told
    assert told.rstrip().endswith("</details>")


def test_json_is_complete() -> None:
    document = proof(FINDING, differences=(difference(),), rendered=False).as_json()
    assert json.loads(json.dumps(document)) == document
    assert document["proven"] is document["rendered"] is False
    assert document["parts"][0]["findings"] == [FINDING.as_json()]
    assert document["differences"][0]["fields"] == ["buckets.uploads.name"]
