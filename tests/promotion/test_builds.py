"""What lets an image enter dev: three statements of it, each by the one workflow that may."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ladder.contract.promotion import Builds
from ladder.errors import CheckFailed
from ladder.promotion.builds import Build, verify_build
from ladder.promotion.sigstore import Trust
from tests.promotion.bundles import AT, JOB, SIGNED, SIGNER, STATEMENT, flipped, trusting
from tests.sigstore_stand_in import COMMIT, PROVENANCE, SBOM, SIGNATURE, Job, StandIn, provenance, said

DIGEST, OTHER = "sha256:" + "1b" * 32, "sha256:" + "2c" * 32
BUILDS = Builds(signer=SIGNER, builder="https://github.com/actions/runner/github-hosted", tokens=None)
MALLORY = Job.of(SIGNER.model_copy(update={"repository": "https://github.com/mallory/shop"}), commit="66" * 20)
NAMES = {SIGNATURE: "the signature", SBOM: "the SBOM", PROVENANCE: "the provenance"}


@pytest.fixture(scope="module")
def standin() -> StandIn:
    return StandIn()


@pytest.fixture(scope="module")
def trust(standin: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return trusting(standin, tmp_path_factory.mktemp("trust"))


@pytest.fixture(scope="module")
def made(standin: StandIn) -> dict[str, bytes]:
    """What the build pushed beside the image, by its predicates' types."""
    return standin.image(DIGEST, JOB, AT, BUILDS.builder)


@pytest.fixture(scope="module")
def foreign(standin: StandIn) -> list[bytes]:
    """What others attest of the image: a whole set, broken ones, and something else by the right workflow."""
    theirs = standin.image(DIGEST, MALLORY, AT - timedelta(days=1), BUILDS.builder)
    broken = flipped(theirs[SBOM], "dsseEnvelope", "payload")
    scanned = standin.bundle(said(DIGEST, "https://cosign.sigstore.dev/attestation/vuln/v1", {}), JOB, AT)
    return [*theirs.values(), b"", b"{", broken, scanned, standin.bundle(STATEMENT, JOB, AT)]


def refusal(trust: Trust, bundles: Iterable[bytes], builds: Builds = BUILDS) -> list[str]:
    with pytest.raises(CheckFailed) as refused:
        verify_build(trust, builds, bundles, DIGEST)
    first, *rest = str(refused.value).splitlines()
    assert first == f"{DIGEST} may not enter:"
    return rest


def test_a_signed_image_with_sbom_and_provenance_may_enter(trust: Trust, made: dict[str, bytes]) -> None:
    evidence = f"sha256:{hashlib.sha256(made[PROVENANCE]).hexdigest()}"
    assert verify_build(trust, BUILDS, made.values(), DIGEST) == Build(COMMIT, SIGNED.run, AT, evidence)


def test_a_build_on_somebodys_own_runner_may_not_enter(standin: StandIn, trust: Trust) -> None:
    own = standin.image(DIGEST, replace(JOB, runner="self-hosted"), AT, BUILDS.builder)
    (told,) = refusal(trust, own.values())
    assert told.startswith("  the provenance: was built on a runner that is self-hosted, not github-hosted")


@pytest.mark.parametrize(
    "kind", ["https://spdx.dev/Document", "https://spdx.dev/Document/v2.3", "https://cyclonedx.org/bom"]
)
def test_an_sbom_is_of_either_standard(standin: StandIn, trust: Trust, made: dict[str, bytes], kind: str) -> None:
    bundles = made | {SBOM: standin.bundle(said(DIGEST, kind, {}), JOB, AT)}
    assert verify_build(trust, BUILDS, bundles.values(), DIGEST).source == COMMIT


def test_statements_of_the_older_version_count_too(standin: StandIn, trust: Trust, made: dict[str, bytes]) -> None:
    older = said(DIGEST, SBOM, {}).replace(b"Statement/v1", b"Statement/v0.1")
    assert verify_build(trust, BUILDS, (made | {SBOM: standin.bundle(older, JOB, AT)}).values(), DIGEST)


@pytest.mark.parametrize("kind", NAMES)
def test_what_is_missing_is_named(trust: Trust, made: dict[str, bytes], kind: str) -> None:
    bundles = [content for name, content in made.items() if name != kind]
    assert refusal(trust, bundles) == [f"  {NAMES[kind]}: there is none"]


def test_everything_that_is_missing_is_told_at_once(trust: Trust) -> None:
    assert refusal(trust, []) == [f"  {name}: there is none" for name in NAMES.values()]


