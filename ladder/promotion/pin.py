"""``pin``: a verified build enters the lowest rung, and never in place of a newer one."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ladder.errors import CheckFailed, InputError, Problem
from ladder.git import git
from ladder.promotion.builds import Build
from ladder.promotion.edit import with_digests
from ladder.promotion.github import Standing
from ladder.promotion.ground import Ground, standing
from ladder.promotion.statements import Pinned, Purpose, Request, Source, as_moment, moment

__all__ = ["BuildOf", "Compare", "Entering", "docker_credentials", "on_branch", "pin"]

BuildOf = Callable[[str, str], Build]
"""The verified build of a repository's digest. Raises CheckFailed for one that may not enter."""
Compare = Callable[[str, str], Standing]
"""How the second commit stands to the first."""


@dataclass(frozen=True, slots=True)
class Entering:
    """A pin: the statement, and the files that then differ, by their paths from the project's root."""

    request: Request
    files: Mapping[str, bytes]
    note: str
    """What whoever runs this is told beside it; empty where there is nothing."""


def pin(
    ground: Ground, service: str, digest: str, *, by: str | None, at: datetime, build_of: BuildOf, compare: Compare
) -> Entering | None:
    """How a build of a service enters the lowest rung; None where it is there, and stated.

    Raises InputError for a service that there is not, and CheckFailed for a build that may not enter: revoked, not
    verified, or not newer than what is there.
    """
    lowest = ground.ladder[0]
    if service not in ground.services(lowest):
        accepted = f"one of {', '.join(ground.services(lowest))}"
        raise InputError(Problem(file="SERVICE", message=f"is not in {lowest}", found=service, accepted=accepted))
    if digest in ground.promotion.revoked:
        raise CheckFailed(f"{digest} is revoked: {ground.promotion.revoked[digest]}")
    text, held = ground.version(lowest, service)
    last = _last(ground, service)
    if last is not None and last.services[service].image == digest == held.image:
        return None
    build = build_of(ground.overlay(lowest, service).service.image, digest)
    source = Source(
        repository=ground.promotion.builds.signer.repository,
        commit=build.source,
        run=build.run,
        logged=as_moment(build.logged),
        provenance=build.provenance,
    )
    note = "" if last is None or last.services[service].image == digest else _newer(service, last, source, compare)
    wanted = Pinned(image=digest, chart=held.chart)
    file = ground.version_file(lowest, service)
    edited = with_digests(text, wanted, file=file)
    sequence, previous = ground.history.rung(lowest).chain.next
    request = Request(
        environment=lowest,
        sequence=sequence,
        previous=previous,
        at=as_moment(at),
        purpose=Purpose.PIN,
        by=by,
        candidate=None,
        services={service: wanted},
        rests_on=None,
        source=source,
        base=ground.commit,
    )
    return Entering(request, {} if edited == text else {file: edited.encode()}, note)


@contextmanager
def on_branch(delivered: Ground, remote: str, branch: str) -> Generator[Ground]:
    """A branch's tree and evidence, by the delivered branch's rules: a pull request does not say who may build.

    Raises InputError for a branch that was not fetched, and CheckFailed for one that lacks statements of the lowest
    rung: what is pinned there could not be merged.
    """
    ref = f"refs/remotes/{remote}/{branch}"
    if git(delivered.root, "show-ref", "--verify", "--quiet", ref).returncode:
        accepted = f"a branch that was fetched: git fetch {remote} {branch}"
        raise InputError(Problem(file="--onto", message="is not here", found=branch, accepted=accepted))
    with standing(delivered.root, ref, verify=delivered.verify) as there:
        ground = replace(there, promotion=delivered.promotion)
        lowest = delivered.ladder[0]
        wanted, held = (each.history.rung(lowest).chain.entries for each in (delivered, ground))
        if [each.digest for each in held[: len(wanted)]] != [each.digest for each in wanted]:
            into = delivered.delivery.branch
            raise CheckFailed(
                f"{branch} has not the statements of {lowest} that {into} has: merge {into} into it first"
            )
        yield ground


def docker_credentials() -> Path | None:
    """Where Docker keeps what registries are to be told; None where there is no such file."""
    home = os.environ.get("HOME")
    folder = os.environ.get("DOCKER_CONFIG") or (home and f"{home}/.docker")
    file = Path(folder, "config.json") if folder else None
    return file if file is not None and file.is_file() else None


def _last(ground: Ground, service: str) -> Request | None:
    """The last pin of the service."""
    requests = ground.history.rung(ground.ladder[0]).requests
    pins = (each for _, each in reversed(requests) if each.purpose is Purpose.PIN and service in each.services)
    return next(pins, None)


def _newer(service: str, last: Request, wanted: Source, compare: Compare) -> str:
    """Raises CheckFailed where a build would replace a newer one, or one of another line.

    What another repository built cannot be compared; a move of the sources begins a new order, which is told.
    """
    held = last.source
    if held is None or held.repository != wanted.repository:
        before = held.repository if held else "nowhere"
        return f"{service} was built in {before} before, and now in {wanted.repository}: their order is not compared"
    standing = compare(held.commit, wanted.commit)
    if standing == "ahead" or (standing == "identical" and moment(wanted.logged) > moment(held.logged)):
        return ""
    told = {
        "behind": "is older than",
        "diverged": "is on another line than",
        "identical": "is of the same commit as, and not logged after,",
    }
    raise CheckFailed(
        f"the build of {wanted.commit} {told[standing]} the one of {held.commit}, which {service} was pinned to"
    )
