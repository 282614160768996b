"""Order over the rungs: what must not rise going down, what must not loosen going up, and what the rung below prod is.

By rung alone: a stack's name decides nothing, and a folder without a stack is previews', below every rung.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ladder.check.findings import Finding
from ladder.contract.data import DataClass
from ladder.contract.stack import Rung
from ladder.contract.violations import Violation
from ladder.parity.ladder import Environment, Ladder
from ladder.parity.proof import Part
from ladder.parity.rollouts import loosened
from ladder.parity.room import room
from ladder.parity.topology import topology
from ladder.recording import Recording
from ladder.tree import Service

__all__ = ["order"]

_APPLICATION_SET = "kubernetes:argoproj.io/v1alpha1:ApplicationSet"


def order(ladder: Ladder, recordings: Mapping[str, Recording]) -> Part:
    """Every rule of order that neighbours break, and every quota that is not the highest rung's times the factor."""
    findings: list[Finding] = []
    for lower, upper in ladder.pairs():
        for rule in _BETWEEN:
            findings += rule(ladder, lower, upper)
    findings += _branches(ladder)
    findings += _never_by_itself(ladder, recordings)
    findings += room(ladder)
    looked_at = {"pairs": len(list(ladder.pairs())), "services": len(list(ladder.overlays()))}
    return Part("order", looked_at, tuple(findings))


_Rule = Callable[[Ladder, Environment, Environment], Iterator[Finding]]


def _data(ladder: Ladder, lower: Environment, upper: Environment) -> Iterator[Finding]:
    """The class of data never rises going down."""
    below, above = lower.settings, upper.settings
    if below is None or above is None:
        return
    ranks = list(DataClass)
    if ranks.index(below.data.data_class) > ranks.index(above.data.data_class):
        violation = Violation(
            path=("data", "class"),
            message=f"is more sensitive than that of {upper.name}, the rung above",
            found=below.data.data_class,
            accepted=f"at most {above.data.data_class}",
        )
        yield ladder.in_stack("order/data", lower.name, violation)


def _sync(ladder: Ladder, lower: Environment, upper: Environment) -> Iterator[Finding]:
    """What acts by itself above does so below: a commit, or drift, meets the lower rung first."""
    below, above = lower.settings, upper.settings
    if below is None or above is None:
        return
    for field, attribute in (("automated", "automated"), ("selfHeal", "self_heal")):
        if getattr(above.delivery.sync, attribute) and not getattr(below.delivery.sync, attribute):
            violation = Violation(
                path=("delivery", "sync", field),
                message=f"is on, and off on {lower.name}, the rung below",
                found="true",
                accepted=f"false, or true in Pulumi.{lower.name}.yaml too",
            )
            yield ladder.in_stack("order/sync", upper.name, violation)


def _rollouts(ladder: Ladder, lower: Environment, upper: Environment) -> Iterator[Finding]:
    for below, above in _both(lower, upper):
        for violation in loosened(lower.name, below.overlay.rollout, above.overlay.rollout):
            yield ladder.in_overlay("order/rollout", above, violation)


def _features(ladder: Ladder, lower: Environment, upper: Environment) -> Iterator[Finding]:
    """A feature on above is on below."""
    for below, above in _both(lower, upper):
        for name, on in above.overlay.features.items():
            if on and not below.overlay.features.get(name, False):
                violation = Violation(
                    path=("features", name),
                    message=f"is on, and off in {lower.name}, the rung below",
                    found="true",
                    accepted=f"false, or true in {below.folder.as_posix()} too",
                )
                yield ladder.in_overlay("order/feature", above, violation)


def _both(lower: Environment, upper: Environment) -> Iterator[tuple[Service, Service]]:
    for name in sorted(lower.services.keys() & upper.services.keys()):
        yield lower.services[name], upper.services[name]


_BETWEEN: tuple[_Rule, ...] = (_data, _sync, _rollouts, _features, topology)


def _branches(ladder: Ladder) -> Iterator[Finding]:
    """One branch for all, whatever is excepted: directories tell environments apart, not branches."""
    stacks = ladder.stacks()
    first = next(iter(stacks), "")
    for stack, settings in stacks.items():
        wanted = stacks[first].delivery.branch
        if settings.delivery.branch != wanted:
            violation = Violation(
                path=("delivery", "branch"),
                message=f"is not the branch of {first}: one branch for all",
                found=settings.delivery.branch,
                accepted=wanted,
            )
            yield ladder.in_stack("order/branch", stack, violation)


def _never_by_itself(ladder: Ladder, recordings: Mapping[str, Recording]) -> Iterator[Finding]:
    """The contract refuses settings by which prod syncs by itself; here, no ApplicationSet that it declares does."""
    for stack, settings in ladder.stacks().items():
        if settings.environment.rung is not Rung.PROD:
            continue
        for resource in recordings[stack].of_type(_APPLICATION_SET):
            spec: Mapping[str, Any] = resource.inputs["spec"]
            for part in ("template", "templatePatch"):
                if "automated" in str(spec.get(part, "")):
                    yield Finding(
                        rule="order/prod-syncs",
                        where=resource.urn,
                        path=f"inputs.spec.{part}",
                        message="lets Argo CD sync by itself, on the rung that only a person syncs",
                        found="automated",
                        accepted="no automated in its syncPolicy",
                    )
