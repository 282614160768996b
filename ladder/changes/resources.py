"""Two recordings of one stack, resource by resource: which is which, what differs, and what becomes of it.

Components are left out, they make nothing; so is the order in which resources are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from ladder.changes.replacements import CLUSTER_PROVIDER, replaces
from ladder.changes.report import Change, Edit, Fate, Property
from ladder.differences import ABSENT, differences, opened, renamed
from ladder.recording import Recording, Resource

__all__ = ["Pair", "change", "is_placeholder", "logical", "paired", "properties"]

_PROVIDER = "options.provider"
_STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True, slots=True)
class Pair:
    """One resource at both ends, None where it is not there. ``inputs`` are with their JSON documents opened.

    ``fate`` is None where nothing differs.
    """

    before: Resource | None
    after: Resource | None
    fate: Fate | None
    properties: tuple[Property, ...] = ()

    @property
    def resource(self) -> Resource:
        """The resource as it will be, or as it was where it will not."""
        resource = self.after or self.before
        assert resource is not None  # noqa: S101 - a pair has at least one
        return resource


def logical(urn: str) -> str:
    """What a resource is called in every stack: its type, parents' types included, and its name."""
    return "::".join(urn.split("::")[2:])


def change(pair: Pair) -> Change | None:
    """The pair as a report has it; None where nothing differs."""
    if pair.fate is None:
        return None
    resource, before = pair.resource, pair.before
    return Change(
        fate=pair.fate,
        urn=resource.urn,
        type=resource.type,
        name=resource.name,
        id=resource.id,
        formerly=before.urn if before is not None and before.urn != resource.urn else "",
        properties=pair.properties,
    )


def paired(base: Recording, head: Recording) -> tuple[Pair, ...]:
    """Every resource a provider makes at either end, by URN; one that has another URN is known by its aliases."""
    former = _former(base, head)
    known = base.by_urn()
    base = _as_named_now(base, {known[old].id: head.by_urn()[new].id for new, old in former.items()}, former)
    known = {resource.urn: resource for resource in base.resources}
    stayed = set(former.values())
    pairs = [_pair(known.get(former.get(resource.urn, "")), resource) for resource in _made(head.resources)]
    pairs += [_pair(resource, None) for resource in _made(base.resources) if resource.urn not in stayed]
    return tuple(sorted(_with_their_provider(pairs), key=lambda pair: pair.resource.urn))


def _made(resources: Iterable[Resource]) -> Iterator[Resource]:
    return (resource for resource in resources if resource.custom)


def _pair(before: Resource | None, after: Resource | None) -> Pair:
    if before is None:
        return Pair(before, after, Fate.ANEW)
    if after is None:
        return Pair(before, after, Fate.GONE)
    found = (*_options(before, after), *properties(before.inputs, after.inputs, after.type))
    fate = Fate.REPLACED if any(each.replaces for each in found) else Fate.CHANGED if found else None
    return Pair(before, after, fate, found)


def properties(before: Any, after: Any, type_: str = "") -> tuple[Property, ...]:
    """The leaves that differ, looking into JSON documents; lists of named things are compared by name."""
    found = differences(opened(before), opened(after), keyed=True)
    return tuple(_property(path, old, new, forces=replaces(type_, path)) for path, old, new in found)


def _property(path: str, before: Any, after: Any, *, forces: bool = False) -> Property:
    if before is ABSENT:
        return Property(path=path, edit=Edit.ADDED, after=after, replaces=forces)
    if after is ABSENT:
        return Property(path=path, edit=Edit.REMOVED, before=before, replaces=forces)
    return Property(path=path, edit=Edit.CHANGED, before=before, after=after, replaces=forces)


def _options(before: Resource, after: Resource) -> Iterator[Property]:
    for path, old, new in (
        ("options.protect", before.protect, after.protect),
        (_PROVIDER, _urn(before.provider), _urn(after.provider)),
        ("options.retainOnDelete", before.retain_on_delete, after.retain_on_delete),
    ):
        if old != new:
            yield _property(path, old, new)


