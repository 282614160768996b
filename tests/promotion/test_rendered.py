"""A dry run shows what it would change of the manifests, each side with the chart that its digest is of."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ladder.chart import digest, name_of, package
from ladder.helm import find
from ladder.promotion.statements import name_of as candidate_of
from sandbox.progress import Silent
from tests.promotion.places import NEW, SERVICES, Place, report, soaked

pytestmark = pytest.mark.servers  # may have to build Helm first, as the real servers are

ROLLOUT = "gitops/chart/templates/rollout.yaml"
LIMIT, OTHER = "revisionHistoryLimit: 3", "revisionHistoryLimit: 5"
FOREIGN = "sha256:" + "f0" * 32


def edit(place: Place, path: str, old: str, new: str) -> None:
    file = place.root / path
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old} stands {text.count(old)} times in {path}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def packed(place: Place, scratch: Path) -> str:
    """The digest of the clone's chart."""
    chart, helm = place.root / "gitops/chart", find(Silent())
    return digest(helm, package(helm, chart, scratch), name_of(chart, root=place.root), Silent())


def pin_chart(place: Place, environment: str, wanted: str, *services: str) -> None:
    for service in services:
        path = f"gitops/envs/{environment}/{service}/version.yaml"
        held = yaml.safe_load((place.root / path).read_text())["chart"]["digest"]
        edit(place, path, held, wanted)


def dry_run(place: Place) -> Any:
    """What promoting what dev has to staging would change."""
    place.observe("dev", datetime.now(UTC))
    assert place.ladder("cut").code == 0
    place.git("fetch", "--quiet", "origin")
    name = candidate_of(place.versions("dev"))
    told = place.ladder("promote", name, "--to", "staging", "--dry-run", "--format", "json")
    assert (told.code, told.err) == (0, "")
    return json.loads(told.out)


def changed(diff: str) -> list[str]:
    """The lines that go and come, of all objects in their order."""
    return [line for line in diff.splitlines() if line[:1] in {"+", "-"} and not line.startswith(("+++ ", "--- "))]


def objects(diff: str) -> list[str]:
    return [line.removeprefix("+++ ") for line in diff.splitlines() if line.startswith("+++ ")]


def test_a_digest_is_all_that_changes_where_digests_are(place: Place) -> None:
    old = place.versions("prod")
    name = soaked(place)
    arguments = ("promote", name, "--to", "prod", "--load-report", str(report(place)), "--dry-run")
    told = place.ladder(*arguments)
    assert told.code == 0, told.err
    _, diff = told.out.split("\n\n")
    assert objects(diff) == [f"prod/{service} Rollout {service}" for service in SERVICES]
    images = [f"ghcr.io/acme/shop/{service}@" for service in SERVICES]
    expected = [
        line
        for service, image in zip(SERVICES, images, strict=True)
        for line in (f"-        image: {image}{old[service].image}", f"+        image: {image}{NEW[service]}")
    ]
    assert changed(diff) == expected
    assert place.ladder(*arguments, "--no-render").out == told.out.partition("\n\n")[0] + "\n"


def test_a_chart_that_enters_shows_what_its_templates_change(place: Place, tmp_path: Path) -> None:
    """Also where the chart was edited since."""
    edit(place, ROLLOUT, LIMIT, OTHER)
    pin_chart(place, "dev", packed(place, tmp_path), "web")
    place.keep("Another limit")
    edit(place, ROLLOUT, OTHER, "revisionHistoryLimit: 7")
    place.keep("One that nothing pins")
    said = dry_run(place)
    assert said["services"] == [{"name": "web", **place.versions("dev")["web"].model_dump()}]
    assert objects(said["diff"]) == ["staging/web Rollout web"]
    assert changed(said["diff"]) == [f"-  {LIMIT}", f"+  {OTHER}"]
    assert said["gates"]["revoked"]["green"] is True


