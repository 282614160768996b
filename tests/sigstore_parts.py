"""What a stand-in for Sigstore is made of: a workflow's job, a certificate authority with its log, and Rekor's log.

What they make is real (certificates, SCTs, Merkle proofs, checkpoints, promises); only their keys are nobody's. Rules:
sigstore/fulcio, docs/oid-info.md; RFC 6962 (SCTs, Merkle trees); sigstore/rekor, openapi.yaml.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ladder.contract.promotion import Workflow
from tests.sigstore_timestamps import der

__all__ = [
    "COMMIT",
    "ECDSA",
    "PROVENANCE",
    "SBOM",
    "SIGNATURE",
    "Authority",
    "Job",
    "Log",
    "b64",
    "key_id",
    "pae",
    "provenance",
    "public",
    "said",
]

COMMIT = "5f" * 20
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
SBOM = "https://spdx.dev/Document/v2.3"
PROVENANCE = "https://slsa.dev/provenance/v1"
ECDSA = ec.ECDSA(hashes.SHA256())
_SERVER = "https://github.com"
_BEGAN, _ENDS = datetime(2020, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


@dataclass(frozen=True)
class Job:
    """A job of a workflow's run, as its token tells: ``signer`` is the job's workflow, ``started`` the run's."""

    issuer: str
    repository: str
    ref: str
    signer: str
    started: str
    commit: str = COMMIT
    run: int = 7_301_188_421
    runner: str = "github-hosted"

    @classmethod
    def of(cls, workflow: Workflow, **changed: Any) -> Job:
        where = {"issuer": workflow.issuer, "repository": workflow.repository, "ref": workflow.ref}
        return cls(**({**where, "signer": workflow.subject, "started": workflow.subject} | changed))

    @property
    def invocation(self) -> str:
        return f"{self.repository}/actions/runs/{self.run}/attempts/1"

    def claims(self, at: datetime) -> dict[str, Any]:
        """Rule: docs.github.com, "OpenID Connect reference"."""
        name = self.repository.removeprefix(f"{_SERVER}/")
        owner = name.partition("/")[0]
        return {
            "iss": self.issuer,
            "aud": "sigstore",
            "sub": f"repo:{name}:ref:{self.ref}",
            "iat": int(at.timestamp()),
            "nbf": int(at.timestamp()),
            "exp": int(at.timestamp()) + 300,
            "repository": name,
            "repository_id": "1296269",
            "repository_owner": owner,
            "repository_owner_id": "583231",
            "repository_visibility": "private",
            "ref": self.ref,
            "sha": self.commit,
            "event_name": "push",
            "workflow": "build",
            "workflow_ref": self.started.removeprefix(f"{_SERVER}/"),
            "workflow_sha": self.commit,
            "job_workflow_ref": self.signer.removeprefix(f"{_SERVER}/"),
            "job_workflow_sha": self.commit,
            "run_id": str(self.run),
            "run_attempt": "1",
            "runner_environment": self.runner,
        }


class Authority:
    """Fulcio and its certificate log: a root, the intermediate that issues, and the log's key."""

    def __init__(self) -> None:
        root_key, self._key, self.log_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
        self.root = _ca("root", root_key, root_key, 1)
        self.intermediate = _ca("intermediate", self._key, root_key, 0)

    @property
    def chain(self) -> list[x509.Certificate]:
        return [self.intermediate, self.root]

    def certify(
        self,
        key: ec.EllipticCurvePublicKey,
        claims: Mapping[str, Any],
        at: datetime,
        *,
        counted: bool = True,
        without: Collection[int] = (),
    ) -> x509.Certificate:
        """A certificate of ten minutes, ``without`` some of the extensions.

        One that is not ``counted`` was never shown to the certificate log.
        """
        told = {number: value for number, value in _extensions(claims).items() if number not in without}
        builder = self._builder(key, f"{_SERVER}/{claims['job_workflow_ref']}", told, at)
        certificate = builder.sign(self._key, hashes.SHA256())
        if not counted:
            return certificate
        signed, moment = certificate.tbs_certificate_bytes, int(at.timestamp()) * 1000
        head = struct.pack("!BBQH", 0, 0, moment, 1) + key_id(self._key.public_key())
        signature = self.log_key.sign(head + len(signed).to_bytes(3, "big") + signed + b"\0\0", ECDSA)
        stamp = struct.pack("!B32sQH", 0, key_id(self.log_key.public_key()), moment, 0)
        stamp += struct.pack("!BBH", 4, 3, len(signature)) + signature
        listed = der(0x04, struct.pack("!HH", len(stamp) + 2, len(stamp)), stamp)
        whole = builder.add_extension(x509.UnrecognizedExtension(_SCTS, listed), critical=False)
        return whole.sign(self._key, hashes.SHA256())

    def _builder(
        self, key: ec.EllipticCurvePublicKey, subject: str, told: Mapping[int, str], at: datetime
    ) -> x509.CertificateBuilder:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        begins = at.replace(microsecond=0)
        builder = (
            x509.CertificateBuilder(self.intermediate.subject, x509.Name([]), key, x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(minutes=10))
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(issuer, critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(subject)]), critical=True)
        )
        for number, value in told.items():
            encoded = value.encode() if number < 8 else der(0x0C, value.encode())
            oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, encoded), critical=False)
        return builder