def _urn(provider: str | None) -> str:
    return (provider or "").rpartition("::")[0]


def _with_their_provider(pairs: Sequence[Pair]) -> Iterator[Pair]:
    """What a replaced provider of a cluster made is replaced with it."""
    moved = {
        pair.resource.urn for pair in pairs if pair.fate is Fate.REPLACED and pair.resource.type == CLUSTER_PROVIDER
    }
    for pair in pairs:
        stays = pair.before is not None and pair.after is not None
        if stays and _urn(pair.resource.provider) in moved:
            provider = _urn(pair.resource.provider)
            forced = Property(path=_PROVIDER, edit=Edit.CHANGED, before=provider, after=provider, replaces=True)
            yield replace(pair, fate=Fate.REPLACED, properties=(forced, *pair.properties))
        else:
            yield pair


def _former(base: Recording, head: Recording) -> dict[str, str]:
    """Each URN of the head that stood at the base, to its URN there."""
    known, now = base.by_urn(), head.by_urn()
    aliases: dict[str, tuple[str, ...]] = {}
    former: dict[str, str] = {}
    taken: set[str] = set()
    for resource in head.in_dependency_order():
        aliases[resource.urn] = _aliases(resource, now.get(resource.parent or ""), aliases)
        names = (resource.urn, *(urn for urn in aliases[resource.urn] if urn not in now))
        found = next((urn for urn in names if urn in known and urn not in taken), None)
        if found is not None:
            former[resource.urn] = found
            taken.add(found)
    return former


def _aliases(resource: Resource, parent: Resource | None, known: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Its own, and those it has because its parent has some."""
    if parent is None:
        return resource.aliases
    names = [urn for urn in (resource.urn, *resource.aliases) if _is_urn(urn)]
    above = [urn for urn in known.get(parent.urn, ()) if _is_urn(urn)]
    return (*resource.aliases, *(_inherited(urn, parent.name, alias) for alias in above for urn in names))


def _inherited(urn: str, parent: str, alias: str) -> str:
    """What a child was called below its parent's alias: it is named after the parent where its name begins so."""
    type_, name = urn.split("::", 3)[2:]
    origin, project, parent_type, parent_alias = alias.split("::", 3)
    if name.startswith(parent):
        name = f"{parent_alias}{name.removeprefix(parent)}"
    type_ = type_.rpartition("$")[2]
    qualified = type_ if parent_type == _STACK_TYPE else f"{parent_type}${type_}"
    return f"{origin}::{project}::{qualified}::{name}"


def _is_urn(text: str) -> bool:
    return len(text.split("::")) >= len(("urn:pulumi:stack", "project", "type", "name"))


def _as_named_now(base: Recording, ids: Mapping[str, str], former: Mapping[str, str]) -> Recording:
    """The recording with the placeholders that the head has for the same resources.

    Only a provider knows such an id; what stands for it is made from the URN, and so changes with a name.
    """
    names = {old: new for old, new in ids.items() if old != new and is_placeholder(old) and is_placeholder(new)}
    urns = {old: new for new, old in former.items() if old != new}
    if not names and not urns:
        return base
    return replace(
        base,
        resources=tuple(
            replace(
                resource,
                id=renamed(resource.id, names),
                provider=_provider_now(resource.provider, urns),
                inputs=renamed(resource.inputs, names),
            )
            for resource in base.resources
        ),
        outputs=renamed(base.outputs, names),
    )


def _provider_now(provider: str | None, urns: Mapping[str, str]) -> str | None:
    if provider is None:
        return None
    urn, _, identifier = provider.rpartition("::")
    return f"{urns.get(urn, urn)}::{identifier}"


def is_placeholder(identifier: str) -> bool:
    """Whether the id is a recorder's, for one that only a provider knows."""
    try:
        return str(UUID(identifier)) == identifier
    except ValueError:
        return False
