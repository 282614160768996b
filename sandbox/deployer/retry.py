"""TransientError that may pass: retried with exponential backoff and jitter until a deadline, then told as it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from ladder.errors import CheckFailed

__all__ = ["TransientError", "patiently", "wait_until"]

T = TypeVar("T")


class TransientError(Exception):
    """A failure worth another try. ``retry_after`` is the server's own wish, in seconds."""

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        self.retry_after = retry_after
        super().__init__(message)


_backoff = wait_exponential_jitter(multiplier=0.1, max=5.0, jitter=0.1)


def patiently(call: Callable[[], T], *, seconds: float, what: str) -> T:
    """The result of ``call``, tried again after a TransientError for that many seconds.

    Raises CheckFailed when they are over.
    """

    def pause(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        wished = error.retry_after if isinstance(error, TransientError) else 0.0
        return min(max(wished, _backoff(state)), max(0.0, seconds - (state.seconds_since_start or 0.0)))

    tries = 0

    def counted() -> T:
        nonlocal tries
        tries += 1
        return call()

    try:
        retrying = Retrying(
            retry=retry_if_exception_type(TransientError), wait=pause, stop=stop_after_delay(seconds), reraise=True
        )
        return retrying(counted)
    except TransientError as error:
        raise CheckFailed(f"{what}: {error} (tried {tries} times in {seconds:g} s)") from error


def wait_until(done: Callable[[], bool], *, seconds: float, what: Callable[[], str]) -> None:
    """Return once ``done``; raise CheckFailed with ``what()`` when it is not within that many seconds."""
    deadline = time.monotonic() + seconds
    pause = 0.02
    while not done():
        if time.monotonic() >= deadline:
            raise CheckFailed(f"{what()} (waited {seconds:g} s)")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)
