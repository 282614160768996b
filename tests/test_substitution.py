"""The substitution law: the program keeps it, and a program that does not is found."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ladder.contract import StackSettings, settings_from_mapping
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


@pytest.fixture(scope="module")
def small(ladder: dict[str, StackSettings]) -> StackSettings:
    """Dev with as little as the contract lets it have: a planted branch shows as well there."""
    own = ladder["dev"].model_dump(mode="json", by_alias=True)
    buckets = {"evidence": own["buckets"]["evidence"]}
    return settings_from_mapping({**own, "buckets": buckets, "services": {"web": {"buckets": {}}}})


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the program."""
    shutil.copytree(ROOT / "components", tmp_path / "components", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "__main__.py", tmp_path)
    return tmp_path


def plant(root: Path, condition: str) -> None:
    """Buckets may be emptied by a destroy where the condition holds."""
    file = root / "components" / "bucket.py"
    text = file.read_text()
    assert text.count("force_destroy=False") == 1
    file.write_text(text.replace("force_destroy=False", f"force_destroy={condition}"))


@pytest.mark.parametrize(
    ("subject", "condition"),
    [
        ("name", 'self._args.tags["ladder:environment"] == "dev"'),
        ("account", 'self._args.cloud.account == "210987654321"'),
        ("region", 'self._args.cloud.region.startswith("eu-")'),
        ("buckets", '"dev" in self._args.settings.name'),
        ("stack", 'pulumi.get_stack() == "dev"'),
        ("dry run", "pulumi.runtime.is_dry_run()"),
        ("environment variables", 'bool(__import__("os").environ.get("CI"))'),
        ("environment variables", '__import__("os").environ.get("ENVIRONMENT") == "production"'),
        ("environment variables", '"SEEN_BY_CHANCE" in __import__("os").environ'),
    ],
)
def test_code_that_knows_where_it_is_is_found(
    subject: str,
    condition: str,
    copy: Path,
    small: StackSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("SEEN_BY_CHANCE", "1")
    plant(copy, condition)
    before = dict(os.environ)
    found = violations(small, stack="dev", root=copy, subjects=[subject])
    assert len(found) == len(small.buckets)
    assert {(violation.subject, violation.path) for violation in found} == {(subject, "inputs.forceDestroy")}
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        ("cluster", 'if settings.cluster.context == "acme-dev": del outputs["previews"]'),
        ("cluster", 'if settings.cluster.oidc_issuer.startswith("oidc.eks"): outputs["more"] = 1'),
        ("host", 'if settings.previews.host == "previews.acme.dev": outputs["more"] = [1]'),
        ("account", 'outputs["roles"]["web"] = settings.cloud.account[:6]'),
        (TOGETHER, 'if settings.environment.name + settings.cloud.region == "deveu-west-1": outputs["more"] = {}'),
    ],
)
def test_a_branch_over_outputs_is_found(subject: str, line: str, copy: Path, small: StackSettings) -> None:
    main = copy / "__main__.py"
    loop = 'for name, value in Environment("environment", settings).outputs.items():'
    text = main.read_text()
    assert loop in text
    changed = (
        f'outputs = dict(Environment("environment", settings).outputs)\n{line}\nfor name, value in outputs.items():'
    )
    main.write_text(text.replace(loop, changed))
    found = violations(small, stack="dev", root=copy, subjects=[subject])
    assert [violation.where for violation in found] == ["outputs"]


def test_the_unchanged_copy_keeps_the_law(copy: Path, small: StackSettings) -> None:
    assert violations(small, stack="dev", root=copy, subjects=["account", TOGETHER]) == []


def test_what_the_settings_do_not_have_is_skipped(ladder: dict[str, StackSettings]) -> None:
    """Previews are off in prod, so there is no host."""
    assert violations(ladder["prod"], stack="prod", root=ROOT, subjects=["host", "stand-in"]) == []


def test_a_violation_says_what_was_expected() -> None:
    violation = LawViolation(subject="account", where="urn", path="inputs.x", expected="", found='"y"')
    assert str(violation) == 'account: urn inputs.x: expected nothing, found "y"'
