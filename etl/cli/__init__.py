"""The command line: the table of verbs and the entry point `main`.

This module and what it imports need click alone, so that ``favsync --help`` is quick. A verb's module is imported when the
verb is used, so it may import what it needs at its top; `sync` and `status` import late, for a quick ``--help``.
A new verb is one line in `VERBS`.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Sequence

from etl.cli.commands import LazyGroup
from etl.cli.context import Context
from etl.cli.errors import run

VERBS = {
    "demo": ("etl.cli.demo", "demo", "Try favsync without credentials."),
    "sync": ("etl.cli.sync", "sync", "Sync favourites now."),
    "backfill": ("etl.cli.backfill", "backfill", "Re-read the whole list, or import past exports."),
    "runs": ("etl.cli.runs", "runs", "List runs; approve, reject or retract them."),
    "history": ("etl.cli.history", "history", "Show what happened to a track, an artist's tracks or an account."),
    "as-of": ("etl.cli.as_of", "as_of", "Show the favourites at a time, or the changes between two times."),
    "rebuild": ("etl.cli.rebuild", "rebuild", "Recompute the history from the stored snapshots, or check it."),
    "prune": ("etl.cli.prune", "prune", "Delete old raw data without changing the history."),
    "report": ("etl.cli.report", "report", "Show a report as a table, a file or an HTML page."),
    "digest": ("etl.cli.digest", "digest", "Summarise the changes since the last digest, for mail or chat."),
    "export": ("etl.cli.export", "export", "Write every table and view to files."),
    "db": ("etl.cli.db", "db", "Upgrade and check the database schema."),
    "schedule": ("etl.cli.schedule", "schedule", "Sync on a schedule, unattended."),
    "worker": ("etl.cli.worker", "worker", "Sync the due accounts, in as many processes as you like."),
    "enqueue": ("etl.cli.worker", "enqueue", "Make accounts due now."),
    "workers": ("etl.cli.worker", "workers", "Show the worker processes."),
    "accounts": ("etl.cli.accounts", "accounts", "Add, list, change, check and remove accounts; sign in."),
    "status": ("etl.cli.status", "status", "Show how fresh each account is; exit codes for a monitor."),
    "doctor": ("etl.cli.doctor", "doctor", "Find problems and show how to fix them."),
    "config": ("etl.cli.config", "config", "Show every setting, its value and its source."),
    "sandbox": ("etl.cli.sandbox", "sandbox", "Run a fake Boomplay API on this machine."),
}
EXIT_CODES = (
    ("0", "success; `sync`: the list was read completely"),
    ("1", "`rebuild --check`: the history differs from the snapshots"),
    ("2", "wrong usage or an invalid setting"),
    ("3", "Boomplay's API is unreachable or refuses requests"),
    ("4", "the token is missing, dead or another user's"),
    ("5", "the database failed"),
    ("6", "partial: the list could not be proven complete; nothing was removed"),
    ("7", "held: removals wait for `favsync runs approve`"),
    ("70", "a bug in favsync"),
    ("75", "another run of this account is in progress"),
    ("130", "interrupted"),
)

app = LazyGroup(
    "favsync",
    verbs=VERBS,
    exit_codes=EXIT_CODES,
    help="Copy a Boomplay user's favourite tracks into a database and keep their history.\n\n"
    "Results go to standard output; progress and messages go to standard error. Global options may come before or after "
    "the verb. An option overrides its environment variable, which overrides the settings file.",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``favsync`` with ``argv`` (default: the process's own arguments) and return its exit code."""
    gc.set_threshold(200_000, 20, 50)  # a run keeps what it allocates until its end: collections would find nothing
    atexit.register(gc.freeze)  # the final collection took a sixth of an unchanged sync
    return run(app, argv, Context())
