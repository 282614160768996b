"""Pull requests for the guard, made by hand: what they change, and what was there before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from ladder.promotion.statements import Gate, PastGates, Pinned, Purpose, as_moment, digest_of
from tests.promotion.ladders import GREEN, SIGNERS, SOURCE, digest
from tests.promotion.yards import PACKED, Yard

__all__ = [
    "DEV",
    "NEW",
    "PROD",
    "Head",
    "altered",
    "back",
    "changed",
    "copied",
    "entering",
    "first",
    "hand",
    "new_service",
    "past",
    "promoted",
    "removed",
    "reported",
    "returning",
    "reverted",
    "seed",
    "soaked",
    "statement",
]

PROD, STAGING, DEV = (f"gitops/envs/{name}" for name in ("prod", "staging", "dev"))
NEW = "gitops/envs/{}/mail"


def hand(yard: Yard, environment: str, service: str = "api", **changed: str) -> dict[str, bytes]:
    """A digest changed by hand."""
    held = yard.versions(environment)[service]
    return yard.edits(environment, {service: held.model_copy(update=changed)})


def altered(yard: Yard, path: str, old: str, new: str) -> dict[str, bytes]:
    text = yard.read(path).decode()
    assert old in text
    return {path: text.replace(old, new).encode()}


def seed(yard: Yard, environment: str) -> dict[str, bytes]:
    path = f"gitops/envs/{environment}/api/values.yaml"
    (held,) = (line.partition("image: ")[2] for line in yard.read(path).decode().splitlines() if "shop/seed@" in line)
    return altered(yard, path, held, f"ghcr.io/acme/shop/seed@{digest('x')}")


def copied(yard: Yard, source: str, target: str, versions: Pinned | None = None) -> dict[str, bytes]:
    """A service's folder in an environment, as another's is."""
    files = {f"{target}/{name}": yard.read(f"{source}/{name}") for name in ("values.yaml", "version.yaml")}
    if versions is not None:
        text = f"image: {{digest: {versions.image}}}\nchart: {{digest: {versions.chart}}}\n"
        files[f"{target}/version.yaml"] = text.encode()
    return files


Head = Callable[[Yard, Mapping[str, str]], str]


def promoted(yard: Yard, stated: Mapping[str, str], **changed: Any) -> str:
    return yard.promotion_of("prod", yard.versions("staging"), changed.pop("rests_on", stated["staging"]), **changed)


def reported(yard: Yard, stated: Mapping[str, str]) -> str:
    load = Gate(green=True, detail="enough", evidence=digest_of(b"a report"))
    files = {f"evidence/reports/{digest_of(b'a report').removeprefix('sha256:')}.json": b"a report"}
    return promoted(yard, stated, gates=GREEN | {"load": load}, files=files)


def new_service(yard: Yard, *above: str) -> None:
    """A fourth service is in dev, pinned, and in the rungs named, and seen there."""
    wanted = Pinned(image=digest("mail"), chart=PACKED)
    request = yard.request("dev", Purpose.PIN, {"mail": wanted}, candidate=None, source=SOURCE)
    yard.state(request, copied(yard, f"{DEV}/worker", NEW.format("dev"), wanted))
    yard.observe("dev")
    for environment in above:
        folder = f"gitops/envs/{environment}"
        yard.keep(copied(yard, f"{folder}/worker", NEW.format(environment), wanted))
        yard.observe(environment)


def entering(yard: Yard, environment: str, image: str = digest("mail")) -> str:
    source, wanted = f"gitops/envs/{environment}/worker", Pinned(image=image, chart=PACKED)
    return yard.commit(yard.main, copied(yard, source, NEW.format(environment), wanted))


def removed(yard: Yard) -> None:
    """A service leaves prod, by a merge."""
    yard.keep(dict.fromkeys(f"{PROD}/api/{each}.yaml" for each in ("values", "version")))


def returning(yard: Yard, source: str, build: int | None = None) -> str:
    """The head that brings it back with the digests of another rung, or of a build."""
    versions = yard.versions(source)["api"]
    if build is not None:
        versions = versions.model_copy(update={"image": digest(f"image api {build}")})
    return yard.commit(yard.main, copied(yard, f"{STAGING}/api", f"{PROD}/api", versions))


def soaked(yard: Yard, environment: str) -> None:
    for _ in range(50):
        yard.observe(environment)
        yard.wait(timedelta(minutes=29))


def past(yard: Yard, **changed: str) -> dict[str, Any]:
    rules = {"second": "hubot", "reason": "customers cannot pay", "review_due": "2031-03-09T00:00:00Z", **changed}
    rules = {"expires": as_moment(yard.now + timedelta(hours=4)), **rules}
    gates = GREEN | {"soak": Gate(green=False, detail="too short")}
    return {"by": "octocat", "past_gates": PastGates(**rules), "gates": gates}


def back(yard: Yard, commit: str) -> None:
    yard.main = commit


def statement(yard: Yard, stated: Mapping[str, str], *, signer: str = "request", **changed: Any) -> dict[str, bytes]:
    held = yard.versions("staging")
    values = {"rests_on": stated["staging"], "gates": GREEN, **changed}
    request = yard.request("prod", Purpose.PROMOTION, held, **values)
    return yard.stated(request, signer=getattr(SIGNERS, signer))


def first(yard: Yard) -> str:
    return min(yard.files("evidence/staging"))


def changed(yard: Yard, before: str) -> Iterator[str]:
    """The files of prod that are other than they were."""
    old, new = yard.files(PROD, at=before), yard.files(PROD)
    return (path for path in new if old.get(path) != new[path])


def reverted(yard: Yard, before: str) -> dict[str, bytes | None]:
    old, new = yard.files(at=before), yard.files()
    return {path: yard.read(path, at=before) if path in old else None for path in new if old.get(path) != new[path]}
