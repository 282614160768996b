"""The auditor's page in headless Chromium: links, filter, keyboard, phone, dark, paper, and what axe-core finds."""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ladder.audit import Report
from ladder.audit.html import SECTIONS, as_html
from tests.audits import report, violated
from tests.conftest import Recordings

pytestmark = pytest.mark.exhaustive

PHONE = {"width": 360, "height": 780}
DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def wrong(recordings: Recordings) -> Report:
    return violated(recordings)


@pytest.fixture(scope="module")
def files(recordings: Recordings, wrong: Report, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of the shipped project, and of one in which something of each kind is wrong."""
    directory = tmp_path_factory.mktemp("audit")
    pages = {"shipped": as_html(report(recordings)), "wrong": as_html(wrong)}
    for name, text in pages.items():
        (directory / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: directory / f"{name}.html" for name in pages}


@pytest.fixture(scope="module")
def browser(files: dict[str, Path]) -> Generator[Browser]:
    """After the recordings: Playwright holds the loop that the recorder would run its program on."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    assert chromium, "Chromium is needed: `scripts/bootstrap test` installs it on Debian, or names it"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@dataclass
class Opened:
    """Pages, and whatever they said or asked the outside for."""

    browser: Browser
    files: dict[str, Path]
    said: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])

    def __call__(self, name: str, anchor: str = "", **options: Any) -> Page:
        page = self.browser.new_page(**{"viewport": DESK, **options})
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(f"{self.files[name].as_uri()}{anchor}")
        return page


@pytest.fixture
def opened(browser: Browser, files: dict[str, Path]) -> Generator[Opened]:
    """Fails a test whose page said anything in the console, or asked for more than itself."""
    pages = Opened(browser, files)
    yield pages
    for context in browser.contexts:
        context.close()
    assert pages.said == []
    assert {url.partition("#")[0] for url in pages.asked} <= {path.as_uri() for path in files.values()}


