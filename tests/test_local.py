"""``ladder local``: whose values and digests it takes, what it writes, and what it says of bad input."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ladder.contract import ladder_settings
from ladder.errors import InputError
from ladder.local import plan
from ladder.strict_yaml import load
from tests.support import ROOT, Outcome, copy_project, run_ladder

ENVS = Path("gitops/envs")


@dataclass(frozen=True)
class Laptop:
    """A copy of the project, the source of web beside it, and the verb run there."""

    root: Path
    capsys: pytest.CaptureFixture[str]

    def run(self, *options: str) -> Outcome:
        return run_ladder(self.capsys, "local", *options)

    def services(self, file: str = "compose.yaml") -> dict[str, Any]:
        return yaml.safe_load((self.root / file).read_text(encoding="utf-8"))["services"]

    def edit(self, file: Path, old: str, new: str) -> None:
        text = (self.root / file).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (self.root / file).write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def laptop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Laptop:
    root = tmp_path / "project"
    root.mkdir()
    copy_project(root)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "Dockerfile").touch()
    monkeypatch.delenv("LADDER_ROOT", raising=False)
    monkeypatch.chdir(root)
    return Laptop(root, capsys)


def digest(root: Path, environment: str, service: str) -> str:
    return load(root / ENVS / environment / service / "version.yaml").value["image"]["digest"]


def test_values_are_those_of_tier_lite_and_digests_those_of_the_lowest_stack(laptop: Laptop) -> None:
    old, new = digest(laptop.root, "dev", "web"), f"sha256:{'1' * 64}"
    laptop.edit(ENVS / "dev" / "web" / "version.yaml", old, new)
    assert laptop.run().code == 0
    web = laptop.services()["web"]
    assert web["image"] == f"ghcr.io/acme/shop/web@{new}"
    assert "BUCKET_UPLOADS" in web["environment"]
    assert web["environment"]["AWS_ENDPOINT_URL_S3"] == "http://api-objects:8333"


def test_the_environment_is_known_by_its_tier_and_not_by_its_name(laptop: Laptop) -> None:
    before = laptop.run("--out", "-").out
    (laptop.root / ENVS / "preview").rename(laptop.root / ENVS / "throwaway")
    laptop.edit(ENVS / "throwaway" / "api" / "values.yaml", "environment: preview", "environment: throwaway")
    after = laptop.run("--out", "-").out
    assert after == before.replace("gitops/envs/preview", "gitops/envs/throwaway")


def test_the_lowest_stack_is_known_by_its_rung_and_not_by_its_name(laptop: Laptop) -> None:
    """Where there is no dev, staging is the lowest."""
    (laptop.root / "Pulumi.dev.yaml").unlink()
    new = f"sha256:{'2' * 64}"
    laptop.edit(ENVS / "staging" / "api" / "version.yaml", digest(laptop.root, "staging", "api"), new)
    assert plan(laptop.root).digests["api"] == new


def test_the_file_says_what_it_is_made_of_and_how_to_make_it_anew(laptop: Laptop) -> None:
    said = laptop.run("--services", "web", "--edit", "web=../web", "--out", "out/compose.yaml")
    assert (said.code, said.err) == (0, "")
    text = (laptop.root / "out" / "compose.yaml").read_text(encoding="utf-8")
    header = text.partition("\nname:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    assert "Values: gitops/envs/preview (tier lite). Images: the digests of gitops/envs/dev." in header
    assert "ladder local --services=web --edit=web=../../web --out=compose.yaml" in header
    (port,) = [
        port["published"] for port in laptop.services("out/compose.yaml")["web"]["ports"] if port["name"] == "http"
    ]
    assert f"web  http     127.0.0.1:{port}" in header
    assert str(laptop.root) not in text


def test_the_command_in_the_file_makes_the_same_file(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    laptop.run("--services", "worker", "--edit", "web=../web", "--environment", "preview", "--out", "out/compose.yaml")
    file = laptop.root / "out" / "compose.yaml"
    text = file.read_text(encoding="utf-8")
    (again,) = [line for line in text.splitlines() if "ladder local --" in line]
    monkeypatch.chdir(file.parent)
    file.write_text(text.replace("127.0.0.1", "0.0.0.0"), encoding="utf-8")  # noqa: S104 - to see it replaced
    assert laptop.run(*again.partition("ladder local ")[2].split()).code == 0
    assert file.read_text(encoding="utf-8") == text


def test_what_runs_though_it_was_not_chosen_is_said(laptop: Laptop) -> None:
    said = laptop.run("--services", "web")
    assert "api runs too: web calls it" in said.out
    assert "worker" not in said.out
    assert "wrote compose.yaml; start it with  docker compose -f compose.yaml up\n" in said.out
    assert set(laptop.services()) == {"web", "api", "api-database", "api-cache", "api-objects"}


def test_an_edited_service_is_built_and_runs_though_it_was_not_chosen(laptop: Laptop) -> None:
    said = laptop.run("--services", "worker", "--edit", "web=../web")
    assert "up --watch\n" in said.out
    assert laptop.services()["web"]["build"] == {"context": "../web"}
    assert "image" in laptop.services()["worker"]


def test_the_report_is_json_where_json_is_asked_for(laptop: Laptop) -> None:
    said = laptop.run("--services", "web", "--format", "json")
    report = json.loads(said.out)
    assert (report["file"], report["values"], report["images"]) == (
        "compose.yaml",
        "gitops/envs/preview",
        "gitops/envs/dev",
    )
    assert (report["services"], report["alongside"], report["built"]) == (["api", "web"], {"api": ["web"]}, [])
    for address in report["addresses"]:
        ports = laptop.services()[address["service"]]["ports"]
        assert (
            f"127.0.0.1:{next(port['published'] for port in ports if port['name'] == address['port'])}"
            == (address["address"])
        )


def test_on_standard_output_there_is_the_file_and_nothing_else(laptop: Laptop) -> None:
    laptop.run()
    said = laptop.run("--out", "-")
    written = (laptop.root / "compose.yaml").read_text(encoding="utf-8")
    assert said.out == written.replace("--out=compose.yaml", "--out=-")
    assert "web  http  http://127.0.0.1:" in said.err


@pytest.mark.parametrize("there", ["another file", "a directory"])
def test_a_file_that_it_did_not_make_is_left_alone(there: str, laptop: Laptop) -> None:
    path = laptop.root / "compose.yaml"
    if there == "a directory":
        path.mkdir()
    else:
        path.write_text("services: {}\n", encoding="utf-8")
    said = laptop.run()
    assert (said.code, said.out) == (2, "")
    assert "compose.yaml: is there, and was not made by ladder local" in said.err
    assert f"found: {there}" in said.err
    assert path.is_dir() or path.read_text(encoding="utf-8") == "services: {}\n"


@pytest.mark.parametrize(
    ("options", "says", "found", "example"),
    [
        (("--services", "wbe"), "--services: is no service", "wbe", "web"),
        (("--services", "web,"), "--services: is no service", "nothing", ""),
        (("--services", ""), "--services: is no service", "nothing", ""),
        (("--edit", "wrker=../web"), "--edit: is no service", "wrker", "worker"),
        (("--edit", "web"), "--edit: names no directory", "web", "--edit web=../web"),
        (("--edit", "web="), "--edit: names no directory", "web=", "--edit web=../web"),
        (("--edit", "web=../nowhere"), "--edit: is no directory", "../nowhere", "--edit web=../web"),
        (("--edit", "web=Pulumi.yaml"), "--edit: is no directory", "Pulumi.yaml", "--edit web=../web"),
        (("--edit", "web=gitops"), "--edit: has no Dockerfile to build web from", "gitops", "--edit web=../web"),
        (("--edit=web=../web", "--edit=web=../web"), "--edit: is given twice", "web=../web", "--edit web=../web"),
        (("--environment", "prveiw"), "--environment: is no environment at tier lite", "prveiw", "preview"),
        (("--environment", "dev"), "--environment: is no environment at tier lite", "dev", ""),
    ],
)
def test_bad_input_names_what_is_accepted_and_writes_nothing(
    options: tuple[str, ...], says: str, found: str, example: str, laptop: Laptop
) -> None:
    said = laptop.run(*options, "--format", "json")
    assert (said.code, said.out) == (2, "")
    (problem,) = json.loads(said.err)["problems"]
    assert f"{problem['file']}: {problem['message']}" == says
    assert (problem["found"], problem["example"]) == (found, example)
    assert problem["accepted"]
    assert not (laptop.root / "compose.yaml").exists()


def test_every_problem_is_in_one_report(laptop: Laptop) -> None:
    with pytest.raises(InputError) as caught:
        plan(laptop.root, "wbe,api,wrker", ["web=../nowhere", "x=y"])
    assert len(caught.value.problems) == 4


def test_a_bad_overlay_is_told_with_its_file_and_line(laptop: Laptop) -> None:
    laptop.edit(ENVS / "preview" / "web" / "values.yaml", "stopSeconds: 30", "stopSecond: 30")
    said = laptop.run()
    assert said.code == 2
    assert "gitops/envs/preview/web/values.yaml:13: service.stopSecond: is an unknown key" in said.err


def test_none_or_several_environments_at_tier_lite_are_refused(laptop: Laptop) -> None:
    shutil.copytree(laptop.root / ENVS / "preview", laptop.root / ENVS / "another")
    laptop.edit(ENVS / "another" / "api" / "values.yaml", "environment: preview", "environment: another")
    for name in ("another", "preview"):
        values = laptop.root / ENVS / name / "web" / "values.yaml"
        values.write_text(values.read_text(encoding="utf-8").replace("shop.pr-0", f"shop.{name}"), encoding="utf-8")
    said = laptop.run()
    assert said.code == 2
    assert "gitops/envs: has several environments at tier lite" in said.err
    assert "found: another, preview" in said.err
    assert laptop.run("--environment", "another").code == 0
    for name in ("another", "preview"):
        shutil.rmtree(laptop.root / ENVS / name)
    said = laptop.run()
    assert said.code == 2
    assert "gitops/envs: has no environment at tier lite" in said.err
    assert "found: dev, prod, staging" in said.err


def test_a_service_without_a_digest_must_be_built(laptop: Laptop) -> None:
    shutil.rmtree(laptop.root / ENVS / "dev" / "worker")
    said = laptop.run()
    assert said.code == 2
    assert "gitops/envs/dev/worker/version.yaml: is not there, so that no digest is known" in said.err
    assert laptop.run("--services", "web").code == 0
    assert laptop.run("--edit", "worker=../web").code == 0


def test_the_tree_is_where_delivery_says_it_is() -> None:
    assert {settings.delivery.path for settings in ladder_settings(ROOT).values()} == {ENVS.as_posix()}
