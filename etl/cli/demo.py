"""``favsync demo``: the main job from start to end, on a stand-in API, without credentials.

It goes the way that `favsync sync` goes: the same settings, client, run and database; only the address of the API is another.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.config import Config
    from etl.sandbox import Sandbox
    from etl.sync import RunResult

USER = "ada"
ACCOUNT = "demo"
FAVOURITES = 200


@click.command("demo", cls=Verb)
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Put the database and the report into DIR. [default: a new temporary folder, which stays too]",
)
@json_option
@pass_context
def demo(context: Context, keep: Path | None) -> int:
    """Show what favsync does, without credentials: sync, let the list change, sync again, look at the history."""
    from etl.sandbox import Sandbox

    folder = _folder(keep)
    with Sandbox(tracks=FAVOURITES, seed=2026, users=(USER,)) as sandbox:
        story = _DemoScript(context, _config(sandbox, folder), sandbox)
        codes = story.told()
    story.close(folder)
    return max(codes)


def _folder(keep: Path | None) -> Path:
    from etl.errors import UsageError

    if keep is None:
        return Path(tempfile.mkdtemp(prefix="favsync-demo-"))
    if (keep / "favsync.db").exists():
        raise UsageError(f"{keep} holds a demo already", remedy="name another folder, or delete that one first")
    try:
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise UsageError(f"the folder {keep} cannot be made: {fault.strerror}", remedy="name another one") from None
    return keep.resolve()


def _config(sandbox: Sandbox, folder: Path) -> Config:
    """Return the settings that a person would make to sync from the stand-in."""
    from etl import config

    environ = {
        "FAVSYNC_DATABASE_URL": f"sqlite:///{folder / 'favsync.db'}",
        "BOOMPLAY_API_URL": sandbox.url,
        "BOOMPLAY_APP_ID": sandbox.app_id,
        "BOOMPLAY_ACCESS_TOKEN": sandbox.users[USER].access_token,
        "FAVSYNC_REQUESTS_PER_SECOND": "0",
    }
    return config.load({}, environ, None)


@dataclass
class _DemoScript:
    """The demo's steps, and what they leave behind."""

    context: Context
    config: Config
    sandbox: Sandbox

    def told(self) -> list[int]:
        """Carry the steps out, showing each, and return the runs' exit codes."""
        from etl import clock
        from etl.db.engine import write_transaction
        from etl.db.migrate import ready_engine
        from etl.load.accounts import ensure_account

        self.engine: Engine = ready_engine(self.config.database_url.reveal(), create=True)
        self.reports: list[RunResult] = []
        with write_transaction(self.engine) as connection:
            ensure_account(connection, ACCOUNT, clock.now())
        first = self.sandbox.favourites(USER)
        self._step("1. The first sync: the whole list, read and proven", lambda: None)
        self._sql("the newest favourites, and since when that is known", _NEWEST)
        self._step("2. Three favourites are added, two removed", lambda: self._change(first))
        self._sql("what the second run found, and between which moments it happened", _CHANGES, run=2)
        back, retitled = first[5], first[0]
        self._step("3. One of the removed comes back, and a title is corrected", lambda: self._mend(back, retitled))
        self._sql("the one that came back: two intervals, each with both its bounds", _INTERVALS, track=back)
        self._sql("the corrected title: a new version, the favourite untouched", _VERSIONS, track=retitled)
        self._step("4. Nothing happened: one row is written, the run's own", lambda: None)
        self._sql("every run so far", _RUNS)
        return [report.exit_code for report in self.reports]

    def _change(self, first: list[int]) -> None:
        """Add three tracks that are not favourites yet, and remove two that are."""
        spare = [track_id for track_id in self.sandbox.catalogue.track_ids if track_id not in set(first)]
        for track_id in spare[:3]:
            self.sandbox.favourite(USER, track_id)
        for track_id in (first[5], first[120]):
            self.sandbox.unfavourite(USER, track_id)

    def _mend(self, back: int, retitled: int) -> None:
        self.sandbox.favourite(USER, back)
        self.sandbox.change_track(retitled, track_title="A corrected title (Àtúnṣe)")

    def _step(self, title: str, happen: Callable[[], None]) -> None:
        from etl.accounts.session import connect
        from etl.db.engine import read_transaction
        from etl.load.accounts import find_accounts
        from etl.reporting.run_summary import report_line
        from etl.sync import RunOptions, sync_account

        happen()
        with read_transaction(self.engine) as connection:
            account = find_accounts(connection, [ACCOUNT])[0]
        with connect(self.config, self.engine, "default") as source:
            report = sync_account(self.engine, account, source, RunOptions.configured(self.config))
        self.reports.append(report)
        self._say(f"\n{title}")
        self._say(f"  {report_line(report)}")

    def _sql(self, title: str, sql: str, **values: int) -> None:
        """Show a question, the SQL that answers it, and the answer."""
        from sqlalchemy import text

        from etl.db.engine import read_transaction

        if self.context.json:
            return
        with read_transaction(self.engine) as connection:
            answer = connection.execute(text(sql), values)
            columns, rows = list(answer.keys()), [tuple(row) for row in answer]
        for name, value in values.items():
            sql = sql.replace(f":{name}", str(value))
        self._say(f"\n  {title}:\n  sqlite> {sql}")
        self.context.show_rows(columns, rows)

    def _say(self, text: str) -> None:
        if not self.context.json:
            self.context.show(text)

    def close(self, folder: Path) -> None:
        """Write the report and say where everything is."""
        from etl.db.engine import read_transaction
        from etl.reporting.html import write_report
        from etl.reporting.run_summary import report_fields

        database, page = folder / "favsync.db", folder / "report.html"
        with read_transaction(self.engine) as connection:
            write_report(connection, page)
        self.engine.dispose()
        if self.context.json:
            found: dict[str, Any] = {"runs": [report_fields(report) for report in self.reports]}
            self.context.show_json(found | {"database": str(database), "report": str(page)})
            return
        self._say(f"\nEverything is in {folder}")
        self._say("  favsync.db    the database: any SQLite tool opens it")
        self._say("  report.html   the report: open it in a browser")
        self._say(f"  go on with    favsync report --database-url sqlite:///{database}")


_NEWEST = """SELECT track_id, title, artists, added_after, valid_from
          FROM report_current_favourites LIMIT 3;"""
_CHANGES = """SELECT change, title, artists, not_before, changed_at
          FROM report_favourite_changes WHERE run_id = :run ORDER BY change, title;"""
_INTERVALS = """SELECT title, added_after, valid_from, removed_after, valid_to
          FROM report_favourite_history WHERE track_id = :track ORDER BY valid_from;"""
_VERSIONS = "SELECT title, valid_from, valid_to FROM track_versions WHERE track_id = :track ORDER BY valid_from;"
_RUNS = """SELECT run_id, outcome, proven, favourites, added, removed, seconds
          FROM report_runs ORDER BY run_id;"""
