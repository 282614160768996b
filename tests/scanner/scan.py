"""Scans the manifests below a directory with checkov's rules for Kubernetes; prints what failed as JSON.

Run in the scanner's environment. The command line of checkov loads every framework it knows, which takes twice as
long, and looks for a platform to talk to; this does neither.
"""

from __future__ import annotations

import json
import sys

from checkov.kubernetes.runner import Runner
from checkov.runner_filter import RunnerFilter


def main(directory: str) -> None:
    report = Runner().run(root_folder=directory, runner_filter=RunnerFilter(framework=["kubernetes"]))
    failed = [
        {"check": each.check_id, "name": each.check_name, "file": each.file_path, "resource": each.resource}
        for each in report.failed_checks
    ]
    scanned = sorted({(each.file_path, each.resource) for each in (*report.passed_checks, *report.failed_checks)})
    json.dump({"failed": failed, "scanned": scanned, "unreadable": sorted(report.parsing_errors)}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
