"""Whether objects are what the API server takes: by the schemas of Kubernetes and of the custom kinds, offline.

An unknown field is refused, as strict field validation does, and so is null, which the API server forgets. What only
code or CEL in the API server knows (that a selector matches the labels) is not seen here.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jsonschema_rs import Draft202012Validator, Registry, ValidationError, ValidationErrorKind

from ladder.errors import Problem
from ladder.recording import Recording
from ladder.strict_yaml import YamlPath, dotted
from sandbox import crds, kubernetes_openapi
from sandbox.progress import Progress

if TYPE_CHECKING:
    from jsonschema_rs import KeywordValidator

__all__ = ["Kind", "KubernetesSchemas"]

Kind = tuple[str, str]
"""``apiVersion`` and ``kind``."""

_URI = "kubernetes:"
_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_AMOUNT = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"
"""The grammar that the description of ``resource.Quantity`` gives in words."""
_RANGES = {"int32": 2**31, "int64": 2**63}
_OPEN = {"x-kubernetes-preserve-unknown-fields": True}
_QUANTITIES = {"type": "object", "additionalProperties": {"$ref": f"{_URI}#/definitions/{_QUANTITY}"}}
_VOLUMES = {"type": "array", "items": {"$ref": f"{_URI}#/definitions/io.k8s.api.core.v1.Volume"}}
_OF_PODS = {"limits": _QUANTITIES, "requests": _QUANTITIES, "volumes": _VOLUMES}
"""What Argo's definitions leave open in pods, to be smaller; their controllers hand it on to Kubernetes."""
_LONGEST_SHOWN = 120
_MOST_NAMED = 15


@dataclass(frozen=True, slots=True)
class KubernetesSchemas:
    """The schemas of every kind that is known: one document of definitions, and each kind's name in it."""

    definitions: Mapping[str, Any]
    kinds: Mapping[Kind, str]
    _registry: Registry = field(repr=False)
    _validators: dict[str, Draft202012Validator] = field(default_factory=dict[str, Draft202012Validator], repr=False)

    @classmethod
    def load(cls, progress: Progress, *, cache: Path | None = None) -> KubernetesSchemas:
        """Those of the sandbox's Kubernetes and its custom kinds; fetched first where they are missing.

        Raises CheckFailed where they cannot be had.
        """
        built_in = kubernetes_openapi.ensure(progress, cache=cache)
        custom = sorted(crds.ensure(progress, cache=cache).glob("*.json"))
        return cls.of(json.loads(built_in.read_bytes()), [json.loads(path.read_bytes()) for path in custom])

    @classmethod
    def of(cls, built_in: Mapping[str, Any], custom: Iterable[Mapping[str, Any]]) -> KubernetesSchemas:
        """From OpenAPI definitions by name, and CustomResourceDefinitions."""
        definitions: dict[str, Any] = {name: _closed(schema) for name, schema in built_in.items()}
        amount = {"anyOf": [{"type": "string", "pattern": _AMOUNT}, {"type": "number"}]}
        definitions[_QUANTITY] = {"title": "a quantity, 250m or 1Gi for example", **amount}
        kinds: dict[Kind, str] = {}
        for name, schema in built_in.items():
            groups: list[dict[str, str]] = schema.get("x-kubernetes-group-version-kind", [])
            if len(groups) == 1:  # what every group has, DeleteOptions for one, is not an object to apply
                kinds[_kind(**groups[0])] = name
        for definition in custom:
            spec = definition["spec"]
            for version in spec["versions"]:
                if version["served"]:
                    kind = _kind(spec["group"], version["name"], spec["names"]["kind"])
                    kinds[kind] = name = "/".join(kind)
                    definitions[name] = _custom(version["schema"]["openAPIV3Schema"])
        return cls(definitions, kinds, Registry([(_URI, {"definitions": definitions})]))

    def problems(self, document: Mapping[str, Any], *, file: str, source: str = "") -> Iterator[Problem]:
        """What the API server would not take of an object.

        ``file`` is what the object was made from, ``source`` the template that made it. A kind without a schema is a
        problem: nothing is known of its fields.
        """
        kind: Kind = (str(document.get("apiVersion", "")), str(document.get("kind", "")))
        metadata = document.get("metadata")
        name = cast("Mapping[str, Any]", metadata).get("name") if isinstance(metadata, Mapping) else None
        what = f"{kind[1] or 'an object'} {name or 'without a name'}" + (f" ({source})" if source else "")
        if kind not in self.kinds:
            near = difflib.get_close_matches(" ".join(kind), [" ".join(known) for known in self.kinds], cutoff=0.5)
            found = " ".join(part for part in kind if part) or "neither apiVersion nor kind"
            accepted = "apiVersion and kind of Kubernetes or of a custom kind that is installed"
            message, example = f"{what} is of a kind that has no schema", near[0] if near else ""
            yield Problem(file=file, path="kind", message=message, found=found, accepted=accepted, example=example)
            return
        if not name:
            accepted = "a name"
            yield Problem(file=file, path="metadata.name", message=f"is missing from {what}", accepted=accepted)
        for error in self._validator(self.kinds[kind]).iter_errors(document):
            yield from self._explained(error, file, what)

    def of_recording(self, recording: Recording) -> Iterator[Problem]:
        """What the API server would not take of what a stack declares."""
        for resource in recording.resources:
            if resource.type.startswith("kubernetes:") and resource.custom:
                yield from self.problems(resource.inputs, file=f"Pulumi.{recording.stack}.yaml", source=resource.name)

    def _validator(self, name: str) -> Draft202012Validator:
        keywords: dict[str, type[KeywordValidator]] = {"x-kubernetes-list-map-keys": _Distinct}
        if name not in self._validators:
            self._validators[name] = Draft202012Validator(
                {"$ref": f"{_URI}#/definitions/{name.replace('/', '~1')}"},
                registry=self._registry,
                keywords=keywords,
                validate_formats=True,
            )
        return self._validators[name]

    def _explained(self, error: ValidationError, file: str, what: str) -> Iterator[Problem]:
        path = tuple(error.instance_path)
        schema = self._schema(error)
        match error.kind:
            case ValidationErrorKind.AdditionalProperties(unexpected=names):
                known = sorted(schema.get("properties", {}))
                for name in names:
                    yield _unknown(file, (*path, name), what, known)
            case ValidationErrorKind.Required(property=name):
                message = f"is missing from {what}"
                yield Problem(file=file, path=dotted((*path, str(name))), message=message, found="no such field")
            case ValidationErrorKind.Custom():
                yield Problem(file=file, path=dotted(path), message=f"{error.message}, in {what}")
            case _:
                found, accepted = _short(json.dumps(error.instance)), _accepted(schema, str(error.schema_path[-1]))
                message = f"is not accepted in {what}"
                yield Problem(file=file, path=dotted(path), message=message, found=found, accepted=accepted)

    def _schema(self, error: ValidationError) -> Mapping[str, Any]:
        """The schema whose keyword refused."""
        place: Any = {"definitions": self.definitions}
        for part in error.schema_path[:-1]:
            place = place[part]
        return place


