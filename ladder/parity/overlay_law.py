"""The substitution law for what the chart makes: it may change only by the values put in place of an overlay's own.

The pods carry a checksum over their variables and secrets' names; the one that must come of the values put in is known
before (:func:`ladder.variables.checksum`), and so is a literal like any other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ladder.check.findings import Finding
from ladder.contract.overlay import ChartValues
from ladder.contract.types import REGIONS, arn_account
from ladder.errors import InputError
from ladder.helm import Manifest
from ladder.literals import Fresh, Literals, undone
from ladder.parity.ladder import Ladder
from ladder.parity.rendering import Given, Objects, Renderer, objects, values_of
from ladder.substitution import TOGETHER, LawViolation, judged
from ladder.tree import Service
from ladder.variables import checksum

__all__ = ["OVERLAY_SUBJECTS", "overlay_violations"]

_Values = dict[str, Any]
_Replaced = tuple[_Values, Literals]

_NAMESPACE = "namespace"


@dataclass(frozen=True, slots=True)
class _Variation:
    """One rendering, and what it may say instead of what it said before."""

    subject: str
    given: Given
    literals: Literals


def overlay_violations(ladder: Ladder, renderer: Renderer) -> tuple[int, list[Finding]]:
    """How many variations there were, and what they show: each place of the chart once, with how many overlays.

    Raises InputError where an overlay's own values cannot be rendered.
    """
    own = [Given(service, values_of(service), environment.namespace) for environment, service in ladder.overlays()]
    before = [_sound(made) for made in renderer.render(own)]
    every = [_variations(given, made) for given, made in zip(own, before, strict=True)]
    after = renderer.render(variation.given for variations in every for variation in variations)
    seen = _Seen((ladder.tree.path.parent / ladder.tree.chart.name).as_posix())
    for given, manifests, variations in zip(own, before, every, strict=True):
        for variation in variations:
            seen.add(given.service, variation, manifests, next(after))
    return sum(map(len, every)), list(seen.findings())


def _sound(made: tuple[Manifest, ...] | InputError) -> tuple[Manifest, ...]:
    if isinstance(made, InputError):
        raise made
    return made


class _Seen:
    """What breaks the law, by its place in the chart."""

    def __init__(self, chart: str) -> None:
        self._chart = chart
        self._found: dict[tuple[str, str, str], list[tuple[Service, LawViolation]]] = {}
        self._refused: dict[str, list[tuple[Service, str]]] = {}
        self._alone: set[tuple[str, str, str]] = set()

    def add(
        self,
        service: Service,
        variation: _Variation,
        before: Sequence[Manifest],
        after: tuple[Manifest, ...] | InputError,
    ) -> None:
        if isinstance(after, InputError):
            self._refused.setdefault(variation.subject, []).append((service, str(after)))
            return
        found: Objects = json.loads(undone(json.dumps(objects(after)), variation.literals))
        sources = {name: each.source for each in (*after, *before) for name in objects([each])}
        for each in judged(variation.subject, objects(before), found):
            place = (service.folder.as_posix(), each.where, each.path)
            if variation.subject != TOGETHER:
                self._alone.add(place)
            elif place in self._alone:
                continue
            kind = each.where.partition(" ")[0]
            key = (variation.subject, f"{self._chart}/{sources.get(each.where, '')}", f"{kind}: {each.path}")
            self._found.setdefault(key, []).append((service, each))

    def findings(self) -> Iterator[Finding]:
        for (subject, where, _), found in self._found.items():
            first = found[0][1]
            yield Finding(
                rule="law/overlay",
                where=where,
                path=f"{first.where}: {first.path}",
                message=f"changes with {_SAID[subject]}, beyond what was put in its place ({_told(found)})",
                found=first.found or "nothing",
                accepted=first.expected or "nothing",
                mend="let a value decide it that has its reason in the contract: a template may not know where it runs",
            )
        for subject, refused in self._refused.items():
            service, said = refused[0]
            yield Finding(
                rule="law/refused",
                where=f"{service.folder.as_posix()}/values.yaml",
                message=f"cannot be rendered with another value for {_SAID[subject]} ({_told(refused)})",
                found=said,
                accepted="any value that the contract accepts",
            )


def _told(found: Sequence[tuple[Service, Any]]) -> str:
    first = found[0][0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{first.environment}/{first.name}{more}"


def _variations(given: Given, made: Sequence[Manifest]) -> list[_Variation]:
    """Each subject that the values have, the namespace, and all of them together."""
    fresh = Fresh(json.dumps([given.values, objects(made), given.namespace]))
    varied: list[_Variation] = []
    together, literals = dict(given.values), Literals()
    for subject, replace in _REPLACE.items():
        changed, own = replace(dict(given.values), fresh)
        if own:
            varied.append(_variation(subject, given, changed, given.namespace, own))
            together, more = replace(together, fresh)
            literals += more
    other = fresh.word(given.namespace)
    own = [(other, given.namespace)]
    varied.append(_variation(_NAMESPACE, given, given.values, other, own))
    varied.append(_variation(TOGETHER, given, together, other, [*literals, *own]))
    return varied


def _variation(subject: str, given: Given, values: Mapping[str, Any], namespace: str, literals: Literals) -> _Variation:
    sums = [checksum(ChartValues.model_validate_json(json.dumps(each))) for each in (values, given.values)]
    of_variables = [(sums[0], sums[1])] if sums[0] != sums[1] else []
    return _Variation(subject, Given(given.service, values, namespace), [*literals, *of_variables])


def _endpoint(values: _Values, **changed: Any) -> _Values:
    return {**values, "endpoints": {**values["endpoints"], **changed}}


def _each(names: Mapping[str, str], make: Callable[[int, str], str]) -> tuple[dict[str, str], Literals]:
    """Another value for each; ``make`` is given a number by which new values sort as the old ones do."""
    new = {old: make(number, old) for number, old in enumerate(sorted({*names.values()}))}
    return {key: new[old] for key, old in names.items()}, [(value, old) for old, value in new.items()]


def _hosts(values: _Values, fresh: Fresh) -> _Replaced:
    base = fresh.word("host")
    hosts, literals = _each(values["endpoints"]["hosts"], lambda number, _: f"{base}{number:04}.example")
    return _endpoint(values, hosts=hosts), literals


def _region(values: _Values, fresh: Fresh) -> _Replaced:
    old = values["endpoints"]["region"]
    new = fresh.region(old, next(partition for partition, regions in REGIONS.items() if old in regions))
    return (_endpoint(values, region=new), [(new, old)]) if new else (values, [])


def _role(values: _Values, fresh: Fresh) -> _Replaced:
    """The role's account and its name."""
    old = values["endpoints"]["role"].get("arn")
    if old is None:
        return values, []
    new = f"{old.rpartition('::')[0]}::{fresh.account(arn_account(old))}:role/{fresh.word('role')}"
    return _endpoint(values, role={"enabled": True, "arn": new}), [(new, old)]


