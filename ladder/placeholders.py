"""What a provider would compute, as far as it can be known without one: ids and ARNs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ladder.contract.types import REGIONS

__all__ = ["Place", "Providers", "computed", "unknowable"]

_NAMESPACE = uuid.UUID("6f8d5a0e-3c1b-5e9a-8f57-2d1c4b7a9e30")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a provider puts resources; empty strings where that is unknown."""

    partition: str = "aws"
    account: str = ""
    region: str = ""


class Providers:
    """The providers a program registered, by URN."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}

    def add(self, urn: str, inputs: Mapping[str, Any]) -> None:
        region = str(inputs.get("region", ""))
        accounts: Any = inputs.get("allowedAccountIds") or "[]"
        known = json.loads(accounts) if isinstance(accounts, str) else accounts
        partition = next((name for name, regions in REGIONS.items() if region in regions), "aws")
        self._places[urn] = Place(partition, str(known[0]) if known else "", region)

    def of(self, reference: str) -> Place:
        """The place of a provider reference ``<urn>::<id>``."""
        return self._places.get(reference.rpartition("::")[0], Place())


def unknowable(urn: str) -> str:
    """What stands for an id that only the provider can know: a UUID made from the URN."""
    return str(uuid.uuid5(_NAMESPACE, urn))


def computed(type_: str, urn: str, inputs: Mapping[str, Any], place: Place) -> tuple[str, dict[str, Any]]:
    """The id and the computed outputs of a resource of that type.

    Names give ids and ARNs of roles, buckets and Kubernetes objects as the real providers give them. A KMS key's id is
    random; its placeholder is :func:`unknowable`.
    """
    if type_.startswith("kubernetes:"):
        metadata = inputs.get("metadata", {})
        parts = [part for part in (metadata.get("namespace"), metadata.get("name")) if part]
        return "/".join(parts), {}
    special = _COMPUTED.get(type_)
    if special:
        return special(urn, inputs, place)
    if type_.startswith("aws:s3/bucket"):
        return str(inputs.get("bucket", "")), {}
    return unknowable(urn), {}


def _role(urn: str, inputs: Mapping[str, Any], place: Place) -> tuple[str, dict[str, Any]]:
    name = str(inputs["name"])
    return name, {"arn": f"arn:{place.partition}:iam::{place.account}:role{inputs.get('path', '/')}{name}"}


def _role_policy(urn: str, inputs: Mapping[str, Any], place: Place) -> tuple[str, dict[str, Any]]:
    return f"{inputs['role']}:{inputs['name']}", {}


def _key(urn: str, inputs: Mapping[str, Any], place: Place) -> tuple[str, dict[str, Any]]:
    identifier = unknowable(urn)
    arn = f"arn:{place.partition}:kms:{place.region}:{place.account}:key/{identifier}"
    return identifier, {"keyId": identifier, "arn": arn}


def _alias(urn: str, inputs: Mapping[str, Any], place: Place) -> tuple[str, dict[str, Any]]:
    name = str(inputs["name"])
    return name, {"arn": f"arn:{place.partition}:kms:{place.region}:{place.account}:{name}"}


def _bucket(urn: str, inputs: Mapping[str, Any], place: Place) -> tuple[str, dict[str, Any]]:
    name = str(inputs["bucket"])
    return name, {"arn": f"arn:{place.partition}:s3:::{name}"}


_COMPUTED: dict[str, Callable[[str, Mapping[str, Any], Place], tuple[str, dict[str, Any]]]] = {
    "aws:iam/role:Role": _role,
    "aws:iam/rolePolicy:RolePolicy": _role_policy,
    "aws:kms/alias:Alias": _alias,
    "aws:kms/key:Key": _key,
    "aws:s3/bucket:Bucket": _bucket,
}
