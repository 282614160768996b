"""A recording against real state: what is not deployed, what was changed elsewhere, what the recorder mispredicts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, cast

from ladder.contract import CONFIG_NAMESPACE
from ladder.contract.types import quantity
from ladder.differences import differences, renamed
from ladder.errors import InputError, Problem
from ladder.recorder import REDACTED
from ladder.recording import Recording, Resource

__all__ = ["Finding", "Kind", "compare", "read_export"]

_FILE = "standard input"
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_PROVIDER_EXTRAS = frozenset({"version", "pluginDownloadURL", "pluginChecksums", "parameterization"})
_STACK_TYPE = "pulumi:pulumi:Stack"
_VERSIONS = (3, 4)

_differences = partial(differences, absent=None)
"""The engine keeps no nulls: a key that is absent is as good as null."""


class Kind(StrEnum):
    """What a difference means."""

    UNDEPLOYED = "undeployed"
    UNDECLARED = "undeclared"
    CHANGED = "changed"
    OUT_OF_BAND = "out-of-band"
    MISPREDICTED = "mispredicted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference. ``path`` is a property, empty for a whole resource; values are shown without secrets."""

    kind: Kind
    urn: str
    path: str = ""
    recorded: Any = None
    real: Any = None


def read_export(text: str, stack: str) -> list[Mapping[str, Any]]:
    """The resources of ``pulumi stack export`` output. Raises InputError for anything else, or another stack's."""
    example = f"pulumi stack export -s {stack} | ladder compare {stack}"
    document, resources = _resources(text)
    if document is None or resources is None:
        raise InputError(
            Problem(
                file=_FILE,
                message="is not what 'pulumi stack export' writes",
                found=_kind(text, document),
                accepted="a JSON object with version and deployment",
                example=example,
            )
        )
    if document.get("version") not in _VERSIONS:
        raise InputError(
            Problem(
                file=_FILE,
                path="version",
                message="is not a version that can be read",
                found=json.dumps(document.get("version"))[:20],
                accepted=" or ".join(map(str, _VERSIONS)),
            )
        )
    own = (f"urn:pulumi:{stack}", CONFIG_NAMESPACE)
    origins = {tuple(str(resource["urn"]).split("::")[:2]) for resource in resources}
    others = sorted("::".join(origin).removeprefix("urn:pulumi:") for origin in origins - {own})
    if others:
        raise InputError(
            Problem(
                file=_FILE,
                path="deployment.resources",
                message="is the state of another stack",
                found=", ".join(others),
                accepted=f"{stack}::{CONFIG_NAMESPACE}",
                example=example,
            )
        )
    return resources


def _resources(text: str) -> tuple[Mapping[str, Any] | None, list[Mapping[str, Any]] | None]:
    """The document and its resources; None for what is not there."""
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None, None
    if not isinstance(document, dict):
        return None, None
    fields = cast("Mapping[str, Any]", document)
    deployment: Any = fields.get("deployment")
    if not isinstance(deployment, dict):
        return fields, None
    resources: Any = cast("Mapping[str, Any]", deployment).get("resources") or []
    if not isinstance(resources, list):
        return fields, None
    items = cast("list[Any]", resources)
    if not all(
        isinstance(item, dict) and isinstance(cast("Mapping[str, Any]", item).get("urn"), str) for item in items
    ):
        return fields, None
    return fields, items


def _kind(text: str, document: Mapping[str, Any] | None) -> str:
    """What was piped in, without showing any of it: it may hold secrets."""
    if not text.strip():
        return "nothing"
    if document is not None:
        return "an object without a deployment's resources"
    return "a list" if text.lstrip().startswith("[") else "something else"


