"""What a program would learn from the process that runs it, instead of from its settings."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from ladder.errors import CheckFailed

__all__ = ["unread_variables"]

_Place = Callable[[str, int], str]
_BETWEEN = (os.__file__, os.path.__file__, "<frozen os>", "<frozen posixpath>", "<frozen _collections_abc>")
"""Code that stands between who asks for a variable and the variables."""


@contextmanager
def unread_variables(place: _Place) -> Generator[None]:
    """Environment variables cannot be read inside by the program; its libraries read them as ever.

    ``place`` tells a file and line of the program as they are shown, and is empty for those of others. What asks, in
    this thread, raises CheckFailed with its place.
    """
    plain, own = type(os.environ), threading.get_ident()

    def asked(what: str) -> None:
        if threading.get_ident() == own:
            _refuse(what, place)

    class Watched(plain):
        def __getitem__(self, key: Any) -> Any:
            asked(f"the environment variable {os.fsdecode(key)}")
            return super().__getitem__(key)

        def __iter__(self) -> Iterator[Any]:
            asked("the environment's variables")
            return super().__iter__()

    # The objects stay, so that a name which was bound to one before is watched too.
    watched: list[Any] = [os.environ, os.environb] if os.supports_bytes_environ else [os.environ]
    for each in watched:
        each.__class__ = Watched
    try:
        yield
    finally:
        for each in watched:
            each.__class__ = plain


def _refuse(what: str, place: _Place) -> None:
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename in {*_BETWEEN, __file__}:
        frame = frame.f_back
    if frame is not None and (where := place(frame.f_code.co_filename, frame.f_lineno)):
        raise CheckFailed(f"the program reads {what} at {where}: only its settings may decide what it declares")
