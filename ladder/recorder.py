"""Runs the real program of a stack in this process, offline, and keeps what it registers.

The program runs as the engine's language host would run it, against a monitor of the SDK's own test seam. Nothing is
sent anywhere; provider outputs are deterministic placeholders. Neither checks, defaults nor autonaming of a provider
run: :mod:`ladder.compare` holds a recording against real state.
"""

from __future__ import annotations

import contextvars
import gc
import json
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import chdir, contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.proto import resource_pb2

from ladder.ambient import unread_variables
from ladder.collection import without_collection
from ladder.contract import CONFIG_NAMESPACE, StackSettings, ladder_settings
from ladder.contract.load import stack_file
from ladder.errors import CheckFailed
from ladder.placeholders import Providers, computed
from ladder.program import place, run_program, unawaited_ignored
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
_UNRECORDED = (
    "ignoreChanges",
    "replaceOnChanges",
    "deleteBeforeReplace",
    "importId",
    "deletedWith",
    "customTimeouts",
)
"""Options that the program does without: a recording has no place for them, so that nothing would see them change."""
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
    # A collection would walk the SDK's hundred thousands of objects for nothing.
    with _sealed(root), _own_modules(root), without_collection():
        problem = context.run(
            run_program,
            root,
            monitor,
            features=monitor.features(),
            project=CONFIG_NAMESPACE,
            stack=stack,
            configuration=configuration(settings),
            preview=preview,
        )
    if problem is not None:
        # The SDK's settings live in the context and hold outputs that nobody will await.
        del context
        with unawaited_ignored():
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
        with chdir(root), unread_variables(lambda file, line: place(Path(file), line, root)):
            yield
    finally:
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _own_modules(root: Path) -> Generator[None]:
    """The program's modules are those beside it, and run anew: what one decides as it is imported is decided for each
    recording. This package's own stay, which hold the contract that the settings are of.
    """
    others = {name: module for name, module in sys.modules.items() if _is_component(name)}
    for name in others:
        del sys.modules[name]
    before = set(sys.modules)
    try:
        yield
    finally:
        for name, module in list(sys.modules.items()):
            if name not in before and (_is_component(name) or _is_beside(name, module, root)):
                del sys.modules[name]
        sys.modules.update(others)


def _is_component(name: str) -> bool:
    return name == _PROGRAM_PACKAGE or name.startswith(f"{_PROGRAM_PACKAGE}.")


def _is_beside(name: str, module: ModuleType, root: Path) -> bool:
    """Whether the module is of the program's folder and neither installed there nor this package's."""
    file = getattr(module, "__file__", None)
    if not file or name.partition(".")[0] == __name__.partition(".")[0] or not Path(file).is_relative_to(root):
        return False
    parts = Path(file).relative_to(root).parts
    return "site-packages" not in parts and not any(part.startswith(".") for part in parts)


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
        return set(self.GetDeploymentInfo(empty_pb2.Empty()).supportedFeatures)

    def GetDeploymentInfo(self, request: Any) -> Any:
        """As the SDK's own mocks answer, but for alias specs: without, the SDK works aliases out as URNs."""
        information: Any = super().GetDeploymentInfo(request)  # pyright: ignore[reportUnknownMemberType]
        information.supportedFeatures.remove(resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS)
        return information

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        parent_type = parent.split("::")[2] if parent else ""
        qualified = f"{parent_type}${type_}" if parent_type and parent_type != _STACK_TYPE else type_
        return f"urn:pulumi:{self._stack}::{CONFIG_NAMESPACE}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.transforms:
            where = self._place(request)
            raise CheckFailed(f"the program transforms {request.name!r} at {where}: {_ENGINE_RUNS_THEM}")
        if unseen := [option for option in _UNRECORDED if _is_given(request, option)]:
            where = self._place(request)
            raise CheckFailed(
                f"the program gives {request.name!r} at {where} {', '.join(unseen)}: no recording shows it"
            )
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
                aliases=tuple(sorted(urn.replace(f"{_STACK_TYPE}$", "") for urn in request.aliasURNs)),
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
        places = (_place(str(frame.pc.uri), frame.pc.line, self._root) for frame in request.stackTrace.frames)
        return next(filter(None, places), "an unknown place")

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn.split("::")[2] == _STACK_TYPE:
            self.stack_outputs = _plain(request.outputs)
        return empty_pb2.Empty()


def _is_given(request: Any, option: str) -> bool:
    value = getattr(request, option)
    return bool(value.ByteSize() if hasattr(value, "ByteSize") else value)


@lru_cache(maxsize=4096)
def _place(uri: str, line: int, root: Path) -> str:
    return place(Path(url2pathname(urlsplit(uri).path)), line, root)


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
