"""Bringing a statement, and the digests it speaks of, to the remote: one commit, one push, all of it or nothing.

The commit is made beside the work tree, of git's own objects; until the push nobody sees it, and what is ended before
leaves objects that git collects.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ladder.errors import CheckFailed
from ladder.git import git, said
from ladder.promotion import Broken
from ladder.promotion.chain import LARGEST, file_name, misplaced
from ladder.promotion.ground import Ground
from ladder.promotion.promote import Plan
from ladder.promotion.statements import Kind, Link, as_statement, signer_of

__all__ = ["Sign", "publish", "push_branch", "push_commit", "signed_file", "state"]

Sign = Callable[[bytes], bytes]
"""Signs a statement as whoever runs this; the answer is a bundle."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where git works: its top folder, and the project's below it."""

    top: Path
    below: str

    @classmethod
    def of(cls, root: Path) -> _Place:
        top, below = (said(root, "rev-parse", option).rstrip("\n") for option in ("--show-toplevel", "--show-prefix"))
        return cls(Path(top), below)


def signed_file(ground: Ground, link: Link, sign: Sign) -> Mapping[str, bytes]:
    """The statement's file. Raises CheckFailed where it would not be believed as the next of its chain."""
    bundle = sign(as_statement(link))
    evidence = ground.promotion.evidence
    signer = signer_of(Kind(link.kind), evidence.signers)
    try:
        signed = ground.verify(bundle, signer)
        if signed.statement != as_statement(link):
            raise Broken("holds another statement")
    except Broken as error:
        what = f"an {link.kind}" if link.kind in {Kind.APPROVAL, Kind.OBSERVED} else f"a {link.kind}"
        raise CheckFailed(f"only {signer.subject} may state {what}: what was signed here {error}") from error
    before = ground.history.rung(link.environment).chain.entries
    wrong = [*misplaced(link, Kind(link.kind), link.environment, before, signed.logged)]
    if len(bundle) > LARGEST:
        wrong.append(f"is larger than {LARGEST} bytes")
    if wrong:
        raise CheckFailed(f"what was signed {wrong[0]}: nobody could read the chain with it; run this again")
    return {f"{evidence.folder}/{link.environment}/{file_name(link)}": bundle}


def push_commit(ground: Ground, remote: str, branch: str, files: Mapping[str, bytes], message: str) -> str:
    """Put the files on the delivered branch itself; answers the commit.

    Raises CheckFailed where the branch has moved on: then the chain may have too, and all is to be done anew.
    """
    commit = _commit(ground, files, message)
    done = git(ground.root, "push", "--porcelain", "--quiet", remote, f"{commit}:refs/heads/{branch}")
    if done.returncode:
        raise CheckFailed(_refused(remote, branch, done.stdout, done.stderr))
    return commit


def push_branch(ground: Ground, remote: str, branch: str, files: Mapping[str, bytes], message: str) -> str:
    """Put the files on a branch of their own, in place of what it held; answers the commit."""
    held = said(ground.root, "ls-remote", remote, f"refs/heads/{branch}").partition("\t")[0]
    commit = _commit(ground, files, message)
    # Who pushed to it meanwhile is not overwritten.
    lease = f"--force-with-lease=refs/heads/{branch}:{held}"
    done = git(ground.root, "push", "--porcelain", "--quiet", lease, remote, f"{commit}:refs/heads/{branch}")
    if done.returncode:
        raise CheckFailed(_refused(remote, branch, done.stdout, done.stderr))
    return commit


def state(ground: Ground, remote: str, link: Link, message: str) -> str:
    """Sign a statement as whoever runs this, and put it on the delivered branch; answers the commit.

    Raises CheckFailed as :func:`signed_file` and :func:`push_commit`.
    """
    from ladder.promotion.sigstore import Signing

    signed = signed_file(ground, link, Signing.of(ground.project, ground.promotion.sigstore).sign)
    return push_commit(ground, remote, ground.delivery.branch, signed, message)


def publish(ground: Ground, planned: Plan, title: str, remote: str, *, pull_request: bool) -> Iterator[str]:
    """Sign the plan's request, push it with the digests it speaks of on a branch of their own, and open a pull request.

    Yields what was done, a line each.
    """
    from ladder.promotion.github import github
    from ladder.promotion.sigstore import Signing

    sign = Signing.of(ground.project, ground.promotion.sigstore).sign
    files = {**planned.files, **signed_file(ground, planned.request, sign)}
    branch, delivered = planned.branch, ground.delivery
    yield f"{branch} is at {push_branch(ground, remote, branch, files, title)}"
    if not pull_request:
        return
    with github(ground.promotion.github.api, delivered.repository) as asked:
        address, new = asked.pull_request(branch, delivered.branch, title, planned.described())
    yield f"{'opened' if new else 'open already:'} {address}"


def _commit(ground: Ground, files: Mapping[str, bytes], message: str) -> str:
    place = _Place.of(ground.root)
    with tempfile.TemporaryDirectory(prefix="ladder-commit-") as directory:
        index = {"GIT_INDEX_FILE": f"{directory}/index"}
        said(place.top, "read-tree", ground.commit, extra=index)
        for number, (path, content) in enumerate(sorted(files.items())):
            written = Path(directory, str(number))
            written.write_bytes(content)
            name = said(place.top, "hash-object", "-w", "--no-filters", "--", str(written)).strip()
            entry = f"100644,{name},{place.below}{path}"
            said(place.top, "update-index", "--add", "--cacheinfo", entry, extra=index)
        tree = said(place.top, "write-tree", extra=index).strip()
    return said(place.top, "commit-tree", tree, "-p", ground.commit, "-m", message).strip()


def _refused(remote: str, branch: str, out: str, complaints: str) -> str:
    told = " ".join(f"{out} {complaints}".split())[:500]
    if "rejected" in told or "stale info" in told or "cannot lock ref" in told:
        return f"{branch} at {remote} has moved on meanwhile, so another was first: fetch, and run this again ({told})"
    return f"git push: {told}"
