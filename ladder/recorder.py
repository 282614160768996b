"""Runs the real program of a stack in this process, offline, and keeps what it registers.

The program runs as the engine's language host would run it, against a monitor of the SDK's own test seam. Nothing is
sent anywhere; provider outputs are deterministic placeholders. Neither checks, defaults nor autonaming of a provider
run: :mod:`ladder.compare` holds a recording against real state.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import os
import runpy
import sys
import traceback
import warnings
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pulumi
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import config, settings
from pulumi.runtime.mocks import MockCallArgs, MockEngine, MockMonitor, MockResourceArgs, Mocks, MockSettings
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_in_stack

from ladder.contract import CONFIG_NAMESPACE, StackSettings, ladder_settings
from ladder.contract.load import stack_file
from ladder.errors import CheckFailed
from ladder.placeholders import Providers, computed
from ladder.recording import Recording, Resource

__all__ = ["REDACTED", "configuration", "record", "record_stack"]

REDACTED = "[secret]"
"""What stands for a secret in a recording."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
_STACK_TYPE = "pulumi:pulumi:Stack"
_AMBIENT = ("AWS_", "PULUMI_", "KUBE", "LADDER_")
_PROGRAM_PACKAGE = "components"
_NEEDS_A_LIVE_SYSTEM = "a look-up needs a live system and cannot be recorded"
_ENGINE_RUNS_THEM = "the engine runs transforms, so a recording would not show what they do"


def record_stack(root: Path, stack: str) -> Recording:
    """Record one stack of the project as its file says. Raises InputError, or CheckFailed if the program fails."""
    stack_file(root, stack)
    return record(ladder_settings(root)[stack], stack=stack, root=root)


def configuration(settings: StackSettings) -> dict[str, str]:
    """The settings as the engine hands them to a program: configuration key to JSON text."""
    sections: Mapping[str, Any] = settings.model_dump(mode="json", by_alias=True)
    return {f"{CONFIG_NAMESPACE}:{section}": json.dumps(value) for section, value in sections.items()}


def record(settings: StackSettings, *, stack: str, root: Path, preview: bool = False) -> Recording:
    """Record the program at ``root`` for any settings. Raises CheckFailed naming the place if the program fails."""
    root = root.resolve()
    monitor = _Monitor(stack, root)
    context = contextvars.copy_context()
    with _sealed(root), _own_package(root), _no_collection():
        problem = context.run(_run, monitor, configuration(settings), stack, root, preview)
    if problem is not None:
        # The SDK's settings live in the context and hold outputs that nobody will await.
        del context
        with _unawaited_ignored():
            gc.collect()
        raise CheckFailed(problem)
    return Recording(
        project=CONFIG_NAMESPACE,
        stack=stack,
        resources=tuple(sorted(monitor.recorded, key=lambda resource: resource.urn)),
        outputs=monitor.stack_outputs,
    )


@contextmanager
def _sealed(root: Path) -> Generator[None]:
    """The program sees no ambient credential or switch; it runs in its own root and imports from there."""
    before = dict(os.environ)
    path = list(sys.path)
    for name in before:
        if name.startswith(_AMBIENT):
            del os.environ[name]
    sys.path.insert(0, str(root))
    try:
        with chdir(root):
            yield
    finally:
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _own_package(root: Path) -> Generator[None]:
    """The program gets the components beside it, also where those of another checkout are loaded already."""
    loaded = sys.modules.get(_PROGRAM_PACKAGE)
    if not (root / _PROGRAM_PACKAGE).is_dir() or _is_of(loaded, root):
        yield
        return
    others = _loaded_program_modules()
    for name in others:
        del sys.modules[name]
    try:
        yield
    finally:
        if others:
            for name in _loaded_program_modules():
                del sys.modules[name]
            sys.modules.update(others)


def _is_of(module: ModuleType | None, root: Path) -> bool:
    return module is not None and module.__file__ is not None and Path(module.__file__).is_relative_to(root)


def _loaded_program_modules() -> dict[str, ModuleType]:
    return {
        name: module
        for name, module in sys.modules.items()
        if name == _PROGRAM_PACKAGE or name.startswith(f"{_PROGRAM_PACKAGE}.")
    }


