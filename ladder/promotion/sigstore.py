"""Signatures by Sigstore: whom a bundle was signed by and when, and signing as the workflow that runs.

Nothing here is decided by who holds a key: a certificate says which workflow of which commit asked for it, a log says
when. Rules: sigstore/fulcio, docs/oid-info.md, and what sigstore-python verifies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat import asn1
from cryptography.x509 import (
    Certificate,
    ObjectIdentifier,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    UnrecognizedExtension,
)
from sigstore.dsse import Statement
from sigstore.errors import VerificationError
from sigstore.models import Bundle, SigningConfig, TrustedRoot
from sigstore.oidc import IdentityToken, detect_credential
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy

from ladder.contract.promotion import Sigstore, Workflow
from ladder.errors import CheckFailed, InputError, Problem
from ladder.promotion import Broken

__all__ = ["Refused", "Signed", "Signing", "Trust"]

_IN_TOTO = "application/vnd.in-toto+json"
_SOURCE_DIGEST = ObjectIdentifier("1.3.6.1.4.1.57264.1.13")
_RUN = ObjectIdentifier("1.3.6.1.4.1.57264.1.21")
_RUNNER = ObjectIdentifier("1.3.6.1.4.1.57264.1.11")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PUBLIC_GOOD = "https://tuf-repo-cdn.sigstore.dev"
_LONGEST = 500


class Refused(Broken):
    """A signature that is not believed, and why."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement whose signature is believed.

    ``logged`` is the verified time of the transparency log, or of a timestamp authority where the log tells none.
    ``commit``, ``run`` and ``runner`` are the certificate's: the source that the workflow ran on, the run's address,
    and what kind of machine it ran on.
    """

    statement: bytes
    logged: datetime
    commit: str
    run: str
    runner: str


class Trust:
    """Which certificate authorities and logs are believed."""

    def __init__(self, root: TrustedRoot) -> None:
        self._verifier = Verifier(trusted_root=root)

    @classmethod
    def of(cls, root: Path, settings: Sigstore) -> Trust:
        """The trusted root of the settings. Raises InputError where there is none.

        Null is the public-good instance as the installed version of sigstore-python carries it: nothing is asked for,
        and nothing below the user's home is read or written. New keys of that instance come with a new version.
        """
        with _usable(settings.trusted_root, "TrustedRoot"):
            return cls(_trusted(root, settings.trusted_root))

    def verify(self, bundle: bytes, signer: Workflow) -> Signed:
        """The statement in a bundle that this workflow signed. Raises Refused for anything else."""
        try:
            read = Bundle.from_json(bundle)
            kind, statement = self._verifier.verify_dsse(read, _policy(signer))
            if kind != _IN_TOTO:
                raise VerificationError(f"holds {kind}, not {_IN_TOTO}")
            told = (_extension(read.signing_certificate, each) for each in (_SOURCE_DIGEST, _RUN, _RUNNER))
            commit, run, runner = told
            if not _COMMIT.fullmatch(commit):
                raise VerificationError(f"its certificate's source digest is no commit: {commit}")
            return Signed(statement, _logged(read), commit, run, runner)
        # What is malformed fails in any of the library's parsers, each with errors of its own.
        except Exception as error:
            raise Refused(_plain(error)) from error


class Signing:
    """Signs as the workflow that this process runs in."""

    def __init__(self, root: TrustedRoot, services: SigningConfig) -> None:
        self._context = SigningContext(
            fulcio=services.get_fulcio(),
            rekor=services.get_tlogs()[0],
            trusted_root=root,
            tsa_clients=services.get_tsas(),
        )

    @classmethod
    def of(cls, root: Path, settings: Sigstore) -> Signing:
        """The services of the settings, null as for :meth:`Trust.of`. Raises InputError."""
        with _usable(settings.trusted_root, "TrustedRoot"):
            trusted = _trusted(root, settings.trusted_root)
        name = settings.signing_config
        with _usable(name, "SigningConfig"), _file(root, name, "signing_config.v0.2.json") as path:
            return cls(trusted, SigningConfig.from_file(str(path)))

    def sign(self, statement: bytes) -> bytes:
        """A bundle: the statement signed, certified and logged. Raises CheckFailed where any of it cannot be done."""
        with _told("what shall be signed is no in-toto statement"):
            content = Statement(statement)
        with _told("the workflow's identity cannot be had"):
            credential = detect_credential()
        if credential is None:
            raise CheckFailed("only a workflow signs, and this runs in none: there is no identity to sign as")
        with ExitStack() as stack:
            with _told("there is no certificate to sign with"):
                signer = stack.enter_context(self._context.signer(IdentityToken(credential)))
            with _told("the statement cannot be signed and logged"):
                return signer.sign_dsse(content).to_json().encode()


def _policy(signer: Workflow) -> policy.AllOf:
    """The workflow that signs and the one that was started are the same, of this repository at this ref.

    The subject and the build signer tell the workflow whose job has the token, which a workflow anywhere may call as a
    reusable one; the build config and the source tell who called it.
    """
    return policy.AllOf(
        [
            policy.OIDCIssuerV2(signer.issuer),
            _Subject(signer.subject),
            policy.OIDCBuildSignerURI(signer.subject),
            policy.OIDCBuildConfigURI(signer.subject),
            policy.OIDCSourceRepositoryURI(signer.repository),
            policy.OIDCSourceRepositoryRef(signer.ref),
        ]
    )


class _Subject:
    """The certificate's only subject. The library's ``Identity`` takes it among others too, and as a mail address."""

    def __init__(self, subject: str) -> None:
        self._subject = subject

    def verify(self, cert: Certificate) -> None:
        names = list(cert.extensions.get_extension_for_class(SubjectAlternativeName).value)
        if names != [UniformResourceIdentifier(self._subject)]:
            signers = ", ".join(str(name.value) for name in names)
            raise VerificationError(f"is signed by {signers}, not by {self._subject}")


def _extension(certificate: Certificate, oid: ObjectIdentifier) -> str:
    """The text of one of Fulcio's extensions from .8 on: an UTF8String in DER."""
    value = certificate.extensions.get_extension_for_oid(oid).value
    if not isinstance(value, UnrecognizedExtension):
        raise VerificationError(f"its certificate's {oid.dotted_string} is none of Fulcio's")
    return asn1.decode_der(str, value.value)


