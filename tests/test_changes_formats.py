"""A report as text, Markdown and JSON: whole or counted, and harmless whatever its author wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click import unstyle
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ladder.changes import LIMIT, SMALLEST
from ladder.changes.markdown import MARKER, as_markdown
from ladder.changes.report import (
    Caution,
    Change,
    Danger,
    Edit,
    Fate,
    Property,
    Report,
    ServiceChange,
    StackChanges,
    Standing,
    TreeChanges,
    read_report,
    write_report,
)
from ladder.changes.text import as_text
from ladder.errors import InputError
from tests.changed import COMMITS

HOSTILE = (
    "</details><script>alert(1)</script>",
    "@everyone and @acme/admins",
    "`code` ``more`` ```",
    "line\n\n# heading\r\n- item\u2028next",
    "[link](https://evil.example) ![x](https://evil.example/x.png)",
    "right\u202eleft\u200bhidden\x1b[31mred\x00",
    "<!-- ladder-changes -->",
    "| a | b |",
    "&lt;b&gt; <b>bold</b> *stars* __under__ ~~gone~~",
    "$\\color{red}{x}$ :tada: #1 acme/shop#1 " + "a" * 40,
    "\\`\\",
    "",
    " ",
    "x" * 200_000,
)


def stack(text: str, *, changes: int = 1, **fields: Any) -> StackChanges:
    """A stack in which the text stands wherever an author's text may."""
    found = Property(path=text, edit=Edit.CHANGED, before=text, after={text: [text]}, replaces=True)
    caution = Caution(danger=Danger.DATA, where=text, subject=text, message="is gone", details=(text,) * 6, urn=text)
    change = Change(fate=Fate.REPLACED, urn=text, type=text, name=text, id=text, formerly=text, properties=(found,))
    whole: dict[str, Any] = {
        "name": text,
        "standing": Standing.COMPARED,
        "before": 1,
        "after": 1,
        "changes": (change,) * changes,
        "outputs": (replace(found, edit=Edit.ADDED, before=None),),
        "cautions": (caution,),
    }
    return StackChanges(**{**whole, **fields})


def report(*stacks: StackChanges, text: str = "") -> Report:
    gone = ServiceChange(environment=text, service=text, fate=Fate.GONE)
    tree = TreeChanges(standing=Standing.COMPARED, services=(gone,) if text else ())
    return Report(commits=replace(COMMITS, ref=text or "main"), stacks=stacks, tree=tree)


def hostile(text: str) -> Report:
    failed = StackChanges(name=text, standing=Standing.NOT_COMPARABLE, reason=f"base: {text}\nwork tree: {text}")
    return report(stack(text), failed, text=text)


class Page(HTMLParser):
    """The tags of a page, and its text outside code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[Any] = []
        self.loose = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "code" not in self.open:
            self.loose += data


def page(markdown: str) -> Page:
    found = Page(MarkdownIt("commonmark", {"html": True}).render(markdown))
    assert found.open == []
    return found


def holds_nothing_of_its_author(markdown: str, text: str) -> None:
    """Tags are ours, and the author's words stand in code alone."""
    found = page(markdown)
    assert found.tags <= {"h3", "p", "details", "summary", "code", "ul", "li", "strong"}
    assert found.attributes == []
    assert "@" not in found.loose
    assert "ZZAUTHOR" not in found.loose
    assert ("ZZAUTHOR" in markdown) is ("ZZAUTHOR" in text)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_an_author_wrote_stays_data(text: str) -> None:
    holds_nothing_of_its_author(as_markdown(hostile(f"ZZAUTHOR{text}")), "ZZAUTHOR")
    holds_nothing_of_its_author(as_markdown(hostile(text)), text)


@given(text=st.text(st.characters() | st.sampled_from("`<>&@*_[]()#!|~\\\n -"), max_size=60))
def test_any_text_stays_data(text: str) -> None:
    holds_nothing_of_its_author(as_markdown(hostile(f"ZZAUTHOR{text}")), "ZZAUTHOR")


