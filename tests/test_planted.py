"""Planted violations: each is caught by the part that must, with its rule and its place; the clean tree has none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from ladder import rules
from ladder.changes.report import Danger
from ladder.check.findings import Finding, of_problem
from ladder.check.kubernetes_schemas import KubernetesSchemas
from ladder.check.registries import registries
from ladder.check.rendering import permitted, rendering_problems
from ladder.contract import ladder_settings
from ladder.errors import CheckFailed, InputError
from ladder.parity import read
from ladder.parity.equality import equality
from ladder.parity.explained import explained
from ladder.parity.ladder import Ladder
from ladder.parity.law import law
from ladder.parity.order import order
from ladder.parity.overlay_law import OVERLAY_SUBJECTS, overlay_violations
from ladder.parity.planes import planes
from ladder.recorder import record
from ladder.recording import Recording
from ladder.substitution import SUBJECTS, TOGETHER, baseline
from sandbox.progress import Silent
from tests.changed import report
from tests.checked import shipped
from tests.conftest import Recordings
from tests.ladders import only, recorder_at, renderer_of, small
from tests.planted import Part, Planted
from tests.planted_cloud import CLOUD
from tests.planted_cluster import CLUSTER
from tests.planted_code import BRANCHES, TEMPLATES
from tests.planted_settings import FILES
from tests.support import ROOT, copy_project, run_ladder

PLANTED = {
    **{f"code that knows {what}": planted for what, planted in BRANCHES.items()},
    **{f"a template that knows {what}": planted for what, planted in TEMPLATES.items()},
    **CLOUD,
    **CLUSTER,
    **FILES,
}
TODAY = date(2030, 6, 1)


@dataclass(frozen=True)
class Copy:
    """A copy of the repository, and what is known of the repository itself."""

    root: Path
    planted: Planted
    shipped: Recordings

    @property
    def stacks(self) -> tuple[str, ...]:
        return self.planted.stacks

    def ladder(self) -> Ladder:
        return read(self.root, Silent())

    def small(self) -> Ladder:
        return replace(small(*self.stacks), root=self.root)

    def recordings(self) -> dict[str, Recording]:
        """Of every stack; those that nothing was planted in are the repository's own."""
        settings = ladder_settings(self.root, equal=False)
        return {
            stack: record(each, stack=stack, root=self.root) if stack in self.stacks else self.shipped[stack]
            for stack, each in settings.items()
        }


def of_reading(copy: Copy) -> Iterator[Finding]:
    try:
        copy.ladder()
    except InputError as error:
        yield from (of_problem("reading", problem) for problem in error.problems)


def of_recording(copy: Copy) -> Iterator[Finding]:
    try:
        copy.recordings()
    except CheckFailed as error:
        where = re.search(r" at (\S+:\d+)", str(error))
        yield Finding(rule="recording", where=where[1] if where else "", message=str(error))


def of_law(copy: Copy) -> Iterator[Finding]:
    ladder = copy.small()
    own = {stack: baseline(each, stack, copy.root) for stack, each in ladder.settings.items()}
    yield from law(ladder, own, recorder_at(copy.root), None, subjects=[copy.planted.subject]).findings


def of_chart_law(copy: Copy) -> Iterator[Finding]:
    environment, _, service = copy.planted.service.partition("/")
    with renderer_of(copy.root / "gitops/chart") as renderer:
        yield from overlay_violations(only(copy.ladder(), [environment], [service]), renderer)[1]


def of_explained(copy: Copy) -> Iterator[Finding]:
    yield from explained(copy.small(), recorder_at(copy.root), None, TODAY)[0].findings


def of_rules(copy: Copy) -> Iterator[Finding]:
    recordings = copy.recordings()
    for stack in copy.stacks:
        yield from rules.within(recordings[stack])
        yield from registries(shipped().with_recording(stack, recordings[stack]).stacks[stack])
    yield from rules.across(recordings)


def of_delivery(copy: Copy) -> Iterator[Finding]:
    recordings = copy.recordings()
    for stack in copy.stacks:
        yield from shipped().with_recording(stack, recordings[stack]).delivery(stack).findings


def of_rendering(copy: Copy) -> Iterator[Finding]:
    environment, _, service = copy.planted.service.partition("/")
    ladder = copy.ladder()
    tree = replace(ladder.tree, environments={environment: {service: ladder.tree.environments[environment][service]}})
    problems = rendering_problems(
        tree,
        KubernetesSchemas.load(Silent()),
        Silent(),
        kinds={environment: permitted(copy.recordings()[environment], f"ladder-{environment}")},
        registries={environment: list(ladder.settings[environment].images.registries.values())},
    )
    yield from (of_problem("rendering/overlay", problem) for problem in problems)


