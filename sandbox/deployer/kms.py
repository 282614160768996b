"""Keys, found again by their tags since their ids cannot be foretold, and their aliases."""
# ruff: noqa: ARG002 -- every kind has the same methods, whether or not it needs each argument

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ladder.errors import CheckFailed
from ladder.recording import Resource

from .aws_api import AwsApi
from .model import Identity, Live
from .tags import NAME, PROTECT, RETAIN, STACK, as_list, from_list, tags_of, wanted_tags
from .values import document

__all__ = ["Aliases", "Keys", "survey"]

_KEY = "aws:kms/key:Key"
_ALIAS = "aws:kms/alias:Alias"
_ABSENT = ("NotFoundException",)
_DEFAULT_WINDOW = 30
_DEFAULT_ROTATION = 365


def survey(api: AwsApi, ours: Callable[[Live], bool]) -> Iterator[Live]:
    """Every key of the stack, those pending deletion too, with its aliases."""
    for key in filter(ours, _keys(api)):
        yield key
        for alias in api.list("kms", "list_aliases", "Aliases", KeyId=key.id):
            yield _alias(alias["AliasName"], key.id, key.stack, key.identity)


class Keys:
    """A key has no name of its own: two tags, the stack and the logical name, say which it is."""

    type = _KEY
    known = frozenset(
        {"description", "policy", "enableKeyRotation", "rotationPeriodInDays", "deletionWindowInDays", "tags"}
        | {"multiRegion", "isEnabled", "bypassPolicyLockoutSafetyCheck"}
    )
    needed = ("policy",)
    fixed = ("multiRegion",)

    def name(self, resource: Resource) -> str:
        return resource.name

    def desired(self, resource: Resource, stack: str) -> dict[str, Any]:
        inputs = resource.inputs
        return {
            "description": inputs.get("description") or "",
            "policy": document(inputs["policy"]),
            "enableKeyRotation": bool(inputs.get("enableKeyRotation")),
            "rotationPeriodInDays": inputs.get("rotationPeriodInDays") or _DEFAULT_ROTATION,
            "multiRegion": bool(inputs.get("multiRegion")),
            "isEnabled": inputs.get("isEnabled") is not False,
            "tags": wanted_tags(resource, stack, name=True),
        }

    def find(self, api: AwsApi, resource: Resource, stack: str) -> Live | None:
        return next((key for key in _keys(api) if key.stack == stack and key.name == self.name(resource)), None)

    def create(self, api: AwsApi, resource: Resource, desired: Mapping[str, Any]) -> None:
        """Tagged in the same call, so that no interruption can leave a key nobody finds."""
        api.once(
            "kms",
            "create_key",
            Description=desired["description"],
            Policy=json.dumps(desired["policy"]),
            MultiRegion=desired["multiRegion"],
            Tags=as_list(desired["tags"], "TagKey", "TagValue"),
        )

    def update(
        self, api: AwsApi, resource: Resource, live: Live, desired: Mapping[str, Any], changed: frozenset[str]
    ) -> None:
        key: dict[str, Any] = {"KeyId": live.id}
        if live.deleting:
            api.call("kms", "cancel_key_deletion", **key)
        if "isEnabled" in changed or live.deleting:
            api.call("kms", "enable_key" if desired["isEnabled"] else "disable_key", **key)
        if "description" in changed:
            api.call("kms", "update_key_description", Description=desired["description"], **key)
        if "policy" in changed:
            api.call("kms", "put_key_policy", PolicyName="default", Policy=json.dumps(desired["policy"]), **key)
        if changed & {"enableKeyRotation", "rotationPeriodInDays"}:
            if desired["enableKeyRotation"]:
                days = desired["rotationPeriodInDays"]
                api.call("kms", "enable_key_rotation", RotationPeriodInDays=days, **key)
            else:
                api.call("kms", "disable_key_rotation", **key)
        if "tags" in changed:
            gone = sorted(tags_of(live.properties).keys() - desired["tags"].keys())
            api.call("kms", "tag_resource", Tags=as_list(desired["tags"], "TagKey", "TagValue"), **key)
            if gone:
                api.call("kms", "untag_resource", TagKeys=gone, **key)

    def delete(self, api: AwsApi, live: Live, parts: Iterable[Live], inputs: Mapping[str, Any]) -> None:
        window = inputs.get("deletionWindowInDays") or _DEFAULT_WINDOW
        for part in parts:
            Aliases().delete(api, part, (), {})
        api.call("kms", "schedule_key_deletion", KeyId=live.id, PendingWindowInDays=window, missing=_ABSENT)


