"""``favsync demo``: a tour from start to end on a fake API, without credentials.

It uses the same settings, client, runs and database as `favsync sync`; only the address of the API differs.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import click
from sqlalchemy import text

from etl import clock, config
from etl.accounts.session import connect
from etl.cli.commands import verb
from etl.cli.context import Context
from etl.db.engine import read_transaction, write_transaction
from etl.db.migrate import ready_engine
from etl.errors import UsageError
from etl.load.accounts import ensure_account, find_account
from etl.reporting.html import write_report
from etl.reporting.run_summary import report_fields, report_lines
from etl.sandbox import Sandbox
from etl.sync import RunOptions, RunResult, sync_account

USER = "ada"
ACCOUNT = "demo"
FAVOURITES = 200


@verb("demo")
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write the database and the report into DIR. [default: a new temporary folder, which is kept too]",
)
def demo(context: Context, keep: Path | None) -> None:
    """Try favsync without credentials: sync from a fake API, change the list, sync again, show the history."""
    folder = _folder(keep)
    with Sandbox(tracks=FAVOURITES, seed=2026, users=(USER,)) as sandbox:
        tour = _Tour(context, sandbox, folder)
        first = sandbox.favourites(USER)
        spare = [track_id for track_id in sandbox.catalogue.track_ids if track_id not in set(first)]
        returning, leaving, renamed = first[5], first[120], first[0]

        tour.sync("1. The first sync: the whole list, read and proven")
        tour.query("the newest favourites, and since when that is known", _NEWEST)
        for track_id in spare[:3]:
            sandbox.favourite(USER, track_id)
        for track_id in (returning, leaving):
            sandbox.unfavourite(USER, track_id)
        tour.sync("2. Three favourites are added and two taken away: those are missing at first")
        tour.query("what is missing: seen until, not listed since; nothing is removed yet", _MISSING)
        sandbox.favourite(USER, returning)
        sandbox.change_track(renamed, track_title="A corrected title (Àtúnṣe)")
        tour.sync("3. One of the missing is back, and a title is corrected")
        tour.query("the favourite that is back was never removed", _INTERVALS, track=returning)
        tour.query("the corrected title: a new version; the favourite is unchanged", _VERSIONS, track=renamed)
        tour.sync("4. Nothing changes: only the row of the run is written")
        tour.set_grace("0")
        tour.sync(
            "5. A removal is recorded when the track was missing for FAVSYNC_REMOVAL_GRACE, two\n"
            "   days by default. The demo sets it to 0 for this sync, which records it at once"
        )
        tour.query("the removal: the times between which it happened, and why the track left", _REMOVED)
        tour.query("all runs", _RUNS)
    tour.finish()
    context.add_exit_codes(report.exit_code for report in tour.reports)


def _folder(keep: Path | None) -> Path:
    if keep is not None and (keep / "favsync.db").exists():
        raise UsageError(f"{keep} already contains a demo", remedy="name another folder, or delete this one first")
    try:
        if keep is None:
            return Path(tempfile.mkdtemp(prefix="favsync-demo-"))
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UsageError(
            f"the folder {keep or 'for the demo'} cannot be created: {fault.strerror}",
            remedy="name one with --keep DIR",
        ) from None
    return keep.resolve()


def _program() -> str:
    """Return favsync as the shell must be given it, so that printed commands work."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m etl"
    on_path = shutil.which("favsync")
    is_on_path = on_path is not None and called.exists() and called.samefile(on_path)
    return "favsync" if is_on_path or not called.exists() else shlex.quote(str(called))


class _Tour:
    """The steps of the demo, and their results."""

    def __init__(self, context: Context, sandbox: Sandbox, folder: Path) -> None:
        self.context, self.folder = context, folder
        self.database = f"sqlite:///{folder / 'favsync.db'}"
        self.reports: list[RunResult] = []
        self.environ = {
            "FAVSYNC_DATABASE_URL": self.database,
            "BOOMPLAY_API_URL": sandbox.url,
            "BOOMPLAY_APP_ID": sandbox.app_id,
            "BOOMPLAY_ACCESS_TOKEN": sandbox.users[USER].access_token,
            "BOOMPLAY_APP_SECRET": sandbox.app_secret,
            "FAVSYNC_REQUESTS_PER_SECOND": "0",
        }
        self.engine = ready_engine(self.database, create=True)
        with write_transaction(self.engine) as connection:
            ensure_account(connection, ACCOUNT, clock.now())

    def set_grace(self, grace: str) -> None:
        """Change how long favourites are missing before their removal is recorded."""
        self.environ["FAVSYNC_REMOVAL_GRACE"] = grace

    def sync(self, title: str) -> None:
        """Sync, and show the result under ``title``."""
        settings = config.load({}, self.environ, None)
        with read_transaction(self.engine) as connection:
            account = find_account(connection, ACCOUNT)
        with connect(settings, self.engine, "default") as api:
            report = sync_account(self.engine, account, api, RunOptions.configured(settings))
        self.reports.append(report)
        self._show("\n".join(["", title, *(f"  {line}" for line in report_lines(report))]))

    def query(self, title: str, sql: str, **values: int) -> None:
        """Show a title, the SQL and its rows."""
        if self.context.json:
            return
        for name, value in values.items():
            sql = sql.replace(f":{name}", str(value))
        with read_transaction(self.engine) as connection:
            result = connection.execute(text(sql))
            columns, rows = list(result.keys()), [tuple(row) for row in result]
        self._show(f"\n  {title}:\n  sqlite> {sql}")
        self.context.show_rows(columns, rows)

    def finish(self) -> None:
        """Write the HTML report and show where the files are."""
        page = self.folder / "report.html"
        with read_transaction(self.engine) as connection:
            write_report(connection, page)
        self.engine.dispose()
        if self.context.json:
            runs = [report_fields(report) for report in self.reports]
            self.context.show_json({"runs": runs, "database": str(self.folder / "favsync.db"), "report": str(page)})
        self._show(f"\nEverything is in {self.folder}")
        self._show("  favsync.db    the database: any SQLite tool opens it")
        self._show("  report.html   the report: open it in a browser")
        option = f"--database-url {shlex.quote(str(self.folder / 'favsync.db'))}"
        self._show("\nTry these next:")
        for words in ("status", "report current-favourites --limit 5", "history --limit 5"):
            self._show(f"  {_program()} {words} {option}")

    def _show(self, text: str) -> None:
        if not self.context.json:
            self.context.show(text)


_NEWEST = """SELECT track_id, title, added_after, valid_from
          FROM report_current_favourites LIMIT 3;"""
_MISSING = """SELECT track_id, title, last_seen_at, missing_since
          FROM favourites JOIN tracks USING (track_id) WHERE missing_since IS NOT NULL;"""
_INTERVALS = """SELECT title, added_after, valid_from, valid_to
          FROM report_favourite_history WHERE track_id = :track ORDER BY valid_from;"""
_VERSIONS = "SELECT title, valid_from, valid_to FROM track_versions WHERE track_id = :track ORDER BY valid_from;"
_REMOVED = """SELECT title, removed_after, valid_to, removal_reason
          FROM favourites JOIN tracks USING (track_id) WHERE valid_to IS NOT NULL;"""
_RUNS = "SELECT run_id, outcome, favourites, added, missing, removed, requests FROM runs ORDER BY run_id;"
