"""Tools that are not this project's believe the same files: evidence is in no format of its own."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ladder.contract.promotion import Workflow, read_promotion
from tests.promotion.places import Place

STATEMENT = "https://in-toto.io/Statement/v1"


def stock(place: Place, bundle: Path, signer: Workflow, digest: str) -> subprocess.CompletedProcess[str]:
    """Sigstore's own verifier, offline."""
    trust = place.root.parent / "trust.json"
    media = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
    parts = {"trustedRoot": place.sigstore.trusted_root(), "signingConfig": place.sigstore.services()}
    trust.write_text(json.dumps({"mediaType": media, **parts}), encoding="utf-8")
    command = [sys.executable, "-m", "sigstore", "--trust-config", str(trust), "verify", "identity", "--offline"]
    command += ["--bundle", str(bundle), "--cert-identity", signer.subject, "--cert-oidc-issuer", signer.issuer, digest]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def observed(place: Place) -> Path:
    place.observe("dev", datetime.now(UTC))
    return place.root / "evidence/dev/000001-observed.sigstore.json"


def test_sigstores_own_verifier_believes_a_statement_of_the_digests_it_is_about(place: Place, observed: Path) -> None:
    signers = read_promotion(place.root).evidence.signers
    for each in place.versions("dev").values():
        for digest in (each.image, each.chart):
            done = stock(place, observed, signers.observed, digest)
            assert done.returncode == 0, done.stderr
    assert stock(place, observed, signers.observed, f"sha256:{'0a' * 32}").returncode
    assert stock(place, observed, signers.request, place.versions("dev")["api"].image).returncode


def test_sigstores_own_verifier_refuses_it_altered(place: Place, observed: Path) -> None:
    document = json.loads(observed.read_text())
    payload = base64.b64decode(document["dsseEnvelope"]["payload"])
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload.replace(b'"pods":2', b'"pods":3')).decode()
    observed.write_text(json.dumps(document))
    signer = read_promotion(place.root).evidence.signers.observed
    assert stock(place, observed, signer, place.versions("dev")["api"].image).returncode


def test_a_statement_is_in_totos(place: Place, observed: Path) -> None:
    envelope = json.loads(observed.read_text())["dsseEnvelope"]
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == STATEMENT
    assert {each["name"] for each in statement["subject"]} == {
        f"{name}/{what}" for name in place.versions("dev") for what in ("image", "chart")
    }
