"""Whose signatures are believed, by bundles that are real but for whose keys they are."""

from __future__ import annotations

import base64
import copy
import json
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from ladder.contract.promotion import Sigstore
from ladder.errors import InputError
from ladder.promotion.sigstore import Refused, Signing, Trust
from tests.promotion.bundles import (
    AT,
    DIGEST,
    ENTRY,
    JOB,
    SIGNED,
    SIGNER,
    STATEMENT,
    altered,
    at,
    flipped,
    trusting,
)
from tests.sigstore_stand_in import COMMIT, Authority, Job, Log, StandIn
from tests.support import ROOT

SHIPPED = Sigstore.model_validate({"trustedRoot": None, "signingConfig": None})

MALLORY = "https://github.com/mallory/shop"
ELSEWHERE = f"{MALLORY}/.github/workflows/build.yml@refs/heads/main"
OTHER = f"{SIGNER.repository}/.github/workflows/other.yml@refs/heads/main"
FEATURE = f"{SIGNER.repository}/{SIGNER.workflow}@refs/heads/feature"


@pytest.fixture(scope="module")
def standin() -> StandIn:
    return StandIn()


@pytest.fixture(scope="module")
def trust(standin: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return trusting(standin, tmp_path_factory.mktemp("trust"))


def test_what_the_workflow_signed_is_believed_with_its_commit_its_run_and_the_logs_time(
    standin: StandIn, trust: Trust
) -> None:
    for _ in range(9):  # proofs in trees of each shape
        assert trust.verify(standin.bundle(STATEMENT, JOB, AT), SIGNER) == SIGNED


@pytest.mark.parametrize(
    ("job", "wrong"),
    [
        pytest.param(Job.of(SIGNER, signer=OTHER, started=OTHER), "is signed by .*/other.yml", id="another workflow"),
        pytest.param(
            Job.of(SIGNER, ref="refs/heads/feature", signer=FEATURE, started=FEATURE),
            "is signed by .*@refs/heads/feature, not by .*@refs/heads/main",
            id="another ref",
        ),
        pytest.param(
            Job.of(SIGNER, ref="refs/heads/main-2", signer=f"{SIGNER.subject}-2", started=f"{SIGNER.subject}-2"),
            "is signed by .*main-2",
            id="a ref that begins alike",
        ),
        pytest.param(
            Job.of(SIGNER, repository=MALLORY, signer=ELSEWHERE, started=ELSEWHERE),
            "is signed by .*/mallory/shop/",
            id="a fork",
        ),
        pytest.param(
            Job.of(SIGNER, repository=MALLORY, started=ELSEWHERE),
            "OIDCBuildConfigURI does not match",
            id="called from another repository",
        ),
        pytest.param(
            Job.of(SIGNER, started=OTHER),
            "OIDCBuildConfigURI does not match",
            id="called by another workflow of its own",
        ),
        pytest.param(
            Job.of(SIGNER, ref="refs/heads/feature", started=FEATURE),
            "OIDCBuildConfigURI does not match",
            id="called from another ref",
        ),
        pytest.param(
            Job.of(SIGNER, signer=ELSEWHERE), "is signed by .*/mallory/shop/", id="calling somebody else's workflow"
        ),
        pytest.param(
            Job.of(SIGNER, repository=MALLORY), "OIDCSourceRepositoryURI does not match", id="another source alone"
        ),
        pytest.param(
            Job.of(SIGNER, ref="refs/heads/feature"), "OIDCSourceRepositoryRef does not match", id="another source ref"
        ),
        pytest.param(
            Job.of(SIGNER, issuer="https://token.actions.example.com"),
            "OIDCIssuerV2 does not match",
            id="another issuer",
        ),
        pytest.param(Job.of(SIGNER, commit="main"), "source digest is no commit: main", id="a source without commit"),
    ],
)
def test_any_other_signer_is_refused(standin: StandIn, trust: Trust, job: Job, wrong: str) -> None:
    with pytest.raises(Refused, match=wrong):
        trust.verify(standin.bundle(STATEMENT, job, AT), SIGNER)


@pytest.mark.parametrize("extension", [8, 9, 11, 12, 13, 14, 18, 21])
def test_a_certificate_that_does_not_say_so_is_refused(standin: StandIn, trust: Trust, extension: int) -> None:
    with pytest.raises(Refused, match=rf"1\.3\.6\.1\.4\.1\.57264\.1\.{extension}\b"):
        trust.verify(standin.bundle(STATEMENT, JOB, AT, without={extension}), SIGNER)


def test_extensions_that_nobody_asks_about_may_be_missing(standin: StandIn, trust: Trust) -> None:
    rest = set(range(1, 25)) - {8, 9, 11, 12, 13, 14, 18, 21}
    assert trust.verify(standin.bundle(STATEMENT, JOB, AT, without=rest), SIGNER) == SIGNED


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("dsseEnvelope", "payload"), "DSSE: invalid signature"),
        (("dsseEnvelope", "signatures", 0, "sig"), "DSSE: invalid signature"),
        ((*ENTRY, "canonicalizedBody"), "invalid log entry: inclusion proof"),
        ((*ENTRY, "inclusionProof", "rootHash"), "invalid log entry: inclusion proof"),
        ((*ENTRY, "inclusionPromise", "signedEntryTimestamp"), "invalid log entry: SET: invalid inclusion promise"),
    ],
)
def test_an_altered_bundle_is_refused(standin: StandIn, trust: Trust, path: tuple[str | int, ...], wrong: str) -> None:
    with pytest.raises(Refused, match=wrong):
        trust.verify(flipped(standin.bundle(STATEMENT, JOB, AT), *path), SIGNER)


