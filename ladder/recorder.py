"""Runs the real program of a stack in this process, offline, and keeps what it registers.

The program runs as the engine's language host would run it, against a monitor of the SDK's own test seam. Nothing is
sent anywhere; provider outputs are deterministic placeholders. Neither checks, defaults nor autonaming of a provider
run: :mod:`ladder.compare` holds a recording against real state.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    monitor = _Monitor(stack)
    context = contextvars.copy_context()
    with _sealed(root):
        context.run(_run, monitor, configuration(settings), stack, root, preview)
    return Recording(
        project=CONFIG_NAMESPACE,
        stack=stack,
        resources=tuple(sorted(monitor.recorded, key=lambda resource: resource.urn)),
        outputs=monitor.stack_outputs,
    )


@contextmanager
def _sealed(root: Path) -> Iterator[None]:
    """The program sees no ambient credential or switch, and imports from its own root."""
    before = dict(os.environ)
    path = list(sys.path)
    for name in before:
        if name.startswith(_AMBIENT):
            del os.environ[name]
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path[:] = path
        os.environ.clear()
        os.environ.update(before)


def _run(monitor: _Monitor, values: dict[str, str], stack: str, root: Path, preview: bool) -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(_quiet)
    asyncio.set_event_loop(loop)
    try:
        settings.reset_options(project=CONFIG_NAMESPACE, stack=stack, preview=preview, organization="organization")
        config.set_all_config(values)
        features = set(monitor.GetDeploymentInfo(empty_pb2.Empty()).supportedFeatures)
        settings.configure(
            MockSettings(
                monitor=monitor,
                monitor_features=features,
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
    except Exception as error:
        raise CheckFailed(_failure(error, root)) from error
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The first failure is reported; what was waiting for it has nothing to add."""


def _failure(error: Exception, root: Path) -> str:
    if isinstance(error, pulumi.RunError):
        return str(error)
    inside = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(root) and ".venv" not in Path(frame.filename).parts
    ]
    place = f" at {Path(inside[-1].filename).relative_to(root)}:{inside[-1].lineno}" if inside else ""
    return f"the program failed{place}: {type(error).__name__}: {error}"


class _NoMocks(Mocks):
    """The monitor answers registrations itself; a program that looks something up is refused."""

    def call(self, args: MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise CheckFailed(f"the program calls {args.token}: a look-up needs a live system and cannot be recorded")

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        raise CheckFailed(
            f"the program reads {args.typ} {args.name!r}: that needs a live system and cannot be recorded"
        )


class _Monitor(MockMonitor):
    """Answers what a program without look-ups asks, and keeps every registration."""

    def __init__(self, stack: str) -> None:
        super().__init__(_NoMocks())
        self.recorded: list[Resource] = []
        self.stack_outputs: Mapping[str, Any] = {}
        self._stack = stack
        self._providers = Providers()

    def make_urn(self, parent: str, type_: str, name: str) -> str:
        parent_type = parent.split("::")[2] if parent else ""
        qualified = f"{parent_type}${type_}" if parent_type and parent_type != _STACK_TYPE else type_
        return f"urn:pulumi:{self._stack}::{CONFIG_NAMESPACE}::{qualified}::{name}"

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
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
