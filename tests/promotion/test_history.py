"""What follows from chains: a soak, what was proven, what is held, and that no statement claims what others deny."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ladder.promotion import Broken
from ladder.promotion.statements import Gate, PastGates, name_of
from tests.promotion.ladders import GREEN, Writer, climbed, digest, versions

ONE, OTHER = versions(1), versions(2)
RED = Gate(green=False, detail="not well")
PAST = PastGates(
    second="hubot",
    reason="customers cannot pay",
    expires="2031-03-04T09:00:00Z",
    review_due="2031-03-07T09:00:00Z",
)


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path)


def contradictions(writer: Writer) -> list[str]:
    try:
        writer.history()
    except Broken as error:
        return [str(error)]
    return []


def test_what_climbed_as_it_should_contradicts_nothing(writer: Writer) -> None:
    climbed(writer)
    assert contradictions(writer) == []


Statement = Callable[[Writer, dict[str, str]], Any]

LEGAL: dict[str, Statement] = {
    "the same digests cut again": lambda writer, stated: writer.cut("dev", ONE, stated["dev"]),
    "cut from an older observation": lambda writer, stated: (
        writer.observe("dev", OTHER),
        writer.cut("dev", ONE, stated["dev"]),
    ),
    "a pin of one service": lambda writer, stated: writer.pin("dev", versions(2, ["web"])),
    "a promotion past its gates": lambda writer, stated: writer.promote(
        "prod", ONE, stated["staging"], gates=GREEN | {"soak": RED}, by="octocat", past_gates=PAST
    ),
    "a promotion past its gates, allowed by the second": lambda writer, stated: writer.approve(
        "prod",
        writer.promote("prod", ONE, stated["staging"], gates=GREEN | {"soak": RED}, by="octocat", past_gates=PAST),
        ONE,
        approver="Hubot",
        authors=("promoter[bot]",),
    ),
    "a promotion with green gates": lambda writer, stated: writer.promote("prod", ONE, stated["staging"]),
    "a promotion of what was seen healthy before": lambda writer, stated: (
        writer.observe("staging", ONE, "a pod is gone"),
        writer.promote("prod", ONE, stated["staging"]),
    ),
    "a rollback": lambda writer, stated: (
        writer.observe("prod", OTHER),
        writer.roll_back("prod", ONE, stated["prod"]),
    ),
    "a rollback unpinned": lambda writer, stated: (
        writer.roll_back("prod", ONE, stated["prod"]),
        writer.unpin("prod", ONE),
    ),
    "a promotion after a hold has ended": lambda writer, stated: (
        writer.roll_back("prod", ONE, stated["prod"]),
        writer.unpin("prod", ONE),
        writer.promote("prod", ONE, stated["staging"]),
    ),
    "a rollback of a rollback": lambda writer, stated: (
        writer.roll_back("prod", ONE, stated["prod"]),
        writer.roll_back("prod", ONE, stated["prod"]),
        writer.unpin("prod", ONE),
    ),
    "an approval by a third": lambda writer, stated: writer.approve("dev", stated["pin"], ONE, approver="third"),
    "unhealthy, of digests nobody asked for": lambda writer, stated: writer.observe("prod", OTHER, "not asked for"),
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_legal_contradicts_nothing(name: str, writer: Writer) -> None:
    LEGAL[name](writer, climbed(writer))
    assert contradictions(writer) == []


ILLEGAL: dict[str, tuple[Statement, str]] = {
    "a candidate of another rung": (
        lambda writer, stated: writer.cut("staging", ONE, stated["staging"]),
        "cuts a candidate from another rung than the lowest",
    ),
    "a candidate under another's name": (
        lambda writer, stated: writer.cut("dev", ONE, stated["dev"], name=name_of(OTHER)),
        f"names its digests {name_of(OTHER)}; their name is {name_of(ONE)}",
    ),
    "a candidate of an observation there is not": (
        lambda writer, stated: writer.cut("dev", ONE, digest("none")),
        "is cut from an observation that is not before it",
    ),
    "a candidate of another rung's observation": (
        lambda writer, stated: writer.cut("dev", ONE, stated["staging"]),
        "is cut from an observation that is not before it",
    ),
    "a candidate of what is no observation": (
        lambda writer, stated: writer.cut("dev", ONE, stated["pin"]),
        "is cut from an observation that is not before it",
    ),
    "a candidate of other digests": (
        lambda writer, stated: writer.cut("dev", OTHER, stated["dev"]),
        "is cut from an observation of other digests",
    ),
    "a candidate of fewer services": (
        lambda writer, stated: writer.cut("dev", versions(1, ["web"]), stated["dev"]),
        "is cut from an observation of other digests",
    ),
    "a candidate of an unhealthy observation": (
        lambda writer, stated: writer.cut("dev", ONE, writer.observe("dev", ONE, "a pod is gone")),
        "or one that was not healthy",
    ),
    "a pin above": (lambda writer, stated: writer.pin("prod", ONE), "lets a build enter another rung than the lowest"),
    "a pin without a source": (
        lambda writer, stated: writer.pin("dev", ONE, source=None),
        "does not say where it comes from",
    ),
    "unpinning what is not pinned": (lambda writer, stated: writer.unpin("prod", ONE), "unpins what is not pinned"),
    "unpinning what was never asked for": (
        lambda writer, stated: writer.unpin("dev", ONE),
        "unpins what is not pinned",
    ),
    "unpinning twice": (
        lambda writer, stated: (
            writer.roll_back("prod", ONE, stated["prod"]),
            writer.unpin("prod", ONE),
            writer.unpin("prod", ONE),
        ),
        "unpins what is not pinned",
    ),
    "a promotion under another's name": (
        lambda writer, stated: writer.promote("prod", ONE, stated["staging"], candidate=name_of(OTHER)),
        f"names its digests {name_of(OTHER)}; their name is {name_of(ONE)}",
    ),
    "a promotion without a name": (
        lambda writer, stated: writer.promote("prod", ONE, stated["staging"], candidate=None),
        "names its digests None",
    ),
    "a promotion into the lowest rung": (
        lambda writer, stated: writer.promote("dev", ONE, stated["dev"]),
        "is a promotion in the lowest rung",
    ),
    "a rollback of the lowest rung": (
        lambda writer, stated: writer.roll_back("dev", ONE, stated["dev"]),
        "is a rollback in the lowest rung",
    ),
    "a promotion while a rollback pins the rung": (
        lambda writer, stated: (
            writer.roll_back("prod", ONE, stated["prod"]),
            writer.promote("prod", ONE, stated["staging"]),
        ),
        "enters while a rollback pins the rung",
    ),
    "a promotion to prod that was held against no gate": (
        lambda writer, stated: writer.promote("prod", ONE, stated["staging"], gates={}),
        "was not held against every gate: freeze, load, revoked, soak",
    ),
    "a promotion to staging that was held against no gate": (
        lambda writer, stated: writer.promote("staging", ONE, stated["candidate"], gates={}),
        "was not held against every gate: revoked",
    ),
    "a promotion past its gates by nobody": (
        lambda writer, stated: writer.promote("prod", ONE, stated["staging"], past_gates=PAST),
        "passes its gates without a second person",
    ),
    "a promotion past its gates by one person": (
        lambda writer, stated: writer.promote("prod", ONE, stated["staging"], by="HUBOT", past_gates=PAST),
        "passes its gates without a second person",
    ),
    "an approval past the gates by a third": (
        lambda writer, stated: writer.approve(
            "prod", writer.promote("prod", ONE, stated["staging"], by="third", past_gates=PAST), ONE
        ),
        "past its gates only hubot can allow it",
    ),
    "an approval by who asked for it": (
        lambda writer, stated: writer.approve(
            "prod", writer.promote("prod", ONE, stated["staging"], by="OctoCat"), ONE
        ),
        "is by octocat, who asked or wrote",
    ),
    "a promotion that rests on nothing": (
        lambda writer, stated: writer.promote("prod", ONE, None),
        "rests on no observation of staging",
    ),
    "a promotion that rests on a request": (
        lambda writer, stated: writer.promote("prod", ONE, stated["to staging"]),
        "rests on no observation of staging",
    ),
    "a promotion that rests on dev": (
        lambda writer, stated: writer.promote("prod", ONE, stated["dev"]),
        "rests on no observation of staging",
    ),
    "a promotion that rests on prod itself": (
        lambda writer, stated: writer.promote("prod", ONE, stated["prod"]),
        "rests on no observation of staging",
    ),
    "a promotion of other digests than were seen": (
        lambda writer, stated: writer.promote("prod", OTHER, stated["staging"]),
        "with other digests",
    ),
    "a promotion of fewer services than were seen": (
        lambda writer, stated: writer.promote("prod", versions(1, ["web"]), stated["staging"]),
        "with other digests",
    ),
    "a promotion of what was not healthy": (
        lambda writer, stated: writer.promote("prod", ONE, writer.observe("staging", ONE, "a pod is gone")),
        "or one that was not healthy",
    ),
    "a promotion to staging of what was only seen": (
        lambda writer, stated: writer.promote("staging", ONE, stated["dev"]),
        "rests on no candidate of these digests",
    ),
    "a promotion to staging of another candidate": (
        lambda writer, stated: writer.promote("staging", OTHER, stated["candidate"]),
        "rests on no candidate of these digests",
    ),
    "a promotion to staging of nothing": (
        lambda writer, stated: writer.promote("staging", ONE, None),
        "rests on no candidate of these digests",
    ),
    "a promotion that rests on what came later": (
        lambda writer, stated: (
            seen := later(writer, lambda: writer.observe("staging", ONE)),
            writer.promote("prod", ONE, seen),
        ),
        "rests on what was stated after it",
    ),
    "a promotion through a gate": (
        lambda writer, stated: writer.promote("prod", ONE, stated["staging"], gates=GREEN | {"soak": RED, "load": RED}),
        "passes gates that were not green: load, soak",
    ),
    "a rollback to what was healthy elsewhere": (
        lambda writer, stated: writer.roll_back("prod", ONE, stated["staging"]),
        "rests on no observation of prod",
    ),
    "a rollback to what was not healthy": (
        lambda writer, stated: writer.roll_back("prod", OTHER, writer.observe("prod", OTHER, "a pod is gone")),
        "or one that was not healthy",
    ),
    "a rollback to what never ran": (
        lambda writer, stated: writer.roll_back("prod", OTHER, stated["prod"]),
        "with other digests",
    ),
    "an approval of nothing": (
        lambda writer, stated: writer.approve("prod", digest("none"), ONE),
        "approves a request that is not before it",
    ),
    "an approval of what is no request": (
        lambda writer, stated: writer.approve("prod", stated["prod"], ONE),
        "approves a request that is not before it",
    ),
    "an approval of another rung's request": (
        lambda writer, stated: writer.approve("prod", stated["to staging"], ONE),
        "approves a request that is not before it",
    ),
    "an approval of other digests": (
        lambda writer, stated: writer.approve("prod", stated["to prod"], OTHER),
        "approves other digests than were asked for",
    ),
    "an approval by who asked": (
        lambda writer, stated: writer.approve("prod", stated["to prod"], ONE, approver="promoter[bot]"),
        "who asked or wrote",
    ),
    "an approval by who wrote": (
        lambda writer, stated: writer.approve("prod", stated["to prod"], ONE, authors=("hubot", "octocat")),
        "is by octocat, who asked or wrote",
    ),
    "an approval by who wrote, in other letters": (
        lambda writer, stated: writer.approve("prod", stated["to prod"], ONE, authors=("OctoCat",)),
        "is by octocat, who asked or wrote",
    ),
}


def later(writer: Writer, state: Callable[[], str]) -> str:
    """What is stated an hour from now, while the clock stays."""
    now = writer.now
    writer.wait(timedelta(hours=1))
    stated = state()
    writer.now = now
    return stated


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_others_deny_is_broken_and_its_file_is_named(name: str, writer: Writer) -> None:
    state, says = ILLEGAL[name]
    stated = climbed(writer)
    assert contradictions(writer) == []
    state(writer, stated)
    (told,) = contradictions(writer)
    assert says in told
    assert re.match(r"(?:dev|staging|prod)/[0-9]{6}-[a-z]+\.sigstore\.json: ", told)
