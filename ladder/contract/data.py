"""What an environment's data is, and by whose word it may be called anonymous."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import Field, PositiveInt

from ladder.contract.base import Settings
from ladder.contract.types import CalendarDate, Digest, LabelValue

__all__ = ["Data", "DataClass", "Procedure"]


class DataClass(StrEnum):
    """What the data of an environment may be, least sensitive first."""

    THROWAWAY = "throwaway"
    SYNTHETIC = "synthetic"
    ANONYMIZED = "anonymized"
    REAL = "real"


class Procedure(Settings):
    """How real data was made anonymous: what was done, by whose word, and the last day on which that word counts."""

    name: LabelValue
    report: Digest
    """Of the report that says what was removed, and how it was tried to find people again."""
    owner: LabelValue
    expires: CalendarDate

    def is_live(self, today: date) -> bool:
        return today <= date.fromisoformat(self.expires)


class Data(Settings):
    """What the environment's data is, and how long replaced or deleted objects are kept."""

    data_class: Annotated[DataClass, Field(alias="class", examples=["synthetic"])]
    procedure: Procedure | None
    """By which the data was made anonymous; null where it is of another class."""
    noncurrent_days: PositiveInt