def _logged(bundle: Bundle) -> datetime:
    """The time that the library verified.

    It verifies the log's time by the promise beside it; no property tells it, so it is read from the bundle as it was
    understood. Of timestamps, the library asks that one be good, and does not say which.
    """
    (entry,) = json.loads(bundle.to_json())["verificationMaterial"]["tlogEntries"]
    if entry.get("inclusionPromise") and (seconds := int(entry.get("integratedTime", 0))):
        return datetime.fromtimestamp(seconds, UTC)
    stamps = bundle.verification_material.timestamp_verification_data
    times = stamps.rfc3161_timestamps if stamps else []
    if len(times) != 1:
        raise VerificationError(f"has no time of the log and {len(times)} timestamps: which one counts is not told")
    return times[0].tst_info.gen_time.astimezone(UTC)


def _trusted(root: Path, name: str | None) -> TrustedRoot:
    with _file(root, name, "trusted_root.json") as path:
        return TrustedRoot.from_file(str(path))


@contextmanager
def _file(root: Path, name: str | None, shipped: str) -> Generator[Path]:
    """The project's file, or for null the one that the library carries for the public-good instance.

    The library's own ``ClientTrustConfig.production(offline=True)`` believes a cache in the user's home before what it
    carries, and writes there; no call of it reads what it carries and nothing else.
    """
    if name is not None:
        yield root / name
        return
    carried = resources.files("sigstore") / "_store" / quote(_PUBLIC_GOOD, safe="") / shipped
    with resources.as_file(carried) as path:
        yield path


@contextmanager
def _usable(name: str | None, kind: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
        raise InputError(Problem(file=name or "sigstore-python", message=why, accepted=f"Sigstore's {kind}")) from error
    except Exception as error:
        why = f"is no {kind} of Sigstore's: {_plain(error)}"
        raise InputError(Problem(file=name or "sigstore-python", message=why)) from error


@contextmanager
def _told(what: str) -> Generator[None]:
    """Whatever fails below is told in one sentence: the library's clients raise errors of their own and of others."""
    try:
        yield
    except Exception as error:
        raise CheckFailed(f"{what}: {_plain(error)}") from error


def _plain(error: BaseException) -> str:
    """What went wrong, in one line; of a request, the address and that it was not answered, or how."""
    chain = [error, *(each for each in (error.__cause__, error.__context__) if each)]
    request = next((each for each in (getattr(link, "request", None) for link in chain) if each is not None), None)
    if isinstance(error, LookupError | AttributeError | TypeError):
        return f"is not formed as it should be ({type(error).__name__})"
    if request is None:
        return " ".join(str(error).split())[:_LONGEST] or type(error).__name__
    response = next((each for each in (getattr(link, "response", None) for link in chain) if each is not None), None)
    how = type(error).__name__ if response is None else f"answers {response.status_code}"
    return f"{request.url}: {how}"
