"""``favsync doctor``: what is wrong and what to do."""

from __future__ import annotations

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option
from etl.cli.sync import worst_exit_code

MARKS = {"ok": "ok  ", "look": "look", "bad": "BAD "}


@click.command("doctor", cls=Verb)
@json_option
@pass_context
def doctor(context: Context) -> int:
    """Look for what is wrong: settings, clock, database, rights, disk, API, tokens; each with its remedy.

    Nothing is changed. Exit code 0 if nothing is bad, else that of the worst finding.
    """
    from dataclasses import asdict

    from etl.monitor.doctor import run_checks

    findings = []
    for finding in run_checks(context.config):
        findings.append(finding)
        if not context.json:
            context.show(f"{MARKS[finding.level]} {finding.subject}: {finding.finding}")
            if finding.remedy and finding.level != "ok":
                context.show(f"     what to do: {finding.remedy}")
    context.exit_code = worst_exit_code([finding.exit_code for finding in findings])
    if context.json:
        context.show_json([asdict(finding) for finding in findings])
    return context.exit_code
