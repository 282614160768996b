"""A registry that stands in for those that have a referrers API, or want a token, or keep their blobs elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.previews.serving import Asked, Reply, StandIn

__all__ = ["BUNDLE", "EMPTY", "INDEX", "MANIFEST", "Registry", "named"]

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
REPOSITORY = "acme/web"


def named(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Registry(StandIn):
    """What it has by path. Without ``api`` it knows nothing of referrers; pages of them are of ``size``.

    With ``opened``, only that authorization may read, and ``challenge`` says what is wanted. Blobs are at ``storage``.
    """

    api: bool = True
    size: int = 100
    opened: str = ""
    challenge: str = ""
    storage: str = ""
    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    listed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    @property
    def repository(self) -> str:
        return f"{self.url.removeprefix('http://')}/{REPOSITORY}"

    def put(self, kind: str, content: bytes, reference: str = "") -> str:
        digest = named(content)
        self.contents[f"/v2/{REPOSITORY}/{kind}/{reference or digest}"] = content
        return digest

    def image(self) -> str:
        return self.put("manifests", json.dumps({"schemaVersion": 2, "mediaType": MANIFEST}).encode())

    def attach(self, image: str, bundle: bytes, descriptor: Any = None, **changed: Any) -> dict[str, Any]:
        """A referrer whose one layer is the bundle, its manifest and its ``descriptor`` changed as said."""
        layer = {"mediaType": BUNDLE, "digest": self.put("blobs", bundle), "size": len(bundle)}
        subject = {"mediaType": MANIFEST, "digest": image, "size": 2}
        config = {"mediaType": EMPTY, "digest": self.put("blobs", b"{}"), "size": 2}
        whole = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "config": config}
        text = json.dumps({**whole, "layers": [layer], "subject": subject, **changed}).encode()
        told = {"mediaType": MANIFEST, "digest": self.put("manifests", text), "size": len(text), "artifactType": BUNDLE}
        self.listed.append({**told, **(descriptor or {})})
        return layer

    def tag(self, image: str) -> None:
        """Move what is listed to the tag that stands in for the API."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.listed}
        self.put("manifests", json.dumps(index).encode(), image.replace(":", "-"))
        self.listed = []

    def reply(self, asked: Asked) -> Reply:
        if self.opened and asked.headers.get("authorization") != self.opened:
            return Reply(401, b"", {"WWW-Authenticate": self.challenge})
        if re.fullmatch(rf"/v2/{REPOSITORY}/referrers/sha256:[0-9a-f]{{64}}", asked.path) and self.api:
            return self._referrers(asked)
        if "/blobs/" in asked.path and self.storage:
            return Reply(307, b"", {"Location": f"{self.storage}{asked.path}?signature=x"})
        content = self.contents.get(asked.path)
        return Reply(404) if content is None else Reply(200, content)

    def _referrers(self, asked: Asked) -> Reply:
        begin = int(asked.query.get("last", "0"))
        found = self.listed[begin : begin + self.size]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": found}
        more = f'<{asked.path}?last={begin + self.size}>; rel="next"' if begin + self.size < len(self.listed) else ""
        headers = {"Content-Type": INDEX, "OCI-Filters-Applied": "artifactType"} | ({"Link": more} if more else {})
        return Reply(200, json.dumps(index).encode(), headers)
