"""What a proof of parity is: five parts, what each looked at and found, and every difference with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ladder.check.findings import Finding

__all__ = ["UNEXPLAINED", "Difference", "Part", "Proof"]

UNEXPLAINED = "unexplained"
"""The category of a difference that nothing in the contract, and no exception, gives a reason for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A property of what is declared that a step from one environment to the next changed.

    ``service`` is None for the stacks; ``where`` a URN without the stack's name, ``outputs``, or an object's kind
    and name; ``fields`` are what the step moved, more than one where they are valid only together. ``before``
    and ``after`` are JSON texts, empty where there is nothing.
    """

    lower: str
    upper: str
    service: str | None
    where: str
    path: str
    before: str
    after: str
    fields: tuple[str, ...]
    category: str


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the proof. ``looked_at`` counts what was, by its name in the plural."""

    name: str
    looked_at: Mapping[str, int]
    findings: tuple[Finding, ...]

    @property
    def proven(self) -> bool:
        return not self.findings


@dataclass(frozen=True, slots=True)
class Proof:
    """The whole: ``environments`` lowest first; ``rendered`` is false where charts were left out."""

    environments: tuple[str, ...]
    rendered: bool
    parts: tuple[Part, ...]
    differences: tuple[Difference, ...] = field(default=(), repr=False)

    @property
    def proven(self) -> bool:
        return all(part.proven for part in self.parts)

    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for part in self.parts for finding in part.findings)

    def categories(self) -> dict[str, int]:
        """How many differences each category explains, most first."""
        counted = Counter(difference.category for difference in self.differences)
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    def as_json(self) -> dict[str, Any]:
        return {
            "proven": self.proven,
            "environments": list(self.environments),
            "rendered": self.rendered,
            "parts": [
                {
                    "name": part.name,
                    "proven": part.proven,
                    "lookedAt": dict(part.looked_at),
                    "findings": [finding.as_json() for finding in part.findings],
                }
                for part in self.parts
            ],
            "categories": self.categories(),
            "differences": [{**asdict(each), "fields": list(each.fields)} for each in self.differences],
        }
