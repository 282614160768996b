"""Rules over what outlives a mistake where data is real."""

from __future__ import annotations

from collections.abc import Iterator

from ladder.recording import Recording
from ladder.rules.reading import BINDING, LIMITS, NAMESPACE, NETWORK_POLICY, POLICY, QUOTA, holds_real_data
from ladder.rules.rule import Breach

__all__ = ["protected", "retained"]

_GUARDS = frozenset({NAMESPACE, QUOTA, LIMITS, NETWORK_POLICY, POLICY, BINDING})
_HOLDERS = ("aws:s3/", "aws:kms/")


def protected(recording: Recording) -> Iterator[Breach]:
    """Where data is real, neither what holds it nor what guards it is deleted by a destroy or a changed name."""
    for breach in _unkept(recording, "protect"):
        if not breach.resource.protect:
            yield breach


def retained(recording: Recording) -> Iterator[Breach]:
    """Where data is real, what holds and guards it stays where the program no longer declares it."""
    for breach in _unkept(recording, "retain_on_delete"):
        if not breach.resource.retain_on_delete:
            yield breach


def _unkept(recording: Recording, option: str) -> Iterator[Breach]:
    """A breach for everything that must be kept, to be told of what is not."""
    for resource in recording.resources if holds_real_data(recording) else ():
        if resource.type.startswith(_HOLDERS) or resource.type in _GUARDS:
            what = "guards" if resource.type in _GUARDS else "holds"
            yield Breach(
                resource=resource,
                path=option,
                message=f"{what} real data and is not {'protected' if option == 'protect' else 'retained'}",
                found="false",
                accepted="true",
            )
