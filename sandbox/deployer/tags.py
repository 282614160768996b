"""How an AWS resource says whose it is: tags, since nothing else remembers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ladder.recording import Resource

__all__ = ["FORCE", "NAME", "PROTECT", "RETAIN", "STACK", "as_list", "from_list", "tags_of", "wanted_tags"]

STACK = "ladder:stack"
NAME = "ladder:name"
PROTECT = "ladder:protect"
RETAIN = "ladder:retain"
FORCE = "ladder:force-destroy"


def wanted_tags(resource: Resource, stack: str, *, name: bool = False) -> dict[str, str]:
    """The recording's tags, the owner's, and the marks that a later run without this resource must still honour."""
    tags: dict[str, str] = {**(resource.inputs.get("tags") or {}), STACK: stack}
    if name:
        tags[NAME] = resource.name
    marks = {PROTECT: resource.protect, RETAIN: resource.retain_on_delete, FORCE: resource.inputs.get("forceDestroy")}
    return tags | {mark: "true" for mark, wanted in marks.items() if wanted}


def as_list(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    return [{key: name, value: tags[name]} for name in sorted(tags)]


def from_list(tags: Iterable[Mapping[str, str]], key: str = "Key", value: str = "Value") -> dict[str, str]:
    return {tag[key]: tag[value] for tag in tags}


def tags_of(properties: Mapping[str, Any]) -> dict[str, str]:
    return properties.get("tags") or {}
