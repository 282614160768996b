"""Bringing a stack up in the sandbox with either engine: the Pulumi CLI where it is, else the built-in deployer."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from ladder.contract import StackSettings, ladder_settings, stack_file
from ladder.errors import CheckFailed, InputError, Problem
from ladder.recorder import record
from ladder.recording import Recording
from sandbox import deployer, pulumi_cli
from sandbox.connection import Sandbox
from sandbox.deployer.kube_api import KubeApi
from sandbox.deployer.model import Rejected
from sandbox.localized import localized

_CONFLICT = "409"

__all__ = ["Deployment", "Engine", "choose"]


class Engine(StrEnum):
    """What brings a stack up. ``auto`` is the Pulumi CLI if it is on PATH, else the built-in deployer."""

    AUTO = "auto"
    PULUMI = "pulumi"
    BUILTIN = "builtin"


def choose(engine: Engine) -> Engine:
    """The engine ``auto`` stands for. Raises InputError for the Pulumi CLI where it is not on PATH."""
    found = shutil.which("pulumi") is not None
    if engine is Engine.PULUMI and not found:
        raise InputError(
            Problem(
                file="--engine",
                message="the Pulumi CLI is not on PATH",
                found="no program 'pulumi'",
                accepted="builtin, or auto, or an installed Pulumi CLI (https://www.pulumi.com/docs/install/)",
            )
        )
    if engine is not Engine.AUTO:
        return engine
    return Engine.PULUMI if found else Engine.BUILTIN


@dataclass(frozen=True)
class Deployment:
    """One stack of the project on one running sandbox."""

    root: Path
    stack: str
    sandbox: Sandbox

    @cached_property
    def settings(self) -> StackSettings:
        """As the sandbox runs them. Raises InputError for a stack, or a ladder, that is not valid."""
        stack_file(self.root, self.stack)
        settings = ladder_settings(self.root)[self.stack]
        return localized(
            settings,
            aws_endpoint=self.sandbox.aws_endpoint,
            cluster_uid=self.sandbox.cluster_uid,
            sources=self.sandbox.sources,
        )

    @cached_property
    def recording(self) -> Recording:
        return record(self.settings, stack=self.stack, root=self.root)

    @cached_property
    def target(self) -> deployer.Target:
        cloud = self.settings.cloud
        return deployer.Target.of(self.sandbox, cloud.account, cloud.region)

    @cached_property
    def pulumi(self) -> pulumi_cli.PulumiStack:
        return pulumi_cli.PulumiStack(
            project=self.root,
            stack=self.stack,
            settings=self.settings,
            directory=self.sandbox.state / "pulumi-project",
            environment=self.sandbox.environment(self.settings.cloud.account),
        )

    def claim(self, engine: Engine) -> None:
        """Refuse a stack that the other engine brought up: each would take the other's resources for strangers."""
        deployed = self.deployed_by_pulumi()
        if engine is Engine.BUILTIN and deployed:
            raise CheckFailed(
                f"{self.stack} was brought up by the Pulumi CLI; use --engine pulumi, or begin afresh with 'make clean'"
            )
        if engine is Engine.PULUMI and not deployed and self._namespaces_of_builtin():
            raise CheckFailed(
                f"{self.stack} was brought up by the built-in engine;"
                " use --engine builtin, or begin afresh with 'make clean'"
            )

    def prepare(self) -> None:
        """What a real cluster has before its first stack: the namespace of Argo CD."""
        name = self.settings.delivery.namespace
        api = KubeApi(self.target)
        try:
            if not api.request("GET", f"/api/v1/namespaces/{name}", missing_ok=True):
                body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                api.request("POST", "/api/v1/namespaces", json=body)
        except Rejected as error:
            if error.code != _CONFLICT:
                raise
        finally:
            api.close()

    def deployed_by_pulumi(self) -> bool:
        return pulumi_cli.has_resources(self.sandbox.state / "pulumi", self.stack)

    def _namespaces_of_builtin(self) -> bool:
        api = KubeApi(self.target)
        try:
            query = {"labelSelector": f"ladder.internal/stack={self.stack}", "limit": "1"}
            found = api.request("GET", "/api/v1/namespaces", params=query)
        finally:
            api.close()
        return bool(found.get("items"))
