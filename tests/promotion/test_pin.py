"""A build enters dev by ``ladder pin``: verified, no older than what is there, and stated with its digest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ladder.contract.promotion import read_promotion
from ladder.promotion.chain import read_chain
from ladder.promotion.sigstore import Trust
from ladder.promotion.statements import Purpose, Request
from tests.previews.serving import Asked, Reply, serving
from tests.promotion.oci import REPOSITORY, Registry
from tests.promotion.places import Place
from tests.sigstore_stand_in import Job
from tests.support import Outcome

VERSION = "gitops/envs/dev/web/version.yaml"
FIRST, SECOND = "1a" * 20, "2b" * 20


@dataclass
class Shop:
    """Where web's images are built and kept. Each build is another image, of that commit."""

    place: Place
    registry: Registry
    built: int = 0

    def build(self, commit: str = FIRST, *, at: datetime | None = None, job: Job | None = None) -> str:
        """A build's digest: signed, with an SBOM and its provenance."""
        self.built += 1
        digest = self.registry.put("manifests", json.dumps({"schemaVersion": 2, "build": self.built}).encode())
        builds = read_promotion(self.place.root).builds
        by = replace(job or Job.of(builds.signer), commit=commit)
        made = self.place.sigstore.image(digest, by, at or datetime.now(UTC), builds.builder)
        self.registry.listed = []
        for bundle in made.values():
            self.registry.attach(digest, bundle)
        return digest

    def pin(self, digest: str, *more: str) -> Outcome:
        told = self.place.ladder("pin", "web", f"--digest={digest}", *more)
        self.place.git("pull", "--quiet", "origin", "main")
        return told

    def compared(self, standing: str) -> None:
        """What GitHub says of every two commits."""

        def answer(asked: Asked) -> Reply | None:
            told = json.dumps({"status": standing, "ahead_by": 1}).encode()
            return Reply(200, told) if "/compare/" in asked.path else None

        self.place.elsewhere.trouble = answer

    @property
    def held(self) -> str:
        return (self.place.root / VERSION).read_text(encoding="utf-8")

    def stated(self) -> list[Request]:
        promotion = read_promotion(self.place.root)
        verify = Trust.of(self.place.root, promotion.sigstore).verify
        chain = read_chain(self.place.root / "evidence/dev", "dev", promotion.evidence.signers, verify)
        return [entry.link for entry in chain.entries if isinstance(entry.link, Request)]


@pytest.fixture
def shop(place: Place) -> Iterator[Shop]:
    registry = Registry()
    with serving(registry):
        for environment in ("dev", "staging", "prod"):
            file = place.root / f"gitops/envs/{environment}/web/values.yaml"
            host = registry.url.removeprefix("http://")
            file.write_text(file.read_text().replace("ghcr.io/acme/shop/web", f"{host}/{REPOSITORY}"))
        place.keep("The images are here")
        yield Shop(place, registry)


def untouched(shop: Shop, before: str) -> bool:
    return shop.place.git("rev-parse", "main", at=shop.place.bare) == before


def test_a_verified_build_enters_dev_with_a_statement_of_where_it_comes_from(shop: Shop) -> None:
    digest, before = shop.build(), shop.place.git("rev-parse", "HEAD")
    held = shop.held
    told = shop.pin(digest, "--by=octocat")
    assert told.code == 0, told.err
    assert f"web: image {digest}, built of {FIRST} by https://github.com/acme/shop/actions/runs/" in told.out
    changed = shop.place.git("diff", "--name-only", before, "HEAD").splitlines()
    assert changed == ["evidence/dev/000001-request.sigstore.json", VERSION]
    (request,) = shop.stated()
    assert (request.purpose, request.by, request.source and request.source.commit) == (Purpose.PIN, "octocat", FIRST)
    assert request.services["web"].image == digest
    assert len(shop.held) == len(held)


def test_what_is_there_is_not_pinned_again(shop: Shop) -> None:
    digest = shop.build()
    assert shop.pin(digest).code == 0
    told = shop.pin(digest)
    assert (told.code, told.out.strip()) == (0, f"web has {digest} already")
    assert len(shop.stated()) == 1


def test_a_newer_build_takes_the_place_of_an_older(shop: Shop) -> None:
    assert shop.pin(shop.build()).code == 0
    newer = shop.build(SECOND)
    shop.compared("ahead")
    assert shop.pin(newer).code == 0
    compared = [each.path for each in shop.place.elsewhere.asked if "/compare/" in each.path]
    assert compared == [f"/repos/acme/shop/compare/{FIRST}...{SECOND}"]
    assert newer in shop.held


