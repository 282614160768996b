"""The substitution law, for every stack and every overlay: nothing that is declared knows where it is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from ladder.check.findings import Finding
from ladder.parity.ladder import Ladder
from ladder.parity.overlay_law import overlay_violations
from ladder.parity.proof import Part
from ladder.parity.recordings import Recorder
from ladder.parity.rendering import Renderer
from ladder.recording import Recording
from ladder.substitution import TOGETHER, LawViolation, comparable, judged, variations

__all__ = ["law"]


def law(
    ladder: Ladder,
    recordings: Mapping[str, Recording],
    recorder: Recorder,
    renderer: Renderer | None,
    *,
    subjects: Collection[str] | None = None,
) -> Part:
    """Everything that changes with a replaced literal and is not the literal; ``recordings`` are the stacks' own.

    Without a ``renderer`` the overlays are left out. Of the stacks ``subjects`` are varied, by default all there are.
    """
    waiting = [
        (stack, subject, variation)
        for stack, settings in ladder.stacks().items()
        for subject, variation in variations(settings, stack, recordings[stack])
        if subjects is None or subject in subjects
    ]
    expected = {stack: comparable(recording) for stack, recording in recordings.items()}
    made = recorder.record_sound(variation for _, _, variation in waiting)
    found: list[LawViolation] = []
    for (stack, subject, variation), recording in zip(waiting, made, strict=True):
        found += judged(subject, expected[stack], comparable(recording, variation.literals))
    looked_at = {"variations of stacks": len(waiting)}
    findings = list(_of_stacks(found))
    if renderer is not None:
        varied, of_overlays = overlay_violations(ladder, renderer)
        looked_at["variations of overlays"] = varied
        findings += of_overlays
    return Part("law", looked_at, tuple(findings))


def _of_stacks(violations: list[LawViolation]) -> Iterator[Finding]:
    """What one literal brings about is not told of all together again."""
    alone = {(each.where, each.path) for each in violations if each.subject != TOGETHER}
    for each in violations:
        if each.subject == TOGETHER and (each.where, each.path) in alone:
            continue
        yield Finding(
            rule="law/stack",
            where=each.where,
            path=each.path,
            message=f"changes with the {_SUBJECTS.get(each.subject, each.subject)}, beyond what was put in its place",
            found=each.found or "nothing",
            accepted=each.expected or "nothing",
            mend="let a setting decide it, with its reason in the contract: code may not know where it runs",
        )


_SUBJECTS = {
    "name": "environment's name",
    "stack": "stack's name",
    "dry run": "dry-run flag",
    "roles": "names of roles",
    "secrets": "prefix of secrets",
    TOGETHER: "literals all together",
}
