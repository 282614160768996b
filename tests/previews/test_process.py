"""The plugin as a process: it answers over sockets, drains on SIGTERM, and leaves no secret in its log."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.previews.github_stand_in import sha
from tests.previews.plugins import World, written
from tests.previews.processes import plugin, unused_port
from tests.previews.serving import Asked, Reply
from tests.support import ROOT

TOKEN = {"Authorization": "Bearer plugin-token"}
pytestmark = pytest.mark.servers


def ask(url: str, number: int = 7) -> httpx.Response:
    parameters = {"number": str(number), "headSha": sha(number)}
    body = {"applicationSetName": "ladder-dev-previews", "input": {"parameters": parameters}}
    return httpx.post(f"{url}/api/v1/getparams.execute", json=body, headers=TOKEN, timeout=30)


def items(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return answer.json()["output"]["parameters"]


def test_two_controllers_at_once_get_the_same_answers_of_one_set_of_facts(world: World) -> None:
    port = unused_port()
    numbers = range(1, 31)
    for number in numbers:
        world.pull(number)
    with world.served(), plugin(written(world, port), port) as running, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: (number, items(ask(running.url, number))), [*numbers, *numbers]))
    first, second = dict(answers[:30]), dict(answers[30:])
    assert first == second
    assert [number for number, given in first.items() if given] == list(range(1, 21))
    listed = [path for path in world.github.paths() if path.startswith("/pulls?")]
    # A second set only where asking took longer than facts are fresh.
    assert len(listed) <= 2
    assert world.github.invalid == set()


def test_sigterm_ends_it_after_what_was_asked_is_answered(world: World) -> None:
    port, arrived = unused_port(), threading.Event()
    world.pull(7)

    def slowly(asked: Asked) -> Reply | None:
        if not asked.path.endswith("/pulls"):
            return None
        arrived.set()
        told = world.github.reply(asked)
        return Reply(told.status, told.body, told.headers, delay=2.0)

    world.github.trouble = slowly
    with world.served(), plugin(written(world, port), port) as running, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, running.url)
        assert arrived.wait(30)
        running.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        (item,) = items(answer.result(30))
        assert running.process.wait(30) == 0
        assert time.monotonic() - began < 20
        with pytest.raises(httpx.ConnectError):
            ask(running.url)
    assert item["sha"] == sha(7)


def test_its_log_is_one_object_a_line_and_tells_no_secret(world: World) -> None:
    port = unused_port()
    world.pull(7, title='evil\n{"event": "forged"}')
    with world.served(), plugin(written(world, port), port) as running:
        items(ask(running.url))
        httpx.get(f"{running.url}/previews?token=plugin-token")
        running.process.send_signal(signal.SIGTERM)
        running.process.wait(30)
        lines = running.lines()
    told = [json.loads(line) for line in lines.splitlines()]
    assert [each["pullRequest"] for each in told if each["event"] == "decided"] == [7]
    assert all({"time", "level", "event"} <= each.keys() for each in told)
    for secret in ("plugin-token", world.github.token, world.cluster.token, "forged"):
        assert secret not in lines


def test_a_body_that_never_ends_is_given_up(world: World) -> None:
    port = unused_port()
    with world.served(), plugin(written(world, port), port):
        head = "POST /api/v1/getparams.execute HTTP/1.1\r\nHost: plugin\r\nAuthorization: Bearer plugin-token\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_port_that_is_taken_ends_it_with_a_reason(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        file = written(world, int(taken.getsockname()[1]))
        done = subprocess.run(
            [sys.executable, "-m", "previews", str(file)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, "address already in use" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
