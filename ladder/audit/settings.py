"""Every path of the settings of all environments, side by side, with the reason why it may differ."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast

from ladder.audit.report import EQUAL, Setting
from ladder.contract.across import differing
from ladder.contract.base import Settings, Varies
from ladder.contract.exceptions import Place
from ladder.contract.violations import Path
from ladder.parity.ladder import Ladder
from ladder.parity.proof import UNEXPLAINED
from ladder.parity.walk import EXCEPTION

__all__ = ["side_by_side"]

_Leaf = tuple[str, Varies | None]


def side_by_side(ladder: Ladder, excepted: Collection[Place]) -> Iterator[Setting]:
    """The stacks' settings, then each service's overlays, in the order of their fields."""
    yield from _settings(None, ladder.settings, excepted)
    for name in sorted({service.name for service in ladder.tree.services()}):
        own = {each.name: each.services[name].overlay for each in ladder.environments if name in each.services}
        yield from _settings(name, own, excepted)


def _settings(service: str | None, every: Mapping[str, Settings], excepted: Collection[Place]) -> Iterator[Setting]:
    unexplained = {each.path for each in differing(every, excepted, service=service)}
    leaves = {environment: dict(_leaves(settings, (), None)) for environment, settings in every.items()}
    for path in dict.fromkeys(path for each in leaves.values() for path in each):
        held = {environment: each[path] for environment, each in leaves.items() if path in each}
        values = {environment: value for environment, (value, _) in held.items()}
        reason = next((why for _, why in held.values() if why), None)
        is_everywhere = len(values) == len(every)
        is_unexplained = any(path[:length] in unexplained for length in range(len(path) + 1))
        if is_everywhere and len(set(values.values())) == 1:
            standing = EQUAL
        elif is_unexplained and (reason is None or not is_everywhere):
            standing = UNEXPLAINED
        else:
            standing = reason.value if reason else EXCEPTION
        yield Setting(service=service, path=".".join(map(str, path)), values=values, standing=standing)


def _leaves(value: Any, path: Path, reason: Varies | None) -> Iterator[tuple[Path, _Leaf]]:
    """Each value that is neither a model nor a map of something, as JSON, with the deepest reason above it."""
    if isinstance(value, Settings):
        for name, field in type(value).model_fields.items():
            own = next((each for each in field.metadata if isinstance(each, Varies)), reason)
            yield from _leaves(getattr(value, name), (*path, field.alias or name), own)
    elif isinstance(value, Mapping) and value:
        for key, item in cast("Mapping[str, Any]", value).items():
            yield from _leaves(item, (*path, key), reason)
    else:
        yield path, (json.dumps(_plain(value), ensure_ascii=False), reason)


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, tuple | list):
        return [_plain(each) for each in cast("tuple[Any, ...]", value)]
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else value
