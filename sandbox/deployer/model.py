"""The deployer's vocabulary: what it deploys to, what it finds there, and what it changed or would change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ladder.errors import CheckFailed, LadderError

if TYPE_CHECKING:
    from sandbox.connection import Sandbox

__all__ = ["Action", "Change", "Difference", "Identity", "Live", "Patience", "Rejected", "Target"]

Action = Literal["create", "update", "delete", "keep", "same"]

Identity = tuple[str, str]
"""A kind (``aws:s3/bucket:Bucket``, ``networking.k8s.io/NetworkPolicy``) and a physical name within it."""


class Rejected(CheckFailed):
    """A server's definite no. ``code`` is the service's own word (``NoSuchBucketPolicy``, ``404``)."""

    def __init__(self, message: str, *, code: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Difference:
    """One property that differs: its dotted path, its live value and the recording's (``None``: absent there)."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is done, or would be done, to one resource; holds no secret.

    ``type`` is the Pulumi token, ``name`` the physical name (``dev-services/default-deny``). ``urn`` is None for what
    the recording does not have. ``note`` says why something is kept, or what goes with it.
    """

    action: Action
    type: str
    name: str
    urn: str | None = None
    differences: tuple[Difference, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A resource as found on a server.

    ``properties`` has the shape that its kind compares; ``outputs`` what only the provider knows (ids, ARNs), under
    Pulumi's output names; ``status`` what a controller reports. ``stack`` is the owner found on it, empty if none. A
    part (a bucket's policy, a key's alias) names its ``holder`` and lives and dies with it. ``deleting`` is set on what
    is already on its way out, ``inert`` on a part that has nothing to take away. ``additions`` are what others set
    besides, and what would have to go.
    """

    type: str
    identity: Identity
    id: str
    properties: Mapping[str, Any]
    outputs: Mapping[str, str] = field(default_factory=dict[str, str])
    status: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stack: str = ""
    namespace: str = ""
    holder: Identity | None = None
    protected: bool = False
    retained: bool = False
    deleting: bool = False
    inert: bool = False
    additions: tuple[Difference, ...] = ()

    @property
    def name(self) -> str:
        return self.identity[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, in seconds: for one answer, through a server's trouble, and for a state to be reached."""

    request: float = 10.0
    trouble: float = 30.0
    settle: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a recording is replayed: one API server and one account of one AWS endpoint, both on loopback.

    ``ca`` is the file of the API server's certificate authority; ``locks`` the folder of the stacks' locks.
    Raises LadderError for an address that is not a loopback one.
    """

    api_server: str
    ca: Path
    token: str
    aws_endpoint: str
    access_key_id: str
    secret_access_key: str
    account: str
    region: str
    locks: Path
    patience: Patience = field(default_factory=Patience)

    def __post_init__(self) -> None:
        for url in (self.api_server, self.aws_endpoint):
            if urlsplit(url).hostname not in ("127.0.0.1", "::1", "localhost"):
                raise LadderError(f"the built-in engine deploys to the sandbox only, and {url} is not on loopback")

    @classmethod
    def of(cls, sandbox: Sandbox, account: str, region: str) -> Target:
        """The target that a running sandbox offers to the stack of this account and region."""
        credentials = sandbox.credentials(account)
        return cls(
            api_server=sandbox.api_server,
            ca=sandbox.ca,
            token=sandbox.token,
            aws_endpoint=sandbox.aws_endpoint,
            access_key_id=credentials.access_key_id,
            secret_access_key=credentials.secret_access_key,
            account=account,
            region=region,
            locks=sandbox.state / "locks",
        )

    def with_patience(self, patience: Patience) -> Target:
        return replace(self, patience=patience)
