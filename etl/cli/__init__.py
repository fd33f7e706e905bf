"""The command line: the table of verbs and the entry point.

Invariant: this module and what it imports need click alone, so that ``favsync --help`` stays quick; a verb's module is
imported when the verb is used. A new verb is one line in `VERBS`.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Sequence

from etl.cli.commands import LazyGroup
from etl.cli.context import Context
from etl.cli.errors import run

VERBS = {
    "demo": ("etl.cli.demo", "demo", "Show what favsync does, without credentials."),
    "sync": ("etl.cli.sync", "sync", "Sync favourites now."),
    "backfill": ("etl.cli.backfill", "backfill", "Read the whole list anew, or import past exports."),
    "runs": ("etl.cli.runs", "runs", "Look at runs, and decide on removals that are held."),
    "history": ("etl.cli.history", "history", "Tell what happened to a track, an artist's tracks or an account."),
    "as-of": ("etl.cli.as_of", "as_of", "Show the list as it was at a time, or what changed between two."),
    "rebuild": ("etl.cli.rebuild", "rebuild", "Fold the history from its observations again, or check that it is so."),
    "prune": ("etl.cli.prune", "prune", "Keep less, without changing the history."),
    "report": ("etl.cli.report", "report", "Show what the views tell, as a table, a file or a page for a browser."),
    "digest": ("etl.cli.digest", "digest", "Tell what changed since the last digest, for a mail or a chat."),
    "export": ("etl.cli.export", "export", "Write every table and view as files."),
    "db": ("etl.cli.db", "db", "Look after the database's schema."),
    "schedule": ("etl.cli.schedule", "schedule", "Sync on a schedule, unattended."),
    "accounts": ("etl.cli.accounts", "accounts", "Add, list, change, check and remove accounts; sign in."),
    "status": ("etl.cli.status", "status", "Show how fresh each account is; exit codes for a monitor."),
    "doctor": ("etl.cli.doctor", "doctor", "Look for what is wrong, and say what to do."),
    "config": ("etl.cli.config", "config", "Print every setting, its value and where it comes from."),
    "sandbox": ("etl.cli.sandbox", "sandbox", "Run a stand-in for Boomplay's API on this machine."),
}
EXIT_CODES = (
    ("0", "done; `sync`: the list was read in full"),
    ("1", "`rebuild --check`: the history differs"),
    ("2", "the command or a setting cannot be used"),
    ("3", "Boomplay's API cannot be reached, or refuses"),
    ("4", "the token is missing, dead or another user's"),
    ("5", "the database"),
    ("6", "partial: the list could not be proven whole; nothing was removed"),
    ("7", "held: removals wait for `favsync runs approve`"),
    ("70", "a bug in favsync"),
    ("75", "another run of this account is in progress"),
    ("130", "interrupted"),
)

app = LazyGroup(
    "favsync",
    verbs=VERBS,
    exit_codes=EXIT_CODES,
    help="Copy a Boomplay user's favourite tracks into a database, and keep their history.\n\n"
    "The result goes to standard output, the talk to standard error. Options that every verb has may stand before or "
    "after the verb. A setting comes from the option, else from its environment variable, else from the file, else it "
    "has its default.",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``favsync`` with ``argv`` (default: the process's own arguments) and return its exit code."""
    gc.set_threshold(200_000, 20, 50)  # what a run makes stays until its end: no need to look through it at each step
    atexit.register(gc.freeze)  # nor once more when all of it goes, which took a sixth of an unchanged sync
    return run(app, argv, Context())
