"""Walks between the overlays of a service: every step's values rendered by Helm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from itertools import islice

from pydantic import ValidationError

from ladder.contract.overlay import ChartValues
from ladder.contract.overlay_rules import within_overlay
from ladder.errors import InputError
from ladder.helm import Manifest
from ladder.parity.ladder import Ladder
from ladder.parity.rendering import Given, Objects, Renderer, objects, values_of
from ladder.parity.units import Values, steps, units
from ladder.parity.walk import Walk, Walked
from ladder.substitution import judged
from ladder.tree import Service

__all__ = ["NAMESPACE", "walked_overlays"]

NAMESPACE = "the namespace that Helm is told"

_Rendered = tuple[Manifest, ...] | InputError


def walked_overlays(ladder: Ladder, renderer: Renderer) -> Iterator[Walked]:
    """The walk of each service between each two environments that are neighbours and have it.

    The digests of ``version.yaml`` differ in time only: all states have the lower one's. Last, Helm is told the upper
    one's namespace. Raises InputError where an overlay's own values cannot be rendered.
    """
    walks = list(_walks(ladder))
    rendered = renderer.render(given for walk, lower, upper in walks for given in _given(walk, lower, upper))
    for walk, _, _ in walks:
        start, *after, named = islice(rendered, len(walk.steps) + 2)
        made = [_sound(start), *map(_made, after[:-1]), *map(_sound, after[-1:])]
        yield Walked(walk, made, {NAMESPACE: judged(NAMESPACE, made[-1] or {}, _sound(named))})


def _walks(ladder: Ladder) -> Iterator[tuple[Walk, Service, Service]]:
    for lower, upper in ladder.pairs():
        for name in sorted(lower.services.keys() & upper.services.keys()):
            mine, theirs = lower.services[name], upper.services[name]
            moving = list(units(mine.overlay, theirs.overlay))
            moved = steps(values_of(mine), _end(mine, theirs), moving, partial(_valid, name))
            yield Walk(lower, upper, tuple(moved), theirs), mine, theirs


def _end(lower: Service, upper: Service) -> Values:
    return {**values_of(upper), **lower.version.model_dump(mode="json", by_alias=True)}


def _valid(service: str, values: Values) -> bool:
    try:
        overlay = ChartValues.model_validate_json(json.dumps(values))
    except ValidationError:
        return False
    return not any(within_overlay(service, overlay))


def _given(walk: Walk, lower: Service, upper: Service) -> Iterator[Given]:
    """The start, each step's end, and the last one's again with the other namespace."""
    namespace, end = walk.lower.namespace, _end(lower, upper)
    yield Given(lower, values_of(lower), namespace)
    for step in walk.steps[:-1]:
        yield Given(upper, step.values, namespace)
    if walk.steps:
        yield Given(upper, end, namespace)
    yield Given(upper, end, walk.upper.namespace)


def _made(rendered: _Rendered) -> Objects | None:
    return None if isinstance(rendered, InputError) else objects(rendered)


def _sound(rendered: _Rendered) -> Objects:
    if isinstance(rendered, InputError):
        raise rendered
    return objects(rendered)
