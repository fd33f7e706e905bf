"""The command line: the table of verbs and the entry point `main`.

This module and what it imports need click alone, so that ``favsync --help`` is quick. A verb's module is imported when the
verb is used, so it may import what it needs at its top; `sync` and `status` only declare their options there, for a quick
``--help``.
A new verb is one line in `VERBS`.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Sequence

from etl.cli.commands import LazyGroup
from etl.cli.errors import run

VERBS = {
    "demo": ("etl.cli.demo", "demo", "See what favsync does, without credentials."),
    "sync": ("etl.cli.sync", "sync", "Copy the current favourites into the database."),
    "backfill": ("etl.cli.backfill", "backfill", "Read the whole list again, or import past exports."),
    "runs": ("etl.cli.runs", "runs", "See what each sync did; approve, reject or retract it."),
    "history": ("etl.cli.history", "history", "See when tracks were added, went missing or changed."),
    "as-of": ("etl.cli.as_of", "as_of", "See the favourites at a time, or the changes between two times."),
    "rebuild": ("etl.cli.rebuild", "rebuild", "Recompute the history from the stored snapshots, or check it."),
    "prune": ("etl.cli.prune", "prune", "Free space: delete old raw data, keep the history."),
    "report": ("etl.cli.report", "report", "Get a report as a table, a file or a web page."),
    "digest": ("etl.cli.digest", "digest", "Get the changes since the last digest, for mail or chat."),
    "export": ("etl.cli.export", "export", "Get every table and view as files."),
    "db": ("etl.cli.db", "db", "Upgrade and check the database schema."),
    "schedule": ("etl.cli.schedule", "schedule", "Sync unattended, each account on its own schedule."),
    "worker": ("etl.cli.worker", "worker", "Sync the due accounts, in as many processes as you like."),
    "enqueue": ("etl.cli.worker", "enqueue", "Make accounts due now."),
    "workers": ("etl.cli.worker", "workers", "Show the worker processes."),
    "accounts": ("etl.cli.accounts", "accounts", "Add, list, change, check and remove accounts; sign in."),
    "status": ("etl.cli.status", "status", "See which accounts need you, and what to do."),
    "doctor": ("etl.cli.doctor", "doctor", "Find problems, and how to fix each."),
    "config": ("etl.cli.config", "config", "See every setting and its source; write a settings file."),
    "sandbox": ("etl.cli.sandbox", "sandbox", "Run a fake Boomplay API, to try favsync without a token."),
    "completion": ("etl.cli.completion", "completion", "Complete verbs, accounts, reports and runs in your shell."),
    "help": ("etl.cli.help", "help_", "Show the help of a verb."),
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
    more="`favsync help VERB` explains a verb. The most used commands are on one page: docs/cheatsheet.md; all of them are in "
    "the manual: man favsync.",
    help="Copy a Boomplay user's favourite tracks into a database and keep their history.\n\n"
    "Results go to standard output; progress and messages go to standard error. Global options may come before or after "
    "the verb. An option overrides its environment variable, which overrides the settings file.",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``favsync`` with ``argv`` (default: the process's own arguments) and return its exit code."""
    gc.set_threshold(200_000, 20, 50)  # a run keeps what it allocates until its end: collections would find nothing
    atexit.register(gc.freeze)  # the final collection took a sixth of an unchanged sync
    return run(app, argv)
