"""The replay tells what ran though nobody let it, and nothing of what was let."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ladder.promotion.lineage import unexplained
from ladder.promotion.statements import Pinned
from tests.promotion.ladders import Writer, climbed, versions

ONE, TWO = versions(1), versions(2)
Tell = Callable[[Writer, dict[str, str]], Any]


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    writer = Writer(tmp_path)
    for environment in ("staging", "prod"):
        writer.observe(environment, versions(0))
    return writer


def second(writer: Writer) -> dict[str, str]:
    return climbed(writer, 2)


def mixed(image: Any, chart: Any) -> dict[str, Pinned]:
    return {name: Pinned(image=image[name].image, chart=chart[name].chart) for name in ONE}


def asked(writer: Writer, stated: dict[str, str]) -> str:
    """Another candidate is asked into prod, and nothing is said of it yet."""
    writer.promote("staging", TWO, writer.cut("dev", TWO, writer.observe("dev", TWO)))
    return writer.promote("prod", TWO, writer.observe("staging", TWO))


EXPLAINED: dict[str, Tell] = {
    "nothing more": lambda writer, stated: None,
    "another candidate": lambda writer, stated: second(writer),
    "what ran before, while the next is on its way": lambda writer, stated: (
        asked(writer, stated),
        writer.observe("prod", ONE),
    ),
    "new charts that wait for their window, beside the old images": lambda writer, stated: (
        request := asked(writer, stated),
        writer.approve("prod", request, TWO),
        writer.observe("prod", mixed(ONE, TWO), "OutOfSync"),
        writer.observe("prod", TWO),
    ),
    "what is not healthy, before it is approved": lambda writer, stated: (
        asked(writer, stated),
        writer.observe("prod", TWO, "rolling"),
    ),
    "a rollback": lambda writer, stated: (
        second(writer),
        request := writer.roll_back("prod", ONE, stated["prod"]),
        writer.approve("prod", request, ONE),
        writer.observe("prod", ONE),
    ),
    "a service that could not be made out, and then could": lambda writer, stated: (
        writer.observe("prod", versions(1, ["web"]), "api is gone"),
        writer.observe("prod", ONE),
    ),
    "a service that is new, as the rung below ran it": lambda writer, stated: (
        writer.observe("dev", {**ONE, **versions(1, ["mail"])}),
        writer.observe("staging", {**ONE, **versions(1, ["mail"])}),
        writer.observe("prod", {**ONE, **versions(1, ["mail"])}),
        writer.observe("prod", {**ONE, **versions(1, ["mail"])}),
    ),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_what_was_let_is_not_told(name: str, writer: Writer) -> None:
    EXPLAINED[name](writer, climbed(writer))
    assert list(unexplained(writer.history())) == []


UNEXPLAINED: dict[str, tuple[Tell, str]] = {
    "what nobody asked for": (lambda writer, stated: writer.observe("prod", TWO), "for which nobody asked"),
    "what nobody approved": (
        lambda writer, stated: (asked(writer, stated), writer.observe("prod", TWO)),
        "which nobody approved before",
    ),
    "what was approved once, put back by hand": (
        lambda writer, stated: (second(writer), writer.observe("prod", ONE)),
        "for which nobody asked",
    ),
    "what was there before the chain, put back by hand": (
        lambda writer, stated: writer.observe("prod", versions(0)),
        "for which nobody asked",
    ),
    "one service put back by hand": (
        lambda writer, stated: (second(writer), writer.observe("prod", {"api": ONE["api"], "web": TWO["web"]})),
        "api runs",
    ),
    "a new image with an old chart, healthy": (
        lambda writer, stated: (
            request := asked(writer, stated),
            writer.approve("prod", request, TWO),
            writer.observe("prod", mixed(TWO, ONE)),
        ),
        "for which nobody asked",
    ),
    "a service that is new, and ran nowhere below": (
        lambda writer, stated: writer.observe("prod", {**ONE, **versions(3, ["mail"])}),
        "mail runs",
    ),
    "a service that is new, of other digests later": (
        lambda writer, stated: (
            writer.observe("dev", {**ONE, **versions(1, ["mail"])}),
            writer.observe("staging", {**ONE, **versions(1, ["mail"])}),
            writer.observe("prod", {**ONE, **versions(1, ["mail"])}),
            writer.observe("prod", {**ONE, **versions(4, ["mail"])}),
        ),
        "mail runs",
    ),
}


@pytest.mark.parametrize("name", UNEXPLAINED)
def test_what_nobody_let_is_told_with_the_file_that_says_so(name: str, writer: Writer) -> None:
    tell, says = UNEXPLAINED[name]
    tell(writer, climbed(writer))
    told = [f"{where}: {what}" for where, what in unexplained(writer.history())]
    assert told
    assert all(each.startswith("prod/") for each in told)
    assert any(says in each for each in told)


def test_a_service_that_was_not_seen_before_the_first_request_was_there_before(writer: Writer) -> None:
    """Adoption: pods that were not ready when the chain began."""
    prod = "prod"
    writer.observe(prod, {**versions(0), **versions(0, ["late"])})
    assert list(unexplained(writer.history())) == []


def test_a_first_statement_does_not_let_what_nobody_approved(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    writer.cut("dev", ONE, writer.observe("dev", ONE))
    writer.promote("prod", ONE, writer.observe("staging", ONE))
    writer.observe("prod", ONE)
    assert ["approved" in what for _, what in unexplained(writer.history())] == [True, True]
