"""Decisions that need no server: what is deployable, what must stay, what goes and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ladder.errors import LadderError
from ladder.recording import Recording, Resource

from .kubernetes import NAMESPACE
from .model import Change, Identity, Live
from .values import find_secrets

__all__ = ["Removals", "check", "deployable", "guards_of", "judged", "placeholders"]

# Without a recording, what uses goes before what is used.
_RANKS = ("kubernetes:", "aws:s3/", "aws:iam/", "aws:kms/")


class Judge(Protocol):
    """What a side says of a resource before any state is known."""

    def handles(self, resource: Resource) -> bool: ...
    def problems(self, resource: Resource) -> list[str]: ...
    def identity(self, resource: Resource) -> Identity: ...


def deployable(recording: Recording) -> tuple[Resource, ...]:
    """What exists on a server, in dependency order: no components, no providers."""
    return tuple(one for one in recording.in_dependency_order() if one.custom and not one.is_provider)


def check(resources: Iterable[Resource], sides: Iterable[Judge]) -> dict[Identity, Resource]:
    """Each resource under its identity. Raises LadderError with everything that cannot be deployed."""
    found, problems = judged(resources, sides)
    if problems:
        raise LadderError("\n".join([*problems, "nothing was changed"]))
    return found


def judged(resources: Iterable[Resource], sides: Iterable[Judge]) -> tuple[dict[Identity, Resource], list[str]]:
    """Each deployable resource under its identity, and what is wrong with the others."""
    sides = tuple(sides)
    found: dict[Identity, Resource] = {}
    problems: list[str] = []
    for resource in resources:
        side = next((side for side in sides if side.handles(resource)), None)
        wrong = side.problems(resource) if side else [f"{resource.type} is not supported by the built-in engine"]
        wrong += [f"{path} is a secret, which a recording does not hold" for path in find_secrets(resource.inputs)]
        if side and not wrong:
            other = found.setdefault(side.identity(resource), resource)
            if other is not resource:
                wrong.append(f"it is the same {' '.join(side.identity(resource))} as {other.urn}")
        problems += [f"{resource.urn}: {one}" for one in wrong]
    return found, problems


def placeholders(resource: Resource, live: Live) -> dict[str, str]:
    """The recorded stand-ins for what only the provider knows, with their live values."""
    recorded: dict[str, Any] = {**resource.outputs, "id": resource.id}
    return {
        recorded[key]: value
        for key, value in live.outputs.items()
        if isinstance(recorded.get(key), str) and recorded[key] not in ("", value)
    }


def guards_of(recording: Recording, resources: Mapping[Identity, Resource]) -> dict[Identity, str]:
    """Why each of these must outlive a destroy: protected, retained, or needed by what is protected."""
    by_urn = recording.by_urn()
    guards: dict[str, str] = {one.urn: "retained" for one in resources.values() if one.retain_on_delete}
    protected = [one for one in resources.values() if one.protect]
    for resource in protected:
        waiting = [resource]
        while waiting:
            one = waiting.pop()
            needed = {*one.dependencies, *(urn for urns in one.property_dependencies.values() for urn in urns)}
            for urn in needed & by_urn.keys():
                if guards.get(urn) in (None, "retained"):
                    guards[urn] = f"needed by {resource.name}"
                    waiting.append(by_urn[urn])
    guards |= {one.urn: "protected" for one in protected}
    return {identity: guards[one.urn] for identity, one in resources.items() if one.urn in guards}


class Removals:
    """What a stack owns beyond what is ``wanted``, and what becomes of each.

    ``guards`` adds reasons to keep to the marks that the live resources carry; ``recorded`` gives the order to reverse.
    Nothing of another stack is ever among them, and a namespace stays while anything in it does.
    """

    def __init__(
        self,
        stack: str,
        lives: Mapping[Identity, Live],
        *,
        wanted: frozenset[Identity] = frozenset(),
        guards: Mapping[Identity, str] | None = None,
        recorded: Mapping[Identity, Resource] | None = None,
    ) -> None:
        self._lives = lives
        self._wanted = wanted
        self._guards = guards or {}
        self._recorded = recorded or {}
        owned = [one for one in lives.values() if one.stack == stack and one.identity not in wanted]
        self.going = [one for one in owned if one.deleting]
        self._reasons = {one.identity: self._reason(one) for one in owned if not one.deleting and not one.inert}
        self._keep_namespaces()

    @property
    def protected(self) -> list[Live]:
        return [self._lives[identity] for identity, reason in self._reasons.items() if reason == "protected"]

    @property
    def ordered(self) -> list[Live]:
        """Dependents first, namespaces last; parts that go with their holder are left out."""
        rows = [self._lives[identity] for identity in self._reasons]
        return sorted((one for one in rows if not self._goes_along(one)), key=self._position)

    def change(self, live: Live) -> Change:
        resource = self._recorded.get(live.identity)
        reason = self._reasons[live.identity]
        along = ", ".join(part.type.rpartition(":")[2] for part in self.parts(live))
        return Change(
            action="keep" if reason else "delete",
            type=resource.type if resource else live.type,
            name=live.name,
            urn=resource.urn if resource else None,
            note=reason or (f"with its {along}" if along else ""),
        )

    def parts(self, live: Live) -> list[Live]:
        """What goes with this one."""
        if self._reasons[live.identity]:
            return []
        held = [one for one in self._lives.values() if one.holder == live.identity and not one.inert]
        return [one for one in held if one.identity not in self._wanted]

    def inputs(self, live: Live) -> Mapping[str, Any]:
        resource = self._recorded.get(live.identity)
        return resource.inputs if resource else {}

    def _reason(self, live: Live) -> str:
        """Why it stays; empty if it goes. A part is guarded by its holder's marks: it carries none of its own."""
        bearer = self._lives.get(live.holder, live) if live.holder else live
        if bearer.protected:
            return "protected"
        return self._guards.get(bearer.identity, "") or ("retained" if bearer.retained else "")

    def _goes_along(self, live: Live) -> bool:
        return live.holder is not None and not self._reasons.get(live.holder, "stays")

    def _keep_namespaces(self) -> None:
        staying = [one for one in self._lives.values() if not one.deleting and self._reasons.get(one.identity, "stays")]
        held = {one.namespace: one for one in staying if one.namespace}
        for kind, name in self._reasons:
            if kind == NAMESPACE and name in held and not self._reasons[kind, name]:
                self._reasons[kind, name] = f"holds {held[name].name}"

    def _position(self, live: Live) -> tuple[bool, int, int, str]:
        order = {identity: index for index, identity in enumerate(self._recorded)}
        rank = next((index for index, prefix in enumerate(_RANKS) if live.type.startswith(prefix)), len(_RANKS))
        return live.identity[0] == NAMESPACE, -order.get(live.identity, len(order)), rank, live.name
