"""Rendering by stock Helm: sealed off, every refusal told where it can be mended, and held against what takes it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ladder import helm
from ladder.check.kubernetes_schemas import KubernetesSchemas
from ladder.check.rendering import permitted, release, rendering_problems
from ladder.errors import CheckFailed, InputError, Problem
from ladder.helm import Manifest, Release, _of_schema, environment, find, render, render_many
from ladder.strict_yaml import Document
from ladder.tree import Tree, read_tree
from sandbox.binaries import HELM
from sandbox.progress import Silent
from tests.conftest import Recordings
from tests.support import ROOT

CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {word: {{ .Values.word | quote }}}
"""
SCHEMA = """\
{"type": "object", "additionalProperties": false, "required": ["word"], "properties": {
  "word": {"type": "string"},
  "ports": {"type": "object", "properties": {"a/b": {"items": {"type": "integer", "minimum": 3}}}},
  "size": {"oneOf": [{"type": "integer"}, {"type": "object", "required": ["cpu"]}]},
  "digest": {"type": "string", "pattern": "^sha256:"}
}}
"""


class Steps(Silent):
    """Remembers how far things were."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.far: list[tuple[int, int]] = []

    def step(self, text: str, number: int = 0, steps: int = 0) -> None:
        self.steps.append(text)

    def advance(self, done: int, total: int) -> None:
        self.far.append((done, total))


class Toy:
    """A chart small enough to be wrong on purpose, and value files for it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.chart = root / "chart"
        (self.chart / "templates").mkdir(parents=True)
        (self.chart / "Chart.yaml").write_text("{apiVersion: v2, name: toy, version: 1.0.0}\n")
        (self.chart / "values.schema.json").write_text(SCHEMA)
        self.template("config.yaml", CONFIG_MAP)

    def template(self, name: str, text: str) -> None:
        (self.chart / "templates" / name).write_text(text)

    def release(self, values: str, version: str = "", name: str = "web") -> Release:
        folder = Path("envs") / name
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / folder / "values.yaml").write_text(values)
        (self.root / folder / "version.yaml").write_text(version or "digest: sha256:0\n")
        return Release(name, (folder / "values.yaml", folder / "version.yaml"), self.root)

    def render(self, values: str, version: str = "") -> tuple[Manifest, ...]:
        return render(find(Silent()), self.chart, self.release(values, version))

    def refusal(self, values: str, version: str = "") -> tuple[Problem, ...]:
        with pytest.raises(InputError) as refused:
            self.render(values, version)
        return refused.value.problems


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path / "a, project")


@pytest.fixture(scope="session")
def schemas() -> KubernetesSchemas:
    return KubernetesSchemas.load(Silent())


@pytest.fixture(scope="session")
def tree() -> Tree:
    return read_tree(ROOT, "gitops/envs")


@pytest.fixture
def spoiled(tree: Tree, tmp_path: Path) -> Callable[..., Tree]:
    """A copy of the tree with one more template in its chart, and with two services only."""

    def spoil(template: str) -> Tree:
        shutil.copytree(ROOT / "gitops", tmp_path / "gitops")
        (tmp_path / "gitops" / "chart" / "templates" / "more.yaml").write_text(template)
        services = {name: tree.environments["dev"][name] for name in ("web", "worker")}
        return Tree(tmp_path, tree.path, {"dev": services})

    return spoil


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_objects_come_with_the_template_that_made_them(toy: Toy) -> None:
    toy.template("a.yaml", "{{ if false }}x: 1{{ end }}\n# nothing but a comment\n")
    toy.template("b.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: one}\n---\nmetadata: {name: two}\n")
    made = toy.render("word: hello\n")
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}, "data": {"word": "hello"}}
    assert Manifest("templates/config.yaml", config) in made
    assert sorted(manifest.source for manifest in made) == [
        "templates/b.yaml",
        "templates/b.yaml",
        "templates/config.yaml",
    ]