def said(digest: str, kind: str, predicate: Any) -> bytes:
    """An in-toto statement of an image."""
    subject = {"name": "registry.example/web", "digest": {"sha256": digest.removeprefix("sha256:")}}
    statement = {"_type": "https://in-toto.io/Statement/v1", "subject": [subject]}
    return json.dumps(statement | {"predicateType": kind, "predicate": predicate}).encode()


def provenance(job: Job, builder: str) -> dict[str, Any]:
    """Rule: actions/toolkit, packages/attest/src/provenance.ts."""
    path = job.started.removeprefix(f"{job.repository}/").partition("@")[0]
    source = {"uri": f"git+{job.repository}@{job.ref}", "digest": {"gitCommit": job.commit}}
    return {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": {"ref": job.ref, "repository": job.repository, "path": path}},
            "internalParameters": {"github": {"event_name": "push", "runner_environment": "github-hosted"}},
            "resolvedDependencies": [source],
        },
        "runDetails": {"builder": {"id": builder}, "metadata": {"invocationId": job.invocation}},
    }


def _extensions(claims: Mapping[str, Any]) -> dict[int, str]:
    """Rule: sigstore/fulcio, config/identity/config.yaml, ``github-workflow``."""
    run = f"{claims['repository']}/actions/runs/{claims['run_id']}/attempts/{claims['run_attempt']}"
    plain = {1: "iss", 2: "event_name", 3: "sha", 4: "workflow", 5: "repository", 6: "ref", 8: "iss"}
    plain |= {10: "job_workflow_sha", 11: "runner_environment", 13: "sha", 14: "ref", 15: "repository_id"}
    plain |= {17: "repository_owner_id", 19: "workflow_sha", 20: "event_name", 22: "repository_visibility", 24: "sub"}
    below = {9: "job_workflow_ref", 12: "repository", 16: "repository_owner", 18: "workflow_ref"}
    texts = {number: str(claims[name]) for number, name in plain.items()}
    texts |= {number: f"{_SERVER}/{claims[name]}" for number, name in below.items()}
    return texts | {21: f"{_SERVER}/{run}"}


@dataclass
class Log:
    """Rekor: a growing tree, whose newest leaf is proven by the peaks of what was there before."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    size: int = 0
    _peaks: list[bytes] = field(default_factory=list[bytes])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, envelope: Mapping[str, Any], certificate: x509.Certificate, at: datetime) -> dict[str, Any]:
        """The entry of a DSSE envelope, as Rekor's API tells it."""
        payload, text = base64.b64decode(envelope["payload"]), json.dumps(envelope).encode()
        verifier = base64.b64encode(certificate.public_bytes(Encoding.PEM)).decode()
        signatures = [{"signature": each["sig"], "verifier": verifier} for each in envelope["signatures"]]
        hashed = {"envelopeHash": _hash(text), "payloadHash": _hash(payload), "signatures": signatures}
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": hashed})
        with self._lock:
            index, path, root = self.size, list(reversed(self._peaks)), hashlib.sha256(b"\0" + body).digest()
            self._grow(root)
        for peak in path:
            root = hashlib.sha256(b"\1" + peak + root).digest()
        identity = key_id(self.key.public_key())
        place = {"body": b64(body), "integratedTime": int(at.timestamp())}
        place |= {"logID": identity.hex(), "logIndex": index + 1000}
        note = f"rekor.stand-in - 1\n{index + 1}\n{b64(root)}\n"
        mark = b64(identity[:4] + self.key.sign(note.encode(), ECDSA))
        proof = {
            "logIndex": index,
            "treeSize": index + 1,
            "rootHash": root.hex(),
            "hashes": [each.hex() for each in path],
            "checkpoint": f"{note}\n\u2014 rekor.stand-in {mark}\n",
        }
        promise = b64(self.key.sign(_canonical(place), ECDSA))
        return place | {"verification": {"inclusionProof": proof, "signedEntryTimestamp": promise}}

    def _grow(self, leaf: bytes) -> None:
        whole, size = leaf, self.size
        while size & 1:
            whole, size = hashlib.sha256(b"\1" + self._peaks.pop() + whole).digest(), size >> 1
        self._peaks.append(whole)
        self.size += 1


def pae(kind: str, payload: bytes) -> bytes:
    """What a DSSE signature is of. Rule: secure-systems-lab/dsse, protocol.md."""
    return f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload


def _ca(name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey, below: int) -> x509.Certificate:
    named = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"stand-in {each}")]) for each in (name, "root")]
    identity = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
    builder = (
        x509.CertificateBuilder(named[1], named[0], key.public_key(), x509.random_serial_number(), _BEGAN, _ENDS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(identity, critical=False)
        .add_extension(authority, critical=False)
    )
    return builder.sign(issuer, hashes.SHA256())


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(signs, False, False, False, False, not signs, not signs, False, False)


def public(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    return hashlib.sha256(public(key)).digest()


def _hash(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()
