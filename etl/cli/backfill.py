"""``favsync backfill``: the whole list once more, or past exports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import account_argument, json_option
from etl.cli.signals import stop_event
from etl.cli.sync import DEFAULT_ACCOUNT, is_new_file, no_account, open_favourites, worst_exit_code
from etl.cli.time_input import INSTANT

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.backfill.full_refresh import CheckpointingApi, FullRefreshResult
    from etl.backfill.import_files import FileImportResult
    from etl.load.baseline import Account

SHOWN_FAULTS = 20
SHOWN_PASSED = 3
PARTIAL, HELD = 6, 7


@click.command("backfill", cls=Verb)
@account_argument
@click.option(
    "--from",
    "paths",
    metavar="PATH",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file, folder or zip of past exports, or another favsync database; may be repeated.",
)
@click.option(
    "--observed-at",
    metavar="TIME",
    type=INSTANT,
    help="When the exports were made. [default: the time in each file, else in its name]",
)
@click.option(
    "--complete", is_flag=True, help="The exports of each time are the whole list: a missing track was not a favourite."
)
@json_option
@pass_context
def backfill(
    context: Context, account: str | None, paths: tuple[Path, ...], observed_at: datetime | None, complete: bool
) -> int:
    r"""Read the whole list of ACCOUNT anew, or import past exports of it as observations of their time.

    Without --from, every page is read and every item looked at again. A reading that is broken off goes on where it stopped
    when the command is given again within a day.

    With --from, exports may be answers of the API, JSON lists, JSON lines, CSV with a column track_id, or another favsync
    database; each file alone, in folders or in zips. They may come in any order, and twice. Files of the same time are pages
    of one list. Their time is --observed-at, or a field observed_at, exported_at or fetched_at in the file, or a date in its
    name or in that of its folder (a date alone is 00:00 UTC); never when the file was written. An export that is not
    --complete adds favourites and removes none. Neither does one of which a file may be missing: every file that is not
    read is named, and the exit code is 6. An empty --complete export removes only after `favsync runs approve`.

    \b
    favsync backfill
    favsync backfill --from 2025-11-03.json --complete
    favsync backfill ada --from exports/ --from old.zip
    favsync backfill --from ids.csv --observed-at 2024-05-01T12:00
    """
    if not paths and (observed_at is not None or complete):
        raise click.UsageError("--observed-at and --complete describe files: name them with --from")
    context.say_what_is_lost()
    if paths:
        return _import(context, account, paths, observed_at=observed_at, is_complete=complete)
    return _read(context, account)


def _engine(context: Context) -> Engine:
    from etl.db.migrate import ready_engine

    return ready_engine(context.config.database_url.reveal(), create=True)


def _accounts(context: Context, engine: Engine, name: str | None, *, makes_default: bool) -> list[Account]:
    """Find the account, or all enabled ones; the account ``default`` is made where there is none at all."""
    from etl import clock
    from etl.db.engine import read_transaction, write_transaction
    from etl.load import runs
    from etl.load.baseline import find_accounts

    with read_transaction(engine) as connection:
        if not makes_default or name not in (None, DEFAULT_ACCOUNT) or find_accounts(connection):
            return find_accounts(connection, [name] if name else [])
    with write_transaction(engine) as connection:
        runs.ensure_account(connection, DEFAULT_ACCOUNT, clock.now())
    with read_transaction(engine) as connection:
        return find_accounts(connection)


# Past exports.


def _import(
    context: Context, name: str | None, paths: tuple[Path, ...], *, observed_at: datetime | None, is_complete: bool
) -> int:
    from etl import clock
    from etl.backfill.import_files import ImportOptions, import_paths
    from etl.errors import UsageError

    engine = _engine(context)
    accounts = _accounts(context, engine, name, makes_default=True)
    if len(accounts) != 1:
        names = ", ".join(account.name for account in accounts) or "none is enabled"
        raise UsageError("the account of these exports is not named", remedy=f"name one of the accounts: {names}")
    orders = ImportOptions(observed_at, is_complete, context.config.removal_brake, context.config.keep_raw)
    result = import_paths(engine, accounts[0], paths, orders, clock.now())
    details = _details(engine, accounts[0], result)
    context.exit_code = PARTIAL if result.faults else HELD if details["held"] else 0
    if context.json:
        context.show_json(details)
    else:
        _tell_import(context, details)
    return context.exit_code


def _details(engine: Engine, account: Account, result: FileImportResult) -> dict[str, Any]:
    from etl.db.engine import read_transaction
    from etl.load.runs import find_run
    from etl.replay.review import superseding_run

    listed = []
    with read_transaction(engine) as connection:
        for landed in result.imported.landed:
            row = find_run(connection, landed.run_id)
            names = (
                "run_id",
                "outcome",
                "observed_at",
                "favourites",
                "added",
                "removed",
                "changed",
                "rejected",
                "retracted_at",
            )
            facts = {name: getattr(row, name) for name in names}
            size = len(landed.past.items)
            listed.append(
                facts
                | {
                    "from": landed.past.label,
                    "items": size,
                    "complete": landed.past.proven,
                    "was_there": landed.was_there,
                }
            )
        later = {run_id: superseding_run(connection, find_run(connection, run_id)) for run_id in result.imported.held}
    difference = result.imported.difference
    return {
        "account": account.name,
        "observations": listed,
        "history": {
            "intervals_new": len(difference.missing),
            "intervals_gone": len(difference.surplus),
            "intervals_with_other_bounds": len(difference.unequal),
        },
        "held": [run_id for run_id, by in later.items() if by is None],
        "superseded": [{"run_id": run_id, "by": by} for run_id, by in later.items() if by is not None],
        "problems": [{"file": fault.file, "place": fault.place, "problem": fault.fault} for fault in result.faults],
        "passed_over": [fault.file for fault in result.passed_over],
        "notes": [str(note) for note in result.notes],
    }


def _tell_import(context: Context, details: dict[str, Any]) -> None:
    for each in details["observations"]:
        what = "the whole list" if each["complete"] else "a part"
        line = f"{each['observed_at']:%Y-%m-%d %H:%M:%S} UTC  {each['from']}: {each['items']:,} items, {what}"
        if each["was_there"]:
            gone = ", which is retracted" if each["retracted_at"] else ""
            context.show(f"{line}: already imported as run {each['run_id']}{gone}")
        else:
            counts = [f"{each[word]:,} {word}" for word in ("added", "removed", "changed") if each[word]]
            bad = [f"{each['rejected']:,} unreadable"] if each["rejected"] else []
            context.show(f"{line}: run {each['run_id']}, {', '.join(counts + bad) or 'nothing new'}")
    if any(not each["was_there"] for each in details["observations"]):
        history = [
            f"{count:,} {name.removeprefix('intervals_').replace('_', ' ')}"
            for name, count in details["history"].items()
        ]
        context.show(f"{details['account']}: intervals of the history: {', '.join(history)}")
    for run_id in details["held"]:
        context.say(f"run {run_id} now holds removals: see `favsync runs show {run_id}`, then approve or reject it")
    for each in details["superseded"]:
        context.say(
            f"run {each['run_id']} misses more favourites than may be removed at once, so it removes none:"
            f" run {each['by']} read the list later and replaces it"
        )
    faults = details["problems"]
    for fault in faults[:SHOWN_FAULTS]:
        place = f" {fault['place']}:" if fault["place"] else ""
        context.say(f"problem: {fault['file']}:{place} {fault['problem']}")
    if len(faults) > SHOWN_FAULTS:
        context.say(f"problem: … and {len(faults) - SHOWN_FAULTS:,} more (--json lists all)")
    for note in details["notes"][:SHOWN_FAULTS]:
        context.say(f"note: {note}")
    passed = details["passed_over"]
    if passed:
        more = ", …" if len(passed) > SHOWN_PASSED else ""
        context.say(f"not read, for their kind: {', '.join(passed[:SHOWN_PASSED])}{more} ({len(passed):,} in all)")


# The list itself.


def _read(context: Context, name: str | None) -> int:
    is_new_file(context)
    engine = _engine(context)
    accounts = _accounts(context, engine, name, makes_default=context.config.access_token is not None)
    if not accounts:
        raise no_account()
    rereads = [_reread(context, engine, account) for account in accounts]
    if context.json:
        from etl.reporting.run_summary import report_fields

        context.show_json(
            [
                report_fields(each.report)
                | {"reused_pages": each.reused_pages, "rekept": each.rekept, "refolded": each.refolded}
                for each in rereads
            ]
        )
    context.exit_code = worst_exit_code([each.report.exit_code for each in rereads])
    return context.exit_code


def _reread(context: Context, engine: Engine, account: Account) -> FullRefreshResult:
    """Read one account's list; what goes wrong is its report."""
    from etl import clock
    from etl.accounts.session import connect
    from etl.backfill.full_refresh import FullRefreshResult, checkpointing, full_refresh
    from etl.errors import FavsyncError, SettingsError
    from etl.sync import RunResult

    started_at = clock.now()
    try:
        with stop_event() as stop, connect(context.config, engine, account.name, stop) as source:
            kept, since = checkpointing(engine, account, source)
            with _telling(context, account.name, kept) as way:
                reread = full_refresh(engine, account, kept, since, way)
            if stop.is_set() and reread.report.error is not None:
                raise KeyboardInterrupt
    except SettingsError:
        raise
    except KeyboardInterrupt:
        context.say(
            f"{account.name}: what was read is kept for a day: `favsync backfill {account.name}` goes on from there"
        )
        raise
    except FavsyncError as error:
        reread = FullRefreshResult(
            RunResult(
                account=account.name,
                trigger="backfill",
                started_at=started_at,
                reason=str(error),
                error=error,
                favourites=open_favourites(engine, account),
            )
        )
    if not context.json:
        _tell_reread(context, reread)
    return reread


@contextmanager
def _telling(context: Context, name: str, source: CheckpointingApi) -> Iterator[Any]:
    """Give the way to read, which tells how far it is."""
    from etl.cli.progress_bar import progress_bar
    from etl.sync import RunOptions

    with progress_bar(context, name, source) as progress:
        yield RunOptions.configured(context.config, progress=progress)


def _tell_reread(context: Context, reread: FullRefreshResult) -> None:
    from etl.reporting.run_summary import report_line

    report = reread.report
    if report.error is not None:
        context.say(report_line(report))
        if report.run_id is not None:
            context.say(f"  what was read is kept for a day: `favsync backfill {report.account}` goes on from there")
        if report.remedy:
            context.say(f"  what to do: {report.remedy}")
        return
    context.show(report_line(report))
    if reread.reused_pages:
        context.show(f"  {reread.reused_pages:,} pages were those that an earlier reading had kept")
    if reread.rekept:
        context.show(f"  {reread.rekept:,} items that were stored without their bodies have them again")
    if reread.refolded:
        context.show(f"  the facts of {reread.refolded:,} tracks were not what their items say, and now are")
