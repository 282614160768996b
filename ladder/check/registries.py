"""Registries: admission lets in images of exactly those that the settings name."""

from __future__ import annotations

from collections.abc import Iterator

from ladder.check.findings import Finding
from ladder.check.stacks import Stack
from ladder.contract.previews import Previews
from ladder.rules.admission import admitted_registries
from ladder.rules.requests import delivered

__all__ = ["registries"]


def registries(stack: Stack) -> Iterator[Finding]:
    """Every namespace that the stack delivers to and whose admission is of other registries than ``images`` has.

    Admission of no known registry is :mod:`ladder.rules.admission`'s to tell.
    """
    named = set(stack.settings.images.registries.values())
    previews = stack.settings.previews
    for to in delivered(stack.recording):
        # Only what pull requests become runs what they built.
        built = {previews.images} if to.sibling and isinstance(previews, Previews) else set[str]()
        wanted = sorted(named | built)
        admitted = sorted(registry.rstrip("/") for registry in admitted_registries(to))
        says = "images.registries, and previews.images," if built else "images.registries"
        if admitted and admitted != wanted:
            yield Finding(
                rule="planes/registry",
                where=to.project.urn,
                path=to.path,
                message="is where admission lets in images of other registries than the settings name",
                found=", ".join(admitted),
                accepted=f"{', '.join(wanted)}, as {says} in {stack.file} says",
                mend="the component that writes the admission policy is wrong",
            )
