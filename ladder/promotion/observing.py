"""What a rung is seen to run: by its pods, by the Rollouts that own them, and by what Argo CD says of both.

Argo CD's word alone is not enough: an Application may be Synced and Healthy while nothing of it was applied. Green is
what all of them agree on: the digest that the tree names, the Rollout's, its pods' and the container runtime's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from ladder.contract.stack import StackSettings
from ladder.doctor.asking import Answer, ask
from ladder.errors import CheckFailed
from ladder.promotion.answers import Application, Container, Pod, Rollout, read
from ladder.rules.reading import at as standing
from ladder.rules.reading import items

__all__ = ["Asking", "Observation", "Seen", "observe"]

Asking = Callable[[str, Iterable[str]], Mapping[str, Answer]]

_SERVER = "https://kubernetes.default.svc"
_IMAGE = "ladder.internal/image"
"""The annotation of an Application that has the image's digest as the tree names it."""
_HASH = "rollouts-pod-template-hash"
_CONTAINER = "service"
"""The container of the chart's Rollout that is the service."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LONGEST = 900
_NAMED = 3

_Kind = TypeVar("_Kind", Application, Rollout)


@dataclass(frozen=True, slots=True)
class Seen:
    """One service: the digests of the image that its ready pods run and of its chart, and the commit of its values."""

    image: str
    chart: str
    revision: str
    pods: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen, and why that is not green: without ``problems`` it is healthy, synced, rolled out and agreed on.

    A service that could not be made out is not in ``services``, and is in ``problems``.
    """

    environment: str
    at: datetime
    services: Mapping[str, Seen]
    problems: tuple[str, ...]


def observe(
    context: str,
    environment: str,
    settings: StackSettings,
    services: Collection[str],
    *,
    asking: Asking = ask,
    played: bool = False,
) -> Observation:
    """Look at the environment in the cluster of the kubeconfig's context; whatever cannot be seen is a problem.

    A pod runs what its container runtime says (``imageID``), which is the digest asked for where an image is pulled by
    digest. Some runtimes name another digest of the same content, a platform's manifest or another index: that
    is a problem, since nothing here tells it from another image. ``played`` believes a pod's own spec where no runtime
    says anything: in the sandbox pods only seem to run.
    """
    now = datetime.now(UTC)
    namespace = settings.namespace("services")
    paths = {
        "Applications": f"/apis/argoproj.io/v1alpha1/namespaces/{settings.delivery.namespace}/applications",
        "Rollouts": f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/rollouts",
        "pods": f"/api/v1/namespaces/{namespace}/pods",
    }
    try:
        answers = asking(context, list(paths.values()))
    except CheckFailed as error:
        return Observation(environment, now, {}, (_short(f"not observed: {error}"),))
    listed = {what: _listed(what, answers.get(path)) for what, path in paths.items()}
    unknown = [_short(each) for each in listed.values() if isinstance(each, str)]
    if unknown:
        return Observation(environment, now, {}, tuple(unknown))
    known = {what: each for what, each in listed.items() if not isinstance(each, str)}
    watch = _Watch(environment, settings, known["Applications"], known["Rollouts"], known["pods"], played)
    seen, problems = watch.all(services)
    return Observation(environment, now, seen, tuple(map(_short, problems)))


def _listed(what: str, answer: Answer | None) -> Mapping[str, Any] | str:
    """Objects by their names, or why there are none to be looked at."""
    if answer is None or answer.status != HTTPStatus.OK:
        return f"not observed: {what}: {answer.reason if answer else 'not answered'}"
    if not isinstance(standing(answer.body, "items"), list) or standing(answer.body, "metadata", "continue"):
        return f"not observed: {what}: what was answered is not the whole list"
    named: dict[str, Any] = {}
    for item in items(standing(answer.body, "items")):
        name = standing(item, "metadata", "name")
        if not isinstance(name, str) or not name or name in named:
            return f"not observed: {what}: one has no name, or another's"
        named[name] = item
    return named


