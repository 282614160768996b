"""``ladder judge``: the proposed commit's data by this checkout's code, and nothing of the proposal run or followed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from ladder.commands import parity
from ladder.errors import CheckFailed, InputError
from ladder.proposed import proposed
from ladder.schemas import schemas
from tests.changed import Repository
from tests.support import ROOT, Outcome, Project, run_ladder

pytestmark = pytest.mark.exhaustive

VALUES = "gitops/envs/dev/web/values.yaml"
FOREIGN = ("acme-shop-dev-uploads", "acme-shop-prod-uploads")
"""What makes dev's overlays name prod's bucket."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The project on main, with a branch to propose."""
    made = Repository.at(tmp_path_factory.mktemp("judge") / "project")
    made.git("checkout", "--quiet", "-b", "proposal")
    return made


@pytest.fixture
def repository(template: Repository, tmp_path: Path) -> Repository:
    """A copy that may be changed."""
    shutil.copytree(template.root, tmp_path / "project")
    return Repository(Project(tmp_path / "project"))


@pytest.fixture
def judge(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], Outcome]:
    """Commits what is proposed, and judges it from main."""
    monkeypatch.setenv("LADDER_ROOT", str(repository.root))

    def run() -> Outcome:
        repository.commit()
        repository.git("checkout", "--quiet", "main")
        return run_ladder(capsys, "judge", "--head", "proposal")

    return run


def stage(repository: Repository, mode: str, path: str, content: str = "") -> None:
    """Put an entry into the proposal as no work tree could; the work tree stays as it is."""
    if mode == "160000":
        name = "1" * 40
    else:
        command = ["git", "hash-object", "-w", "--stdin"]
        name = subprocess.run(
            command, cwd=repository.root, input=content, capture_output=True, text=True, check=True
        ).stdout.strip()
    subprocess.run(
        ["git", "update-index", "-z", "--index-info"],
        cwd=repository.root,
        input=f"{mode} {name} 0\t{path}\0",
        text=True,
        check=True,
    )
    repository.git("commit", "--quiet", "-m", "as no work tree could")


def test_settings_the_contract_refuses_are_bad_input(repository: Repository, judge: Callable[[], Outcome]) -> None:
    repository.edit("Pulumi.prod.yaml", "class: real", "class: imaginary")
    outcome = judge()
    assert (outcome.code, "Pulumi.prod.yaml:" in outcome.err) == (2, True)


