"""``favsync doctor``: find problems and show how to fix them."""

from __future__ import annotations

from dataclasses import asdict

from etl.cli.commands import verb
from etl.cli.context import Context
from etl.monitor.doctor import run_checks

MARKS = {"ok": "ok  ", "look": "look", "bad": "BAD "}


@verb("doctor")
def doctor(context: Context) -> None:
    """Check settings, clock, database, permissions, disk, API and tokens, and show how to fix each problem.

    Nothing is changed. The exit code is that of the worst problem, 0 if there is none.
    """
    findings = []
    for finding in run_checks(context.config):
        findings.append(finding)
        if not context.json:
            context.show(f"{MARKS[finding.level]} {finding.subject}: {finding.finding}")
            if finding.remedy and finding.level != "ok":
                context.show(f"     what to do: {finding.remedy}")
    context.add_exit_codes(finding.exit_code for finding in findings)
    if context.json:
        context.show_json([asdict(finding) for finding in findings])