def compare(recording: Recording, resources: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Every difference between the recording and the exported state, by URN; none means they match."""
    real = {str(resource["urn"]): resource for resource in resources if _stands(resource)}
    recorded = recording.by_urn()
    names = _real_names(recorded, real)
    findings = [
        Finding(kind=Kind.UNDECLARED, urn=str(resource["urn"]), path="delete", recorded=False, real=True)
        for resource in resources
        if resource.get("delete")
    ]
    for urn, resource in recorded.items():
        if urn not in real:
            findings.append(Finding(kind=Kind.UNDEPLOYED, urn=urn))
            continue
        findings.extend(_resource(resource, real[urn], names))
        if resource.type == _STACK_TYPE:
            findings.extend(_stack_outputs(urn, recording.outputs, real[urn], names))
    findings.extend(Finding(kind=Kind.UNDECLARED, urn=urn) for urn in real if urn not in recorded)
    return sorted(findings, key=lambda finding: (finding.urn, finding.kind, finding.path))


def _stands(resource: Mapping[str, Any]) -> bool:
    """Whether the resource exists and stays: an interrupted update leaves others in the state."""
    return not (resource.get("delete") or resource.get("pendingReplacement"))


@dataclass(frozen=True, slots=True)
class _Names:
    """Placeholder to real value, longest first: ``ids`` alone, and with everything else only a provider knows."""

    ids: Mapping[str, str]
    every: Mapping[str, str]


def _real_names(recorded: Mapping[str, Resource], real: Mapping[str, Mapping[str, Any]]) -> _Names:
    ids: dict[str, str] = {}
    others: dict[str, str] = {}
    for urn, resource in recorded.items():
        state = real.get(urn)
        if state is None or not _unpredictable(resource):
            continue
        outputs = cast("Mapping[str, Any]", state.get("outputs") or {})
        if resource.id and isinstance(state.get("id"), str):
            ids[resource.id] = str(state["id"])
        predicted = {key: value for key, value in resource.outputs.items() if key not in resource.inputs}
        others |= {
            value: outputs[key]
            for key, value in predicted.items()
            if isinstance(value, str) and value and isinstance(outputs.get(key), str)
        }
    return _Names(ids, dict(sorted({**others, **ids}.items(), key=lambda pair: -len(pair[0]))))


def _unpredictable(resource: Resource) -> bool:
    return resource.type == "aws:kms/key:Key" or resource.is_provider


def _resource(recorded: Resource, state: Mapping[str, Any], names: _Names) -> Iterator[Finding]:
    urn = recorded.urn
    if recorded.custom:
        inputs = cast("Mapping[str, Any]", renamed(recorded.inputs, names.every))
        raw = cast("Mapping[str, Any]", state.get("inputs") or {})
        if recorded.is_provider:
            raw = {key: value for key, value in raw.items() if key not in _PROVIDER_EXTRAS}
        deployed = cast("Mapping[str, Any]", _plain(raw, inputs))
        for path, mine, theirs in _differences(inputs, deployed, same=_same):
            yield _changed(urn, f"inputs.{path}", mine, theirs)
        if not recorded.is_provider:
            yield from _outputs(recorded, deployed, state, names)
    for name, mine, theirs in (
        ("parent", recorded.parent or "", state.get("parent") or ""),
        ("protect", recorded.protect, bool(state.get("protect"))),
        ("retainOnDelete", recorded.retain_on_delete, bool(state.get("retainOnDelete"))),
        ("provider", _provider(recorded.provider), _provider(state.get("provider"))),
    ):
        if mine != theirs:
            yield _changed(urn, name, mine, theirs)


def _changed(urn: str, path: str, mine: Any, theirs: Any) -> Finding:
    return Finding(kind=Kind.CHANGED, urn=urn, path=path, recorded=mine, real=_discreet(mine, theirs))


def _discreet(mine: Any, theirs: Any) -> Any:
    """What the program keeps secret is not shown where the state holds it in plain text."""
    return "not secret" if REDACTED in json.dumps(mine) and theirs != REDACTED else theirs


def _provider(reference: str | None) -> str:
    return (reference or "").rpartition("::")[0]


def _stack_outputs(urn: str, outputs: Mapping[str, Any], state: Mapping[str, Any], names: _Names) -> Iterator[Finding]:
    mine = renamed(outputs, names.every)
    for path, left, right in _differences(mine, _plain(state.get("outputs") or {}, mine), same=_same):
        yield _changed(urn, f"outputs.{path}", left, right)


def _outputs(
    recorded: Resource, deployed: Mapping[str, Any], state: Mapping[str, Any], names: _Names
) -> Iterator[Finding]:
    """What is out there against what was deployed, and against what the recorder said a provider would compute."""
    if not state.get("outputs"):
        return
    outputs = cast("Mapping[str, Any]", _plain(state["outputs"], recorded.inputs))
    declared = {key: value for key, value in deployed.items() if key in outputs}
    same = _same_to_kubernetes if recorded.type.startswith("kubernetes:") else _same
    for path, mine, theirs in _differences(declared, outputs, same=same, subset=True):
        if REDACTED not in (mine, theirs):
            real = _discreet(mine, theirs)
            yield Finding(kind=Kind.OUT_OF_BAND, urn=recorded.urn, path=path, recorded=mine, real=real)
    predicted = {key: value for key, value in recorded.outputs.items() if key not in recorded.inputs}
    for key, value in {"id": recorded.id, **predicted}.items():
        real = state.get("id") if key == "id" else outputs.get(key, REDACTED)
        if real != REDACTED and renamed(value, names.ids) != real:
            yield Finding(kind=Kind.MISPREDICTED, urn=recorded.urn, path=key, recorded=value, real=real)


def _plain(value: Any, recorded: Any) -> Any:
    """State without the engine's own keys, without what a provider filled in, and with secrets redacted."""
    if isinstance(value, list):
        ours = cast("Sequence[Any]", recorded) if isinstance(recorded, list) else ()
        items = cast("list[Any]", value)
        return [_plain(item, ours[index] if index < len(ours) else None) for index, item in enumerate(items)]
    if not isinstance(value, Mapping):
        return value
    fields = cast("Mapping[str, Any]", value)
    if _SIGNATURE in fields:
        return REDACTED
    mine: Mapping[str, Any] = cast("Mapping[str, Any]", recorded) if isinstance(recorded, Mapping) else {}
    filled_in = set(fields.get("__defaults") or [])
    return {
        key: _plain(item, mine.get(key))
        for key, item in fields.items()
        if not key.startswith("__") and not (key in filled_in and key not in mine)
    }


def _same(mine: Any, theirs: Any) -> bool:
    """Equal, or the same JSON: AWS orders policies as it likes, and providers their configuration."""
    if mine == theirs:
        return True
    if not (isinstance(mine, str) and isinstance(theirs, str) and mine[:1] in {"{", "["}):
        return False
    try:
        left, right = json.loads(mine), json.loads(theirs)
    except (ValueError, RecursionError):
        return False
    return left == right or (_is_policy(left) and _is_policy(right) and _canonical(left) == _canonical(right))


def _same_to_kubernetes(mine: Any, theirs: Any) -> bool:
    """The API server answers with quantities in a canonical form: ``1Gi`` for ``1024Mi``."""
    if _same(mine, theirs):
        return True
    try:
        return isinstance(mine, str) and isinstance(theirs, str) and quantity(mine) == quantity(theirs)
    except ValueError:
        return False


def _is_policy(document: Any) -> bool:
    return isinstance(document, Mapping) and "Statement" in document


def _canonical(policy: Any) -> Any:
    """A policy document as AWS means it: the order of lists says nothing, and one value stands for a list of it."""
    if isinstance(policy, Mapping):
        return {key: _canonical(value) for key, value in cast("Mapping[str, Any]", policy).items()}
    if isinstance(policy, list):
        items = [_canonical(item) for item in cast("list[Any]", policy)]
        return items[0] if len(items) == 1 else sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return policy
