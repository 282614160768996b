"""The guard lets in what is legal: promotions by their statement, settings without a digest, and the rest untouched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from ladder.contract.promotion import Freeze
from ladder.errors import CheckFailed, InputError
from ladder.promotion.guard import guard
from ladder.promotion.statements import Pinned, Purpose, Request, name_of
from tests.promotion.guarding import (
    DEV,
    NEW,
    PROD,
    Head,
    altered,
    back,
    copied,
    entering,
    first,
    hand,
    new_service,
    past,
    promoted,
    removed,
    reported,
    seed,
    soaked,
)
from tests.promotion.ladders import PROMOTION, SOURCE, digest
from tests.promotion.yards import PACKED, Yard

LEGAL: dict[str, tuple[str, Head]] = {
    "a promotion to prod": ("promotion", promoted),
    "a promotion with its load report": ("promotion", reported),
    "a promotion to staging": (
        "promotion",
        lambda yard, stated: (
            yard.keep(yard.edits("staging", yard.versions("prod"))),
            yard.promotion_of("staging", yard.versions("dev"), stated["candidate"]),
        )[1],
    ),
    "a rollback": (
        "rollback",
        lambda yard, stated: (
            held := yard.versions("staging"),
            yard.keep(hand(yard, "staging", image=digest("bad"))),
            yard.rollback_of("staging", held, stated["staging"]),
        )[2],
    ),
    "an unpinning": (
        "unpin",
        lambda yard, stated: (
            request := yard.request("staging", Purpose.ROLLBACK, yard.versions("staging"), rests_on=stated["staging"]),
            yard.state(request),
            unpin := yard.request("staging", Purpose.UNPIN, yard.versions("staging")),
            yard.commit(yard.main, yard.stated(unpin)),
        )[3],
    ),
    "a promotion past its gates, in time": (
        "promotion",
        lambda yard, stated: promoted(yard, stated, **past(yard)),
    ),
    "a build with its pin": (
        "pin",
        lambda yard, _: (
            wanted := Pinned(image=digest("new"), chart=yard.versions("dev")["api"].chart),
            pin := yard.request("dev", Purpose.PIN, {"api": wanted}, candidate=None, source=SOURCE),
            yard.commit(yard.main, {**yard.stated(pin), **yard.edits("dev", {"api": wanted})}),
        )[2],
    ),
    "a new service in dev, with its pin": (
        "pin",
        lambda yard, _: (
            wanted := Pinned(image=digest("mail"), chart=PACKED),
            pin := yard.request("dev", Purpose.PIN, {"mail": wanted}, candidate=None, source=SOURCE),
            yard.commit(yard.main, {**yard.stated(pin), **copied(yard, f"{DEV}/worker", NEW.format("dev"), wanted)}),
        )[2],
    ),
    "a new service in staging, as dev runs it": (
        "settings",
        lambda yard, _: (new_service(yard), entering(yard, "staging"))[1],
    ),
    "a new service in prod, as staging has run it for long": (
        "settings",
        lambda yard, _: (new_service(yard, "staging"), soaked(yard, "staging"), entering(yard, "prod"))[2],
    ),
    "a chart edit, pinned in dev as it packs": (
        "settings",
        lambda yard, _: yard.commit(
            yard.main,
            {
                **altered(yard, "gitops/chart/Chart.yaml", "version: ", "version: 1"),
                **{
                    path: each
                    for name in ("api", "web")
                    for path, each in hand(yard, "dev", name, chart=PACKED).items()
                },
            },
        ),
    ),
    "settings of prod": (
        "settings",
        lambda yard, _: yard.commit(yard.main, altered(yard, f"{PROD}/api/values.yaml", "replicas:", "replicas: ")),
    ),
    "the comment of a version": (
        "settings",
        lambda yard, _: yard.commit(
            yard.main, {f"{PROD}/api/version.yaml": yard.read(f"{PROD}/api/version.yaml") + b"# x\n"}
        ),
    ),
    "a service that leaves prod": (
        "settings",
        lambda yard, _: yard.commit(
            yard.main, dict.fromkeys(f"{PROD}/api/{each}.yaml" for each in ("values", "version"))
        ),
    ),
    "a service that comes back to prod as it was": (
        "settings",
        lambda yard, _: (
            yard.observe("prod"),
            before := yard.main,
            removed(yard),
            yard.commit(
                yard.main,
                {path: yard.read(path, at=before) for path in (f"{PROD}/api/values.yaml", f"{PROD}/api/version.yaml")},
            ),
        )[3],
    ),
    "another seed in dev": ("settings", lambda yard, _: yard.commit(yard.main, seed(yard, "dev"))),
    "another seed in staging, once dev has it": (
        "settings",
        lambda yard, _: (yard.keep(seed(yard, "dev")), yard.commit(yard.main, seed(yard, "staging")))[1],
    ),
    "another store's image where the tier runs none": (
        "settings",
        lambda yard, _: yard.commit(yard.main, altered(yard, f"{PROD}/api/values.yaml", "c9fdab88", "c9fdab89")),
    ),
    "a repository's move, with the same digests": (
        "settings",
        lambda yard, _: yard.commit(
            yard.main, altered(yard, f"{PROD}/api/values.yaml", "acme/shop/api", "acme/moved/api")
        ),
    ),
    "the windows of prod": (
        "settings",
        lambda yard, _: yard.commit(yard.main, altered(yard, "Pulumi.prod.yaml", "duration: 6h", "duration: 7h")),
    ),
    "code": (
        "other",
        lambda yard, _: yard.commit(yard.main, {"ladder/promotion/guard/__init__.py": b"guard = None\n"}),
    ),
    "nothing": ("other", lambda yard, _: yard.commit(yard.main, {})),
    "a link elsewhere": ("other", lambda yard, _: yard.commit(yard.main, {"docs/more.md": "../README.md"})),
    "a rightly signed observation": (
        "evidence",
        lambda yard, _: (before := yard.main, yard.observe("dev"), after := yard.main, back(yard, before), after)[4],
    ),
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_legal_may_be_merged(name: str, yard: Yard, stated: Mapping[str, str]) -> None:
    kind, head = LEGAL[name]
    made = head(yard, stated)
    verdict = yard.guard(made)
    assert [str(each) for each in verdict.findings] == []
    assert verdict.kind == kind


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"revoked": {digest("image api 1"): "loses orders"}}, "is revoked: loses orders"),
        (
            {
                "freezes": {
                    "fair": Freeze.model_validate(
                        {"from": "2031-01-01T00:00:00Z", "until": "2032-01-01T00:00:00Z", "reason": "busy"}
                    )
                }
            },
            "fair: nothing enters prod until 2032-01-01T00:00:00Z: busy",
        ),
    ],
)
def test_what_the_rules_do_not_let_in_any_more_is_refused(
    yard: Yard, stated: Mapping[str, str], changed: dict[str, object], says: str
) -> None:
    head = promoted(yard, stated)
    assert yard.refusals(head) == []
    yard.promotion = PROMOTION.model_copy(update=changed)
    assert [each for each in yard.refusals(head) if says in each]


def test_a_rollback_enters_whatever_is_frozen(yard: Yard, stated: Mapping[str, str]) -> None:
    held = yard.versions("staging")
    yard.keep(hand(yard, "staging", image=digest("bad")))
    freeze = {"from": "2031-01-01T00:00:00Z", "until": "2032-01-01T00:00:00Z", "reason": "busy"}
    yard.promotion = PROMOTION.model_copy(update={"freezes": {"fair": Freeze.model_validate(freeze)}})
    yard.wait(timedelta(days=3))
    assert yard.refusals(yard.rollback_of("staging", held, stated["staging"])) == []


def test_of_two_promotions_at_once_one_enters_and_the_other_is_told(yard: Yard, stated: Mapping[str, str]) -> None:
    yard.keep(yard.edits("staging", yard.versions("prod")))
    one = yard.promotion_of("staging", yard.versions("dev"), stated["candidate"])
    other = yard.promotion_of(
        "staging", yard.versions("dev"), stated["candidate"], supersedes=name_of(yard.versions("dev"))
    )
    assert yard.refusals(one) == yard.refusals(other) == []
    yard.merge(one)
    (refusal,) = yard.refusals(other)
    assert "cannot be merged into" in refusal
    assert "both changed evidence/staging/" in refusal


def test_a_version_that_the_contract_refuses_is_bad_input(yard: Yard) -> None:
    head = yard.commit(yard.main, {f"{PROD}/api/version.yaml": b"image: {digest: latest}\n"})
    with pytest.raises(InputError, match=r"gitops/envs/prod/api/version\.yaml"):
        yard.guard(head)


def test_a_statement_whose_number_was_taken_meanwhile_is_what_is_wrong_and_not_the_base(
    yard: Yard, stated: Mapping[str, str]
) -> None:
    before = yard.main
    yard.observe("prod")
    stale, yard.main = yard.main, before
    yard.merge(promoted(yard, stated))
    (finding,) = yard.guard(stale).findings
    assert finding.path == "evidence/prod/000001-observed.sigstore.json"


def test_a_project_below_its_repositorys_top_is_not_guarded(yard: Yard) -> None:
    below = {f"sub/{path}": yard.read(path) for path in ("promotion.yaml", "Pulumi.dev.yaml")}
    head = yard.keep(below)
    (yard.root / "sub").mkdir()
    with yard.ground() as ground, pytest.raises(InputError, match="is a folder of the repository"):
        guard(replace(ground, root=yard.root / "sub"), head, yard.now, str)


def test_broken_evidence_of_the_base_itself_is_told_as_such(yard: Yard) -> None:
    yard.keep({first(yard): b"x"})
    with pytest.raises(CheckFailed, match="the evidence is broken: evidence/staging/000001"):
        yard.guard(yard.commit(yard.main, {"docs/x.md": b"x"}))


def test_a_request_that_stands_already_is_no_new_one(yard: Yard, stated: Mapping[str, str]) -> None:
    head = promoted(yard, stated)
    yard.merge(head)
    assert yard.guard(head).kind == "other"
    assert isinstance(yard.history().rung("prod").requests[-1][1], Request)
