"""The guard refuses what is not legal, with the reason and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from ladder.promotion.statements import Gate, Purpose, as_moment
from tests.promotion.guarding import (
    NEW,
    PROD,
    Head,
    altered,
    changed,
    copied,
    entering,
    first,
    hand,
    new_service,
    past,
    promoted,
    removed,
    returning,
    reverted,
    seed,
    soaked,
    statement,
)
from tests.promotion.ladders import GREEN, digest
from tests.promotion.yards import PACKED, Yard

ILLEGAL: dict[str, tuple[Head, str]] = {
    "an image of prod by hand": (
        lambda yard, _: yard.commit(yard.main, hand(yard, "prod", image=digest("mine"))),
        "gitops/envs/prod/api/version.yaml: changes what prod runs",
    ),
    "an image of staging by hand": (
        lambda yard, _: yard.commit(yard.main, hand(yard, "staging", image=digest("mine"))),
        "gitops/envs/staging/api/version.yaml: changes what staging runs",
    ),
    "staging's digests in prod by hand": (
        lambda yard, _: yard.commit(yard.main, yard.edits("prod", yard.versions("staging"))),
        "changes what prod runs",
    ),
    "a chart of prod by hand": (
        lambda yard, _: yard.commit(yard.main, hand(yard, "prod", chart=PACKED)),
        "changes what prod runs",
    ),
    "an image of dev without a pin": (
        lambda yard, _: yard.commit(yard.main, hand(yard, "dev", image=digest("mine"))),
        "is replaced in dev, and nothing says where it was built",
    ),
    "a chart of dev that is not the commit's": (
        lambda yard, _: yard.commit(yard.main, hand(yard, "dev", chart=digest("mine"))),
        f"is not what gitops/chart packs to, which is {PACKED}",
    ),
    "a chart with another chart in it": (
        lambda yard, _: yard.commit(
            yard.main, {**hand(yard, "dev", chart=PACKED), "gitops/chart/charts/more/Chart.yaml": b"name: more\n"}
        ),
        "gitops/chart/charts/more/Chart.yaml: is no file of a chart",
    ),
    "a revert of a promotion": (
        lambda yard, stated: (
            before := yard.main,
            yard.merge(promoted(yard, stated)),
            yard.commit(yard.main, {path: yard.read(path, at=before) for path in changed(yard, before)}),
        )[2],
        "changes what prod runs",
    ),
    "a revert of a promotion, its statement too": (
        lambda yard, stated: (
            before := yard.main,
            yard.merge(promoted(yard, stated)),
            yard.commit(yard.main, reverted(yard, before)),
        )[2],
        "evidence/prod/000001-request.sigstore.json: is evidence, and is removed",
    ),
    "a promotion with settings": (
        lambda yard, stated: promoted(
            yard, stated, files=altered(yard, f"{PROD}/api/values.yaml", "replicas:", "replicas: ")
        ),
        "gitops/envs/prod/api/values.yaml: stands beside a promotion",
    ),
    "a promotion with code": (
        lambda yard, stated: promoted(yard, stated, files={"ladder/cli.py": b"\n"}),
        "ladder/cli.py: stands beside a promotion",
    ),
    "a promotion with a digest of another rung": (
        lambda yard, stated: promoted(yard, stated, files=hand(yard, "staging", image=digest("mine"))),
        "gitops/envs/staging/api/version.yaml: changes what staging runs",
    ),
    "a promotion with a comment": (
        lambda yard, stated: promoted(
            yard,
            stated,
            files={
                path: content + b"# more\n" for path, content in yard.edits("prod", yard.versions("staging")).items()
            },
        ),
        "gitops/envs/prod/api/version.yaml: changes more than digests",
    ),
    "a promotion of other digests than it states": (
        lambda yard, stated: yard.commit(
            yard.main,
            {
                **statement(yard, stated),
                **yard.edits("prod", yard.versions("staging")),
                **hand(yard, "prod", image=digest("mine")),
            },
        ),
        "changes what prod runs; the statement asks for",
    ),
    "a promotion that leaves a digest as it was": (
        lambda yard, stated: yard.commit(
            yard.main,
            {
                **statement(yard, stated),
                **{
                    path: each
                    for path, each in yard.edits("prod", yard.versions("staging")).items()
                    if "/api/" not in path
                },
            },
        ),
        "gitops/envs/prod/api/version.yaml: has sha256:",
    ),
    "a promotion's statement alone": (
        lambda yard, stated: yard.commit(yard.main, statement(yard, stated)),
        "gitops/envs/prod/web/version.yaml: has sha256:",
    ),
    "a promotion that leaves a service out": (
        lambda yard, stated: (
            yard.keep(copied(yard, f"{PROD}/api", NEW.format("prod"))),
            promoted(yard, stated),
        )[1],
        "gitops/envs/prod/mail/version.yaml: is a service of prod that the statement leaves out",
    ),
    "a promotion that another workflow signed": (
        lambda yard, stated: yard.commit(
            yard.main,
            {**statement(yard, stated, signer="observed"), **yard.edits("prod", yard.versions("staging"))},
        ),
        "evidence/prod/000001-request.sigstore.json: is signed by",
    ),
    "a promotion that nobody signed": (
        lambda yard, stated: yard.commit(
            yard.main,
            {
                **{path: each[:-1] + b" " for path, each in statement(yard, stated).items()},
                **yard.edits("prod", yard.versions("staging")),
            },
        ),
        "evidence/prod/000001-request.sigstore.json: is not signed",
    ),
    "a promotion that rests on dev": (
        lambda yard, stated: promoted(yard, stated, rests_on=stated["dev"]),
        "rests on no observation of staging",
    ),
    "a promotion whose gates are closed": (
        lambda yard, stated: promoted(yard, stated, gates=GREEN | {"soak": Gate(green=False, detail="short")}),
        "passes gates that were not green: soak",
    ),
    "a promotion without its load report": (
        lambda yard, stated: promoted(
            yard, stated, gates=GREEN | {"load": Gate(green=True, detail="enough", evidence=digest("gone"))}
        ),
        "is what the statement rests on, and is not there",
    ),
    "a load report by itself": (
        lambda yard, _: yard.commit(yard.main, {f"evidence/reports/{'0a' * 32}.json": b"x"}),
        "is a report on which no statement of this pull request rests",
    ),
    "a load report under another's name": (
        lambda yard, stated: promoted(
            yard,
            stated,
            gates=GREEN | {"load": Gate(green=True, detail="enough", evidence=f"sha256:{'0a' * 32}")},
            files={f"evidence/reports/{'0a' * 32}.json": b"x"},
        ),
        "is not the report that the statement rests on",
    ),
    "two requests": (
        lambda yard, stated: (
            first := promoted(yard, stated),
            request := yard.request("staging", Purpose.ROLLBACK, yard.versions("staging"), rests_on=stated["staging"]),
            yard.commit(first, yard.stated(request)),
        )[2],
        "is a second request",
    ),
    "a promotion of what is unhealthy now": (
        lambda yard, stated: (head := promoted(yard, stated), yard.observe("staging", "a pod is gone"), head)[2],
        "staging was not last observed running rc-",
    ),
    "a promotion that nobody looked at for long": (
        lambda yard, stated: (head := promoted(yard, stated), yard.wait(timedelta(hours=1)), head)[2],
        "staging was not observed since",
    ),
    "a promotion into a rung that is pinned": (
        lambda yard, stated: (
            held := yard.versions("staging"),
            yard.state(yard.request("staging", Purpose.ROLLBACK, held, rests_on=stated["staging"])),
            yard.build(2),
            cut := yard.cut(yard.observe("dev")),
            yard.promotion_of("staging", yard.versions("dev"), cut),
        )[4],
        "enters while a rollback pins the rung",
    ),
    "a promotion into a rung that holds another": (
        lambda yard, _: (
            yard.build(2),
            cut := yard.cut(yard.observe("dev")),
            yard.promotion_of("staging", yard.versions("dev"), cut),
        )[2],
        "until prod runs it",
    ),
    "a promotion past its gates, too late": (
        lambda yard, stated: promoted(yard, stated, **past(yard, expires=as_moment(yard.now - timedelta(hours=1)))),
        "what let it past its gates ended at",
    ),
    "attributes at the top": (
        lambda yard, _: yard.commit(yard.main, {".gitattributes": b"gitops/** working-tree-encoding=UTF-16LE\n"}),
        ".gitattributes: would have git write other files than it keeps",
    ),
    "attributes beside the environments": (
        lambda yard, _: yard.commit(yard.main, {"gitops/.gitattributes": b"* ident\n"}),
        "gitops/.gitattributes: would have git write other files",
    ),
    "attributes of evidence": (
        lambda yard, _: yard.commit(yard.main, {"evidence/.gitattributes": b"* eol=crlf\n"}),
        "evidence/.gitattributes: ",
    ),
    "half of a service removed": (
        lambda yard, _: yard.commit(yard.main, {f"{PROD}/api/version.yaml": None}),
        "gitops/envs/prod/api: would be half a service",
    ),
    "the other half removed": (
        lambda yard, _: yard.commit(yard.main, {f"{PROD}/api/values.yaml": None}),
        "gitops/envs/prod/api: would be half a service",
    ),
    "a service that was removed, back with another digest": (
        lambda yard, _: (yard.observe("prod"), removed(yard), returning(yard, "staging"))[2],
        "gitops/envs/prod/api/version.yaml: prod had it before, with the image",
    ),
    "a service that only a request ever wanted otherwise": (
        lambda yard, stated: (yard.merge(promoted(yard, stated)), removed(yard), returning(yard, "dev", build=2))[2],
        "prod had it before, with the image",
    ),
    "a new service while a rollback pins the rung": (
        lambda yard, stated: (
            new_service(yard),
            yard.state(yard.request("staging", Purpose.ROLLBACK, yard.versions("staging"), rests_on=stated["staging"])),
            entering(yard, "staging"),
        )[2],
        "enters staging while a rollback pins it",
    ),
    "a new service in prod that nobody looked at for long": (
        lambda yard, _: (
            new_service(yard, "staging"),
            soaked(yard, "staging"),
            yard.wait(timedelta(days=300)),
            entering(yard, "prod"),
        )[3],
        "staging was not observed since",
    ),
    "a promotion whose soak began anew since it was asked for": (
        lambda yard, stated: (
            head := promoted(yard, stated),
            yard.observe("staging", "a pod is gone"),
            yard.observe("staging"),
            head,
        )[3],
        "staging was not healthy all the time since: its soak began anew",
    ),
    "a stack removed": (
        lambda yard, _: yard.commit(yard.main, {"Pulumi.staging.yaml": None}),
        "Pulumi.staging.yaml: would make another ladder",
    ),
    "a stack file that is a link": (
        lambda yard, _: yard.commit(yard.main, {"Pulumi.qa.yaml": "/etc/hostname"}),
        "Pulumi.qa.yaml: is a symbolic link",
    ),
    "evidence altered": (
        lambda yard, _: yard.commit(yard.main, {first(yard): b"x"}),
        "is evidence, and is altered",
    ),
    "evidence removed": (
        lambda yard, _: yard.commit(yard.main, {first(yard): None}),
        "is evidence, and is removed",
    ),
    "evidence of no environment": (
        lambda yard, _: yard.commit(yard.main, {"evidence/qa/000001-observed.sigstore.json": b"x"}),
        "is no statement of an environment",
    ),
    "evidence that leaves a number out": (
        lambda yard, _: yard.commit(yard.main, {"evidence/prod/000002-observed.sigstore.json": b"x"}),
        "statement 1 of prod is missing",
    ),
    "evidence that is a link": (
        lambda yard, _: yard.commit(yard.main, {"evidence/prod/000001-observed.sigstore.json": f"../../{first(yard)}"}),
        "evidence/prod/000001-observed.sigstore.json: is a symbolic link",
    ),
    "Argo CD's override": (
        lambda yard, _: yard.commit(yard.main, {f"{PROD}/api/.argocd-source.yaml": b"helm: {}\n"}),
        "would override what the files say",
    ),
    "Argo CD's override of one application": (
        lambda yard, _: yard.commit(yard.main, {f"{PROD}/api/.argocd-source-prod-api.yaml": b"helm: {}\n"}),
        "would override what the files say",
    ),
    "a version that is a link": (
        lambda yard, _: yard.commit(yard.main, {f"{PROD}/api/version.yaml": "../../dev/api/version.yaml"}),
        "gitops/envs/prod/api/version.yaml: is a symbolic link",
    ),
    "a tree that is a link": (
        lambda yard, _: yard.commit(
            yard.main, {**dict.fromkeys(yard.files("gitops")), "gitops": "elsewhere", "elsewhere/x": b"x"}
        ),
        "gitops: stands where a folder must be",
    ),
    "values that shadow others": (
        lambda yard, _: yard.commit(yard.main, {f"{PROD}/api/values-prod.yaml": b"{}\n"}),
        "gitops/envs/prod/api/values-prod.yaml: is none of a service's files",
    ),
    "values in other letters": (
        lambda yard, _: yard.commit(yard.main, {f"{PROD}/api/Values.yaml": b"{}\n"}),
        "is none of a service's files",
    ),
    "a service in a service": (
        lambda yard, _: yard.commit(yard.main, copied(yard, f"{PROD}/api", f"{PROD}/api/more")),
        "is none of a service's files",
    ),
    "an environment that there is not": (
        lambda yard, _: yard.commit(yard.main, copied(yard, f"{PROD}/api", "gitops/envs/qa/api")),
        "is none of a service's files",
    ),
    "a new service in dev without a pin": (
        lambda yard, _: entering(yard, "dev"),
        "enters dev, and nothing says where it was built",
    ),
    "a new service in staging that dev does not run": (
        lambda yard, _: entering(yard, "staging"),
        "dev was not last observed running mail at these digests",
    ),
    "a new service in staging with other digests": (
        lambda yard, _: (new_service(yard), entering(yard, "staging", digest("mine")))[1],
        "dev was not last observed running mail at these digests",
    ),
    "a new service in prod that has not soaked": (
        lambda yard, _: (new_service(yard, "staging"), entering(yard, "prod"))[1],
        "has not soaked in staging for 24h yet",
    ),
    "another seed in staging, dev not having it": (
        lambda yard, _: yard.commit(yard.main, seed(yard, "staging")),
        "and dev does not have it",
    ),
    "another seed in both at once": (
        lambda yard, _: yard.commit(yard.main, seed(yard, "dev") | seed(yard, "staging")),
        "and dev does not have it",
    ),
    "everything from another repository": (
        lambda yard, _: yard.commit(
            yard.main,
            {
                path: each
                for stack in ("dev", "staging", "prod")
                for path, each in altered(
                    yard, f"Pulumi.{stack}.yaml", "acme/environment-ladder", "acme/elsewhere"
                ).items()
            },
        ),
        "Pulumi.prod.yaml: delivery.repository would be https://github.com/acme/elsewhere",
    ),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_is_not_legal_is_refused_with_the_reason_and_what_to_do_instead(
    name: str, yard: Yard, stated: Mapping[str, str]
) -> None:
    head, says = ILLEGAL[name]
    made = head(yard, stated)
    findings = yard.guard(made).findings
    assert any(says in f"{each.path}: {each.message}" for each in findings), [str(each) for each in findings]
    assert all(each.instead for each in findings)
