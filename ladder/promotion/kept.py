"""What gates were decided by, kept beside the chains: ``<evidence>/reports/<sha256>.json``, named by the statement.

Too large for the statement itself: the samples of a soak beside a thousand services are some megabytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field, PositiveInt, ValidationError

from ladder.contract.base import Settings
from ladder.contract.promotion import Evidence
from ladder.contract.types import DnsLabel
from ladder.promotion import Broken
from ladder.promotion.metrics import Sample

__all__ = ["LARGEST_KEPT", "REPORTS", "Samples", "as_samples", "read_samples", "report_file"]

LARGEST_KEPT = 16 * 1024 * 1024
"""The largest file that is read, in bytes: a day's samples, one in five minutes, of 2,000 services."""

REPORTS = "reports"
"""Their folder, beside the environments' chains."""

_Value = Annotated[float, Field(allow_inf_nan=False)]


class Samples(Settings):
    """A soak's samples by service: one at each ``step`` seconds from ``first`` on, null where there was none."""

    environment: DnsLabel
    first: int
    """Seconds since 1970 (UTC)."""
    step: PositiveInt
    services: Annotated[Mapping[DnsLabel, tuple[_Value | None, ...]], Field(min_length=1)]


def report_file(evidence: Evidence, digest: str) -> str:
    """Where what has that digest is kept, relative to the project's root."""
    return f"{evidence.folder}/{REPORTS}/{digest.removeprefix('sha256:')}.json"


def as_samples(environment: str, at: Sequence[int], taken: Mapping[str, Sequence[Sample]]) -> bytes:
    """The file of what was measured at these times, always the same bytes for the same values."""
    found = {name: dict(each) for name, each in sorted(taken.items())}
    services = {name: tuple(values.get(time) for time in at) for name, values in found.items()}
    step = at[1] - at[0] if len(at) > 1 else 1
    samples = Samples(environment=environment, first=at[0], step=step, services=services)
    return json.dumps(samples.model_dump(mode="json", by_alias=True), separators=(",", ":")).encode()


def read_samples(content: bytes) -> Samples:
    """Raises Broken for anything that is not such a file."""
    try:
        return Samples.model_validate_json(content)
    except ValidationError as error:
        raise Broken(f"holds no samples: {error.errors(include_url=False)[0]['msg']}") from error
