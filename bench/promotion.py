"""What the guard costs beside 1,000 services, and the replay of 1,000 statements; every signature is verified."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.measure import Figure, median_of, timed
from bench.tree import SERVICES, generate
from ladder import project
from ladder.promotion.chain import file_name
from ladder.promotion.ground import standing
from ladder.promotion.promote import Wish, plan
from ladder.promotion.statements import (
    Candidate,
    Check,
    Link,
    Observed,
    Pinned,
    SeenService,
    as_moment,
    as_statement,
    digest_of,
    name_of,
    signer_of,
)
from tests.promotion.places import Elsewhere, settle
from tests.sigstore_stand_in import Job, StandIn

__all__ = ["figures"]

_STATEMENTS = 1000
_COMMIT = "0c" * 20
_NEW = f"sha256:{'ab' * 32}"


def figures(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="ladder-bench-") as directory:
        root = Path(directory)
        generate(project.root(), root)
        yield from _guard(_Ladder(root), rounds)
    with tempfile.TemporaryDirectory(prefix="ladder-bench-") as directory:
        root = Path(directory)
        generate(project.root(), root, services=0)
        yield _lineage(_Ladder(root), rounds)


class _Ladder:
    """A repository with a ladder and its evidence."""

    def __init__(self, root: Path) -> None:
        self.root, self.sigstore = root, StandIn()
        shutil.copy(project.root() / "promotion.yaml", root)
        settle(root, self.sigstore, Elsewhere())
        self.at = datetime.now(UTC) - timedelta(minutes=5)
        self._git("init", "--quiet", "--initial-branch=main")
        self.keep("The ladder")
        with standing(root, "HEAD") as ground:
            self.signers = ground.promotion.evidence.signers
            self.versions = {
                name: {each: ground.version(name, each)[1] for each in ground.services(name)} for name in ground.stacks
            }

    def keep(self, message: str, branch: str | None = None) -> None:
        if branch:
            self._git("checkout", "--quiet", "-b", branch)
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", message)
        self._git("checkout", "--quiet", "main")

    def place(self, environment: str) -> dict[str, Any]:
        folder = self.root / "evidence" / environment
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        previous = digest_of(files[-1].read_bytes()) if files else None
        return {"environment": environment, "sequence": len(files) + 1, "previous": previous, "at": as_moment(self.at)}

    def state(self, link: Link) -> str:
        signer = signer_of(link.kind, self.signers)
        content = self.sigstore.bundle(as_statement(link), Job.of(signer), datetime.fromisoformat(link.at))
        file = self.root / "evidence" / link.environment / file_name(link)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return digest_of(content)

    def observe(self, environment: str, versions: Mapping[str, Pinned]) -> str:
        services = {
            name: SeenService(image=each.image, chart=each.chart, revision=_COMMIT, pods=2)
            for name, each in versions.items()
        }
        return self.state(Observed(**self.place(environment), services=services, problems=()))

    def run(self, *arguments: str) -> None:
        """In a process of its own, as CI does."""
        command = [Path(sys.executable).parent / "ladder", *arguments]
        environment = {**os.environ, "LADDER_ROOT": str(self.root)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(done.stdout[-2000:] + done.stderr[-2000:])

    def _git(self, *arguments: str) -> None:
        who = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
        subprocess.run(["git", *who, *arguments], cwd=self.root, check=True, capture_output=True)


def _guard(ladder: _Ladder, rounds: int) -> Iterator[Figure]:
    """A promotion of every service to staging, and a pull request that changes none of them."""
    versions = {name: each.model_copy(update={"image": _NEW}) for name, each in ladder.versions["dev"].items()}
    seen = ladder.observe("dev", versions)
    named: dict[str, Any] = {"name": name_of(versions), "services": versions, "observed": seen}
    checks = {"test": Check(conclusion="success", commit=_COMMIT)}
    ladder.state(Candidate(**ladder.place("dev"), **named, checks=checks))
    ladder.keep("A candidate")
    with standing(ladder.root, "HEAD") as ground:
        planned = plan(ground, Wish(candidate=named["name"], to="staging", at=ladder.at))
    for file, content in planned.files.items():
        (ladder.root / file).write_bytes(content)
    ladder.state(planned.request)
    ladder.keep("A promotion", "promotion")
    (ladder.root / "NOTES.md").write_text("nothing\n", encoding="utf-8")
    ladder.keep("Notes", "notes")
    proposed = {"promotion": f"a promotion of {len(versions):,} services", "notes": "one file that runs nowhere"}
    for head, what in proposed.items():
        seconds = [
            timed(lambda head=head: ladder.run("guard", "--base", "main", "--head", head)) for _ in range(rounds)
        ]
        yield median_of(f"guard: {what}, beside {SERVICES:,} services, cold", seconds, "s", aim="< 5 s")


def _lineage(ladder: _Ladder, rounds: int) -> Figure:
    for number in range(_STATEMENTS):
        environment = ("dev", "staging", "prod")[number % 3]
        ladder.observe(environment, ladder.versions[environment])
    ladder.keep("Evidence")
    seconds = [timed(lambda: ladder.run("lineage")) for _ in range(rounds)]
    start = sorted(timed(lambda: ladder.run("--help")) for _ in range(rounds))[rounds // 2]
    note = f"{start:.2f} s of it are the start of a process"
    return median_of(f"lineage: {_STATEMENTS:,} statements, cold", seconds, "s", aim="< 3 s", note=note)
