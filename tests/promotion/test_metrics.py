"""What is asked of Prometheus, and that every answer but the one wanted is none."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.errors import CheckFailed
from ladder.promotion.metrics import expected, samples
from tests.previews.serving import Asked, Reply, StandIn, serving

AT = range(1_930_000_200, 1_930_000_900, 300)


@dataclass
class Prometheus(StandIn):
    """Answers a range query with whatever it was told to."""

    answer: Reply = field(default_factory=Reply)

    def reply(self, asked: Asked) -> Reply:
        return self.answer


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    standin = Prometheus()
    with serving(standin):
        yield standin


def matrix(*series: Any, **changed: Any) -> bytes:
    data = {"resultType": "matrix", "result": [{"metric": {}, "values": each} for each in series]}
    return json.dumps({"status": "success", "data": data, **changed}).encode()


def ask(prometheus: Prometheus, reply: Reply) -> Any:
    prometheus.answer = reply
    return samples(prometheus.url, "up", AT)


def test_a_range_is_asked_for_and_its_values_are_the_samples(prometheus: Prometheus) -> None:
    prometheus.asked.clear()
    values = [[1_930_000_200, "1"], [1_930_000_500.0, "0.99"], [1_930_000_800, "NaN"]]
    found = ask(prometheus, Reply(body=matrix(values)))
    assert found[:2] == [(1_930_000_200, 1.0), (1_930_000_500, 0.99)]
    assert (found[2][0], math.isnan(found[2][1]), len(found)) == (1_930_000_800, True, 3)
    (asked,) = prometheus.asked
    assert (asked.method, asked.path) == ("POST", "/api/v1/query_range")
    assert parse_qs(asked.body.decode()) == {
        "query": ["up"],
        "start": ["1930000200"],
        "end": ["1930000800"],
        "step": ["300"],
    }


def test_at_times_that_were_not_asked_for_there_is_no_sample(prometheus: Prometheus) -> None:
    values = [[1_930_000_199, "1"], [1_930_000_500, "1"], [1_930_001_100, "1"]]
    assert ask(prometheus, Reply(body=matrix(values))) == [(1_930_000_500, 1.0)]


@pytest.mark.parametrize("body", [matrix(), matrix([])])
def test_no_series_is_no_sample(body: bytes, prometheus: Prometheus) -> None:
    assert ask(prometheus, Reply(body=body)) == []


BAD: dict[str, tuple[Reply, str]] = {
    "an error of the server": (Reply(500, b"oops"), "answered 500"),
    "a query it refuses": (Reply(400, b'{"status": "error"}'), "answered 400"),
    "who are you": (Reply(401), "answered 401"),
    "elsewhere": (Reply(302, headers={"Location": "https://example.com"}), "answered 302"),
    "nothing": (Reply(), "is no answer to a range query"),
    "a page": (Reply(body=b"<html>"), "is no answer to a range query"),
    "no text": (Reply(body=b"\xff\xfe\x00"), "is no answer to a range query"),
    "an error that is called a success": (Reply(body=matrix(status="error")), "is no answer to a range query"),
    "a vector": (Reply(body=matrix(data={"resultType": "vector", "result": []})), "is no answer to a range query"),
    "two series": (Reply(body=matrix([[AT[0], "1"]], [[AT[0], "1"]])), "2 series, where the query must give one"),
    "a word for a value": (Reply(body=matrix([[AT[0], "many"]])), "is no answer to a range query"),
    "nothing for a value": (Reply(body=matrix([[AT[0], ""]])), "is no answer to a range query"),
    "nothing at all for a value": (Reply(body=matrix([[AT[0], None]])), "is no answer to a range query"),
    "a word for a time": (Reply(body=matrix([["now", "1"]])), "is no answer to a range query"),
    "a time that is no number": (Reply(body=matrix([[math.nan, "1"]])), "is no answer to a range query"),
    "an endless time": (Reply(body=matrix([[math.inf, "1"]])), "is no answer to a range query"),
    "not what it says to be packed as": (
        Reply(body=b"not packed at all", headers={"Content-Encoding": "gzip"}),
        "DecodingError",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_the_answer_fails_the_check(name: str, prometheus: Prometheus) -> None:
    reply, says = BAD[name]
    with pytest.raises(CheckFailed) as raised:
        ask(prometheus, reply)
    assert says in str(raised.value)
    assert str(raised.value).startswith(f"{prometheus.url}: ")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://127.0.0.1:99999", "http://127.999.999.999"])
def test_where_nobody_answers_the_check_fails(address: str) -> None:
    with pytest.raises(CheckFailed, match=f"^{address}: "):
        samples(address, "up", AT)


def test_no_variable_sends_the_question_elsewhere(prometheus: Prometheus, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert ask(prometheus, Reply(body=matrix([[AT[0], "1"]]))) == [(AT[0], 1.0)]


def test_for_no_time_nobody_is_asked() -> None:
    assert samples("http://127.0.0.1:9", "up", ()) == ()


def test_more_than_prometheus_gives_is_not_asked_for() -> None:
    with pytest.raises(CheckFailed, match="11001 samples are more than Prometheus gives; take a longer step"):
        samples("http://127.0.0.1:9", "up", range(11_001))


SECONDS = st.integers(0, 4 * 10**9)
STEPS = st.integers(1, 90_000)


@given(SECONDS, st.integers(0, 10**6), STEPS, st.integers(0, 999_999))
def test_the_times_are_every_whole_step_from_first_to_last(begin: int, lasts: int, step: int, micros: int) -> None:
    since = datetime.fromtimestamp(begin, UTC) + timedelta(microseconds=micros)
    until = since + timedelta(seconds=lasts)
    times = expected(since, until, timedelta(seconds=step))
    assert all(time % step == 0 and since <= datetime.fromtimestamp(time, UTC) <= until for time in times)
    assert all(after - before == step for before, after in itertools.pairwise(times))
    around = (times[0] - step, times[-1] + step) if times else (begin - begin % step, begin - begin % step + step)
    assert all(not since <= datetime.fromtimestamp(time, UTC) <= until for time in around if time >= 0)
    assert len(times) >= lasts // step


@given(SECONDS, st.integers(0, 10**5), st.integers(1, 1499))
def test_a_step_of_less_than_a_second_is_one_of_a_second(begin: int, lasts: int, milliseconds: int) -> None:
    since = datetime.fromtimestamp(begin, UTC)
    times = expected(since, since + timedelta(seconds=lasts), timedelta(milliseconds=milliseconds))
    assert (times[0], times[-1], len(times)) == (begin, begin + lasts, lasts + 1)
