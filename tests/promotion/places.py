"""A ladder in a clone of a bare repository, with Sigstore, GitHub and Prometheus beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml

from ladder.contract.promotion import Workflow, read_promotion
from ladder.promotion.chain import file_name
from ladder.promotion.ground import standing
from ladder.promotion.load import LOAD_REPORT
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
from tests.previews.serving import Asked, Reply
from tests.previews.serving import StandIn as Answering
from tests.sigstore_stand_in import Job, StandIn
from tests.support import ROOT, Outcome, run_ladder

__all__ = ["ENOUGH", "NEW", "SERVICES", "Elsewhere", "Place", "report", "settle", "soaked"]

SERVICES = ("api", "web", "worker")
NEW: Mapping[str, str] = {name: f"sha256:{number * 64}" for name, number in zip(SERVICES, "abc", strict=True)}
ENOUGH = timedelta(hours=25)


@dataclass
class Elsewhere(Answering):
    """GitHub and Prometheus. ``checks`` are conclusions by name, ``rate`` every service's success rate."""

    checks: dict[str, str] = field(default_factory=lambda: {"test": "success", "scan": "success"})
    rate: str = "0.999"
    pulls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def reply(self, asked: Asked) -> Reply:
        if asked.path.endswith("/check-runs"):
            told: Any = {"total_count": len(self.checks), "check_runs": [*map(self._run, self.checks)]}
        elif asked.path.endswith("/pulls") and asked.method == "GET":
            told = [each for each in self.pulls if asked.query["head"] == f"acme:{each['head']}"]
        elif asked.method == "PATCH" and (number := asked.path.rpartition("/pulls/")[2]).isdecimal():
            self.pulls[int(number) - 1] |= json.loads(asked.body)
            told = self.pulls[int(number) - 1]
        elif asked.path.endswith("/pulls"):
            self.pulls.append(json.loads(asked.body) | self._pull())
            told = self.pulls[-1]
        elif asked.path.endswith("/query_range"):
            told = self._rates({name: each[-1] for name, each in parse_qs(asked.body.decode()).items()})
        else:
            return Reply(404, b'{"message": "Not Found"}')
        return Reply(200, json.dumps(told).encode())

    def _run(self, name: str) -> dict[str, Any]:
        return {"id": 1, "name": name, "status": "completed", "conclusion": self.checks[name], "app": {"id": 15368}}

    def _pull(self) -> dict[str, Any]:
        number = len(self.pulls) + 1
        return {"number": number, "html_url": f"https://github.com/acme/environment-ladder/pull/{number}"}

    def _rates(self, asked: Mapping[str, str]) -> dict[str, Any]:
        times = range(int(asked["start"]), int(asked["end"]) + 1, int(asked["step"]))
        series: dict[str, Any] = {"metric": {}, "values": [[time, self.rate] for time in times]}
        return {"status": "success", "data": {"resultType": "matrix", "result": [series]}}


