"""What a rule is: who breaks it, and how that becomes a finding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ladder.check.findings import Finding
from ladder.recording import Recording, Resource

__all__ = ["Breach", "LadderRule", "Rule", "StackRule"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A resource that breaks a rule; the fields are those of a :class:`Finding`, ``where`` being the URN."""

    resource: Resource
    message: str
    path: str = ""
    found: str = ""
    accepted: str = ""
    mend: str = ""

    def finding(self, rule: str) -> Finding:
        return Finding(
            rule=rule,
            where=self.resource.urn,
            path=self.path,
            message=self.message,
            found=self.found,
            accepted=self.accepted,
            mend=self.mend,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRule:
    """A rule over one stack's recording.

    ``protects`` is what it protects from, as the end of "it protects from …". ``alone`` says that each resource is
    judged by itself: then a recording breaks it where any resource of it, recorded alone, would.
    """

    id: str
    title: str
    protects: str
    breaches: Callable[[Recording], Iterator[Breach]]
    alone: bool = False

    def findings(self, recording: Recording) -> Iterator[Finding]:
        return (breach.finding(self.id) for breach in self.breaches(recording))


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderRule:
    """A rule over the recordings of all stacks together; a breach comes with the stack whose resource it is."""

    id: str
    title: str
    protects: str
    breaches: Callable[[Mapping[str, Recording]], Iterator[tuple[str, Breach]]]

    def findings(self, recordings: Mapping[str, Recording]) -> Iterator[tuple[str, Finding]]:
        return ((stack, breach.finding(self.id)) for stack, breach in self.breaches(recordings))


Rule = StackRule | LadderRule