class Aliases:
    type = _ALIAS
    known = frozenset({"name", "targetKeyId"})
    needed = ("name", "targetKeyId")
    fixed = ()

    def name(self, resource: Resource) -> str:
        return resource.inputs["name"]

    def desired(self, resource: Resource, stack: str) -> dict[str, Any]:
        return {"targetKeyId": resource.inputs["targetKeyId"].rpartition("/")[2]}

    def find(self, api: AwsApi, resource: Resource, stack: str) -> Live | None:
        """The alias, if it exists without pointing to one of the stack's keys as last seen.

        Raises CheckFailed unless it points where it should: somebody else's alias is not taken over.
        """
        name, wanted = self.name(resource), self.desired(resource, stack)["targetKeyId"]
        for alias in api.list("kms", "list_aliases", "Aliases"):
            if alias["AliasName"] == name:
                if alias.get("TargetKeyId") != wanted:
                    raise CheckFailed(f"{name} exists and points to a key that is not this stack's")
                return _alias(name, wanted, stack, None)
        return None

    def create(self, api: AwsApi, resource: Resource, desired: Mapping[str, Any]) -> None:
        api.once("kms", "create_alias", AliasName=self.name(resource), TargetKeyId=desired["targetKeyId"])

    def update(
        self, api: AwsApi, resource: Resource, live: Live, desired: Mapping[str, Any], changed: frozenset[str]
    ) -> None:
        api.call("kms", "update_alias", AliasName=live.name, TargetKeyId=desired["targetKeyId"])

    def delete(self, api: AwsApi, live: Live, parts: Iterable[Live], inputs: Mapping[str, Any]) -> None:
        api.call("kms", "delete_alias", AliasName=live.name, missing=_ABSENT)


def _alias(name: str, key: str, stack: str, holder: Identity | None) -> Live:
    return Live(
        type=_ALIAS,
        identity=(_ALIAS, name),
        id=name,
        properties={"targetKeyId": key},
        stack=stack,
        holder=holder,
    )


def _keys(api: AwsApi) -> Iterator[Live]:
    """Every key that carries any stack's tag."""
    for listed in api.list("kms", "list_keys", "Keys"):
        key: dict[str, Any] = {"KeyId": listed["KeyId"]}
        found = api.list("kms", "list_resource_tags", "Tags", **key)
        tags = from_list(found, "TagKey", "TagValue")
        if STACK in tags:
            yield _read_key(api, api.call("kms", "describe_key", **key)["KeyMetadata"], tags)


def _read_key(api: AwsApi, metadata: Mapping[str, Any], tags: Mapping[str, str]) -> Live:
    key: dict[str, Any] = {"KeyId": metadata["KeyId"]}
    rotation = api.call("kms", "get_key_rotation_status", **key)
    properties: dict[str, Any] = {
        "description": metadata.get("Description") or "",
        "policy": document(api.call("kms", "get_key_policy", PolicyName="default", **key)["Policy"]),
        "enableKeyRotation": rotation["KeyRotationEnabled"],
        "multiRegion": bool(metadata.get("MultiRegion")),
        "isEnabled": metadata["KeyState"] != "Disabled",
        "tags": dict(tags),
    }
    if "RotationPeriodInDays" in rotation:  # moto does not tell it
        properties["rotationPeriodInDays"] = rotation["RotationPeriodInDays"]
    return Live(
        type=_KEY,
        identity=(_KEY, tags.get(NAME, metadata["KeyId"])),
        id=metadata["KeyId"],
        properties=properties,
        outputs={"id": metadata["KeyId"], "keyId": metadata["KeyId"], "arn": metadata["Arn"]},
        stack=tags[STACK],
        protected=PROTECT in tags,
        retained=RETAIN in tags,
        deleting=metadata["KeyState"] == "PendingDeletion",
    )
