"""Any history at all of builds, candidates, pull requests, reverts and edits by hand: the guard lets in what is legal.

A model beside the repository says what is legal: of the merge's own tree, and of what was stated before. Whatever the
guard lets in is merged, and nothing else; what must hold of a ladder is asked of the repository after every step.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ladder.errors import CheckFailed
from ladder.promotion.statements import Pinned, Purpose, Request, name_of
from ladder.proposed import merged
from tests.promotion.ladders import GREEN, LADDER, PROMOTION, Versions, digest
from tests.promotion.yards import SERVICES, Yard

RULES = PROMOTION.model_copy(update={"soak": PROMOTION.soak.model_copy(update={"gap": "2400h"})})
ABOVE = ("staging", "prod")
BUILDS = st.integers(1, 3)

_template: list[tuple[Path, Yard]] = []


def fresh(root: Path) -> Yard:
    """A yard in which every rung was seen once, made once and copied."""
    if not _template:
        place = Path(tempfile.mkdtemp())
        yard = Yard(place, RULES)
        for environment in LADDER:
            yard.observe(environment)
        _template.append((place, yard))
    return _template[0][1].copied(root)


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation: ``stated`` is its statement's digest."""

    environment: str
    versions: Versions
    healthy: bool
    stated: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A pull request; ``request`` is the statement it adds, and ``place`` how long that chain was."""

    head: str
    request: Request | None = None
    place: int = 0


class Ladders(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.yard = fresh(self.root)
        self.seen = [Seen(name, self.yard.versions(name), True, self._last(name)) for name in LADDER]
        self.cuts: list[tuple[Versions, str]] = []
        self.proposals: list[Proposal] = []
        self.proposed = 0
        self.entered: list[Request] = []
        self.merges: list[tuple[str, str]] = []
        self.evidence: dict[str, str] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @rule(service=st.sampled_from(SERVICES), build=BUILDS)
    def a_build_enters(self, service: str, build: int) -> None:
        self.yard.pin(service, build)

    @rule(environment=st.sampled_from(LADDER), healthy=st.sampled_from((True, True, True, False)))
    def observe(self, environment: str, healthy: bool) -> None:
        stated = self.yard.observe(environment, *(() if healthy else ("a pod is gone",)))
        self.seen.append(Seen(environment, self.yard.versions(environment), healthy, stated))

    @rule(build=BUILDS, supersede=st.booleans())
    def cut_and_ask_to_enter_staging(self, build: int, supersede: bool) -> None:
        """What dev has then, seen and named."""
        self.a_build_enters(SERVICES[0], build)
        self.observe("dev", healthy=True)
        self.cuts.append((self.seen[-1].versions, self.yard.cut(self.seen[-1].stated)))
        self.enter_staging(*self.cuts[-1], supersede=supersede)

    @rule(data=st.data(), supersede=st.booleans())
    @precondition(lambda self: self.cuts)
    def ask_again_to_enter_staging(self, data: st.DataObject, supersede: bool) -> None:
        self.enter_staging(*data.draw(st.sampled_from(self.cuts)), supersede=supersede)

    def enter_staging(self, versions: Versions, stated: str, *, supersede: bool) -> None:
        holding = self.holding("staging")
        self.ask("staging", Purpose.PROMOTION, versions, stated, supersedes=holding if supersede else None)

    @rule(data=st.data())
    @precondition(lambda self: self.cuts)
    def ask_to_enter_prod(self, data: st.DataObject) -> None:
        self.observe("staging", healthy=True)
        named = {name_of(versions) for versions, _ in self.cuts}
        below = [each for each in self.seen if each.environment == "staging" and name_of(each.versions) in named]
        if below:
            seen = data.draw(st.sampled_from(below[-3:]))
            self.ask("prod", Purpose.PROMOTION, seen.versions, seen.stated)

    @rule(data=st.data(), environment=st.sampled_from(ABOVE))
    def ask_to_go_back(self, data: st.DataObject, environment: str) -> None:
        seen = data.draw(st.sampled_from([each for each in self.seen if each.environment == environment]))
        self.ask(environment, Purpose.ROLLBACK, seen.versions, seen.stated)

    @rule(environment=st.sampled_from(ABOVE))
    @precondition(lambda self: any(map(self.held, ABOVE)))
    def unpin(self, environment: str) -> None:
        self.ask(environment, Purpose.UNPIN, self.yard.versions(environment), None)

    @rule(data=st.data(), environment=st.sampled_from(ABOVE))
    def ask_for_anything(self, data: st.DataObject, environment: str) -> None:
        """Digests that were somewhere, resting on a statement that says who knows what."""
        purpose = data.draw(st.sampled_from((Purpose.PROMOTION, Purpose.ROLLBACK)))
        versions = data.draw(st.sampled_from([each.versions for each in self.seen]))
        stated = [*(each.stated for each in self.seen), *(each for _, each in self.cuts)]
        self.ask(environment, purpose, versions, data.draw(st.sampled_from(stated)))

    @rule(environment=st.sampled_from(LADDER), service=st.sampled_from(SERVICES), build=BUILDS)
    def edit_by_hand(self, environment: str, service: str, build: int) -> None:
        held = self.yard.versions(environment)[service]
        wanted = Pinned(image=digest(f"image {service} {build}"), chart=held.chart)
        self.propose(self.yard.edits(environment, {service: wanted}))

    @rule(environment=st.sampled_from(ABOVE), source=st.sampled_from(LADDER))
    def copy_by_hand(self, environment: str, source: str) -> None:
        self.propose(self.yard.edits(environment, self.yard.versions(source)))

    @rule(number=st.integers(1, 9))
    def write_something_else(self, number: int) -> None:
        self.propose({f"docs/{number}.md": str(number).encode()})

    @rule(data=st.data(), how=st.sampled_from(("alter", "remove")))
    def touch_evidence(self, data: st.DataObject, how: str) -> None:
        path = data.draw(st.sampled_from(sorted(self.yard.files("evidence"))))
        self.propose({path: b"x" if how == "alter" else None})

    @rule(data=st.data(), whole=st.booleans())
    @precondition(lambda self: self.merges)
    def revert(self, data: st.DataObject, whole: bool) -> None:
        """What a merge changed, as it was before: with its statement or without."""
        before, after = data.draw(st.sampled_from(self.merges))
        old, new = self.yard.files(at=before), self.yard.files(at=after)
        changed = [path for path in old.keys() | new.keys() if old.get(path) != new.get(path)]
        kept = [path for path in changed if whole or not path.startswith("evidence/")]
        self.propose({path: self.yard.read(path, at=before) if path in old else None for path in sorted(kept)})

    @rule(data=st.data())
    @precondition(lambda self: self.proposals)
    def look_at_one_that_waits(self, data: st.DataObject) -> None:
        proposal = data.draw(st.sampled_from(self.proposals))
        self.proposals.remove(proposal)
        self.look(proposal)

    def look(self, proposal: Proposal) -> None:
        """The guard's word and the model's; what both let in is merged."""
        legal, refusals = self.legal(proposal), self.yard.refusals(proposal.head)
        event(
            f"{'let in' if legal else 'refused'}: {'nothing' if proposal.request is None else proposal.request.purpose}"
        )
        assert (not refusals) == legal, (refusals, proposal)
        if legal:
            before = self.yard.main
            self.yard.merge(proposal.head)
            self.merges.append((before, self.yard.main))
            if proposal.request is not None and before != self.yard.main:
                self.entered.append(proposal.request)

    def ask(self, environment: str, purpose: Purpose, versions: Versions, rests_on: str | None, **more: Any) -> None:
        gates = GREEN if purpose is Purpose.PROMOTION else {}
        request = self.yard.request(environment, purpose, versions, rests_on=rests_on, gates=gates, **more)
        edits = {} if purpose is Purpose.UNPIN else self.yard.edits(environment, versions)
        self.propose({**self.yard.stated(request), **edits}, request)

    def propose(self, files: Mapping[str, bytes | None], request: Request | None = None) -> None:
        """Every third pull request waits, while others are merged."""
        place = 0 if request is None else request.sequence
        proposal = Proposal(self.yard.commit(self.yard.main, files), request, place)
        self.proposed += 1
        if self.proposed % 3:
            self.look(proposal)
        else:
            self.proposals.append(proposal)

    def legal(self, proposal: Proposal) -> bool:
        try:
            tree = merged(self.root, self.yard.main, proposal.head)
        except CheckFailed:
            return False
        before, after = self.yard.files(), self.yard.files(at=tree)
        if any(after.get(path) != name for path, name in before.items() if path.startswith("evidence/")):
            return False
        moved = {name for name in LADDER if self.yard.versions(name) != self.yard.versions(name, at=tree)}
        stated = [path for path in after if path.startswith("evidence/") and path not in before]
        if not stated:
            return not moved
        request = proposal.request
        if request is None or moved - {request.environment} or proposal.place != self._length(request.environment) + 1:
            return False
        if (
            request.purpose is not Purpose.UNPIN
            and self.yard.versions(request.environment, at=tree) != request.services
        ):
            return False
        return self.allowed(request)

    def allowed(self, request: Request) -> bool:
        environment, versions = request.environment, request.services
        rests = [each for each in self.seen if each.stated == request.rests_on and each.healthy]
        match request.purpose:
            case Purpose.UNPIN:
                return self.held(environment)
            case Purpose.ROLLBACK:
                return any((each.environment, each.versions) == (environment, versions) for each in rests)
            case _ if self.held(environment) or not self.in_turn(request):
                return False
            case _ if environment == "staging":
                return (versions, request.rests_on) in self.cuts
            case _:
                there = [each for each in self.seen if each.environment == "staging"]
                at = [number for number, each in enumerate(there) if each.stated == request.rests_on]
                return bool(at) and all(each.healthy and each.versions == versions for each in there[at[0] :])

    def in_turn(self, request: Request) -> bool:
        """Whether the rung is free for a candidate: the one it holds is older, and has climbed or is superseded."""
        names = [name_of(versions) for versions, _ in self.cuts]
        held, wanted = self.holding(request.environment), name_of(request.services)
        if wanted not in names:
            return False
        if held is None or held == wanted or held not in names:
            return True
        if names.index(held) > names.index(wanted):
            return False
        versions = self.cuts[names.index(held)][0]
        climbed = any(each.environment == "prod" and each.healthy and each.versions == versions for each in self.seen)
        return request.environment == "prod" or climbed or request.supersedes is not None

    def held(self, environment: str) -> bool:
        purposes = [each.purpose for each in self.entered if each.environment == environment]
        held = [each for each in purposes if each in {Purpose.ROLLBACK, Purpose.UNPIN}]
        return bool(held) and held[-1] is Purpose.ROLLBACK

    def holding(self, environment: str) -> str | None:
        found = [each for each in self.entered if each.environment == environment and each.purpose is not Purpose.UNPIN]
        return found[-1].candidate if found else None

    def _length(self, environment: str) -> int:
        return len(self.yard.files(f"evidence/{environment}"))

    def _last(self, environment: str) -> str:
        return self.yard.history().rung(environment).observed[-1][0].digest

    @invariant()
    def no_statement_is_lost_or_altered(self) -> None:
        now = self.yard.files("evidence")
        assert now.items() >= self.evidence.items()
        self.evidence = now

    @invariant()
    def what_a_rung_has_was_seen_to_run_healthy_below_it_or_in_it(self) -> None:
        for environment, below in (("staging", "dev"), ("prod", "staging")):
            ran = [each.versions for each in self.seen if each.healthy and each.environment in {environment, below}]
            assert self.yard.versions(environment) in ran, environment

    @invariant()
    def the_evidence_holds(self) -> None:
        self.yard.history()


TestLadders = Ladders.TestCase
TestLadders.settings = settings(max_examples=25, stateful_step_count=25, deadline=timedelta(seconds=60))
TestLadders.pytestmark = [pytest.mark.exhaustive]  # type: ignore[attr-defined]
