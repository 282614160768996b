"""Who set which field of an object: what others added is nothing that server-side apply takes away by itself.

https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from .model import Difference

__all__ = ["additions", "taken_over"]

FieldSet = dict[str, Any]
"""As ``fieldsV1`` has it: ``{"f:spec": {"f:ingress": {}}}``; ``k:`` and ``v:`` are list items, ``.`` the node."""

# Controllers write these as a matter of course: finalizers, annotations, conditions.
_OTHERS_OWN = ("f:metadata", "f:status")


def additions(item: Mapping[str, Any], manager: str) -> tuple[Difference, ...]:
    """The fields that others have set on an object this manager applied, outside of metadata and status."""
    mine: FieldSet = {}
    theirs: FieldSet = {}
    for entry in _whole(item):
        _merge(mine if entry["manager"] == manager else theirs, entry.get("fieldsV1") or {})
    for name in _OTHERS_OWN:
        theirs.pop(name, None)
    return tuple(Difference(path, value, None) for path, value in _beyond(theirs, mine, item, ""))


def taken_over(item: Mapping[str, Any], manager: str) -> list[dict[str, Any]]:
    """The object's ``managedFields`` with every such field in this manager's name: what it then omits is removed."""
    union: FieldSet = {}
    kept = [entry for entry in item["metadata"]["managedFields"] if entry.get("subresource")]
    for entry in _whole(item):
        fields: FieldSet = entry.get("fieldsV1") or {}
        own = entry["manager"] == manager
        _merge(union, fields if own else {key: fields[key] for key in fields if key not in _OTHERS_OWN})
        rest = {} if own else {key: fields[key] for key in fields if key in _OTHERS_OWN}
        if rest:
            kept.append({**entry, "fieldsV1": rest})
    applied = {"manager": manager, "operation": "Apply", "apiVersion": item["apiVersion"], "fieldsType": "FieldsV1"}
    return [{**applied, "fieldsV1": union}, *kept]


def _whole(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    entries = cast("list[dict[str, Any]]", item["metadata"].get("managedFields") or [])
    return [one for one in entries if not one.get("subresource") and one.get("apiVersion") == item["apiVersion"]]


def _merge(into: FieldSet, fields: FieldSet) -> None:
    for key, below in fields.items():
        _merge(into.setdefault(key, {}), below)


def _beyond(theirs: FieldSet, mine: FieldSet, value: Any, path: str) -> Iterator[tuple[str, Any]]:
    for key, below in theirs.items():
        if key == ".":
            continue
        kind, _, name = key.partition(":")
        here = f"{path}.{name}".lstrip(".") if kind == "f" else f"{path}[{name}]"
        found = cast("Mapping[str, Any]", value).get(name) if kind == "f" and isinstance(value, Mapping) else name
        if key not in mine:
            yield here, found
        else:
            yield from _beyond(below, mine[key], found, here)
