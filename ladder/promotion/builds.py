"""What must be true of an image before it enters dev: signed, listed and built by the one workflow that may.

Rules: in-toto/attestation, spec/v1/statement.md; slsa.dev/provenance/v1; slsa-framework/github-actions-buildtypes,
workflow/v1.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from ladder.contract.promotion import Builds, Workflow
from ladder.errors import CheckFailed
from ladder.promotion.referrers import Referrers
from ladder.promotion.sigstore import Refused, Signed, Trust
from ladder.promotion.statements import digest_of

__all__ = ["Build", "Referrers", "verify_build"]

_BUILD_TYPE = "https://actions.github.io/buildtypes/workflow/v1"
_HOSTED = "github-hosted"
_MOST_TOLD = 5


class _Kind(StrEnum):
    """What an image must have, as a refusal calls it."""

    SIGNATURE = "the signature"
    SBOM = "the SBOM"
    PROVENANCE = "the provenance"


_KINDS = {
    "https://sigstore.dev/cosign/sign/v1": _Kind.SIGNATURE,
    "https://spdx.dev/Document": _Kind.SBOM,
    "https://spdx.dev/Document/v2.3": _Kind.SBOM,
    "https://cyclonedx.org/bom": _Kind.SBOM,
    "https://slsa.dev/provenance/v1": _Kind.PROVENANCE,
}


class _Read(BaseModel):
    """What is read of a statement; others may write more than that."""

    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel, hide_input_in_errors=True)


class _Whole(_Read):
    """What may hold nothing that is not known here."""

    model_config = ConfigDict(extra="forbid")


class _Subject(_Read):
    digest: Mapping[str, str]


class _Statement(_Read):
    """Either version: cosign's attestations still have the older one, of the same form."""

    type: Annotated[
        Literal["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"], Field(alias="_type")
    ]
    subject: Annotated[Sequence[_Subject], Field(min_length=1)]
    predicate_type: str
    predicate: JsonValue = None


class _Started(_Whole):
    repository: str
    path: str
    ref: str


class _Outside(_Whole):
    """External parameters: an input that is not known here could have changed what was built."""

    workflow: _Started


class _Dependency(_Read):
    uri: str = ""
    digest: Mapping[str, str] = {}


class _Definition(_Read):
    build_type: str
    external_parameters: _Outside
    resolved_dependencies: Sequence[_Dependency]


class _Builder(_Read):
    id: str


class _Details(_Read):
    builder: _Builder


class _Provenance(_Read):
    build_definition: _Definition
    run_details: _Details


@dataclass(frozen=True, slots=True)
class Build:
    """Where an image comes from: the commit and run that its provenance tells, when that was logged, and its digest."""

    source: str
    run: str
    logged: datetime
    provenance: str


def verify_build(trust: Trust, builds: Builds, bundles: Iterable[bytes], digest: str) -> Build:
    """The build that an image's bundles tell, of several the first that was logged.

    What others attest beside it neither counts nor disturbs. Raises CheckFailed with everything that is wrong.
    """
    held: set[_Kind] = set()
    found: list[Build] = []
    refusals: dict[_Kind | None, list[str]] = defaultdict(list)
    for bundle in bundles:
        kind = _told_kind(bundle)
        try:
            signed = trust.verify(bundle, builds.signer)
            statement = _statement(signed.statement, digest)
            kind = _KINDS.get(statement.predicate_type)
            if kind is _Kind.PROVENANCE:
                _check_provenance(statement, builds, signed)
                found.append(Build(signed.commit, signed.run, signed.logged, digest_of(bundle)))
        except Refused as error:
            refusals[kind].append(str(error))
            continue
        if kind is not None:
            held.add(kind)
    missing = [kind for kind in _Kind if kind not in held]
    if missing:
        raise CheckFailed("\n".join([f"{digest} may not enter:", *_told(missing, refusals)]))
    return min(found, key=lambda build: (build.logged, build.provenance))


def _told(missing: Iterable[_Kind], refusals: Mapping[_Kind | None, Sequence[str]]) -> Iterator[str]:
    for kind in missing:
        every = list(dict.fromkeys(refusals.get(kind, ())))
        for why in every[:_MOST_TOLD] or ["there is none"]:
            yield f"  {kind}: {why}"
        if len(every) > _MOST_TOLD:
            yield f"  {kind}: and {len(every) - _MOST_TOLD} more that are refused"
    if unknown := len(refusals.get(None, ())):
        yield f"  beside these, {unknown} of no kind that is asked for"


def _told_kind(bundle: bytes) -> _Kind | None:
    """The kind that a bundle claims before anything of it is believed: only to say what was refused."""
    try:
        payload = base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])
        return _KINDS.get(json.loads(payload)["predicateType"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _statement(content: bytes, digest: str) -> _Statement:
    """The statement, which speaks of the digest. Raises Refused."""
    try:
        statement = _Statement.model_validate_json(content)
    except ValidationError as error:
        raise Refused(f"is no in-toto statement: {_first(error)}") from error
    algorithm, _, value = digest.partition(":")
    if all(subject.digest.get(algorithm) != value for subject in statement.subject):
        raise Refused("speaks of another image")
    return statement


def _check_provenance(statement: _Statement, builds: Builds, signed: Signed) -> None:
    """Raises Refused with everything that the provenance tells otherwise."""
    try:
        provenance = _Provenance.model_validate(statement.predicate)
    except ValidationError as error:
        raise Refused(f"is no SLSA provenance of a workflow: {_first(error)}") from error
    if wrong := list(_differences(provenance, builds, signed)):
        raise Refused("; ".join(wrong))


def _differences(provenance: _Provenance, builds: Builds, signed: Signed) -> Iterator[str]:
    definition, builder = provenance.build_definition, provenance.run_details.builder.id
    if builder != builds.builder:
        yield f"was built by {builder}, not by {builds.builder}"
    if definition.build_type != _BUILD_TYPE:
        yield f"is of the build type {definition.build_type}, not {_BUILD_TYPE}"
    if signed.runner != _HOSTED:
        yield f"was built on a runner that is {signed.runner}, not {_HOSTED}: what it held before is not known"
    started = definition.external_parameters.workflow
    if started != _of(builds.signer):
        yield f"was built by {started.repository}/{started.path}@{started.ref}, not by {builds.signer.subject}"
    source = f"git+{builds.signer.repository}@{builds.signer.ref}"
    sources = [each.digest for each in definition.resolved_dependencies if each.uri == source]
    commits = {digest["gitCommit"] for digest in sources if "gitCommit" in digest}
    if not commits:
        yield f"tells no commit of {source}"
    elif commits != {signed.commit}:
        yield f"was built from {', '.join(sorted(commits))}; its certificate says {signed.commit}"


def _of(signer: Workflow) -> _Started:
    return _Started(repository=signer.repository, path=signer.workflow, ref=signer.ref)


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
