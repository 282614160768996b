"""Gates: each is green where what it asks for is so, and closed in every other case, whatever went wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.contract.promotion import Freeze, Workflow
from ladder.errors import CheckFailed
from ladder.promotion.chain import Entry
from ladder.promotion.gates import Asked, evaluate
from ladder.promotion.history import Soaking
from ladder.promotion.kept import read_samples
from ladder.promotion.load import LOAD_REPORT
from ladder.promotion.metrics import Sample, expected
from ladder.promotion.statements import Gate, Observed, SeenService, as_moment, digest_of
from tests.promotion.ladders import COMMIT, PROMOTION, SIGNERS, Versions, digest, sealed, verify, versions

ONE, OTHER = versions(1), versions(2)
SINCE = datetime(2031, 3, 4, 5, 6, 7, tzinfo=UTC)
SEEN = SINCE + timedelta(hours=24)
AT = SEEN + timedelta(minutes=5)
QUERIES = {"api": "success of api", "web": "success of web"}
TIMES = expected(SINCE, SEEN, timedelta(minutes=5))

Change = Callable[[Asked], Asked]


def soaking(seen: Versions = ONE, *, since: datetime = SINCE, until: datetime = SEEN) -> Soaking:
    services = {
        name: SeenService(image=each.image, chart=each.chart, revision=COMMIT, pods=1) for name, each in seen.items()
    }
    link = Observed(
        environment="staging", sequence=1, previous=None, at=as_moment(until), services=services, problems=()
    )
    return Soaking(seen, since, until, Entry("staging/000001-observed.sigstore.json", digest("seen"), until, link))


def report(
    signer: Workflow = SIGNERS.load,
    logged: datetime = SEEN,
    seen: Versions = ONE,
    kind: str = LOAD_REPORT,
    **changed: Any,
) -> bytes:
    """A load report's bundle: good enough for every threshold but where changed."""
    predicate = {
        "environment": "staging",
        "from": as_moment(SINCE + timedelta(hours=1)),
        "until": as_moment(SINCE + timedelta(hours=1, minutes=10)),
        "requestsPerSecond": 200.0,
        "p95Milliseconds": 300.0,
        "errorRate": 0.001,
        **changed,
    }
    subject = [
        {"name": f"{name}/image", "digest": {"sha256": each.image.removeprefix("sha256:")}}
        for name, each in seen.items()
    ]
    statement = {"_type": "…", "subject": subject, "predicateType": kind, "predicate": predicate}
    return sealed(json.dumps(statement).encode(), signer, logged)


def answering(value: float = 0.99, **changed: Mapping[int, float | None]) -> Callable[..., Sequence[Sample]]:
    """A Prometheus with one value at all times; by service, another at some, or none."""

    def ask(address: str, query: str, at: Sequence[int]) -> Sequence[Sample]:
        assert address == "https://prometheus.staging.internal.acme.dev"
        own = changed.get(query.rpartition(" ")[2], {})
        found = ((time, own.get(time, value)) for time in at)
        return [(time, each) for time, each in found if each is not None]

    return ask


GOOD = Asked(
    promotion=PROMOTION,
    versions=ONE,
    at=AT,
    below="staging",
    soaking=soaking(),
    queries=QUERIES,
    report=report(),
    verify=verify,
    ask=answering(),
)


def promotion(asked: Asked, **changed: Any) -> Asked:
    return replace(asked, promotion=asked.promotion.model_copy(update=changed))


def frozen(begin: datetime, end: datetime) -> Freeze:
    return Freeze.model_validate({"from": as_moment(begin), "until": as_moment(end), "reason": "nobody is there"})


def test_where_all_is_well_every_gate_is_green_and_says_on_what_it_rests() -> None:
    evaluated = evaluate(GOOD, final=True)
    gates = evaluated.gates
    assert {name: gate.green for name, gate in gates.items()} == dict.fromkeys(
        ["revoked", "freeze", "soak", "load"], True
    )
    samples = read_samples(evaluated.kept[gates["soak"].evidence or ""])
    assert (samples.first, samples.step) == (TIMES[0], 300)
    assert samples.services == {name: (0.99,) * len(TIMES) for name in ONE}
    assert evaluated.kept[digest_of(report())] == report()
    assert gates["load"].evidence == digest_of(report())
    assert all(gate.detail for gate in gates.values())


def test_below_the_highest_rung_only_revoked_digests_are_asked_for() -> None:
    gates = evaluate(replace(GOOD, soaking=None, report=None), final=False).gates
    assert {name: gate.green for name, gate in gates.items()} == {"revoked": True}


FIRST, LAST, SECOND = TIMES[0], TIMES[-1], timedelta(seconds=1)