def test_a_chart_is_what_a_merge_brought_and_not_a_commit_of_its_branch(place: Place, tmp_path: Path) -> None:
    place.git("checkout", "--quiet", "-b", "chart")
    edit(place, ROLLOUT, LIMIT, OTHER)
    entered = packed(place, tmp_path)
    edit(place, ROLLOUT, OTHER, LIMIT)
    pin_chart(place, "dev", entered, "web")
    place.git("commit", "--quiet", "--all", "--message", "The digest")
    edit(place, ROLLOUT, LIMIT, OTHER)
    place.git("commit", "--quiet", "--all", "--message", "The chart")
    place.git("checkout", "--quiet", "main")
    place.git("merge", "--quiet", "--no-ff", "--no-edit", "chart")
    edit(place, ROLLOUT, OTHER, "revisionHistoryLimit: 7")
    place.keep("One that nothing pins")
    assert changed(dry_run(place)["diff"]) == [f"-  {LIMIT}", f"+  {OTHER}"]


def test_an_object_that_a_chart_no_longer_has_goes_whole(place: Place, tmp_path: Path) -> None:
    (place.root / "gitops/chart/templates/networkpolicy.yaml").unlink()
    pin_chart(place, "dev", packed(place, tmp_path), "api")
    place.keep("No network policy")
    diff = dry_run(place)["diff"].splitlines()
    assert diff[:2] == ["--- staging/api NetworkPolicy api", "+++ /dev/null"]
    assert diff[3] == "-apiVersion: networking.k8s.io/v1"
    assert {line[0] for line in diff[3:]} == {"-"}


def test_a_chart_that_no_commit_brought_is_told(place: Place) -> None:
    """Both sides have the same chart then, and what differs is of the values."""
    pin_chart(place, "staging", FOREIGN, "web", "worker")
    place.build()
    said = dry_run(place)["diff"]
    told, *_ = said.splitlines()
    assert told.startswith(
        f"# web, worker: the chart {FOREIGN} came to dev in no commit; both sides have the chart of "
    )
    assert objects(said) == [f"staging/{service} Rollout {service}" for service in SERVICES]
    assert len(changed(said)) == 6


def test_a_chart_that_came_with_another_source_is_not_guessed(place: Place) -> None:
    pin_chart(place, "dev", FOREIGN, "web")
    place.build()
    said = dry_run(place)["diff"]
    told, *_ = said.splitlines()
    assert told.startswith(f"# web: could not be had: the chart {FOREIGN} came with ")
    assert "whose chart packs to sha256:" in told
    assert objects(said) == ["staging/api Rollout api", "staging/worker Rollout worker"]


def test_values_that_the_chart_to_come_refuses_are_told(place: Place, tmp_path: Path) -> None:
    edit(place, ROLLOUT, LIMIT, '{{ fail "scale.surge: is too small" }}')
    pin_chart(place, "dev", packed(place, tmp_path), "web")
    place.keep("A chart that asks for more")
    told, *_ = dry_run(place)["diff"].splitlines()
    assert told.startswith("# web: after it, the chart cannot be rendered: gitops/envs/staging/web/values.yaml:")
    assert "scale.surge: is too small" in told


def test_where_nothing_can_be_rendered_the_rest_is_shown(place: Place) -> None:
    (place.root / "gitops/chart/Chart.yaml").unlink()
    place.build()
    said = dry_run(place)
    assert [each["name"] for each in said["services"]] == [*SERVICES]
    assert said["diff"].startswith("# api, web, worker: could not be had: gitops/chart/Chart.yaml: not found")


def test_a_rollback_shows_its_manifests_too(place: Place) -> None:
    old = place.versions("prod")
    place.observe("prod", datetime.now(UTC))
    edit(place, "gitops/envs/prod/web/version.yaml", old["web"].image, NEW["web"])
    place.observe("prod", datetime.now(UTC))
    told = place.ladder("rollback", "--env", "prod", "--dry-run")
    assert told.code == 0, told.err
    assert objects(told.out) == ["prod/web Rollout web"]
    assert [line.rpartition("@")[2] for line in changed(told.out)] == [NEW["web"], old["web"].image]
