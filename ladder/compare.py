"""A recording against real state: what is not deployed, what was changed elsewhere, what the recorder mispredicts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from ladder.contract.types import quantity
from ladder.errors import InputError, Problem
from ladder.recorder import REDACTED
from ladder.recording import Recording, Resource

__all__ = ["Finding", "Kind", "compare", "read_export"]

_FILE = "standard input"
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_PROVIDER_EXTRAS = frozenset({"version", "pluginDownloadURL", "pluginChecksums", "parameterization"})
_ABSENT = object()


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
    try:
        document: Any = json.loads(text)
        deployment = document["deployment"]
        resources = deployment.get("resources") or []
        urns = [str(resource["urn"]) for resource in resources]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            Problem(
                file=_FILE,
                message="is not what 'pulumi stack export' writes",
                found=_start(text),
                accepted="a JSON object with version and deployment",
                example=example,
            )
        ) from error
    if document.get("version") != 3:
        raise InputError(
            Problem(
                file=_FILE,
                path="version",
                message="is not a version that can be read",
                found=json.dumps(document.get("version")),
                accepted="3",
            )
        )
    others = sorted({urn.split("::")[0].removeprefix("urn:pulumi:") for urn in urns} - {stack})
    if others:
        raise InputError(
            Problem(
                file=_FILE,
                path="deployment.resources",
                message="is the state of another stack",
                found=", ".join(others),
                accepted=stack,
                example=example,
            )
        )
    return resources


def _start(text: str) -> str:
    if not text.strip():
        return "nothing"
    return text.strip()[:60].replace("\n", " ")


def compare(recording: Recording, resources: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Every difference between the recording and the exported state, by URN; none means they match."""
    real = {str(resource["urn"]): resource for resource in resources if not resource.get("delete")}
    recorded = recording.by_urn()
    names = _real_names(recorded, real)
    findings = [
        Finding(kind=Kind.UNDECLARED, urn=str(resource["urn"]), real="pending deletion")
        for resource in resources
        if resource.get("delete")
    ]
    for urn, resource in recorded.items():
        if urn not in real:
            findings.append(Finding(kind=Kind.UNDEPLOYED, urn=urn))
        else:
            findings.extend(_resource(resource, real[urn], names))
    findings.extend(Finding(kind=Kind.UNDECLARED, urn=urn) for urn in real if urn not in recorded)
    return sorted(findings, key=lambda finding: (finding.urn, finding.kind, finding.path))


