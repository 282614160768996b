"""A stack's settings as the sandbox runs them: the same environment, at addresses that reach nothing real."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from ladder.contract import StackSettings, settings_from_mapping
from ladder.contract.stack import RESERVED_ACCOUNTS
from sandbox.access import CONTEXT, Sources

__all__ = ["localized", "reserved_account"]


def reserved_account(name: str) -> str:
    """The sandbox's account of an environment or of an account outside the ladder: always the same for one name.

    By convention nobody's real account; what keeps real systems out is the loopback endpoint and its own credentials.
    """
    return f"{RESERVED_ACCOUNTS}{zlib.crc32(name.encode()) % 1_000_000:06d}"


def localized(
    settings: StackSettings, *, aws_endpoint: str, cluster_uid: str, sources: Sources | None = None
) -> StackSettings:
    """The settings with accounts, cluster and endpoints of the sandbox, and all else as it is.

    ``sources`` are what a sandbox with Argo CD delivers from; without it delivery points where it did.
    Raises InputError where two environments' names give one reserved account.
    """
    accounts = {number: reserved_account(name) for name, number in settings.accounts.items()}
    sections: dict[str, Any] = settings.model_dump(mode="json", by_alias=True)
    sections["accounts"] = {name: reserved_account(name) for name in settings.accounts}
    cloud = sections["cloud"]
    sections["cloud"] = {
        **cloud,
        "account": reserved_account(settings.environment.name),
        "deployerRole": None,
        "keyAdministratorRole": _in_sandbox(cloud["keyAdministratorRole"], accounts),
        "replicationRoles": {name: _in_sandbox(arn, accounts) for name, arn in cloud["replicationRoles"].items()},
        "anchorRole": cloud["anchorRole"] and _in_sandbox(cloud["anchorRole"], accounts),
        "standIn": aws_endpoint,
    }
    sections["cluster"] = {**sections["cluster"], "context": CONTEXT, "identifier": cluster_uid}
    if sources is not None:
        chart = sections["delivery"]["chart"].rpartition("/")[2]
        own = {"repository": sources.tree, "chart": f"{sources.charts}/{chart}"}
        sections["delivery"] = {**sections["delivery"], **own}
    return settings_from_mapping(sections, name=f"settings of {settings.environment.name} for the sandbox")


def _in_sandbox(arn: str, accounts: Mapping[str, str]) -> str:
    parts = arn.split(":")
    parts[4] = accounts.get(parts[4]) or reserved_account(parts[4])
    return ":".join(parts)
