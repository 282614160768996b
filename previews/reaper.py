"""Remove the previews that are over where Argo CD or the plugin could not: ``python -m previews.reaper SETTINGS``.

It asks the cluster and nobody else. Everything is listed before anything is deleted, everything is deleted as a dry run
before anything is deleted for good, and what cannot be done now is left to the next run.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import replace
from pathlib import Path

from ladder.errors import InputError
from previews.deleting import Objects, Outcome
from previews.fetching import Unavailable, client, trusting
from previews.logs import configure
from previews.moments import moment
from previews.reaper_settings import ReaperSettings, read
from previews.reaping import Decision, Found, Verdict, decide

__all__ = ["main", "reap"]

_LOG = logging.getLogger("previews.reaper")


def main(arguments: list[str]) -> int:
    """One run. Exit codes: 0 done, 1 something could not be (no answer, a refusal, too many), 2 bad settings."""
    if len(arguments) != 1:
        print("usage: python -m previews.reaper SETTINGS", file=sys.stderr)
        return 2
    try:
        settings = read(Path(arguments[0]))
    except InputError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    configure()
    return 0 if asyncio.run(_run(settings)) else 1


async def _run(settings: ReaperSettings) -> bool:
    told = settings.cluster
    http = client(told.url, verify=trusting(told.authority))
    try:
        return await reap(Objects(http, Path(told.token), told.namespace, told.project), settings)
    finally:
        await http.aclose()


async def reap(objects: Objects, settings: ReaperSettings) -> bool:
    """Remove what is due, or tell what would be. Answers whether all went as it should."""
    try:
        seen = await objects.seen()
    except Unavailable as trouble:
        return _nothing(str(trouble))
    decisions = decide(seen.found, seen.now, settings.terms())
    for decision in decisions:
        _tell_decision(decision)
    due = [decision for decision in decisions if decision.doomed]
    if len(due) > settings.most:
        return _nothing(f"{len(due)} previews are due, and one run may remove {settings.most}: see whether that is so")
    possible = [await _rehearse(objects, decision, tell=settings.dry_run) for decision in due]
    allowed = [decision for decision in possible if decision is not None]
    if len(allowed) < len(due):
        return _nothing("the API server would not delete all that is due")
    removed = [] if settings.dry_run else [await _remove(objects, decision) for decision in allowed]
    told = {"previews": len(decisions), "due": len(due), "dryRun": settings.dry_run}
    _LOG.info("done" if all(removed) else "not done", extra={"told": told})
    return all(removed)


async def _rehearse(objects: Objects, decision: Decision, *, tell: bool) -> Decision | None:
    """The decision with what dry runs say can be deleted: nothing where it was renewed. None where one failed."""
    allowed: list[Found] = []
    failed = False
    for found in decision.doomed:
        deletion = await objects.delete(found, dry_run=True)
        match deletion.outcome:
            case Outcome.REMOVED | Outcome.BEGUN:
                allowed.append(found)
                if tell:
                    _tell("dry run", decision, found, "would", "may be deleted, and is not, because this is a dry run")
            case Outcome.ABSENT:
                _tell("dry run", decision, found, deletion.outcome, deletion.reason)
            case Outcome.CONFLICT:
                _tell("dry run", decision, found, deletion.outcome, deletion.reason, logging.WARNING)
                return replace(decision, doomed=())
            case Outcome.FAILED:
                _tell("dry run", decision, found, deletion.outcome, deletion.reason, logging.ERROR)
                failed = True
    return None if failed else replace(decision, doomed=tuple(allowed))


async def _remove(objects: Objects, decision: Decision) -> bool:
    """Delete one part after the other, each when the one before it is gone: at once, or in a later run."""
    waits = ""
    for found in decision.doomed:
        if waits:
            _tell("deletion", decision, found, "waits", waits)
            continue
        deletion = await objects.delete(found, dry_run=False)
        if deletion.outcome is Outcome.FAILED:
            _tell("deletion", decision, found, deletion.outcome, deletion.reason, logging.ERROR)
            return False
        level = logging.WARNING if deletion.outcome is Outcome.CONFLICT else logging.INFO
        _tell("deletion", decision, found, deletion.outcome, deletion.reason, level)
        if deletion.outcome not in {Outcome.REMOVED, Outcome.ABSENT}:
            waits = f"comes after the {found.kind}, which is still there: the next run sees to it"
    return True


def _nothing(reason: str) -> bool:
    _LOG.error("nothing was deleted", extra={"told": {"reason": reason}})
    return False


def _tell(event: str, decision: Decision, found: Found, verdict: str, reason: str, level: int = logging.INFO) -> None:
    told = {"what": found.kind.value, **_named(decision), "verdict": str(verdict), "reason": reason}
    _LOG.log(level, event, extra={"told": told})


def _tell_decision(decision: Decision) -> None:
    told = {"what": "preview", **_named(decision), "verdict": decision.verdict.value, "reason": decision.reason}
    problems = {"problems": list(decision.problems)} if decision.problems else {}
    level = logging.WARNING if problems or decision.verdict is Verdict.LEFT else logging.INFO
    _LOG.log(level, "decided", extra={"told": told | problems})


def _named(decision: Decision) -> dict[str, str | None]:
    expires = moment(decision.expires) if decision.expires is not None else None
    return {"namespace": decision.name, "expires": expires}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
