"""AWS resources: owned by tags, compared with what is read back, ensured by plain API calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from typing import Any, Protocol

from ladder.errors import CheckFailed
from ladder.recording import Resource

from . import iam, kms, s3
from .aws_api import AwsApi
from .model import Difference, Identity, Live, Target
from .values import differences

__all__ = ["KINDS", "Aws", "AwsKind"]


class AwsKind(Protocol):
    """What the engine must know of one resource type.

    ``known`` are the inputs it deploys, ``needed`` those it cannot do without, ``fixed`` the properties that cannot
    change once created. ``desired`` has the same shape as the ``properties`` of what ``find`` returns.
    """

    @property
    def type(self) -> str: ...
    @property
    def known(self) -> frozenset[str]: ...
    @property
    def needed(self) -> tuple[str, ...]: ...
    @property
    def fixed(self) -> tuple[str, ...]: ...
    def name(self, resource: Resource) -> str: ...
    def desired(self, resource: Resource, stack: str) -> dict[str, Any]: ...
    def find(self, api: AwsApi, resource: Resource, stack: str) -> Live | None: ...
    def create(self, api: AwsApi, resource: Resource, desired: Mapping[str, Any]) -> None: ...
    def update(
        self, api: AwsApi, resource: Resource, live: Live, desired: Mapping[str, Any], changed: frozenset[str]
    ) -> None: ...
    def delete(self, api: AwsApi, live: Live, parts: Iterable[Live], inputs: Mapping[str, Any]) -> None: ...


_ALL: tuple[AwsKind, ...] = (
    iam.Roles(),
    iam.RolePolicies(),
    iam.OidcProviders(),
    kms.Keys(),
    kms.Aliases(),
    s3.Buckets(),
    *s3.PARTS,
)
KINDS: dict[str, AwsKind] = {kind.type: kind for kind in _ALL}

Survey = Callable[[AwsApi, Callable[[Live], bool]], Iterator[Live]]
_SURVEYS: tuple[Survey, ...] = (iam.survey, kms.survey, s3.survey)


class Aws:
    """One stack's side of an AWS account."""

    def __init__(self, target: Target, stack: str) -> None:
        self.api = AwsApi(target)
        self._stack = stack

    def close(self) -> None:
        self.api.close()

    def handles(self, resource: Resource) -> bool:
        return resource.type in KINDS

    def problems(self, resource: Resource) -> list[str]:
        kind = KINDS[resource.type]
        given = {key for key, value in resource.inputs.items() if value is not None} - {"region"}
        found = [f"the built-in engine does not know its input {key}" for key in sorted(given - kind.known)]
        found += [f"its input {key} is missing" for key in kind.needed if key not in given]
        region = resource.inputs.get("region") or self.api.region
        if region != self.api.region:
            found.append(f"it is in {region}, and the target in {self.api.region}")
        return found

    def identity(self, resource: Resource) -> Identity:
        return resource.type, KINDS[resource.type].name(resource)

    def survey(self, resources: Iterable[Resource], pool: Executor) -> list[Live]:
        """What is tagged as the stack's, and what is tagged as nobody's under a recorded name, since tags get lost."""
        recorded = frozenset(self.identity(resource) for resource in resources)

        def ours(live: Live) -> bool:
            return live.stack == self._stack or (not live.stack and live.identity in recorded)

        def read(one: Survey) -> list[Live]:
            return list(one(self.api, ours))

        return [live for lives in pool.map(read, _SURVEYS) for live in lives]

    def find(self, resource: Resource) -> Live | None:
        """What exists under the name. Raises CheckFailed if it carries another stack's tag."""
        live = KINDS[resource.type].find(self.api, resource, self._stack)
        if live is not None and live.stack not in ("", self._stack):
            raise CheckFailed(f"{live.name} belongs to stack {live.stack}")
        return live

    def compare(self, resource: Resource, live: Live | None) -> tuple[Difference, ...]:
        """The differences of what the server tells. Raises CheckFailed for one that would need a replacement."""
        if live is None:
            return ()
        kind = KINDS[resource.type]
        found = _differences(live, kind.desired(resource, self._stack))
        stuck = [one.path for one in found if one.path.partition(".")[0] in kind.fixed]
        if stuck:
            raise CheckFailed(
                f"{', '.join(stuck)} of {live.name} cannot change once created, and this engine does not replace: "
                "remove it from the program, run up, and add it again"
            )
        return found

    def apply(self, resource: Resource, live: Live | None) -> Live:
        kind = KINDS[resource.type]
        desired = kind.desired(resource, self._stack)
        if live is None:
            live = self.api.patiently(lambda: self._made(resource, desired), f"creating {self.identity(resource)[1]}")
        changed = frozenset(one.path.partition(".")[0].partition("[")[0] for one in _differences(live, desired))
        if live.deleting:
            changed |= desired.keys()
        if changed:
            kind.update(self.api, resource, live, desired, changed)
        return live

    def _made(self, resource: Resource, desired: Mapping[str, Any]) -> Live:
        """Created, unless an earlier try whose answer got lost already did."""
        kind = KINDS[resource.type]
        live = self.find(resource)
        if live is None:
            kind.create(self.api, resource, desired)
            live = self.find(resource)
        type_, name = self.identity(resource)
        return live or Live(type=type_, identity=(type_, name), id=name, properties=desired, stack=self._stack)

    def settle(self, lives: Iterable[Live]) -> None:
        """Nothing here takes time."""

    def delete(self, live: Live, parts: Iterable[Live], inputs: Mapping[str, Any]) -> None:
        KINDS[live.type].delete(self.api, live, parts, inputs)

    def wait_gone(self, lives: Iterable[Live]) -> None:
        """Nothing here takes time."""


def _differences(live: Live, desired: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Without the settings that a server takes and never tells (no part has such)."""
    told = desired if live.holder else {key: value for key, value in desired.items() if key in live.properties}
    return differences(dict(live.properties), told)
