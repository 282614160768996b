"""Roles, their inline policies, and OpenID Connect providers."""
# ruff: noqa: ARG002 -- every kind has the same methods, whether or not it needs each argument

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ladder.recording import Resource

from .aws_api import AwsApi
from .model import Live
from .tags import PROTECT, RETAIN, STACK, as_list, from_list, tags_of, wanted_tags
from .values import document

__all__ = ["OidcProviders", "RolePolicies", "Roles", "survey"]

_ROLE = "aws:iam/role:Role"
_POLICY = "aws:iam/rolePolicy:RolePolicy"
_OIDC = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
_ABSENT = ("NoSuchEntity",)


def survey(api: AwsApi, ours: Callable[[Live], bool]) -> Iterator[Live]:
    """Every role, with its inline policies, and every identity provider of the stack."""
    for listed in api.list("iam", "list_roles", "Roles"):
        role = _read_role(api, listed["RoleName"])
        if role is not None and ours(role):
            yield role
            yield from (_read_policy(api, role, name) for name in _policies(api, role.name))
    for listed in api.call("iam", "list_open_id_connect_providers").get("OpenIDConnectProviderList", ()):
        provider = _read_oidc(api, listed["Arn"])
        if provider is not None and ours(provider):
            yield provider


class Roles:
    type = _ROLE
    known = frozenset(
        {"name", "assumeRolePolicy", "description", "path", "maxSessionDuration", "permissionsBoundary", "tags"}
        | {"forceDetachPolicies"}
    )
    needed = ("name", "assumeRolePolicy")
    fixed = ("path",)

    def name(self, resource: Resource) -> str:
        return resource.inputs["name"]

    def desired(self, resource: Resource, stack: str) -> dict[str, Any]:
        inputs = resource.inputs
        return {
            "assumeRolePolicy": document(inputs["assumeRolePolicy"]),
            "description": inputs.get("description") or "",
            "path": inputs.get("path") or "/",
            "maxSessionDuration": inputs.get("maxSessionDuration") or 3600,
            "permissionsBoundary": inputs.get("permissionsBoundary") or "",
            "tags": wanted_tags(resource, stack),
        }

    def find(self, api: AwsApi, resource: Resource, stack: str) -> Live | None:
        return _read_role(api, self.name(resource))

    def create(self, api: AwsApi, resource: Resource, desired: Mapping[str, Any]) -> None:
        optional = {"Description": desired["description"], "PermissionsBoundary": desired["permissionsBoundary"]}
        api.once(
            "iam",
            "create_role",
            RoleName=self.name(resource),
            AssumeRolePolicyDocument=json.dumps(desired["assumeRolePolicy"]),
            Path=desired["path"],
            MaxSessionDuration=desired["maxSessionDuration"],
            Tags=as_list(desired["tags"]),
            **{key: value for key, value in optional.items() if value},
        )

    def update(
        self, api: AwsApi, resource: Resource, live: Live, desired: Mapping[str, Any], changed: frozenset[str]
    ) -> None:
        role = live.name
        if "assumeRolePolicy" in changed:
            trust = json.dumps(desired["assumeRolePolicy"])
            api.call("iam", "update_assume_role_policy", RoleName=role, PolicyDocument=trust)
        if changed & {"description", "maxSessionDuration"}:
            duration = desired["maxSessionDuration"]
            api.call(
                "iam", "update_role", RoleName=role, Description=desired["description"], MaxSessionDuration=duration
            )
        if "permissionsBoundary" in changed:
            boundary = desired["permissionsBoundary"]
            if boundary:
                api.call("iam", "put_role_permissions_boundary", RoleName=role, PermissionsBoundary=boundary)
            else:
                api.call("iam", "delete_role_permissions_boundary", RoleName=role)
        if "tags" in changed:
            gone = sorted(tags_of(live.properties).keys() - desired["tags"].keys())
            api.call("iam", "tag_role", RoleName=role, Tags=as_list(desired["tags"]))
            if gone:
                api.call("iam", "untag_role", RoleName=role, TagKeys=gone)

    def delete(self, api: AwsApi, live: Live, parts: Iterable[Live], inputs: Mapping[str, Any]) -> None:
        for part in parts:
            RolePolicies().delete(api, part, (), {})
        api.call("iam", "delete_role", RoleName=live.name, missing=_ABSENT)


class RolePolicies:
    type = _POLICY
    known = frozenset({"name", "role", "policy"})
    needed = ("name", "role", "policy")
    fixed = ()

    def name(self, resource: Resource) -> str:
        return f"{resource.inputs['role']}:{resource.inputs['name']}"

    def desired(self, resource: Resource, stack: str) -> dict[str, Any]:
        return {"policy": document(resource.inputs["policy"])}

    def find(self, api: AwsApi, resource: Resource, stack: str) -> Live | None:
        return None

    def create(self, api: AwsApi, resource: Resource, desired: Mapping[str, Any]) -> None:
        self._put(api, self.name(resource), desired)

    def update(
        self, api: AwsApi, resource: Resource, live: Live, desired: Mapping[str, Any], changed: frozenset[str]
    ) -> None:
        self._put(api, live.name, desired)

    def _put(self, api: AwsApi, name: str, desired: Mapping[str, Any]) -> None:
        role, _, policy = name.partition(":")
        text = json.dumps(desired["policy"])
        api.call("iam", "put_role_policy", RoleName=role, PolicyName=policy, PolicyDocument=text)

    def delete(self, api: AwsApi, live: Live, parts: Iterable[Live], inputs: Mapping[str, Any]) -> None:
        role, _, policy = live.name.partition(":")
        api.call("iam", "delete_role_policy", RoleName=role, PolicyName=policy, missing=_ABSENT)


