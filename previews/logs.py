"""The log: one JSON object a line on standard error, in ASCII, so that nobody's text can pass for a line of its own."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

__all__ = ["configure"]


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "told", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure() -> None:
    """Log what happens from information on; of the libraries, warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("previews").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)
