"""The typed contract: what an environment's settings are, and why each may differ."""

from ladder.contract.base import Settings, Varies
from ladder.contract.data import DataClass
from ladder.contract.load import (
    CONFIG_NAMESPACE,
    ladder_settings,
    settings_from_config,
    settings_from_mapping,
    stack_file,
    stack_names,
    stack_settings,
)
from ladder.contract.stack import Rung, StackSettings, TierLevel

__all__ = [
    "CONFIG_NAMESPACE",
    "DataClass",
    "Rung",
    "Settings",
    "StackSettings",
    "TierLevel",
    "Varies",
    "ladder_settings",
    "settings_from_config",
    "settings_from_mapping",
    "stack_file",
    "stack_names",
    "stack_settings",
]