CLOSED: dict[str, tuple[str, Change, str]] = {
    "a revoked image": (
        "revoked",
        lambda asked: promotion(asked, revoked={ONE["web"].image: "loses orders"}),
        f"web: {ONE['web'].image}: loses orders",
    ),
    "a revoked chart": (
        "revoked",
        lambda asked: promotion(asked, revoked={ONE["api"].chart: "root"}),
        f"api: {ONE['api'].chart}: root",
    ),
    "revoked for more than can be said": (
        "revoked",
        lambda asked: promotion(asked, revoked={ONE["api"].chart: "why " * 1000}),
        "why",
    ),
    "a freeze's first second": (
        "freeze",
        lambda asked: promotion(asked, freezes={"fair": frozen(AT, AT + SECOND)}),
        f"fair, until {as_moment(AT + SECOND)}: nobody is there",
    ),
    "a freeze's last second": (
        "freeze",
        lambda asked: promotion(asked, freezes={"fair": frozen(SINCE, AT + SECOND)}),
        "fair, until",
    ),
    "never seen healthy": ("soak", lambda asked: replace(asked, soaking=None), "was not last observed running these"),
    "not seen for longer than may be": (
        "soak",
        lambda asked: replace(asked, at=SEEN + timedelta(hours=1) + SECOND),
        f"staging was not observed since {as_moment(SEEN)}",
    ),
    "other digests": (
        "soak",
        lambda asked: replace(asked, soaking=soaking(OTHER)),
        "was not last observed running these digests, healthy",
    ),
    "more services than were seen": (
        "soak",
        lambda asked: replace(asked, soaking=soaking(versions(1, ["web"]))),
        "was not last observed running these digests, healthy",
    ),
    "a second too short": (
        "soak",
        lambda asked: replace(asked, soaking=soaking(since=SINCE + SECOND)),
        "observed for 23:59:59 of 1 day, 0:00:00",
    ),
    "no address": (
        "soak",
        lambda asked: promotion(asked, soak=PROMOTION.soak.model_copy(update={"metrics": {}})),
        "soak.metrics says nothing of staging",
    ),
    "no query": ("soak", lambda asked: replace(asked, queries={"web": "success of web"}), "api: not measured"),
    "the first sample missing": (
        "soak",
        lambda asked: replace(asked, ask=answering(web={FIRST: None})),
        "web: 1 of 288 samples are missing",
    ),
    "the last sample missing": (
        "soak",
        lambda asked: replace(asked, ask=answering(api={LAST: None})),
        "api: 1 of 288 samples are missing",
    ),
    "one sample is no number": (
        "soak",
        lambda asked: replace(asked, ask=answering(web={FIRST: math.nan})),
        "web: 1 of 288 samples are missing",
    ),
    "one sample is endless": (
        "soak",
        lambda asked: replace(asked, ask=answering(web={LAST: math.inf})),
        "web: 1 of 288 samples are missing",
    ),
    "one sample below the threshold": (
        "soak",
        lambda asked: replace(asked, ask=answering(web={FIRST: 0.9899})),
        f"web: 1 samples below 0.99, the lowest 0.9899 at {FIRST}",
    ),
    "no sample at all": (
        "soak",
        lambda asked: replace(asked, ask=lambda *_: []),
        "api: 288 of 288 samples are missing; web: 288",
    ),
    "Prometheus does not answer": (
        "soak",
        lambda asked: replace(asked, ask=refusing),
        "api: not measured: nobody there; web: not measured: nobody there",
    ),
    "no report": ("load", lambda asked: replace(asked, report=None), "no load report was given"),
    "a report and no soak": ("load", lambda asked: replace(asked, soaking=None), "staging does not soak"),
    "no bundle": ("load", lambda asked: replace(asked, report=b"all is well"), "the load report is not signed"),
    "signed by whom it asks": (
        "load",
        lambda asked: replace(asked, report=report(SIGNERS.request)),
        "the load report is signed by",
    ),
    "of another kind": (
        "load",
        lambda asked: replace(asked, report=report(kind="x")),
        f"the type x, not {LOAD_REPORT}",
    ),
    "of other images": (
        "load",
        lambda asked: replace(asked, report=report(seen=OTHER)),
        f"is not about api at {ONE['api'].image}",
    ),
    "of one of the images": (
        "load",
        lambda asked: replace(asked, report=report(seen=versions(1, ["api"]))),
        f"is not about web at {ONE['web'].image}",
    ),
    "of another rung": ("load", lambda asked: replace(asked, report=report(environment="dev")), "is about dev"),
    "begun before the soak": (
        "load",
        lambda asked: replace(asked, report=report(**{"from": as_moment(SINCE - SECOND)})),
        "not within the soak",
    ),
    "ended in the future": (
        "load",
        lambda asked: replace(asked, report=report(logged=AT + 2 * SECOND, until=as_moment(AT + SECOND))),
        "not within the soak",
    ),
    "ended before it began": (
        "load",
        lambda asked: replace(asked, report=report(until=as_moment(SINCE + timedelta(minutes=59)))),
        "not within the soak",
    ),
    "a second too short a load": (
        "load",
        lambda asked: replace(asked, report=report(until=as_moment(SINCE + timedelta(minutes=70) - SECOND))),
        "lasted 0:09:59; asked for are 10m",
    ),
    "signed before its end": (
        "load",
        lambda asked: replace(asked, report=report(logged=SINCE + timedelta(minutes=70) - SECOND)),
        "was signed before the time it is about ended",
    ),
    "too few requests": (
        "load",
        lambda asked: replace(asked, report=report(requestsPerSecond=199.9)),
        "has 199.9 requests a second; asked for are 200",
    ),
    "too slow": (
        "load",
        lambda asked: replace(asked, report=report(p95Milliseconds=300.1)),
        "has a p95 of 300.1 ms; allowed are 300",
    ),
    "too many errors": (
        "load",
        lambda asked: replace(asked, report=report(errorRate=0.0011)),
        "has 0.0011 of errors; allowed are 0.001",
    ),
    "no number of requests": (
        "load",
        lambda asked: replace(asked, report=report(requestsPerSecond="many")),
        "no load report",
    ),
    "endless speed": (
        "load",
        lambda asked: replace(asked, report=report(requestsPerSecond=math.inf)),
        "no load report",
    ),
    "no number at all": (
        "load",
        lambda asked: replace(asked, report=report(p95Milliseconds=math.nan)),
        "no load report",
    ),
    "one value more": ("load", lambda asked: replace(asked, report=report(passed=True)), "is no load report"),
}


