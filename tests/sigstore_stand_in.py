"""A stand-in for Sigstore on loopback: a workflow's OIDC tokens, Fulcio and the first version of Rekor.

Bundles can be had of it without HTTP too, by any workflow and of any time. Rules: sigstore/fulcio, fulcio.proto;
sigstore/rekor, openapi.yaml; sigstore/protobuf-specs (bundles, TrustedRoot, SigningConfig).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ladder.contract.promotion import Sigstore
from tests.previews.serving import Asked, Reply
from tests.previews.serving import StandIn as Answering
from tests.sigstore_parts import (
    COMMIT,
    ECDSA,
    PROVENANCE,
    SBOM,
    SIGNATURE,
    Authority,
    Job,
    Log,
    b64,
    key_id,
    pae,
    provenance,
    public,
    said,
)
from tests.sigstore_timestamps import Stamps

__all__ = [
    "COMMIT",
    "PROVENANCE",
    "SBOM",
    "SIGNATURE",
    "Authority",
    "Job",
    "Log",
    "StandIn",
    "provenance",
    "push_bundles",
    "said",
]

_BEGAN = "2020-01-01T00:00:00Z"
_IN_TOTO = "application/vnd.in-toto+json"
_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_RUNNER_TOKEN = "the-runner's-own"


@dataclass
class StandIn(Answering):
    """All of it. ``job`` is the one whose token is asked for."""

    authority: Authority = field(default_factory=Authority)
    log: Log = field(default_factory=Log)
    stamps: Stamps = field(default_factory=Stamps)
    job: Job | None = None
    _tokens: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def bundle(
        self,
        statement: bytes,
        job: Job,
        at: datetime,
        *,
        counted: bool = True,
        without: Collection[int] = (),
        logged: datetime | None = None,
        kind: str = _IN_TOTO,
        stamped: bool = False,
    ) -> bytes:
        """A bundle by this job, without asking by HTTP: certified at ``at``, logged then or at another time.

        One that is ``stamped`` has a timestamp in place of the log's promise.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.authority.certify(key.public_key(), job.claims(at), at, counted=counted, without=without)
        signature = key.sign(pae(kind, statement), ECDSA)
        envelope = {"payload": b64(statement), "payloadType": kind, "signatures": [{"sig": b64(signature)}]}
        entry = self.log.enter(envelope, certificate, logged or at)
        proof = entry["verification"]["inclusionProof"]
        told = {
            "logIndex": str(entry["logIndex"]),
            "logId": {"keyId": b64(bytes.fromhex(entry["logID"]))},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "inclusionProof": {
                "logIndex": str(proof["logIndex"]),
                "rootHash": b64(bytes.fromhex(proof["rootHash"])),
                "treeSize": str(proof["treeSize"]),
                "hashes": [b64(bytes.fromhex(each)) for each in proof["hashes"]],
                "checkpoint": {"envelope": proof["checkpoint"]},
            },
            "canonicalizedBody": entry["body"],
        }
        material: dict[str, Any] = {"certificate": {"rawBytes": b64(certificate.public_bytes(Encoding.DER))}}
        if stamped:
            stamp = {"signedTimestamp": b64(self.stamps.stamp(signature, logged or at))}
            material["timestampVerificationData"] = {"rfc3161Timestamps": [stamp]}
        else:
            promise = {"signedEntryTimestamp": entry["verification"]["signedEntryTimestamp"]}
            told |= {"integratedTime": str(entry["integratedTime"]), "inclusionPromise": promise}
        material["tlogEntries"] = [told]
        whole = {"mediaType": _BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope}
        return json.dumps(whole).encode()

    def image(self, digest: str, job: Job, at: datetime, builder: str) -> dict[str, bytes]:
        """What lets an image enter dev, by the predicates' types: its signature, SBOM and provenance, by this job."""
        every = {SIGNATURE: {}, SBOM: {"spdxVersion": "SPDX-2.3"}, PROVENANCE: provenance(job, builder)}
        return {kind: self.bundle(said(digest, kind, content), job, at) for kind, content in every.items()}

    def write(self, folder: Path) -> Sigstore:
        """Its TrustedRoot and SigningConfig as files, and the settings that name them."""
        for name, content in {"trusted_root.json": self.trusted_root(), "signing_config.json": self.services()}.items():
            (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
        return Sigstore(trustedRoot="trusted_root.json", signingConfig="signing_config.json")

    def trusted_root(self) -> dict[str, Any]:
        authority = [each.public_bytes(Encoding.DER) for each in self.authority.chain]
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log(self.url, self.log.key)],
            "certificateAuthorities": [_chain(self.url, authority)],
            "ctlogs": [_log(f"{self.url}/ct", self.authority.log_key)],
            "timestampAuthorities": [_chain(f"{self.url}/stamps", self.stamps.chain)],
        }

    def services(self) -> dict[str, Any]:
        """Rule: sigstore/protobuf-specs, ``SigningConfig``."""
        at = {"url": self.url, "majorApiVersion": 1, "validFor": {"start": _BEGAN}, "operator": "stand-in"}
        return {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [at],
            "oidcUrls": [],
            "rekorTlogUrls": [at],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaUrls": [],
            "tsaConfig": {"selector": "ANY"},
        }

    @property
    def environment(self) -> dict[str, str]:
        """What a runner sets for a job that may ask for tokens."""
        request = {"URL": f"{self.url}/token?api-version=2.0", "TOKEN": _RUNNER_TOKEN}
        return {"GITHUB_ACTIONS": "true"} | {f"ACTIONS_ID_TOKEN_REQUEST_{key}": value for key, value in request.items()}

    def reply(self, asked: Asked) -> Reply:
        bearer = asked.headers.get("authorization", "").partition(" ")[2]
        match asked.path:
            case "/token":
                status, told = self._token(bearer, asked.query["audience"])
            case "/api/v2/signingCert":
                status, told = self._certificate(bearer, json.loads(asked.body))
            case "/api/v1/log/entries":
                status, told = self._entry(json.loads(asked.body))
            case _:
                status, told = 404, {"code": 404, "message": "not found"}
        return Reply(status, json.dumps(told).encode(), {"Content-Type": "application/json"})

    def _token(self, bearer: str, audience: str) -> tuple[int, Any]:
        if bearer != _RUNNER_TOKEN or self.job is None:
            return 401, {"message": "Bad credentials"}
        claims = self.job.claims(datetime.now(UTC)) | {"aud": audience}
        return 200, {"value": jwt.encode(claims, self._tokens, algorithm="ES256")}

    def _certificate(self, bearer: str, asked: Any) -> tuple[int, Any]:
        try:
            claims = jwt.decode(bearer, self._tokens.public_key(), algorithms=["ES256"], audience="sigstore")
        except jwt.InvalidTokenError as error:
            return 400, {"code": 3, "message": str(error)}
        request = x509.load_pem_x509_csr(base64.b64decode(asked["certificateSigningRequest"]))
        key = request.public_key()
        if not request.is_signature_valid or not isinstance(key, ec.EllipticCurvePublicKey):
            return 400, {"code": 3, "message": "the key is not the requester's"}
        chain = [self.authority.certify(key, claims, datetime.now(UTC)), *self.authority.chain]
        texts = [each.public_bytes(Encoding.PEM).decode() for each in chain]
        return 201, {"signedCertificateEmbeddedSct": {"chain": {"certificates": texts}}}

    def _entry(self, proposed: Any) -> tuple[int, Any]:
        content = proposed["spec"]["proposedContent"]
        envelope = json.loads(content["envelope"])
        certificate = x509.load_pem_x509_certificate(base64.b64decode(content["verifiers"][0]))
        key = certificate.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        try:
            signed = pae(envelope["payloadType"], base64.b64decode(envelope["payload"]))
            key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed, ECDSA)
        except InvalidSignature:
            return 400, {"code": 400, "message": "the signature is not the certificate's"}
        entry = self.log.enter(envelope, certificate, datetime.now(UTC))
        return 201, {f"{entry['logIndex']:080x}": entry}