class _Watch:
    """One look at an environment."""

    def __init__(
        self,
        environment: str,
        settings: StackSettings,
        applications: Mapping[str, Any],
        rollouts: Mapping[str, Any],
        pods: Mapping[str, Any],
        played: bool,
    ) -> None:
        self._environment = environment
        self._settings = settings
        self._namespace = settings.namespace("services")
        self._applications = applications
        self._rollouts = rollouts
        self._played = played
        parsed = {name: read(Pod, item) for name, item in pods.items()}
        self._pods = [pod for pod in parsed.values() if not isinstance(pod, str)]
        self._malformed = [f"pod {name} is malformed: {pod}" for name, pod in parsed.items() if isinstance(pod, str)]

    def all(self, services: Collection[str]) -> tuple[Mapping[str, Seen], list[str]]:
        problems = [*self._malformed, *self._strangers(services)]
        if not services:
            problems.append("there is no service to be seen")
        found: dict[str, Seen] = {}
        for service in sorted(services):
            seen, wrong = self._service(service)
            if seen is not None:
                found[service] = seen
            elif not wrong:
                wrong = ["could not be made out"]
            problems += [f"{service}: {each}" for each in wrong]
        return found, problems

    def _strangers(self, services: Collection[str]) -> Iterator[str]:
        """What is delivered here beside the services."""
        own = {self._application_name(service) for service in services}
        for name, item in sorted(self._applications.items()):
            project, namespace = standing(item, "spec", "project"), standing(item, "spec", "destination", "namespace")
            if name not in own and (project == self._project or namespace == self._namespace):
                yield f"the Application {name} delivers here and is of no service that is known"
        for name in sorted(self._rollouts.keys() - set(services)):
            yield f"the Rollout {name} runs here and is of no service that is known"

    @property
    def _project(self) -> str:
        return f"ladder-{self._environment}"

    def _application_name(self, service: str) -> str:
        return f"{self._environment}-{service}"

    def _service(self, service: str) -> tuple[Seen | None, list[str]]:
        problems: list[str] = []
        application = self._read(Application, self._applications.get(self._application_name(service)), problems)
        rollout = self._read(Rollout, self._rollouts.get(service), problems)
        if application is not None:
            problems += self._not_delivered(service, application)
        if rollout is None:
            return None, problems
        problems += _not_rolled_out(rollout)
        if application is not None:
            problems += _not_wanted(application, rollout)
        image, pods, wrong = self._run(rollout)
        problems += wrong
        if application is None or not image:
            return None, problems
        revisions = _applied(application)
        if any(_revisions(revisions)):
            return None, problems
        chart, revision = revisions
        return Seen(image, chart, revision, pods), problems

    def _read(self, kind: type[_Kind], item: Any, problems: list[str]) -> _Kind | None:
        if item is None:
            problems.append(f"there is no {kind.__name__}")
            return None
        found = read(kind, item)
        if isinstance(found, str):
            problems.append(f"the {kind.__name__} is malformed: {found}")
            return None
        return found

    def _sources(self, service: str, digest: Any) -> Sequence[Mapping[str, Any]]:
        """As ``components.delivery`` declares them: the chart, and the tree that has its values."""
        delivery = self._settings.delivery
        folder = f"$values/{delivery.path}/{self._environment}/{service}"
        values = [f"{folder}/values.yaml", f"{folder}/version.yaml"]
        return [
            {
                "repoURL": delivery.chart,
                "path": ".",
                "targetRevision": digest,
                "helm": {"releaseName": service, "valueFiles": values},
            },
            {"repoURL": delivery.repository, "targetRevision": delivery.branch, "ref": "values"},
        ]

    def _not_delivered(self, service: str, application: Application) -> Iterator[str]:
        spec, status = application.spec, application.status
        digest = standing(spec.sources[0], "targetRevision") if spec.sources else None
        if spec.project != self._project:
            yield f"the Application is of the project {spec.project}, not {self._project}"
        if (spec.destination.server, spec.destination.namespace) != (_SERVER, self._namespace):
            yield f"the Application delivers to {spec.destination.server} {spec.destination.namespace}"
        if spec.sources != self._sources(service, digest):
            yield "the Application has other sources than the stack declares"
        if application.metadata.deletion_timestamp is not None:
            yield "the Application is being deleted"
        if status.sync.status != "Synced":
            yield f"Argo CD says {status.sync.status or 'nothing'}, not Synced"
        if status.health.status != "Healthy":
            yield f"Argo CD says {status.health.status or 'nothing'}, not Healthy{_because(status.health.message)}"
        yield from _not_synced(application)
        if status.sync.revisions[:1] != [digest]:
            yield f"Argo CD compared with the chart {', '.join(status.sync.revisions[:1])}, and {digest} is wanted"
        for wrong in _revisions(status.sync.revisions):
            yield f"Argo CD compared with {wrong}"
        rollout = ("argoproj.io", "Rollout", self._namespace, service, "Synced")
        if rollout not in ((o.group, o.kind, o.namespace, o.name, o.status) for o in status.resources):
            yield "Argo CD does not count the Rollout among what it has delivered"

    def _run(self, rollout: Rollout) -> tuple[str, int, list[str]]:
        """The digest that the service's ready pods run, where it is one; how many they are; and what is not right."""
        ready: list[Pod] = []
        problems: dict[str, list[str]] = {}
        for pod in (each for each in self._pods if _selects(rollout, each) and not each.is_over):
            wrong: Iterable[str] = ()
            if not _is_stable(rollout, pod):
                wrong = ["a pod of another revision still runs"]
            elif pod.is_ready and pod.metadata.deletion_timestamp is None:
                ready.append(pod)
                wrong = self._disagreements(rollout, pod)
            for each in wrong:
                problems.setdefault(each, []).append(pod.metadata.name)
        told = [f"{each} ({_names(pods)})" for each, pods in problems.items()]
        if len(ready) != rollout.spec.replicas or not ready:
            told.insert(0, f"{len(ready)} of {rollout.spec.replicas} pods are ready")
        digests = {self._digest(pod, _container(pod)) for pod in ready}
        return digests.pop() if len(digests) == 1 else "", len(ready), told

    def _disagreements(self, rollout: Rollout, pod: Pod) -> Iterator[str]:
        """Where a pod is not what its Rollout says, or its runtime runs something else than either."""
        wanted, found = rollout.spec.template.spec, pod.spec
        if (found.containers, found.init_containers) != (wanted.containers, wanted.init_containers):
            yield "has other containers than the Rollout says"
        if found.ephemeral_containers:
            yield "somebody's own container was put into it"
        for container in (*found.containers, *found.init_containers):
            asked, runs = _digest_of(container.image), self._digest(pod, container)
            if not asked:
                yield f"the container {container.name} names its image by no digest: {container.image}"
            elif not runs:
                yield f"no runtime says by a digest what the container {container.name} runs"
            elif runs != asked:
                yield f"the container {container.name} is to run {asked}, and the runtime says {runs}"

    def _digest(self, pod: Pod, container: Container | None) -> str:
        """What the container runtime says that it runs; empty where it does not."""
        if container is None:
            return ""
        statuses = (*pod.status.container_statuses, *pod.status.init_container_statuses)
        said = next((each.image_id for each in statuses if each.name == container.name), "")
        return _digest_of(container.image if self._played and not said else said)


