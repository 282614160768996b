"""The substitution law: the program keeps it. What breaks it is planted in :mod:`tests.planted_code`."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ladder.contract import StackSettings
from ladder.substitution import SUBJECTS, TOGETHER, LawViolation, violations
from tests.conftest import ROOT
from tests.strategies import stack_settings

pytestmark = pytest.mark.exhaustive


@pytest.mark.parametrize("stack", ["dev", "staging", "prod"])
def test_the_program_keeps_the_law(stack: str, ladder: dict[str, StackSettings]) -> None:
    assert violations(ladder[stack], stack=stack, root=ROOT) == []


@settings(max_examples=8)
@given(chosen=stack_settings(), subject=st.sampled_from([*SUBJECTS, TOGETHER]))
def test_the_program_keeps_the_law_for_whatever_the_contract_accepts(chosen: StackSettings, subject: str) -> None:
    assert violations(chosen, stack="any", root=ROOT, subjects=[subject]) == []


def test_what_the_settings_do_not_have_is_skipped(ladder: dict[str, StackSettings]) -> None:
    """Prod runs on AWS itself."""
    assert violations(ladder["prod"], stack="prod", root=ROOT, subjects=["stand-in"]) == []


def test_a_violation_says_what_was_expected() -> None:
    violation = LawViolation(subject="account", where="urn", path="inputs.x", expected="", found='"y"')
    assert str(violation) == 'account: urn inputs.x: expected nothing, found "y"'
