"""What a change of digests makes of what is delivered: a rung's manifests by Helm, before it and after it, as a diff.

A service is rendered as Argo CD renders it: with the chart that its ``version.yaml`` pins. Where the source of a chart
stands follows from how charts enter: the lowest rung takes a chart's digest only with the very chart that packs to it.
"""

from __future__ import annotations

import difflib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from ladder import chart
from ladder.changes.commits import checked_out
from ladder.errors import CheckFailed, InputError, LadderError
from ladder.git import said
from ladder.helm import Manifest, Release, find, render_many
from ladder.parity.rendering import objects
from ladder.promotion.ground import Ground
from ladder.promotion.promote import Plan
from ladder.tree import CHART, VALUES, VERSION
from sandbox.progress import Progress

__all__ = ["difference"]

_AT_ONCE = 2
_Side = Literal["before", "after"]
_Made = Mapping[tuple[str, _Side], tuple[Manifest, ...] | InputError]


def difference(ground: Ground, planned: Plan, progress: Progress) -> str:
    """The unified diff of every object of the services that change, without an end of line.

    Lines that begin with ``#`` say what it does not show, and why: nothing is left out silently, and nothing is raised.
    """
    try:
        with ExitStack() as stack:
            charts = _Charts(ground, find(progress), stack, progress)
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rendered.")))
            return "\n".join(_Difference(ground, planned, charts, scratch).lines(progress))
    except LadderError as error:
        return "\n".join(_remarks(f"could not be had: {error}"))


@dataclass(frozen=True)
class _Charts:
    """Charts by their digests, each a folder that packs to it. ``stack`` keeps what is checked out for that."""

    ground: Ground
    helm: Path
    stack: ExitStack
    progress: Progress

    @cached_property
    def own(self) -> tuple[Path, str]:
        """The commit's own, and its digest."""
        return self._packed(self.ground.project)

    def find(self, digest: str) -> Path | None:
        """The chart of a digest; None where no commit brought it. Raises CheckFailed where that one's is another."""
        folder, own = self.own
        if digest == own:
            return folder
        commit = self._entered(digest)
        if not commit:
            return None
        folder, found = self._packed(self.stack.enter_context(checked_out(self.ground.root, commit)))
        if found != digest:
            raise CheckFailed(f"the chart {digest} came with {commit}, whose chart packs to {found}")
        return folder

    def _entered(self, digest: str) -> str:
        """The first commit of the delivered branch that pins the digest in the lowest rung."""
        lowest = f"{self.ground.delivery.path}/{self.ground.ladder[0]}"
        # Of a merge, what it brought to the branch: the commits that it merged were never delivered.
        merges = ("--first-parent", "--diff-merges=first-parent", "--root")
        plain = ("--no-follow", "--no-renames", "--no-show-signature", "--no-textconv")
        asked = ("--reverse", "--format=%H", f"-S{digest}", self.ground.commit, "--", lowest)
        return said(self.ground.root, "log", *merges, *plain, *asked).partition("\n")[0]

    def _packed(self, project: Path) -> tuple[Path, str]:
        folder = project / Path(self.ground.delivery.path).parent / CHART
        name = chart.name_of(folder, root=project)
        with tempfile.TemporaryDirectory(prefix="chart.") as scratch:
            archive = chart.package(self.helm, folder, Path(scratch))
            return folder, chart.digest(self.helm, archive, name, self.progress)


