"""Joined planes, as a part of the proof: what delivery asks, infrastructure grants, and of no other environment."""

from __future__ import annotations

from collections.abc import Mapping

from ladder.check.capacity import capacity
from ladder.check.findings import ordered
from ladder.check.granted import granted
from ladder.check.planes import names
from ladder.check.stacks import Stack, environments, unmatched
from ladder.parity.ladder import Ladder
from ladder.parity.proof import Part
from ladder.recording import Recording

__all__ = ["planes"]


def planes(ladder: Ladder, recordings: Mapping[str, Recording]) -> Part:
    """Everything that the chosen environments' overlays name or ask for and their stacks do not give them.

    ``recordings`` are those of every stack, chosen or not: what is named may be another's.
    """
    stacks = {
        name: Stack(ladder.root, name, settings, recordings[name], granted(recordings[name]))
        for name, settings in ladder.settings.items()
    }
    chosen = {each.name for each in ladder.chosen}
    every = [each for each in environments(ladder.tree, stacks) if each.name in chosen]
    findings = list(unmatched(ladder.tree, stacks))
    for environment in every:
        findings += names(ladder.tree, environment, stacks)
        findings += capacity(ladder.tree, environment)
    looked_at = {"environments": len(every), "overlays": sum(len(each.services) for each in every)}
    return Part("planes", looked_at, tuple(ordered(findings)))
