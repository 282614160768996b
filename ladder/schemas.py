"""JSON Schemas of the settings and of the GitOps tree, for editors, for review and for Helm, made from the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from ladder.contract import CONFIG_NAMESPACE, StackSettings
from ladder.contract.exceptions import Exceptions
from ladder.contract.overlay import ChartValues, Overlay, Version
from ladder.contract.preview_values import PreviewValues
from ladder.contract.promotion import PROMOTION, Promotion
from ladder.contract.seed import SEED, SeedSettings
from ladder.files import write_atomically

__all__ = ["schemas", "stale", "write"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Every schema's path, from the project's root, and its text."""
    return {
        "schemas/stack.schema.json": _text(_stack()),
        "schemas/parity.schema.json": _text(_file(Exceptions, "Exceptions to equality (parity.yaml)")),
        "schemas/promotion.schema.json": _text(_file(Promotion, f"How a candidate climbs ({PROMOTION})")),
        "schemas/seed.schema.json": _text(_file(SeedSettings, f"The shape of synthetic data ({SEED})")),
        "schemas/values.schema.json": _text(_file(Overlay, "One service in one environment (values.yaml)")),
        "schemas/version.schema.json": _text(_file(Version, "What is promoted (version.yaml)")),
        "gitops/chart/values.schema.json": _text(_file(ChartValues, "The chart's values: values.yaml, version.yaml")),
        "gitops/preview/values.schema.json": _text(_file(PreviewValues, "The values of a preview's namespace")),
    }


def stale(root: Path) -> list[str]:
    """The schema files that are missing or do not match the contract."""
    found: list[str] = []
    for name, text in schemas().items():
        path = root / name
        if not path.is_file() or path.read_bytes() != text.encode():
            found.append(name)
    return found


def write(root: Path) -> list[str]:
    """Write the schemas that are stale; returns their names."""
    names = stale(root)
    for name, text in schemas().items():
        if name in names:
            write_atomically(root / name, text)
    return names


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2) + "\n"


def _file(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, schema_generator=_Schema)
    schema.pop("description", None)
    return {"$schema": _DIALECT, "title": title, **schema}


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
