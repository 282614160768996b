"""A repository with the ladder's data in it, whose evidence is believed by a secret: what the guard is held against.

There is no work tree: commits are made of git's objects, and a pull request is the commit that is its head.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from copy import copy
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from ladder.changes.commits import checked_out
from ladder.contract import ladder_settings
from ladder.contract.promotion import Promotion, Workflow
from ladder.errors import CheckFailed
from ladder.git import said
from ladder.promotion.chain import file_name
from ladder.promotion.edit import pinned, with_digests
from ladder.promotion.ground import Ground
from ladder.promotion.guard import Verdict, guard
from ladder.promotion.history import History
from ladder.promotion.statements import (
    Approval,
    Candidate,
    Check,
    Link,
    Observed,
    Pinned,
    Purpose,
    Request,
    SeenService,
    as_moment,
    as_statement,
    digest_of,
    name_of,
    signer_of,
)
from ladder.proposed import merged
from tests.promotion.ladders import (
    APPROVED,
    COMMIT,
    GREEN,
    PROMOTION,
    SIGNERS,
    SOURCE,
    START,
    Versions,
    digest,
    sealed,
    verify,
)
from tests.support import ROOT

__all__ = ["PACKED", "SERVICES", "Yard"]

SERVICES = ("api", "web", "worker")
PACKED = digest("the chart as it is")
_DATA = ("Pulumi*.yaml", "parity.yaml", "promotion.yaml", "gitops/**/*")

Files = Mapping[str, bytes | str | None]
"""What a commit changes: a file's content, a link's target, or None for what it removes."""


@cache
def _shipped() -> Mapping[str, bytes]:
    found = (path for pattern in _DATA for path in ROOT.glob(pattern) if path.is_file())
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in found}


_stacks = cache(lambda: ladder_settings(ROOT))


class Yard:
    """``main`` is the delivered branch's commit; ``now`` the clock of whoever states, observes or judges."""

    def __init__(self, root: Path, promotion: Promotion = PROMOTION) -> None:
        self.root = root
        self.promotion = promotion
        self.now = START
        self._git("init", "--quiet", "--initial-branch=main")
        self.main = self.commit(None, _shipped())

    def copied(self, root: Path) -> Yard:
        """The same, in a folder of its own."""
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        other = copy(self)
        other.root = root
        return other

    def wait(self, time: timedelta) -> None:
        self.now += time

    def commit(self, parent: str | None, files: Files) -> str:
        """A commit of these changes to a parent; by default to nothing."""
        lines: list[bytes] = [b"commit refs/heads/made", b"committer t <t@example.com> 1900000000 +0000", b"data 0"]
        lines += [f"from {parent}".encode()] if parent else []
        for path, content in files.items():
            if content is None:
                lines.append(f"D {path}".encode())
                continue
            mode = "120000" if isinstance(content, str) else "100644"
            held = content.encode() if isinstance(content, str) else content
            lines += [f"M {mode} inline {path}".encode(), f"data {len(held)}".encode(), held]
        self._git("fast-import", "--quiet", "--force", sent=b"\n".join([*lines, b"", b"done\n"]))
        return self._git("rev-parse", "refs/heads/made").strip()

    def keep(self, files: Files) -> str:
        """The changes, on the delivered branch itself."""
        self.main = self.commit(self.main, files)
        return self.main

    def merge(self, head: str) -> None:
        """As the server merges a pull request: whatever is in it. Raises CheckFailed for a conflict."""
        tree = merged(self.root, self.main, head)
        made = ("-c", "user.name=t", "-c", "user.email=t@example.com", "commit-tree", tree, "-m", "merge")
        self.main = self._git(*made, "-p", self.main, "-p", head).strip()

    def files(self, folder: str = "", *, at: str | None = None) -> dict[str, str]:
        """The names of the objects below a folder, by path."""
        told = self._git("ls-tree", "-r", "-z", at or self.main, "--", *([folder] if folder else []))
        rows = (line.partition("\t") for line in told.split("\0") if line)
        return {path: row.split()[2] for row, _, path in rows}

    def read(self, path: str, *, at: str | None = None) -> bytes:
        return self._git("cat-file", "blob", f"{at or self.main}:{path}").encode()

    @contextmanager
    def ground(self) -> Generator[Ground]:
        with checked_out(self.root, self.main) as project:
            yield Ground(self.root, self.main, project, self.promotion, _stacks(), verify)

    def history(self) -> History:
        with self.ground() as ground:
            return ground.history

    def guard(self, head: str, *, packed: str = PACKED) -> Verdict:
        with self.ground() as ground:
            return guard(ground, head, self.now, lambda _: packed)

    def refusals(self, head: str) -> list[str]:
        """What the guard says against merging a head, a line each; nothing where it may be merged."""
        try:
            return [f"{each.path}: {each.message}" for each in self.guard(head).findings]
        except CheckFailed as error:
            return [str(error)]

    def versions(self, environment: str, *, at: str | None = None) -> Versions:
        """The digests that the tree has."""
        return {name: self._pinned(environment, name, at) for name in self.services(environment, at=at)}

    def services(self, environment: str, *, at: str | None = None) -> list[str]:
        return sorted({path.split("/")[3] for path in self.files(f"gitops/envs/{environment}", at=at)})

    def edits(self, environment: str, wanted: Versions) -> dict[str, bytes]:
        """The files that have these digests in an environment, where they are not so already."""
        found: dict[str, bytes] = {}
        for service, each in wanted.items():
            path = f"gitops/envs/{environment}/{service}/version.yaml"
            text = self.read(path).decode()
            new = with_digests(text, each, file=path)
            if new != text:
                found[path] = new.encode()
        return found

    def place(self, environment: str) -> dict[str, Any]:
        held = self.files(f"evidence/{environment}")
        previous = digest_of(self.read(max(held))) if held else None
        return {
            "environment": environment,
            "sequence": len(held) + 1,
            "previous": previous,
            "at": as_moment(self.now),
        }

    def stated(self, link: Link, *, signer: Workflow | None = None, logged: datetime | None = None) -> dict[str, bytes]:
        """The statement's file."""
        content = sealed(as_statement(link), signer or signer_of(link.kind, SIGNERS), logged or self.now)
        self.now += timedelta(minutes=1)
        return {f"evidence/{link.environment}/{file_name(link)}": content}

    def state(self, link: Link, files: Files | None = None) -> str:
        """The statement on the delivered branch, with other changes beside it; answers its digest."""
        stated = self.stated(link)
        self.keep({**stated, **(files or {})})
        return digest_of(next(iter(stated.values())))

    def observe(self, environment: str, *problems: str) -> str:
        """What the tree has, seen to run."""
        versions = self.versions(environment)
        services = {
            name: SeenService(image=each.image, chart=each.chart, revision=COMMIT, pods=1)
            for name, each in versions.items()
        }
        return self.state(Observed(**self.place(environment), services=services, problems=problems))

    def pin(self, service: str, build: object) -> str:
        """A build enters the lowest rung, as ``ladder pin`` lets it."""
        wanted = Pinned(image=digest(f"image {service} {build}"), chart=self.versions("dev")[service].chart)
        request = self.request("dev", Purpose.PIN, {service: wanted}, candidate=None, source=SOURCE)
        return self.state(request, self.edits("dev", {service: wanted}))

    def build(self, number: object) -> None:
        for service in SERVICES:
            self.pin(service, number)

    def cut(self, observed: str) -> str:
        versions = self.versions("dev")
        checks = {"test": Check(conclusion="success", commit=COMMIT)}
        named: dict[str, Any] = {"name": name_of(versions), "services": versions, "observed": observed}
        return self.state(Candidate(**self.place("dev"), **named, checks=checks))

    def request(self, environment: str, purpose: Purpose, services: Versions, **changed: Any) -> Request:
        values: dict[str, Any] = {"candidate": name_of(services), "rests_on": None, "base": self.main, **changed}
        return Request(**self.place(environment), purpose=purpose, services=services, **values)

    def promotion_of(
        self, environment: str, services: Versions, rests_on: str, files: Files | None = None, **changed: Any
    ) -> str:
        """The head of a promotion's pull request, with other changes beside it."""
        request = self.request(
            environment, Purpose.PROMOTION, services, rests_on=rests_on, **{"gates": GREEN, **changed}
        )
        return self.commit(self.main, {**self.stated(request), **self.edits(environment, services), **(files or {})})

    def rollback_of(self, environment: str, services: Versions, rests_on: str) -> str:
        request = self.request(environment, Purpose.ROLLBACK, services, rests_on=rests_on)
        return self.commit(self.main, {**self.stated(request), **self.edits(environment, services)})

    def approve(self, environment: str, request: str, services: Versions) -> str:
        return self.state(Approval(**self.place(environment), request=request, services=services, **APPROVED))

    def climbed(self, build: object = 1) -> dict[str, str]:
        """A build is in dev, cut, in staging, and seen there for longer than the soak; what was stated, by its name."""
        self.build(build)
        stated = {"dev": self.observe("dev")}
        stated["candidate"] = self.cut(stated["dev"])
        self.merge(self.promotion_of("staging", self.versions("dev"), stated["candidate"]))
        for _ in range(50):
            stated["staging"] = self.observe("staging")
            self.wait(timedelta(minutes=29))
        return stated

    def _pinned(self, environment: str, service: str, at: str | None) -> Pinned:
        path = f"gitops/envs/{environment}/{service}/version.yaml"
        return pinned(self.read(path, at=at).decode(), file=path)

    def _git(self, *arguments: str, sent: bytes = b"") -> str:
        if not sent:
            return said(self.root, *arguments)
        done = subprocess.run(["git", *arguments], cwd=self.root, input=sent, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()
