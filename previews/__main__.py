"""Run the plugin: ``python -m previews SETTINGS``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from ladder.errors import InputError
from previews.app import application
from previews.logs import configure
from previews.settings import read

__all__ = ["main"]

_DRAIN_SECONDS = 28
"""Longer than the slowest answer takes, and shorter than a pod has to end."""

_IDLE_SECONDS = 120
"""Longer than Argo CD keeps a connection that it does not use (Go: 90 s). Whoever ends one first must be who asks: a
question that meets the end is lost, and Argo CD comes again after minutes."""

_MOST_AT_ONCE = 64


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM, then answer what was asked. Exit codes: 0 ended so, 1 it cannot listen, 2 bad settings."""
    if len(arguments) != 1:
        print("usage: python -m previews SETTINGS", file=sys.stderr)
        return 2
    try:
        settings = read(Path(arguments[0]))
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    configure()
    config = uvicorn.Config(
        application(settings),
        host=settings.listen.host,
        port=settings.listen.port,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_AT_ONCE,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    # When it has drained, the server raises the signal it was sent a second time.
    signal.signal(signal.SIGTERM, _drained)
    try:
        uvicorn.Server(config).run()
    except SystemExit:
        return 1
    return 0


def _drained(number: int, frame: FrameType | None) -> None:
    """Nothing is left to do."""
    del number, frame


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
