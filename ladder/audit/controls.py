"""The control matrix: what the project does for a control, by which rules and parts of the proof, and what it cannot.

Titles are those of the AICPA's Trust Services Criteria (2017, points of focus revised 2022) and of ISO/IEC 27001:2022,
Annex A. A control is never met by this project alone: ``beyond`` says what somebody else has to show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ladder.audit.report import Control, Evidence, PartResult, RuleResult

__all__ = ["MATRIX", "controls"]

SOC2, ISO = "SOC 2", "ISO 27001:2022"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A control, and the names of its evidence: rules without ``rules/``, parts of the proof, files."""

    id: str
    framework: str
    title: str
    says: str
    rules: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    beyond: str


MATRIX: tuple[Entry, ...] = (
    Entry(
        id="CC6.1",
        framework=SOC2,
        title="Logical access security software, infrastructure and architectures",
        says="Each environment is an account and a cluster of its own. Roles, keys, buckets and Kubernetes rights name "
        "who is let in and to what; nothing is public.",
        rules=(
            "private-buckets",
            "readable-policies",
            "named-principals",
            "named-grants",
            "one-subject",
            "other-accounts-denied",
            "deputies-bound",
            "exact-rights",
            "key-separation",
            "unreached",
            "apart",
            "seen-types",
        ),
        beyond="Who people are and may assume the administering roles (IAM Identity Center), IAM policies and KMS "
        "grants made outside this program.",
    ),
    Entry(
        id="CC7.2",
        framework=SOC2,
        title="Monitoring of system components for anomalies",
        says="What is deployed can be held against what is declared at any time: a difference is named with its "
        "resource and property. A rollout that misses its success rate stops by itself.",
        rules=("labelled", "tagged", "evidence-locked"),
        parts=("order",),
        files=(".github/workflows/drift.yml",),
        beyond="Alerting, log analysis and on-call: this project declares where logs go and compares; it watches "
        "nothing.",
    ),
    Entry(
        id="CC8.1",
        framework=SOC2,
        title="Authorisation, testing and approval of changes",
        says="One program and one chart make every environment; only digests climb. Every difference between "
        "environments has a reason in a reviewed contract, and production changes only when a person says so.",
        rules=("image-admission", "exact-projects", "kept-applications"),
        parts=("contract", "law", "explained", "order", "planes"),
        files=(".github/CODEOWNERS", ".github/rulesets/main.json"),
        beyond="That the ruleset is active and the reviewers are who they should be: ladder doctor asks GitHub.",
    ),
    Entry(
        id="A.5.3",
        framework=ISO,
        title="Segregation of duties",
        says="Who administers a key cannot use it; what delivers into a namespace can change neither its guardrails "
        "nor its rights; owners review what they own.",
        rules=("key-separation", "exact-rights", "delivery-rails", "own-destinations", "no-identity"),
        files=(".github/CODEOWNERS",),
        beyond="That no person holds two of the roles: the directory knows.",
    ),
    Entry(
        id="A.8.15",
        framework=ISO,
        title="Logging",
        says="Each environment has an encrypted bucket for logs that only AWS's log delivery for this account writes, "
        "and one bucket under Object Lock, which keeps every version for a time that is set.",
        rules=("evidence-locked", "deputies-bound", "versioned"),
        beyond="That CloudTrail and the cluster's audit log are turned on: they belong to the account's own setup.",
    ),
    Entry(
        id="A.8.24",
        framework=ISO,
        title="Use of cryptography",
        says="Every bucket is encrypted with a key of its environment; keys rotate within a year and cannot be gone "
        "unnoticed; plain HTTP is refused.",
        rules=("own-key", "key-rotation", "key-deletion-window", "key-separation", "tls-only"),
        beyond="Encryption of volumes and of the cluster's etcd, and TLS between pods.",
    ),
    Entry(
        id="A.8.31",
        framework=ISO,
        title="Separation of development, test and production environments",
        says="No stack's policies let in another's principals or reach its data; no two declare one thing; delivery "
        "goes to its own namespaces. The same code makes all of them.",
        rules=(
            "apart",
            "unreached",
            "unshared-names",
            "own-destinations",
            "host-admission",
            "guarded-providers",
            "guarded-namespaces",
        ),
        parts=("law", "planes"),
        beyond="That NetworkPolicies are enforced: the cluster's network plugin does, or does not.",
    ),
    Entry(
        id="A.8.32",
        framework=ISO,
        title="Change management",
        says="A pull request shows what it changes in every environment before it is merged; what is protected or "
        "retained is not deleted by a removed line.",
        rules=("kept-applications", "real-data-protected", "real-data-retained", "not-emptied", "image-admission"),
        parts=("contract", "explained", "order"),
        files=(".github/workflows/changes.yml",),
        beyond="That what was reviewed is what was deployed: ladder compare holds the exported state against this.",
    ),
    Entry(
        id="A.8.33",
        framework=ISO,
        title="Test information",
        says="The class of an environment's data is declared, tagged on every resource and never rises going down; "
        "real data stands in the highest environment alone, and no lower one can reach it.",
        rules=("tagged", "unreached", "real-data-protected"),
        parts=("order",),
        beyond="What the data itself is: the class is declared, nobody reads the rows.",
    ),
)
"""The controls, in the order of a report."""


def controls(root: Path, rules: Mapping[str, RuleResult], parts: Mapping[str, PartResult]) -> Iterator[Control]:
    """Every control with the evidence as it stands; ``rules`` and ``parts`` by id and name."""
    for each in MATRIX:
        evidence = [
            *(Evidence(kind="rule", name=f"rules/{name}", holds=rules[f"rules/{name}"].holds) for name in each.rules),
            *(Evidence(kind="part", name=name, holds=parts[name].proven) for name in each.parts),
            *(Evidence(kind="file", name=name, holds=(root / name).is_file()) for name in each.files),
        ]
        yield Control(
            id=each.id,
            framework=each.framework,
            title=each.title,
            says=each.says,
            evidence=tuple(evidence),
            beyond=each.beyond,
        )
