"""How a candidate climbs, in one reviewed file: who may build, who may sign, and what a rung asks before it is entered.

``promotion.yaml`` at the project's root. A project without it has no promotion: nothing can be pinned or promoted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt

from ladder.contract.base import Settings
from ladder.contract.problems import FileKind, checked, of_violation
from ladder.contract.types import (
    ApiUrl,
    BuilderId,
    CheckName,
    Digest,
    DnsLabel,
    Duration,
    GitRef,
    GitRepository,
    Moment,
    TreePath,
    WorkflowPath,
    duration,
)
from ladder.contract.violations import Violation
from ladder.errors import InputError, Problem
from ladder.strict_yaml import examine

__all__ = [
    "PROMOTION",
    "BreakGlass",
    "Builds",
    "Checks",
    "Evidence",
    "Freeze",
    "GitHubApi",
    "Load",
    "Promotion",
    "Sigstore",
    "Soak",
    "Workflow",
    "read_promotion",
]

PROMOTION = "promotion.yaml"


class Workflow(Settings):
    """A workflow of a repository at a ref: what a keyless certificate names, and the only identity that may sign.

    Rule: Fulcio's certificate extensions (sigstore/fulcio, docs/oid-info.md). The certificate's subject is
    ``<repository>/<workflow>@<ref>``.
    """

    issuer: ApiUrl
    repository: GitRepository
    workflow: WorkflowPath
    ref: GitRef

    @property
    def subject(self) -> str:
        return f"{self.repository}/{self.workflow}@{self.ref}"


class Builds(Settings):
    """Whose images may enter dev: signed, with an SBOM and SLSA provenance, by this workflow on this builder."""

    signer: Workflow
    builder: BuilderId
    tokens: ApiUrl | None
    """The one address beside the registry's own that gets its credentials, to give a token; null if there is none."""


class Sigstore(Settings):
    """Which Sigstore is believed. Null is the public-good instance, as the library ships it."""

    trusted_root: TreePath | None
    """A file of Sigstore's TrustedRoot: certificate authorities and logs."""
    signing_config: TreePath | None
    """A file of Sigstore's SigningConfig: where certificates and log entries are asked for."""


class Signers(Settings):
    """The one workflow that may sign each kind of statement."""

    request: Workflow
    approval: Workflow
    observed: Workflow
    load: Workflow


class Evidence(Settings):
    """Where statements lie, who signs them, and which bucket of each stack keeps their chain's head."""

    folder: TreePath
    bucket: DnsLabel
    signers: Signers


class Checks(Settings):
    """The checks that dev's commit must have, every one of them green, from this app of GitHub's."""

    app: PositiveInt
    required: Annotated[Mapping[CheckName, bool], Field(min_length=1, examples=[{"test": True}])]

    def all(self) -> tuple[str, ...]:
        return tuple(sorted(name for name, needed in self.required.items() if needed))


class Soak(Settings):
    """How long a candidate must run below prod, and how well.

    Each service's own success-rate query is asked over the whole of that time, a sample each ``step``; one below
    ``threshold``, or one missing, is not green.
    """

    duration: Duration
    gap: Duration
    """The longest time without an observation: after it the rung counts as not seen, and the soak begins anew."""
    step: Duration
    threshold: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False, examples=[0.99])]
    metrics: Mapping[DnsLabel, ApiUrl]
    """Where each environment's Prometheus answers whoever promotes."""


class Load(Settings):
    """What a load report must say."""

    requests_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False, examples=[200.0])]
    """At least."""
    p95_milliseconds: Annotated[float, Field(gt=0, allow_inf_nan=False, examples=[300.0])]
    """At most."""
    error_rate: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False, examples=[0.001])]
    """At most."""
    duration: Duration
    """At least."""


class Freeze(Settings):
    """When nothing enters prod."""

    from_: Annotated[Moment, Field(alias="from", examples=["2026-12-20T00:00:00Z"])]
    until: Moment
    reason: Annotated[str, Field(min_length=1, max_length=500, examples=["year-end"])]

    def holds(self, at: datetime) -> bool:
        return datetime.fromisoformat(self.from_) <= at < datetime.fromisoformat(self.until)


class BreakGlass(Settings):
    """How long a promotion past its gates may wait for its merge, and by when it must be reviewed afterwards."""

    expires_after: Duration
    review_within: Duration


class GitHubApi(Settings):
    """Where pull requests are opened and reviews are read."""

    api: ApiUrl


class Promotion(Settings):
    """``promotion.yaml``."""

    builds: Builds
    sigstore: Sigstore
    evidence: Evidence
    checks: Checks
    soak: Soak
    load: Load
    freezes: Mapping[DnsLabel, Freeze]
    revoked: Mapping[Digest, str]
    """Digests that must not climb any more, and why."""
    irreversible: Mapping[Digest, str]
    """Images that, once they ran, left something behind that what ran before cannot live with, and what that is."""
    break_glass: BreakGlass
    github: GitHubApi

    def freeze_at(self, at: datetime) -> tuple[str, Freeze] | None:
        return next(((name, each) for name, each in sorted(self.freezes.items()) if each.holds(at)), None)

    @property
    def soak_time(self) -> timedelta:
        return duration(self.soak.duration)


def read_promotion(root: Path) -> Promotion:
    """The project's rules of promotion. Raises InputError with every problem found, or where there are none."""
    path = root / PROMOTION
    if not path.exists():
        accepted = "a file as schemas/promotion.schema.json describes"
        raise InputError(Problem(file=PROMOTION, message="is missing: without it nothing climbs", accepted=accepted))
    document = examine(path, name=PROMOTION)
    promotion, problems = checked(document, Promotion)
    if promotion is not None:
        problems += [of_violation(each, document, (), FileKind(Promotion)) for each in _joined(promotion)]
    if promotion is None or problems:
        raise InputError(problems)
    return promotion


def _joined(promotion: Promotion) -> Iterator[Violation]:
    for name, freeze in promotion.freezes.items():
        if freeze.from_ >= freeze.until:
            yield Violation(
                path=("freezes", name, "until"),
                message="ends before it begins",
                found=freeze.until,
                accepted=f"a time after {freeze.from_}",
            )
    if duration(promotion.soak.step) > duration(promotion.soak.duration):
        yield Violation(
            path=("soak", "step"),
            message="is longer than the soak: there would be one sample",
            found=promotion.soak.step,
            accepted=f"at most {promotion.soak.duration}",
        )
    if duration(promotion.soak.gap) > duration(promotion.soak.duration):
        yield Violation(
            path=("soak", "gap"),
            message="is longer than the soak, which two observations alone would then bear out",
            found=promotion.soak.gap,
            accepted=f"at most {promotion.soak.duration}",
        )
    if not promotion.checks.all():
        yield Violation(
            path=("checks", "required"),
            message="asks for no check: nothing checked is not green",
            found="none that is true",
            accepted="at least one check's name, true",
        )
    yield from _distinct(promotion.evidence.signers)


def _distinct(signers: Signers) -> Iterator[Violation]:
    """One identity for each kind: who asks must not be who approves, nor who sees."""
    first: dict[str, str] = {}
    every: Collection[tuple[str, Workflow]] = [
        ("request", signers.request),
        ("approval", signers.approval),
        ("observed", signers.observed),
        ("load", signers.load),
    ]
    for name, signer in every:
        other = first.setdefault(signer.subject, name)
        if other != name:
            yield Violation(
                path=("evidence", "signers", name, "workflow"),
                message=f"signs for {other} too",
                found=signer.workflow,
                accepted="a workflow of its own for each kind of statement",
            )