def of_changes(copy: Copy) -> Iterator[Finding]:
    """What is passed over on the way to prod is left out: only prod shows it."""
    settings = ladder_settings(copy.root)
    before = {stack: copy.shipped[stack] for stack in settings}
    for caution in report(before, copy.recordings(), settings).cautions():
        if caution.danger is not Danger.ORDER:
            yield Finding(rule=f"changes/{caution.danger}", where=caution.urn, message=caution.message)


CATCHING: Mapping[Part, Callable[[Copy], Iterator[Finding]]] = {
    Part.READING: of_reading,
    Part.RECORDING: of_recording,
    Part.CONTRACT: lambda copy: iter(equality(copy.ladder(), TODAY).findings),
    Part.LAW: of_law,
    Part.CHART_LAW: of_chart_law,
    Part.EXPLAINED: of_explained,
    Part.ORDER: lambda copy: iter(order(copy.ladder(), copy.recordings()).findings),
    Part.PLANES: lambda copy: iter(planes(copy.ladder(), copy.recordings()).findings),
    Part.RULES: of_rules,
    Part.DELIVERY: of_delivery,
    Part.RENDERING: of_rendering,
    Part.CHANGES: of_changes,
}


QUICK = frozenset({Part.READING, Part.CONTRACT, Part.ORDER, Part.PLANES})
"""Parts that record and render nothing by themselves."""


def named(what: str) -> object:
    slow = PLANTED[what].stacks or PLANTED[what].by not in QUICK
    return pytest.param(what, marks=pytest.mark.exhaustive) if slow else what


@pytest.mark.parametrize("what", [*map(named, PLANTED)])
def test_what_is_planted_is_caught_where_it_stands(what: str, tmp_path: Path, recordings: Recordings) -> None:
    planted = PLANTED[what]
    copy = Copy(copy_project(tmp_path).root, planted, recordings)
    place = planted.plant(copy.root)
    found = list(CATCHING[planted.by](copy))
    assert {each.rule for each in found} == {planted.rule, *planted.also}, found
    assert any(is_of(planted, place, each) for each in found), f"{place} {planted.path}: {found}"


def is_of(planted: Planted, place: str, finding: Finding) -> bool:
    at = finding.where == place or finding.where.endswith((f"::{place}", f"${place}"))
    return at and finding.path == planted.path and planted.says in finding.message


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", [part for part in Part if part is not Part.EXPLAINED])
def test_where_nothing_is_planted_nothing_is_caught(part: Part, recordings: Recordings) -> None:
    """That every difference of the unchanged program is explained is :mod:`tests.test_parity_explained`'s to say."""
    first = next(planted for planted in PLANTED.values() if planted.by is part)
    assert list(CATCHING[part](Copy(ROOT, first, recordings))) == []


def test_there_is_a_branch_on_everything_that_the_law_replaces() -> None:
    """No stack has a stand-in for AWS."""
    assert {planted.subject for planted in BRANCHES.values()} >= {*SUBJECTS, TOGETHER} - {"stand-in"}
    assert all(any(subject in planted.says for planted in TEMPLATES.values()) for subject in OVERLAY_SUBJECTS)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LADDER_ROOT", str(tmp_path))
    return copy_project(tmp_path).root


@pytest.mark.exhaustive
def test_ladder_check_catches_what_is_planted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = [
        CLOUD["a bucket that may be public"],
        CLUSTER["a second image in the chart"],
        FILES["a bucket of another environment"],
        FILES["a quota below the autoscaler"],
    ]
    places = [planted.plant(project) for planted in every]
    outcome = run_ladder(capsys, "check", "--format", "json")
    assert outcome.code == 1
    found = [Finding(**each) for each in json.loads(outcome.out)["findings"]]
    assert {each.rule for each in found} == {planted.rule for planted in every}
    for planted, place in zip(every, places, strict=True):
        assert any(is_of(planted, place, each) for each in found), place


@pytest.mark.exhaustive
def test_ladder_parity_catches_what_is_planted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By code that decides as it is imported too, in processes that record one stack after the other."""
    every = {
        "contract": FILES["another time to end"],
        "law": BRANCHES["the stack's name, by a constant of a module"],
        "order": FILES["a feature on in dev and not in previews"],
        "planes": FILES["a bucket of another environment"],
    }
    places = {part: planted.plant(project) for part, planted in every.items()}
    outcome = run_ladder(capsys, "parity", "dev", "preview", "--no-render")
    assert outcome.code == 1
    lines = outcome.out.splitlines()
    for part, planted in every.items():
        assert any(line.startswith(part) and "violated" in line for line in lines), part
        told = [line for line in lines if line.endswith(f" [{planted.rule}]")]
        assert any(f"{places[part]}: {planted.path}: " in line and planted.says in line for line in told), part
    assert any(line.startswith("explained") and "proven" in line for line in lines)
    assert "nothing is proven of what they make" in outcome.out
    assert "parity is violated: " in outcome.err
