"""``ladder audit``: what stands in the report, that it is made again to the byte, and that no text becomes markup."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path

import pytest

from ladder.audit import Report
from ladder.audit.controls import MATRIX
from ladder.audit.html import as_html
from ladder.audit.markdown import as_markdown
from ladder.audit.picture import pictures
from ladder.audit.report import EQUAL, Right
from ladder.audit.settings import side_by_side
from ladder.cli import _VERBS
from ladder.contract.across import differing
from ladder.contract.exceptions import Place
from ladder.rules import RULES
from tests.audits import HOSTILE, report, violated
from tests.conftest import KEY, Recordings
from tests.ladders import broken, shipped_ladder
from tests.support import copy_project, run_ladder

pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module")
def shipped(recordings: Recordings) -> Report:
    return report(recordings)


@pytest.fixture(scope="module")
def wrong(recordings: Recordings) -> Report:
    return violated(recordings)


def test_every_path_of_every_environment_stands_side_by_side(shipped: Report) -> None:
    """With what the files hold, and with nothing where a file has nothing."""
    told = {(each.service, each.path): each.values for each in shipped.settings}
    assert told[None, "cloud.account"] == {
        name: json.dumps(settings.cloud.account) for name, settings in shipped_ladder().settings.items()
    }
    for environment in shipped_ladder().environments:
        for name, service in environment.services.items():
            assert told[name, "tier"][environment.name] == json.dumps(service.overlay.tier.value)
            assert json.loads(told[name, "rollout.canary"][environment.name]) == [
                each.model_dump(mode="json", by_alias=True) for each in service.overlay.rollout.canary
            ]
            assert set(told[name, "tier"]) == {each.name for each in shipped_ladder().environments}


def test_a_setting_differs_by_a_category_by_an_exception_or_without_a_reason(wrong: Report) -> None:
    of = {(each.service, each.path): each.standing for each in wrong.settings}
    assert of[None, "delivery.branch"] == "unexplained"
    assert of[None, "cloud.account"] == "endpoints"
    assert of[None, "delivery.repository"] == EQUAL
    only_excepted = broken(stacks={"staging": {"delivery.branch": "next"}})
    rows = side_by_side(only_excepted, {Place("staging", None, ("delivery", "branch"))})
    assert [each.standing for each in rows if each.path == "delivery.branch"] == ["exception"]


def test_what_is_unexplained_here_is_what_the_proof_finds(wrong: Report, shipped: Report) -> None:
    assert not [each for each in shipped.settings if each.standing == "unexplained"]
    assert [each.path for each in wrong.settings if each.standing == "unexplained"] == ["delivery.branch"]
    assert not list(differing(shipped_ladder().settings))


def test_every_resource_is_told_with_how_each_stack_declares_it(shipped: Report, recordings: Recordings) -> None:
    for recording in recordings:
        declared = [each for each in shipped.resources if recording.stack in each.stacks]
        own = [each for each in recording.resources if each.type != "pulumi:pulumi:Stack"]
        assert len(declared) == len(own)
        held = {each.where: each.stacks[recording.stack] for each in declared}
        for resource in own:
            told = held[resource.urn.split("::", 2)[2]]
            assert (told.protected, told.retained) == (resource.protect, resource.retain_on_delete)


def test_a_stacks_keys_are_used_by_its_own_roles_and_services_only(shipped: Report, recordings: Recordings) -> None:
    settings = shipped_ladder().settings
    uses = [each for each in shipped.key_rights if each.right is Right.USE]
    assert {(each.stack, each.key) for each in uses} == {
        (recording.stack, key.name) for recording in recordings for key in recording.of_type(KEY)
    }
    for each in uses:
        cloud = settings[each.stack].cloud
        is_own = f"::{cloud.account}:role/" in each.principal
        assert is_own or each.principal in {*cloud.replication_roles.values(), "delivery.logs.amazonaws.com"}
        assert each.only
    administrators = {each.principal for each in shipped.key_rights if each.right is Right.ADMINISTER}
    assert not administrators & {each.principal for each in uses}


def test_the_picture_has_a_line_for_each_principal_and_key_that_the_table_has(shipped: Report) -> None:
    for picture in pictures(shipped.key_rights):
        own = [each for each in shipped.key_rights if each.stack == picture.stack]
        assert len(picture.lines) == len({(each.principal, each.key) for each in own})
        names = {node.y: node.name for node in picture.principals}, {node.y: node.name for node in picture.keys}
        drawn = {(names[0][line.start], names[1][line.end]): line.right for line in picture.lines}
        for each in own:
            assert drawn[each.principal, each.key] in {each.right, Right.USE, Right.GRANT}
        assert all(0 < node.y < picture.height for node in chain(picture.principals, picture.keys))


def test_a_broken_rule_and_an_expired_exception_are_told_where_they_count(wrong: Report) -> None:
    assert not wrong.holds
    (public,) = [rule for rule in wrong.rules if not rule.holds]
    assert public.id == "rules/private-buckets"
    assert [stack for stack, found in public.stacks.items() if found] == ["prod"]
    assert {each.id for each in wrong.controls if not each.holds} >= {"CC6.1", "CC8.1", "A.8.32"}
    assert {each.name: each.days_left for each in wrong.exceptions} == {"next-branch": 3, "old-branch": -1}
    assert [each.holds for each in wrong.claims if each.id in {"rules", "parity-contract"}] == [False, False]


def test_a_procedure_that_is_over_is_a_finding_of_that_day(recordings: Recordings) -> None:
    procedure = {"name": "masking", "report": f"sha256:{'0a' * 32}", "owner": "team-data", "expires": "2031-05-16"}
    ladder = broken(stacks={"staging": {"data.class": "anonymized", "data.procedure": procedure}})
    told = report(recordings, ladder)
    assert [(each.rule, each.path, each.found) for each in told.checks] == [
        ("data/procedure-expired", "config.ladder:data.procedure.expires", "2031-05-16")
    ]
    assert not told.holds
    assert "data/procedure-expired" in as_markdown(told)
    assert "nobody&#39;s word" in as_html(told)
    assert [each.holds for each in told.claims if each.id == "checks"] == [False]


def test_every_control_asked_for_stands_on_evidence_that_there_is(shipped: Report) -> None:
    asked = ["CC6.1", "CC7.2", "CC8.1", "A.5.3", "A.8.15", "A.8.24", "A.8.31", "A.8.32", "A.8.33"]
    assert [each.id for each in shipped.controls] == asked
    for each in shipped.controls:
        assert each.evidence, each.id
        assert [one.name for one in each.evidence if not one.holds] == [], each.id


def test_every_rule_is_evidence_for_some_control() -> None:
    named = {f"rules/{name}" for entry in MATRIX for name in entry.rules}
    assert {rule.id for rule in RULES} == named


def test_every_command_named_is_one_that_there_is(shipped: Report) -> None:
    words = [each.command.rpartition("| ")[2].split() for each in shipped.claims]
    assert {line[1] for line in words if line[0] == "ladder"} <= _VERBS.keys()
    assert {line[0] for line in words} == {"ladder", "git"}


@pytest.mark.parametrize("name", ["shipped", "wrong"])
def test_the_page_is_whole_and_loads_nothing(name: str, request: pytest.FixtureRequest) -> None:
    """Every element is closed, every link leads to something, no id stands twice, nothing comes from elsewhere."""
    page = _Page()
    page.feed(as_html(request.getfixturevalue(name)))
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {link for link in page.links if link.startswith("#")} <= {f"#{id_}" for id_ in page.ids}
    assert {link for link in page.links if not link.startswith("#")} == {"audit.json", "audit.md"}
    assert page.loads == []


@pytest.mark.parametrize("form", [as_html, as_markdown])
def test_nobodys_text_becomes_markup(form: Callable[[Report], str], wrong: Report) -> None:
    text = form(wrong)
    assert "\u202e" not in text
    assert "alert(1)" in text
    if form is as_html:
        assert "<script>alert" not in text
        assert "<img" not in text
    else:
        lines = [line for line in text.splitlines() if "alert(1)" in line]
        assert lines
        for line in lines:
            outside = re.sub(r"`[^`]*`", "", line)
            assert "alert" not in outside
            assert "**bold**" not in outside


def test_every_row_of_the_markdown_has_as_many_cells_as_its_head(wrong: Report) -> None:
    tables = re.findall(r"(?:^\|.*\n)+", as_markdown(wrong), re.MULTILINE)
    assert len(tables) > 10
    for table in tables:
        cells = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(cells) == 1, table


def test_the_json_says_all_that_the_page_says(wrong: Report) -> None:
    document = json.loads(json.dumps(wrong.as_json()))
    assert document["holds"] is False
    assert document["keyRights"][0].keys() == {"stack", "key", "dataClass", "right", "principal", "only"}
    assert [each["reason"] for each in document["exceptions"]] == [HOSTILE, HOSTILE]
    assert len(document["settings"]) == len(wrong.settings)


def test_a_commit_and_a_day_give_the_same_report_to_the_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = _committed(tmp_path / "project")
    monkeypatch.setenv("LADDER_ROOT", str(root))
    written: list[dict[str, bytes]] = []
    for name in ("once", "again"):
        out = tmp_path / name
        outcome = run_ladder(capsys, "audit", "--no-render", "--as-of", "2031-05-17", "--out", str(out))
        assert outcome.code == 0, outcome.err
        assert "index.html: Holds: 5 of 5 parts" in outcome.out
        written.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert written[0].keys() == {"index.html", "audit.md", "audit.json"}
    assert written[0] == written[1]
    document = json.loads(written[0]["audit.json"])
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True).stdout
    assert (document["commit"], document["edited"]) == (head.strip(), 0)


def test_what_is_violated_ends_with_1_and_the_report_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = _committed(tmp_path / "project")
    file = root / "Pulumi.staging.yaml"
    file.write_text(file.read_text().replace("branch: main", "branch: release"))
    monkeypatch.setenv("LADDER_ROOT", str(root))
    outcome = run_ladder(capsys, "audit", "--no-render", "--out", str(tmp_path / "out"))
    assert outcome.code == 1
    document = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert (document["holds"], document["edited"]) == (False, 1)
    assert [each["path"] for each in document["settings"] if each["standing"] == "unexplained"] == ["delivery.branch"]
    assert "1 file not committed" in (tmp_path / "out" / "index.html").read_text()


def test_bad_input_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run_ladder(capsys, "audit", "--out", str(tmp_path / "file")).code == 2
    assert run_ladder(capsys, "audit", "--out", str(tmp_path / "out"), "--as-of", "yesterday").code == 2
    bare = tmp_path / "bare"
    bare.mkdir()
    copy_project(bare)
    monkeypatch.setenv("LADDER_ROOT", str(bare))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    outcome = run_ladder(capsys, "audit", "--no-render", "--out", str(tmp_path / "out"))
    assert outcome.code == 2
    assert "is not in a git repository" in outcome.err
    assert not (tmp_path / "out").exists()


def _committed(root: Path) -> Path:
    """A copy of the project in a repository of its own, with the files of the control matrix."""
    root.mkdir()
    copy_project(root)
    git = ["git", "-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "The project"]):
        subprocess.run([*git, *arguments], cwd=root, check=True)
    return root


class _Page(HTMLParser):
    """What an HTML page consists of."""

    _VOID = frozenset({"meta", "br", "input", "img", "link", "rect", "line"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self._VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in {"src", "href", "srcset", "action", "data"}:
                self.loads.append(f"{tag} {value}")

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._VOID:
            assert self.open.pop() == tag
