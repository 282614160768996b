"""Times as RFC 3339 writes them, which is how annotations and the API server do."""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = ["moment", "parsed"]

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def moment(time: datetime) -> str:
    """A time of UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(text: str) -> datetime | None:
    """The time in UTC; None where the text is none."""
    if not _RFC_3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
