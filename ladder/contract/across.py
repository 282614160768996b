"""Rules that join the stacks of the whole ladder: what must be distinct, and what must be equal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from ladder.contract.base import Settings, Varies
from ladder.contract.exceptions import Place
from ladder.contract.previews import Previews
from ladder.contract.stack import StackSettings
from ladder.contract.types import arn_account
from ladder.contract.violations import Path, Violation

__all__ = ["Unequal", "across_stacks", "differing", "equal_everywhere", "unexplained"]


def across_stacks(stacks: Mapping[str, StackSettings]) -> Iterator[tuple[str, Violation]]:
    """Every rule the stacks break together, with the stack it is reported on; equality is a rule of its own."""
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
    yield from _domains_apart(stacks)
    yield from _named_as_their_files(stacks)
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


def _domains_apart(stacks: Mapping[str, StackSettings]) -> Iterator[tuple[str, Violation]]:
    """No domain is another one's or below it: a cookie of one would reach the other."""
    domains = [(stack, ("hosts", "domain"), settings.hosts.domain) for stack, settings in stacks.items()]
    for stack, settings in stacks.items():
        if isinstance(settings.previews, Previews):
            domains.append((stack, ("previews", "host"), settings.previews.host))
    for index, (stack, path, domain) in enumerate(domains):
        for other, other_path, held in domains[:index]:
            if f".{domain}".endswith(f".{held}") or f".{held}".endswith(f".{domain}"):
                yield (
                    stack,
                    Violation(
                        path=path,
                        message=f"is not apart from {'.'.join(other_path)} of {other}, {held}",
                        found=domain,
                        accepted="a domain that is neither another one's nor below or above it",
                    ),
                )


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


def equal_everywhere(
    stacks: Mapping[str, StackSettings], excepted: Collection[Place] = ()
) -> Iterator[tuple[str, Violation]]:
    """A field that does not say why it varies holds one value in every stack; maps have the same keys.

    ``excepted`` are the places that an exception lets differ.
    """
    for each in differing(stacks, excepted):
        message = f"differs from the stack {each.other!r}, and the contract gives no reason for it to vary"
        found, accepted = _shown(each.found), _shown(each.accepted)
        yield each.environment, Violation(path=each.path, message=message, found=found, accepted=accepted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unequal:
    """A path at which ``environment`` differs from ``other``, what is found there, and what ``other`` has."""

    environment: str
    other: str
    path: Path
    found: Any
    accepted: Any


def differing(
    environments: Mapping[str, Settings], excepted: Collection[Place] = (), *, service: str | None = None
) -> Iterator[Unequal]:
    """Every path at which two environments differ and neither says why it may; of maps that may vary, in their keys.

    Each is held against the first that is not excepted there, so that an exception speaks of its own environment alone.
    """

    def is_excepted(environment: str, path: Path) -> bool:
        return Place(environment, service, path) in excepted

    yield from _names(environments, is_excepted)
    names = list(environments)
    for index, name in enumerate(names):
        for path, _, _ in unexplained(environments[name], environments[names[0]], ()):
            other = next(each for each in names[: index + 1] if each == name or not is_excepted(each, path))
            if other == name or is_excepted(name, path):
                continue
            for below, found, accepted in unexplained(environments[name], environments[other], ()):
                if below[: len(path)] == path:
                    yield Unequal(environment=name, other=other, path=below, found=found, accepted=accepted)


def _names(environments: Mapping[str, Settings], is_excepted: Callable[[str, Path], bool]) -> Iterator[Unequal]:
    first: dict[Path, tuple[str, Collection[str]]] = {}
    for environment, settings in environments.items():
        for path, names in settings.names().items():
            if is_excepted(environment, path):
                continue
            other, wanted = first.setdefault(path, (environment, names))
            if set(names) != set(wanted):
                found, accepted = sorted(names), sorted(wanted)
                yield Unequal(environment=environment, other=other, path=path, found=found, accepted=accepted)


def unexplained(mine: Any, theirs: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Every path at which two settings differ without a ``Varies``, with what stands there in each."""
    if isinstance(mine, Settings) and type(mine) is type(theirs):
        for name, field in type(mine).model_fields.items():
            if not any(isinstance(reason, Varies) for reason in field.metadata):
                yield from unexplained(getattr(mine, name), getattr(theirs, name), (*path, field.alias or name))
    elif isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        left, right = cast("Mapping[str, Any]", mine), cast("Mapping[str, Any]", theirs)
        if set(left) != set(right):
            yield path, sorted(left), sorted(right)
            return
        for key in left:
            yield from unexplained(left[key], right[key], (*path, key))
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