@dataclass
class Place:
    """A clone of a bare repository, and who signs. Commands run in it as the request workflow."""

    root: Path
    bare: Path
    sigstore: StandIn
    elsewhere: Elsewhere
    capsys: pytest.CaptureFixture[str]

    def git(self, *arguments: str, at: Path | None = None) -> str:
        done = subprocess.run(["git", *arguments], cwd=at or self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def ladder(self, *arguments: str) -> Outcome:
        return run_ladder(self.capsys, *arguments)

    def merge(self, branch: str) -> None:
        """As GitHub merges a pull request that is up to date."""
        self.git("fetch", "--quiet", "origin")
        self.git("push", "--quiet", "origin", f"refs/remotes/origin/{branch}:refs/heads/main")
        self.git("pull", "--quiet", "--ff-only", "origin", "main")

    def state(self, link: Link) -> str:
        """A statement of that time, by the workflow whose it is, on the delivered branch; answers its digest."""
        signer = signer_of(link.kind, read_promotion(self.root).evidence.signers)
        bundle = self.signed(as_statement(link), signer, datetime.fromisoformat(link.at))
        return self.put(link, bundle)

    def put(self, link: Link, bundle: bytes) -> str:
        file = self.root / "evidence" / link.environment / file_name(link)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bundle)
        self.keep(f"{link.kind} of {link.environment}")
        return digest_of(bundle)

    def signed(self, statement: bytes, signer: Workflow, at: datetime) -> bytes:
        return self.sigstore.bundle(statement, Job.of(signer), at)

    def keep(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        self.git("push", "--quiet", "origin", "HEAD:main")

    def place_of_next(self, environment: str, at: datetime) -> dict[str, Any]:
        folder = self.root / "evidence" / environment
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        previous = digest_of(files[-1].read_bytes()) if files else None
        return {"environment": environment, "sequence": len(files) + 1, "previous": previous, "at": as_moment(at)}

    def observe(self, environment: str, at: datetime, *problems: str) -> str:
        """The tree's digests of an environment, seen to run."""
        versions = self.versions(environment)
        revision = self.git("rev-parse", "HEAD")
        services = {
            name: SeenService(image=each.image, chart=each.chart, revision=revision, pods=2)
            for name, each in versions.items()
        }
        return self.state(Observed(**self.place_of_next(environment, at), services=services, problems=problems))

    def versions(self, environment: str) -> dict[str, Pinned]:
        found: dict[str, Pinned] = {}
        for name in SERVICES:
            told = yaml.safe_load((self.root / f"gitops/envs/{environment}/{name}/version.yaml").read_text())
            found[name] = Pinned(image=told["image"]["digest"], chart=told["chart"]["digest"])
        return found

    def build(self) -> None:
        """New images in dev."""
        for name, digest in NEW.items():
            file = self.root / f"gitops/envs/dev/{name}/version.yaml"
            old = yaml.safe_load(file.read_text())["image"]["digest"]
            file.write_text(file.read_text().replace(old, digest))
        self.keep("New images in dev")


def settle(root: Path, sigstore: StandIn, elsewhere: Elsewhere) -> None:
    """The shipped rules, but for who is asked, and that two observations a day are enough."""
    shutil.copy(ROOT / "parity.yaml", root)
    settings = sigstore.write(root)
    text = (ROOT / "promotion.yaml").read_text(encoding="utf-8")
    text = text.replace("trustedRoot: null", f"trustedRoot: {settings.trusted_root}")
    text = text.replace("signingConfig: null", f"signingConfig: {settings.signing_config}")
    text = text.replace("https://api.github.com", elsewhere.url)
    text = text.replace("https://prometheus.staging.internal.acme.dev", elsewhere.url)
    text = text.replace("gap: 1h", "gap: 24h")
    text = text.replace('"2026-12-20T00:00:00Z"', '"2020-12-20T00:00:00Z"').replace("2027-01-04T", "2021-01-04T")
    (root / "promotion.yaml").write_text(text, encoding="utf-8")


def soaked(place: Place) -> str:
    """Staging has run a candidate long enough, all of it stated in the past; answers the candidate."""
    began = datetime.now(UTC) - ENOUGH - timedelta(hours=1)
    place.build()
    for environment in ("staging", "prod"):
        place.observe(environment, began)
    seen = place.observe("dev", began)
    versions = place.versions("dev")
    name = name_of(versions)
    checks = {each: Check(conclusion="success", commit="0a" * 20) for each in ("scan", "test")}
    at = place.place_of_next("dev", began)
    place.state(Candidate(**at, name=name, services=versions, observed=seen, checks=checks))
    with standing(place.root, "HEAD") as ground:
        planned = plan(ground, Wish(candidate=name, to="staging", at=began))
    for file, content in planned.files.items():
        (place.root / file).write_bytes(content)
    place.state(planned.request)
    place.observe("staging", began + timedelta(minutes=5))
    place.observe("staging", began + timedelta(hours=13))
    place.observe("staging", datetime.now(UTC) - timedelta(minutes=1))
    return name


def report(place: Place, **changed: Any) -> Path:
    """A load report of a time within the soak."""
    until = datetime.now(UTC) - timedelta(hours=2)
    said = {
        "environment": "staging",
        "from": as_moment(until - timedelta(minutes=20)),
        "until": as_moment(until),
        "requestsPerSecond": 250.0,
        "p95Milliseconds": 120.0,
        "errorRate": 0.0,
        **changed,
    }
    subject = [
        {"name": f"{name}/image", "digest": {"sha256": each.removeprefix("sha256:")}} for name, each in NEW.items()
    ]
    statement = {"_type": "https://in-toto.io/Statement/v1", "subject": subject, "predicateType": LOAD_REPORT}
    signer = read_promotion(place.root).evidence.signers.load
    bundle = place.signed(json.dumps(statement | {"predicate": said}).encode(), signer, until + timedelta(minutes=1))
    file = place.root.parent / "load.sigstore.json"
    file.write_bytes(bundle)
    return file
