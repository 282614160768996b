"""What every verb of promotion stands on: one commit of the delivered branch, and what its evidence says.

Nothing is read from the work tree and nothing is written to it: neither a dirty one nor a detached head matters.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ladder.changes.commits import checked_out, commit_of
from ladder.contract import StackSettings, ladder_settings
from ladder.contract.overlay import Overlay
from ladder.contract.problems import checked
from ladder.contract.promotion import Promotion, read_promotion
from ladder.contract.stack import Delivery, Rung
from ladder.errors import CheckFailed, InputError, Problem
from ladder.git import resolved
from ladder.promotion import Broken
from ladder.promotion.chain import Verify, read_chains
from ladder.promotion.edit import pinned
from ladder.promotion.history import History
from ladder.promotion.statements import Pinned
from ladder.strict_yaml import load
from ladder.tree import VALUES, VERSION

__all__ = ["Ground", "base_of", "standing"]

_ORDER = tuple(Rung)


@dataclass(frozen=True)
class Ground:
    """A commit: ``root`` is where its repository's work tree is, ``project`` a copy of the project at that commit."""

    root: Path
    commit: str
    project: Path
    promotion: Promotion
    stacks: Mapping[str, StackSettings]
    verify: Verify

    @cached_property
    def ladder(self) -> Sequence[str]:
        """The environments, lowest rung first."""
        return sorted(self.stacks, key=lambda name: _ORDER.index(self.stacks[name].environment.rung))

    @property
    def delivery(self) -> Delivery:
        """Where from the ladder is delivered: the repository, the branch and the tree, the same in every stack."""
        return self.stacks[self.ladder[0]].delivery

    @cached_property
    def history(self) -> History:
        """What the commit's evidence says. Raises CheckFailed where it is broken."""
        evidence = self.promotion.evidence
        folder = self.project / evidence.folder
        try:
            return History.of([*read_chains(folder, self.ladder, evidence.signers, self.verify).values()])
        except Broken as error:
            raise CheckFailed(f"the evidence is broken: {evidence.folder}/{error}") from error

    def environment(self, name: str) -> StackSettings:
        """Raises InputError where there is no such environment."""
        if name not in self.stacks:
            accepted = f"one of {', '.join(self.ladder)}"
            raise InputError(Problem(file="ENV", message="is no environment", found=name, accepted=accepted))
        return self.stacks[name]

    def services(self, environment: str) -> Sequence[str]:
        """The services that the tree has for an environment."""
        folder = self.project / self.environment(environment).delivery.path / environment
        return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []

    def version_file(self, environment: str, service: str) -> str:
        """Where a service's digests stand, relative to the project's root."""
        return f"{self.environment(environment).delivery.path}/{environment}/{service}/{VERSION}"

    def version(self, environment: str, service: str) -> tuple[str, Pinned]:
        """A service's ``version.yaml`` and the digests in it."""
        file = self.version_file(environment, service)
        try:
            text = (self.project / file).read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            accepted = f"a file as schemas/version.schema.json describes, for each service of {environment}"
            raise InputError(Problem(file=file, message="cannot be read", accepted=accepted)) from error
        return text, pinned(text, file=file)

    def queries(self, environment: str) -> Mapping[str, str]:
        """Each service's success rate, as its overlay there asks Prometheus for it."""
        values = {service: self.overlay(environment, service) for service in self.services(environment)}
        return {service: overlay.service.metrics.success_rate for service, overlay in values.items()}

    def overlay(self, environment: str, service: str) -> Overlay:
        """A service's settings in an environment. Raises InputError."""
        file = self.version_file(environment, service).removesuffix(VERSION) + VALUES
        overlay, problems = checked(load(self.project / file, name=file), Overlay)
        if overlay is None or problems:
            raise InputError(problems)
        return overlay


@contextmanager
def standing(root: Path, ref: str, *, verify: Verify | None = None, services: bool = True) -> Generator[Ground]:
    """The project at a commit; its copy goes with the context. Raises InputError with every problem of its settings.

    Signatures are believed by ``verify``; without it, by the Sigstore of the project's rules. Without ``services`` the
    copy has none of their files, which a large ladder has many of.
    """
    from ladder.promotion.sigstore import Trust

    commit = commit_of(root, ref, option="--base")
    with checked_out(root, commit, without=() if services else (VALUES, VERSION)) as project:
        promotion = read_promotion(project)
        believed = verify or Trust.of(project, promotion.sigstore).verify
        yield Ground(root, commit, project, promotion, ladder_settings(project), believed)


def base_of(root: Path, remote: str) -> str:
    """What the delivered branch is at the remote, as this clone last heard of it; without a remote, as it is here."""
    (branch,) = {settings.delivery.branch for settings in ladder_settings(root).values()}
    there = f"refs/remotes/{remote}/{branch}"
    return there if resolved(root, there) else f"refs/heads/{branch}"
