"""Rules that join several fields of one overlay. Those that join services and environments are in
:mod:`ladder.contract.tree_rules`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from urllib.parse import urlsplit

from ladder.contract.overlay import Analysis, CloudRole, Engine, Objects, Overlay, Resources, Seed
from ladder.contract.stack import TierLevel
from ladder.contract.types import quantity
from ladder.contract.violations import Path, Violation
from ladder.variables import OBJECT_STORE, SEED_JOB, SEEDED_STORE, declared, password, store_host

__all__ = ["brought_stores", "canary_pods", "within_overlay"]

RESERVED_STORES = frozenset({OBJECT_STORE, SEED_JOB, "service"})
"""Components the chart itself names."""

SHORTEST_BUCKET = 3
"""At tier lite a bucket is called by its key, and S3 takes no shorter name."""

LONGEST_STORE = 52
"""A StatefulSet's name and its revision's hash make a label value of at most 63."""


def within_overlay(service: str, overlay: Overlay) -> Iterator[Violation]:
    """Every joined rule one overlay breaks. ``service`` is its folder's name."""
    yield from _ports(overlay)
    yield from _dependencies(service, overlay)
    yield from _tier(service, overlay)
    yield from _external(overlay)
    yield from _variables(overlay)
    yield from _scale(overlay)
    yield from _rollout(overlay)
    yield from _seed(service, overlay)


def brought_stores(service: str, overlay: Overlay) -> tuple[str, ...]:
    """The stores the chart runs beside the service: those it owns, where the tier runs any."""
    if overlay.tier is TierLevel.FULL:
        return ()
    own = [name for name, store in overlay.dependencies.stores.items() if store.owner == service]
    objects = overlay.dependencies.objects
    if overlay.tier is TierLevel.LITE and isinstance(objects, Objects) and objects.owner == service:
        own.append(OBJECT_STORE)
    return tuple(sorted(own))


def canary_pods(weight: int, replicas: int) -> float:
    """How many pods ``weight`` percent of ``replicas`` are; only a whole number can be run."""
    return replicas * weight / 100


def _ports(overlay: Overlay) -> Iterator[Violation]:
    ports, ingress = overlay.service.ports, overlay.ingress
    if "metrics" not in ports:
        yield _missing(("service", "ports"), "lacks the port that metrics are read from", ports, "metrics: 9090")
    elif overlay.service.probes.port not in ports:
        yield Violation(
            path=("service", "probes", "port"),
            message="is not a port of the service",
            found=overlay.service.probes.port,
            accepted=", ".join(ports),
        )
    if len(set(ports.values())) < len(ports):
        numbers = ", ".join(str(port) for port in ports.values())
        yield Violation(
            path=("service", "ports"), message="gives one port twice", found=numbers, accepted="a port for each"
        )
    if "http" not in ports and (ingress.public or ingress.callers):
        yield _missing(("service", "ports"), "lacks the port that callers reach", ports, "http: 8080")
    hosts = overlay.endpoints.hosts
    if ingress.public != bool(hosts):
        yield Violation(
            path=("endpoints", "hosts"),
            message="is where the outside world reaches the service" if hosts else "lacks a host for the outside world",
            found=", ".join(hosts.values()) or "no host",
            accepted="hosts where ingress.public is true, {} where it is false",
            example="hosts: {public: shop.dev.example.com}" if ingress.public else "hosts: {}",
        )


def _dependencies(service: str, overlay: Overlay) -> Iterator[Violation]:
    dependencies = overlay.dependencies
    for group, names in (("services", dependencies.services), ("callers", overlay.ingress.callers)):
        if service in names:
            path = ("ingress", "callers", service) if group == "callers" else ("dependencies", group, service)
            yield Violation(path=path, message="is the service itself", found=service, accepted="another service")
    for name, store in dependencies.stores.items():
        path = ("dependencies", "stores", name)
        if name in RESERVED_STORES:
            accepted = "another name: the chart calls its own parts so"
            yield Violation(path=path, message="is a reserved name", found=name, accepted=accepted)
        host = store_host(store.owner, name)
        if len(host) > LONGEST_STORE:
            yield Violation(
                path=path,
                message="makes too long a name with its owner's",
                found=host,
                accepted=f"at most {LONGEST_STORE} characters",
            )
    objects = dependencies.objects
    for bucket in objects.buckets if isinstance(objects, Objects) else ():
        if len(bucket) < SHORTEST_BUCKET:
            yield Violation(
                path=("dependencies", "objects", "buckets", bucket),
                message="is too short: at tier lite it is a bucket's name",
                found=bucket,
                accepted=f"at least {SHORTEST_BUCKET} characters",
            )


def _tier(service: str, overlay: Overlay) -> Iterator[Violation]:
    tier, endpoints, dependencies = overlay.tier, overlay.endpoints, overlay.dependencies
    full, lite = tier is TierLevel.FULL, tier is TierLevel.LITE
    objects = dependencies.objects
    buckets = set(objects.buckets) if isinstance(objects, Objects) and not lite else set[str]()
    stores = set(dependencies.stores) if full else set[str]()
    yield from _same(("endpoints", "stores"), endpoints.stores, stores, f"the stores somebody else runs at tier {tier}")
    yield from _same(("endpoints", "buckets"), endpoints.buckets, buckets, f"the buckets used at tier {tier}")
    brought = set(brought_stores(service, overlay))
    yield from _same(("scale", "stores"), overlay.scale.stores, brought, f"the stores it brings at tier {tier}")
    role = isinstance(endpoints.role, CloudRole)
    if lite and role:
        yield Violation(
            path=("endpoints", "role", "enabled"),
            message="gives a cloud role to tier lite, which reaches no cloud",
            found="true",
            accepted="false",
            example="role: {enabled: false}",
        )
    if buckets and not role:
        yield Violation(
            path=("endpoints", "role", "enabled"),
            message="leaves the service without the role its buckets need",
            found="false",
            accepted="true, and the role's arn",
        )
    for path, names in ((("secrets",), overlay.secrets), (("endpoints", "keys"), endpoints.keys)):
        if lite and names:
            found = ", ".join(names)
            message = "belongs to tiers above lite, which is throwaway"
            yield Violation(path=path, message=message, found=found, accepted="{}")
    if not lite:
        for name in dependencies.stores:
            if password(name) not in overlay.secrets:
                example = f"{password(name)}: ladder/dev/api/{name}-password"
                yield _missing(("secrets",), f"lacks the password of {name}", overlay.secrets, example)


