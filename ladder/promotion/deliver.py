"""``rollback --deliver``: what a merged rollback asks for is synced at once, also outside of prod's sync windows.

Argo CD refuses a manual sync outside a window unless every window that refuses it has ``manualSync``: ``CanSync`` of
``SyncWindows`` (argo-cd, pkg/apis/application/v1alpha1/types.go). The declared windows get it for as long as this runs,
and are put back whatever happens. No window is opened: what syncs by itself still waits.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from ladder.contract.stack import StackSettings
from ladder.doctor.asking import Answer, ask
from ladder.errors import CheckFailed
from ladder.git import git, resolved
from ladder.promotion.answers import Application, read
from ladder.promotion.ground import Ground
from ladder.promotion.patching import MANAGER, Change, change
from ladder.promotion.rollback import above_the_lowest
from ladder.promotion.statements import Pinned, Request
from ladder.rules.reading import at, items
from ladder.untrusted import visible
from sandbox.progress import Progress

__all__ = ["deliver", "windows"]

_SECONDS = 900.0
"""Argo CD asks for a commit every three minutes, unless it is told."""
_SECONDS_TO_CLOSE = 60.0
_PAUSES = (0.1, 2.0)
_USER = "ladder rollback"
_REFRESH = "argocd.argoproj.io/refresh"
_IMAGE = "ladder.internal/image"
_SOURCES = 2
"""An Application's: the chart, and the tree that has its values."""
_BLOCKED = "Sync operation blocked by sync window"
_Applications = Mapping[str, Mapping[str, Any]]
_Waiting = Callable[[_Applications], Mapping[str, str]]
"""What is still waited for, by Application, and why."""


def deliver(ground: Ground, environment: str, progress: Progress, *, seconds: float = _SECONDS) -> Sequence[str]:
    """Sync every service of a rung to what its rollback asks for, at the commit; answers what was done, a line each.

    Raises CheckFailed where the rollback is not merged, is not in ``version.yaml``, or did not come through in time.
    """
    rung = above_the_lowest(ground, environment)
    if rung.hold is None:
        raise CheckFailed(
            f"{environment} is pinned by no rollback at {ground.commit}: ask for one by `ladder rollback --env"
            f" {environment}`, have its pull request merged, fetch, and run this again"
        )
    entry, request = rung.hold
    if odd := [*_not_there(ground, environment, request)]:
        raise CheckFailed(f"{environment} is not what {entry.file} asks for at {ground.commit}: {'; '.join(odd)}")
    return _Delivery(ground, environment, entry.digest, request.services, progress, seconds).all()


def windows(settings: StackSettings, *, manual: bool = False) -> Sequence[Mapping[str, Any]]:
    """The sync windows as ``components.delivery`` declares them; with ``manual``, each lets manual syncs through."""
    return [
        {
            "kind": window.kind,
            "schedule": window.schedule,
            "duration": window.duration,
            "timeZone": window.time_zone,
            "manualSync": manual or window.manual_sync,
            "applications": ["*"],
        }
        for _, window in sorted(settings.delivery.windows.items())
    ]


def _not_there(ground: Ground, environment: str, request: Request) -> Iterator[str]:
    services = ground.services(environment)
    for service in sorted({*services, *request.services}):
        if service not in request.services:
            yield f"{service} is none of its services"
        elif service not in services:
            yield f"{service} is not there"
        elif (held := ground.version(environment, service)[1]) != request.services[service]:
            yield f"{service} has image {held.image}, chart {held.chart}"