def _buckets(values: _Values, fresh: Fresh) -> _Replaced:
    base = fresh.word("bucket")
    buckets, literals = _each(values["endpoints"]["buckets"], lambda number, _: f"{base}-{number:04}")
    return _endpoint(values, buckets=buckets), literals


def _keys(values: _Values, fresh: Fresh) -> _Replaced:
    base = fresh.word("key")
    keys, literals = _each(values["endpoints"]["keys"], lambda number, _: f"alias/{base}-{number:04}")
    return _endpoint(values, keys=keys), literals


def _stores(values: _Values, fresh: Fresh) -> _Replaced:
    """Where the stores are that somebody else runs: hosts and networks."""
    stores = values["endpoints"]["stores"]
    base = fresh.word("store")
    hosts, of_hosts = _each({name: one["host"] for name, one in stores.items()}, lambda n, _: f"{base}{n:04}.example")
    networks, of_networks = _each({name: one["cidr"] for name, one in stores.items()}, lambda _, __: fresh.network())
    moved = {name: {**one, "host": hosts[name], "cidr": networks[name]} for name, one in stores.items()}
    return _endpoint(values, stores=moved), [*of_hosts, *of_networks]


def _external(values: _Values, fresh: Fresh) -> _Replaced:
    urls, literals = _each(values["endpoints"]["external"], lambda _, old: _elsewhere(old, fresh))
    return _endpoint(values, external=urls), literals


def _edge(values: _Values, fresh: Fresh) -> _Replaced:
    old = values["endpoints"]["edge"]
    new = {key: fresh.word(name) for key, name in old.items()}
    return _endpoint(values, edge=new), [(new[key], old[key]) for key in new]


def _monitoring(values: _Values, fresh: Fresh) -> _Replaced:
    old = values["endpoints"]["monitoring"]
    new = {"namespace": fresh.word(old["namespace"]), "address": _elsewhere(old["address"], fresh)}
    return _endpoint(values, monitoring=new), [(new[key], old[key]) for key in new]


def _elsewhere(url: str, fresh: Fresh) -> str:
    """The URL at another host; scheme and port stay, which rules speak of."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{fresh.word('host')}.example{port}{parts.path}"


def _secrets(values: _Values, fresh: Fresh) -> _Replaced:
    base = fresh.word("secret")
    secrets, literals = _each(values["secrets"], lambda number, _: f"{base}/{number:04}")
    return {**values, "secrets": secrets}, literals


def _seed(values: _Values, fresh: Fresh) -> _Replaced:
    """Whose data the stores are filled with."""
    old = values["seed"].get("environment")
    if old is None:
        return values, []
    new = fresh.word(old)
    return {**values, "seed": {**values["seed"], "environment": new}}, [(new, old)]


_REPLACE: dict[str, Callable[[_Values, Fresh], _Replaced]] = {
    "hosts": _hosts,
    "region": _region,
    "role": _role,
    "buckets": _buckets,
    "keys": _keys,
    "stores": _stores,
    "external": _external,
    "edge": _edge,
    "monitoring": _monitoring,
    "secrets": _secrets,
    "seed": _seed,
}

OVERLAY_SUBJECTS = (*_REPLACE, _NAMESPACE)
"""What is varied alone."""

_SAID = {
    **{subject: f"endpoints.{subject}" for subject in _REPLACE},
    "secrets": "secrets",
    "seed": "seed.environment",
    _NAMESPACE: "the namespace that Helm is told",
    TOGETHER: "all literals together",
}
