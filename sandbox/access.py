"""A running sandbox: what is needed to talk to it, and the proof that it is the one meant."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import yaml

from ladder.errors import CheckFailed, LadderError
from sandbox.credentials import AwsCredentials, derive
from sandbox.paths import StateDir, is_locked
from sandbox.servers import HOST, Plan, get

__all__ = [
    "NotRunningError",
    "Sandbox",
    "Sources",
    "connect",
    "load_identity",
    "load_run",
    "sources_of",
    "write_kubeconfig",
]

CONTEXT = "ladder-sandbox"
KEPT = frozenset(
    ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TERM", "COLORTERM", "NO_COLOR", "TMPDIR", "TZ")
)
KEPT_PREFIXES = ("LC_", "XDG_")


class NotRunningError(LadderError):
    """There is no sandbox to connect to: it was never started, was stopped, or one of its servers died."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What Argo CD delivers from: the URL of the tree's git repository, and of the registry's folder of charts."""

    tree: str
    charts: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox, verified to be the one that its state directory belongs to.

    ``sources`` is None where it runs without Argo CD.
    """

    state: Path
    kubeconfig: Path
    api_server: str
    ca: Path
    token: str = field(repr=False)
    aws_endpoint: str
    cluster_uid: str
    sources: Sources | None

    def credentials(self, account: str) -> AwsCredentials:
        """The key pair of one 12-digit account; every account exists as soon as it is used.

        Raises ValueError for anything but 12 digits.
        """
        if not re.fullmatch(r"[0-9]{12}", account):
            raise ValueError(f"not a 12-digit account id: {account!r}")
        return derive(self._secrets()["aws"], account)

    def environment(self, account: str) -> dict[str, str]:
        """The sealed environment for a child process that works on ``account``.

        Nothing of the user's AWS, Kubernetes, Pulumi or proxy settings gets through: only names on a short list do.
        """
        paths, credentials = StateDir(self.state), self.credentials(account)
        return {
            **{name: value for name, value in os.environ.items() if name in KEPT or name.startswith(KEPT_PREFIXES)},
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_ENDPOINT_URL": self.aws_endpoint,
            "AWS_CONFIG_FILE": str(paths.empty),
            "AWS_SHARED_CREDENTIALS_FILE": str(paths.empty),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "KUBECONFIG": str(self.kubeconfig),
            "PULUMI_HOME": str(paths.pulumi_home),
            "PULUMI_BACKEND_URL": f"file://{paths.pulumi_backend}",
            "PULUMI_CONFIG_PASSPHRASE": self._secrets()["pulumi"],
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def _secrets(self) -> dict[str, str]:
        return json.loads(StateDir(self.state).secrets.read_text())


def connect(state: Path) -> Sandbox:
    """The running sandbox of ``state``.

    Raises NotRunningError, naming the command that starts it; CheckFailed when the kubeconfig leads off this machine or
    to a cluster other than the one this state started, as a tunnel on the same port would.
    """
    paths = StateDir(state.absolute())
    plan = _running_plan(paths)
    access = _Access.of_kubeconfig(paths.kubeconfig)
    uid, expected = access.cluster_uid(), load_identity(paths)
    if uid is None:
        raise CheckFailed(f"{paths.kubeconfig}: {access.url} does not answer as the sandbox's API server does")
    if uid != expected:
        raise CheckFailed(
            f"{paths.kubeconfig}: {access.url} is another cluster than the one this sandbox started"
            f" (kube-system has UID {uid}, not {expected}); nothing was changed."
            " Restart the sandbox to have the file rewritten: `ladder sandbox stop`, `ladder sandbox start`"
        )
    return Sandbox(
        state=paths.root,
        kubeconfig=paths.kubeconfig,
        api_server=access.url,
        ca=paths.pki / "ca.crt",
        token=access.token,
        aws_endpoint=plan.url("moto", "http"),
        cluster_uid=uid,
        sources=sources_of(paths, plan) if plan.delivers else None,
    )


def sources_of(paths: StateDir, plan: Plan) -> Sources:
    """The sources of a state that runs with Argo CD."""
    return Sources(f"file://{paths.tree}", f"{plan.url('registry', 'oci')}/charts")


def load_run(paths: StateDir) -> Mapping[str, Any]:
    """What the supervisor last recorded: pid, phase, reason, began, servers; empty when there is nothing."""
    try:
        return cast("dict[str, Any]", json.loads(paths.run.read_text()))
    except (FileNotFoundError, ValueError):
        return {}


def load_identity(paths: StateDir) -> str | None:
    """The UID of the cluster's kube-system namespace at the first start; None before that."""
    try:
        return str(json.loads(paths.identity.read_text())["cluster_uid"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def write_kubeconfig(url: str, ca: Path, token: str) -> str:
    """A kubeconfig that holds everything in one file."""
    authority = base64.b64encode(ca.read_bytes()).decode()
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": {"server": url, "certificate-authority-data": authority}}],
            "users": [{"name": CONTEXT, "user": {"token": token}}],
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
            "current-context": CONTEXT,
        },
        sort_keys=False,
    )


@dataclass(frozen=True, slots=True)
class _Access:
    """What a client would take from the kubeconfig."""

    url: str
    authority: str
    token: str

    @classmethod
    def of_kubeconfig(cls, path: Path) -> _Access:
        try:
            config = yaml.safe_load(path.read_text())
            context = next(each["context"] for each in config["contexts"] if each["name"] == config["current-context"])
            cluster = next(each["cluster"] for each in config["clusters"] if each["name"] == context["cluster"])
            user = next(each["user"] for each in config["users"] if each["name"] == context["user"])
            authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
            access = cls(str(cluster["server"]), authority, str(user["token"]))
        except (OSError, yaml.YAMLError, ValueError, LookupError, TypeError, StopIteration) as error:
            raise CheckFailed(
                f"{path}: not the kubeconfig that the sandbox wrote; restart it to have it written again"
            ) from error
        if not _is_loopback(access.url):
            raise CheckFailed(
                f"{path}: {access.url} is not on this machine: the sandbox is only ever reached on loopback"
            )
        return access

    def cluster_uid(self) -> str | None:
        parts = urlsplit(self.url)
        try:
            context = ssl.create_default_context(cadata=self.authority)
        except ssl.SSLError:
            return None
        headers = {"Authorization": f"Bearer {self.token}"}
        path = "/api/v1/namespaces/kube-system"
        status, body = get(parts.port or 443, path, context, headers, host=parts.hostname or HOST)
        return str(json.loads(body)["metadata"]["uid"]) if status == HTTPStatus.OK else None


def _is_loopback(url: str) -> bool:
    """Whether the URL names a loopback address literally; a name could be resolved to anywhere."""
    try:
        return ipaddress.ip_address(urlsplit(url).hostname or "").is_loopback
    except ValueError:
        return False


def _running_plan(paths: StateDir) -> Plan:
    run = load_run(paths)
    if run.get("phase") == "ready" and is_locked(paths.alive):
        return Plan.of_json(paths.plan.read_text())
    text = f"the sandbox in {paths.root} is not running; start it with `ladder sandbox start`"
    raise NotRunningError(f"{text}\n{run['reason']}" if run.get("phase") == "failed" else text)