def _not_synced(application: Application) -> Iterator[str]:
    last = application.status.operation_state
    if application.operation is not None:
        yield "a sync was asked for and is not over"
    if last is None:
        yield "nothing was synced yet"
    elif last.phase != "Succeeded":
        yield f"the last sync is {last.phase}{_because(last.message)}"


def _applied(application: Application) -> Sequence[str]:
    """What runs: what Argo CD compared with where that is what is there, else what it applied last."""
    status = application.status
    if status.sync.status == "Synced":
        return status.sync.revisions
    return status.operation_state.sync_result.revisions if status.operation_state else ()


def _revisions(revisions: Sequence[str]) -> Iterator[str]:
    """What is wrong with what Argo CD synced: a chart's digest and a commit, in the order of the sources."""
    forms = (_DIGEST, _COMMIT)
    if len(revisions) != len(forms):
        yield f"{len(revisions)} revisions, and there are {len(forms)} sources"
    for form, revision in zip(forms, revisions, strict=False):
        if not form.fullmatch(revision):
            yield f"{revision}, which is no {'digest' if form is _DIGEST else 'commit'}"


def _not_wanted(application: Application, rollout: Rollout) -> Iterator[str]:
    """A sync may have succeeded and applied nothing."""
    wanted = application.metadata.annotations.get(_IMAGE, "")
    service = next((each for each in rollout.spec.template.spec.containers if each.name == _CONTAINER), None)
    if service is None:
        yield f"the Rollout has no container {_CONTAINER}"
    elif not wanted or _digest_of(service.image) != wanted:
        yield f"the tree names the image {wanted or 'by nothing'}, and the Rollout {service.image}"


