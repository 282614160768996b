"""A timestamp authority that stands in for Sigstore's: responses that are real but for whose key signed them.

Rules: RFC 3161, RFC 5652 (SignedData). Neither cryptography nor rfc3161-client makes them.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Stamps", "der"]

_SEQUENCE, _SET, _INTEGER, _OCTETS, _OID, _TIME = 0x30, 0x31, 0x02, 0x04, 0x06, 0x18
_FIRST, _EXPLICIT = 0xA0, 0xA0


def der(tag: int, *parts: bytes) -> bytes:
    """A value in DER, of the encoded values in it."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    encoded = bytearray([40 * first + second])
    for number in rest:
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | number & 0x7F)
        encoded += bytes(reversed(groups))
    return der(_OID, bytes(encoded))


_SIGNED_DATA, _TST_INFO = _oid("1.2.840.113549.1.7.2"), _oid("1.2.840.113549.1.9.16.1.4")
_CONTENT_TYPE, _MESSAGE_DIGEST = _oid("1.2.840.113549.1.9.3"), _oid("1.2.840.113549.1.9.4")
_SHA256 = der(_SEQUENCE, _oid("2.16.840.1.101.3.4.2.1"))
_ECDSA = der(_SEQUENCE, _oid("1.2.840.10045.4.3.2"))
_POLICY = _oid("1.3.6.1.4.1.57264.2")


class Stamps:
    """The authority: its root, and the certificate and key that stamp."""

    def __init__(self) -> None:
        root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = self._certificate("stamps' root", root_key, root_key, ca=True)
        self.leaf = self._certificate("stamps", self._key, root_key, ca=False)

    @property
    def chain(self) -> list[bytes]:
        return [each.public_bytes(serialization.Encoding.DER) for each in (self.leaf, self.root)]

    def stamp(self, message: bytes, at: datetime) -> bytes:
        """A response: that the message was there at that time."""
        imprint = der(_SEQUENCE, _SHA256, der(_OCTETS, hashlib.sha256(message).digest()))
        time = der(_TIME, at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode())
        told = der(_SEQUENCE, der(_INTEGER, b"\x01"), _POLICY, imprint, der(_INTEGER, b"\x07"), time)
        attributes = [
            der(_SEQUENCE, _CONTENT_TYPE, der(_SET, _TST_INFO)),
            der(_SEQUENCE, _MESSAGE_DIGEST, der(_SET, der(_OCTETS, hashlib.sha256(told).digest()))),
        ]
        signature = self._key.sign(der(_SET, *attributes), ec.ECDSA(hashes.SHA256()))
        serial = self.leaf.serial_number
        number = der(_INTEGER, serial.to_bytes(serial.bit_length() // 8 + 1, "big"))
        signer = der(
            _SEQUENCE,
            der(_INTEGER, b"\x01"),
            der(_SEQUENCE, self.leaf.issuer.public_bytes(), number),
            _SHA256,
            der(_FIRST, *attributes),
            _ECDSA,
            der(_OCTETS, signature),
        )
        content = der(_SEQUENCE, _TST_INFO, der(_EXPLICIT, der(_OCTETS, told)))
        data = der(
            _SEQUENCE,
            der(_INTEGER, b"\x03"),
            der(_SET, _SHA256),
            content,
            der(_FIRST, self.leaf.public_bytes(serialization.Encoding.DER)),
            der(_SET, signer),
        )
        granted = der(_SEQUENCE, der(_INTEGER, b"\x00"))
        return der(_SEQUENCE, granted, der(_SEQUENCE, _SIGNED_DATA, der(_EXPLICIT, data)))

    def _certificate(
        self, name: str, key: ec.EllipticCurvePrivateKey, issuer: ec.EllipticCurvePrivateKey, *, ca: bool
    ) -> x509.Certificate:
        usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stamps' root")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2060, 1, 1, tzinfo=UTC))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        if not ca:
            stamps = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            builder = builder.add_extension(stamps, critical=True)
        return builder.sign(issuer, hashes.SHA256())