def _external(overlay: Overlay) -> Iterator[Violation]:
    wanted, urls = overlay.dependencies.external, overlay.endpoints.external
    yield from _same(("endpoints", "external"), urls, set(wanted), "what dependencies.external names")
    for name, url in urls.items():
        parts = urlsplit(url)
        port = parts.port or {"https": 443}.get(parts.scheme, 80)
        if name in wanted and (parts.scheme != "https" or port != wanted[name].port):
            yield Violation(
                path=("endpoints", "external", name),
                message=f"is not reached by TLS on the port that dependencies.external.{name} opens",
                found=url,
                accepted=f"an https URL with port {wanted[name].port}",
            )


def _variables(overlay: Overlay) -> Iterator[Violation]:
    first: dict[str, Path] = {}
    every = [(each.name, each.path) for each in declared(overlay)]
    every += [(name, ("secrets", name)) for name in overlay.secrets]
    for name, path in every:
        if name in first:
            where = ".".join(map(str, first[name]))
            yield Violation(
                path=path,
                message=f"makes the variable that {where} makes",
                found=name,
                accepted="a name whose variable is its own",
            )
        first.setdefault(name, path)


def _scale(overlay: Overlay) -> Iterator[Violation]:
    scale = overlay.scale
    replicas = scale.replicas
    if replicas.max < replicas.min:
        yield Violation(
            path=("scale", "replicas", "max"),
            message="is less than min",
            found=str(replicas.max),
            accepted=f"{replicas.min} or more",
        )
    if scale.min_available >= replicas.min:
        yield Violation(
            path=("scale", "minAvailable"),
            message="leaves a drain no pod to take: nodes could not be emptied",
            found=str(scale.min_available),
            accepted=f"less than scale.replicas.min, {replicas.min}",
        )
    yield from _resources(("scale", "resources"), scale.resources)
    for name, store in scale.stores.items():
        yield from _resources(("scale", "stores", name, "resources"), store.resources)


def _resources(path: Path, resources: Resources) -> Iterator[Violation]:
    for kind in ("cpu", "memory"):
        request, limit = getattr(resources.requests, kind), getattr(resources.limits, kind)
        if quantity(request) > quantity(limit):
            yield Violation(
                path=(*path, "requests", kind),
                message="asks for more than the limit",
                found=request,
                accepted=f"at most {limit}",
            )


def _rollout(overlay: Overlay) -> Iterator[Violation]:
    canary, replicas = overlay.rollout.canary, overlay.scale.replicas.min
    before = 0
    for index, step in enumerate(canary):
        path = ("rollout", "canary", index, "weight")
        if step.weight <= before:
            yield Violation(
                path=path,
                message="is not more than the step before",
                found=str(step.weight),
                accepted=f"more than {before}",
            )
        if not canary_pods(step.weight, replicas).is_integer():
            possible = [weight for weight in range(1, 100) if canary_pods(weight, replicas).is_integer()]
            yield Violation(
                path=path,
                message=f"cannot be realised by {replicas} pods, which are what weights are made of",
                found=f"{step.weight} % of {replicas} pods",
                accepted=", ".join(map(str, possible)) or "no step: one pod is all or nothing",
            )
        before = step.weight
    if isinstance(overlay.rollout.analysis, Analysis) and not canary:
        yield Violation(
            path=("rollout", "analysis", "enabled"),
            message="analyses a rollout that has no step to be stopped at",
            found="true",
            accepted="false, or steps in rollout.canary",
        )


def _seed(service: str, overlay: Overlay) -> Iterator[Violation]:
    seed = overlay.seed
    if not isinstance(seed, Seed):
        return
    store = overlay.dependencies.stores.get(SEEDED_STORE)
    if store is None or store.owner != service or store.engine is not Engine.POSTGRESQL:
        yield Violation(
            path=("seed", "enabled"),
            message=f"fills a store that is not the service's own: {SEEDED_STORE}, PostgreSQL",
            found=f"{store.engine} of {store.owner}" if store else "no such store",
            accepted=f"false, or {SEEDED_STORE} in dependencies.stores: engine postgresql, owner {service}",
            example="seed: {enabled: false}",
        )
    yield from _resources(("seed", "resources"), seed.resources)


def _same(path: Path, found: Collection[str], wanted: set[str], what: str) -> Iterator[Violation]:
    if set(found) != wanted:
        yield Violation(
            path=path,
            message=f"does not name exactly {what}",
            found=", ".join(sorted(found)) or "{}",
            accepted=", ".join(sorted(wanted)) or "{}",
        )


def _missing(path: Path, message: str, found: Collection[str], example: str) -> Violation:
    return Violation(
        path=path,
        message=message,
        found=", ".join(found) or "{}",
        accepted=f"{example.partition(':')[0]} among them",
        example=example,
    )
