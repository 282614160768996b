"""Preview, up, drift and destroy: what is recorded against what is live, with no memory in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ladder.errors import CheckFailed
from ladder.recording import Recording, Resource

from .aws import Aws
from .kubernetes import NAMESPACE, Kubernetes
from .lock import locked
from .model import Change, Difference, Identity, Live, Target
from .plan import Removals, check, deployable, guards_of, judged, placeholders
from .values import substitute

__all__ = ["OnChange", "destroy", "drift", "preview", "up"]

OnChange = Callable[[Change], None]

_WORKERS = 8


class Side(Protocol):
    """One kind of server: the Kubernetes API, or AWS."""

    def close(self) -> None: ...
    def handles(self, resource: Resource) -> bool: ...
    def problems(self, resource: Resource) -> list[str]: ...
    def identity(self, resource: Resource) -> Identity: ...
    def survey(self, resources: Iterable[Resource], pool: ThreadPoolExecutor) -> list[Live]: ...
    def find(self, resource: Resource) -> Live | None: ...
    def compare(self, resource: Resource, live: Live | None) -> tuple[Difference, ...]: ...
    def apply(self, resource: Resource, live: Live | None) -> Live: ...
    def settle(self, lives: Iterable[Live]) -> None: ...
    def delete(self, live: Live, parts: Iterable[Live], inputs: Mapping[str, Any]) -> None: ...
    def wait_gone(self, lives: Iterable[Live]) -> None: ...


def preview(recording: Recording, target: Target) -> tuple[Change, ...]:
    """What ``up`` would do, unchanged resources included; the server is asked, and nothing is changed.

    Raises LadderError for what cannot be deployed, CheckFailed for what a server or a protection refuses.
    """
    with _pass(target, recording.stack, recording, validate=True) as run:
        steps, removals = run.plan()
        return (*(step.change for step in steps), *(removals.change(live) for live in removals.ordered))


def drift(recording: Recording, target: Target) -> tuple[Change, ...]:
    """Where the live state differs from the recording; nothing is changed."""
    with _pass(target, recording.stack, recording) as run:
        steps, removals = run.plan()
        changes = (*(step.change for step in steps), *(removals.change(live) for live in removals.ordered))
        return tuple(change for change in changes if change.action not in ("same", "keep"))


def up(recording: Recording, target: Target, *, on_change: OnChange | None = None) -> tuple[Change, ...]:
    """Make the live state what is recorded, and remove what the stack owns and no longer records.

    ``on_change`` hears of each change once it is done. Raises LadderError or CheckFailed before anything is changed
    for what cannot be deployed, is protected or is somebody else's; CheckFailed with what was done when a server
    fails or refuses on the way. Running again resumes.
    """
    with (
        locked(target.locks, recording.stack, "up"),
        _pass(target, recording.stack, recording, on_change) as run,
    ):
        steps, removals = run.plan()
        with run.accounted("up"):
            run.apply(steps)
            run.remove(removals)
        return tuple(run.done)


def destroy(
    recording_or_stack: Recording | str, target: Target, *, on_change: OnChange | None = None
) -> tuple[Change, ...]:
    """Delete what the stack owns, except what is protected or retained, which is reported as kept.

    With a recording, what is protected there and all it depends on stay as well, and the rest goes in reverse order of
    dependency. Raises CheckFailed with what was done when a server fails or refuses. Running again resumes.
    """
    recording = recording_or_stack if isinstance(recording_or_stack, Recording) else None
    stack = recording.stack if recording else str(recording_or_stack)
    with locked(target.locks, stack, "destroy"), _pass(target, stack, recording, on_change) as run:
        removals = run.everything()
        with run.accounted("destroy"):
            run.remove(removals)
        return tuple(run.done)


@dataclass(frozen=True, slots=True)
class _Step:
    resource: Resource
    live: Live | None
    change: Change


@contextmanager
def _pass(
    target: Target,
    stack: str,
    recording: Recording | None,
    on_change: OnChange | None = None,
    *,
    validate: bool = False,
) -> Generator[_Pass]:
    with ExitStack() as closing:
        kubernetes = Kubernetes(target, stack, validate=validate)
        closing.callback(kubernetes.close)
        aws = Aws(target, stack)
        closing.callback(aws.close)
        pool = closing.enter_context(ThreadPoolExecutor(_WORKERS))
        yield _Pass((kubernetes, aws), stack, recording, pool, on_change)


class _Pass:
    """One walk over one stack."""

    def __init__(
        self,
        sides: tuple[Side, ...],
        stack: str,
        recording: Recording | None,
        pool: ThreadPoolExecutor,
        on_change: OnChange | None,
    ) -> None:
        self.done: list[Change] = []
        self._sides = sides
        self._stack = stack
        self._recording = recording
        self._resources = deployable(recording) if recording else ()
        self._pool = pool
        self._on_change = on_change
        self._lives: dict[Identity, Live] = {}
        self._replacements: dict[str, str] = {}

    def plan(self) -> tuple[list[_Step], Removals]:
        """Every refusal in one report, before anything is changed."""
        identities = check(self._resources, self._sides)
        self._survey()
        for identity, resource in identities.items():
            if identity in self._lives:
                self._replacements |= placeholders(resource, self._lives[identity])
        refusals: list[str] = []
        steps: list[_Step] = []
        for outcome in self._pool.map(self._judged, self._resources):
            if isinstance(outcome, str):
                refusals.append(outcome)
            else:
                steps.append(outcome)
        removals = Removals(self._stack, self._lives, wanted=frozenset(identities))
        refusals += [
            f"{live.type} {live.name} is protected and no longer recorded: put it back, or record it without "
            "protection and run up before removing it"
            for live in removals.protected
        ]
        if refusals:
            raise CheckFailed("\n".join([*refusals, "nothing was changed"]))
        return steps, removals

    def everything(self) -> Removals:
        """All that the stack owns, but for what the recording protects or retains."""
        resources, _ = judged(self._resources, self._sides)
        self._survey()
        guards = guards_of(self._recording, resources) if self._recording else {}
        return Removals(self._stack, self._lives, guards=guards, recorded=resources)

    def apply(self, steps: Iterable[_Step]) -> None:
        reached: list[Live] = []
        for planned in steps:
            step = self._renewed(planned)
            side = self._side(step.resource)
            live = step.live
            if step.change.action != "same":
                with _named(step.resource.urn):
                    live = side.apply(step.resource, step.live)
                self._replacements |= placeholders(step.resource, live)
            if live is not None:
                reached.append(live)
            self._tell(step.change)
        for side in self._sides:
            side.settle(live for live in reached if self._owner(live) is side)

    def remove(self, removals: Removals) -> None:
        """Namespaces last and together, since each takes a while."""
        namespaces: list[Live] = []
        for live in removals.ordered:
            change = removals.change(live)
            if change.action == "delete":
                side = self._owner(live)
                with _named(f"{live.type} {live.name}"):
                    side.delete(live, removals.parts(live), removals.inputs(live))
                if live.identity[0] == NAMESPACE:
                    namespaces.append(live)
                    continue
                side.wait_gone([live])
            self._tell(change)
        for live in namespaces:
            self._owner(live).wait_gone([live])
            self._tell(removals.change(live))
        for live in removals.going:
            self._owner(live).wait_gone([live])

    @contextmanager
    def accounted(self, verb: str) -> Generator[None]:
        """Say in a failure how far it came."""
        try:
            yield
        except CheckFailed as error:
            counts = Counter(change.action for change in self.done if change.action in ("create", "update", "delete"))
            did = ", ".join(f"{count} {action}d" for action, count in sorted(counts.items())) or "nothing"
            raise CheckFailed(
                f"{verb} of {self._stack} stopped: {error}\nbefore that: {did}; running it again goes on from here"
            ) from error

    def _survey(self) -> None:
        kubernetes, aws = ([resource for resource in self._resources if side.handles(resource)] for side in self._sides)
        other = self._pool.submit(self._sides[1].survey, aws, self._pool)
        lives = [*self._sides[0].survey(kubernetes, self._pool), *other.result()]
        self._lives = {live.identity: live for live in lives}

    def _judged(self, resource: Resource) -> _Step | str:
        try:
            return self._step(resource)
        except CheckFailed as error:
            return f"{resource.urn}: {error}"

    def _step(self, recorded: Resource) -> _Step:
        resource = replace(recorded, inputs=substitute(recorded.inputs, self._replacements))
        side = self._side(resource)
        identity = side.identity(resource)
        live = self._lives.get(identity)
        if live is None or live.stack not in ("", self._stack):
            live = side.find(resource)
        found = side.compare(resource, live)
        absent = live is None or live.deleting
        change = Change(
            action="create" if absent else "update" if found else "same",
            type=resource.type,
            name=identity[1],
            urn=resource.urn,
            differences=() if absent else found,
        )
        return _Step(resource, live, change)

    def _renewed(self, step: _Step) -> _Step:
        """The step with ids that became known since it was planned."""
        inputs = substitute(step.resource.inputs, self._replacements)
        if inputs == step.resource.inputs:
            return step
        resource = replace(step.resource, inputs=inputs)
        if step.change.action == "create":
            return replace(step, resource=resource)
        with _named(resource.urn):
            return self._step(resource)

    def _tell(self, change: Change) -> None:
        self.done.append(change)
        if self._on_change and change.action != "same":
            self._on_change(change)

    def _side(self, resource: Resource) -> Side:
        return next(side for side in self._sides if side.handles(resource))

    def _owner(self, live: Live) -> Side:
        kubernetes, aws = self._sides
        return kubernetes if live.type.startswith("kubernetes:") else aws


@contextmanager
def _named(what: str) -> Generator[None]:
    try:
        yield
    except CheckFailed as error:
        raise CheckFailed(f"{what}: {error}") from error
