"""Asking Prometheus for a query over a time. Rule: prometheus.io/docs, HTTP API, range queries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ladder.errors import CheckFailed

__all__ = ["Sample", "expected", "samples"]

Sample = tuple[int, float]
"""Seconds since 1970 (UTC), and a value, which may be NaN."""

_SECONDS = 30.0
_LARGEST = 16 * 1024 * 1024
"""Of an answer, in bytes: some thirty times what so many points take."""
_MOST_POINTS = 11_000
"""What Prometheus answers at most for one series."""


class _Series(BaseModel):
    model_config = ConfigDict(strict=True)

    values: list[tuple[Annotated[float, Field(allow_inf_nan=False)], Annotated[float, Field(strict=False)]]]


class _Matrix(BaseModel):
    model_config = ConfigDict(strict=True)

    result_type: Annotated[Literal["matrix"], Field(alias="resultType")]
    result: list[_Series]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True)

    status: Literal["success"]
    data: _Matrix


def expected(since: datetime, until: datetime, step: timedelta) -> Sequence[int]:
    """The seconds at which there must be a sample: whole steps since 1970, from ``since`` to ``until``."""
    each = max(1, round(step.total_seconds()))
    first = math.ceil(since.timestamp() / each) * each
    return range(first, math.floor(until.timestamp()) + 1, each)


def samples(address: str, query: str, at: Sequence[int]) -> Sequence[Sample]:
    """The query's value at each of these times; what Prometheus has no sample for is left out.

    Raises CheckFailed where it does not answer, or not with exactly one series.
    """
    if not at:
        return ()
    if len(at) > _MOST_POINTS:
        raise CheckFailed(f"{address}: {len(at)} samples are more than Prometheus gives; take a longer step")
    step = at[1] - at[0] if len(at) > 1 else 1
    parameters = {"query": query, "start": str(at[0]), "end": str(at[-1]), "step": str(step)}
    try:
        # No environment variable may send the question through somebody's proxy.
        with (
            httpx.Client(timeout=_SECONDS, trust_env=False) as client,
            client.stream("POST", f"{address}/api/v1/query_range", data=parameters) as response,
        ):
            answer = _Answer.model_validate_json(_limited(response, address)) if response.is_success else None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CheckFailed(f"{address}: {type(error).__name__}: {error}") from error
    except ValidationError as error:
        raise CheckFailed(f"{address}: is no answer to a range query") from error
    if answer is None:
        raise CheckFailed(f"{address}: answered {response.status_code}")
    if len(answer.data.result) > 1:
        raise CheckFailed(f"{address}: {len(answer.data.result)} series, where the query must give one")
    wanted = frozenset(at)
    found = [(round(time), value) for each in answer.data.result for time, value in each.values]
    return [(time, value) for time, value in found if time in wanted]


def _limited(response: httpx.Response, address: str) -> bytes:
    told = bytearray()
    for part in response.iter_bytes():
        told += part
        if len(told) > _LARGEST:
            raise CheckFailed(f"{address}: answers with more than {_LARGEST} bytes")
    return bytes(told)
