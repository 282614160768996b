"""From two ends to a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ladder.changes.commits import checked_out, commits
from ladder.changes.loosening import loosened
from ladder.changes.losses import losses
from ladder.changes.order import Part, below, neutral, out_of_order
from ladder.changes.overlays import tree_changes
from ladder.changes.report import Caution, Change, Commits, Danger, Fate, Report, StackChanges, Standing
from ladder.changes.resources import Pair, change, is_placeholder, logical, paired, properties
from ladder.changes.sides import Side, both_sides
from ladder.contract import StackSettings, stack_names
from ladder.contract.load import stack_settings
from ladder.contract.stack import Rung
from ladder.errors import CheckFailed, InputError
from ladder.recording import Recording

__all__ = ["changes", "compared"]

Stacks = Mapping[str, StackSettings]


def changes(root: Path, ref: str) -> Report:
    """What differs between the commit REF names and the work tree, in every stack and in the GitOps tree.

    Raises InputError where there is no repository or no such commit; what cannot be recorded is part of the report.
    """
    found = commits(root, ref)
    try:
        with checked_out(root, found.base) as base:
            before, after = both_sides(base, root)
    except CheckFailed as error:
        before, after = both_sides(str(error), root)
    return compared(found, before, after, _settings(root))


def _settings(root: Path) -> dict[str, StackSettings]:
    """The settings that can be read: they say what rung a stack is on."""
    settings: dict[str, StackSettings] = {}
    for stack in stack_names(root):
        try:
            settings[stack] = stack_settings(root, stack)
        except InputError:
            continue
    return settings


def compared(found: Commits, before: Side, after: Side, settings: Stacks) -> Report:
    """The report of two ends. ``settings`` are those of the work tree, by stack."""
    names = sorted({*before.stacks, *after.stacks, *settings}, key=lambda name: (_rank(settings, name), name))
    pairs = {name: _pairs(before, after, name) for name in names}
    reached = _out_of_order({name: own for name, own in pairs.items() if own and name in settings}, settings)
    environment = {name: own.environment.name for name, own in settings.items()}
    return Report(
        commits=found,
        stacks=tuple(_stack(name, before, after, settings, pairs[name], reached.get(name, ())) for name in names),
        tree=tree_changes(
            before.tree,
            after.tree,
            neutral={environment[name]: neutral(own, {}) for name, own in settings.items()},
            lower={environment[name]: environment[under] for name, under in below(settings).items()},
        ),
    )


def _rank(settings: Stacks, stack: str) -> int:
    return list(Rung).index(settings[stack].environment.rung) if stack in settings else len(Rung)


def _pairs(before: Side, after: Side, stack: str) -> tuple[Pair, ...] | None:
    """The stack's resources; None where an end is missing."""
    base, head = before.stacks.get(stack), after.stacks.get(stack)
    if base is None and not before.failure:
        base = Recording(project="", stack=stack, resources=())
    return paired(base, head) if isinstance(base, Recording) and isinstance(head, Recording) else None


def _stack(
    name: str,
    before: Side,
    after: Side,
    settings: Stacks,
    pairs: Sequence[Pair] | None,
    reached: Sequence[Caution],
) -> StackChanges:
    base, head = before.stacks.get(name, before.failure), after.stacks.get(name, after.failure)
    known = StackChanges(
        name=name,
        standing=Standing.COMPARED,
        rung=settings[name].environment.rung.value if name in settings else "",
        before=_count(base),
        after=_count(head),
    )
    reasons = [f"{side}: {end}" for side, end in (("base", base), ("work tree", head)) if isinstance(end, str) and end]
    if reasons:
        return replace(known, standing=Standing.NOT_COMPARABLE, reason="\n".join(reasons))
    if not isinstance(head, Recording) or pairs is None:
        return replace(known, standing=Standing.GONE, cautions=(_undeclared(name),))
    differing = [differs for pair in pairs if (differs := change(pair)) is not None]
    found = replace(known, changes=tuple(sorted(differing, key=_first_seen)))
    if not isinstance(base, Recording):
        return replace(found, standing=Standing.ANEW)
    return replace(
        found,
        outputs=properties(base.outputs, head.outputs),
        cautions=(*losses(name, pairs), *loosened(name, pairs), *reached),
    )


def _first_seen(found: Change) -> tuple[int, str, str]:
    return list(Fate).index(found.fate), found.type, found.name


def _count(end: Recording | str) -> int | None:
    return sum(resource.custom for resource in end.resources) if isinstance(end, Recording) else None


def _undeclared(stack: str) -> Caution:
    message = "is no longer declared: what it made stays where it is, and nothing looks after it"
    return Caution(danger=Danger.DATA, where=stack, subject=f"stack {stack}", message=message)


def _out_of_order(pairs: Mapping[str, Sequence[Pair]], settings: Stacks) -> dict[str, tuple[Caution, ...]]:
    """By stack, what reaches it before the rung below. A stack that could not be recorded is no rung."""
    parts = {name: _parts(settings[name], own) for name, own in pairs.items()}
    lower = below({name: settings[name] for name in pairs})
    return {name: tuple(out_of_order(name, parts[name], parts[under], under)) for name, under in lower.items()}


def _parts(settings: StackSettings, pairs: Sequence[Pair]) -> dict[str, Part]:
    """Each resource by what it is called in every stack; so are the ids that only a provider knows."""
    ids = {pair.resource.id: logical(pair.resource.urn) for pair in pairs if is_placeholder(pair.resource.id)}
    words = neutral(settings, ids)
    return {
        logical(pair.resource.urn): Part(
            *(None if end is None else words(dict(end.inputs)) for end in (pair.before, pair.after))
        )
        for pair in pairs
    }
