"""The program itself: a thin shell over one component, and what it does with configuration."""

import ast
from pathlib import Path

import pytest


def test_the_program_only_loads_builds_and_exports(root: Path) -> None:
    statements = ast.parse((root / "__main__.py").read_text()).body
    assert len(statements) <= 8


@pytest.mark.parametrize("word", ["pulumi.Config", "pulumi.export", "get_stack", "is_dry_run", "os.", "subprocess"])
def test_components_read_nothing_ambient_and_export_nothing(root: Path, word: str) -> None:
    assert [file.name for file in (root / "components").glob("*.py") if word in file.read_text()] == []


def test_components_ask_for_no_live_system(root: Path) -> None:
    """No look-up and no ``.get``: what exists is named, not searched for."""
    for file in (root / "components").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                assert not called.startswith(("aws.get_", "kubernetes.get_")), f"{file.name}: {called}"
                assert not (called.startswith("aws.") and called.endswith(".get")), f"{file.name}: {called}"
