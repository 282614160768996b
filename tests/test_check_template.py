"""Go templates as ApplicationSets use them: run as Go runs them, refused where Go refuses or this reader ends."""

import json
from pathlib import Path
from typing import Any

import pytest

from ladder.check.template import BadSyntax, NotUnderstood, TemplateError, render, render_all, syntax
from ladder.helm import Release, find
from ladder.helm import render as render_chart
from sandbox.progress import Silent

VALUES: dict[str, Any] = {
    "name": "web",
    "empty": "",
    "on": True,
    "path": {"path": "gitops/envs/dev/web", "basename": "web"},
    "services": [{"name": "web", "digest": "sha256:1"}, {"name": "api", "digest": "<&>"}],
    "labels": {"b": "2", "a": "1"},
    "none": [],
}
RENDERED = {
    "plain {text}": "plain {text}",
    "{{.name}}-{{ .path.basename }}": "web-web",
    "a {{- .name -}} b": "awebb",
    "{{ .services | toJson }}": '[{"digest":"sha256:1","name":"web"},{"digest":"\\u003c\\u0026\\u003e","name":"api"}]',
    '{{ printf "$values/%s/%s.yaml" .path.path .name | toJson }}': '"$values/gitops/envs/dev/web/web.yaml"',
    "{{ range .services }}[{{ .name }} of {{ $.name }}]{{ end }}": "[web of web][api of web]",
    "{{ range $index, $each := .services }}{{ $index }}={{ $each.name }};{{ end }}": "0=web;1=api;",
    "{{ range $key, $value := .labels }}{{ $key }}{{ $value }}{{ end }}": "a1b2",
    "{{ range .none }}x{{ else }}nothing{{ end }}": "nothing",
    "{{ if .on }}yes{{ else }}no{{ end }}{{ if .empty }}yes{{ end }}": "yes",
    '{{ if eq .name "api" "web" }}one of them{{ end }}': "one of them",
    "{{ with .path }}{{ .basename }}{{ end }}": "web",
    "{{ with .empty }}x{{ else }}{{ .name }}{{ end }}": "web",
    "{{ $short := .path.basename }}{{ $short }}": "web",
    '{{ (printf "%s!" .name) | lower }}': "web!",
    '{{ default "none" .empty }}{{ .empty | default "x" }}': "nonex",
    "{{/* not shown: {{ }} */}}{{ `raw }}` }}": "raw }}",
    '{{ "a\\"}}b" }}': 'a"}}b',
    "{{ not .on }}": "false",
}
REFUSED = {
    "{{ .name": BadSyntax,
    "{{ end }}": BadSyntax,
    "{{ if .on }}": BadSyntax,
    "{{ if .on }}{{ else }}{{ else }}{{ end }}": BadSyntax,
    "{{ }}": BadSyntax,
    "{{ .name | }}": BadSyntax,
    "{{ .name .path }}": BadSyntax,
    "{{ (.name }}": BadSyntax,
    "{{ 'web' }}": BadSyntax,
    '{{ .name | "text" }}': BadSyntax,
    "{{ .nam }}": TemplateError,
    "{{ .name.first }}": TemplateError,
    "{{ .path.folder }}": TemplateError,
    "{{ range .services }}{{ .chart }}{{ end }}": TemplateError,
    "{{ $unknown }}": TemplateError,
    '{{ printf "%s" .services }}': TemplateError,
    '{{ printf "%s" }}': TemplateError,
    "{{ range .name }}{{ end }}": TemplateError,
    "{{ getHostByName .name }}": NotUnderstood,
    '{{ printf "%d" .name }}': NotUnderstood,
    "{{ .services }}": NotUnderstood,
    '{{ template "x" }}': NotUnderstood,
    "{{ if .on }}{{ else if .empty }}{{ end }}": NotUnderstood,
}


@pytest.mark.parametrize("text", RENDERED)
def test_a_template_renders_as_go_renders_it(text: str) -> None:
    assert render(text, VALUES) == RENDERED[text]


@pytest.mark.exhaustive
def test_helms_own_engine_renders_the_same(tmp_path: Path) -> None:
    """Helm's templates are Go's with the same functions: an oracle for what is read here."""
    (tmp_path / "chart/templates").mkdir(parents=True)
    (tmp_path / "chart/Chart.yaml").write_text("apiVersion: v2\nname: oracle\nversion: 1.0.0\n", encoding="utf-8")
    texts = [text.replace("$.", "$.Values.") for text in RENDERED]
    data = "".join(f"  t{at}: {{{{ tpl .Values.templates.t{at} . | toJson }}}}\n" for at in range(len(texts)))
    template = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: made}}\ndata:\n{data}"
    (tmp_path / "chart/templates/made.yaml").write_text(template, encoding="utf-8")
    values = {
        **VALUES,
        "templates": {f"t{at}": f"{{{{ with .Values }}}}{text}{{{{ end }}}}" for at, text in enumerate(texts)},
    }
    (tmp_path / "values.yaml").write_text(json.dumps(values), encoding="utf-8")
    release = Release("oracle", (Path("values.yaml"),), tmp_path)
    (made,) = render_chart(find(Silent()), tmp_path / "chart", release)
    assert list(made.document["data"].values()) == list(RENDERED.values())


@pytest.mark.parametrize("text", REFUSED)
def test_what_go_or_this_reader_does_not_take_is_refused(text: str) -> None:
    with pytest.raises(TemplateError) as raised:
        render(text, VALUES)
    assert type(raised.value) is REFUSED[text]
    assert str(raised.value)


def test_a_value_is_rendered_whole_and_a_refusal_names_its_place() -> None:
    assert render_all({"{{.name}}": ["{{.path.path}}", 1, True]}, VALUES) == {"web": ["gitops/envs/dev/web", 1, True]}
    with pytest.raises(TemplateError) as raised:
        render_all({"sources": ["plain", {"path": "{{.nowhere}}"}]}, VALUES)
    assert raised.value.path == ("sources", 1, "path")


def test_syntax_is_seen_where_nothing_runs_it() -> None:
    value = {"metadata": {"name": "{{ if .never }}{{ .x }}"}, "spec": ["{{.fine}}", "{{ .broken"]}
    assert [path for path, _ in syntax(value)] == [("metadata", "name"), ("spec", 1)]