@pytest.mark.parametrize(("standing", "says"), [("behind", "is older than"), ("diverged", "is on another line than")])
def test_an_older_build_never_takes_the_place_of_a_newer(shop: Shop, standing: str, says: str) -> None:
    assert shop.pin(shop.build()).code == 0
    before = shop.place.git("rev-parse", "HEAD")
    shop.compared(standing)
    told = shop.pin(shop.build(SECOND))
    assert told.code == 1
    assert f"the build of {SECOND} {says} the one of {FIRST}, which web was pinned to" in told.err
    assert untouched(shop, before)


def test_a_build_of_the_same_commit_enters_only_if_it_was_logged_later(shop: Shop) -> None:
    now = datetime.now(UTC)
    assert shop.pin(shop.build(at=now - timedelta(hours=1))).code == 0
    shop.compared("identical")
    assert shop.pin(shop.build(at=now - timedelta(hours=2))).code == 1
    assert shop.pin(shop.build(at=now)).code == 0


def test_what_was_pinned_last_may_come_back(shop: Shop) -> None:
    """It replaces nothing newer: whatever stands in its place was not pinned."""
    digest = shop.build()
    assert shop.pin(digest).code == 0
    file = shop.place.root / VERSION
    file.write_text(file.read_text().replace(digest, f"sha256:{'0a' * 32}"))
    shop.place.keep("By hand")
    assert shop.pin(digest).code == 0
    assert digest in shop.held
    assert len(shop.stated()) == 2
    assert shop.place.elsewhere.asked == []


