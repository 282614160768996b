"""Any history at all: what the program would state is believed, what it would not is broken, and nothing skips a rung.

A model beside the history says what is legal; both hear the same statements, right ones and wrong ones.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ladder.promotion import Broken
from ladder.promotion.statements import Observed, Purpose, Request
from tests.promotion.ladders import LADDER, Writer, digest, versions

NUMBERS = st.integers(1, 3)
ABOVE = {"staging": "dev", "prod": "staging"}
RUNGS = st.sampled_from(LADDER)


class Histories(RuleBasedStateMachine):
    """A statement that is not legal is found at once, and taken back: otherwise nothing more could be stated."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.writer = Writer(self.folder)
        self.seen: list[tuple[str, int, bool, str]] = []
        """Environment, build, healthy, digest of every observation."""
        self.cut: list[tuple[int, str]] = []
        self.asked: list[tuple[str, int, str]] = []
        self.held = dict.fromkeys(LADDER, False)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def stays(self, environment: str, *, legal: bool) -> bool:
        """Whether the environment's last statement may stay, which the history must say too."""
        if legal:
            self.writer.history()
            return True
        name = self.writer.files(environment)[-1].name
        with pytest.raises(Broken, match=f"^{environment}/{name}: "):
            self.writer.history()
        self.writer.take_back(environment)
        return False

    @rule(environment=RUNGS, number=NUMBERS, healthy=st.booleans())
    def observe(self, environment: str, number: int, healthy: bool) -> None:
        problems = () if healthy else ("a pod is gone",)
        seen = self.writer.observe(environment, versions(number), *problems)
        assert self.stays(environment, legal=True)
        self.seen.append((environment, number, healthy, seen))

    @rule(environment=RUNGS, number=NUMBERS)
    def pin(self, environment: str, number: int) -> None:
        asked = self.writer.pin(environment, versions(number))
        if self.stays(environment, legal=environment == "dev"):
            self.asked.append((environment, number, asked))

    @rule(environment=RUNGS, number=NUMBERS, data=st.data())
    def name_a_candidate(self, environment: str, number: int, data: st.DataObject) -> None:
        observed = data.draw(self.anything())
        cut = self.writer.cut(environment, versions(number), observed)
        if self.stays(environment, legal=environment == "dev" and ("dev", number, True, observed) in self.seen):
            self.cut.append((number, cut))

    @rule(environment=RUNGS, number=NUMBERS, data=st.data())
    def promote(self, environment: str, number: int, data: st.DataObject) -> None:
        rests_on = data.draw(self.anything())
        match environment:
            case "staging":
                legal = (number, rests_on) in self.cut and not self.held[environment]
            case "prod":
                legal = ("staging", number, True, rests_on) in self.seen and self.free("prod", number)
            case _:
                legal = False
        asked = self.writer.promote(environment, versions(number), rests_on)
        if self.stays(environment, legal=legal):
            self.asked.append((environment, number, asked))

    @rule(data=st.data())
    @precondition(lambda self: self.healthy("dev"))
    def climb_to_staging(self, data: st.DataObject) -> None:
        number, seen = data.draw(st.sampled_from(self.healthy("dev")))
        self.cut.append((number, self.writer.cut("dev", versions(number), seen)))
        asked = self.writer.promote("staging", versions(number), self.cut[-1][1])
        if self.stays("staging", legal=not self.held["staging"]):
            self.asked.append(("staging", number, asked))

    @rule(data=st.data())
    @precondition(lambda self: self.healthy("staging"))
    def climb_to_prod(self, data: st.DataObject) -> None:
        number, seen = data.draw(st.sampled_from(self.healthy("staging")))
        asked = self.writer.promote("prod", versions(number), seen)
        if self.stays("prod", legal=self.free("prod", number)):
            self.asked.append(("prod", number, asked))

    @rule(environment=RUNGS, number=NUMBERS, data=st.data())
    def roll_back(self, environment: str, number: int, data: st.DataObject) -> None:
        rests_on = data.draw(self.anything())
        asked = self.writer.roll_back(environment, versions(number), rests_on)
        if self.stays(environment, legal=environment != "dev" and (environment, number, True, rests_on) in self.seen):
            self.asked.append((environment, number, asked))
            self.held[environment] = True

    @rule(environment=RUNGS, data=st.data())
    def roll_back_to_what_was_healthy(self, environment: str, data: st.DataObject) -> None:
        if healthy := self.healthy(environment):
            number, seen = data.draw(st.sampled_from(healthy))
            asked = self.writer.roll_back(environment, versions(number), seen)
            if self.stays(environment, legal=environment != "dev"):
                self.asked.append((environment, number, asked))
                self.held[environment] = True

    @rule(environment=RUNGS)
    def unpin(self, environment: str) -> None:
        self.writer.unpin(environment, versions(1))
        if self.stays(environment, legal=self.held[environment]):
            self.held[environment] = False

    @rule(environment=RUNGS, number=NUMBERS, approver=st.sampled_from(["octocat", "hubot"]), data=st.data())
    def approve(self, environment: str, number: int, approver: str, data: st.DataObject) -> None:
        request = data.draw(self.anything() | st.sampled_from([each[2] for each in self.asked] or [digest("none")]))
        self.writer.approve(environment, request, versions(number), approver=approver)
        self.stays(environment, legal=(environment, number, request) in self.asked and approver != "hubot")

    def anything(self) -> st.SearchStrategy[str]:
        """The digest of whatever was stated, anywhere, or of nothing."""
        return st.sampled_from([*(each[-1] for each in (*self.seen, *self.cut, *self.asked)), digest("none")])

    def free(self, environment: str, number: int) -> bool:
        """Whether a candidate of that build was cut, and nothing pins the rung."""
        return not self.held[environment] and any(each == number for each, _ in self.cut)

    def healthy(self, environment: str) -> list[tuple[int, str]]:
        return [(number, seen) for where, number, healthy, seen in self.seen if where == environment and healthy]

    @invariant()
    def what_is_held_is_what_was_rolled_back(self) -> None:
        assert {rung.environment: rung.hold is not None for rung in self.writer.history().rungs} == self.held

    @invariant()
    def nothing_enters_that_was_not_seen_to_run_healthy_one_rung_below(self) -> None:
        """Of the statements themselves, not of the model."""
        history = self.writer.history()
        for environment, below in ABOVE.items():
            ran = [link for _, link in history.rung(below).observed]
            for entry, request in history.rung(environment).requests:
                if request.purpose is Purpose.PROMOTION:
                    assert any(_bears_out(each, request) and each.at <= request.at for each in ran), entry.file


def _bears_out(seen: Observed, request: Request) -> bool:
    return seen.healthy and seen.versions == request.services


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=50, stateful_step_count=20)
