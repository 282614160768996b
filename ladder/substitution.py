"""The substitution law: the program knows an environment only by the values it is given.

Put values never seen before in place of an environment's name, owner, account, roles, region, cluster, hosts, buckets
and secrets: the recording may change by those literals alone. A program that breaks the law decides something by where
it is — through such a value, the stack's name, an environment variable or the dry-run flag.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ladder.contract import StackSettings, settings_from_mapping
from ladder.contract.types import arn_account
from ladder.differences import ABSENT, differences, opened
from ladder.literals import Fresh, Literals, undone
from ladder.placeholders import unknowable
from ladder.recording import Recording
from ladder.recording_formats import as_json

__all__ = [
    "SUBJECTS",
    "TOGETHER",
    "LawViolation",
    "Variation",
    "baseline",
    "comparable",
    "judged",
    "variations",
    "varied",
    "violations",
]

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


Sections = dict[str, Any]


def violations(
    settings: StackSettings, *, stack: str, root: Path, subjects: Sequence[str] | None = None
) -> list[LawViolation]:
    """Every place where the program at ``root`` breaks the law for these settings.

    Varies each of ``subjects``, by default all of :data:`SUBJECTS` and :data:`TOGETHER`; one that the settings do not
    have is skipped. The rung stays: it is what rules speak of, no identity. Raises CheckFailed if the program fails.
    """
    recording = baseline(settings, stack, root)
    expected = comparable(recording)
    found: list[LawViolation] = []
    for subject, variation in variations(settings, stack, recording):
        if subjects is None or subject in subjects:
            found += judged(subject, expected, comparable(varied(variation, root), variation.literals))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """What the program is given, and what its recording may therefore say instead of what it said before.

    ``environment`` is the whole environment; None is this process's, without what is planted.
    """

    sections: Sections
    stack: str
    preview: bool = False
    environment: Mapping[str, str] | None = None
    literals: Literals = field(default_factory=Literals)


def baseline(settings: StackSettings, stack: str, root: Path) -> Recording:
    """What the variations of a stack are held against. Raises CheckFailed if the program fails."""
    return varied(Variation(sections=settings.model_dump(mode="json", by_alias=True), stack=stack), root)


def variations(settings: StackSettings, stack: str, recording: Recording) -> Iterator[tuple[str, Variation]]:
    """Every subject the settings have, and the variation of it; ``recording`` is their baseline."""
    sections: Sections = settings.model_dump(mode="json", by_alias=True)
    fresh = Fresh(json.dumps([sections, as_json(recording)]))
    together, literals = sections, Literals()
    for subject, replace in _REPLACE.items():
        changed, own = replace(sections, fresh)
        if own:
            yield subject, Variation(sections=changed, stack=stack, literals=own)
            together, more = replace(together, fresh)
            literals += more
    other = fresh.word(stack)
    yield _STACK, Variation(sections=sections, stack=other, literals=[(other, stack)])
    yield _DRY_RUN, Variation(sections=sections, stack=stack, preview=True)
    yield _VARIABLES, Variation(sections=sections, stack=stack, environment=_PLANTED)
    yield (
        TOGETHER,
        Variation(
            sections=together,
            stack=other,
            preview=True,
            environment=_PLANTED,
            literals=[*literals, (other, stack)],
        ),
    )


def varied(variation: Variation, root: Path) -> Recording:
    """The recording of a variation. Raises CheckFailed if the program fails, InputError for settings that are bad."""
    from ladder.recorder import record

    settings = settings_from_mapping(variation.sections)
    with _environment(variation.environment):
        return record(settings, stack=variation.stack, root=root, preview=variation.preview)


@contextmanager
def _environment(variables: Mapping[str, str] | None) -> Generator[None]:
    """Put the variables in place of the whole environment; None takes away what is planted."""
    before = dict(os.environ)
    try:
        if variables is None:
            variables = {name: value for name, value in before.items() if name not in _PLANTED}
        os.environ.clear()
        os.environ.update(variables)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _name(sections: Sections, fresh: Fresh) -> tuple[Sections, Literals]:
    old = sections["environment"]["name"]
    new = fresh.word(old)
    accounts = {new if name == old else name: account for name, account in sections["accounts"].items()}
    return {**_with(sections, "environment", name=new), "accounts": accounts}, [(new, old)]


def _account(sections: Sections, fresh: Fresh) -> tuple[Sections, Literals]:
    cloud = sections["cloud"]
    old, new = cloud["account"], fresh.account(cloud["account"])

    def moved(arn: str | None) -> str | None:
        return arn.replace(f"::{old}:", f"::{new}:") if arn and arn_account(arn) == old else arn

    changed = _with(
        sections,
        "cloud",
        account=new,
        deployerRole=moved(cloud["deployerRole"]),
        keyAdministratorRole=moved(cloud["keyAdministratorRole"]),
        replicationRoles={name: moved(arn) for name, arn in cloud["replicationRoles"].items()},
        anchorRole=moved(cloud["anchorRole"]),
    )
    accounts = {name: new if account == old else account for name, account in sections["accounts"].items()}
    return {**changed, "accounts": accounts}, [(new, old)]


def _region(sections: Sections, fresh: Fresh) -> tuple[Sections, Literals]:
    cloud = sections["cloud"]
    new = fresh.region(cloud["region"], cloud["partition"])
    return (_with(sections, "cloud", region=new), [(new, cloud["region"])]) if new else (sections, [])


def _stand_in(sections: Sections, fresh: Fresh) -> tuple[Sections, Literals]:
    old = sections["cloud"]["standIn"]
    new = fresh.loopback()
    return (_with(sections, "cloud", standIn=new), [(new, old)]) if old else (sections, [])


def _cluster(sections: Sections, fresh: Fresh) -> tuple[Sections, Literals]:
    old = sections["cluster"]
    new = {
        "context": fresh.word(old["context"]),
        "identifier": fresh.word(old["identifier"]),
        "oidcIssuer": f"{fresh.word('issuer')}.example/id/{fresh.word('identity').upper()}",
    }
    return {**sections, "cluster": new}, [(new[key], old[key]) for key in new]


def _host(sections: Sections, fresh: Fresh) -> tuple[Sections, Literals]:
    """The domain of the environment's hosts, and that of its previews where it has any."""
    literals: Literals = []
    for section, key in (("hosts", "domain"), ("previews", "host")):
        if old := sections[section].get(key):
            new = f"{fresh.word('host')}.example"
            sections, literals = _with(sections, section, **{key: new}), [*literals, (new, old)]
    return sections, literals


