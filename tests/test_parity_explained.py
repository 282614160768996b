"""The explained difference: each change is put down to its field, and what no field explains is found."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import assume, given, settings

from ladder.contract import Varies
from ladder.contract.exceptions import Exceptions, ExceptionSettings
from ladder.errors import CheckFailed
from ladder.parity.explained import explained
from ladder.parity.ladder import Ladder
from ladder.parity.overlay_walks import walked_overlays
from ladder.parity.proof import UNEXPLAINED, Difference, Part
from ladder.parity.stack_walks import walked_stacks
from ladder.parity.walk import EXCEPTION
from tests.charts import CHART
from tests.ladders import (
    broken,
    changed_settings,
    ladder_with,
    only,
    recorder_at,
    renderer_of,
    service_of,
    shipped_ladder,
    small,
)
from tests.overlay_strategies import Case, pairs
from tests.support import ROOT

pytestmark = pytest.mark.exhaustive

TODAY = date(2030, 6, 1)


def program(root: Path, file: str, old: str, new: str) -> Path:
    """A copy of the program with text that stands once in a file of it replaced."""
    shutil.copytree(ROOT / "components", root / "components", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "__main__.py", root)
    text = (root / file).read_text(encoding="utf-8")
    assert text.count(old) == 1
    (root / file).write_text(text.replace(old, new), encoding="utf-8")
    return root


def empties(root: Path, condition: str) -> Path:
    """A program by which a destroy empties buckets where the condition holds."""
    return program(root, "components/bucket.py", "force_destroy=False", f"force_destroy={condition}")


def explain(ladder: Ladder, root: Path = ROOT) -> tuple[Part, list[Difference]]:
    return explained(ladder, recorder_at(root), None, TODAY)


@pytest.mark.parametrize(
    ("condition", "what", "found"),
    [
        ("pulumi.get_stack() == 'staging'", "the stack's name", "true"),
        ("pulumi.runtime.is_dry_run()", "the dry-run flag", "true"),
    ],
)
def test_what_follows_from_no_setting_is_found(condition: str, what: str, found: str, tmp_path: Path) -> None:
    part, _ = explain(small("dev", "staging"), empties(tmp_path, condition))
    (finding,) = part.findings
    assert (finding.path, finding.found) == ("inputs.forceDestroy", found)
    assert what in finding.message


def test_the_unchanged_program_is_explained_and_each_change_put_down_to_its_field() -> None:
    part, differences = explain(small("dev", "staging"))
    assert part.findings == ()
    categories = {each.fields: each.category for each in differences}
    assert categories["hosts.domain",] == Varies.ENDPOINTS
    assert categories["data",] == Varies.DATA
    assert ("environment.rung",) not in categories
    assert all(not each.where.startswith("urn:") for each in differences)
    quota = [each for each in differences if each.fields == ("namespaces.data.quota",) and each.path.endswith("pods")]
    assert [(each.before, each.after, each.category) for each in quota] == [('"12"', '"24"', Varies.SCALE)]


def test_a_field_without_a_reason_is_found_where_it_stands_unless_excepted() -> None:
    settled = small("dev", "staging")
    staging = changed_settings(settled.settings["staging"], {"delivery.branch": "release"})
    moved = tuple(replace(each, settings=staging) if each.name == "staging" else each for each in settled.environments)
    ladder = replace(settled, environments=moved, chosen=moved)
    part, differences = explain(ladder)
    (finding,) = part.findings
    assert (finding.rule, finding.path) == ("explained/field", "config.ladder:delivery.branch")
    assert finding.where.startswith("Pulumi.staging.yaml:")
    assert UNEXPLAINED in {each.category for each in differences}
    exception = {
        "environment": "staging",
        "service": None,
        "path": "delivery.branch",
        "owner": "me",
        "reason": "because",
    }
    excepted = Exceptions(exceptions={"one": ExceptionSettings(**exception, expires="2030-06-01")})
    part, differences = explain(replace(ladder, exceptions=excepted))
    assert part.findings == ()
    assert EXCEPTION in {each.category for each in differences}
    part, _ = explained(replace(ladder, exceptions=excepted), recorder_at(ROOT), None, date(2030, 6, 2))
    assert [each.rule for each in part.findings] == ["explained/field"]


def test_a_state_that_the_program_refuses_moves_on_with_the_next_field(tmp_path: Path) -> None:
    """The program takes no domain of staging with dev's secrets: what changes then is put down to both."""
    refusal = (
        "if settings.hosts.domain.startswith('staging') and settings.environment.name == 'dev':\n"
        "    raise ValueError('not yet')\n"
        'for name, value in Environment("environment"'
    )
    root = program(tmp_path, "__main__.py", 'for name, value in Environment("environment"', refusal)
    part, differences = explain(small("dev", "staging"), root)
    assert part.findings == ()
    together = {each.fields for each in differences if "hosts.domain" in each.fields}
    assert len(together) == 1
    assert {"hosts.domain", "environment.name", "previews"} <= set(together.pop())