def push_bundles(url: str, repository: str, image: str, bundles: Iterable[bytes]) -> None:
    """Attach bundles to an image that the registry has under that digest, as cosign and GitHub's actions/attest do.

    Where the registry has no referrers API, they are listed under the tag that stands in for it.
    """
    base = f"{url}/v2/{repository}"
    subject = _descriptor(httpx.get(f"{base}/manifests/{image}").raise_for_status().content, _MANIFEST)
    config = {"mediaType": "application/vnd.oci.empty.v1+json"} | _blob(base, b"{}")
    listed: list[dict[str, Any]] = []
    for bundle in bundles:
        layer = {"mediaType": _BUNDLE} | _blob(base, bundle)
        whole = {"schemaVersion": 2, "mediaType": _MANIFEST, "artifactType": _BUNDLE, "config": config}
        text = json.dumps(whole | {"layers": [layer], "subject": subject}).encode()
        listed.append(_descriptor(text, _MANIFEST) | {"artifactType": _BUNDLE})
        _put(base, listed[-1]["digest"], text, _MANIFEST)
    if not httpx.get(f"{base}/referrers/{image}").is_success:
        tag = image.replace(":", "-")
        before = httpx.get(f"{base}/manifests/{tag}", headers={"Accept": _INDEX})
        known = before.json()["manifests"] if before.is_success else []
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [*known, *listed]}
        _put(base, tag, json.dumps(index).encode(), _INDEX)


def _put(base: str, reference: str, text: bytes, kind: str) -> None:
    httpx.put(f"{base}/manifests/{reference}", content=text, headers={"Content-Type": kind}).raise_for_status()


def _blob(base: str, content: bytes) -> dict[str, Any]:
    told = {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}
    began = httpx.post(f"{base}/blobs/uploads/").raise_for_status()
    place = httpx.URL(base).join(began.headers["location"])
    httpx.put(place, params={"digest": told["digest"]}, content=content).raise_for_status()
    return told


def _descriptor(text: bytes, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{hashlib.sha256(text).hexdigest()}", "size": len(text)}


def _log(url: str, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    verifier = key.public_key()
    told = {"rawBytes": b64(public(verifier)), "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
    told |= {"validFor": {"start": _BEGAN}}
    return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": told, "logId": {"keyId": b64(key_id(verifier))}}


def _chain(url: str, certificates: Iterable[bytes]) -> dict[str, Any]:
    return {
        "subject": {"organization": "stand-in", "commonName": "stand-in"},
        "uri": url,
        "certChain": {"certificates": [{"rawBytes": b64(each)} for each in certificates]},
        "validFor": {"start": _BEGAN},
    }
