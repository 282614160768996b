"""Signing as a workflow, by way of a stand-in for Sigstore that is asked by HTTP."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ladder.errors import CheckFailed, InputError
from ladder.promotion.sigstore import Signing, Trust
from tests.previews.serving import Reply, serving
from tests.promotion.bundles import AT, JOB, SIGNED, SIGNER, STATEMENT
from tests.sigstore_stand_in import Authority, StandIn

AMBIENT = ("GITHUB_ACTIONS", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITLAB_CI", "CIRCLECI")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A stand-in that is asked by HTTP, with this process in its job."""
    for name in AMBIENT:
        monkeypatch.delenv(name, raising=False)
    standin = StandIn(job=JOB)
    with serving(standin):
        for name, value in standin.environment.items():
            monkeypatch.setenv(name, value)
        yield standin


def test_a_workflow_signs_and_is_believed(served: StandIn, tmp_path: Path) -> None:
    settings, before = served.write(tmp_path), datetime.now(UTC).replace(microsecond=0)
    bundle = Signing.of(tmp_path, settings).sign(STATEMENT)
    assert [asked.path for asked in served.asked] == ["/token", "/api/v2/signingCert", "/api/v1/log/entries"]
    signed = Trust.of(tmp_path, settings).verify(bundle, SIGNER)
    assert replace(signed, logged=AT) == SIGNED
    assert before <= signed.logged <= datetime.now(UTC)


def test_each_signature_has_a_certificate_of_its_own(served: StandIn, tmp_path: Path) -> None:
    signing = Signing.of(tmp_path, served.write(tmp_path))
    first, second = (json.loads(signing.sign(STATEMENT))["verificationMaterial"]["certificate"] for _ in range(2))
    assert first != second


def test_nobody_signs_outside_of_a_workflow(served: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AMBIENT:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CheckFailed, match="only a workflow signs, and this runs in none"):
        Signing.of(tmp_path, served.write(tmp_path)).sign(STATEMENT)
    assert served.asked == []


def test_a_job_that_may_not_ask_for_a_token_is_told_so(
    served: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    with pytest.raises(CheckFailed, match="missing or insufficient OIDC token permissions"):
        Signing.of(tmp_path, served.write(tmp_path)).sign(STATEMENT)


@pytest.mark.parametrize(
    ("path", "status", "wrong"),
    [
        ("/token", 500, "the workflow's identity cannot be had: GitHub: OIDC token request failed"),
        ("/api/v2/signingCert", 503, "there is no certificate to sign with: http.*/api/v2/signingCert: answers 503"),
        ("/api/v2/signingCert", 200, "there is no certificate to sign with: Fulcio response missing certificate chain"),
        ("/api/v1/log/entries", 400, "the statement cannot be signed and logged: http.*/entries: answers 400"),
        ("/api/v1/log/entries", 200, "the statement cannot be signed and logged: "),
    ],
)
def test_a_service_that_refuses_is_named(served: StandIn, tmp_path: Path, path: str, status: int, wrong: str) -> None:
    signing = Signing.of(tmp_path, served.write(tmp_path))
    served.trouble = lambda asked: Reply(status, b"{}") if asked.path == path else None
    with pytest.raises(CheckFailed, match=wrong) as told:
        signing.sign(STATEMENT)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("/token", b"", "identity cannot be had: GitHub: malformed or incomplete JSON"),
        ("/token", b'{"value": "x"}', "identity cannot be had: Malformed token"),
        ("/api/v2/signingCert", b"[]", r"no certificate to sign with: is not formed as it should be \(TypeError\)"),
        ("/api/v1/log/entries", b'{"x": {}}', r"be signed and logged: is not formed as it should be \(KeyError\)"),
    ],
)
def test_a_service_that_answers_something_else_is_told(
    served: StandIn, tmp_path: Path, path: str, body: bytes, wrong: str
) -> None:
    served.trouble = lambda asked: Reply(200, body) if asked.path == path else None
    with pytest.raises(CheckFailed, match=wrong):
        Signing.of(tmp_path, served.write(tmp_path)).sign(STATEMENT)


def test_a_service_that_is_down_is_named(served: StandIn, tmp_path: Path) -> None:
    settings = served.write(tmp_path)
    services = served.services()
    with socket.create_server(("127.0.0.1", 0)) as unused:
        services["caUrls"] = [services["caUrls"][0] | {"url": f"http://127.0.0.1:{unused.getsockname()[1]}"}]
    (tmp_path / "signing_config.json").write_text(json.dumps(services), encoding="utf-8")
    with pytest.raises(CheckFailed, match=r"no certificate to sign with: http://127.*/signingCert: ConnectionError$"):
        Signing.of(tmp_path, settings).sign(STATEMENT)


def test_a_certificate_that_is_not_trusted_signs_nothing(served: StandIn, tmp_path: Path) -> None:
    settings = served.write(tmp_path)
    served.authority = Authority()
    with pytest.raises(CheckFailed, match="there is no certificate to sign with: SCT verify failed"):
        Signing.of(tmp_path, settings).sign(STATEMENT)
    assert "/api/v1/log/entries" not in {asked.path for asked in served.asked}


def test_what_is_no_statement_is_not_signed(served: StandIn, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="is no in-toto statement"):
        Signing.of(tmp_path, served.write(tmp_path)).sign(b'{"_type": "x"}')
    assert served.asked == []


@pytest.mark.parametrize("content", [None, "", "{}", "no authority", "no log"])
def test_a_signing_config_that_is_none_is_named(tmp_path: Path, content: str | None) -> None:
    standin = StandIn()
    settings, services = standin.write(tmp_path), standin.services()
    named = {"no authority": services | {"caUrls": []}, "no log": services | {"rekorTlogUrls": []}}
    file = tmp_path / "signing_config.json"
    if content is None:
        file.unlink()
    else:
        file.write_text(json.dumps(named[content]) if content in named else content, encoding="utf-8")
    with pytest.raises(InputError, match=r"^signing_config\.json: (cannot be read|is no SigningConfig)"):
        Signing.of(tmp_path, settings)
