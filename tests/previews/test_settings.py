"""The plugin's settings: strict, every problem in one report, and secrets in files of their own."""

from __future__ import annotations

import json
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from ladder.contract.stack import TierLevel
from ladder.errors import InputError
from previews.__main__ import main
from previews.facts import Cost
from previews.settings import read
from tests.previews.plugins import World, written


def problems(file: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(file)
    return str(caught.value)


def test_bounds_follow_from_the_settings(world: World) -> None:
    bounds = read(written(world, limits__ttl="30m", limits__maxCount=5)).bounds()
    assert (bounds.ttl, bounds.max_age, bounds.max_count) == (timedelta(minutes=30), timedelta(days=14), 5)
    assert bounds.tiers[TierLevel.LITE] == Cost(Fraction(1, 2), Fraction(2**30))
    assert bounds.budget == Cost(Fraction(1440), Fraction(2880 * 2**30))
    assert bounds.repository == "127.0.0.1:9/acme/previews"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("limits__maxAge", "1h", "limits.maxAge: is shorter than ttl"),
        ("limits__ttl", "3 days", "limits.ttl: is not a Go duration"),
        ("limits__maxCount", 0, "limits.maxCount: is not accepted"),
        ("limits__maxCount", "20", "limits.maxCount: is not accepted"),
        ("limits__tiers", {}, "limits.tiers: is not accepted"),
        ("limits__tiers", {"full": {"cpu": "1", "memory": "1Gi"}}, "is not a key that is accepted here"),
        ("limits__budget", {"cpu": "100", "memory": "2880Gi"}, "does not hold one preview of tier standard for a ttl"),
        ("limits__host", "previews", "limits.host: does not have the required form"),
        ("keeping__stale", "40h", "keeping.stale: would outlast previews"),
        ("keeping__fresh", "20m", "keeping.fresh: is longer than stale"),
        ("registry__repository", "elsewhere.example/acme/previews", "registry.repository: is of another registry"),
        ("registry__credentials", "config.json", "registry.credentials: is not a plain absolute path"),
        ("registry__tokens", "http://tokens.example", "registry.tokens: is not an address that a token may be sent to"),
        ("github__url", "http://127.evil.example", "github.url: is not an address that a token may be sent to"),
        ("github__url", "http://localhost.evil.example", "github.url: is not an address that a token may be sent to"),
        ("github__url", "https://user@github.example", "github.url: is not an address that a token may be sent to"),
        ("github__url", "https://api.github.com/", "github.url: is not an address that a token may be sent to"),
        ("github__owner", "acme/shop", "github.owner: is not accepted"),
        ("github__token", "/run/secrets/../token", "github.token: is not a plain absolute path"),
        ("cluster__url", "https://kubernetes.default.svc", "cluster.authority: is null"),
        ("cluster__selector", "", "cluster.selector: is not accepted"),
        ("listen__host", "example.com", "listen.host: is not accepted"),
        ("listen__port", 80, "listen.port: is not accepted"),
        ("plugin__extra", 1, "plugin.extra: is an unknown key"),
        ("keeping", {"fresh": "10s"}, "keeping.stale: is missing"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(world: World, path: str, value: Any, says: str) -> None:
    told = problems(written(world, **{path: value}))
    assert says in told
    assert told.startswith("settings.yaml:")


def test_every_problem_is_in_one_report(world: World) -> None:
    told = problems(written(world, limits__ttl="x", listen__port=1, plugin__extra=1))
    assert all(place in told for place in ("limits.ttl", "listen.port", "plugin.extra"))
    for name in ("github", "cluster", "plugin"):
        (world.folder / name).write_text("", encoding="utf-8")
    told = problems(written(world, limits__maxAge="1h"))
    assert told.count("holds no token") == 3
    assert "limits.maxAge" in told


def test_files_that_cannot_be_read_are_named(world: World) -> None:
    missing = str(world.folder / "missing")
    told = problems(written(world, registry__credentials=missing, cluster__authority=missing, github__token=missing))
    assert told.count(missing) == 3


def test_a_map_of_json_and_one_of_yaml_are_the_same(world: World) -> None:
    file = written(world)
    same = read(file)
    told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    lines: list[str] = []
    for section, values in told.items():
        lines += [f"{section}:", *(f"  {key}: {json.dumps(value)}" for key, value in values.items())]
    file.write_text("\n".join(lines), encoding="utf-8")
    assert read(file) == same


@pytest.mark.parametrize(
    ("arguments", "says"),
    [([], "usage: "), (["a", "b"], "usage: "), (["/nowhere/settings.yaml"], "settings.yaml: cannot be read")],
)
def test_bad_input_ends_with_2_and_no_traceback(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told


def test_settings_that_are_wrong_end_with_2(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(written(world, limits__ttl="x"))]) == 2
    assert "limits.ttl" in capsys.readouterr().err
