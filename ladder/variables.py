"""The environment variables a service runs with: one rule for the chart, the local rung and the checks.

``gitops/chart/templates/_variables.tpl`` says the same in Helm's language; a test holds the two together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from ladder.contract.overlay import Engine, Objects, Overlay
from ladder.contract.stack import TierLevel

__all__ = [
    "OBJECT_STORE",
    "OBJECT_STORE_PORT",
    "SEEDED_STORE",
    "SEED_JOB",
    "Variable",
    "checksum",
    "declared",
    "password",
    "store_host",
    "variables",
]

OBJECT_STORE = "objects"
"""What the throwaway object store is called: ``<owner>-objects``."""

OBJECT_STORE_PORT = 8333

SEED_JOB = "seed"
"""What fills a service's stores is called: ``<service>-seed``."""

SEEDED_STORE = "database"
"""The store that synthetic data is filled into, beside the objects."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable, its value, and the path in ``values.yaml`` it comes from."""

    name: str
    value: str
    path: tuple[str | int, ...]


def variables(overlay: Overlay) -> dict[str, str]:
    """Every variable but the secret ones, whose names are the keys of ``overlay.secrets``; sorted by name."""
    return {variable.name: variable.value for variable in sorted(declared(overlay), key=lambda each: each.name)}


def checksum(overlay: Overlay) -> str:
    """What the chart writes on a service's pods: they are made anew when a variable or a secret's name changes."""
    parts = (variables(overlay), dict(overlay.secrets))
    text = "\n".join(json.dumps(part, sort_keys=True, separators=(",", ":")) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def store_host(owner: str, store: str) -> str:
    """The host name of a store that a service brings, e.g. ``api-database``."""
    return f"{owner}-{store}"


def password(store: str) -> str:
    """The secret variable that opens a store, e.g. ``DATABASE_PASSWORD``."""
    return f"{_upper(store)}_PASSWORD"


def declared(overlay: Overlay) -> Iterator[Variable]:
    """Every variable with where it comes from. An overlay in which two have one name is refused by the contract."""
    for name, port in overlay.service.ports.items():
        yield Variable("PORT" if name == "http" else "METRICS_PORT", str(port), ("service", "ports", name))
    yield Variable("AWS_REGION", overlay.endpoints.region, ("endpoints", "region"))
    for name, called in overlay.dependencies.services.items():
        yield Variable(f"{_upper(name)}_URL", f"http://{name}:{called.port}", ("dependencies", "services", name))
    yield from _stores(overlay)
    yield from _objects(overlay)
    for name, alias in overlay.endpoints.keys.items():
        yield Variable(f"KEY_{_upper(name)}", alias, ("endpoints", "keys", name))
    for name, url in overlay.endpoints.external.items():
        yield Variable(f"{_upper(name)}_URL", url, ("endpoints", "external", name))
    for name, on in overlay.features.items():
        yield Variable(f"FEATURE_{_upper(name)}", str(on).lower(), ("features", name))


def _stores(overlay: Overlay) -> Iterator[Variable]:
    for name, store in overlay.dependencies.stores.items():
        path = ("dependencies", "stores", name)
        managed = overlay.endpoints.stores.get(name)
        host = managed.host if managed else store_host(store.owner, name)
        yield Variable(f"{_upper(name)}_HOST", host, path)
        yield Variable(f"{_upper(name)}_PORT", str(managed.port if managed else store.engine.port), path)
        if store.engine is Engine.POSTGRESQL:
            yield Variable(f"{_upper(name)}_NAME", store.owner, path)
            yield Variable(f"{_upper(name)}_USER", store.owner, path)


def _objects(overlay: Overlay) -> Iterator[Variable]:
    """The environment's buckets or, at tier lite, the throwaway store: it takes any key, and SDKs ask for one."""
    objects = overlay.dependencies.objects
    if not isinstance(objects, Objects):
        return
    path, lite = ("dependencies", "objects"), overlay.tier is TierLevel.LITE
    for bucket in objects.buckets:
        name = bucket if lite else overlay.endpoints.buckets.get(bucket, "")
        yield Variable(f"BUCKET_{_upper(bucket)}", name, (*path, "buckets", bucket))
    if lite:
        url = f"http://{store_host(objects.owner, OBJECT_STORE)}:{OBJECT_STORE_PORT}"
        yield Variable("AWS_ENDPOINT_URL_S3", url, (*path, "owner"))
        yield Variable("AWS_ACCESS_KEY_ID", "throwaway", path)
        yield Variable("AWS_SECRET_ACCESS_KEY", "throwaway", path)


def _upper(name: str) -> str:
    return name.upper().replace("-", "_")
