"""The substitution law as a part of the proof: how what breaks it is told, and that the shipped chart keeps it.

What breaks it is planted in :mod:`tests.planted_code`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ladder.contract.types import REGIONS
from ladder.errors import InputError
from ladder.literals import Fresh, undone
from ladder.parity.ladder import Ladder
from ladder.parity.law import law
from ladder.parity.overlay_law import overlay_violations
from ladder.substitution import baseline
from ladder.variables import checksum
from tests.charts import CHART, render
from tests.ladders import ladder_with, only, recorder_at, renderer_of, service_of, shipped_ladder, small
from tests.overlay_strategies import Case, cases
from tests.support import ROOT


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A copy of the chart that may be broken."""
    return Path(shutil.copytree(CHART, tmp_path / "chart"))


def plant(chart: Path, condition: str) -> None:
    """Pods are told to end sooner where the condition holds."""
    file = chart / "templates" / "rollout.yaml"
    text = file.read_text(encoding="utf-8")
    line = "      terminationGracePeriodSeconds: {{ int $service.stopSeconds }}\n"
    assert text.count(line) == 1
    planted = f"      {{{{- if {condition} }}}}\n      terminationGracePeriodSeconds: 1\n      {{{{- else }}}}\n"
    file.write_text(text.replace(line, f"{planted}{line}      {{{{- end }}}}\n"), encoding="utf-8")


def api_of_prod() -> Ladder:
    return only(shipped_ladder(), ["prod"], ["api"])


@pytest.mark.exhaustive
def test_one_place_is_told_once_with_how_many_overlays_show_it(chart: Path) -> None:
    plant(chart, 'hasPrefix "eu-" $.Values.endpoints.region')
    with renderer_of(chart) as renderer:
        _, (finding,) = overlay_violations(only(shipped_ladder(), ["prod", "dev"], ["api", "worker"]), renderer)
    assert "(dev/api and 3 more)" in finding.message


def test_an_overlay_that_cannot_be_rendered_at_all_is_bad_input(chart: Path) -> None:
    (chart / "templates" / "configmap.yaml").write_text('{{ fail "never" }}\n', encoding="utf-8")
    with renderer_of(chart) as renderer, pytest.raises(InputError) as raised:
        overlay_violations(api_of_prod(), renderer)
    assert "never" in str(raised.value)


@pytest.mark.exhaustive
def test_the_shipped_chart_keeps_the_law_for_every_overlay() -> None:
    with renderer_of(CHART) as renderer:
        varied, findings = overlay_violations(shipped_ladder(), renderer)
    assert findings == []
    assert varied > 12 * 5


@pytest.mark.exhaustive
@settings(max_examples=4)
@given(case=cases())
def test_the_chart_keeps_the_law_for_whatever_the_contract_accepts(case: Case) -> None:
    with renderer_of(CHART) as renderer:
        assert overlay_violations(ladder_with(service_of(case, "dev")), renderer)[1] == []


@pytest.mark.exhaustive
@settings(max_examples=10)
@given(case=cases())
def test_the_checksum_on_the_pods_is_known_beforehand(case: Case) -> None:
    annotations = render(case.service, case.values).pod["metadata"]["annotations"]
    assert annotations["ladder.internal/variables"] == checksum(case.model)


@given(text=st.text("0123456789abcdef./-", max_size=200))
def test_fresh_values_are_in_no_text_and_can_be_undone(text: str) -> None:
    fresh = Fresh(text)
    values = [
        fresh.word("x"),
        fresh.account("210987654321"),
        fresh.network(),
        fresh.loopback(),
        fresh.word("longer"),
        fresh.network(),
    ]
    assert len(set(values)) == len(values)
    assert not any(value in text for value in values)
    literals = [(value, f"<{number}>") for number, value in enumerate(values)]
    assert undone(" ".join(values), literals) == "<0> <1> <2> <3> <4> <5>"


@given(
    word=st.from_regex(r"[a-z][a-z0-9-]{0,18}[a-z0-9]", fullmatch=True),
    account=st.from_regex(r"[0-9]{12}", fullmatch=True),
)
def test_a_fresh_value_has_nothing_in_common_with_what_it_stands_for(word: str, account: str) -> None:
    """So that a branch on a part of a name, or on its length, shows too."""
    fresh = Fresh("")
    new = fresh.word(word)
    assert len(new) != len(word)
    assert not set(new) & set(word) or len({*word} & {*"ghjkmnpqrstvwxz"}) == 15
    assert all(one != other for one, other in zip(fresh.account(account), account, strict=True))


@pytest.mark.parametrize("region", sorted(REGIONS["aws"]))
def test_a_fresh_region_is_of_another_part_of_the_world_and_has_another_number(region: str) -> None:
    new = Fresh("").region(region, "aws")
    assert new
    assert not {*new.split("-")} & {*region.split("-")}


def plant_in_program(root: Path, condition: str) -> None:
    """Buckets may be emptied by a destroy where the condition holds."""
    shutil.copytree(ROOT / "components", root / "components", ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "components" / "bucket.py").read_text(encoding="utf-8")
    assert text.count("force_destroy=False") == 1
    planted = text.replace("force_destroy=False", f"force_destroy={condition}")
    (root / "components" / "bucket.py").write_text(planted, encoding="utf-8")
    shutil.copy(ROOT / "__main__.py", root)


@pytest.mark.exhaustive
def test_a_component_that_decides_by_the_account_is_found_and_told_once(tmp_path: Path) -> None:
    plant_in_program(tmp_path, 'self._args.cloud.account == "432109876543"')
    ladder = small("prod")
    recording = baseline(ladder.stacks()["prod"], "prod", tmp_path)
    part = law(ladder, {"prod": recording}, recorder_at(tmp_path), None)
    (finding,) = part.findings
    assert (finding.rule, finding.path, finding.found) == ("law/stack", "inputs.forceDestroy", "false")
    assert finding.where.endswith("aws:s3/bucket:Bucket::evidence")
    assert "changes with the account" in finding.message
    assert dict(part.looked_at) == {"variations of stacks": 13}