@pytest.mark.parametrize("kind", NAMES)
def test_each_must_be_by_the_one_workflow(standin: StandIn, trust: Trust, made: dict[str, bytes], kind: str) -> None:
    theirs = standin.image(DIGEST, MALLORY, AT, BUILDS.builder)[kind]
    (told,) = refusal(trust, (made | {kind: theirs}).values())
    assert told.startswith(f"  {NAMES[kind]}: is signed by {MALLORY.signer}")


@pytest.mark.parametrize("kind", NAMES)
def test_each_must_be_of_this_image(standin: StandIn, trust: Trust, made: dict[str, bytes], kind: str) -> None:
    other = standin.image(OTHER, JOB, AT, BUILDS.builder)[kind]
    assert refusal(trust, (made | {kind: other}).values()) == [f"  {NAMES[kind]}: speaks of another image"]


@pytest.mark.parametrize("kind", NAMES)
def test_each_must_be_what_was_signed(trust: Trust, made: dict[str, bytes], kind: str) -> None:
    altered = flipped(made[kind], "dsseEnvelope", "signatures", 0, "sig")
    (told,) = refusal(trust, (made | {kind: altered}).values())
    assert told == f"  {NAMES[kind]}: DSSE: invalid signature"


def test_a_digest_under_another_algorithm_is_not_this_image(
    standin: StandIn, trust: Trust, made: dict[str, bytes]
) -> None:
    other = said(DIGEST, SBOM, {}).replace(b'"sha256": ', b'"sha512": ')
    bundles = made | {SBOM: standin.bundle(other, JOB, AT)}
    assert refusal(trust, bundles.values()) == ["  the SBOM: speaks of another image"]


def test_one_of_several_subjects_is_enough(standin: StandIn, trust: Trust, made: dict[str, bytes]) -> None:
    both = said(DIGEST, SBOM, {}).replace(b'"subject": [', b'"subject": [{"digest": {"sha256": "00"}}, ')
    assert verify_build(trust, BUILDS, (made | {SBOM: standin.bundle(both, JOB, AT)}).values(), DIGEST)


@pytest.mark.parametrize(
    "content",
    [
        said(DIGEST, SBOM, {}).replace(b"Statement/v1", b"Statement/v2"),
        said(DIGEST, SBOM, {}).replace(b'"subject"', b'"subjects"'),
        b'{"predicateType": "https://cyclonedx.org/bom"}',
    ],
)
def test_what_is_no_statement_counts_for_nothing(
    standin: StandIn, trust: Trust, made: dict[str, bytes], content: bytes
) -> None:
    (told,) = refusal(trust, (made | {SBOM: standin.bundle(content, JOB, AT)}).values())
    assert told.startswith("  the SBOM: is no in-toto statement: ")


DEFINITION, DETAILS = "buildDefinition", "runDetails"
WORKFLOW = (DEFINITION, "externalParameters", "workflow")
SOURCE = (DEFINITION, "resolvedDependencies", 0)


@pytest.mark.parametrize(
    ("path", "value", "wrong"),
    [
        ((DETAILS, "builder", "id"), "https://evil.example", r"was built by https://evil\.example, not by https://"),
        ((DEFINITION, "buildType"), "https://slsa.dev/container-based-build/v0.1", "is of the build type .*container"),
        ((*WORKFLOW, "repository"), MALLORY.repository, "was built by .*/mallory/shop/.*, not by .*/acme/shop/"),
        ((*WORKFLOW, "path"), ".github/workflows/test.yml", "was built by .*/test.yml@"),
        ((*WORKFLOW, "ref"), "refs/heads/feature", "was built by .*@refs/heads/feature, not by .*@refs/heads/main"),
        ((*WORKFLOW, "inputs"), {"tag": "x"}, "workflow.inputs: Extra inputs"),
        ((DEFINITION, "externalParameters", "vars"), {}, "externalParameters.vars: Extra inputs"),
        ((*SOURCE, "uri"), "git+https://github.com/acme/shop@refs/heads/feature", r"tells no commit of git\+https"),
        ((*SOURCE, "digest"), {"sha1": COMMIT}, r"tells no commit of git\+https"),
        ((*SOURCE, "digest", "gitCommit"), "66" * 20, "was built from 6666.*; its certificate says 5f5f"),
        ((DEFINITION, "resolvedDependencies"), [], r"tells no commit of git\+https"),
        ((DEFINITION,), None, "is no SLSA provenance of a workflow: buildDefinition"),
        ((DETAILS,), {}, "is no SLSA provenance of a workflow: runDetails.builder: Field required"),
        ((DETAILS, "builder", "id"), 7, "is no SLSA provenance of a workflow: runDetails.builder.id"),
    ],
)
def test_a_provenance_that_tells_otherwise_is_refused(
    standin: StandIn, trust: Trust, made: dict[str, bytes], path: tuple[Any, ...], value: Any, wrong: str
) -> None:
    predicate = provenance(JOB, BUILDS.builder)
    place: Any = predicate
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    bundles = made | {PROVENANCE: standin.bundle(said(DIGEST, PROVENANCE, predicate), JOB, AT)}
    with pytest.raises(CheckFailed, match=f"(?m)^  the provenance: .*{wrong}"):
        verify_build(trust, BUILDS, bundles.values(), DIGEST)


