"""``ladder compare``"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ladder import project
from ladder.errors import CheckFailed

if TYPE_CHECKING:
    from ladder.compare import Finding


@click.command("compare")
@click.argument("stack")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(stack: str, format_: str) -> None:
    """Hold what STACK declares against 'pulumi stack export' on standard input; exit 1 where they differ.

    Run 'pulumi refresh' before the export to see what was changed outside Pulumi.
    """
    from ladder.compare import compare, read_export
    from ladder.contract import stack_file
    from ladder.recorder import record_stack

    root = project.root()
    stack_file(root, stack)
    resources = read_export(sys.stdin.buffer.read().decode("utf-8", "replace"), stack)
    findings = compare(record_stack(root, stack), resources)
    if format_ == "json":
        click.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            click.echo(_line(finding))
    if findings:
        raise CheckFailed(f"{len(findings)} differences between what {stack} declares and the state")
    if format_ == "text":
        click.echo(f"the state of {stack} is what it declares: {len(resources)} resources")


def _line(finding: Finding) -> str:
    text = f"{finding.kind}: {finding.urn}"
    if not finding.path:
        return text
    return f"{text}\n    {finding.path}: declared {json.dumps(finding.recorded)}, is {json.dumps(finding.real)}"