def _buckets(sections: Sections, fresh: Fresh) -> tuple[Sections, Literals]:
    """The new names sort as the old ones do."""
    base = fresh.word("bucket")
    names = sorted(bucket["name"] for bucket in sections["buckets"].values())
    new = {name: f"{base}-{number:04}" for number, name in enumerate(names)}
    changed = {key: {**bucket, "name": new[bucket["name"]]} for key, bucket in sections["buckets"].items()}
    return {**sections, "buckets": changed}, [(value, name) for name, value in new.items()]


def _owner(sections: Sections, fresh: Fresh) -> tuple[Sections, Literals]:
    old = sections["environment"]["owner"]
    new = fresh.word(old)
    return _with(sections, "environment", owner=new), [(new, old)]


def _roles(sections: Sections, fresh: Fresh) -> tuple[Sections, Literals]:
    """The names of the roles that the settings name; their accounts stay."""
    cloud = sections["cloud"]
    own = [cloud["deployerRole"], cloud["keyAdministratorRole"], cloud["anchorRole"]]
    arns = [*own, *cloud["replicationRoles"].values()]
    names = {old: fresh.word(old) for old in sorted({_role(arn) for arn in arns if arn})}

    def moved(arn: str | None) -> str | None:
        return f"{arn.removesuffix(_role(arn))}{names[_role(arn)]}" if arn else None

    changed = _with(
        sections,
        "cloud",
        deployerRole=moved(cloud["deployerRole"]),
        keyAdministratorRole=moved(cloud["keyAdministratorRole"]),
        replicationRoles={key: moved(arn) for key, arn in cloud["replicationRoles"].items()},
        anchorRole=moved(cloud["anchorRole"]),
    )
    return changed, [(new, old) for old, new in names.items()]


def _role(arn: str) -> str:
    return arn.partition(":role/")[2]


def _secrets(sections: Sections, fresh: Fresh) -> tuple[Sections, Literals]:
    old = sections["secrets"]["prefix"]
    new = fresh.word(old)
    return _with(sections, "secrets", prefix=new), [(new, old)]


def _with(sections: Sections, section: str, **values: Any) -> Sections:
    return {**sections, section: {**sections[section], **values}}


_REPLACE: dict[str, Callable[[Sections, Fresh], tuple[Sections, Literals]]] = {
    "name": _name,
    "account": _account,
    "region": _region,
    "stand-in": _stand_in,
    "cluster": _cluster,
    "host": _host,
    "buckets": _buckets,
    "owner": _owner,
    "roles": _roles,
    "secrets": _secrets,
}
_STACK, _DRY_RUN, _VARIABLES = "stack", "dry run", "environment variables"

SUBJECTS = (*_REPLACE, _STACK, _DRY_RUN, _VARIABLES)
"""What is varied alone."""


def comparable(recording: Recording, literals: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """The recording by URN, with each literal back at what it stands for and policy documents as values."""
    ids = [resource for resource in recording.resources if resource.id == unknowable(resource.urn)]
    text = json.dumps(as_json(recording))
    for resource in ids:
        text = text.replace(resource.id, unknowable(undone(resource.urn, literals)))
    plain: dict[str, Any] = json.loads(undone(text, literals))
    return {
        "outputs": plain["outputs"],
        "stack": plain["stack"],
        **{resource["urn"]: opened(resource) for resource in plain["resources"]},
    }


def judged(subject: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[LawViolation]:
    """Where what was found of a subject's variation is not what was expected; both are :func:`comparable`."""
    return [
        LawViolation(subject=subject, where=where, path=path, expected=_text(before), found=_text(after))
        for where in sorted({*expected, *found})
        for path, before, after in differences(expected.get(where, ABSENT), found.get(where, ABSENT))
    ]


def _text(value: Any) -> str:
    return "" if value is ABSENT else json.dumps(value, sort_keys=True)
