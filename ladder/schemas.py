"""JSON Schemas of the settings, for editors and for review, generated from the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from ladder.contract import CONFIG_NAMESPACE, StackSettings
from ladder.files import write_atomically

__all__ = ["schemas", "stale", "write"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Every schema's file name in ``schemas/`` and its text."""
    return {"stack.schema.json": _text(_stack())}


def stale(root: Path) -> list[str]:
    """The schema files that are missing or do not match the contract."""
    found: list[str] = []
    for name, text in schemas().items():
        path = root / "schemas" / name
        if not path.is_file() or path.read_bytes() != text.encode():
            found.append(f"schemas/{name}")
    return found


def write(root: Path) -> list[str]:
    """Write the schemas that are stale; returns their names."""
    names = stale(root)
    for name, text in schemas().items():
        if f"schemas/{name}" in names:
            write_atomically(root / "schemas" / name, text)
    return names


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2) + "\n"


def _stack() -> dict[str, Any]:
    settings = StackSettings.model_json_schema(by_alias=True, schema_generator=_Schema)
    sections = {f"{CONFIG_NAMESPACE}:{name}": schema for name, schema in settings["properties"].items()}
    no_defaults = "pulumi:disable-default-providers"
    return {
        "$schema": _DIALECT,
        "title": "A stack file of the environment ladder (Pulumi.<stack>.yaml)",
        "type": "object",
        "additionalProperties": False,
        "required": ["config"],
        "properties": {
            "config": {
                "type": "object",
                "additionalProperties": False,
                "required": [no_defaults, *(f"{CONFIG_NAMESPACE}:{name}" for name in settings["required"])],
                "properties": {no_defaults: {"const": ["*"]}, **sections},
            },
            "encryptionsalt": {"type": "string"},
            "secretsprovider": {"type": "string"},
            "encryptedkey": {"type": "string"},
        },
        "$defs": settings["$defs"],
    }


class _Schema(GenerateJsonSchema):
    """Without generated titles, which repeat the key, and with maps closed to keys of another form."""

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        return {**made, "additionalProperties": False} if "patternProperties" in made else made

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False
