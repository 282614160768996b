"""Reading the GitOps tree: what is there is found, and what should not be is refused with its place."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ladder.errors import InputError, Problem
from ladder.tree import Tree, read_tree
from tests.support import ROOT

TREE = "gitops/envs"
WEB = f"{TREE}/dev/web"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the tree that may be broken; answers the root it lies in."""
    shutil.copytree(ROOT / "gitops", tmp_path / "gitops")
    return tmp_path


def problems(root: Path) -> list[Problem]:
    with pytest.raises(InputError) as raised:
        read_tree(root, TREE)
    return list(raised.value.problems)


def edit(root: Path, path: str, before: str, after: str) -> int:
    """Replace text that stands once in a file; returns its line."""
    file = root / path
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{before!r} stands {text.count(before)} times in {path}"
    file.write_text(text.replace(before, after), encoding="utf-8")
    return text[: text.index(before)].count("\n") + 1


def test_the_tree_is_read_whole() -> None:
    tree = read_tree(ROOT, TREE)
    assert list(tree.environments) == ["dev", "preview", "prod", "staging"]
    assert all(list(services) == ["api", "web", "worker"] for services in tree.environments.values())
    assert {service.folder.as_posix() for service in tree.services()} == {
        path.parent.relative_to(ROOT).as_posix() for path in (ROOT / TREE).glob("*/*/values.yaml")
    }
    assert (tree.chart / "Chart.yaml").is_file()


def test_a_folder_is_all_a_new_service_or_environment_takes(copy: Path) -> None:
    """A copied one says whose data it is filled with: its own."""
    shutil.copytree(copy / TREE / "dev" / "worker", copy / TREE / "dev" / "mailer")
    shutil.copytree(copy / TREE / "staging", copy / TREE / "qa")
    assert [(each.path, each.found, each.accepted) for each in problems(copy)] == [
        ("seed.environment", "staging", "qa")
    ]
    edit(copy, f"{TREE}/qa/api/values.yaml", "environment: staging", "environment: qa")
    tree = read_tree(copy, TREE)
    assert list(tree.environments["dev"]) == ["api", "mailer", "web", "worker"]
    assert list(tree.environments["qa"]) == ["api", "web", "worker"]


