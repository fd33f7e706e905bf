"""``favsync backfill``: re-read the whole list, or import past exports."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from msgspec.structs import replace
from sqlalchemy import Engine

from etl import clock
from etl.accounts.session import connect
from etl.backfill.full_refresh import FullRefreshResult, checkpointing, full_refresh
from etl.backfill.import_files import FileImportResult, ImportOptions, import_paths
from etl.cli.commands import verb
from etl.cli.context import Context, moment, shortened
from etl.cli.options import account_argument
from etl.cli.progress_bar import progress_bar
from etl.cli.signals import stop_event
from etl.cli.sync_round import show_report, warn_no_raw
from etl.cli.targets import failed_result, is_new_file, no_account, target_accounts
from etl.cli.time_input import instant
from etl.db.engine import read_transaction
from etl.errors import FavsyncError, SettingsError, UsageError
from etl.load.accounts import Account
from etl.load.runs import find_run
from etl.replay.review import superseding_run
from etl.reporting.run_summary import report_fields
from etl.scheduler.due_sync import settle_manual
from etl.sync import RunOptions

SHOWN_PROBLEMS = 20
SHOWN_SKIPPED = 3
PARTIAL, HELD = 6, 7
RUN_FIELDS = (
    "run_id", "outcome", "observed_at", "favourites", "added", "removed", "changed", "rejected", "retracted_at",
)  # fmt: skip


@verb("backfill")
@account_argument
@click.option(
    "--from",
    "paths",
    metavar="PATH",
    multiple=True,
    type=click.Path(),
    help="A file, folder or zip of past exports, or another favsync database; repeatable.",
)
@click.option(
    "--observed-at",
    metavar="TIME",
    type=instant,
    help="When the exports were made. [default: the time in each file, or in its name]",
)
@click.option(
    "--complete",
    is_flag=True,
    help="The exports of each time are the whole list: tracks that are missing from them were not favourites.",
)
def backfill(
    context: Context, account: str | None, paths: tuple[str, ...], observed_at: datetime | None, complete: bool
) -> None:
    r"""Re-read the whole list of ACCOUNT, or import past exports of it.

    Without --from, every page is read and every item is processed again. An interrupted read continues where it stopped
    if the command is repeated within a day.

    With --from, exports are API responses, JSON lists, JSON lines (objects with a track_id, or ids alone), CSV files with
    a column track_id, or another favsync database; single files, folders or zips. They may come in any order, and twice.
    Files of one PATH with the same time are pages of one list. The time is --observed-at, or a field observed_at,
    exported_at or fetched_at in the file, or a date in the name of the file or its folder (a date alone means 00:00 UTC);
    never the modification time. An export without --complete adds tracks and removes none. An empty export with
    --complete waits for `favsync runs approve` before it removes tracks.

    \b
    favsync backfill
    favsync backfill --from 2025-11-03.json --complete
    favsync backfill ada --from exports/ --from old.zip
    favsync backfill --from ids.csv --observed-at 2024-05-01T12:00
    """
    if not paths and (observed_at is not None or complete):
        raise click.UsageError("--observed-at and --complete describe files: name the files with --from")
    if not paths and account and Path(account).suffix and Path(account).is_file():
        raise click.UsageError(f"{account} is a file, and an account is wanted here: name the file with --from")
    if "" in paths:  # Path("") would be the working directory
        raise click.UsageError("a path given to --from is empty: is a variable of your shell not set?")
    warn_no_raw(context)
    if not paths:
        _refresh(context, account)
        return
    engine = context.open_database(create=True)
    accounts = target_accounts(engine, [account] if account else [], may_create=True)
    if len(accounts) != 1:
        names = ", ".join(each.name for each in accounts) or "none is enabled"
        raise UsageError("it is not clear which account the exports belong to", remedy=f"name the account: {names}")
    options = ImportOptions(observed_at, complete, context.config.removal_brake, context.config.keep_raw)
    result = import_paths(engine, accounts[0], [Path(each) for each in paths], options, clock.now())
    details = _import_fields(engine, accounts[0], result)
    context.exit_code = PARTIAL if result.faults else HELD if details["held"] else 0
    context.show_result(details, _import_lines(details), *_import_messages(details))


def _import_fields(engine: Engine, account: Account, result: FileImportResult) -> dict[str, Any]:
    observations = []
    with read_transaction(engine) as connection:
        for landed in result.imported.landed:
            row, past = find_run(connection, landed.run_id), landed.past
            about = {"from": past.label, "items": len(past.items), "complete": past.proven}
            columns = {name: getattr(row, name) for name in RUN_FIELDS}
            observations.append(columns | about | {"was_there": landed.was_there})
        later = {run_id: superseding_run(connection, find_run(connection, run_id)) for run_id in result.imported.held}
    difference = result.imported.difference
    return {
        "account": account.name,
        "observations": observations,
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


def _import_lines(details: dict[str, Any]) -> Iterator[str]:
    for each in details["observations"]:
        what = "the whole list" if each["complete"] else "a part"
        line = f"{moment(each['observed_at'])}  {each['from']}: {each['items']:,} items, {what}"
        if each["was_there"]:
            retracted = ", now retracted" if each["retracted_at"] else ""
            yield f"{line}: already imported as run {each['run_id']}{retracted}; skipped"
        else:
            kinds = {"added": "added", "removed": "removed", "changed": "changed", "rejected": "unreadable"}
            counts = [f"{each[name]:,} {word}" for name, word in kinds.items() if each[name]]
            yield f"{line}: run {each['run_id']}, {', '.join(counts) or 'nothing new'}"
    if any(not each["was_there"] for each in details["observations"]):
        history = (
            f"{count:,} {name.removeprefix('intervals_').replace('_', ' ')}"
            for name, count in details["history"].items()
        )
        yield f"{details['account']}: intervals of the history: {', '.join(history)}"


def _import_messages(details: dict[str, Any]) -> Iterator[str]:
    for run_id in details["held"]:
        yield f"run {run_id} now holds removals: `favsync runs show {run_id}`, then approve or reject it"
    for each in details["superseded"]:
        yield (
            f"run {each['run_id']} would remove more favourites than the threshold allows, and removes none:"
            f" run {each['by']} read the list later and decides"
        )
    problems, skipped = details["problems"], details["passed_over"]
    for problem in problems[:SHOWN_PROBLEMS]:
        place = f" {problem['place']}:" if problem["place"] else ""
        yield f"problem: {problem['file']}:{place} {problem['problem']}"
    if len(problems) > SHOWN_PROBLEMS:
        yield f"problem: … and {len(problems) - SHOWN_PROBLEMS:,} more (--json lists all)"
    yield from (f"note: {note}" for note in details["notes"][:SHOWN_PROBLEMS])
    if skipped:
        yield f"skipped, unsupported file types: {shortened(skipped, SHOWN_SKIPPED)}"


def _refresh(context: Context, name: str | None) -> None:
    is_new_file(context)
    engine = context.open_database(create=True)
    has_token = context.config.access_token is not None
    accounts = target_accounts(engine, [name] if name else [], may_create=has_token)
    if not accounts:
        raise no_account()
    results = [_refresh_account(context, engine, account) for account in accounts]
    if context.json:
        extra = [{word: getattr(each, word) for word in ("reused_pages", "rekept", "refolded")} for each in results]
        context.show_json([report_fields(each.report) | more for each, more in zip(results, extra, strict=True)])
    context.add_exit_codes(each.report.exit_code for each in results)


def _refresh_account(context: Context, engine: Engine, account: Account) -> FullRefreshResult:
    """Re-read one account's list; an error becomes its result."""
    started_at = clock.now()
    resume = (
        f"pages read so far are kept for a day: `favsync backfill {shlex.quote(account.name)}` continues from there"
    )
    try:
        with stop_event() as stop, connect(context.config, engine, account.name, stop) as api:
            source, since = checkpointing(engine, account, api)
            with progress_bar(context, account.name, source) as progress:
                options = RunOptions.configured(context.config, progress=progress)
                options = replace(options, settle=settle_manual(context.config, account.account_id))
                result = full_refresh(engine, account, source, since, options)
            if stop.is_set() and result.report.error is not None:
                raise KeyboardInterrupt
    except SettingsError:
        raise
    except KeyboardInterrupt:
        context.say(f"{account.name}: {resume}")
        raise
    except FavsyncError as error:
        result = FullRefreshResult(failed_result(engine, account, "backfill", started_at, error))
    if context.json:
        return result
    details = [
        (result.reused_pages, "{:,} pages came from an earlier, interrupted read"),
        (result.rekept, "the raw bodies of {:,} items were restored"),
        (result.refolded, "the attributes of {:,} tracks were corrected from their items"),
        (result.report.error is not None and result.report.run_id is not None, resume),
    ]
    show_report(context, result.report, [f"  {text.format(count)}" for count, text in details if count])
    return result