def test_later_files_win(toy: Toy) -> None:
    (made,) = toy.render("word: hello\n", "word: again\n")
    assert made.document["data"] == {"word": "again"}


def test_the_users_helm_and_cluster_are_not_seen(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = tmp_path / "plugins" / "bad"
    plugin.mkdir(parents=True)
    (plugin / "plugin.yaml").write_text("not: [a plugin\n")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("apiVersion: v1\nkind: Config\ncontexts: [{name: x, context: {namespace: theirs}}]\n")
    for name, value in {
        "HELM_NAMESPACE": "theirs",
        "HELM_PLUGINS": str(plugin.parent),
        "HELM_KUBECONTEXT": "x",
        "KUBECONFIG": str(kubeconfig),
        "HELM_DEBUG": "true",
    }.items():
        monkeypatch.setenv(name, value)
    toy.template("config.yaml", "metadata: {name: {{ .Release.Namespace }}}\n")
    (made,) = toy.render("word: hello\n")
    assert made.document == {"metadata": {"name": "default"}}
    assert set(environment(tmp_path)) == {"PATH", "HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"}


def test_the_schemas_refusal_names_file_line_and_path(toy: Toy) -> None:
    (problem,) = toy.refusal("word: hello\nports:\n  a/b:\n    - 3\n    - 2\n")
    assert (problem.file, problem.line, problem.path) == ("envs/web/values.yaml", 5, "ports.a/b.1")
    assert problem.found == "2"
    assert "minimum" in problem.message


def test_what_the_second_file_says_is_told_there(toy: Toy) -> None:
    (problem,) = toy.refusal("word: hello\n", "\ndigest: latest\n")
    assert (problem.file, problem.line, problem.path) == ("envs/web/version.yaml", 2, "digest")


def test_every_refusal_is_told_in_the_order_of_the_files(toy: Toy) -> None:
    problems = toy.refusal("wrod: hello\nsize: {memory: 1}\nports:\n  a/b: [1, x]\n", "digest: latest\n")
    assert [(problem.file.rpartition("/")[2], problem.line, problem.path) for problem in problems] == [
        ("values.yaml", 1, ""),
        ("values.yaml", 1, ""),
        ("values.yaml", 2, "size"),
        ("values.yaml", 4, "ports.a/b.0"),
        ("values.yaml", 4, "ports.a/b.1"),
        ("version.yaml", 1, "digest"),
    ]
    assert "wrod" in problems[0].message
    assert "word" in problems[1].message
    assert "want integer" in problems[2].message
    assert "cpu" in problems[2].message


def test_a_templates_fail_is_told_where_the_values_stand(toy: Toy) -> None:
    toy.template("_names.tpl", '{{ define "name" }}{{ fail "ports.a/b: two ports at least" }}{{ end }}')
    toy.template("b.yaml", 'name: {{ include "name" . }}')
    (problem,) = toy.refusal("word: hello\nports:\n  a/b: [80]\n")
    assert (problem.file, problem.line, problem.path) == ("envs/web/values.yaml", 3, "ports.a/b")
    assert problem.message == "two ports at least (chart/templates/b.yaml refuses it)"
    assert problem.found == "[80]"


def test_a_fail_that_names_no_path_is_told_of_the_file(toy: Toy) -> None:
    toy.template("b.yaml", '{{ fail "not today: no" }}')
    (problem,) = toy.refusal("word: hello\n")
    assert (problem.file, problem.path) == ("envs/web/values.yaml", "")
    assert problem.message.startswith("not today: no")


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("a: 1\nb: {{ .Values.none.deep }}\n", "nil pointer"),
        ("a: 1\nb: {{ .Values.word | shout }}\n", "shout"),
        ("a: 1\nb: {{ index .Values.word 70 }}\n", "index out of range"),
    ],
)
def test_a_wrong_template_is_named_with_its_line(template: str, why: str, toy: Toy) -> None:
    toy.template("b.yaml", template)
    (problem,) = toy.refusal("word: hello\n")
    assert (problem.file, problem.line) == ("chart/templates/b.yaml", 2)
    assert why in problem.found
    assert "envs/web/values.yaml" in problem.found


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "a: yes\n", "a: &x 1\nb: *x\n"])
def test_output_that_parsers_read_differently_is_refused(text: str, toy: Toy) -> None:
    toy.template("b.yaml", text)
    problem, *_ = toy.refusal("word: hello\n")
    assert problem.file == "templates/b.yaml, rendered for envs/web/values.yaml"


