"""The environments of the project in their order: what every part of the proof looks at."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from ladder.check.findings import Finding, of_problem
from ladder.contract import StackSettings
from ladder.contract.exceptions import EXCEPTIONS, Exceptions
from ladder.contract.problems import FileKind, of_violation
from ladder.contract.stack import Rung
from ladder.contract.violations import Violation
from ladder.errors import InputError, Problem
from ladder.strict_yaml import examine
from ladder.tree import Service, Tree

__all__ = ["Environment", "Ladder", "ladder_of"]

PREVIEW_NAMESPACE = "pr-0"
"""Stands for the namespace of a preview."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A stack and the folder of its services, either of which may be missing.

    A folder that no stack has the name of is previews': ``settings`` is None.
    """

    name: str
    settings: StackSettings | None
    services: Mapping[str, Service]

    @property
    def rank(self) -> int:
        """Where it stands on the ladder; previews below all."""
        return list(Rung).index(self.settings.environment.rung) if self.settings else -1

    @property
    def namespace(self) -> str:
        """Where its services are delivered to."""
        return self.settings.namespace("services") if self.settings else PREVIEW_NAMESPACE


@dataclass(frozen=True, slots=True)
class Ladder:
    """Every environment, lowest first, and the exceptions; ``chosen`` are those the proof speaks of."""

    root: Path
    tree: Tree
    environments: tuple[Environment, ...]
    exceptions: Exceptions
    chosen: tuple[Environment, ...]

    @property
    def settings(self) -> dict[str, StackSettings]:
        """Of every stack, chosen or not."""
        return {each.name: each.settings for each in self.environments if each.settings is not None}

    def stacks(self) -> dict[str, StackSettings]:
        """The settings of the chosen stacks, lowest first."""
        return {each.name: each.settings for each in self.chosen if each.settings is not None}

    def overlays(self) -> Iterator[tuple[Environment, Service]]:
        """Every overlay of the chosen environments."""
        for environment in self.chosen:
            for service in environment.services.values():
                yield environment, service

    def pairs(self) -> Iterator[tuple[Environment, Environment]]:
        """Neighbours among the chosen, the lower first."""
        return pairwise(self.chosen)

    def between(self, one: str, other: str) -> Ladder:
        """Only two environments. Raises InputError for names that are none."""
        known = {each.name: each for each in self.environments}
        problems = [_unknown(name, known) for name in (one, other) if name not in known]
        if one == other and not problems:
            accepted = "two environments that are not the same"
            problems.append(Problem(file=one, message="is held against itself", found=other, accepted=accepted))
        if problems:
            raise InputError(problems)
        return replace(self, chosen=tuple(each for each in self.environments if each.name in {one, other}))

    def in_stack(self, rule: str, stack: str, violation: Violation, mend: str = "") -> Finding:
        """A rule that a stack's file breaks, with its line."""
        file = f"Pulumi.{stack}.yaml"
        return of_problem(rule, of_violation(violation, examine(self.root / file, name=file)), mend)

    def in_overlay(self, rule: str, service: Service, violation: Violation, mend: str = "") -> Finding:
        """A rule that an overlay breaks, with its line."""
        return of_problem(rule, self.tree.problem(service, violation), mend)

    def in_exceptions(self, rule: str, violation: Violation, mend: str = "") -> Finding:
        """A rule that the file of exceptions breaks, with its line."""
        document = examine(self.root / EXCEPTIONS, name=EXCEPTIONS)
        return of_problem(rule, of_violation(violation, document, (), FileKind(Exceptions)), mend)


def ladder_of(root: Path, settings: Mapping[str, StackSettings], tree: Tree, exceptions: Exceptions) -> Ladder:
    """The environments of the stacks and of the tree."""
    names = sorted({*settings, *tree.environments})
    every = [Environment(name, settings.get(name), tree.environments.get(name, {})) for name in names]
    ordered = tuple(sorted(every, key=lambda each: each.rank))
    return Ladder(root, tree, ordered, exceptions, ordered)


def _unknown(name: str, known: Mapping[str, Environment]) -> Problem:
    close = difflib.get_close_matches(name, known, n=1)
    return Problem(
        file=name,
        message="there is no such environment",
        found=name,
        accepted=", ".join(known),
        example=f"ladder parity {close[0]} …" if close else "",
    )
