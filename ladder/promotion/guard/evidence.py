"""Evidence is only added to, and only by what follows from the statements before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ladder.promotion import Broken
from ladder.promotion.chain import LARGEST, Chain, Entry, read_chains
from ladder.promotion.guard.findings import Case, Finding
from ladder.promotion.history import History, Rung
from ladder.promotion.kept import LARGEST_KEPT, REPORTS
from ladder.promotion.statements import Request

__all__ = ["Appended", "appended", "rewritten"]

_AGAIN = "let the verb state it again, on the delivered branch as it is now"
_REPORT = re.compile(r"[0-9a-f]{64}\.json")


@dataclass(frozen=True)
class Appended:
    """The statements that a pull request adds, and what the chains say without them and with them."""

    entries: Sequence[Entry]
    before: History
    after: History

    @property
    def requests(self) -> Sequence[tuple[Entry, Request]]:
        return [(entry, entry.link) for entry in self.entries if isinstance(entry.link, Request)]


def rewritten(case: Case) -> Iterator[Finding]:
    """What is not added to the evidence but altered in it, and what is no evidence."""
    folder = case.ground.promotion.evidence.folder
    for path in case.below(folder):
        place, _, name = path.removeprefix(f"{folder}/").partition("/")
        if not case.delta.added(path):
            message = "is removed" if case.delta.removed(path) else "is altered"
            yield Finding(path, f"is evidence, and {message}", "leave it as it is: evidence is only added to")
        elif place == REPORTS and _REPORT.fullmatch(name):
            if case.delta.after[path].size > LARGEST_KEPT:
                yield Finding(path, f"is larger than {LARGEST_KEPT} bytes", _AGAIN)
        elif place not in case.ground.stacks or "/" in name or not name:
            yield Finding(
                path, "is no statement of an environment", f"{folder}/<environment>/<sequence>-<kind>.sigstore.json"
            )
        elif case.delta.after[path].size > LARGEST:
            yield Finding(path, f"is larger than {LARGEST} bytes", _AGAIN)


def appended(case: Case) -> Appended | Finding:
    """The chains with what is added, every statement verified; a finding where they would be broken.

    The added files are written into the ground's own copy. Raises Broken where the base's own are broken.
    """
    ground, evidence = case.ground, case.ground.promotion.evidence
    added = [path for path in case.below(evidence.folder) if case.delta.added(path)]
    folder = ground.project / evidence.folder
    for path, content in case.delta.contents(added, after=True).items():
        file = ground.project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    try:
        chains = read_chains(folder, ground.ladder, evidence.signers, ground.verify)
        after = History.of([*chains.values()])
    except Broken as error:
        file, _, why = str(error).partition(": ")
        path = f"{evidence.folder}/{file}"
        if path in added:
            return Finding(path, why, _AGAIN)
        for each in added:
            (ground.project / each).unlink()
        History.of([*read_chains(folder, ground.ladder, evidence.signers, ground.verify).values()])
        return Finding(next(iter(added), path), f"makes {path} stand where it cannot: {why}", _AGAIN)
    new = [entry for chain in chains.values() for entry in chain.entries if f"{evidence.folder}/{entry.file}" in added]
    held = {entry.digest for entry in new}
    before = [Rung(Chain(each.environment, _without(each, held))) for each in chains.values()]
    return Appended(new, History(before), after)


def _without(chain: Chain, digests: set[str]) -> Sequence[Entry]:
    """A chain's statements up to the first of these; they stand at its end, or it would be broken."""
    return [entry for entry in chain.entries if entry.digest not in digests]
