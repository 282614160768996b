"""What the report claims, sentence by sentence, and the command that checks each again at the report's commit."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping

from ladder.audit.report import Claim, Found, PartResult, RuleResult
from ladder.parity.ladder import Ladder
from ladder.tree import VERSION

__all__ = ["claims"]

_PARTS = {
    "contract": "Every setting is equal in all environments, or has a reason to differ, or a live exception.",
    "law": "Neither the program nor the chart decides anything by where it runs.",
    "explained": "Every property that differs between neighbours follows from a setting that may differ.",
    "order": "Going up, data never gets less real, rollouts never bolder; the rung below prod has prod's shape.",
    "planes": "What delivery asks for, its own environment grants; what overlays name is that environment's own.",
}


def claims(
    ladder: Ladder,
    parts: Mapping[str, PartResult],
    rules: Mapping[str, RuleResult],
    checks: Collection[Found],
    *,
    commit: str,
    as_of: str,
    rendered: bool,
) -> Iterator[Claim]:
    """Claims in the order of the report; those that only a live system can tell come last."""
    render = "" if rendered else " --no-render"
    for name, says in _PARTS.items():
        command = f"ladder parity{'' if name in {'law', 'explained'} else ' --no-render'}"
        command += render if name in {"law", "explained"} else ""
        yield Claim(id=f"parity-{name}", says=says, holds=parts[name].proven, command=command)
    kept = all(rule.holds for rule in rules.values())
    says = f"Every declared resource keeps all {len(rules)} rules."
    yield Claim(id="rules", says=says, holds=kept, command="ladder check --no-render")
    says = "Anonymized data has a procedure that is not over; images come from the registries that settings name."
    yield Claim(id="checks", says=says, holds=not checks, command="ladder check --no-render")
    for name in ladder.settings:
        says = f"{name} declares the resources listed."
        yield Claim(id=f"declared-{name}", says=says, holds=None, command=f"ladder record {name}")
    for environment in ladder.environments:
        folder = (ladder.tree.path / environment.name).as_posix()
        pathspec = shlex.quote(f"{folder}/*/{VERSION}")
        command = f"git grep -n digest {commit[:12]} -- {pathspec}"
        says = f"{environment.name} is told to run the digests listed."
        yield Claim(id=f"digests-{environment.name}", says=says, holds=None, command=command)
    command = f"ladder audit{render} --as-of {as_of} --out again"
    says = "The same commit and day give the same report, byte for byte."
    yield Claim(id="report", says=says, holds=None, command=command)
    for name in ladder.settings:
        says = f"What is deployed as {name} is what is declared."
        command = f"pulumi stack export -s {name} | ladder compare {name}"
        yield Claim(id=f"deployed-{name}", says=says, holds=None, command=command)
        says = f"{name}'s cluster, accounts and repository rules are as the settings need them."
        yield Claim(id=f"live-{name}", says=says, holds=None, command=f"ladder doctor {name}")