@contextmanager
def _no_collection() -> Generator[None]:
    """A recording is short, and a collection in it walks the SDK's hundred thousands of objects for nothing."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _run(monitor: _Monitor, values: dict[str, str], stack: str, root: Path, preview: bool) -> str | None:
    """Run the program; answers what is wrong with it, or None."""
    problem: str | None = None
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_quiet)
    failed: list[tuple[BaseException, TracebackType | None]] = []
    loop.set_task_factory(_watching(failed))
    asyncio.set_event_loop(loop)
    try:
        settings.reset_options(project=CONFIG_NAMESPACE, stack=stack, preview=preview, organization="organization")
        config.set_all_config(values)
        settings.configure(
            MockSettings(
                monitor=monitor,
                monitor_features=monitor.features(),
                engine=MockEngine(None),
                project=CONFIG_NAMESPACE,
                stack=stack,
                dry_run=preview,
                organization="organization",
                root_directory=str(root),
                callbacks=None,
            )
        )
        main = root / "__main__.py"
        loop.run_until_complete(run_in_stack(lambda: (runpy.run_path(str(main), run_name="__main__"), None)[1]))
    except (Exception, SystemExit) as error:
        problem = _failure(error, failed, root)
        failed.clear()
    finally:
        with _unawaited_ignored():
            _abandon(loop)
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
        asyncio.set_event_loop(None)
    return problem


@contextmanager
def _unawaited_ignored() -> Generator[None]:
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


def _watching(failed: list[tuple[BaseException, TracebackType | None]]) -> Callable[..., asyncio.Task[Any]]:
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


def _failure(error: BaseException, failed: list[tuple[BaseException, TracebackType | None]], root: Path) -> str:
    told = _chain(error)
    refusal = next((link for link in told if isinstance(link, (CheckFailed, pulumi.RunError))), None)
    if refusal is not None:
        return str(refusal)
    noted = [trace for note, trace in failed if any(note is link for link in told)]
    places = [place for trace in (*noted, *(link.__traceback__ for link in told)) for place in _places(trace, root)]
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
    return [place for frame in frames if (place := _place(Path(frame.filename), frame.lineno or 0, root))]


def _place(file: Path, line: int, root: Path) -> str:
    if not file.is_relative_to(root) or ".venv" in file.relative_to(root).parts:
        return ""
    return f"{file.relative_to(root)}:{line}"


class _NoMocks(Mocks):
    """The monitor answers everything itself."""

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError(args.token)

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        raise NotImplementedError(args.typ)


class _Monitor(MockMonitor):
    """Answers what a program without look-ups asks, and keeps every registration."""

    def __init__(self, stack: str, root: Path) -> None:
        super().__init__(_NoMocks())
        self.recorded: list[Resource] = []
        self.stack_outputs: Mapping[str, Any] = {}
        self._stack = stack
        self._root = root
        self._places: dict[str, list[str]] = {}
        self._providers = Providers()

    def features(self) -> set[int]:
        information: Any = super().GetDeploymentInfo(empty_pb2.Empty())  # pyright: ignore[reportUnknownMemberType]
        return set(information.supportedFeatures)

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        parent_type = parent.split("::")[2] if parent else ""
        qualified = f"{parent_type}${type_}" if parent_type and parent_type != _STACK_TYPE else type_
        return f"urn:pulumi:{self._stack}::{CONFIG_NAMESPACE}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.transforms:
            where = self._place(request)
            raise CheckFailed(f"the program transforms {request.name!r} at {where}: {_ENGINE_RUNS_THEM}")
        places = self._places.setdefault(urn, [])
        places.append(self._place(request))
        if len(places) > 1:
            raise CheckFailed(f"the program registers {urn} more than once, at {' and '.join(sorted(places))}")
        inputs = _plain(request.object)
        identifier, extra = "", dict[str, Any]()
        if request.custom:
            identifier, extra = computed(request.type, urn, inputs, self._providers.of(request.provider))
        if request.type.startswith("pulumi:providers:"):
            self._providers.add(urn, inputs)
        self.recorded.append(
            Resource(
                urn=urn,
                type=request.type,
                name=request.name,
                custom=request.custom,
                id=identifier,
                parent=request.parent or None,
                provider=request.provider or None,
                protect=request.protect,
                retain_on_delete=request.retainOnDelete,
                aliases=tuple(sorted(str(alias) for alias in request.aliases)),
                dependencies=tuple(sorted(request.dependencies)),
                property_dependencies={
                    name: tuple(sorted(found.urns))
                    for name, found in sorted(request.propertyDependencies.items())
                    if found.urns
                },
                inputs=inputs,
                outputs={**inputs, **extra},
            )
        )
        answer = struct_pb2.Struct()
        answer.CopyFrom(request.object)
        answer.update(extra)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identifier, object=answer)

    def Invoke(self, request: Any) -> Any:
        raise CheckFailed(f"the program calls {request.tok}: {_NEEDS_A_LIVE_SYSTEM}")

    def ReadResource(self, request: Any) -> Any:
        where = self._place(request)
        raise CheckFailed(f"the program reads {request.type} {request.name!r} at {where}: {_NEEDS_A_LIVE_SYSTEM}")

    def RegisterStackTransform(self, request: Any) -> Any:
        raise CheckFailed(f"the program transforms what it registers: {_ENGINE_RUNS_THEM}")

    def RegisterStackInvokeTransform(self, request: Any) -> Any:
        raise CheckFailed(f"the program transforms its look-ups: {_ENGINE_RUNS_THEM}")

    def _place(self, request: Any) -> str:
        """Where the program asks for it: the innermost frame that is the program's own."""
        for frame in request.stackTrace.frames:
            file = Path(url2pathname(urlsplit(str(frame.pc.uri)).path))
            if place := _place(file, frame.pc.line, self._root):
                return place
        return "an unknown place"

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn.split("::")[2] == _STACK_TYPE:
            self.stack_outputs = _plain(request.outputs)
        return empty_pb2.Empty()


def _plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    """The struct as JSON values, keys sorted, whole numbers as int, secrets redacted."""
    return {name: _value(struct.fields[name]) for name in sorted(struct.fields)}


def _value(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            fields = value.struct_value.fields
            secret = _SIGNATURE in fields and fields[_SIGNATURE].string_value == _SECRET
            return REDACTED if secret else _plain(value.struct_value)
        case "list_value":
            return [_value(item) for item in value.list_value.values]
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None
