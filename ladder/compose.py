"""The local rung's Compose file: what the chart makes of overlays at tier lite, said in Compose's terms.

A test holds the two together, service by service. Compose cannot say everything: it has no network policies, and one
container of each service.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import yaml

from ladder.contract.overlay import Engine, Objects, Overlay, Resources, StoreScale
from ladder.contract.types import quantity
from ladder.errors import CheckFailed
from ladder.variables import OBJECT_STORE, OBJECT_STORE_PORT, store_host, variables

__all__ = ["HOST", "PROJECT", "alongside", "as_text", "compose", "host_ports", "published", "running"]

PROJECT = "ladder-local"
"""What Compose calls the containers' project."""

HOST = "127.0.0.1"
"""Ports are published on this machine only."""

FIRST_PORT = 20_000
SLOTS = 6_000
"""A slot holds the ports of one service; all are below those that systems give to outgoing connections."""

PORTS: tuple[Literal["http"], Literal["metrics"]] = ("http", "metrics")
USER = "10001:10001"
TEMPORARY = "/tmp"  # noqa: S108 - in the container
TEMPORARY_SIZE = "64Mi"
SERVICE_SECONDS = 2
STORE_SECONDS = 5
"""How long one question of a health check may take."""

NOT_WATCHED = (".git/", ".venv/", "node_modules/", "**/__pycache__/")


def compose(
    services: Mapping[str, Overlay],
    digests: Mapping[str, str],
    edits: Mapping[str, Path],
    chosen: Collection[str] | None = None,
) -> dict[str, Any]:
    """The Compose file as JSON values: the ``chosen`` of an environment's services (None: all), and what they need.

    ``edits`` are directories, relative to the Compose file, that services are built from, anew whenever one changes;
    every other service runs at its digest. The overlays are at tier lite, and valid together.
    """
    ports = host_ports(services)
    names = running(services, services if chosen is None else chosen)
    stores = {store.host: store for name in names for store in _stores(name, services)}
    made = {name: _service(name, services, digests.get(name), edits.get(name), ports[name]) for name in names}
    return {"name": PROJECT, "services": made | {host: _store(stores[host]) for host in sorted(stores)}}


def running(services: Mapping[str, Overlay], chosen: Iterable[str]) -> list[str]:
    """The chosen services and all that they call, directly or not; sorted."""
    found: set[str] = set()
    ahead = list(chosen)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += services[name].dependencies.services
    return sorted(found)


def alongside(services: Mapping[str, Overlay], chosen: Collection[str]) -> dict[str, list[str]]:
    """The services that run though they were not chosen, each with those that call it."""
    names = running(services, chosen)
    return {
        name: [caller for caller in names if name in services[caller].dependencies.services]
        for name in names
        if name not in chosen
    }


def host_ports(names: Collection[str], slots: int = SLOTS) -> dict[str, int]:
    """The first of each service's ports on this machine, made from its name.

    ``names`` are all services of the environment, so that a choice among them moves no port. A service that comes or
    goes moves only ports of those whose names lead to one slot. Raises CheckFailed where there are more than slots.
    """
    if len(names) > slots:
        raise CheckFailed(f"{len(names):,} services: at most {slots:,} have ports on one machine")
    wanted = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % slots for name in sorted(names)}
    taken = {slot: name for name, slot in reversed(wanted.items())}
    for name, slot in wanted.items():
        if taken[slot] != name:
            taken[next(free for step in range(slots) if (free := (slot + step) % slots) not in taken)] = name
    return {name: FIRST_PORT + len(PORTS) * slot for slot, name in taken.items()}


def published(overlay: Overlay, first: int) -> Iterator[tuple[str, int, int]]:
    """A service's ports, http first: the name, the number in the container, and the number on this machine."""
    for offset, name in enumerate(PORTS):
        if name in overlay.service.ports:
            yield name, overlay.service.ports[name], first + offset