def test_the_first_build_is_compared_with_nothing_and_needs_no_token(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    assert shop.pin(shop.build()).code == 0
    assert shop.pin(shop.build(SECOND)).code == 2


def test_where_the_sources_moved_a_new_order_begins_and_that_is_said(shop: Shop) -> None:
    assert shop.pin(shop.build()).code == 0
    rules = shop.place.root / "promotion.yaml"
    old, new = "https://github.com/acme/shop", "https://github.com/acme/store"
    builds, rest = rules.read_text().split("\nsigstore:")
    rules.write_text(builds.replace(old, new) + "\nsigstore:" + rest)
    shop.place.keep("The sources moved")
    told = shop.pin(shop.build(SECOND))
    assert told.code == 0, told.err
    assert f"web was built in {old} before, and now in {new}: their order is not compared" in told.out
    assert shop.place.elsewhere.asked == []


def test_an_image_that_another_workflow_built_may_not_enter(shop: Shop) -> None:
    builds = read_promotion(shop.place.root).builds
    other = builds.signer.model_copy(update={"workflow": ".github/workflows/mine.yml"})
    before = shop.place.git("rev-parse", "HEAD")
    told = shop.pin(shop.build(job=Job.of(other)))
    assert told.code == 1
    for kind in ("signature", "SBOM", "provenance"):
        assert f"the {kind}: is signed by {other.subject}, not by {builds.signer.subject}" in told.err
    assert untouched(shop, before)


def test_an_image_that_nobody_signed_may_not_enter(shop: Shop) -> None:
    digest = shop.build()
    shop.registry.listed = []
    told = shop.pin(digest)
    assert told.code == 1
    assert "the signature: there is none" in told.err


def test_a_revoked_image_may_not_enter(shop: Shop) -> None:
    digest = shop.build()
    rules = shop.place.root / "promotion.yaml"
    rules.write_text(rules.read_text().replace("revoked: {}", f"revoked: {{{digest}: loses orders}}"))
    shop.place.keep("Revoked")
    told = shop.pin(digest)
    assert told.code == 1
    assert f"{digest} is revoked: loses orders" in told.err


def test_a_dry_run_verifies_and_changes_nothing(shop: Shop) -> None:
    digest, before = shop.build(), shop.place.git("rev-parse", "HEAD")
    told = shop.pin(digest, "--dry-run")
    assert told.code == 0
    assert digest in told.out
    assert untouched(shop, before)


def test_what_dev_has_without_a_statement_gets_one(shop: Shop) -> None:
    digest = shop.build()
    file = shop.place.root / VERSION
    file.write_text(file.read_text().replace(shop.place.versions("dev")["web"].image, digest))
    shop.place.keep("As it was before there was evidence")
    before = shop.place.git("rev-parse", "HEAD")
    assert shop.pin(digest).code == 0
    changed = shop.place.git("diff", "--name-only", before, "HEAD").splitlines()
    assert changed == ["evidence/dev/000001-request.sigstore.json"]


def mail(place: Place) -> None:
    """A branch that brings a service, mail, at the remote."""
    place.git("checkout", "--quiet", "-b", "mail")
    folder = place.root / "gitops/envs/dev/mail"
    folder.mkdir()
    for name in ("values.yaml", "version.yaml"):
        (folder / name).write_text((place.root / f"gitops/envs/dev/web/{name}").read_text())
    pushed(place, "A new service")


def pushed(place: Place, message: str) -> None:
    place.git("add", "--all")
    place.git("commit", "--quiet", "--message", message)
    place.git("push", "--quiet", "origin", "mail")


def test_a_new_service_is_pinned_on_the_branch_that_brings_it_and_the_guard_lets_it_in(shop: Shop) -> None:
    digest, place = shop.build(), shop.place
    mail(place)
    guard = ("guard", "--base", "origin/main", "--head", "origin/mail")
    before = place.ladder(*guard)
    assert before.code == 1
    assert "enters dev, and nothing says where it was built" in before.out
    main = place.git("rev-parse", "main", at=place.bare)
    told = place.ladder("pin", "mail", f"--digest={digest}", "--onto", "mail")
    assert told.code == 0, told.err
    assert untouched(shop, main)
    place.git("fetch", "--quiet", "origin")
    after = place.ladder(*guard)
    assert (after.code, after.out.strip()) == (0, "pin: mail in dev"), after.out


def test_a_branch_does_not_say_who_may_build_or_to_whom_the_signers_identity_is_shown(shop: Shop) -> None:
    place = shop.place
    mail(place)
    rules = place.root / "promotion.yaml"
    builds = read_promotion(place.root).builds
    rules.write_text(rules.read_text().replace("workflows/build.yml", "workflows/mine.yml"))
    (place.root / "signing_config.json").write_text("{}")
    pushed(place, "My rules")
    mine = builds.signer.model_copy(update={"workflow": ".github/workflows/mine.yml"})
    told = place.ladder("pin", "mail", f"--digest={shop.build(job=Job.of(mine))}", "--onto", "mail")
    assert told.code == 1
    assert f"is signed by {mine.subject}, not by {builds.signer.subject}" in told.err
    place.git("checkout", "--quiet", "main")
    built = shop.build()
    place.git("checkout", "--quiet", "mail")
    told = place.ladder("pin", "mail", f"--digest={built}", "--onto", "mail")
    assert told.code == 0, told.err


def test_a_branch_that_lacks_what_was_stated_of_dev_is_told_to_merge_it(shop: Shop) -> None:
    place = shop.place
    mail(place)
    place.git("checkout", "--quiet", "main")
    place.observe("dev", datetime.now(UTC))
    before = place.git("for-each-ref", at=place.bare)
    told = place.ladder("pin", "mail", f"--digest={shop.build()}", "--onto", "mail")
    assert told.code == 1
    assert "mail has not the statements of dev that main has: merge main into it first" in told.err
    assert place.git("for-each-ref", at=place.bare) == before


@pytest.mark.parametrize(
    ("branch", "says"),
    [
        ("nowhere", "--onto: is not here"),
        ("main^", "--onto: is no branch"),
        ("HEAD", "--onto: is no branch"),
        ("x:refs/heads/main", "--onto: is no branch"),
    ],
)
def test_what_is_no_branch_of_the_remote_is_bad_input(shop: Shop, branch: str, says: str) -> None:
    before = shop.place.git("for-each-ref", at=shop.place.bare)
    told = shop.place.ladder("pin", "web", f"--digest=sha256:{'0a' * 32}", f"--onto={branch}")
    assert told.code == 2
    assert says in told.err
    assert shop.place.git("for-each-ref", at=shop.place.bare) == before


BAD: dict[str, tuple[str, str, str]] = {
    "a tag": ("web", "latest", "--digest: is no digest"),
    "a short digest": ("web", f"sha256:{'0a' * 31}", "--digest: is no digest"),
    "a digest in upper case": ("web", f"sha256:{'0A' * 32}", "--digest: is no digest"),
    "another algorithm": ("web", f"sha512:{'0a' * 64}", "--digest: is no digest"),
    "a whole reference": ("web", f"ghcr.io/acme/web@sha256:{'0a' * 32}", "--digest: is no digest"),
    "no service": ("wbe", f"sha256:{'0a' * 32}", "SERVICE: is not in dev"),
    "a way out": ("../prod/web", f"sha256:{'0a' * 32}", "SERVICE: is not in dev"),
    "an image that there is not": ("web", f"sha256:{'0a' * 32}", "is not in the registry"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_and_the_repository_untouched(shop: Shop, name: str) -> None:
    service, digest, says = BAD[name]
    before = shop.place.git("rev-parse", "HEAD")
    told = shop.place.ladder("pin", service, f"--digest={digest}")
    assert told.code == 2
    assert says in told.err
    assert untouched(shop, before)


def test_a_registry_that_does_not_answer_lets_nothing_in(shop: Shop) -> None:
    digest = shop.build()

    def down(asked: Asked) -> Reply:
        return Reply(503, asked.path.encode())

    shop.registry.trouble = down
    told: Any = shop.pin(digest)
    assert told.code == 1
    assert "Traceback" not in told.err
