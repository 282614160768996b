"""Digests change by a statement that says why they may, and by nothing else; what is new follows the rung below."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from ladder.contract.types import duration
from ladder.errors import InputError
from ladder.promotion.edit import pinned, with_digests
from ladder.promotion.guard.evidence import Appended
from ladder.promotion.guard.findings import Case, Finding
from ladder.promotion.statements import Pinned, Purpose, Request, as_moment
from ladder.proposed import beside_the_chart
from ladder.tree import CHART, VERSION

__all__ = ["Change", "Changes"]

_CLIMB = "digests enter by `ladder promote`, and go back by `ladder rollback`"
_PIN = "a build enters by `ladder pin`"


@dataclass(frozen=True, slots=True)
class Change:
    """A ``version.yaml`` that is added, removed or altered; None for the end at which it is not there."""

    path: str
    environment: str
    service: str
    before: Pinned | None
    after: Pinned | None
    exact: bool
    """Nothing but digests differs."""

    @property
    def moves(self) -> bool:
        """Whether a service that stays runs other digests."""
        return self.before is not None and self.after is not None and self.before != self.after


@dataclass(frozen=True)
class Changes:
    """Every ``version.yaml`` that a pull request changes, held against the statements that it adds."""

    case: Case
    appended: Appended

    @cached_property
    def all(self) -> Mapping[str, Change]:
        """By path. Raises InputError for a file that is not as the contract has it."""
        folder, delta = self.case.services_folder, self.case.delta
        named = [path for path in self.case.below(folder) if PurePosixPath(path).name == VERSION]
        paths = [path for path in named if path.removeprefix(f"{folder}/").count("/") == 2]
        before, after = (delta.contents(paths, after=end) for end in (False, True))
        found: dict[str, Change] = {}
        for path in paths:
            environment, service, _ = path.removeprefix(f"{folder}/").split("/")
            old, new = (_text(end, path) for end in (before, after))
            held, wanted = (None if text is None else pinned(text, file=path) for text in (old, new))
            exact = old is not None and wanted is not None and with_digests(old, wanted, file=path) == new
            found[path] = Change(path, environment, service, held, wanted, exact)
        return found

    def findings(self) -> Iterator[Finding]:
        """Digests that no statement of the same pull request asks for, and charts that are not what they are called."""
        asked = {
            (request.environment, service): (request, wanted)
            for _, request in self.appended.requests
            if request.purpose is not Purpose.UNPIN
            for service, wanted in request.services.items()
        }
        packed: set[str] = set()
        for change in self.all.values():
            if change.after is None:
                continue
            request, wanted = asked.get((change.environment, change.service), (None, None))
            if change.environment == self.case.ground.ladder[0]:
                yield from self._lowest(change, wanted)
                if change.before is None or change.before.chart != change.after.chart:
                    packed.add(change.path)
            elif change.before is None:
                yield from self._entering(change)
            elif change.moves and (request is None or wanted != change.after):
                asked_for = f"; the statement asks for {wanted.image}" if wanted else ""
                yield Finding(change.path, f"changes what {change.environment} runs{asked_for}", _CLIMB)
        yield from self._packed([self.all[path] for path in sorted(packed)])

    def _lowest(self, change: Change, wanted: Pinned | None) -> Iterator[Finding]:
        if change.after is None or (change.before is not None and change.before.image == change.after.image):
            return
        if wanted is None or wanted.image != change.after.image:
            entered = "enters" if change.before is None else "is replaced in"
            message = f"{change.after.image} {entered} {change.environment}, and nothing says where it was built"
            instead = f"{_PIN}; for a service that is new, `ladder pin --onto` the pull request's branch"
            yield Finding(change.path, message, instead)

    def _entering(self, change: Change) -> Iterator[Finding]:
        """A service that is new in a rung has the digests that the rung below was last observed running."""
        history, after = self.appended.before, change.after
        below = history.below(change.environment)
        if below is None or after is None:
            return
        rung, promotion = history.rung(change.environment), self.case.ground.promotion
        for digest in sorted({after.image, after.chart} & promotion.revoked.keys()):
            yield Finding(change.path, f"{digest} is revoked: {promotion.revoked[digest]}", "another build")
        if last := rung.last(change.service):
            if last != after:
                message = f"{change.environment} had it before, with the image {last.image} and the chart {last.chart}"
                yield Finding(change.path, message, "let it come back as it was; digests enter by `ladder promote`")
            return
        if rung.hold is not None:
            yield Finding(change.path, f"enters {change.environment} while a rollback pins it", "unpin it first")
        final, frozen = rung is history.rungs[-1], promotion.freeze_at(self.case.at)
        if final and frozen is not None:
            yield Finding(change.path, f"{frozen[0]}: {frozen[1].reason}", f"wait until {frozen[1].until}")
        soaking, lower = below.soaking(duration(promotion.soak.gap)), below.environment
        if soaking is None or soaking.versions.get(change.service) != after:
            message = f"{lower} was not last observed running {change.service} at these digests, healthy"
            yield Finding(change.path, message, f"let {lower} run it first, and take the digests it has there")
        elif final and soaking.seen - soaking.since < promotion.soak_time:
            message = f"has not soaked in {lower} for {promotion.soak.duration} yet"
            yield Finding(change.path, message, "wait until it has")
        elif final and self.case.at - soaking.seen > duration(promotion.soak.gap):
            yield Finding(change.path, f"{lower} was not observed since {as_moment(soaking.seen)}", "observe it again")

    def _packed(self, changes: list[Change]) -> Iterator[Finding]:
        """The lowest rung's chart is the one that this very commit has."""
        if not changes:
            return
        chart = (PurePosixPath(self.case.services_folder).parent / CHART).as_posix()
        held = [entry for path, entry in self.case.delta.after.items() if path.startswith(f"{chart}/")]
        if problems := [*beside_the_chart(held, [chart])]:
            yield from (Finding(each.file, each.message, f"use {each.accepted}") for each in problems)
            return
        contents = self.case.delta.contents([entry.path for entry in held], after=True)
        with tempfile.TemporaryDirectory(prefix="ladder-guard-") as directory:
            for path, content in contents.items():
                file = Path(directory, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            try:
                digest = self.case.pack(Path(directory, chart))
            except InputError as error:
                yield from (Finding(each.file, each.message, "a chart that Helm can pack") for each in error.problems)
                return
        for change in changes:
            if change.after is not None and change.after.chart != digest:
                message = f"chart {change.after.chart} is not what {chart} packs to, which is {digest}"
                yield Finding(change.path, message, f"write the digest that `ladder chart` prints: {digest}")

    def of_request(self, request: Request) -> Iterator[Finding]:
        """What the tree does not have as the request says, in the whole environment and not only where it changes."""
        folder, delta = f"{self.case.services_folder}/{request.environment}", self.case.delta
        paths = [f"{folder}/{service}/{VERSION}" for service in sorted(request.services)]
        unchanged = delta.contents([path for path in paths if path not in self.all], after=True)
        for service, wanted in sorted(request.services.items()):
            path = f"{folder}/{service}/{VERSION}"
            if path in self.all:
                held = self.all[path].after
            else:
                text = _text(unchanged, path)
                held = None if text is None else pinned(text, file=path)
            image_alone = request.purpose is Purpose.PIN and held is not None and held.image == wanted.image
            if held != wanted and not image_alone:
                found = "is not there" if held is None else f"has {held.image} and chart {held.chart}"
                yield Finding(path, f"{found}; the statement asks for {wanted.image} and chart {wanted.chart}", _CLIMB)
        if request.purpose in {Purpose.PROMOTION, Purpose.ROLLBACK}:
            every = {path for path in delta.after if path.startswith(f"{folder}/") and path.endswith(f"/{VERSION}")}
            for path in sorted(every - set(paths)):
                yield Finding(path, f"is a service of {request.environment} that the statement leaves out", _CLIMB)


def _text(contents: Mapping[str, bytes], path: str) -> str | None:
    """A file that is no UTF-8 is none that the contract takes: what cannot be read is told of as it is parsed."""
    return contents[path].decode("utf-8", "replace") if path in contents else None