class _Distinct:
    """The items of a list that is a map to the API server are told apart by these keys: no two are alike."""

    def __init__(self, parent_schema: object, value: Sequence[str], schema_path: object) -> None:  # noqa: ARG002 - the library's signature
        self._keys = value

    def validate(self, instance: object) -> None:
        seen: set[str] = set()
        for item in cast("list[object]", instance if isinstance(instance, list) else []):
            fields = cast("Mapping[str, Any]", item if isinstance(item, Mapping) else {})
            key = ", ".join(f"{name} {json.dumps(fields[name])}" for name in self._keys if name in fields)
            if key in seen:
                raise ValueError(f"has two items with {key}")
            seen.add(key)


def _kind(group: str, version: str, kind: str) -> Kind:
    return (f"{group}/{version}" if group else version, kind)


def _closed(schema: Mapping[str, Any], *, custom: bool = False) -> dict[str, Any]:
    """An OpenAPI schema as JSON Schema, closed to unknown fields.

    A custom kind keeps of an object what it names, and no more; of Kubernetes' own, an object that names no field holds
    anything (RawExtension).
    """
    made: dict[str, Any] = {}
    for keyword, value in schema.items():
        match keyword:
            case "properties":
                made[keyword] = {name: _property(name, item, custom=custom) for name, item in value.items()}
            case "items" | "additionalProperties" if isinstance(value, Mapping):
                made[keyword] = _closed(cast("Mapping[str, Any]", value), custom=custom)
            case "allOf" if not custom:
                made[keyword] = [_closed(item) for item in value]
            case "$ref":
                made[keyword] = f"{_URI}#/definitions/{value.rpartition('/')[2]}"
            case "x-kubernetes-list-type" if value == "set":
                made["uniqueItems"] = True
            case "format" if value in _RANGES:
                made |= {"minimum": -_RANGES[value], "maximum": _RANGES[value] - 1}
            case "description" | "default" | "nullable":
                pass
            case _:
                made[keyword] = value
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
    keeps = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in made
    if schema.get("type") == "object" and not keeps and (custom or "properties" in made):
        made["additionalProperties"] = False
    return made


def _property(name: str, schema: Mapping[str, Any], *, custom: bool) -> dict[str, Any]:
    return _OF_PODS[name] if schema == _OPEN and name in _OF_PODS else _closed(schema, custom=custom)


def _custom(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a custom kind's objects, with what Kubernetes adds to it."""
    made = _closed(schema, custom=True)
    text = {"type": "string"}
    metadata = {"$ref": f"{_URI}#/definitions/{_METADATA}"}
    return {**made, "properties": {**made["properties"], "apiVersion": text, "kind": text, "metadata": metadata}}


def _unknown(file: str, path: YamlPath, what: str, known: Sequence[str]) -> Problem:
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    more = [f"and {len(known) - _MOST_NAMED} more"] if len(known) > _MOST_NAMED else []
    return Problem(
        file=file,
        path=dotted(path),
        message=f"is an unknown field of {what}",
        found=str(path[-1]),
        accepted=", ".join([*known[:_MOST_NAMED], *more]) or "no field here",
        example=f"did you mean {near[0]}?" if near else "",
    )


def _accepted(schema: Mapping[str, Any], keyword: str) -> str:
    value = schema[keyword]
    match keyword:
        case "type":
            return value if isinstance(value, str) else " or ".join(value)
        case "anyOf" | "oneOf":
            return schema.get("title") or " or ".join(_accepted(side, next(iter(side))) for side in value)
        case "enum":
            return ", ".join(json.dumps(item) for item in value)
        case "pattern":
            return f"text that matches {value}"
        case _:
            return f"{keyword} {json.dumps(value)}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
