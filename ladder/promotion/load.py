"""Load reports: what the load job measured, signed by it, bound to the digests, the rung and the time it was about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ladder.contract.base import Settings
from ladder.contract.promotion import Load, Workflow
from ladder.contract.types import DnsLabel, Moment, duration
from ladder.promotion import Broken
from ladder.promotion.chain import Verify
from ladder.promotion.statements import Pinned, as_moment, moment

__all__ = ["LOAD_REPORT", "LoadReport", "read_report", "short_of"]

LOAD_REPORT = "https://ladder.internal/load-report/v1"

_Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class LoadReport(Settings):
    """The predicate; the statement's subjects are the images that were loaded, ``<service>/image``."""

    environment: DnsLabel
    from_: Annotated[Moment, Field(alias="from")]
    until: Moment
    requests_per_second: _Number
    p95_milliseconds: _Number
    error_rate: _Number


def read_report(content: bytes, signer: Workflow, verify: Verify, versions: Mapping[str, Pinned]) -> LoadReport:
    """The report in a bundle that the load job signed. Raises Broken where it is another's, or of other images."""
    signed = verify(content, signer)
    try:
        document: Any = json.loads(signed.statement)
        if document["predicateType"] != LOAD_REPORT:
            raise Broken(f"is of the type {document['predicateType']}, not {LOAD_REPORT}")
        report = LoadReport.model_validate_json(json.dumps(document["predicate"]))
        loaded = {each["name"]: f"sha256:{each['digest']['sha256']}" for each in document["subject"]}
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Broken(f"is no load report: {str(error).splitlines()[0][:200]}") from error
    for service, pinned in sorted(versions.items()):
        if loaded.get(f"{service}/image") != pinned.image:
            raise Broken(f"is not about {service} at {pinned.image}")
    if moment(report.until) > signed.logged:
        raise Broken(f"was signed before the time it is about ended: {as_moment(signed.logged)}")
    return report


def short_of(report: LoadReport, asked: Load, environment: str, since: datetime, until: datetime) -> Iterator[str]:
    """What of a report does not suffice, in words."""
    if report.environment != environment:
        yield f"is about {report.environment}, not {environment}"
    began, ended = moment(report.from_), moment(report.until)
    if not since <= began <= ended <= until:
        yield f"is about {report.from_} to {report.until}, not within the soak from {as_moment(since)}"
    elif ended - began < duration(asked.duration):
        yield f"lasted {ended - began}; asked for are {asked.duration}"
    if report.requests_per_second < asked.requests_per_second:
        yield f"has {report.requests_per_second:g} requests a second; asked for are {asked.requests_per_second:g}"
    if report.p95_milliseconds > asked.p95_milliseconds:
        yield f"has a p95 of {report.p95_milliseconds:g} ms; allowed are {asked.p95_milliseconds:g}"
    if report.error_rate > asked.error_rate:
        yield f"has {report.error_rate:g} of errors; allowed are {asked.error_rate:g}"