@pytest.mark.exhaustive
@given(
    stacks=st.lists(st.integers(0, 40), max_size=30),
    length=st.integers(0, 300),
    limit=st.integers(SMALLEST, LIMIT) | st.just(SMALLEST),
)
def test_a_comment_is_never_longer_than_it_may_be(stacks: list[int], length: int, limit: int) -> None:
    found = report(*(stack("x" * length, changes=changes) for changes in stacks), text="y" * length)
    markdown = as_markdown(found, limit)
    assert len(markdown) <= limit
    page(markdown)


def test_what_does_not_fit_is_counted() -> None:
    whole = as_markdown(report(stack("dev", changes=50)), LIMIT)
    assert "lines more" not in whole
    part = as_markdown(report(stack("dev", changes=50)), 2000)
    shown, left_out = part.count("**replaced**"), int(part.split("… and ")[1].split(" lines")[0])
    assert 0 < shown < 50
    assert shown * 2 + left_out >= 100


def test_stacks_that_do_not_fit_are_counted() -> None:
    markdown = as_markdown(report(*(stack(f"stack-{number}") for number in range(100))), 3000)
    left_out = int(markdown.rsplit(" parts more are not shown", 1)[0].rsplit("\n", 1)[1])
    assert markdown.count("<code>stack-") + left_out == 101


def test_room_is_shared_by_all_stacks() -> None:
    """A stack in which everything changes does not hide what changes in the next."""
    markdown = as_markdown(report(stack("dev", changes=2000), stack("prod", changes=3)), 20_000)
    assert markdown.split("<code>prod</code>")[1].count("**replaced**") == 3


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_the_marker_is_the_first_line(text: str) -> None:
    assert as_markdown(hostile(text)).splitlines()[0] == MARKER


def test_a_stack_is_folded_and_what_happens_to_it_stands_outside() -> None:
    markdown = as_markdown(report(stack("dev")))
    assert "<summary>stack <code>dev</code>: 1 replaced, 1 of its outputs, 1 warning</summary>" in markdown
    assert '- **replaced** `dev` `dev`, was `dev`\n  - `dev`: `"dev"` → `{"dev": ["dev"]}` (replaces)' in markdown
    assert "- ⚠️ **data** `dev` `dev`: is gone" in markdown


def test_nothing_is_said_to_be_nothing() -> None:
    empty = report(stack("dev", changes=0, outputs=(), cautions=()))
    assert empty.is_empty
    assert "Nothing changes in any environment." in as_text(empty)
    assert "Nothing changes in any environment." in as_markdown(empty)
    assert "warning" not in as_markdown(empty)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_no_control_reaches_the_terminal(text: str) -> None:
    said = as_text(hostile(text))
    assert "\x1b[31mred" not in said
    assert not set(said) & set("\u202e\u200b\u2028\x00\r")


def test_text_without_a_terminal_has_no_colours() -> None:
    said = as_text(report(stack("dev")))
    assert "± dev dev (was dev): replaced" in unstyle(said)
    assert '      dev: (nothing) → {"dev": ["dev"]}  replaces' in unstyle(said)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_json_holds_everything_and_is_read_back(text: str, tmp_path: Path) -> None:
    found = hostile(text)
    file = tmp_path / "changes.json"
    file.write_text(write_report(found), encoding="utf-8")
    assert read_report(file) == found


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"stacks": 1}', b"\xff\xfe", b"[" * 100_000, b'{"commits": {"ref": 1}}'],
)
def test_what_is_no_report_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "changes.json"
    file.write_bytes(content)
    with pytest.raises(InputError, match="is not a report of changes"):
        read_report(file)


@pytest.mark.parametrize("change", [{"more": 1}, {"tree": {"standing": "fine"}}, {"stacks": [{"name": "dev"}]}])
def test_a_report_with_another_form_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "changes.json"
    file.write_text(json.dumps({**json.loads(write_report(report())), **change}))
    with pytest.raises(InputError, match="is not a report of changes"):
        read_report(file)


def test_a_report_that_is_not_there_or_has_no_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_report(tmp_path / "changes.json")
    with pytest.raises(InputError, match="more than"):
        read_report(Path("/dev/zero"))