class OidcProviders:
    type = _OIDC
    known = frozenset({"url", "clientIdLists", "thumbprintLists", "tags"})
    needed = ("url", "clientIdLists")
    fixed = ("url",)

    def name(self, resource: Resource) -> str:
        return resource.inputs["url"].removeprefix("https://")

    def desired(self, resource: Resource, stack: str) -> dict[str, Any]:
        inputs = resource.inputs
        return {
            "url": self.name(resource),
            "clientIdLists": sorted(inputs["clientIdLists"]),
            "thumbprintLists": list(inputs.get("thumbprintLists") or ()),
            "tags": wanted_tags(resource, stack),
        }

    def find(self, api: AwsApi, resource: Resource, stack: str) -> Live | None:
        return _read_oidc(api, f"arn:aws:iam::{api.account}:oidc-provider/{self.name(resource)}")

    def create(self, api: AwsApi, resource: Resource, desired: Mapping[str, Any]) -> None:
        api.once(
            "iam",
            "create_open_id_connect_provider",
            Url=resource.inputs["url"],
            ClientIDList=desired["clientIdLists"],
            ThumbprintList=desired["thumbprintLists"],
            Tags=as_list(desired["tags"]),
        )

    def update(
        self, api: AwsApi, resource: Resource, live: Live, desired: Mapping[str, Any], changed: frozenset[str]
    ) -> None:
        arn: dict[str, Any] = {"OpenIDConnectProviderArn": live.id}
        if "clientIdLists" in changed:
            had, wanted = {*live.properties["clientIdLists"]}, {*desired["clientIdLists"]}
            for client in sorted(wanted - had):
                api.call("iam", "add_client_id_to_open_id_connect_provider", ClientID=client, **arn)
            for client in sorted(had - wanted):
                api.call("iam", "remove_client_id_from_open_id_connect_provider", ClientID=client, **arn)
        if "thumbprintLists" in changed:
            prints = desired["thumbprintLists"]
            api.call("iam", "update_open_id_connect_provider_thumbprint", ThumbprintList=prints, **arn)
        if "tags" in changed:
            gone = sorted(tags_of(live.properties).keys() - desired["tags"].keys())
            api.call("iam", "tag_open_id_connect_provider", Tags=as_list(desired["tags"]), **arn)
            if gone:
                api.call("iam", "untag_open_id_connect_provider", TagKeys=gone, **arn)

    def delete(self, api: AwsApi, live: Live, parts: Iterable[Live], inputs: Mapping[str, Any]) -> None:
        api.call("iam", "delete_open_id_connect_provider", OpenIDConnectProviderArn=live.id, missing=_ABSENT)


def _read_role(api: AwsApi, name: str) -> Live | None:
    role = api.call("iam", "get_role", RoleName=name, missing=_ABSENT).get("Role")
    if role is None:
        return None
    tags = from_list(role.get("Tags", ()))
    return Live(
        type=_ROLE,
        identity=(_ROLE, name),
        id=name,
        properties={
            "assumeRolePolicy": document(role["AssumeRolePolicyDocument"]),
            "description": role.get("Description") or "",
            "path": role["Path"],
            "maxSessionDuration": role.get("MaxSessionDuration") or 3600,
            "permissionsBoundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""),
            "tags": tags,
        },
        stack=tags.get(STACK, ""),
        protected=PROTECT in tags,
        retained=RETAIN in tags,
    )


def _policies(api: AwsApi, role: str) -> list[str]:
    return api.list("iam", "list_role_policies", "PolicyNames", RoleName=role)


def _read_policy(api: AwsApi, role: Live, name: str) -> Live:
    found = api.call("iam", "get_role_policy", RoleName=role.name, PolicyName=name, missing=_ABSENT)
    return Live(
        type=_POLICY,
        identity=(_POLICY, f"{role.name}:{name}"),
        id=f"{role.name}:{name}",
        properties={"policy": document(found.get("PolicyDocument", {}))},
        stack=role.stack,
        holder=role.identity,
    )


def _read_oidc(api: AwsApi, arn: str) -> Live | None:
    found = api.call("iam", "get_open_id_connect_provider", OpenIDConnectProviderArn=arn, missing=_ABSENT)
    if not found:
        return None
    tags = from_list(found.get("Tags", ()))
    url: str = found["Url"].removeprefix("https://")
    return Live(
        type=_OIDC,
        identity=(_OIDC, url),
        id=arn,
        properties={
            "url": url,
            "clientIdLists": sorted(found.get("ClientIDList", ())),
            "thumbprintLists": list(found.get("ThumbprintList", ())),
            "tags": tags,
        },
        outputs={"id": arn, "arn": arn},
        stack=tags.get(STACK, ""),
        protected=PROTECT in tags,
        retained=RETAIN in tags,
    )