class _Difference:
    """One plan's: which chart renders each side of each service, and what of that is to be told."""

    def __init__(self, ground: Ground, planned: Plan, charts: _Charts, scratch: Path) -> None:
        self._ground = ground
        self._planned = planned
        self._environment = planned.request.environment
        self._charts = charts
        self._scratch = scratch
        self._known: dict[str, Path | str | None] = {}
        self._told: dict[str, list[str]] = {}

    def lines(self, progress: Progress) -> Iterator[str]:
        releases: dict[Path, list[tuple[str, _Side]]] = {}
        for service in self._planned.changed:
            for side, folder in self._folders(service).items():
                releases.setdefault(folder, []).append((service, side))
        for what, services in self._told.items():
            yield from _remarks(f"{', '.join(services)}: {what}")
        made = dict(self._made(releases, progress))
        for service in self._planned.changed:
            if (service, "before") in made:
                yield from self._service(service, made)

    def _folders(self, service: str) -> Mapping[_Side, Path]:
        """The chart of each side; none where one cannot be had."""
        _, held = self._ground.version(self._environment, service)
        digests = (held.chart, self._planned.request.services[service].chart)
        before, after = (self._chart(digest) for digest in digests)
        for reason in dict.fromkeys((before, after)):
            if isinstance(reason, str):
                self._tell(reason, service)
        if isinstance(before, str) or isinstance(after, str):
            return {}
        if before is not None and after is not None:
            return {"before": before, "after": after}
        for digest in dict.fromkeys(digests):
            if self._chart(digest) is None:
                lowest, commit = self._ground.ladder[0], self._ground.commit
                message = f"the chart {digest} came to {lowest} in no commit; both sides have the chart of {commit}"
                self._tell(message, service)
        own, _ = self._charts.own
        return {"before": own, "after": own}

    def _chart(self, digest: str) -> Path | str | None:
        """As :meth:`_Charts.find`; a reason in place of what could not be had."""
        if digest not in self._known:
            try:
                self._known[digest] = self._charts.find(digest)
            except LadderError as error:
                self._known[digest] = f"could not be had: {error}"
        return self._known[digest]

    def _tell(self, what: str, service: str) -> None:
        self._told.setdefault(what, []).append(service)

    def _made(
        self, wanted: Mapping[Path, Sequence[tuple[str, _Side]]], progress: Progress
    ) -> Iterator[tuple[tuple[str, _Side], tuple[Manifest, ...] | InputError]]:
        for folder, keys in wanted.items():
            releases = [self._release(service, side) for service, side in keys]
            made = render_many(self._charts.helm, folder, releases, progress, jobs=_AT_ONCE)
            for key, (_, manifests) in zip(keys, made, strict=True):
                yield key, manifests

    def _release(self, service: str, side: _Side) -> Release:
        version = Path(self._ground.version_file(self._environment, service))
        root = self._ground.project
        values = version.with_name(VALUES)
        if side == "after":
            after = self._scratch / version.parent
            after.mkdir(parents=True)
            (after / VALUES).write_bytes((root / values).read_bytes())
            (after / VERSION).write_bytes(self._planned.files[version.as_posix()])
            root = self._scratch
        namespace = self._ground.environment(self._environment).namespace("services")
        return Release(service, (values, version), root, namespace)

    def _service(self, service: str, made: _Made) -> Iterator[str]:
        sides: list[Mapping[str, list[str]]] = []
        for side in ("before", "after"):
            manifests = made[service, side]
            if isinstance(manifests, InputError):
                yield from _remarks(f"{service}: {side} it, the chart cannot be rendered: {manifests}")
                return
            sides.append({what: _dumped(each) for what, each in objects(manifests).items()})
        before, after = sides
        differs = False
        for what in sorted(before.keys() | after.keys()):
            old, new = (f"{self._environment}/{service} {what}" if what in side else "/dev/null" for side in sides)
            for line in difflib.unified_diff(before.get(what, []), after.get(what, []), old, new, lineterm=""):
                differs = True
                yield line
        if not differs:
            yield from _remarks(f"{service}: the same objects")


class _Dumper(yaml.SafeDumper):
    """Writes every value out, also one that stands twice, and text of several lines as lines."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _text(dumper: Any, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _dumped(document: Any) -> list[str]:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=True, width=2**16).splitlines()


def _remarks(text: str) -> Iterator[str]:
    return (f"# {line}" for line in text.splitlines())