def test_a_sound_proposal_passes_and_its_code_is_named_but_not_run(
    repository: Repository, judge: Callable[[], Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "command", click.Command("parity", callback=lambda: click.echo("proven elsewhere")))
    trace = tmp_path / "trace"
    repository.edit(VALUES, "cpuPercent: 70", "cpuPercent: 71")
    for file in ("__main__.py", "components/__init__.py"):
        path = repository.root / file
        path.write_text(f"open({str(trace)!r}, 'w')\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    outcome = judge()
    assert (outcome.code, trace.exists()) == (0, False), outcome
    assert "nothing found in 3 stacks" in outcome.out
    assert "proven elsewhere" in outcome.out
    assert "not judged here, because it is no settings and no tree: __main__.py, components/__init__.py" in outcome.out


ALWAYS_PASSES = """
from ladder.check import findings as _findings


def _nothing(root: Path, progress: Progress, *, render: bool = True) -> Report:
    return Report((), 3, 12, 12, 12)


check = _nothing
"""


def test_a_proposal_that_weakens_the_checker_still_fails_by_the_workflows_own_script(tmp_path: Path) -> None:
    repository = Repository.at(tmp_path / "project")
    for folder in ("ladder", "sandbox"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, repository.root / folder, ignore=ignored)
    (repository.root / ".gitignore").write_text("__pycache__/\n.venv/\nscripts/\n", encoding="utf-8")
    repository.commit()
    repository.git("checkout", "--quiet", "-b", "proposal")
    repository.edit("gitops/envs/dev/worker/values.yaml", *FOREIGN)
    checker = repository.root / "ladder" / "check" / "__init__.py"
    checker.write_text(checker.read_text(encoding="utf-8") + ALWAYS_PASSES, encoding="utf-8")
    head = repository.commit()

    assert _ran(repository, ".venv/bin/ladder check --no-render").returncode == 0, "its own checker lets it pass"

    repository.git("checkout", "--quiet", "main")
    done = _ran(repository, _judging_script(), HEAD=head)
    assert done.returncode == 1, done.stderr
    assert "gitops/envs/dev/worker/values.yaml" in done.stdout
    assert "acme-shop-prod-uploads" in done.stdout
    assert "findings in 3 stacks" in done.stderr
    assert "parity is violated" in done.stderr
    assert "not judged here, because it is no settings and no tree: ladder/check/__init__.py" in done.stdout


def _judging_script() -> str:
    workflow: Any = yaml.safe_load((ROOT / ".github" / "workflows" / "judge.yml").read_text(encoding="utf-8"))
    (step,) = [each for each in workflow["jobs"]["judge"]["steps"] if each.get("name") == "Judge"]
    return step["run"]


def _ran(repository: Repository, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script in the checkout, whose own code ``ladder`` is there."""
    programs = {
        "scripts/bootstrap": "#!/bin/sh\necho true\n",
        ".venv/bin/ladder": f"#!/bin/sh\nexec {sys.executable} -c 'from ladder.cli import main; main()' \"$@\"\n",
    }
    for name, text in programs.items():
        file = repository.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o755)
    known = {name: value for name, value in os.environ.items() if name not in {"LADDER_ROOT", "PYTHONPATH"}}
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=repository.root,
        env={**known, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("mode", "path", "says"),
    [
        ("120000", "gitops/envs/dev/web/more.yaml", "is a symbolic link"),
        ("120000", "gitops/envs", "is a symbolic link"),
        ("120000", "gitops", "is a symbolic link"),
        ("120000", "Pulumi.prod.yaml", "is a symbolic link"),
        ("120000", "parity.yaml", "is a symbolic link"),
        ("120000", "seed.yaml", "is a symbolic link"),
        ("160000", "gitops/envs/dev/extra", "is a submodule"),
        ("160000", "gitops/chart", "is a submodule"),
        ("100644", "gitops/envs/dev/web/a\nb.yaml", "has an odd name"),
        ("100644", "gitops/envs/dev/web/na\u00efve.yaml", "has an odd name"),
        ("100644", "gitops/envs/dev/web/\u202etxt.yaml", "has an odd name"),
        ("100644", "gitops/envs/dev/-rf $(id)/values.yaml", "has an odd name"),
        ("100644", "gitops/envs/dev/.gitattributes", "has an odd name"),
        ("100644", f"gitops/envs/dev/{'a' * 101}", "has an odd name"),
        ("100644", "/".join(["gitops/envs", *["deep"] * 100]), "has an odd name"),
    ],
)
def test_what_is_no_plain_file_of_the_data_is_refused(
    mode: str, path: str, says: str, repository: Repository, tmp_path: Path
) -> None:
    if path in {"gitops", "gitops/envs", "gitops/chart", "Pulumi.prod.yaml", "parity.yaml", "seed.yaml"}:
        repository.git("rm", "-r", "--quiet", "--cached", "--ignore-unmatch", path)
    stage(repository, mode, path, str(tmp_path / "elsewhere"))
    head = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "--quiet", "--force", "main")
    with pytest.raises(InputError) as refused, proposed(repository.root, head):
        pass
    assert [problem.message for problem in refused.value.problems] == [says]


@pytest.mark.parametrize(
    "file",
    [".helmignore", "charts/sub/Chart.yaml", "crds/own.yaml", "charts/sub.tgz", "templates/sub/values.schema.json"],
)
def test_what_helm_would_make_more_of_is_refused_in_a_chart(file: str, repository: Repository) -> None:
    stage(repository, "100644", f"gitops/chart/{file}", "")
    head = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "--quiet", "--force", "main")
    with pytest.raises(InputError, match="is no file of a chart"), proposed(repository.root, head):
        pass


def test_links_that_are_no_data_are_not_followed(repository: Repository) -> None:
    stage(repository, "120000", "components/elsewhere", "/etc")
    stage(repository, "120000", "Pulumi.yaml", "/etc/passwd")
    repository.git("checkout", "--quiet", "--force", "main")
    with proposed(repository.root, "proposal") as proposal:
        assert not [path for path in proposal.root.rglob("*") if path.is_symlink()]
        assert proposal.code == ("Pulumi.yaml", "components/elsewhere")


@pytest.mark.parametrize(
    ("limit", "value", "says"),
    [
        ("_LARGEST_FILE", 2000, "is too large"),
        ("_LARGEST", 50_000, "has too much data"),
        ("_MOST", 20, "has too much data"),
    ],
)
def test_too_much_is_refused(
    limit: str, value: int, says: str, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.root / VALUES).write_text("#" * 60_000, encoding="utf-8")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    monkeypatch.setattr(f"ladder.proposed.{limit}", value)
    with pytest.raises(InputError) as refused, proposed(repository.root, "proposal"):
        pass
    assert says in {problem.message for problem in refused.value.problems}


def test_data_that_is_gone_from_the_proposal_is_gone(repository: Repository) -> None:
    shutil.rmtree(repository.root / "gitops" / "envs" / "dev" / "web")
    (repository.root / "parity.yaml").unlink(missing_ok=True)
    (repository.root / "Pulumi.staging.yaml").unlink()
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    with proposed(repository.root, "proposal") as proposal:
        assert not (proposal.root / "gitops" / "envs" / "dev" / "web").exists()
        assert not (proposal.root / "Pulumi.staging.yaml").exists()
        assert (proposal.root / "gitops" / "envs" / "prod" / "web" / "values.yaml").is_file()
        root = proposal.root
    assert not root.exists()


def test_schemas_are_code_wherever_they_lie(repository: Repository) -> None:
    name = "gitops/chart/values.schema.json"
    (repository.root / name).write_text("{}", encoding="utf-8")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    with proposed(repository.root, "proposal") as proposal:
        assert (proposal.root / name).read_text(encoding="utf-8") == schemas()[name]
        assert proposal.code == (name,)


def test_what_main_changed_since_is_merged(repository: Repository) -> None:
    repository.edit(VALUES, "cpuPercent: 70", "cpuPercent: 71")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.edit("Pulumi.dev.yaml", "pods: 60", "pods: 61")
    repository.commit()
    with proposed(repository.root, "proposal") as proposal:
        assert "cpuPercent: 71" in (proposal.root / VALUES).read_text(encoding="utf-8")
        assert "pods: 61" in (proposal.root / "Pulumi.dev.yaml").read_text(encoding="utf-8")
    assert repository.git("status", "--porcelain") == ""


def test_a_conflict_is_told_with_its_file(repository: Repository) -> None:
    repository.edit(VALUES, "cpuPercent: 70", "cpuPercent: 71")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.edit(VALUES, "cpuPercent: 70", "cpuPercent: 72")
    repository.commit()
    with pytest.raises(CheckFailed, match=f"both changed {VALUES}"), proposed(repository.root, "proposal"):
        pass


@pytest.mark.parametrize("ref", ["nowhere", "", "--upload-pack=id", "HEAD\n", "HEAD:gitops"])
def test_a_head_that_is_no_commit_is_bad_input(
    ref: str, repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LADDER_ROOT", str(repository.root))
    outcome = run_ladder(capsys, "judge", f"--head={ref}")
    assert (outcome.code, "--head: names no commit" in outcome.err) == (2, True), outcome