@pytest.mark.parametrize("predicate", [None, [], "x", {}])
def test_a_provenance_without_content_is_refused(
    standin: StandIn, trust: Trust, made: dict[str, bytes], predicate: Any
) -> None:
    bundles = made | {PROVENANCE: standin.bundle(said(DIGEST, PROVENANCE, predicate), JOB, AT)}
    (told,) = refusal(trust, bundles.values())
    assert told.startswith("  the provenance: is no SLSA provenance of a workflow: ")


def test_everything_that_a_provenance_tells_otherwise_is_told_at_once(
    standin: StandIn, trust: Trust, made: dict[str, bytes]
) -> None:
    theirs = said(DIGEST, PROVENANCE, provenance(MALLORY, "https://evil.example"))
    (told,) = refusal(trust, (made | {PROVENANCE: standin.bundle(theirs, JOB, AT)}).values())
    assert told.count("; ") == 2


def test_two_commits_of_one_source_are_refused(standin: StandIn, trust: Trust, made: dict[str, bytes]) -> None:
    predicate = provenance(JOB, BUILDS.builder)
    sources = predicate["buildDefinition"]["resolvedDependencies"]
    sources.append(copy.deepcopy(sources[0]) | {"digest": {"gitCommit": "66" * 20}})
    bundles = made | {PROVENANCE: standin.bundle(said(DIGEST, PROVENANCE, predicate), JOB, AT)}
    (told,) = refusal(trust, bundles.values())
    assert told == f"  the provenance: was built from {COMMIT}, {'66' * 20}; its certificate says {COMMIT}"


def test_of_several_builds_the_first_counts(standin: StandIn, trust: Trust, made: dict[str, bytes]) -> None:
    later = replace(JOB, commit="77" * 20)
    again = standin.image(DIGEST, later, AT + timedelta(days=1), BUILDS.builder)
    for bundles in ([*made.values(), *again.values()], [*again.values(), *made.values()]):
        assert verify_build(trust, BUILDS, bundles, DIGEST).source == COMMIT
    assert verify_build(trust, BUILDS, again.values(), DIGEST).source == later.commit


@given(data=st.data())
def test_what_others_attest_neither_counts_nor_disturbs(
    trust: Trust, made: dict[str, bytes], foreign: list[bytes], data: st.DataObject
) -> None:
    kinds = data.draw(st.sets(st.sampled_from(sorted(NAMES))))
    own = [made[kind] for kind in kinds]
    beside = data.draw(st.lists(st.sampled_from(foreign), max_size=4))
    bundles = data.draw(st.permutations([*own, *beside]))
    if kinds == set(NAMES):
        assert verify_build(trust, BUILDS, bundles, DIGEST).source == COMMIT
    else:
        told = "\n".join(refusal(trust, bundles))
        assert {name for name in NAMES.values() if name in told} == {NAMES[kind] for kind in set(NAMES) - kinds}


def test_many_refusals_of_a_kind_are_not_all_told(standin: StandIn, trust: Trust, made: dict[str, bytes]) -> None:
    ref = "refs/heads/{}"
    jobs = [Job.of(SIGNER.model_copy(update={"ref": ref.format(number)})) for number in range(8)]
    theirs = [standin.bundle(said(DIGEST, SBOM, {}), job, AT) for job in jobs]
    told = refusal(trust, [made[SIGNATURE], made[PROVENANCE], *theirs, *theirs, b"junk"])
    assert len(told) == 7
    assert told[-2:] == ["  the SBOM: and 3 more that are refused", "  beside these, 1 of no kind that is asked for"]