def refusing(*_: object) -> Sequence[Sample]:
    raise CheckFailed("nobody there")


@pytest.mark.parametrize("name", CLOSED)
def test_a_gate_is_closed_and_says_why(name: str) -> None:
    """That one alone: the others ask for something else."""
    gate, change, says = CLOSED[name]
    gates = evaluate(change(GOOD), final=True).gates
    assert not gates[gate].green
    assert says in gates[gate].detail
    others = {each for each, found in gates.items() if not found.green} - {gate}
    assert others <= ({"soak", "load"} if change(GOOD).soaking != GOOD.soaking else set())


OPEN: dict[str, Change] = {
    "another digest is revoked": lambda asked: promotion(asked, revoked={OTHER["web"].image: "loses orders"}),
    "the second a freeze ends": lambda asked: promotion(asked, freezes={"fair": frozen(SINCE, AT)}),
    "a second before a freeze": lambda asked: promotion(asked, freezes={"fair": frozen(AT + SECOND, AT + 2 * SECOND)}),
    "a longer soak": lambda asked: replace(asked, soaking=soaking(since=SINCE - timedelta(days=9))),
    "samples above the threshold": lambda asked: replace(asked, ask=answering(1.0)),
    "a load through the whole soak": lambda asked: replace(
        asked, report=report(logged=AT, **{"from": as_moment(SINCE), "until": as_moment(AT)})
    ),
    "more of a load than is asked for": lambda asked: replace(
        asked, report=report(requestsPerSecond=1e6, p95Milliseconds=0, errorRate=0)
    ),
    "a load of more services": lambda asked: replace(asked, report=report(seen=versions(1, ["api", "web", "worker"]))),
}


@pytest.mark.parametrize("name", OPEN)
def test_a_gate_is_green_to_its_very_edge(name: str) -> None:
    gates = evaluate(OPEN[name](GOOD), final=True).gates
    assert [each for each, gate in gates.items() if not gate.green] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["subject", "predicateType", "predicate"])


@given(
    st.binary(max_size=30)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.tuples(KEYS, JSON).map(lambda pair: json.dumps({**GOOD_REPORT, pair[0]: pair[1]}).encode())
)
def test_whatever_the_load_job_signed_the_gate_is_closed_and_nothing_is_raised(statement: bytes) -> None:
    bundle = sealed(statement.decode("latin-1").encode(), SIGNERS.load, SEEN)
    gate = evaluate(replace(GOOD, report=bundle), final=True).gates["load"]
    assert not gate.green
    assert "the load report is" in gate.detail


GOOD_REPORT = {
    "subject": [],
    "predicateType": LOAD_REPORT,
    "predicate": json.loads(json.loads(report().partition(b"\n")[2])["statement"])["predicate"],
}


@given(st.dictionaries(st.sampled_from(TIMES), st.none() | st.floats(), max_size=4))
def test_a_soak_is_green_exactly_where_every_sample_is_there_and_above(changed: dict[int, float | None]) -> None:
    gate: Gate = evaluate(replace(GOOD, ask=answering(web=changed)), final=True).gates["soak"]
    good = [each is not None and math.isfinite(each) and each >= PROMOTION.soak.threshold for each in changed.values()]
    assert gate.green == all(good)
    assert Gate.model_validate_json(gate.model_dump_json()) == gate
