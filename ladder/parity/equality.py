"""The contract: every path of every stack and overlay is equal, may vary for a reason, or has a live exception."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date

from ladder.check.findings import Finding
from ladder.contract.across import differing, equal_everywhere
from ladder.contract.base import Settings
from ladder.contract.exceptions import EXCEPTIONS, ExceptionSettings, Place, live
from ladder.contract.tree_rules import across_environments
from ladder.contract.violations import Path, Violation
from ladder.parity.ladder import Ladder
from ladder.parity.proof import Part

__all__ = ["equality"]


def equality(ladder: Ladder, today: date) -> Part:
    """What differs without a reason, and exceptions that have expired or except nothing."""
    findings = [*_unexplained(ladder, today), *_exceptions(ladder, today)]
    looked_at = {
        "stacks": len(ladder.stacks()),
        "overlays": sum(1 for _ in ladder.overlays()),
        "exceptions": len(ladder.exceptions.exceptions),
    }
    return Part("contract", looked_at, tuple(findings))


def _unexplained(ladder: Ladder, today: date) -> Iterator[Finding]:
    excepted = live(ladder.exceptions, today)
    for stack, violation in equal_everywhere(ladder.stacks(), excepted):
        yield ladder.in_stack("contract/unexplained", stack, violation, _mend(violation, stack, None))
    services = {each.name: each.services for each in ladder.chosen}
    overlays = {each.name: {name: one.overlay for name, one in each.services.items()} for each in ladder.chosen}
    for environment, name, violation in across_environments(overlays, excepted):
        service = services[environment][name]
        yield ladder.in_overlay("contract/unexplained", service, violation, _mend(violation, environment, name))


def _mend(violation: Violation, environment: str, service: str | None) -> str:
    """Three ways, the usual one first."""
    path = ".".join(map(str, violation.path))
    where = f"environment {environment}, service {service or 'null'}, path {path}"
    return f"make it equal; or say in the contract why it varies; or except it in {EXCEPTIONS}: {where}"


def _exceptions(ladder: Ladder, today: date) -> Iterator[Finding]:
    excepted = live(ladder.exceptions, today)
    for name, exception in ladder.exceptions.exceptions.items():
        if not exception.is_live(today):
            violation = Violation(
                path=("exceptions", name, "expires"),
                message=f"has passed, and {exception.owner} has not ended the exception",
                found=exception.expires,
                accepted=f"a day from {today.isoformat()} on, or no exception",
            )
            yield ladder.in_exceptions("contract/expired", violation, _end(exception))
        elif _unequal(ladder, exception.service, excepted) == _unequal(
            ladder, exception.service, excepted - {exception.place}
        ):
            violation = Violation(
                path=("exceptions", name, "path"),
                message="excepts nothing: what it names does not differ, may differ anyway, or is not there",
                found=_named(exception),
                accepted="a path that a finding contract/unexplained names",
            )
            yield ladder.in_exceptions("contract/unused", violation, "take the exception away")


def _unequal(ladder: Ladder, service: str | None, excepted: Collection[Place]) -> set[tuple[str, Path]]:
    """Where what the whole ladder has of the stacks, or of the service, differs for no reason."""
    every: dict[str, Settings] = {}
    for each in ladder.environments:
        if service is None and each.settings is not None:
            every[each.name] = each.settings
        elif service is not None and service in each.services:
            every[each.name] = each.services[service].overlay
    return {(each.environment, each.path) for each in differing(every, excepted, service=service)}


def _named(exception: ExceptionSettings) -> str:
    service = f"/{exception.service}" if exception.service else ""
    return f"{exception.environment}{service}: {exception.path}"


def _end(exception: ExceptionSettings) -> str:
    return f"make {_named(exception)} equal and take the exception away, or have it reviewed and its day moved"