def test_another_time_than_the_logs_is_refused(standin: StandIn, trust: Trust) -> None:
    later = str(int(AT.timestamp()) + 60)
    bundle = altered(standin.bundle(STATEMENT, JOB, AT), *ENTRY, "integratedTime", to=later)
    with pytest.raises(Refused, match="SET: invalid inclusion promise"):
        trust.verify(bundle, SIGNER)


def test_the_logs_entry_of_another_statement_is_refused(standin: StandIn, trust: Trust) -> None:
    other = json.loads(standin.bundle(STATEMENT.replace(b"yes", b"no"), JOB, AT))
    bundle = altered(standin.bundle(STATEMENT, JOB, AT), *ENTRY, to=at(other, *ENTRY))
    with pytest.raises(Refused, match="log entry payload hash does not match bundle"):
        trust.verify(bundle, SIGNER)


@pytest.mark.parametrize("minutes", [-1, 11])
def test_a_certificate_that_was_not_valid_when_it_was_logged_is_refused(
    standin: StandIn, trust: Trust, minutes: int
) -> None:
    bundle = standin.bundle(STATEMENT, JOB, AT, logged=AT + timedelta(minutes=minutes))
    with pytest.raises(Refused, match="cert is not valid at validation time"):
        trust.verify(bundle, SIGNER)


def test_a_certificate_that_no_log_counted_is_refused(standin: StandIn, trust: Trust) -> None:
    with pytest.raises(Refused, match="does not contain a signed certificate timestamp"):
        trust.verify(standin.bundle(STATEMENT, JOB, AT, counted=False), SIGNER)


def test_another_certificate_log_is_refused(standin: StandIn, trust: Trust) -> None:
    other = copy.copy(standin.authority)
    other.log_key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Refused, match="SCT verify failed"):
        trust.verify(replace(standin, authority=other).bundle(STATEMENT, JOB, AT), SIGNER)


def test_another_authority_is_refused(standin: StandIn, trust: Trust) -> None:
    with pytest.raises(Refused, match="failed to build timestamp certificate chain"):
        trust.verify(replace(standin, authority=Authority()).bundle(STATEMENT, JOB, AT), SIGNER)


def test_another_transparency_log_is_refused(standin: StandIn, trust: Trust) -> None:
    with pytest.raises(Refused, match="invalid log entry: checkpoint: "):
        trust.verify(replace(standin, log=Log()).bundle(STATEMENT, JOB, AT), SIGNER)


def test_another_kind_of_payload_is_refused(standin: StandIn, trust: Trust) -> None:
    with pytest.raises(Refused, match=r"holds text/plain, not application/vnd\.in-toto\+json"):
        trust.verify(standin.bundle(STATEMENT, JOB, AT, kind="text/plain"), SIGNER)


def test_a_timestamp_tells_the_time_where_the_log_tells_none(standin: StandIn, trust: Trust) -> None:
    bundle = standin.bundle(STATEMENT, JOB, AT, logged=AT + timedelta(minutes=2), stamped=True)
    assert trust.verify(bundle, SIGNER) == replace(SIGNED, logged=AT + timedelta(minutes=2))


def test_a_time_that_the_log_does_not_promise_is_none(standin: StandIn, trust: Trust) -> None:
    told = altered(standin.bundle(STATEMENT, JOB, AT, stamped=True), *ENTRY, "integratedTime", to="1")
    assert trust.verify(told, SIGNER) == SIGNED


def test_another_timestamp_authority_is_refused(standin: StandIn, trust: Trust) -> None:
    with pytest.raises(Refused, match="not enough sources of verified time"):
        trust.verify(replace(standin, stamps=StandIn().stamps).bundle(STATEMENT, JOB, AT, stamped=True), SIGNER)


def test_of_two_timestamps_nobody_can_say_which_one_counts(standin: StandIn, trust: Trust) -> None:
    bundle = standin.bundle(STATEMENT, JOB, AT, stamped=True)
    place = ("verificationMaterial", "timestampVerificationData", "rfc3161Timestamps")
    foreign = StandIn().stamps.stamp(b"something else", AT + timedelta(days=1))
    several = [*at(json.loads(bundle), *place), {"signedTimestamp": base64.b64encode(foreign).decode()}]
    with pytest.raises(Refused, match="no time of the log and 2 timestamps"):
        trust.verify(altered(bundle, *place, to=several), SIGNER)


