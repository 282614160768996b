"""Rules that join the stacks of the whole ladder: what must be distinct, and what must be equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from ladder.contract.base import Settings, Varies
from ladder.contract.rules import Path, Violation
from ladder.contract.stack import StackSettings
from ladder.contract.types import arn_account

__all__ = ["across_stacks"]


def across_stacks(stacks: Mapping[str, StackSettings]) -> Iterator[tuple[str, Violation]]:
    """Every rule the stacks break together, with the stack it is reported on."""
    yield from _unique(stacks, ("environment", "name"), lambda s: [(("environment", "name"), s.environment.name)])
    yield from _unique(stacks, ("cloud", "account"), lambda s: [(("cloud", "account"), s.cloud.account)])
    yield from _unique(
        stacks, ("buckets",), lambda s: [(("buckets", key, "name"), bucket.name) for key, bucket in s.buckets.items()]
    )
    yield from _unique(stacks, ("environment", "rung"), lambda s: [(("environment", "rung"), s.environment.rung)])
    for field, attribute in (("context", "context"), ("identifier", "identifier"), ("oidcIssuer", "oidc_issuer")):
        yield from _unique(
            stacks,
            ("cluster", field),
            lambda s, path=("cluster", field), name=attribute: [(path, str(getattr(s.cluster, name)))],
        )
    yield from _named_as_their_files(stacks)
    yield from _equal_everywhere(stacks)
    yield from _foreign_principals(stacks)


def _unique(
    stacks: Mapping[str, StackSettings], what: Path, values: Callable[[StackSettings], list[tuple[Path, str]]]
) -> Iterator[tuple[str, Violation]]:
    first: dict[str, str] = {}
    for stack, settings in stacks.items():
        for path, value in values(settings):
            if first.get(value, stack) != stack:
                yield (
                    stack,
                    Violation(
                        path=path,
                        message=f"is also that of the stack {first[value]!r}",
                        found=value,
                        accepted=f"a {what[-1] if what[0] != 'buckets' else 'bucket name'} of its own for each stack",
                    ),
                )
            first.setdefault(value, stack)


def _named_as_their_files(stacks: Mapping[str, StackSettings]) -> Iterator[tuple[str, Violation]]:
    for stack, settings in stacks.items():
        if settings.environment.name != stack:
            yield (
                stack,
                Violation(
                    path=("environment", "name"),
                    message="is not the stack's: the file would bring up another environment than its name says",
                    found=settings.environment.name,
                    accepted=stack,
                ),
            )


def _equal_everywhere(stacks: Mapping[str, StackSettings]) -> Iterator[tuple[str, Violation]]:
    """A field that does not say why it varies holds one value in every stack; maps have the same keys."""
    if not stacks:
        return
    first, *others = stacks.items()
    for stack, settings in others:
        for path, found, accepted in _unexplained(settings, first[1], ()):
            yield (
                stack,
                Violation(
                    path=path,
                    message=f"differs from the stack {first[0]!r}, and the contract gives no reason for it to vary",
                    found=_shown(found),
                    accepted=_shown(accepted),
                ),
            )


def _unexplained(mine: Any, theirs: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(mine, Settings) and type(mine) is type(theirs):
        for name, field in type(mine).model_fields.items():
            if not any(isinstance(reason, Varies) for reason in field.metadata):
                yield from _unexplained(getattr(mine, name), getattr(theirs, name), (*path, field.alias or name))
    elif isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        left, right = cast("Mapping[str, Any]", mine), cast("Mapping[str, Any]", theirs)
        if set(left) != set(right):
            yield path, sorted(left), sorted(right)
            return
        for key in left:
            yield from _unexplained(left[key], right[key], (*path, key))
    elif mine != theirs:
        yield path, mine, theirs


def _shown(value: Any) -> str:
    return ", ".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else str(value)


def _foreign_principals(stacks: Mapping[str, StackSettings]) -> Iterator[tuple[str, Violation]]:
    owners = {settings.cloud.account: stack for stack, settings in stacks.items()}
    for stack, settings in stacks.items():
        for key, arn in settings.cloud.replication_roles.items():
            owner = owners.get(arn_account(arn), stack)
            if owner != stack and arn_account(arn) not in settings.accounts.values():
                yield (
                    stack,
                    Violation(
                        path=("cloud", "replicationRoles", key),
                        message=f"is a role of the stack {owner!r}",
                        found=arn,
                        accepted="a role of this account, or of an account outside the ladder",
                    ),
                )