def _real_names(recorded: Mapping[str, Resource], real: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Placeholder to real value, longest first: what only a provider knows, such as a key's id and ARN."""
    names: dict[str, str] = {}
    for urn, resource in recorded.items():
        state = real.get(urn)
        if state is None or not resource.custom:
            continue
        pairs: list[tuple[Any, Any]] = [(resource.id, state.get("id"))]
        outputs = cast("Mapping[str, Any]", state.get("outputs") or {})
        pairs += [(value, outputs.get(key)) for key, value in resource.outputs.items() if key not in resource.inputs]
        for placeholder, value in pairs:
            if isinstance(placeholder, str) and isinstance(value, str) and placeholder and _unpredictable(resource):
                names[placeholder] = value
    return dict(sorted(names.items(), key=lambda pair: -len(pair[0])))


def _unpredictable(resource: Resource) -> bool:
    return resource.type == "aws:kms/key:Key" or resource.is_provider


def _resource(recorded: Resource, state: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Finding]:
    urn = recorded.urn
    inputs = _named(recorded.inputs, names)
    real_inputs = cast("Mapping[str, Any]", state.get("inputs") or {})
    if recorded.is_provider:
        real_inputs = {key: value for key, value in real_inputs.items() if key not in _PROVIDER_EXTRAS}
    if recorded.custom:
        for path, mine, theirs in _differences(inputs, _plain(real_inputs, inputs)):
            yield Finding(kind=Kind.CHANGED, urn=urn, path=f"inputs.{path}", recorded=mine, real=theirs)
        yield from _outputs(recorded, inputs, state, names)
    for name, mine, theirs in (
        ("parent", recorded.parent or "", state.get("parent") or ""),
        ("protect", recorded.protect, bool(state.get("protect"))),
        ("retainOnDelete", recorded.retain_on_delete, bool(state.get("retainOnDelete"))),
        ("provider", _provider(recorded.provider), _provider(state.get("provider"))),
    ):
        if mine != theirs:
            yield Finding(kind=Kind.CHANGED, urn=urn, path=name, recorded=mine, real=theirs)


def _provider(reference: str | None) -> str:
    return (reference or "").rpartition("::")[0]


def _outputs(
    recorded: Resource, inputs: Mapping[str, Any], state: Mapping[str, Any], names: Mapping[str, str]
) -> Iterator[Finding]:
    outputs = cast("Mapping[str, Any]", state.get("outputs") or {})
    if recorded.is_provider or not outputs:
        return
    changed = {path for path, _, _ in _differences(inputs, _plain(state.get("inputs") or {}, inputs))}
    declared = {key: value for key, value in inputs.items() if key in outputs}
    for path, mine, theirs in _differences(declared, _plain(outputs, inputs), subset=True):
        if not any(path == other or path.startswith(f"{other}.") for other in changed):
            yield Finding(kind=Kind.OUT_OF_BAND, urn=recorded.urn, path=path, recorded=mine, real=theirs)
    predicted = {key: value for key, value in recorded.outputs.items() if key not in recorded.inputs}
    for key, value in {"id": recorded.id, **predicted}.items():
        real = state.get("id") if key == "id" else outputs.get(key, _ABSENT)
        if real is not _ABSENT and _named(value, names) != real:
            yield Finding(kind=Kind.MISPREDICTED, urn=recorded.urn, path=key, recorded=value, real=real)


def _named(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for placeholder, name in names.items():
            value = value.replace(placeholder, name)
        return value
    if isinstance(value, Mapping):
        return {key: _named(item, names) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_named(item, names) for item in cast("Sequence[Any]", value)]
    return value


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
    mine = cast("Mapping[str, Any]", recorded) if isinstance(recorded, Mapping) else {}
    filled_in = set(fields.get("__defaults") or [])
    return {
        key: _plain(item, mine.get(key))
        for key, item in fields.items()
        if not key.startswith("__") and not (key in filled_in and key not in mine)
    }


def _differences(mine: Any, theirs: Any, path: str = "", *, subset: bool = False) -> Iterator[tuple[str, Any, Any]]:
    """``(path, mine, theirs)`` for each leaf that differs; ``subset`` overlooks keys that only ``theirs`` has."""
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        left, right = cast("Mapping[str, Any]", mine), cast("Mapping[str, Any]", theirs)
        for key in left if subset else sorted({*left, *right}):
            below = f"{path}.{key}" if path else key
            yield from _differences(left.get(key), right.get(key), below, subset=subset)
    elif (
        isinstance(mine, list)
        and isinstance(theirs, list)
        and len(cast("list[Any]", mine)) == len(cast("list[Any]", theirs))
    ):
        pairs = zip(cast("list[Any]", mine), cast("list[Any]", theirs), strict=True)
        for index, (left, right) in enumerate(pairs):
            yield from _differences(left, right, f"{path}[{index}]", subset=subset)
    elif not _same(mine, theirs):
        yield path, mine, theirs


def _same(mine: Any, theirs: Any) -> bool:
    if mine == theirs:
        return True
    if not (isinstance(mine, str) and isinstance(theirs, str)):
        return False
    try:
        if mine.startswith("{"):
            return _canonical(json.loads(mine)) == _canonical(json.loads(theirs))
        return quantity(mine) == quantity(theirs)
    except ValueError:
        return False


def _canonical(policy: Any) -> Any:
    """A policy document as AWS means it: the order of lists says nothing, and one value stands for a list of it."""
    if isinstance(policy, Mapping):
        return {key: _canonical(value) for key, value in cast("Mapping[str, Any]", policy).items()}
    if isinstance(policy, list):
        items = [_canonical(item) for item in cast("list[Any]", policy)]
        return items[0] if len(items) == 1 else sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
    return policy
