"""The chart as an artifact: one digest wherever and whenever it is packaged, and where it may be pushed."""

from __future__ import annotations

import gzip
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from ladder.chart import digest, name_of, package, push
from ladder.errors import CheckFailed, InputError
from ladder.helm import find
from ladder.tree import read_tree
from sandbox.progress import Silent
from tests.support import ROOT, command, run_ladder

with_helm = pytest.mark.servers  # may have to build Helm first, as the real servers are
FILES = {
    "Chart.yaml": "apiVersion: v2\nname: tiny\nversion: 1.2.3\ndescription: for a test\n",
    "values.yaml": "image: {}\n",
    "values.schema.json": '{"type": "object"}\n',
    "templates/b.yaml": 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "{{ .Release.Name }}-b"}\n',
    "templates/a.yaml": 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: "{{ .Release.Name }}-a"}\n',
    "templates/_names.tpl": '{{- define "tiny.name" }}tiny{{ end }}\n',
    ".helmignore": "*.md\n",
}


@pytest.fixture(scope="module")
def helm() -> Path:
    return find(Silent())


def write_chart(directory: Path, names: list[str] | None = None) -> Path:
    for name in names or list(FILES):
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES[name])
    return directory


def digest_of(helm: Path, chart: Path, scratch: Path) -> str:
    scratch.mkdir()
    return digest(helm, package(helm, chart, scratch), name_of(chart, root=chart.parent), Silent())


@with_helm
def test_copies_of_one_chart_have_one_digest(tmp_path: Path, helm: Path) -> None:
    first = write_chart(tmp_path / "first")
    before = os.umask(0o077)
    try:
        second = write_chart(tmp_path / "elsewhere" / "second", sorted(FILES, reverse=True))
        for number, path in enumerate(sorted(second.rglob("*"))):
            os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
            path.chmod(0o700)
        theirs = digest_of(helm, second, tmp_path / "two")
    finally:
        os.umask(before)
    assert digest_of(helm, first, tmp_path / "one") == theirs
    archives = [next((tmp_path / name).iterdir()).read_bytes() for name in ("one", "two")]
    assert archives[0] == archives[1]


@with_helm
@pytest.mark.parametrize("size", [1, 65_535, 65_536, 200_000])
def test_nothing_of_a_compressor_is_in_the_archive(tmp_path: Path, helm: Path, size: int) -> None:
    """Versions of Go compress differently: the same Helm, built by another, must give the same bytes."""
    chart = write_chart(tmp_path / "chart")
    (chart / "text").write_text("x" * size)
    archive = package(helm, chart, tmp_path)
    content = gzip.decompress(archive.read_bytes())
    blocks = -(-len(content) // 65_535)
    assert archive.stat().st_size == len(content) + 10 + 5 * blocks + 8
    with tarfile.open(archive) as files:
        assert {Path(member.name).name for member in files} == {*(Path(name).name for name in FILES), "text"}
        assert {member.mtime for member in files} == {0}
    again = package(helm, archive_of(archive, tmp_path / "unpacked"), tmp_path / "again")
    assert again.read_bytes() == archive.read_bytes()


def archive_of(archive: Path, directory: Path) -> Path:
    """The chart that is in the archive, as a folder."""
    with tarfile.open(archive) as files:
        files.extractall(directory, filter="data")
    return directory / "tiny"


@with_helm
def test_time_zone_of_the_machine_is_not_in_the_digest(tmp_path: Path, helm: Path) -> None:
    chart = write_chart(tmp_path / "chart")
    (tmp_path / "Pulumi.yaml").touch()
    said = [
        subprocess.run(
            command("chart", "chart"),
            env={**os.environ, "LADDER_ROOT": str(tmp_path), "TZ": zone, "SOURCE_DATE_EPOCH": "1234567890"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for zone in ("Pacific/Auckland", "America/New_York")
    ]
    assert said == [digest_of(helm, chart, tmp_path / "here")] * 2


@with_helm
@pytest.mark.parametrize("name", sorted(FILES.keys() - {".helmignore"}))
def test_every_change_of_the_chart_changes_the_digest(tmp_path: Path, helm: Path, name: str) -> None:
    chart = write_chart(tmp_path / "chart")
    before = digest_of(helm, chart, tmp_path / "before")
    added = {"Chart.yaml": "appVersion: '2'\n", "values.schema.json": " "}.get(name, "# changed\n")
    (chart / name).write_text(FILES[name] + added)
    assert digest_of(helm, chart, tmp_path / "after") != before


@with_helm
def test_what_helm_refuses_is_told_in_its_words(tmp_path: Path, helm: Path) -> None:
    chart = write_chart(tmp_path / "chart")
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: not a version\n")
    with pytest.raises(CheckFailed, match=r"helm package: .*version"):
        package(helm, chart, tmp_path)


@pytest.mark.parametrize("content", [None, "apiVersion: v2\n", "- name\n", "name: 3\n"])
def test_chart_without_a_name_is_told_with_its_file(tmp_path: Path, content: str | None) -> None:
    chart = write_chart(tmp_path / "chart")
    (chart / "Chart.yaml").unlink()
    if content is not None:
        (chart / "Chart.yaml").write_text(content)
    with pytest.raises(InputError) as refused:
        name_of(chart, root=tmp_path)
    assert [problem.file for problem in refused.value.problems] == ["chart/Chart.yaml"]


@pytest.mark.parametrize(
    ("repository", "plain_http"),
    [
        ("https://ghcr.io/acme/tiny", False),
        ("oci://ghcr.io", False),
        ("oci://ghcr.io/acme/other", False),
        ("oci://ghcr.io/acme/tiny:1.2.3", False),
        ("oci://ghcr.io/acme/tiny", True),
        ("oci://127.0.0.1.example.com:5000/tiny", True),
    ],
)
def test_repository_that_cannot_be_meant_is_refused_before_anything_is_sent(
    tmp_path: Path, repository: str, plain_http: bool
) -> None:
    nothing = tmp_path / "helm"
    nothing.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    nothing.chmod(0o755)
    with pytest.raises(InputError, match="--push") as refused:
        push(nothing, tmp_path / "tiny-1.2.3.tgz", repository, plain_http=plain_http)
    assert refused.value.problems[0].found == repository
    assert not list(tmp_path.glob("called"))


def test_folder_without_a_chart_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.yaml").touch()
    monkeypatch.setenv("LADDER_ROOT", str(tmp_path))
    outcome = run_ladder(capsys, "chart", "no/such")
    assert (outcome.code, outcome.out) == (2, "")
    assert "no/such/Chart.yaml: not found" in outcome.err


@with_helm
def test_the_shipped_tree_pins_the_chart_beside_it(tmp_path: Path, helm: Path) -> None:
    """Whoever clones the project can publish what its tree asks for."""
    tree = read_tree(ROOT, "gitops/envs")
    made = digest(helm, package(helm, tree.chart, tmp_path), name_of(tree.chart, root=ROOT), Silent())
    assert {service.version.chart.digest for service in tree.services()} == {made}
