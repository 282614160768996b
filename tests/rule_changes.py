"""How a recording is broken in one place, and the case of it: the rule that must say so, and where."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ladder.recording import Recording, Resource
from tests.conftest import one

Change = Callable[[Resource], Resource | None]
Edit = Callable[[list[dict[str, Any]]], Any]


def given(resource: Resource, inputs: Mapping[str, Any]) -> Resource:
    """The resource with other inputs, and outputs that follow them as in a recording."""
    computed = {key: value for key, value in resource.outputs.items() if key not in resource.inputs}
    return replace(resource, inputs=inputs, outputs={**inputs, **computed})


def put(path: str, value: Any) -> Change:
    """Set an input by its dotted path; numbers are places in lists, and objects missing on the way are made."""

    def change(resource: Resource) -> Resource:
        inputs = copy.deepcopy(dict(resource.inputs))
        place: Any = inputs
        *parents, last = path.split(".")
        for key in parents:
            place = place.setdefault(key, {}) if isinstance(place, dict) else place[int(key)]
        place[last if isinstance(place, dict) else int(last)] = value
        return given(resource, inputs)

    return change


def drop(path: str) -> Change:
    """Leave an input out."""

    def change(resource: Resource) -> Resource:
        inputs = copy.deepcopy(dict(resource.inputs))
        place: Any = inputs
        *parents, last = path.split(".")
        for key in parents:
            place = place[key] if isinstance(place, dict) else place[int(key)]
        place.pop(last if isinstance(place, dict) else int(last))
        return given(resource, inputs)

    return change


def edit(how: Edit, key: str = "policy") -> Change:
    """Edit the statements of a resource's policy document."""

    def change(resource: Resource) -> Resource:
        document = json.loads(resource.inputs[key])
        how(document["Statement"])
        return given(resource, {**resource.inputs, key: json.dumps(document)})

    return change


def trust(how: Edit) -> Change:
    return edit(how, "assumeRolePolicy")


def options(**changes: Any) -> Change:
    return lambda resource: replace(resource, **changes)


def gone(resource: Resource) -> None:
    return None


def by_sid(statements: list[dict[str, Any]], sid: str) -> dict[str, Any]:
    (found,) = [statement for statement in statements if statement["Sid"] == sid]
    return found


def without(sid: str) -> Change:
    return edit(lambda statements: statements.remove(by_sid(statements, sid)))


def stated(sid: str, **fields: Any) -> Change:
    return edit(lambda statements: by_sid(statements, sid).update(fields))


def all_but(sid: str, part: str) -> Change:
    """Turn a statement's ``Principal``, ``Action`` or ``Resource`` into everything else."""

    def negate(statements: list[dict[str, Any]]) -> None:
        statement = by_sid(statements, sid)
        statement[f"Not{part}"] = statement.pop(part)

    return edit(negate)


def added(**fields: Any) -> Change:
    return edit(lambda statements: statements.append({"Sid": "Added", "Effect": "Allow", **fields}))


def compared(sid: str, condition: dict[str, Any]) -> Change:
    return edit(lambda statements: by_sid(statements, sid).update({"Condition": condition}))


def expression(where: str, old: str, new: str) -> Change:
    """Replace a part of an expression of an admission policy."""

    def change(resource: Resource) -> Resource:
        text = str(resource.inputs["spec"])
        assert old in text, text
        spec = json.loads(json.dumps(resource.inputs["spec"]))
        for holder in spec[where]:
            holder["expression"] = holder["expression"].replace(old, new)
        return given(resource, {**resource.inputs, "spec": spec})

    return change


@dataclass(frozen=True, kw_only=True)
class Case:
    """``rule`` is the rule that must fire on the stack when the resource is changed; ``at`` is where it must point.

    ``at`` is a type and a name, the changed resource's where it is left out; ``path`` a dotted path in it.
    """

    rule: str
    what: str
    stack: str = "dev"
    type: str
    name: str
    change: Change
    at: tuple[str, str] = ("", "")
    path: str = ""

    def broken(self, recording: Recording) -> Recording:
        target = one(recording, self.type, self.name)
        changed = [self.change(each) if each is target else each for each in recording.resources]
        return replace(recording, resources=tuple(each for each in changed if each is not None))

    def where(self, recording: Recording) -> str:
        type_, name = self.at if self.at[0] else (self.type, self.name)
        return one(recording, type_, name).urn
