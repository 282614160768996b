"""What a rung asks before it is entered. Whatever cannot be evaluated is not green."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ladder.contract.promotion import Promotion
from ladder.contract.types import duration
from ladder.errors import CheckFailed
from ladder.promotion import Broken
from ladder.promotion.chain import Verify
from ladder.promotion.history import Soaking
from ladder.promotion.kept import as_samples
from ladder.promotion.load import read_report, short_of
from ladder.promotion.metrics import Sample, expected, samples
from ladder.promotion.statements import Gate, Pinned, as_moment, digest_of

__all__ = ["Asked", "Evaluated", "evaluate"]

Ask = Callable[[str, str, Sequence[int]], Sequence[Sample]]

_LONGEST = 2000


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the gates are asked about: ``versions`` shall leave the rung ``below``, which soaks as ``soaking`` says.

    ``queries`` is each service's success rate, a query of Prometheus'; ``report`` a load report's bundle.
    """

    promotion: Promotion
    versions: Mapping[str, Pinned]
    at: datetime
    below: str
    soaking: Soaking | None
    queries: Mapping[str, str]
    report: bytes | None
    verify: Verify
    ask: Ask = samples


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Every gate, by its name, and what they were decided by and is to be kept, by its digest."""

    gates: Mapping[str, Gate]
    kept: Mapping[str, bytes]


def evaluate(asked: Asked, *, final: bool) -> Evaluated:
    """Only the highest rung, ``final``, asks for more than digests in good standing."""
    kept: dict[str, bytes] = {}
    gates = {"revoked": _revoked(asked)}
    if final:
        gates |= {"freeze": _freeze(asked), "soak": _soak(asked, kept), "load": _load(asked, kept)}
    return Evaluated(gates, kept)


def _keep(content: bytes, kept: dict[str, bytes]) -> str:
    digest = digest_of(content)
    kept[digest] = content
    return digest


def _revoked(asked: Asked) -> Gate:
    found = [
        f"{service}: {digest}: {asked.promotion.revoked[digest]}"
        for service, pinned in sorted(asked.versions.items())
        for digest in (pinned.image, pinned.chart)
        if digest in asked.promotion.revoked
    ]
    return Gate(green=not found, detail="; ".join(found)[:2000] or "no digest is revoked")


def _freeze(asked: Asked) -> Gate:
    frozen = asked.promotion.freeze_at(asked.at)
    if frozen is None:
        return Gate(green=True, detail="nothing is frozen")
    name, freeze = frozen
    return Gate(green=False, detail=f"{name}, until {freeze.until}: {freeze.reason}")


def _soak(asked: Asked, kept: dict[str, bytes]) -> Gate:
    soaking, rules = asked.soaking, asked.promotion.soak
    if soaking is None or soaking.versions != asked.versions:
        return Gate(green=False, detail=f"{asked.below} was not last observed running these digests, healthy")
    if asked.at - soaking.seen > duration(rules.gap):
        return Gate(green=False, detail=f"{asked.below} was not observed since {as_moment(soaking.seen)}")
    lasted, needed = soaking.seen - soaking.since, duration(rules.duration)
    if lasted < needed:
        return Gate(green=False, detail=f"observed for {lasted} of {needed} since {as_moment(soaking.since)}")
    address = rules.metrics.get(asked.below)
    if address is None:
        return Gate(green=False, detail=f"soak.metrics says nothing of {asked.below}")
    at = expected(soaking.since, soaking.seen, duration(rules.step))
    taken: dict[str, tuple[Sample, ...]] = {}
    wrong: list[str] = []
    for service in sorted(asked.versions):
        try:
            found = asked.ask(address, asked.queries[service], at)
        except (CheckFailed, KeyError) as error:
            wrong.append(f"{service}: not measured: {error}")
            continue
        taken[service] = tuple((time, value) for time, value in found if math.isfinite(value))
        wrong += [f"{service}: {each}" for each in _below(taken[service], at, rules.threshold)]
    detail = "; ".join(wrong) or f"{len(at)} samples of each service since {as_moment(soaking.since)}"
    evidence = _keep(as_samples(asked.below, at, taken), kept) if at and taken else None
    return Gate(green=not wrong, detail=_short(detail), evidence=evidence)


def _below(taken: Sequence[Sample], at: Sequence[int], threshold: float) -> Iterator[str]:
    missing = len(set(at) - {time for time, _ in taken})
    if missing or not at:
        yield f"{missing} of {len(at)} samples are missing"
    low = [(value, time) for time, value in taken if value < threshold]
    if low:
        value, time = min(low)
        yield f"{len(low)} samples below {threshold:g}, the lowest {value:g} at {time}"


def _load(asked: Asked, kept: dict[str, bytes]) -> Gate:
    if asked.report is None:
        return Gate(green=False, detail="no load report was given")
    if asked.soaking is None:
        return Gate(green=False, detail=f"{asked.below} does not soak")
    try:
        report = read_report(asked.report, asked.promotion.evidence.signers.load, asked.verify, asked.versions)
    except Broken as error:
        return Gate(green=False, detail=_short(f"the load report {error}"))
    wrong = [*short_of(report, asked.promotion.load, asked.below, asked.soaking.since, asked.at)]
    detail = "; ".join(f"the load report {each}" for each in wrong)
    good = f"{report.requests_per_second:g} requests a second, p95 {report.p95_milliseconds:g} ms"
    return Gate(green=not wrong, detail=detail or good, evidence=_keep(asked.report, kept))


def _short(detail: str) -> str:
    return detail if len(detail) <= _LONGEST else f"{detail[: _LONGEST - 1]}…"