@pytest.mark.parametrize(
    ("name", "scheme", "viewport"),
    [("shipped", "light", PHONE), ("shipped", "dark", DESK), ("wrong", "light", DESK), ("wrong", "dark", PHONE)],
    ids=["shipped-light-phone", "shipped-dark-desk", "wrong-light-desk", "wrong-dark-phone"],
)
def test_axe_finds_nothing(opened: Opened, name: str, scheme: str, viewport: dict[str, int]) -> None:
    page = opened(name, viewport=viewport, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
    assert len(found["passes"]) > 20


def test_axe_would_find_what_is_wrong(opened: Opened) -> None:
    page = opened("shipped")
    page.evaluate("document.querySelector('#words').previousElementSibling.remove()")
    assert [each["id"] for each in Axe().run(page).response["violations"]] == ["label"]


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_the_page_is_no_wider_than_the_screen(opened: Opened, viewport: dict[str, int]) -> None:
    page = opened("wrong", viewport=viewport)
    assert page.evaluate("document.scrollingElement.scrollWidth") == viewport["width"]


def test_dark_mode_is_dark(opened: Opened) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    assert opened("shipped", color_scheme="light").evaluate(ground) == "rgb(255, 255, 255)"
    assert opened("shipped", color_scheme="dark").evaluate(ground) == "rgb(20, 23, 26)"


def test_every_section_is_linked_from_the_top(opened: Opened) -> None:
    page = opened("shipped")
    for id_, title in SECTIONS:
        page.get_by_role("navigation", name="Sections").get_by_role("link", name=title, exact=True).click()
        expect(page.locator(f"#{id_}")).to_be_in_viewport()


def test_a_link_to_a_row_in_a_fold_opens_it_and_shows_the_row(opened: Opened) -> None:
    row = "#setting-stacks-delivery.repository"
    page = opened("shipped", row)
    expect(page.locator(f"[id='{row[1:]}']")).to_be_in_viewport()
    page = opened("shipped")
    expect(page.locator(f"[id='{row[1:]}']")).not_to_be_visible()


def test_a_link_from_a_control_leads_to_the_rule(opened: Opened) -> None:
    page = opened("shipped", "#control-A.8.24")
    page.locator("[id='control-A.8.24']").get_by_role("link", name="rules/key-rotation").click()
    expect(page.locator("#rules-key-rotation")).to_be_in_viewport()
    assert page.url.endswith("#rules-key-rotation")


def test_the_filter_shows_rows_with_all_words_and_says_how_many(opened: Opened) -> None:
    page = opened("shipped")
    page.get_by_label("Show rows with").fill("REGION central")
    shown = page.locator("tbody tr:visible")
    texts = [text.lower() for text in shown.all_text_contents()]
    assert texts
    assert all("region" in text and "central" in text for text in texts)
    every = page.locator("tbody tr").count()
    expect(page.get_by_role("status")).to_have_text(f"{len(texts)} of {every} rows")
    page.get_by_label("Show rows with").fill("")
    expect(page.get_by_role("status")).to_have_text("")
    assert page.locator("tbody tr:not([hidden])").count() == every


def test_the_filter_by_standing_leaves_what_is_unexplained(opened: Opened, wrong: Report) -> None:
    page = opened("wrong")
    page.get_by_label("standing", exact=True).select_option("unexplained")
    unexplained = [each.path for each in wrong.settings if each.standing == "unexplained"]
    assert page.locator("tbody tr:visible th").all_inner_texts() == unexplained


def test_the_address_of_a_filtered_page_filters_again(opened: Opened) -> None:
    page = opened("shipped")
    page.get_by_label("Show rows with").fill("a&b=c# %")
    page.get_by_label("standing", exact=True).select_option("scale")
    again = opened("shipped", page.evaluate("location.hash"))
    expect(again.get_by_label("Show rows with")).to_have_value("a&b=c# %")
    expect(again.get_by_label("standing", exact=True)).to_have_value("scale")
    expect(again.get_by_role("status")).to_have_text(page.get_by_role("status").inner_text())


def test_a_link_to_a_row_that_the_filter_hides_ends_the_filter(opened: Opened) -> None:
    page = opened("shipped")
    page.get_by_label("Show rows with").fill("nothing has this")
    assert page.locator("tbody tr:visible").count() == 0
    page.evaluate("location.hash = 'rules-tls-only'")
    expect(page.locator("#rules-tls-only")).to_be_in_viewport()


def test_the_keyboard_reaches_the_report_first_and_every_fold(opened: Opened) -> None:
    page = opened("shipped")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the report")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    fold = page.locator("#settings details").first
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(fold.locator("tbody tr").first).to_be_visible()


def test_a_screen_reader_is_told_tables_headings_and_the_picture(opened: Opened) -> None:
    """On a phone too, where the style makes blocks of the tables."""
    page = opened("shipped", viewport=PHONE)
    table = page.get_by_role("table", name="Environments, lowest first")
    assert table.get_by_role("row").count() == 1 + 4
    expect(table.get_by_role("rowheader", name="prod")).to_be_visible()
    for stack in ("dev", "staging", "prod"):
        picture = page.get_by_role("img", name=f"Keys of {stack} and who may use them")
        expect(picture).to_have_accessible_description(re.compile("grants, are not modelled"))
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((each) => Number(each.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_paper_has_what_folds_hide_and_not_what_only_a_screen_can_use(opened: Opened) -> None:
    page = opened("shipped")
    page.emulate_media(media="print")
    expect(page.locator("[id='setting-stacks-delivery.repository']")).to_be_visible()
    expect(page.get_by_role("search")).not_to_be_visible()
    assert page.pdf().startswith(b"%PDF-")


def test_without_scripts_everything_is_there_and_no_filter_that_does_nothing(opened: Opened) -> None:
    page = opened("wrong", java_script_enabled=False)
    expect(page.locator("form")).not_to_be_visible()
    expect(page.locator("#rules-tls-only")).to_be_visible()
    assert page.locator("tbody tr[hidden]").count() == 0
