"""Runs a Pulumi program in this process against a monitor, as the engine's language host would run it."""

from __future__ import annotations

import asyncio
import inspect
import runpy
import traceback
import warnings
from collections.abc import Callable, Coroutine, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any

import pulumi
from pulumi.runtime import config, resource, settings
from pulumi.runtime.mocks import MockEngine, MockMonitor, MockSettings
from pulumi.runtime.proto import source_pb2
from pulumi.runtime.stack import run_in_stack

from ladder.errors import CheckFailed

__all__ = ["place", "run_program", "unawaited_ignored"]

_ORGANIZATION = "organization"
_CONSTRUCTORS = 3
"""Resource's, CustomResource's or ComponentResource's, and that of the resource itself."""

_Failed = list[tuple[BaseException, TracebackType | None]]


def run_program(
    root: Path,
    monitor: MockMonitor,
    *,
    features: set[int],
    project: str,
    stack: str,
    configuration: Mapping[str, str],
    preview: bool,
) -> str | None:
    """Run the program at ``root``; answers what is wrong with it, or None. The SDK's settings are this context's."""
    problem: str | None = None
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_quiet)
    loop.set_default_executor(_AtOnce())
    failed: _Failed = []
    loop.set_task_factory(_watching(failed))
    asyncio.set_event_loop(loop)
    try:
        settings.reset_options(project=project, stack=stack, preview=preview, organization=_ORGANIZATION)
        config.set_all_config(dict(configuration))
        settings.configure(
            MockSettings(
                monitor=monitor,
                monitor_features=features,
                engine=MockEngine(None),
                project=project,
                stack=stack,
                dry_run=preview,
                organization=_ORGANIZATION,
                root_directory=str(root),
                callbacks=None,
            )
        )
        loop.run_until_complete(run_in_stack(lambda: _main(root / "__main__.py")))
    except (Exception, SystemExit) as error:
        problem = _failure(error, failed, root)
        failed.clear()
    finally:
        with unawaited_ignored():
            _abandon(loop)
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
        asyncio.set_event_loop(None)
    return problem


def place(file: Path, line: int, root: Path) -> str:
    """A line of the program as it is shown; empty for code that is not the program's."""
    if not file.is_relative_to(root) or ".venv" in file.relative_to(root).parts:
        return ""
    return f"{file.relative_to(root)}:{line}"


async def _main(file: Path) -> None:
    """The program, and what it left waiting, to its end or its first failure.

    The SDK would wait for the first of all that wait, and then for the first of the others, and so on.
    """
    runpy.run_path(str(file), run_name="__main__")
    own = {asyncio.current_task()}
    while waiting := asyncio.all_tasks() - own:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
        if any(not task.cancelled() and task.exception() for task in done):
            return


class _AtOnce(ThreadPoolExecutor):
    """The monitor answers in this process: a thread would have nothing to wait for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = Future[Any]()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def _stack_trace() -> source_pb2.StackTrace:
    """Where the program asks for a resource: the frames above those of the resource's own constructors.

    As the SDK's own function, which reads the source of every line on the stack besides, for every resource.
    """
    frame, constructors = inspect.currentframe(), 0
    while frame is not None and constructors < _CONSTRUCTORS:
        constructors += frame.f_code.co_name == "__init__"
        frame = frame.f_back
    trace = source_pb2.StackTrace()
    while frame is not None:
        trace.frames.append(_stack_frame(frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return trace


@lru_cache(maxsize=4096)
def _stack_frame(file: str, line: int) -> source_pb2.StackFrame:
    path = Path(file)
    position = source_pb2.SourcePosition(uri=path.as_uri(), line=line) if path.is_absolute() else None
    return source_pb2.StackFrame(pc=position)


resource._get_stack_trace = _stack_trace  # pyright: ignore[reportPrivateUsage]


@contextmanager
def unawaited_ignored() -> Generator[None]:
    """No warning of what a failed program never came to await."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        yield


def _abandon(loop: asyncio.AbstractEventLoop) -> None:
    """End what a failed program left waiting."""
    waiting = asyncio.all_tasks(loop)
    for task in waiting:
        task.cancel()
    if waiting:
        loop.run_until_complete(asyncio.gather(*waiting, return_exceptions=True))


def _watching(failed: _Failed) -> Callable[..., asyncio.Task[Any]]:
    """Make tasks that note where they fail: an error that several tasks raise again loses its traceback."""

    async def watched(coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await coroutine
        except Exception as error:
            failed.append((error, error.__traceback__))
            raise

    def make(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(watched(coroutine), loop=loop, **options)

    return make


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The first failure is reported; what was waiting for it has nothing to add."""


def _failure(error: BaseException, failed: _Failed, root: Path) -> str:
    told = _chain(error)
    refusal = next((link for link in told if isinstance(link, (CheckFailed, pulumi.RunError))), None)
    if refusal is not None:
        return str(refusal)
    noted = [trace for note, trace in failed if any(note is link for link in told)]
    places = [where for trace in (*noted, *(link.__traceback__ for link in told)) for where in _places(trace, root)]
    what = f"{type(error).__name__}: {error}"
    return f"the program failed at {places[0]}: {what}" if places else f"the program failed: {what}"


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it came from: the SDK raises a failure of its tasks again, from the original."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and all(link is not known for known in chain):
        chain.append(link)
        link = link.__cause__
    return chain


def _places(trace: TracebackType | None, root: Path) -> list[str]:
    """Where in the program it happened, innermost first."""
    frames = reversed(traceback.extract_tb(trace))
    return [where for frame in frames if (where := place(Path(frame.filename), frame.lineno or 0, root))]