class _Delivery:
    """One rollback's way into the cluster: it asks for syncs, and changes the windows for as long as they take."""

    def __init__(
        self,
        ground: Ground,
        environment: str,
        rollback: str,
        services: Mapping[str, Pinned],
        progress: Progress,
        seconds: float,
    ) -> None:
        self._ground = ground
        self._settings = ground.environment(environment)
        self._context = self._settings.cluster.context
        self._wanted = {f"{environment}-{service}": each for service, each in sorted(services.items())}
        self._rollback = rollback
        self._run = uuid.uuid4().hex
        self._progress = progress
        self._deadline = time.monotonic() + seconds
        base = f"/apis/argoproj.io/v1alpha1/namespaces/{self._settings.delivery.namespace}"
        self._project = f"{base}/appprojects/ladder-{environment}"
        self._applications = f"{base}/applications"
        self._older: dict[str, bool] = {}
        self._failed: dict[str, str] = {}

    def all(self) -> Sequence[str]:
        # Whom this cannot reach at all is not tried again.
        if (answer := ask(self._context, [self._project])[self._project]).status != HTTPStatus.OK:
            raise CheckFailed(f"{self._project}: {answer.reason}")
        declared = windows(self._settings)
        try:
            self._wait("waiting until Argo CD has seen the commit", self._unseen)
            if declared:
                self._progress.step("letting manual syncs through the sync windows")
                self._put(windows(self._settings, manual=True), self._deadline)
            self._wait("syncing", self._unsynced)
        finally:
            if declared:
                self._progress.step("putting the sync windows back")
                self._put(declared, time.monotonic() + _SECONDS_TO_CLOSE, returned=True)
        if self._failed:
            raise CheckFailed("; ".join(f"{name}: {why}" for name, why in sorted(self._failed.items())))
        return [f"{name}: synced to {self._ground.commit}" for name in self._wanted]

    # waiting

    def _wait(self, step: str, waiting: _Waiting) -> None:
        """Ask again until nothing is waited for. Raises CheckFailed where the deadline passes first."""
        self._progress.step(step)
        attempts = _attempts()
        while left := waiting(self._listed()):
            self._progress.advance(len(self._wanted) - len(left), len(self._wanted))
            if time.monotonic() > self._deadline:
                told = "; ".join(f"{name}: {why}" for name, why in sorted(left.items()))
                raise CheckFailed(f"not done in time: {told}; run this again")
            next(attempts)

    def _listed(self) -> _Applications:
        answer = self._asked(self._applications, self._deadline)
        return {str(at(item, "metadata", "name")): item for item in items(at(answer.body, "items"))}

    def _asked(self, path: str, deadline: float) -> Answer:
        """A good answer. Raises CheckFailed in the server's words where there is none in time."""
        attempts = _attempts()
        while True:
            try:
                answer = ask(self._context, [path])[path]
            except CheckFailed as error:
                answer = Answer(0, error)
            if answer.status == HTTPStatus.OK:
                return answer
            if not _passes(answer) or time.monotonic() > deadline:
                raise CheckFailed(f"{path}: {answer.reason}")
            next(attempts)

    def _changed(self, bodies: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Answer]:
        """The answer to a patch of each Application."""
        answers = self._patched([Change(f"{self._applications}/{name}", body) for name, body in bodies.items()])
        return dict(zip(bodies, answers, strict=True))

    def _patched(self, changes: Sequence[Change]) -> Sequence[Answer]:
        try:
            return change(self._context, changes) if changes else ()
        except CheckFailed as error:
            return [Answer(0, error)] * len(changes)

    # what Argo CD has seen

    def _unseen(self, found: _Applications) -> Mapping[str, str]:
        """Until it has compared the commit with what runs; it is asked to wherever it is behind."""
        left: dict[str, str] = {}
        behind: list[str] = []
        for name, wanted in self._wanted.items():
            if name not in found:
                left[name] = "there is no such Application"
                continue
            application = read(Application, found[name])
            if isinstance(application, str):
                raise CheckFailed(f"{name} is malformed: {application}")
            if why := _of_other_digests(application, wanted) or self._under_way(found[name], application):
                left[name] = why
            elif self._is_behind(application, wanted):
                left[name] = f"Argo CD compared with {', '.join(application.status.sync.revisions) or 'nothing'}"
                if _REFRESH not in application.metadata.annotations:
                    behind.append(name)
        self._changed({name: {"metadata": {"annotations": {_REFRESH: "normal"}}} for name in behind})
        return left

    def _is_behind(self, application: Application, wanted: Pinned) -> bool:
        revisions = application.status.sync.revisions
        return len(revisions) != _SOURCES or revisions[0] != wanted.chart or self._is_older(revisions[1])

    def _under_way(self, item: Mapping[str, Any], application: Application) -> str:
        """A sync that is not over; one of a run of this before goes on as soon as the windows let it."""
        state = application.status.operation_state
        phase, message = (state.phase, state.message) if state else ("", "")
        by = at(item, "operation", "initiatedBy", "username")
        if application.operation is None or by == _USER:
            return ""
        if message.startswith(_BLOCKED):
            # It has the sources of its time: with the windows open it would bring what is to be rolled back.
            name = application.metadata.name
            raise CheckFailed(
                f"{name}: a sync that {by or 'somebody'} asked for waits for its window, and would go first;"
                f" end it (`argocd app terminate-op {name}`) and run this again"
            )
        return f"another sync is not over: {visible(f'{phase} {message}')}"

    def _is_older(self, revision: str) -> bool:
        """Whether a commit comes before this one. One that this clone has not got is newer than it."""
        if revision not in self._older:
            root, commit = self._ground.root, self._ground.commit
            known = resolved(root, revision)
            before = known and git(root, "merge-base", "--is-ancestor", known, commit).returncode == 0
            self._older[revision] = bool(before) and known != commit
        return self._older[revision]

    # syncing

    def _unsynced(self, found: _Applications) -> Mapping[str, str]:
        left: dict[str, str] = {}
        starting: dict[str, Mapping[str, Any]] = {}
        for name in self._wanted:
            item = found.get(name, {})
            state, waits = at(item, "status", "operationState"), at(item, "operation") is not None
            phase, message = str(at(state, "phase") or ""), str(at(state, "message") or "")
            if name in self._failed:
                continue
            if not self._is_ours(at(state, "operation")) or waits:
                left[name] = visible(f"{phase} {message}") if waits else "not begun"
                if not waits and phase not in {"Running", "Terminating"}:
                    starting[name] = self._operation(name, item)
            elif phase not in {"Succeeded", "Failed", "Error"}:
                left[name] = visible(f"{phase} {message}")
            elif phase != "Succeeded":
                self._failed[name] = f"the sync is {phase}: {visible(message, 900)}"
        for name, answer in self._changed(starting).items():
            if answer.status != HTTPStatus.OK and not _passes(answer):
                self._failed[name] = f"the sync could not be asked for: {answer.reason}"
        return left

    def _is_ours(self, operation: Any) -> bool:
        return any(at(each, "value") == self._run for each in items(at(operation, "info")))

    def _operation(self, name: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
        """A sync of exactly this commit, as the Application's own policy has it, unless it was changed meanwhile."""
        policy = at(item, "spec", "syncPolicy")
        sync: dict[str, Any] = {
            "sources": at(item, "spec", "sources"),
            "revisions": [self._wanted[name].chart, self._ground.commit],
            "prune": at(policy, "automated", "prune") is True,
        }
        if options := items(at(policy, "syncOptions")):
            sync["syncOptions"] = options
        info = [{"name": "rollback", "value": self._rollback}, {"name": "run", "value": self._run}]
        return {
            "metadata": {"resourceVersion": at(item, "metadata", "resourceVersion")},
            "operation": {"initiatedBy": {"username": _USER}, "info": info, "sync": sync},
        }

    # the windows

    def _put(self, wanted: Sequence[Mapping[str, Any]], deadline: float, *, returned: bool = False) -> None:
        """Give the AppProject these windows; with ``returned`` they are again whose its other fields are.

        Raises CheckFailed, saying how they stand, where that cannot be done in time.
        """
        attempts = _attempts()
        while True:
            project = self._asked(self._project, deadline).body
            body: dict[str, Any] = {}
            if _plain(items(at(project, "spec", "syncWindows"))) != _plain(wanted):
                body = {"spec": {"syncWindows": wanted}}
            elif returned and (owners := _owners(at(project, "metadata", "managedFields"))):
                body = {"metadata": {"managedFields": owners}}
            if not body:
                return
            metadata = {"resourceVersion": at(project, "metadata", "resourceVersion"), **body.pop("metadata", {})}
            (answer,) = self._patched([Change(self._project, {"metadata": metadata, **body})])
            if answer.status == HTTPStatus.OK:
                continue
            if not _passes(answer) or time.monotonic() > deadline:
                stands = json.dumps(items(at(project, "spec", "syncWindows")))
                raise CheckFailed(f"{self._project} has the sync windows {stands}, to be {wanted}: {answer.reason}")
            next(attempts)


def _attempts() -> Iterator[None]:
    """Each comes after a pause, and after a longer one than the one before."""
    pause, longest = _PAUSES
    while True:
        time.sleep(pause)
        yield
        pause = min(pause * 1.5, longest)


def _of_other_digests(application: Application, wanted: Pinned) -> str:
    """What an Application names where its ApplicationSet has not seen the commit yet."""
    image, sources = application.metadata.annotations.get(_IMAGE), application.spec.sources
    chart = at(sources[0], "targetRevision") if len(sources) == _SOURCES else None
    return "" if (image, chart) == (wanted.image, wanted.chart) else f"it names image {image}, chart {chart}"


def _passes(answer: Answer) -> bool:
    """Whether the same may be answered better when it is asked again."""
    again = {0, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
    return answer.status in again or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _plain(found: Sequence[Any]) -> list[dict[str, Any]]:
    """Windows as they are compared: Argo CD leaves out what is false when it writes an AppProject."""
    return [{key: value for key, value in each.items() if value} for each in cast("Sequence[dict[str, Any]]", found)]


def _owners(fields: Any) -> list[Any]:
    """An AppProject's ``managedFields`` with the windows back in the hand of who applies it; empty where they are.

    Else the next ``ladder up`` that changes a window would find it another's, and refuse.
    """
    entries = cast("list[dict[str, Any]]", fields or [])
    if not any(each.get("manager") == MANAGER for each in entries):
        return []
    kept = [each for each in entries if each.get("manager") != MANAGER]
    for each in kept:
        spec = at(each, "fieldsV1", "f:spec")
        if each.get("operation") == "Apply" and at(spec, "f:sourceRepos") is not None:
            spec["f:syncWindows"] = {}
    return kept
