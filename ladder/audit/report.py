"""What an auditor is told: one frozen report, which the page, the Markdown and the JSON each show whole."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from ladder.check.findings import Finding

__all__ = [
    "EQUAL",
    "Bucket",
    "Claim",
    "Control",
    "Declared",
    "Digests",
    "Environment",
    "Evidence",
    "Exemption",
    "Found",
    "Held",
    "KeyRight",
    "PartResult",
    "Report",
    "Right",
    "RuleResult",
    "Setting",
]

EQUAL = "equal"
"""How a setting stands that is the same in every environment that has it, and that all of them have."""


class _Told(BaseModel):
    """JSON has the names in camel case."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True)


class Digests(_Told):
    """What ``version.yaml`` pins."""

    image: str
    chart: str


class Environment(_Told):
    """A stack and its folder of the tree, or previews' folder, which has no stack: then only ``services`` are told."""

    name: str
    rung: str = ""
    owner: str = ""
    account: str = ""
    region: str = ""
    cluster: str = ""
    domain: str = ""
    data_class: str = ""
    tier: str = ""
    delivery: str = ""
    services: Mapping[str, Digests]


class Setting(_Told):
    """One path of the stacks' settings, or of a service's overlays, side by side.

    ``values`` are JSON texts by environment; one that has nothing there is missing. ``standing`` is EQUAL, the
    contract's category, ``exception`` or ``unexplained``.
    """

    service: str | None
    path: str
    values: Mapping[str, str]
    standing: str


class Held(_Told):
    """How a stack declares a resource; ``data_class`` is its tag, empty where it has none."""

    protected: bool
    retained: bool
    data_class: str


class Declared(_Told):
    """A resource, and the stacks that declare it; ``where`` is its URN without stack and project."""

    where: str
    type: str
    name: str
    stacks: Mapping[str, Held]


class Found(_Told):
    """A finding, with the fields of :class:`ladder.check.findings.Finding`."""

    rule: str
    where: str
    message: str
    path: str
    found: str
    accepted: str
    mend: str

    @staticmethod
    def of(finding: Finding) -> Found:
        return Found(**finding.as_json())


class RuleResult(_Told):
    """A rule, and what each stack breaks of it."""

    id: str
    title: str
    protects: str
    stacks: Mapping[str, tuple[Found, ...]]

    @property
    def holds(self) -> bool:
        return not any(self.stacks.values())


class PartResult(_Told):
    """A part of the proof of parity."""

    name: str
    proven: bool
    looked_at: Mapping[str, int]
    findings: tuple[Found, ...]


class Bucket(_Told):
    """A declared bucket. ``encrypted_with`` names the key's resource, ``lock`` the mode and days of Object Lock."""

    stack: str
    bucket: str
    data_class: str
    encrypted_with: str
    lock: str


class Right(StrEnum):
    """What a key policy lets a principal do."""

    ADMINISTER = "administer"
    USE = "use"
    GRANT = "grant"


class KeyRight(_Told):
    """One right that a declared key policy gives; ``only`` are the statement's conditions, all of which must hold."""

    stack: str
    key: str
    data_class: str
    right: Right
    principal: str
    only: tuple[str, ...]


class Exemption(_Told):
    """An exception to equality; ``days_left`` is 0 on its last day and negative after it."""

    name: str
    environment: str
    service: str | None
    path: str
    owner: str
    reason: str
    expires: str
    days_left: int


class Evidence(_Told):
    """What a control points to: a rule or a part of the proof, which hold or do not, or a file, which only is there."""

    kind: str
    name: str
    holds: bool


class Control(_Told):
    """A control of a framework: what this project does for it, the evidence, and what is beyond it."""

    id: str
    framework: str
    title: str
    says: str
    evidence: tuple[Evidence, ...]
    beyond: str

    @property
    def holds(self) -> bool:
        return all(each.holds for each in self.evidence)


class Claim(_Told):
    """A sentence of the report and the command that checks it again; ``holds`` is None where only that can tell."""

    id: str
    says: str
    holds: bool | None
    command: str


class Report(_Told):
    """The whole. ``commit`` has all its digits; ``edited`` counts files of the work tree that are not in it.

    ``checks`` are what else does not hold: procedures that are over, and registries that no setting names.
    """

    project: str
    commit: str
    edited: int
    as_of: str
    rendered: bool
    environments: tuple[Environment, ...]
    settings: tuple[Setting, ...]
    resources: tuple[Declared, ...]
    rules: tuple[RuleResult, ...]
    parts: tuple[PartResult, ...]
    checks: tuple[Found, ...]
    categories: Mapping[str, int]
    buckets: tuple[Bucket, ...]
    key_rights: tuple[KeyRight, ...]
    exceptions: tuple[Exemption, ...]
    controls: tuple[Control, ...]
    claims: tuple[Claim, ...]

    @property
    def holds(self) -> bool:
        return not any(True for _ in self.findings())

    def findings(self) -> tuple[Found, ...]:
        """Whatever the proof, the rules and the checks found."""
        of_parts = [finding for part in self.parts for finding in part.findings]
        of_rules = [finding for rule in self.rules for found in rule.stacks.values() for finding in found]
        return (*of_parts, *of_rules, *self.checks)

    def stacks(self) -> tuple[Environment, ...]:
        """The environments that have a stack."""
        return tuple(each for each in self.environments if each.rung)

    def as_json(self) -> dict[str, Any]:
        return {"holds": self.holds, **self.model_dump(mode="json", by_alias=True)}
