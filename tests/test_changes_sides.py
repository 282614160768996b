"""Each end is recorded by its own code, sealed off; whatever it does, the answer is a recording or a reason."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ladder.changes import sides
from ladder.changes.sides import both_sides
from ladder.recording import Recording

pytestmark = pytest.mark.exhaustive

RECORDED = """
import json, os, sys

def recorded(**outputs):
    return {"project": "ladder", "stack": STACK, "resources": [], "outputs": outputs}

STACK = ""

def main(arguments):
    global STACK
    STACK = arguments[-1]
    assert arguments[:-1] == ["record", "--format", "json", "--"], arguments
"""


def project(root: Path, code: str, *, stacks: str = "dev") -> Path:
    """A project whose own ``ladder`` command runs the code in place of recording."""
    (root / "ladder").mkdir(parents=True)
    (root / "ladder" / "__init__.py").touch()
    indented = "".join(f"    {line}\n" for line in code.splitlines())
    (root / "ladder" / "cli.py").write_text(f"{RECORDED}{indented}", encoding="utf-8")
    for stack in stacks.split():
        (root / f"Pulumi.{stack}.yaml").write_text("", encoding="utf-8")
    return root


def reason(root: Path, code: str) -> str:
    before, _ = both_sides(project(root / "base", code), project(root / "head", SAYS))
    found = before.stacks.get("dev", before.failure)
    assert isinstance(found, str)
    return found


SAYS = "print(json.dumps(recorded(), indent=2))"


def test_each_end_runs_its_own_code(tmp_path: Path) -> None:
    one, other = (
        project(tmp_path / name, f"print(json.dumps(recorded(end={name!r}), indent=2))") for name in ("base", "head")
    )
    before, after = both_sides(one, other)
    for end, name in ((before, "base"), (after, "head")):
        recorded = end.stacks["dev"]
        assert isinstance(recorded, Recording)
        assert recorded.outputs == {"end": name}


def test_a_program_sees_no_variable_of_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "KUBECONFIG", "HTTPS_PROXY", "PYTHONPATH")
    for name in secrets:
        monkeypatch.setenv(name, "planted")
    head = project(tmp_path / "head", "print(json.dumps(recorded(**os.environ), indent=2))")
    _, after = both_sides("not asked", head)
    recorded = after.stacks["dev"]
    assert isinstance(recorded, Recording)
    assert set(recorded.outputs) <= {"HOME", "LADDER_ROOT", "PATH", "LC_ALL", "LC_CTYPE"}
    assert "planted" not in json.dumps(dict(recorded.outputs))
    assert recorded.outputs["LADDER_ROOT"] == str(head)
    assert not Path(str(recorded.outputs["HOME"])).exists()


@pytest.fixture
def server() -> Iterator[tuple[int, list[str]]]:
    """A server on loopback and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

    serving = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield serving.server_port, asked
    serving.shutdown()
    thread.join()
    serving.server_close()


def test_a_program_reaches_no_network(tmp_path: Path, server: tuple[int, list[str]]) -> None:
    port, asked = server
    code = f"import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/secret')"
    assert "a recording has no network" in reason(tmp_path, code)
    assert asked == []


def test_what_a_program_prints_besides_is_overlooked(tmp_path: Path) -> None:
    code = f"print('hello')\nprint('{{')\nos.write(1, b'raw')\n{SAYS}"
    _, after = both_sides("not asked", project(tmp_path, code))
    assert isinstance(after.stacks["dev"], Recording)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("print('no recording')", "its recorder writes no JSON object"),
        ("print('{}')", "what was written is not a recording"),
        ("print(json.dumps({'resources': 1}))", "what was written is not a recording"),
        ("STACK = 'other'\nprint(json.dumps({**recorded(), 'stack': 'other'}))", "another stack's recording"),
        ("print('[' * 5000 + ']' * 5000)", "its recorder writes no JSON object"),
        ("print(json.dumps(recorded(a=json.loads('[' * 200 + ']' * 200))))", "what it wrote is nested too deep"),
        ("print(json.dumps({**recorded(), 'outputs': []}))", "what was written is not a recording"),
        ("raise ValueError('broken')", "its recorder fails: ValueError: broken"),
        ("sys.exit(1)", "it does not say why"),
        ("print('the reason', file=sys.stderr)\nsys.exit(1)", "the reason"),
        ("print(json.dumps({'error': 'in a word'}, indent=2), file=sys.stderr)\nsys.exit(2)", "in a word"),
        ("os._exit(3)", "recording it ends with 3"),
        ("print('crash', file=sys.__stderr__, flush=True)\nos._exit(3)", "recording it ends with 3: crash"),
        ("import ladder.nothing", "No module named 'ladder.nothing'"),
    ],
)
def test_whatever_goes_wrong_is_a_reason(code: str, says: str, tmp_path: Path) -> None:
    assert says in reason(tmp_path, code)


def test_a_base_without_a_recorder_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    before, after = both_sides(tmp_path / "base", project(tmp_path / "head", SAYS))
    assert (before.failure, before.tree, dict(before.stacks)) == ("it has no recorder", "it has no recorder", {})
    assert isinstance(after.stacks["dev"], Recording)


def test_a_program_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "_SECONDS", 1)
    assert reason(tmp_path, "import threading\nthreading.Event().wait()") == "it takes more than 1 s"


def test_what_is_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "_LARGEST", 10)
    assert reason(tmp_path, SAYS) == "it writes more than 10 bytes"


def test_a_stack_that_fails_leaves_the_others(tmp_path: Path) -> None:
    code = f"if STACK == 'dev':\n    sys.exit('not this one')\n{SAYS}"
    _, after = both_sides("not asked", project(tmp_path, code, stacks="dev prod"))
    assert isinstance(after.stacks["dev"], str)
    assert isinstance(after.stacks["prod"], Recording)


def test_code_that_python_would_not_import_is_not_taken_for_its_own(tmp_path: Path) -> None:
    head = project(tmp_path, SAYS)
    (head / "ladder" / "__init__.py").unlink()
    _, after = both_sides("not asked", head)
    assert after.stacks["dev"] == "its own code is not what Python imports"


def test_code_that_knows_no_tree_says_so(tmp_path: Path) -> None:
    _, after = both_sides("not asked", project(tmp_path, SAYS))
    assert after.tree == "its code cannot read the GitOps tree: No module named 'ladder.contract'"
