"""The sandbox's own AWS credentials: one pair for each account, all derived from one secret, and their signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote

__all__ = ["AwsCredentials", "DeniedError", "SignedRequest", "account_of", "derive", "verify"]

_ACCESS_KEY = re.compile(r"AKIA(?P<account>\d{12})[A-Z2-7]{4}")
_ALGORITHM = "AWS4-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    _ALGORITHM + r"\s+Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/,]+)/(?P<service>[^/,]+)/aws4_request"
    r",\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """A key pair that this sandbox, and nothing else, accepts."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


class DeniedError(Exception):
    """The request is not signed by credentials of this sandbox."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of a request that Signature Version 4 covers; header names in lower case, ``path`` as on the wire."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def derive(secret: str, account: str) -> AwsCredentials:
    """The credentials of one 12-digit account."""
    tag = base64.b32encode(_hmac(secret.encode(), f"id:{account}")).decode()[:4]
    key = base64.b64encode(_hmac(secret.encode(), f"key:{account}")).decode()[:40]
    return AwsCredentials(f"AKIA{account}{tag}", key)


def account_of(secret: str, access_key_id: str) -> str | None:
    """The account whose derived credentials have this id; None where there is none."""
    match = _ACCESS_KEY.fullmatch(access_key_id)
    if match is None:
        return None
    account = match["account"]
    return account if hmac.compare_digest(derive(secret, account).access_key_id, access_key_id) else None


def verify(request: SignedRequest, secret_key_of: Callable[[str], str | None]) -> tuple[str, str]:
    """Check a Signature Version 4 header; returns the access key id and the service it was signed for.

    ``secret_key_of`` answers None for a key this sandbox never issued. Raises DeniedError.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    match = _AUTHORIZATION.fullmatch(request.headers.get("authorization", "").strip())
    if match is None:
        raise DeniedError("the request is not signed with Signature Version 4")
    secret_key = secret_key_of(match["key"])
    if secret_key is None:
        raise DeniedError(f"the access key {match['key']} was not issued by this sandbox")
    scope = f"{match['date']}/{match['region']}/{match['service']}/aws4_request"
    digest = hashlib.sha256(_canonical(request, match["headers"]).encode()).hexdigest()
    text = "\n".join((_ALGORITHM, _signing_time(request), scope, digest))
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    if not hmac.compare_digest(_hmac(key, text).hex(), match["signature"]):
        raise DeniedError(f"the signature does not match the access key {match['key']}")
    return match["key"], match["service"]


def _canonical(request: SignedRequest, signed: str) -> str:
    lines = [f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in signed.split(";")]
    pairs = parse_qsl(request.query.replace("+", "%2B"), keep_blank_values=True)
    query = "&".join(sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs))
    payload = request.headers.get("x-amz-content-sha256") or hashlib.sha256(request.body).hexdigest()
    return "\n".join((request.method, request.path, query, *lines, "", signed, payload))


def _signing_time(request: SignedRequest) -> str:
    return request.headers.get("x-amz-date", "")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
