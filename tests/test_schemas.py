"""The JSON Schemas: current, pointed to, and never stricter about structure than the contract."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ladder.contract import stack_settings
from ladder.errors import InputError
from ladder.schemas import schemas
from ladder.strict_yaml import load
from tests.support import ROOT, STACKS, Project, copy_project, run_ladder

SCHEMA: dict[str, Any] = json.loads(schemas()["schemas/stack.schema.json"])
VALIDATOR = Draft202012Validator(SCHEMA)
Path_ = tuple[str | int, ...]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    copy = copy_project(tmp_path)
    monkeypatch.setenv("LADDER_ROOT", str(copy.root))
    return copy


def document(stack: str) -> dict[str, Any]:
    return copy.deepcopy(dict(load(ROOT / f"Pulumi.{stack}.yaml").value))


def test_the_committed_schemas_are_current(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(ROOT))
    assert run_ladder(capsys, "schema", "--check").code == 0


@pytest.mark.parametrize("spoil", ["altered", "missing", "not text"])
def test_a_stale_schema_fails_the_check_and_is_named(
    spoil: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project.root / "schemas" / "stack.schema.json"
    match spoil:
        case "altered":
            path.write_bytes(path.read_bytes().replace(b'"type"', b'"typ"', 1))
        case "missing":
            path.unlink()
        case _:
            path.write_bytes(b"\xff")
    before = project.contents()
    outcome = run_ladder(capsys, "schema", "--check")
    assert outcome.code == 1
    assert "schemas/stack.schema.json" in outcome.err
    assert "ladder schema" in outcome.err
    assert project.contents() == before


def test_writing_the_schemas_makes_the_check_pass_and_writes_nothing_twice(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LADDER_ROOT")
    monkeypatch.chdir(project.root / "components")
    path = project.root / "schemas" / "stack.schema.json"
    path.write_text("{}", encoding="utf-8")
    assert run_ladder(capsys, "schema").out == "wrote schemas/stack.schema.json\n"
    assert path.read_text(encoding="utf-8") == schemas()["schemas/stack.schema.json"]
    written = path.stat().st_mtime_ns
    assert run_ladder(capsys, "schema").out == "schemas match the contract\n"
    assert run_ladder(capsys, "schema", "--check").code == 0
    assert path.stat().st_mtime_ns == written


@pytest.mark.parametrize("text", schemas().values(), ids=list(schemas()))
def test_each_schema_is_itself_a_schema(text: str) -> None:
    Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("stack", STACKS)
def test_each_stack_file_validates(stack: str) -> None:
    assert list(VALIDATOR.iter_errors(document(stack))) == []


@pytest.mark.parametrize("stack", STACKS)
def test_each_stack_file_points_to_its_schema_in_its_first_line(stack: str) -> None:
    first = (ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8").splitlines()[0]
    comment, _, path = first.partition("$schema=")
    assert comment == "# yaml-language-server: "
    assert not Path(path).is_absolute()
    assert (ROOT / path).is_file()
    assert path in schemas()


@pytest.mark.parametrize(
    "overlay", sorted((ROOT / "gitops" / "envs").glob("*/*/*.yaml")), ids=lambda path: "/".join(path.parts[-3:])
)
def test_each_file_of_the_tree_points_to_its_schema_and_validates(overlay: Path) -> None:
    first = overlay.read_text(encoding="utf-8").splitlines()[0]
    comment, _, path = first.partition("$schema=")
    assert comment == "# yaml-language-server: "
    named = (overlay.parent / path).resolve().relative_to(ROOT).as_posix()
    assert named == f"schemas/{overlay.stem}.schema.json"
    assert list(Draft202012Validator(json.loads(schemas()[named])).iter_errors(load(overlay).value)) == []


def test_every_key_says_why_it_may_differ_or_may_not() -> None:
    sections = SCHEMA["properties"]["config"]["properties"]
    assert sections["ladder:environment"]["x-varies"] == "identity"
    assert sections["ladder:tier"]["x-varies"] == "tier"
    assert "x-varies" not in sections["ladder:services"]


def mappings(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """The paths of every map in the document."""
    if isinstance(value, Mapping):
        yield path
        for key, item in value.items():
            yield from mappings(item, (*path, key))


def at(value: Any, path: Path_) -> Any:
    for part in path:
        value = value[part]
    return value


def contract_refuses(changed: Mapping[str, Any]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Pulumi.dev.yaml").write_text(json.dumps(changed), encoding="utf-8")
        try:
            stack_settings(Path(folder), "dev")
        except InputError:
            return True
    return False


JUNK = st.sampled_from([None, True, 0, -1, 1.5, "", "x", "Not A Label", [], ["x"], {}, {"x": 1}])


@given(st.data())
def test_what_the_schema_refuses_the_contract_refuses(data: st.DataObject) -> None:
    """A key deleted, added, renamed, or given another value, anywhere in a real file."""
    changed = document(data.draw(st.sampled_from(STACKS)))
    place = at(changed, data.draw(st.sampled_from([path for path in mappings(changed) if path])))
    how = data.draw(st.sampled_from(["delete", "add", "rename", "replace"]))
    if how != "add" and not place:
        return
    key = data.draw(st.sampled_from(sorted(place))) if place else ""
    match how:
        case "delete":
            del place[key]
        case "add":
            place[data.draw(st.sampled_from(["x", "X", "name", "enabled", "aws:region"]))] = data.draw(JUNK)
        case "rename":
            place[f"{key}X"] = place.pop(key)
        case _:
            place[key] = data.draw(JUNK)
    if not VALIDATOR.is_valid(changed):
        assert contract_refuses(changed)


@given(st.data())
def test_a_deleted_key_and_an_unknown_key_are_refused_by_both(data: st.DataObject) -> None:
    """Wherever the keys are the contract's and not names that the file chooses."""
    chosen = {"accounts", "replicationRoles", "registries", "keys", "buckets", "services", "windows", "via"}
    changed = document(data.draw(st.sampled_from(STACKS)))
    fixed = [
        path
        for path in mappings(changed["config"])
        if not path or str(path[-1]).removeprefix("ladder:") not in chosen or str(path[-1]).startswith("ladder:sec")
    ]
    place = at(changed["config"], data.draw(st.sampled_from(fixed)))
    if data.draw(st.booleans()):
        del place[data.draw(st.sampled_from(sorted(place)))]
    else:
        place["unheardOf"] = data.draw(JUNK)
    assert not VALIDATOR.is_valid(changed)
    assert contract_refuses(changed)


@pytest.mark.parametrize("key", ["environment", "backend", "ladder:cloud"])
def test_an_unknown_key_at_the_top_is_refused(key: str) -> None:
    assert not VALIDATOR.is_valid({**document("dev"), key: {}})


def test_the_engines_own_keys_are_tolerated() -> None:
    engine = {"encryptionsalt": "v1:AAAA", "secretsprovider": "awskms://alias/x", "encryptedkey": "AAAA"}
    assert VALIDATOR.is_valid({**document("dev"), **engine})
