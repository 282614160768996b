"""What a field's annotation can hold, read from the type: maps, and models through unions and ``Annotated``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel

__all__ = ["bare", "fields_at", "is_map", "models"]


def bare(annotation: Any) -> Any:
    """The annotation without its metadata."""
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def is_map(annotation: Any) -> bool:
    origin = get_origin(bare(annotation))
    return isinstance(origin, type) and issubclass(origin, Mapping)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models an annotation can hold."""
    annotation = bare(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif not is_map(annotation):
        for argument in get_args(annotation):
            yield from models(argument)


def fields_at(model: Any, path: Sequence[str]) -> tuple[str, ...] | None:
    """None where the path leads to a value; else the keys at the first part that leads nowhere, ``<name>`` for any."""
    annotation: Any = model
    for part in path:
        if is_map(annotation):
            annotation = get_args(bare(annotation))[1]
            continue
        fields = {
            field.alias or name: field for each in models(annotation) for name, field in each.model_fields.items()
        }
        if part not in fields:
            return tuple(fields)
        annotation = fields[part].annotation
    return None
