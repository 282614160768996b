"""The strict base of every settings model, and why a field may differ between environments."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic_core import CoreSchema

__all__ = ["Settings", "Varies"]


class Varies(StrEnum):
    """Why a field may hold another value in another environment; a field without it is equal everywhere.

    Stands in a field's type: ``pods: Annotated[int, Varies.SCALE]``. On a field that holds a model or a map it covers
    everything below.
    """

    SCALE = "scale"
    TIER = "tier"
    ENDPOINTS = "endpoints"
    FEATURES = "features"
    SECRETS = "secrets"
    ROLLOUT = "rollout"
    DATA = "data"
    IDENTITY = "identity"

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-varies": self.value}


class Settings(BaseModel):
    """Base of the contract's models: unknown keys refused, nothing coerced, nothing changed after validation."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, hide_input_in_errors=True
    )
