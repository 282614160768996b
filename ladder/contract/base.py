"""The strict base of every settings model, and why a field may differ between environments."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError

__all__ = ["Off", "Settings", "Varies", "switch"]


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

    def names(self) -> Mapping[tuple[str, ...], Collection[str]]:
        """The keys, by path, of maps whose values may vary and whose keys may not.

        They are equal in every environment that tells them.
        """
        return {}


def _boolean(value: object) -> object:
    """``Literal[False]`` alone would take 0, which equals it."""
    if isinstance(value, bool):
        return value
    raise PydanticKnownError("bool_type")


Off = Annotated[Literal[False], BeforeValidator(_boolean)]
"""``enabled`` of the side of a switch that is off."""


def switch(value: object) -> str:
    """Which side of an ``enabled`` switch the value is on; validation of the value itself comes after."""
    enabled = value.get("enabled") if isinstance(value, Mapping) else getattr(value, "enabled", None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return "on" if enabled is True else "off"
