"""What the tests of the audit share: the shipped project's report, and one in which something of each kind is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from ladder.audit import Report, report_of
from ladder.changes.report import Commits
from ladder.check.findings import Finding
from ladder.contract.exceptions import Exceptions
from ladder.parity.ladder import Ladder
from ladder.parity.proof import Part, Proof
from ladder.recording import Recording
from tests.ladders import PARTS, broken, shipped_ladder

AS_OF = date(2031, 5, 17)
COMMITS = Commits(ref="HEAD", base="c0ffee" * 6 + "c0ff", head="c0ffee" * 6 + "c0ff", edited=0)

HOSTILE = (
    '</code><script>alert(1)</script><img src=x onerror="alert(2)"> `| **bold** | \u202e[link](javascript:alert(3))'
)
"""What an exception's reason might hold, which is anybody's text."""


def report(recordings: Iterable[Recording], ladder: Ladder | None = None, *findings: Finding) -> Report:
    """The report of the ladder, by default the shipped one; ``findings`` are the contract's part's."""
    parts = [Part(name, {"stacks": 3}, findings if name == "contract" else ()) for name in PARTS]
    proof = Proof(("preview", "dev", "staging", "prod"), True, tuple(parts))
    recorded = {each.stack: each for each in recordings}
    return report_of(ladder or shipped_ladder(), proof, recorded, commit=COMMITS, as_of=AS_OF)


def violated(recordings: Iterable[Recording]) -> Report:
    """A branch of its own in prod without a reason and one in staging by an exception; one expired; a public bucket."""
    other = broken(stacks={"prod": {"delivery.branch": "release"}, "staging": {"delivery.branch": "next"}})
    place = {"service": None, "owner": "team-shop", "reason": HOSTILE}
    exceptions = {
        "next-branch": {"environment": "staging", "path": "delivery.branch", "expires": "2031-05-20", **place},
        "old-branch": {"environment": "dev", "path": "delivery.path", "expires": "2031-05-16", **place},
    }
    ladder = replace(other, exceptions=Exceptions.model_validate({"exceptions": exceptions}))
    finding = Finding(
        rule="contract/unexplained",
        where="Pulumi.prod.yaml:3",
        path="config.ladder:delivery.branch",
        message="differs",
        found="release",
        accepted="main",
        mend=HOSTILE,
    )
    return report([_public(each) if each.stack == "prod" else each for each in recordings], ladder, finding)


def _public(recording: Recording) -> Recording:
    block = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
    opened = {"blockPublicPolicy": False}
    resources = tuple(
        replace(each, inputs={**each.inputs, **opened}) if each.type == block and each.name == "uploads" else each
        for each in recording.resources
    )
    return replace(recording, resources=resources)