def believed_or_refused(trust: Trust, bundle: bytes) -> None:
    """A refusal with a reason in one line, or exactly what was signed: base64 and JSON can be written in many ways."""
    why = "believed"
    try:
        assert trust.verify(bundle, SIGNER) == SIGNED
    except Refused as refused:
        why = str(refused)
    assert len(why.splitlines()) == 1


@given(begin=st.integers(0), length=st.integers(0, 9), junk=st.binary(max_size=9))
@example(begin=0, length=0, junk=b"[" * 100_000)
@example(begin=0, length=0, junk=b"\xff")
def test_bytes_of_any_kind_are_believed_or_refused(
    standin: StandIn, trust: Trust, begin: int, length: int, junk: bytes
) -> None:
    bundle = standin.bundle(STATEMENT, JOB, AT)
    begin %= len(bundle)
    believed_or_refused(trust, bundle[:begin] + junk + bundle[begin + length :])


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.binary().map(lambda raw: base64.b64encode(raw).decode()),
    st.sampled_from(["9" * 5000, "18446744073709551615", "0.0.2", "hashedrekord", "\ud800", "1", "-1", [], {}]),
)


@given(st.data())
def test_values_of_any_kind_are_believed_or_refused(standin: StandIn, trust: Trust, data: st.DataObject) -> None:
    document = json.loads(standin.bundle(STATEMENT, JOB, AT, stamped=data.draw(st.booleans())))
    place: Any = document
    while True:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    value = place[key]
    if isinstance(value, str) and value and data.draw(st.booleans()):
        raw = bytearray(value.encode())
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.sampled_from(b"AZ09+/= "))
        place[key] = raw.decode(errors="replace")
    else:
        place[key] = data.draw(JUNK)
    believed_or_refused(trust, json.dumps(document).encode())


def test_the_public_good_instance_needs_no_network_and_no_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, standin: StandIn
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("the network is asked"))
    shipped = Trust.of(tmp_path, SHIPPED)
    Signing.of(tmp_path, SHIPPED)
    assert list(home.iterdir()) == []
    with pytest.raises(Refused, match="failed to build timestamp certificate chain"):
        shipped.verify(standin.bundle(STATEMENT, JOB, AT), SIGNER)


@pytest.mark.parametrize(
    "content", [None, "", "{}", "[]", '{"mediaType": "x", "tlogs": []}', "no logs", "no authorities", "no certificate"]
)
def test_a_trusted_root_that_is_none_is_named(tmp_path: Path, standin: StandIn, content: str | None) -> None:
    settings = standin.write(tmp_path)
    root = standin.trusted_root()
    damaged = copy.deepcopy(root)
    damaged["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"] = "AAAA"
    named = {
        "no logs": root | {"tlogs": []},
        "no authorities": root | {"certificateAuthorities": []},
        "no certificate": damaged,
    }
    file = tmp_path / "trusted_root.json"
    if content is None:
        file.unlink()
    else:
        file.write_text(json.dumps(named[content]) if content in named else content, encoding="utf-8")
    with pytest.raises(InputError, match=r"^trusted_root\.json: (cannot be read|is no TrustedRoot)"):
        Trust.of(tmp_path, settings)


@pytest.mark.parametrize(("subject", "code"), [(SIGNER.subject, 0), (OTHER, 1)])
def test_the_librarys_own_command_believes_the_same_bundle(
    standin: StandIn, tmp_path: Path, subject: str, code: int
) -> None:
    """`sigstore verify github`: signature, log, certificate, subject, repository, ref and the statement's digest.

    Of what is pinned here it asks neither the second issuer nor who called the workflow; it is no oracle for those.
    """
    standin.write(tmp_path)
    config = {"mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"}
    config |= {"trustedRoot": standin.trusted_root(), "signingConfig": standin.services()}
    files = {"config": json.dumps(config).encode(), "bundle": standin.bundle(STATEMENT, JOB, AT)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    where = ["--repository", "acme/shop", "--ref", SIGNER.ref, "--sha", COMMIT, f"sha256:{DIGEST}"]
    verify = ["verify", "github", "--bundle", "bundle", "--cert-identity", subject, *where]
    command = [sys.executable, "-m", "sigstore", "--trust-config", "config", *verify]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert ("OK: " if code == 0 else "FAIL: ") in done.stderr


def test_the_command_line_starts_without_sigstore() -> None:
    asked = "import sys, ladder.cli; sys.exit('sigstore' in sys.modules)"
    subprocess.run([sys.executable, "-c", asked], cwd=ROOT, check=True)