def test_values_that_are_not_yaml_are_told_by_the_strict_reader(toy: Toy) -> None:
    (problem,) = toy.refusal("word: hello\nports: [\n")
    assert (problem.file, problem.message) == ("envs/web/values.yaml", "is not YAML")


def test_helm_that_cannot_work_is_a_failed_check(toy: Toy) -> None:
    with pytest.raises(CheckFailed, match=r"helm template web: .*not found"):
        render(find(Silent()), toy.root / "none", toy.release("word: hello\n"))


def test_a_chart_that_never_ends_is_given_up(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helm, "_SECONDS", 0.2)
    slow = executable(tmp_path / "helm", "exec sleep 60")
    with pytest.raises(CheckFailed, match=r"took more than 0\.2 s"):
        render(slow, toy.chart, toy.release("word: hello\n"))


@pytest.mark.parametrize(("says", "taken"), [("{pin}", True), ("{pin}+g1a2b3c", True), ("v3.19.0", False)])
def test_helm_on_path_is_taken_in_the_pinned_version_only(
    says: str, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = executable(tmp_path / "bin" / "helm", f"echo {says.format(pin=HELM.version)}")
    monkeypatch.setenv("PATH", str(own.parent))
    built = tmp_path / "built"
    monkeypatch.setattr(helm, "ensure", lambda progress, targets: {target.name: built for target in targets})
    assert find(Silent()) == (own if taken else built)


def test_many_are_rendered_at_once_in_their_order_and_the_refused_beside_the_good(toy: Toy, tmp_path: Path) -> None:
    """The stand-in for Helm answers only when two of it run."""
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    waits = (
        f'touch "{meeting}/$$"\n'
        f'for _ in $(seq 400); do set -- "$2" "{meeting}"/*; [ $# -gt 2 ] && break; sleep 0.05; done\n'
        '[ $# -gt 2 ] || exit 1\necho "a: 1"'
    )
    releases = [toy.release("word: hello\n", name=f"s{number}") for number in range(4)]
    both = list(render_many(executable(tmp_path / "helm", waits), toy.chart, releases, Silent(), jobs=2))
    assert [made for _, made in both] == [(Manifest("", {"a": 1}),)] * 4
    steps = Steps()
    releases[1] = toy.release("wrod: hello\n", name="s1")
    pairs = list(render_many(find(Silent()), toy.chart, releases, steps))
    assert [one.name for one, _ in pairs] == ["s0", "s1", "s2", "s3"]
    assert [isinstance(made, InputError) for _, made in pairs] == [False, True, False, False]
    assert steps.far == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_every_overlay_renders_to_what_the_cluster_and_its_project_take(
    tree: Tree, schemas: KubernetesSchemas, recordings: Recordings
) -> None:
    kinds = {stack: permitted(recordings[stack], f"ladder-{stack}") for stack in ("dev", "staging", "prod")}
    kinds["preview"] = permitted(recordings["dev"], "ladder-dev-previews")
    assert all(kinds.values())
    assert set(kinds) == set(tree.environments)
    assert rendering_problems(tree, schemas, Silent(), kinds=kinds) == []


def test_a_release_is_what_argo_cd_makes_of_the_service(tree: Tree) -> None:
    service = tree.environments["prod"]["api"]
    folder = Path("gitops/envs/prod/api")
    assert release(tree, service) == Release("api", (folder / "values.yaml", folder / "version.yaml"), ROOT)


def test_an_unknown_field_is_told_with_overlay_template_object_and_path(
    spoiled: Callable[..., Tree], schemas: KubernetesSchemas
) -> None:
    tree = spoiled(
        "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}-more}\n"
        "spec: {ports: [{port: 80, targetport: 8080}]}\n"
    )
    problems = rendering_problems(tree, schemas, Silent())
    assert [problem.file for problem in problems] == ["gitops/envs/dev/web", "gitops/envs/dev/worker"]
    assert problems[0].path == "spec.ports.0.targetport"
    assert problems[0].message == "is an unknown field of Service web-more (templates/more.yaml)"
    assert problems[0].example == "did you mean targetPort?"


def test_a_template_that_fails_for_every_service_is_one_problem(
    spoiled: Callable[..., Tree], schemas: KubernetesSchemas
) -> None:
    (problem,) = rendering_problems(spoiled("a: {{ .Values.none.deep }}\n"), schemas, Silent())
    assert (problem.file, problem.line) == ("gitops/chart/templates/more.yaml", 1)


def test_a_kind_that_the_project_does_not_let_in_is_refused(
    spoiled: Callable[..., Tree], schemas: KubernetesSchemas, recordings: Recordings
) -> None:
    tree = spoiled("apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .Release.Name }}}\n")
    kinds = {"dev": permitted(recordings["dev"], "ladder-dev")}
    problem, _ = rendering_problems(tree, schemas, Silent(), kinds=kinds)
    assert problem.message.startswith("Secret web (templates/more.yaml) is of a kind")
    assert "ConfigMap" in problem.accepted
    assert rendering_problems(tree, schemas, Silent(), kinds={"prod": ()}) == []


def test_a_namespace_in_a_template_is_refused(spoiled: Callable[..., Tree], schemas: KubernetesSchemas) -> None:
    tree = spoiled("apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .Release.Name }}, namespace: other}\n")
    problem, _ = rendering_problems(tree, schemas, Silent())
    assert (problem.path, problem.found) == ("metadata.namespace", "other")


def test_an_object_that_two_services_render_is_refused(
    spoiled: Callable[..., Tree], schemas: KubernetesSchemas
) -> None:
    (problem,) = rendering_problems(
        spoiled("apiVersion: v1\nkind: Secret\nmetadata: {name: shared}\n"), schemas, Silent()
    )
    assert problem.file == "gitops/envs/dev/worker"
    assert problem.found == "also by gitops/envs/dev/web (templates/more.yaml)"


def test_nothing_more_is_rendered_once_nobody_waits_for_it(toy: Toy, tmp_path: Path) -> None:
    counted = executable(tmp_path / "helm", f'echo x >> "{tmp_path}/runs"\necho "a: 1"')
    releases = [toy.release("word: hello\n", name=f"s{number}") for number in range(100)]
    rendered = render_many(counted, toy.chart, releases, Silent(), jobs=1)
    next(rendered)
    rendered.close()
    assert len((tmp_path / "runs").read_text().splitlines()) < 50


def test_why_alternatives_failed_ends_where_the_next_refusal_begins() -> None:
    """Helm tells refusals in any order, and groups those of a list one level deeper."""
    said = (
        "- at '/size': 'oneOf' failed, none matched\n"
        "  - at '/size': got object, want integer\n"
        "  - at '/size': missing property 'cpu'\n"
        "- at '/ports/a~1b': validation failed\n"
        "  - at '/ports/a~1b/0': minimum: got 1, want 3\n"
    )
    document = Document(file="values.yaml", value={"size": {}, "ports": {"a/b": [1]}}, lines={})
    first, second = _of_schema(said, [document])
    assert (first.path, second.path) == ("size", "ports.a/b.0")
    assert "want integer; missing property 'cpu'" in first.message