def test_a_program_that_fails_for_a_stacks_own_settings_fails_the_proof(tmp_path: Path) -> None:
    old = 'for name, value in Environment("environment"'
    root = program(tmp_path, "__main__.py", old, f"if pulumi.get_stack() == 'staging': raise ValueError('no')\n{old}")
    with pytest.raises(CheckFailed, match="no"):
        list(walked_stacks(small("dev", "staging"), recorder_at(root)))


def test_what_the_chart_makes_is_explained_for_every_service() -> None:
    with renderer_of(CHART) as renderer:
        walks = list(walked_overlays(shipped_ladder(), renderer))
    assert len(walks) == 9
    assert all(state is not None for walked in walks for state in walked.states)
    assert all(not found for walked in walks for found in walked.leftovers.values())
    fields = {str(unit) for walked in walks for change in walked.changes() for unit in change.units}
    assert {"scale", "rollout", "features.new-search", "secrets.SESSION_KEY", "endpoints", "tier"} <= fields


def test_an_overlay_that_differs_without_a_reason_is_found(tmp_path: Path) -> None:
    ladder = only(broken(overlays={"prod/web": {"service.stopSeconds": 31}}), ["staging", "prod"], ["web"])
    ladder = replace(ladder, environments=(), chosen=tuple(replace(each, settings=None) for each in ladder.chosen))
    with renderer_of(CHART) as renderer:
        part, differences = explained(ladder, recorder_at(ROOT), renderer, TODAY)
    (finding,) = part.findings
    assert (finding.rule, finding.path) == ("explained/field", "service.stopSeconds")
    assert finding.where.startswith("gitops/envs/prod/web/values.yaml:")
    changed = [each for each in differences if each.category == UNEXPLAINED]
    assert [(each.path.rpartition(".")[2], each.before, each.after) for each in changed] == [
        ("terminationGracePeriodSeconds", "30", "31")
    ]


def test_a_chart_that_knows_its_namespace_is_found(tmp_path: Path) -> None:
    chart = Path(shutil.copytree(CHART, tmp_path / "chart"))
    file = chart / "templates" / "rollout.yaml"
    text = file.read_text(encoding="utf-8")
    planted = '{{ hasPrefix "prod-" .Release.Namespace | ternary 1 (int $service.stopSeconds) }}'
    file.write_text(text.replace("{{ int $service.stopSeconds }}", planted), encoding="utf-8")
    ladder = only(shipped_ladder(), ["staging", "prod"], ["web"])
    with renderer_of(chart) as renderer:
        (walked,) = walked_overlays(ladder, renderer)
    ((what, (found,)),) = walked.leftovers.items()
    assert (what, found.where, found.found) == ("the namespace that Helm is told", "Rollout web", "1")


@settings(max_examples=5)
@given(pair=pairs())
def test_what_differs_only_where_it_may_is_always_explained(pair: tuple[Case, Case]) -> None:
    one, other = pair
    assume(one.values != other.values)
    ladder = ladder_with(service_of(one, "preview"), service_of(other, "qa"))
    with renderer_of(CHART) as renderer:
        part, differences = explained(ladder, recorder_at(ROOT), renderer, TODAY)
    assert part.findings == ()
    assert UNEXPLAINED not in {each.category for each in differences}