def _not_rolled_out(rollout: Rollout) -> Iterator[str]:
    spec, status = rollout.spec, rollout.status
    if status.observed_generation != str(rollout.metadata.generation):
        yield "the Rollout's controller has not seen its last change"
    if rollout.metadata.deletion_timestamp is not None:
        yield "the Rollout is being deleted"
    if status.abort:
        yield f"the Rollout was aborted{_because(status.message)}"
    if spec.paused or status.controller_pause or status.pause_conditions:
        yield "the Rollout is paused"
    if status.phase != "Healthy":
        yield f"the Rollout is {status.phase or 'in no phase'}, not Healthy{_because(status.message)}"
    if not status.stable_rs or status.current_pod_hash != status.stable_rs:
        yield f"the Rollout's revision {status.current_pod_hash} is not the stable one, {status.stable_rs}"
    for what, count in (
        ("there", status.replicas),
        ("updated", status.updated_replicas),
        ("available", status.available_replicas),
    ):
        if count != spec.replicas:
            yield f"{count} pods of the Rollout are {what}, and {spec.replicas} are wanted"


def _selects(rollout: Rollout, pod: Pod) -> bool:
    return rollout.spec.selector.match_labels.items() <= pod.metadata.labels.items()


def _is_stable(rollout: Rollout, pod: Pod) -> bool:
    """Whether the Rollout's stable ReplicaSet owns the pod; Argo Rollouts names it by the hash."""
    stable = rollout.status.stable_rs
    owner = ("apps/v1", "ReplicaSet", f"{rollout.metadata.name}-{stable}", True)
    owners = ((each.api_version, each.kind, each.name, each.controller) for each in pod.metadata.owner_references)
    return pod.metadata.labels.get(_HASH) == stable and owner in owners


def _container(pod: Pod) -> Container | None:
    return next((each for each in pod.spec.containers if each.name == _CONTAINER), None)


def _digest_of(reference: str) -> str:
    """The digest after the ``@`` of a reference; empty where it names none."""
    _, _, digest = reference.rpartition("@")
    return digest if digest != reference and _DIGEST.fullmatch(digest) else ""


def _because(message: str) -> str:
    return f": {message}" if message else ""


def _names(names: Sequence[str]) -> str:
    first = ", ".join(sorted(names)[:_NAMED])
    return f"{first} and {len(names) - _NAMED} more" if len(names) > _NAMED else first


def _short(text: str) -> str:
    """On one line, of what can be printed, and no longer than a statement holds."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