def test_several_processes_read_what_one_does(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = read_tree(copy, TREE, processes=1)
    monkeypatch.setattr("ladder.tree._WORTH_PROCESSES", 1)
    assert read_tree(copy, TREE, processes=2) == alone
    edit(copy, f"{WEB}/values.yaml", "tier: standard", "tier: fast")
    assert problems(copy)[0].path == "tier"


Break = Callable[[Path], object]


def _link(root: Path) -> None:
    (root / WEB / "values.yaml").unlink()
    (root / WEB / "values.yaml").symlink_to(root / TREE / "staging/web/values.yaml")


def _folder_link(root: Path) -> None:
    (root / TREE / "dev" / "other").symlink_to("/etc")


def _large(root: Path) -> None:
    with (root / WEB / "values.yaml").open("a", encoding="utf-8") as file:
        file.write("#" * 5_000_000)


BAD: dict[str, tuple[Break, str, str, str]] = {
    "an unknown key": (
        lambda root: edit(root, f"{WEB}/values.yaml", "  surge: 1", "  surge: 1\n  replica: 2"),
        f"{WEB}/values.yaml",
        "scale.replica",
        "is an unknown key",
    ),
    "a missing key": (
        lambda root: edit(root, f"{WEB}/values.yaml", "  surge: 1\n", ""),
        f"{WEB}/values.yaml",
        "scale.surge",
        "is missing",
    ),
    "a wrong step of a canary": (
        lambda root: edit(root, f"{TREE}/prod/web/values.yaml", "{weight: 50, pause: 10m}", "{weight: half}"),
        f"{TREE}/prod/web/values.yaml",
        "rollout.canary.1.weight",
        "is not accepted",
    ),
    "a tag for a digest": (
        lambda root: (root / WEB / "version.yaml").write_text("image: {digest: latest}\nchart: {digest: 1.0.0}\n"),
        f"{WEB}/version.yaml",
        "image.digest",
        "does not have the required form",
    ),
    "no version.yaml": (
        lambda root: (root / WEB / "version.yaml").unlink(),
        f"{WEB}/version.yaml",
        "",
        "cannot be read",
    ),
    "a value the contract's rules refuse": (
        lambda root: edit(root, f"{WEB}/values.yaml", "minAvailable: 1", "minAvailable: 5"),
        f"{WEB}/values.yaml",
        "scale.minAvailable",
        "leaves a drain no pod to take: nodes could not be emptied",
    ),
    "a rule between services": (
        lambda root: edit(root, f"{TREE}/dev/api/values.yaml", "callers: {web: true}", "callers: {}"),
        f"{WEB}/values.yaml",
        "dependencies.services.api",
        "is called, but api does not let web in",
    ),
    "a difference without a reason": (
        lambda root: edit(root, f"{TREE}/prod/worker/values.yaml", "stopSeconds: 60", "stopSeconds: 61"),
        f"{TREE}/prod/worker/values.yaml",
        "service.stopSeconds",
        "differs from dev, and the contract gives no reason for it to vary",
    ),
    "a value twice": (
        lambda root: edit(root, f"{WEB}/values.yaml", "tier: standard", "tier: standard\ntier: lite"),
        f"{WEB}/values.yaml",
        "tier",
        "stands twice",
    ),
    "a list for a map": (
        lambda root: (root / WEB / "version.yaml").write_text("- 1\n"),
        f"{WEB}/version.yaml",
        "",
        "is not a map",
    ),
    "nothing": (lambda root: (root / WEB / "values.yaml").write_text(""), f"{WEB}/values.yaml", "", "is empty"),
    "bytes": (
        lambda root: (root / WEB / "values.yaml").write_bytes(b"a: \xff\n"),
        f"{WEB}/values.yaml",
        "",
        "is not text",
    ),
    "five megabytes": (_large, f"{WEB}/values.yaml", "", "is too large"),
    "a link for a file": (_link, f"{WEB}/values.yaml", "", "is a symbolic link"),
    "a link for a folder": (_folder_link, f"{TREE}/dev/other", "", "is a symbolic link"),
    "Argo CD's overrides in a service": (
        lambda root: (root / WEB / ".argocd-source-dev-web.yaml").write_text("helm: {}\n"),
        f"{WEB}/.argocd-source-dev-web.yaml",
        "",
        "overrides what the files say: Argo CD would read parameters, the digest included, from it",
    ),
    "Argo CD's overrides in the chart": (
        lambda root: (root / "gitops/chart/.argocd-source.yaml").write_text("helm: {}\n"),
        "gitops/chart/.argocd-source.yaml",
        "",
        "overrides what the files say: Argo CD would read parameters, the digest included, from it",
    ),
    "a further file": (
        lambda root: (root / WEB / "values.prod.yaml").write_text("a: 1\n"),
        f"{WEB}/values.prod.yaml",
        "",
        "is not part of an overlay",
    ),
    "a file for a service": (
        lambda root: (root / TREE / "dev" / "notes.txt").write_text("x"),
        f"{TREE}/dev/notes.txt",
        "",
        "is a file where a service is expected",
    ),
    "an environment without a service": (
        lambda root: (root / TREE / "qa").mkdir(),
        f"{TREE}/qa",
        "",
        "is an environment without a service",
    ),
    "a name that is none": (
        lambda root: (root / TREE / "dev" / "Web_2").mkdir(),
        f"{TREE}/dev/Web_2",
        "",
        "is not the name of a service",
    ),
    "a reserved name": (
        lambda root: shutil.copytree(root / WEB, root / TREE / "dev" / "secret-reader"),
        f"{TREE}/dev/secret-reader",
        "",
        "is a reserved name",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_tree_is_refused_where_it_is_bad(copy: Path, name: str) -> None:
    spoil, file, path, message = BAD[name]
    spoil(copy)
    found = problems(copy)
    assert (file, path, message) in [(each.file, each.path, each.message) for each in found]
    assert all(each.found or each.accepted for each in found)


def test_a_problem_names_the_line_what_stands_there_and_an_example(copy: Path) -> None:
    line = edit(copy, f"{TREE}/prod/api/values.yaml", "cpu: 250m", "cpu: 4 cores")
    (found,) = problems(copy)
    assert (found.line, found.path) == (line, "scale.resources.requests.cpu")
    assert (found.found, "quantity" in found.accepted, found.example) == ('"4 cores"', True, "cpu: 500m")


def test_every_problem_is_in_one_report(copy: Path) -> None:
    edit(copy, f"{WEB}/values.yaml", "tier: standard", "tier: fast")
    edit(copy, f"{TREE}/prod/api/values.yaml", "cpu: 250m", "cpu: 4 cores")
    (copy / TREE / "staging" / "worker" / "version.yaml").unlink()
    assert [each.file for each in problems(copy)] == [
        f"{WEB}/values.yaml",
        f"{TREE}/prod/api/values.yaml",
        f"{TREE}/staging/worker/version.yaml",
    ]


def test_a_tree_that_is_not_there_is_told(tmp_path: Path) -> None:
    (found,) = problems(tmp_path)
    assert (found.file, found.message) == (TREE, "is not there")


def test_an_unreadable_file_is_told(copy: Path) -> None:
    target = copy / WEB / "values.yaml"
    target.unlink()
    target.mkdir()
    assert any(each.file == f"{WEB}/values.yaml" and each.message == "cannot be read" for each in problems(copy))


def test_reading_follows_no_link(copy: Path) -> None:
    """A fifo or a device behind a link would hang or leak; nothing behind one is opened."""
    os.mkfifo(copy / "fifo")
    (copy / WEB / "values.yaml").unlink()
    (copy / WEB / "values.yaml").symlink_to(copy / "fifo")
    assert [each.message for each in problems(copy)] == ["is a symbolic link"]


def test_a_joined_rule_speaks_with_its_line(copy: Path) -> None:
    line = (
        edit(
            copy,
            f"{TREE}/dev/worker/values.yaml",
            "owner: api\n      image: ghcr.io/acme/mirror/redis",
            "owner: web\n      image: ghcr.io/acme/mirror/redis",
        )
        + 0
    )
    found = [each for each in problems(copy) if each.path == "dependencies.stores.cache"]
    assert [each.file for each in found] == [f"{TREE}/dev/worker/values.yaml"]
    assert 0 < line - found[0].line <= 2


def test_a_tree_says_where_its_chart_is(tmp_path: Path) -> None:
    assert Tree(tmp_path, Path(TREE), {}).chart == tmp_path / "gitops" / "chart"