def as_text(document: Mapping[str, Any], header: str) -> str:
    """The file: the header as a comment, and the values, in which Compose finds no variable to replace."""
    lines = ("".join(letter if letter.isprintable() else "?" for letter in line) for line in header.splitlines())
    comment = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    return comment + yaml.dump(_quoted(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**16)


def _service(
    name: str, services: Mapping[str, Overlay], digest: str | None, edit: Path | None, first: int
) -> dict[str, Any]:
    overlay = services[name]
    shape = overlay.service
    # In a circle of calls nobody can be first.
    called = [other for other in overlay.dependencies.services if name not in running(services, [other])]
    needed = sorted([*called, *(store.host for store in _stores(name, services))])
    probes = (shape.probes.startup, shape.probes.liveness, shape.probes.readiness)
    return {
        **({"image": f"{shape.image}@{digest}"} if edit is None else _built(edit)),
        "environment": variables(overlay),
        "ports": [
            {"name": port, "target": inside, "host_ip": HOST, "published": str(outside)}
            for port, inside, outside in published(overlay, first)
        ],
        "healthcheck": _healthcheck(_fetch(shape.ports[shape.probes.port], probes), SERVICE_SECONDS * len(probes)),
        "depends_on": {other: {"condition": "service_healthy"} for other in needed},
        "stop_grace_period": f"{shape.stop_seconds}s",
        **_confined(overlay.scale.resources, {TEMPORARY: TEMPORARY_SIZE}),
    }


def _built(directory: Path) -> dict[str, Any]:
    """Compose may take a path that begins with a name for a repository's address."""
    path = str(directory) if directory.is_absolute() or directory.parts[:1] == ("..",) else f"./{directory}"
    watch = {"action": "rebuild", "path": path, "ignore": list(NOT_WATCHED)}
    return {"build": {"context": path}, "develop": {"watch": [watch]}}


@dataclass(frozen=True, slots=True)
class _Store:
    """A throwaway store, run once for all that use it. ``engine`` is None for the object store."""

    host: str
    owner: str
    engine: Engine | None
    image: str
    scale: StoreScale
    buckets: tuple[str, ...] = ()


def _stores(name: str, services: Mapping[str, Overlay]) -> Iterator[_Store]:
    """The stores a service uses, as large as their owners bring them."""
    dependencies = services[name].dependencies
    for store, used in dependencies.stores.items():
        scale = services[used.owner].scale.stores[store]
        yield _Store(store_host(used.owner, store), used.owner, used.engine, used.image, scale)
    objects = dependencies.objects
    if isinstance(objects, Objects):
        owner = services[objects.owner]
        buckets = owner.dependencies.objects.buckets if isinstance(owner.dependencies.objects, Objects) else ()
        host, scale = store_host(objects.owner, OBJECT_STORE), owner.scale.stores[OBJECT_STORE]
        yield _Store(host, objects.owner, None, objects.image, scale, tuple(sorted(buckets)))


def _store(store: _Store) -> dict[str, Any]:
    mounts, seconds = {"/data": store.scale.storage, TEMPORARY: TEMPORARY_SIZE}, STORE_SECONDS
    match store.engine:
        case Engine.POSTGRESQL:
            mounts["/var/run/postgresql"] = "1Mi"
            special = {
                "environment": {
                    "PGDATA": "/data/postgresql",
                    "POSTGRES_DB": store.owner,
                    "POSTGRES_HOST_AUTH_METHOD": "trust",
                    "POSTGRES_USER": store.owner,
                }
            }
            names = (f"--username={store.owner}", f"--dbname={store.owner}")
            test = ["CMD", "pg_isready", "--quiet", "--host=127.0.0.1", *names]
        case Engine.REDIS:
            special = {"command": ["redis-server", "--dir", "/data", "--save", "", "--protected-mode", "no"]}
            test = ["CMD", "sh", "-c", 'test "$(redis-cli -h 127.0.0.1 ping)" = PONG']
        case None:
            special = {"entrypoint": ["sh", "-ec"], "command": [_object_store(store.buckets)]}
            test = _fetch(OBJECT_STORE_PORT, paths := (f"/{store.buckets[-1]}", "/healthz"))
            seconds *= len(paths)
    healthcheck = _healthcheck(test, seconds)
    return {"image": store.image, **special, "healthcheck": healthcheck, **_confined(store.scale.resources, mounts)}


def _object_store(buckets: Iterable[str]) -> str:
    """A shell script: run SeaweedFS, and make the buckets as soon as it answers; an upload makes none."""
    shell = "weed -logtostderr=true shell -master=127.0.0.1:9333"
    return f"""\
for bucket in {" ".join(buckets)}; do
  until echo s3.bucket.list | {shell} | grep -Eq "^ *$bucket[[:space:]]"; do
    echo "s3.bucket.create -name $bucket" | {shell}
    sleep 1
  done
done &
exec weed -logtostderr=true server -dir=/data -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.telemetry=false \\
  -master.volumeSizeLimitMB=64 -volume.max=0 -s3 -s3.ip.bind=0.0.0.0 -s3.port={OBJECT_STORE_PORT}
"""


def _fetch(port: int, paths: Iterable[str]) -> list[str]:
    """Ask what the kubelet asks from outside, from inside: the image must have a shell, and wget or curl."""
    choice = "get='wget -q -O /dev/null'; command -v wget >/dev/null || get='curl -f -s -S -o /dev/null'"
    return ["CMD-SHELL", f"{choice}; " + " && ".join(f"$get http://127.0.0.1:{port}{path}" for path in paths)]


def _healthcheck(test: list[str], seconds: int) -> dict[str, Any]:
    """As often as the chart asks: every 2 s for the first 120 until it has started, then every 5."""
    return {
        "test": test,
        "start_period": "120s",
        "start_interval": "2s",
        "interval": "5s",
        "retries": 2,
        "timeout": f"{seconds}s",
    }


def _confined(resources: Resources, mounts: Mapping[str, str]) -> dict[str, Any]:
    """What a container may not do. ``mounts`` are its writable folders with their sizes, in memory.

    The kernel counts what is in them as the container's memory, so that they come on top of its limit.
    """
    sizes = {path: math.ceil(quantity(size)) for path, size in mounts.items()}
    memory = math.ceil(quantity(resources.limits.memory)) + sum(sizes.values())
    return {
        "user": USER,
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        # Programs may be run from them, as from the chart's volumes.
        "tmpfs": [f"{path}:size={size},mode=1777,exec" for path, size in sizes.items()],
        "deploy": {"resources": {"limits": {"cpus": _cores(resources.limits.cpu), "memory": f"{memory}b"}}},
        "restart": "on-failure",
    }


def _cores(cpu: str) -> str:
    """At least what Docker gives."""
    return f"{max(float(quantity(cpu)), 0.01):.3f}".rstrip("0").rstrip(".")


def _quoted(value: Any) -> Any:
    match value:
        case str():
            return _Quoted(value.replace("$", "$$"))
        case Mapping():
            fields = cast("Mapping[str, Any]", value)
            return {name: _quoted(field) for name, field in fields.items()}
        case list():
            return [_quoted(item) for item in cast("list[Any]", value)]
        case _:
            return value


class _Quoted(str):
    """A value: in quotes, whatever it looks like."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes every value out, also one that stands twice."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _represent(dumper: Any, text: _Quoted) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Dumper.add_representer(_Quoted, _represent)
