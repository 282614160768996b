"""Ended at any moment and run again, there is one pull request; of two at once, one wins and the other is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.previews.serving import Asked, Reply
from tests.promotion.places import Place

DEADLINE = 60.0
HOOK = """#!/bin/sh
touch {began}
while [ ! -e {over} ]; do sleep 0.05; done
exit 1
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def cut(place: Place) -> str:
    place.observe("dev", datetime.now(UTC))
    name = place.ladder("cut").out.strip()
    place.git("fetch", "--quiet", "origin")
    place.git("pull", "--quiet", "origin", "main")
    return name


def begin(place: Place, candidate: str) -> subprocess.Popen[bytes]:
    """The promotion, in a process group of its own."""
    command = [Path(sys.executable).parent / "ladder", "promote", candidate, "--to", "staging"]
    return subprocess.Popen(
        command,
        cwd=place.root,
        env={**os.environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def branches(place: Place) -> list[str]:
    return place.git("for-each-ref", "--format=%(refname:short)", at=place.bare).splitlines()


def completes_once(place: Place, candidate: str) -> None:
    again = place.ladder("promote", candidate, "--to", "staging")
    assert again.code == 0, again.err
    branch = f"promotion/staging/{candidate}"
    assert branches(place) == ["main", branch]
    assert [each["head"] for each in place.elsewhere.pulls] == [branch]
    place.git("fetch", "--quiet", "origin")
    statements = place.git("ls-tree", "-r", "--name-only", f"origin/{branch}", "evidence/staging/").splitlines()
    assert statements == ["evidence/staging/000001-request.sigstore.json"]
    assert place.git("log", "--format=%H", f"origin/main..origin/{branch}").count("\n") == 0
    assert place.ladder("lineage", "--base", f"origin/{branch}").code == 0
    assert place.ladder("guard", "--base", "origin/main", "--head", f"origin/{branch}").code == 0


def test_killed_before_the_push_it_leaves_nothing_and_completes_once(place: Place, tmp_path: Path) -> None:
    place.build()
    candidate = cut(place)
    began, over = tmp_path / "began", tmp_path / "over"
    hook = place.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK.format(began=began, over=over))
    hook.chmod(0o755)
    process = begin(place, candidate)
    try:
        until(began.exists)
    finally:
        kill(process)
        over.touch()
    hook.unlink()
    assert branches(place) == ["main"]
    assert place.elsewhere.pulls == []
    assert place.git("status", "--porcelain") == ""
    completes_once(place, candidate)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_killed_between_the_push_and_the_pull_request_it_completes_once(place: Place, method: str) -> None:
    """Whether GitHub was asked for a pull request or not: one that it opened, and nobody heard of, is found."""
    place.build()
    candidate = cut(place)
    asked, over = threading.Event(), threading.Event()

    def held(request: Asked) -> Reply | None:
        if not request.path.endswith("/pulls") or request.method != method:
            return None
        told = place.elsewhere.reply(request)
        asked.set()
        over.wait(DEADLINE)
        return told

    place.elsewhere.trouble = held
    process = begin(place, candidate)
    try:
        assert asked.wait(DEADLINE)
        assert branches(place) == ["main", f"promotion/staging/{candidate}"]
        assert len(place.elsewhere.pulls) == (method == "POST")
    finally:
        kill(process)
        place.elsewhere.trouble = lambda _: None
    try:
        completes_once(place, candidate)
    finally:
        over.set()


@pytest.mark.parametrize("supersede", [False, True])
def test_of_two_promotions_at_once_one_wins_and_the_other_says_so(place: Place, supersede: bool) -> None:
    more, guard = ("--supersede",) if supersede else (), ("guard", "--base", "origin/main", "--head")
    place.build()
    first = cut(place)
    assert place.ladder("promote", first, "--to", "staging").code == 0
    another(place)
    second = cut(place)
    assert place.ladder("promote", second, "--to", "staging", *more).code == 0
    place.git("fetch", "--quiet", "origin")
    heads = [f"origin/promotion/staging/{name}" for name in (first, second)]
    assert [place.ladder(*guard, head).code for head in heads] == [0, 0]
    place.git("merge", "--quiet", "--no-ff", "--message", "The first", heads[0])
    place.git("push", "--quiet", "origin", "HEAD:main")
    place.git("fetch", "--quiet", "origin")
    told = place.ladder(*guard, heads[1])
    assert told.code == 1
    assert "cannot be merged into" in told.err
    again = place.ladder("promote", second, "--to", "staging", *more)
    if supersede:
        assert again.code == 0, again.err
        place.git("fetch", "--quiet", "origin")
        assert place.ladder(*guard, heads[1]).code == 0
    else:
        assert again.code == 1
        assert f"staging holds {first} until prod runs it" in again.err


def another(place: Place) -> None:
    """Still newer images in dev."""
    for name, digest in zip(("api", "web", "worker"), "def", strict=True):
        file = place.root / f"gitops/envs/dev/{name}/version.yaml"
        file.write_text(file.read_text().replace(place.versions("dev")[name].image, f"sha256:{digest * 64}"))
    place.keep("Newer images in dev")
