"""The rule over image admission: which pods must be refused, and which must not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ladder.recording import Recording
from ladder.rules.requests import GUARD, Delivered, Request, Specs, delivered, refuses, speaks_of, texts
from ladder.rules.rule import Breach

__all__ = ["admitted_registries", "digest_and_registry"]

_DIGEST = "@sha256:" + "0a" * 32
_FOREIGN = "registry.invalid/image"
_REQUESTS = (("pods", "CREATE"), ("pods", "UPDATE"), ("pods/ephemeralcontainers", "UPDATE"))
_EPHEMERAL = "ephemeralContainers"
_PLACES = ("containers", "initContainers", _EPHEMERAL, "volumes")


def digest_and_registry(recording: Recording) -> Iterator[Breach]:
    """Wherever a project delivers, pods run images by digest from named registries, in any kind of container.

    Counted are policies that fail closed, with a binding that denies, over pods and their ephemeral containers.
    """
    for to in delivered(recording):
        for message, found in _holes(to):
            yield Breach(resource=to.project, path=to.path, message=f"is where {message}", found=found, accepted=GUARD)


def admitted_registries(to: Delivered) -> list[str]:
    """The registries, ``/`` at their end, whose images run in the namespace as containers of a new pod."""
    return _admitted(to.policies, to.namespace, "pods", "CREATE", "containers")


def _holes(to: Delivered) -> Iterator[tuple[str, str]]:
    """What the namespace admits and should not, with the probe that shows it: the first for each kind of request."""
    for resource, operation in _REQUESTS:
        places = [_EPHEMERAL] if "/" in resource else list(_PLACES)
        found = (hole for place in places for hole in _of_place(to, resource, operation, place))
        if hole := next(found, None):
            yield hole


def _of_place(to: Delivered, resource: str, operation: str, place: str) -> Iterator[tuple[str, str]]:
    """Bad images are tried beside a good one, so that it does not do to look at some image of a pod."""
    told = f"{operation} {resource}, spec.{place}"
    good = _admitted(to.policies, to.namespace, resource, operation, place)
    if not good:
        free = _admits(to.policies, _request(to.namespace, resource, operation, place, f"{_FOREIGN}{_DIGEST}"))
        unknown = "no image is known to run, so whether one needs a digest is not seen"
        yield "an image of any registry runs" if free else unknown, told
        return
    running = _admitted(to.policies, to.namespace, resource, operation, "containers")
    for message, image in _bad(good):
        beside = f"{(running or good)[0]}image{_DIGEST}"
        if _admits(to.policies, _request(to.namespace, resource, operation, place, image, beside)):
            yield message, f"{told}: {image}"


def _admitted(policies: Specs, namespace: str, resource: str, operation: str, place: str) -> list[str]:
    """Texts of the policies' expressions by which images are admitted; none where any image is."""
    if _admits(policies, _request(namespace, resource, operation, place, f"{_FOREIGN}{_DIGEST}")):
        return []
    known = sorted(f"{text.rstrip('/')}/" for text in texts(policies) if "/" in text)
    return [
        registry
        for registry in dict.fromkeys(known)
        if _admits(policies, _request(namespace, resource, operation, place, f"{registry}image{_DIGEST}"))
    ]


def _admits(policies: Specs, request: Request) -> bool:
    return not any(speaks_of(spec, request) and refuses(spec, request) for spec in policies)


def _bad(registries: list[str]) -> Iterator[tuple[str, str]]:
    """What must not run: images of no such registry, and images without a whole digest."""
    foreign, tagged = "an image of any registry runs", "an image runs without its digest"
    yield foreign, f"{_FOREIGN}{_DIGEST}"
    for registry in registries:
        yield foreign, f"{registry.rstrip('/')}.invalid/image{_DIGEST}"
        yield tagged, f"{registry}image:latest"
        yield tagged, f"{registry}image@sha256:0a"


def _request(namespace: str, resource: str, operation: str, place: str, image: str, beside: str = "") -> Request:
    """To admit a pod with an image in one place; ``beside`` is that of a container it may have besides."""
    container = {"name": "probe", "image": image}
    volume = {"name": "probe", "image": {"reference": image}}
    spec: dict[str, Any] = {"automountServiceAccountToken": False}
    spec["containers"] = [{"name": "beside", "image": beside}] if beside else []
    spec.setdefault(place, []).append(volume if place == "volumes" else container)
    pod: dict[str, Any] = {"metadata": {"name": "probe", "namespace": namespace, "labels": {}}, "spec": spec}
    return Request(namespace=namespace, resource=resource, operation=operation, object=pod)
