"""The substitution law: the program knows an environment only by the values it is given.

Put values never seen before in place of an environment's name, account, region, cluster, hosts and buckets: the
recording may change by those literals alone. A program that breaks the law decides something by where it is — through
such a value, the stack's name, an environment variable or the dry-run flag.
"""

from __future__ import annotations

import json
import os
import random
import string
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ladder.contract import StackSettings, settings_from_mapping
from ladder.contract.types import REGIONS, arn_account
from ladder.placeholders import unknowable
from ladder.recorder import record
from ladder.recording import Recording
from ladder.recording_formats import as_json

__all__ = ["SUBJECTS", "TOGETHER", "LawViolation", "violations"]

TOGETHER = "together"
"""The variation that replaces every literal at once."""

_PLANTED = {
    "AWS_ACCOUNT_ID": "555555555555",
    "AWS_DEFAULT_REGION": "mx-central-1",
    "AWS_PROFILE": "planted",
    "AWS_REGION": "mx-central-1",
    "CI": "true",
    "CLUSTER": "planted",
    "DEBUG": "1",
    "DEPLOY_ENV": "production",
    "ENV": "production",
    "ENVIRONMENT": "production",
    "GITHUB_ACTIONS": "true",
    "GITHUB_REF_NAME": "planted",
    "HOME": "/nonexistent",
    "HOSTNAME": "planted",
    "KUBECONFIG": "/nonexistent",
    "LANG": "tr_TR.UTF-8",
    "LOGNAME": "planted",
    "PULUMI_K8S_ENABLE_PATCH_FORCE": "true",
    "PULUMI_STACK": "planted",
    "REGION": "mx-central-1",
    "STAGE": "production",
    "TZ": "Pacific/Chatham",
    "USER": "planted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LawViolation:
    """What changed beyond the literals replaced.

    ``subject`` is what was replaced, ``where`` a resource's URN or ``outputs``, ``path`` the dotted path in it;
    ``expected`` and ``found`` are JSON texts, empty where there is nothing.
    """

    subject: str
    where: str
    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        return (
            f"{self.subject}: {self.where} {self.path}: expected {self.expected or 'nothing'}, "
            f"found {self.found or 'nothing'}"
        )


Literals = list[tuple[str, str]]
"""What was put in, and what it stands for."""

Sections = dict[str, Any]


def violations(
    settings: StackSettings, *, stack: str, root: Path, subjects: Sequence[str] | None = None
) -> list[LawViolation]:
    """Every place where the program at ``root`` breaks the law for these settings.

    Varies each of ``subjects``, by default all of :data:`SUBJECTS` and :data:`TOGETHER`; one that the settings do not
    have is skipped. The rung stays: it is what rules speak of, no identity. Raises CheckFailed if the program fails.
    """
    with _environment({name: value for name, value in os.environ.items() if name not in _PLANTED}):
        recording = record(settings, stack=stack, root=root)
    expected = _comparable(recording, [])
    found: list[LawViolation] = []
    for subject, variation in _variations(settings, stack, recording):
        if subjects is None or subject in subjects:
            found += _differences(subject, expected, _varied(variation, root))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Variation:
    """What the program is given instead, and what its recording may therefore say instead."""

    sections: Sections
    stack: str
    preview: bool = False
    environment: Mapping[str, str] | None = None
    literals: Literals


def _variations(settings: StackSettings, stack: str, recording: Recording) -> Iterator[tuple[str, _Variation]]:
    sections: Sections = settings.model_dump(mode="json", by_alias=True)
    fresh = _Fresh(json.dumps([sections, as_json(recording)]))
    together, literals = sections, Literals()
    for subject, replace in _REPLACE.items():
        changed, own = replace(sections, fresh)
        if own:
            yield subject, _Variation(sections=changed, stack=stack, literals=own)
            together, more = replace(together, fresh)
            literals += more
    other = fresh.word(stack)
    yield _STACK, _Variation(sections=sections, stack=other, literals=[(other, stack)])
    yield _DRY_RUN, _Variation(sections=sections, stack=stack, preview=True, literals=[])
    yield _VARIABLES, _Variation(sections=sections, stack=stack, environment=_PLANTED, literals=[])
    yield (
        TOGETHER,
        _Variation(
            sections=together,
            stack=other,
            preview=True,
            environment=_PLANTED,
            literals=[*literals, (other, stack)],
        ),
    )


def _varied(variation: _Variation, root: Path) -> dict[str, Any]:
    settings = settings_from_mapping(variation.sections)
    with _environment(variation.environment):
        recording = record(settings, stack=variation.stack, root=root, preview=variation.preview)
    return _comparable(recording, variation.literals)


@contextmanager
def _environment(variables: Mapping[str, str] | None) -> Generator[None]:
    """Put the variables in place of the whole environment; None leaves it."""
    before = dict(os.environ)
    try:
        if variables is not None:
            os.environ.clear()
            os.environ.update(variables)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class _Fresh:
    """Values that a text does not hold, each another one; the same for the same text."""

    def __init__(self, text: str) -> None:
        self._seen = text
        self._random = random.Random(text)  # noqa: S311 (reproducible, not secret)

    def word(self, like: str) -> str:
        return self._new(lambda: "".join(self._random.choices("bcdfghjkmnpqrstvwxz", k=max(4, len(like)))))

    def account(self) -> str:
        return self._new(lambda: "".join(self._random.choices(string.digits, k=12)))

    def loopback(self) -> str:
        return self._new(lambda: f"http://127.0.0.1:{self._random.randrange(20000, 60000)}")

    def region(self, like: str, partition: str) -> str | None:
        """One of another part of the world if there is; None where the partition has no other region."""
        unseen = sorted(region for region in REGIONS[partition] if region not in self._seen)
        far = [region for region in unseen if region.split("-")[0] != like.split("-")[0]]
        return self._random.choice(far or unseen) if unseen else None

    def _new(self, make: Callable[[], str]) -> str:
        value = make()
        while value in self._seen:
            value = make()
        self._seen += f" {value}"
        return value


def _name(sections: Sections, fresh: _Fresh) -> tuple[Sections, Literals]:
    old = sections["environment"]["name"]
    new = fresh.word(old)
    accounts = {new if name == old else name: account for name, account in sections["accounts"].items()}
    return {**_with(sections, "environment", name=new), "accounts": accounts}, [(new, old)]


def _account(sections: Sections, fresh: _Fresh) -> tuple[Sections, Literals]:
    cloud = sections["cloud"]
    old, new = cloud["account"], fresh.account()

    def moved(arn: str | None) -> str | None:
        return arn.replace(f"::{old}:", f"::{new}:") if arn and arn_account(arn) == old else arn

    changed = _with(
        sections,
        "cloud",
        account=new,
        deployerRole=moved(cloud["deployerRole"]),
        keyAdministratorRole=moved(cloud["keyAdministratorRole"]),
        replicationRoles={name: moved(arn) for name, arn in cloud["replicationRoles"].items()},
    )
    accounts = {name: new if account == old else account for name, account in sections["accounts"].items()}
    return {**changed, "accounts": accounts}, [(new, old)]


def _region(sections: Sections, fresh: _Fresh) -> tuple[Sections, Literals]:
    cloud = sections["cloud"]
    new = fresh.region(cloud["region"], cloud["partition"])
    return (_with(sections, "cloud", region=new), [(new, cloud["region"])]) if new else (sections, [])


def _stand_in(sections: Sections, fresh: _Fresh) -> tuple[Sections, Literals]:
    old = sections["cloud"]["standIn"]
    new = fresh.loopback()
    return (_with(sections, "cloud", standIn=new), [(new, old)]) if old else (sections, [])


def _cluster(sections: Sections, fresh: _Fresh) -> tuple[Sections, Literals]:
    old = sections["cluster"]
    new = {
        "context": fresh.word(old["context"]),
        "identifier": fresh.word(old["identifier"]),
        "oidcIssuer": f"{fresh.word('issuer')}.example/id/{fresh.word('identity').upper()}",
    }
    return {**sections, "cluster": new}, [(new[key], old[key]) for key in new]


def _host(sections: Sections, fresh: _Fresh) -> tuple[Sections, Literals]:
    old = sections["previews"].get("host")
    new = f"{fresh.word('host')}.example"
    return (_with(sections, "previews", host=new), [(new, old)]) if old else (sections, [])


def _buckets(sections: Sections, fresh: _Fresh) -> tuple[Sections, Literals]:
    """The new names sort as the old ones do."""
    base = fresh.word("bucket")
    names = sorted(bucket["name"] for bucket in sections["buckets"].values())
    new = {name: f"{base}-{number:04}" for number, name in enumerate(names)}
    changed = {key: {**bucket, "name": new[bucket["name"]]} for key, bucket in sections["buckets"].items()}
    return {**sections, "buckets": changed}, [(value, name) for name, value in new.items()]


def _with(sections: Sections, section: str, **values: Any) -> Sections:
    return {**sections, section: {**sections[section], **values}}


_REPLACE: dict[str, Callable[[Sections, _Fresh], tuple[Sections, Literals]]] = {
    "name": _name,
    "account": _account,
    "region": _region,
    "stand-in": _stand_in,
    "cluster": _cluster,
    "host": _host,
    "buckets": _buckets,
}
_STACK, _DRY_RUN, _VARIABLES = "stack", "dry run", "environment variables"

SUBJECTS = (*_REPLACE, _STACK, _DRY_RUN, _VARIABLES)
"""What is varied alone."""


def _comparable(recording: Recording, literals: Literals) -> dict[str, Any]:
    """The recording by URN, with each literal back at what it stands for and policy documents as values."""

    def undone(text: str) -> str:
        for new, old in literals:
            text = text.replace(new, old)
        return text

    ids = [resource for resource in recording.resources if resource.id == unknowable(resource.urn)]
    text = json.dumps(as_json(recording))
    for resource in ids:
        text = text.replace(resource.id, unknowable(undone(resource.urn)))
    plain: dict[str, Any] = json.loads(undone(text))
    return {
        "outputs": plain["outputs"],
        "stack": plain["stack"],
        **{resource["urn"]: _opened(resource) for resource in plain["resources"]},
    }


def _opened(value: Any, *, inside: bool = False) -> Any:
    """JSON documents in strings as values; their lists of strings (actions, principals, resources) are sets."""
    if isinstance(value, dict):
        entries: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return {key: _opened(item, inside=inside) for key, item in entries.items()}
    if isinstance(value, list):
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
        if inside and all(isinstance(item, str) for item in items):
            return sorted(items)
        return [_opened(item, inside=inside) for item in items]
    if isinstance(value, str) and value.startswith("{"):
        try:
            return _opened(json.loads(value), inside=True)
        except ValueError:
            return value
    return value


def _differences(subject: str, expected: dict[str, Any], found: dict[str, Any]) -> list[LawViolation]:
    return [
        LawViolation(subject=subject, where=where, path=path, expected=before, found=after)
        for where in sorted({*expected, *found})
        for path, before, after in _walk("", expected.get(where, _ABSENT), found.get(where, _ABSENT))
    ]


_ABSENT = object()


def _walk(path: str, expected: Any, found: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            below = f"{path}.{key}" if path else str(key)  # pyright: ignore[reportUnknownArgumentType]
            yield from _walk(below, expected.get(key, _ABSENT), found.get(key, _ABSENT))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):  # pyright: ignore[reportUnknownArgumentType]
        for index, (before, after) in enumerate(zip(expected, found, strict=True)):  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            yield from _walk(f"{path}[{index}]", before, after)
    elif expected is _ABSENT or found is _ABSENT or expected != found:
        yield path, _text(expected), _text(found)


def _text(value: Any) -> str:
    return "" if value is _ABSENT else json.dumps(value, sort_keys=True)
