"""What the tests of signatures share: a workflow, what it says, and bundles to alter."""

from __future__ import annotations

import base64
import functools
import json
import operator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ladder.contract.promotion import Workflow
from ladder.promotion.sigstore import Signed, Trust
from tests.sigstore_stand_in import COMMIT, Job, StandIn

__all__ = ["AT", "DIGEST", "ENTRY", "JOB", "SIGNED", "SIGNER", "STATEMENT", "altered", "at", "flipped", "trusting"]

SIGNER = Workflow(
    issuer="https://token.actions.githubusercontent.com",
    repository="https://github.com/acme/shop",
    workflow=".github/workflows/build.yml",
    ref="refs/heads/main",
)
JOB = Job.of(SIGNER)
AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
DIGEST = "0a" * 32
STATEMENT = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "web", "digest": {"sha256": DIGEST}}],
        "predicateType": "https://example.com/said/v1",
        "predicate": {"said": "yes"},
    }
).encode()
RUN = "https://github.com/acme/shop/actions/runs/7301188421/attempts/1"
SIGNED = Signed(STATEMENT, AT, COMMIT, RUN, "github-hosted")
ENTRY = ("verificationMaterial", "tlogEntries", 0)


def trusting(standin: StandIn, folder: Path) -> Trust:
    return Trust.of(folder, standin.write(folder))


def at(document: Any, *path: str | int) -> Any:
    return functools.reduce(operator.getitem, path, document)


def altered(bundle: bytes, *path: str | int, to: Any) -> bytes:
    """The bundle with another value in one place."""
    document = json.loads(bundle)
    at(document, *path[:-1])[path[-1]] = to
    return json.dumps(document).encode()


def flipped(bundle: bytes, *path: str | int) -> bytes:
    """The bundle with one bit of what is in base64 there turned."""
    raw = bytearray(base64.b64decode(at(json.loads(bundle), *path)))
    raw[len(raw) // 2] ^= 1
    return altered(bundle, *path, to=base64.b64encode(raw).decode())
