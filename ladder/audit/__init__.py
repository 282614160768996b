"""The audit: one report for who has to judge the ladder without running it, with a command for every claim."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from ladder.audit.claims import claims
from ladder.audit.controls import controls
from ladder.audit.declared import buckets, key_rights, resources
from ladder.audit.report import Digests, Environment, Exemption, Found, PartResult, Report, RuleResult
from ladder.audit.settings import side_by_side
from ladder.changes.commits import commits
from ladder.changes.report import Commits
from ladder.check.granted import granted
from ladder.check.procedures import procedures
from ladder.check.registries import registries
from ladder.check.stacks import Stack
from ladder.contract.exceptions import live
from ladder.contract.stack import StackSettings
from ladder.parity import proven, read
from ladder.parity.ladder import Ladder
from ladder.parity.proof import Part, Proof
from ladder.recording import Recording
from ladder.rules import RULES, results
from sandbox.progress import Progress

__all__ = ["Report", "audit", "report_of"]


def audit(root: Path, progress: Progress, *, as_of: date, render: bool = True) -> Report:
    """Audit the project at ``root``, with the exceptions that are live on the day ``as_of``.

    What is violated is in the report. Raises InputError where files are not as they must be or nothing is committed,
    and CheckFailed where a stack's program fails or what rendering needs cannot be had.
    """
    commit = commits(root, "HEAD")
    ladder = read(root, progress)
    proof, recordings = proven(ladder, progress, today=as_of, render=render)
    progress.step("apply the rules")
    return report_of(ladder, proof, recordings, commit=commit, as_of=as_of)


def report_of(
    ladder: Ladder, proof: Proof, recordings: Mapping[str, Recording], *, commit: Commits, as_of: date
) -> Report:
    """The report of what was proven and recorded already."""
    rules = {rule.id: rule for rule in _rules(recordings)}
    parts = {part.name: _part(part) for part in proof.parts}
    checks = tuple(_checks(ladder, recordings, as_of))
    told = claims(ladder, parts, rules, checks, commit=commit.head, as_of=as_of.isoformat(), rendered=proof.rendered)
    return Report(
        project=next((each.project for each in recordings.values()), ""),
        commit=commit.head,
        edited=commit.edited,
        as_of=as_of.isoformat(),
        rendered=proof.rendered,
        environments=tuple(_environments(ladder)),
        settings=tuple(side_by_side(ladder, live(ladder.exceptions, as_of))),
        resources=tuple(resources(recordings)),
        rules=tuple(rules.values()),
        parts=tuple(parts.values()),
        checks=checks,
        categories=proof.categories(),
        buckets=tuple(buckets(recordings)),
        key_rights=tuple(key_rights(recordings)),
        exceptions=tuple(_exceptions(ladder, as_of)),
        controls=tuple(controls(ladder.root, rules, parts)),
        claims=tuple(told),
    )


def _checks(ladder: Ladder, recordings: Mapping[str, Recording], as_of: date) -> Iterator[Found]:
    for name, settings in ladder.settings.items():
        stack = Stack(ladder.root, name, settings, recordings[name], granted(recordings[name]))
        yield from map(Found.of, (*registries(stack), *procedures(stack, as_of)))


def _part(part: Part) -> PartResult:
    findings = tuple(map(Found.of, part.findings))
    return PartResult(name=part.name, proven=part.proven, looked_at=dict(part.looked_at), findings=findings)


def _rules(recordings: Mapping[str, Recording]) -> Iterator[RuleResult]:
    found: dict[str, dict[str, tuple[Found, ...]]] = {rule.id: {} for rule in RULES}
    for result in results(recordings):
        found[result.rule.id][result.stack] = tuple(map(Found.of, result.findings))
    for rule in RULES:
        yield RuleResult(id=rule.id, title=rule.title, protects=rule.protects, stacks=found[rule.id])


def _environments(ladder: Ladder) -> Iterator[Environment]:
    for each in ladder.environments:
        services = {
            name: Digests(image=service.version.image.digest, chart=service.version.chart.digest)
            for name, service in each.services.items()
        }
        if each.settings is None:
            yield Environment(name=each.name, services=services)
        else:
            yield _stack(each.name, each.settings, services)


def _stack(name: str, settings: StackSettings, services: dict[str, Digests]) -> Environment:
    return Environment(
        name=name,
        rung=settings.environment.rung.value,
        owner=settings.environment.owner,
        account=settings.cloud.account,
        region=settings.cloud.region,
        cluster=settings.cluster.identifier,
        domain=settings.hosts.domain,
        data_class=settings.data.data_class.value,
        tier=settings.tier.level.value,
        delivery="by itself" if settings.delivery.sync.automated else "when told to",
        services=services,
    )


def _exceptions(ladder: Ladder, as_of: date) -> Iterator[Exemption]:
    for name, each in ladder.exceptions.exceptions.items():
        yield Exemption(
            name=name,
            environment=each.environment,
            service=each.service,
            path=each.path,
            owner=each.owner,
            reason=each.reason,
            expires=each.expires,
            days_left=(date.fromisoformat(each.expires) - as_of).days,
        )
