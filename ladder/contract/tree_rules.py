"""Rules that join the services of an environment, and the environments of a service."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ladder.contract.across import differing
from ladder.contract.exceptions import Place
from ladder.contract.overlay import Objects, Overlay, Seed
from ladder.contract.violations import Violation
from ladder.variables import OBJECT_STORE, SEED_JOB, store_host

__all__ = ["across_environments", "of_environment", "within_environment"]

Services = Mapping[str, Overlay]


def within_environment(services: Services) -> Iterator[tuple[str, Violation]]:
    """Every rule the services of one environment break together, with the service it is reported on."""
    for name, overlay in services.items():
        for violation in (*_calls(name, overlay, services), *_stores(overlay, services), *_objects(overlay, services)):
            yield name, violation
    yield from _names(services)
    yield from _hosts(services)


def of_environment(environment: str, services: Services) -> Iterator[tuple[str, Violation]]:
    """Every rule that joins the environment's name, which is its folder's, to what its services are."""
    for name, overlay in services.items():
        if isinstance(overlay.seed, Seed) and overlay.seed.environment != environment:
            message = "is another environment: its data would be taken for that one's, and is refused"
            path = ("seed", "environment")
            yield name, Violation(path=path, message=message, found=overlay.seed.environment, accepted=environment)


def across_environments(
    environments: Mapping[str, Services], excepted: Collection[Place] = ()
) -> Iterator[tuple[str, str, Violation]]:
    """Every difference of one service between environments that has neither a reason in the contract nor an exception.

    The first environment that has the service is what the others are held against. Yields environment, service, rule.
    """
    names = dict.fromkeys(name for services in environments.values() for name in services)
    for name in names:
        own = {environment: services[name] for environment, services in environments.items() if name in services}
        for each in differing(own, excepted, service=name):
            message = f"differs from {each.other}, and the contract gives no reason for it to vary"
            found, accepted = str(each.found), str(each.accepted)
            yield each.environment, name, Violation(path=each.path, message=message, found=found, accepted=accepted)


def _calls(name: str, overlay: Overlay, services: Services) -> Iterator[Violation]:
    for other, called in overlay.dependencies.services.items():
        path = ("dependencies", "services", other)
        if other not in services:
            yield _unknown(path, other, services)
            continue
        target = services[other]
        port = target.service.ports.get("http")
        if port != called.port:
            accepted = str(port) if port else f"nothing: {other} answers no calls"
            message = f"is not the port {other} answers on"
            yield Violation(path=(*path, "port"), message=message, found=str(called.port), accepted=accepted)
        if not target.ingress.callers.get(name, False):
            yield Violation(
                path=path,
                message=f"is called, but {other} does not let {name} in",
                found=", ".join(target.ingress.callers) or "no caller",
                accepted=f"{name} in ingress.callers of {other}",
                example=f"callers: {{{name}: true}}",
            )
    for caller, allowed in overlay.ingress.callers.items():
        path = ("ingress", "callers", caller)
        if caller not in services:
            yield _unknown(path, caller, services)
        elif allowed and name not in services[caller].dependencies.services:
            yield Violation(
                path=path,
                message=f"lets {caller} in, which does not call",
                found="true",
                accepted=f"false, or {name} in dependencies.services of {caller}",
            )


def _stores(overlay: Overlay, services: Services) -> Iterator[Violation]:
    for name, store in overlay.dependencies.stores.items():
        path = ("dependencies", "stores", name)
        owner = services.get(store.owner)
        theirs = owner.dependencies.stores.get(name) if owner else None
        if owner is None:
            yield _unknown((*path, "owner"), store.owner, services)
        elif theirs != store:
            yield Violation(
                path=path,
                message=f"is not the store {store.owner} brings",
                found=f"{store.engine} of {store.owner}, {store.image}",
                accepted=f"{theirs.engine} of {theirs.owner}, {theirs.image}"
                if theirs
                else f"{name} in dependencies.stores of {store.owner} too",
            )


def _objects(overlay: Overlay, services: Services) -> Iterator[Violation]:
    objects = overlay.dependencies.objects
    if not isinstance(objects, Objects):
        return
    path = ("dependencies", "objects")
    owner = services.get(objects.owner)
    theirs = owner.dependencies.objects if owner else None
    if owner is None:
        yield _unknown((*path, "owner"), objects.owner, services)
    elif not isinstance(theirs, Objects) or (theirs.owner, theirs.image) != (objects.owner, objects.image):
        yield Violation(
            path=path,
            message=f"is not the object store {objects.owner} brings",
            found=f"{objects.image} of {objects.owner}",
            accepted=f"the owner and image that dependencies.objects of {objects.owner} names",
        )
    else:
        for bucket in sorted(objects.buckets.keys() - theirs.buckets.keys()):
            yield Violation(
                path=(*path, "buckets", bucket),
                message=f"is not a bucket of {objects.owner}, who makes them at tier lite",
                found=bucket,
                accepted=", ".join(theirs.buckets),
            )


def _names(services: Services) -> Iterator[tuple[str, Violation]]:
    """A service, the stores it owns and what fills them become objects of one namespace, and hosts of one name."""
    first: dict[str, str] = {}
    for name, overlay in services.items():
        own = [store for store, settings in overlay.dependencies.stores.items() if settings.owner == name]
        stores = [(("dependencies", "stores", store), store) for store in own]
        for path, store in (*stores, (("dependencies", "objects"), OBJECT_STORE), (("seed",), SEED_JOB)):
            host = store_host(name, store)
            taken = "a service" if host in services else first.get(host)
            if taken:
                accepted = "a name that nothing else of the environment has"
                yield name, Violation(path=path, message=f"makes the name of {taken}", found=host, accepted=accepted)
            first.setdefault(host, f"a part of {name}")


def _hosts(services: Services) -> Iterator[tuple[str, Violation]]:
    first: dict[str, str] = {}
    for name, overlay in services.items():
        for key, host in overlay.endpoints.hosts.items():
            if host in first:
                message = f"is also a host of {first[host]}"
                path = ("endpoints", "hosts", key)
                yield name, Violation(path=path, message=message, found=host, accepted="a host of its own")
            first.setdefault(host, name)


def _unknown(path: tuple[str, ...], name: str, services: Services) -> Violation:
    known = sorted(services)
    accepted = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
    return Violation(path=path, message="is no service of this environment", found=name, accepted=accepted)
