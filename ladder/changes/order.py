"""Whether a change keeps the order of the ladder: what reaches a rung has been on the one below, or comes there too."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ladder.changes.report import Caution, Danger
from ladder.contract import StackSettings
from ladder.contract.stack import Rung
from ladder.differences import differences, opened

__all__ = ["Part", "below", "neutral", "out_of_order"]

_FIRST = "is passed over: this comes here without having been there"
_OWN = "cannot meet this first: these values are this environment's own"


@dataclass(frozen=True, slots=True)
class Part:
    """One thing at both ends, None where it is not there: a resource's inputs, a service's overlay.

    Values are neutral: what only says which environment it is stands as a word for it.
    """

    before: Any = None
    after: Any = None


def below(settings: Mapping[str, StackSettings]) -> dict[str, str]:
    """Each stack to the one on the next lower rung that there is; the lowest has none."""
    rungs = list(Rung)
    ranked = sorted(settings, key=lambda stack: rungs.index(settings[stack].environment.rung))
    lower: dict[str, str] = {}
    for stack in ranked:
        rank = rungs.index(settings[stack].environment.rung)
        under = [other for other in ranked if rungs.index(settings[other].environment.rung) < rank]
        if under:
            lower[stack] = under[-1]
    return lower


def neutral(settings: StackSettings, ids: Mapping[str, str]) -> Callable[[Any], Any]:
    """A function that puts words in place of what identifies the environment, and of the ``ids`` given."""
    cloud, cluster = settings.cloud, settings.cluster
    words = {
        **ids,
        cluster.context: "<context>",
        cluster.identifier: "<cluster>",
        cluster.oidc_issuer: "<issuer>",
        settings.hosts.domain: "<domain>",
        cloud.account: "<account>",
        cloud.region: "<region>",
        settings.environment.name: "<environment>",
        settings.environment.owner: "<owner>",
    }
    ranked = sorted(words, key=len, reverse=True)
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, ranked))})(?![A-Za-z0-9])")

    def replaced(value: Any) -> Any:
        return opened(json.loads(pattern.sub(lambda match: json.dumps(words[match[0]])[1:-1], json.dumps(value))))

    return replaced


def out_of_order(where: str, own: Mapping[str, Part], lower: Mapping[str, Part], under: str) -> Iterator[Caution]:
    """Cautions about what changes in ``where`` and neither changes nor already stands in ``under``, the rung below.

    Where both had the same before, the change comes to the higher one first. Where they differed, it is a value of the
    environment's own, such as a quota: nothing below can meet it first, which is worth a look and may be as meant.
    A name that is a URN's end is shown by its type and name.
    """
    first: list[str] = []
    alone: list[str] = []
    for name, part in sorted(own.items()):
        ahead, private = _unmet(_shown(name), part, lower.get(name, Part()))
        first += ahead
        alone += private
    for message, found in ((_FIRST, first), (_OWN, alone)):
        if found:
            yield Caution(danger=Danger.ORDER, where=where, subject=under, message=message, details=tuple(found))


def _shown(name: str) -> str:
    type_, _, last = name.rpartition("::")
    return f"{type_.rpartition(':')[2]} {last}".strip()


def _unmet(name: str, part: Part, other: Part) -> tuple[list[str], list[str]]:
    """What of the part comes here first, and what is its own."""
    if part.before is None or part.after is None:
        alike = part.before is part.after or (part.after is None) == (other.after is None)
        return ([], []) if alike else ([name], [])
    paths = _paths(part.before, part.after)
    if not paths:
        return [], []
    changed = _paths(other.before, other.after)
    apart, apart_before = _paths(part.after, other.after), _paths(part.before, other.before)
    unmet = [path for path in paths if not _meets(path, changed) and _meets(path, apart)]
    own = [path for path in unmet if _meets(path, apart_before)]
    return [f"{name} {path}" for path in unmet if path not in own], [f"{name} {path}" for path in own]


def _paths(one: Any, other: Any) -> list[str]:
    """Where they differ; everywhere, which is the path of nothing, where one is not there."""
    if one is None or other is None:
        return [] if one is other else [""]
    return [path for path, _, _ in differences(one, other, keyed=True)]


def _meets(path: str, others: Sequence[str]) -> bool:
    """Whether one of the paths is at, above or below this one."""
    return any(path == other or _is_above(path, other) or _is_above(other, path) for other in others)


def _is_above(path: str, other: str) -> bool:
    """The path of nothing is above every other."""
    return not path or other.startswith((f"{path}.", f"{path}["))
