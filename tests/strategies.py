"""Settings that the contract accepts, by construction: as wide as the contract, and small enough to record fast."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from ladder.contract import StackSettings, settings_from_mapping
from ladder.contract.stack import RESERVED_SERVICE_ACCOUNTS
from ladder.contract.types import REGIONS

__all__ = ["sections", "stack_settings"]

Sections = dict[str, Any]


def labels(longest: int) -> st.SearchStrategy[str]:
    return st.from_regex(rf"[a-z](?:[a-z0-9-]{{0,{longest - 2}}}[a-z0-9])?", fullmatch=True)


def accounts(number: int) -> st.SearchStrategy[list[str]]:
    digits = st.integers(min_value=0, max_value=10**12 - 1).map(lambda value: f"{value:012}")
    return st.lists(digits, min_size=number, max_size=number, unique=True)


def role(partition: str, account: str) -> st.SearchStrategy[str]:
    names = st.from_regex(r"[A-Za-z0-9_+=,.@-]{1,64}", fullmatch=True)
    return names.map(lambda name: f"arn:{partition}:iam::{account}:role/{name}")


@st.composite
def sections(draw: st.DrawFn) -> Sections:
    """The sections of one stack; any rung, with or without real data, previews, replication and a stand-in."""
    rung = draw(st.sampled_from(["dev", "staging", "prod"]))
    name = draw(labels(20).filter(lambda name: not name.startswith("pr-")))
    real = rung == "prod" and draw(st.booleans())
    class_ = "real" if real else draw(st.sampled_from(["throwaway", "synthetic", "anonymized"]))
    own, other, outside = draw(accounts(3))
    keys = draw(_keys(real))
    buckets = draw(_buckets(keys))
    registries = draw(_registries())
    registry = next(iter(registries.values()))
    return {
        "environment": {"name": name, "rung": rung, "owner": draw(st.from_regex(r"[A-Za-z0-9]{1,63}", fullmatch=True))},
        "accounts": {name: own, f"{name[:60]}x": other},
        "cloud": draw(_cloud(own, outside)),
        "cluster": {
            "context": draw(st.text("abcXYZ019-/:@.", min_size=1, max_size=60)),
            "identifier": draw(st.text("abcXYZ019-/:@.", min_size=1, max_size=60)),
            "oidcIssuer": draw(
                st.from_regex(r"[a-z][a-z0-9]{0,20}(\.[a-z][a-z0-9]{0,20}){1,3}/id/[A-Z0-9]{4,32}", fullmatch=True)
            ),
        },
        "data": {
            "class": class_,
            "procedure": draw(_procedure()) if class_ == "anonymized" else None,
            "noncurrentDays": draw(st.integers(1, 3650)),
        },
        "tier": {"level": "full" if real else draw(st.sampled_from(["lite", "standard", "full"]))},
        "scale": {"factor": draw(st.floats(0, 1, exclude_min=True))},
        "namespaces": {"services": draw(_namespace()), "data": draw(_namespace())},
        "images": {"registries": registries},
        "keys": keys,
        "buckets": buckets,
        "services": draw(_services(list(buckets))),
        "secrets": {
            "prefix": draw(st.from_regex(r"[A-Za-z0-9_+=.@-]{1,20}(/[A-Za-z0-9_+=.@-]{1,20}){0,2}", fullmatch=True)),
            "key": draw(st.sampled_from([key for key, value in keys.items() if value["via"]["secretsmanager"]])),
        },
        "hosts": {"domain": draw(st.from_regex(r"[a-z]{1,20}\.[a-z]{1,10}\.net", fullmatch=True))},
        "delivery": draw(_delivery(rung)),
        "previews": draw(_previews(registry)) if rung == "dev" and draw(st.booleans()) else {"enabled": False},
    }


def stack_settings() -> st.SearchStrategy[StackSettings]:
    return sections().map(settings_from_mapping)


def _procedure() -> st.SearchStrategy[Sections]:
    return st.fixed_dictionaries(
        {
            "name": st.from_regex(r"[A-Za-z0-9]{1,63}", fullmatch=True),
            "report": st.from_regex(r"sha256:[a-f0-9]{64}", fullmatch=True),
            "owner": st.from_regex(r"[A-Za-z0-9]{1,63}", fullmatch=True),
            "expires": st.dates().map(str),
        }
    )


def _registries() -> st.SearchStrategy[dict[str, str]]:
    registry = st.from_regex(r"[a-z][a-z0-9]{0,9}(\.[a-z]{2,6}){1,2}(:[1-9][0-9]{3})?/[a-z0-9]{1,20}", fullmatch=True)
    return st.dictionaries(labels(20), registry, min_size=1, max_size=3)


@st.composite
def _cloud(draw: st.DrawFn, own: str, outside: str) -> Sections:
    partition = draw(st.sampled_from(sorted(REGIONS)))
    replication = st.one_of(role(partition, own), role(partition, outside))
    deployer, administrator = draw(st.none() | role(partition, own)), draw(role(partition, own))
    anchor = role(partition, own).filter(lambda arn: arn not in {deployer, administrator})
    return {
        "partition": partition,
        "account": own,
        "region": draw(st.sampled_from(sorted(REGIONS[partition]))),
        "deployerRole": deployer,
        "keyAdministratorRole": administrator,
        "replicationRoles": draw(st.dictionaries(labels(20), replication, max_size=2)),
        "anchorRole": draw(st.none() | anchor),
        "standIn": None,
    }


@st.composite
def _namespace(draw: st.DrawFn) -> Sections:
    def ascending() -> list[int]:
        return sorted(draw(st.lists(st.integers(1, 10**6), min_size=4, max_size=4)))

    cpu, memory = ascending(), ascending()
    request, limit, most, all_ = ({"cpu": f"{c}m", "memory": f"{m}Mi"} for c, m in zip(cpu, memory, strict=True))
    return {
        "quota": {
            "requests": draw(st.sampled_from([request, limit, most, all_])),
            "limits": all_,
            "pods": draw(st.integers(1, 10**4)),
            "persistentVolumeClaims": draw(st.integers(0, 100)),
            "storage": f"{draw(st.integers(1, 10**4))}Gi",
        },
        "containers": {"request": request, "limit": limit, "max": most},
    }


@st.composite
def _keys(draw: st.DrawFn, real: bool) -> dict[str, Sections]:
    """At least one key for objects that log delivery may use, and one for secrets; perhaps the same."""

    def key(*, s3: bool, secrets: bool, logs: bool) -> Sections:
        days = 30 if real else draw(st.integers(7, 30))
        return {"via": {"s3": s3, "secretsmanager": secrets}, "logDelivery": logs, "deletionWindowDays": days}

    names = draw(st.lists(labels(30), min_size=1, max_size=3, unique=True))
    keys = {name: key(s3=draw(st.booleans()), secrets=draw(st.booleans()), logs=draw(st.booleans())) for name in names}
    keys[names[0]] = key(s3=True, secrets=len(names) == 1, logs=True)
    keys[names[-1]] = key(s3=len(names) == 1, secrets=True, logs=len(names) == 1)
    return keys


@st.composite
def _buckets(draw: st.DrawFn, keys: dict[str, Sections]) -> dict[str, Sections]:
    physical = st.from_regex(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", fullmatch=True).filter(
        lambda name: (
            not name.startswith(("xn--", "sthree-", "amzn-s3-demo-"))
            and not name.endswith(("-s3alias", "--ols-s3", "--x-s3", "--table-s3"))
        )
    )
    names = draw(st.lists(labels(30), min_size=1, max_size=3, unique=True))
    buckets: dict[str, Sections] = {}
    for name, bucket in zip(
        names, draw(st.lists(physical, min_size=len(names), max_size=len(names), unique=True)), strict=True
    ):
        key = draw(st.sampled_from([key for key, value in keys.items() if value["via"]["s3"]]))
        buckets[name] = {
            "name": bucket,
            "key": key,
            "expireDays": draw(st.none() | st.integers(1, 3650)),
            "logDelivery": keys[key]["logDelivery"] and draw(st.booleans()),
            "objectLock": {"enabled": False},
        }
    days = draw(st.integers(1, 3650))
    mode = draw(st.sampled_from(["governance", "compliance"]))
    locked = buckets[names[0]]
    locked["objectLock"] = {"enabled": True, "mode": mode, "days": days}
    locked["expireDays"] = draw(st.none() | st.integers(days, 3650))
    return buckets


@st.composite
def _services(draw: st.DrawFn, buckets: list[str]) -> dict[str, Sections]:
    names = labels(30).filter(lambda name: name not in RESERVED_SERVICE_ACCOUNTS)
    access = st.dictionaries(st.sampled_from(buckets), st.sampled_from(["read", "write", "read-write"]))
    service = access.map(lambda buckets: {"buckets": buckets})
    return draw(st.dictionaries(names, service, min_size=1, max_size=3))


@st.composite
def _delivery(draw: st.DrawFn, rung: str) -> Sections:
    automated = rung != "prod" and draw(st.booleans())
    window = st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["allow", "deny"]),
            "schedule": st.sampled_from(["0 9 * * 1-4", "30 22 1 * *", "*/15 * * * mon-fri"]),
            "duration": st.integers(1, 48).map(lambda hours: f"{hours}h"),
            "timeZone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
            "manualSync": st.booleans(),
        }
    )
    return {
        "namespace": draw(st.sampled_from(["argocd", "delivery"])),
        "repository": "https://github.com/acme/environment-ladder",
        "branch": draw(st.sampled_from(["main", "release/2", "1.10", "on"])),
        "path": draw(st.sampled_from(["gitops/envs", "envs"])),
        "chart": "oci://ghcr.io/acme/charts/service",
        "sync": {"automated": automated, "selfHeal": automated and draw(st.booleans())},
        "windows": draw(st.dictionaries(labels(20), window, max_size=2)),
        "keepWhenRemoved": rung == "prod" or draw(st.booleans()),
    }


@st.composite
def _previews(draw: st.DrawFn, registry: str) -> Sections:
    requeue, tiers = draw(st.integers(1, 60)), draw(st.sampled_from([["lite"], ["standard"], ["lite", "standard"]]))
    ttl = 2 * requeue + draw(st.integers(10, 10000))
    return {
        "enabled": True,
        "owner": "acme",
        "repository": "shop",
        "api": draw(st.sampled_from(["https://api.github.com", "https://git.acme.example/api/v3"])),
        "label": draw(st.sampled_from(["preview", "Preview.me"])),
        "host": draw(st.from_regex(r"[a-z]{1,20}\.[a-z]{2,10}", fullmatch=True)),
        "images": "registry.acme-previews.example/pulls",
        "privateImages": draw(st.booleans()),
        "program": f"{registry}/previews@sha256:{'0' * 64}",
        "folder": "gitops/preview",
        "monitoring": draw(labels(20)),
        "ttl": f"{ttl}m",
        "maxAge": f"{ttl + draw(st.integers(0, 10000))}m",
        "maxCount": draw(st.integers(1, 100)),
        "tiers": {tier: draw(_namespace()) for tier in tiers},
        "budget": {"cpu": "1000000000", "memory": "1000000000Mi"},
        "requeue": f"{requeue}m",
        "fresh": "1s",
        "stale": draw(st.sampled_from(["1s", "1m"])),
        "reaper": {
            "every": "5m",
            "grace": f"{draw(st.integers(2 * requeue, ttl))}m",
            "most": draw(st.integers(1, 100)),
            "dryRun": draw(st.booleans()),
        },
    }
