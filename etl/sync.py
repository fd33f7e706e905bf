"""Runs one sync of one account: lock it, read the list, decide what changed, write it.

The scheduler, the workers, the CLI, the backfill and the demo all use it. The row of a run is inserted before the first
request and finished in the one transaction that writes what the run found, so a crash leaves the history either unchanged or
fully updated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from etl import clock, logs
from etl.boomplay.payloads import User
from etl.db.engine import in_transaction, read_transaction, write_transaction
from etl.errors import FavsyncError, RateLimited, Stopped, WrongUser, counted
from etl.extract.snapshot import FavouritesApi, RunOptions, ask_catalogue, clock_shift, require_owner, take_snapshot
from etl.load import accounts, runs
from etl.load.accounts import Account
from etl.load.baseline import FavouriteQueries, read_baseline, read_open_favourites, shared_labels, stored_version_refs
from etl.load.favourites import write_changes, write_rejects
from etl.load.raw import ids_of
from etl.load.run_lock import hold_in_transaction, sync_lock
from etl.load.snapshot import load_delta
from etl.load.stored_tracks import track_titles
from etl.load.tracks import mark_sighted
from etl.model.encoding import snapshot_digest
from etl.model.records import (
    Baseline,
    FavouriteChanges,
    OpenFavourites,
    Outcome,
    RemovalReason,
    Snapshot,
    SnapshotRef,
    Trigger,
)
from etl.model.result import RunResult, outcome_of
from etl.replay.review import mark_superseded
from etl.replay.track_events import accounts_with_tracks
from etl.replay.tracks import replay_tracks
from etl.transform.delta import Delta, find_additions, find_delta, is_unchanged, normalise_batches, require_readable
from etl.transform.favourite_history import decide_changes
from etl.transform.removals import CROWD, labelled_tracks
from etl.transform.track_versions import track_changes

__all__ = ["FavouritesApi", "RunOptions", "RunResult", "plan_account", "sync_account"]

CHECK_EVERY = timedelta(days=1)
log = logs.get(__name__)


class Run(msgspec.Struct, frozen=True):
    """A run in progress. ``engine`` None: there is no database yet (a plan). ``result``: what is known so far."""

    engine: Engine | None
    account: Account
    api: FavouritesApi
    options: RunOptions
    result: RunResult
    baseline: Baseline | None = None


class Found(msgspec.Struct, frozen=True):
    """What a run is about to write. ``lookup``: what it has read of the database."""

    snapshot: Snapshot
    ref: SnapshotRef
    owner: User | None
    delta: Delta
    lookup: FavouriteQueries


def sync_account(engine: Engine, account: Account, api: FavouritesApi, options: RunOptions) -> RunResult:
    """Sync one account and return the result; failures are results, not exceptions.

    Raises: RunInProgress, if another run holds the account; DatabaseError, if not even a failure can be recorded;
    KeyboardInterrupt and the like, after the run is marked as failed.
    """
    with sync_lock(engine, account.account_id, account.name):
        started_at = clock.now()
        with write_transaction(engine) as connection:
            hold_in_transaction(connection, account.account_id)
            baseline = read_baseline(connection, account.account_id)  # refuses a schema that another version migrated
            run_id = runs.begin(connection, account.account_id, options.trigger, started_at)
        run = Run(engine, account, api, options, RunResult(account.name, options.trigger, started_at, run_id), baseline)
        with logs.bound(run_id=run_id, account=account.name):
            try:
                return _logged(_sync(engine, run))
            except FavsyncError as error:
                return _logged(_record_failure(engine, run, error))
            except KeyboardInterrupt:
                _record_failure(engine, run, Stopped(runs.STOPPED))
                raise
            except BaseException as error:
                _record_failure(engine, run, FavsyncError(f"stopped by {type(error).__name__}"))
                raise


def _sync(engine: Engine, run: Run) -> RunResult:
    """Read the list, decide what changed since the baseline, and write it."""
    baseline = run.baseline
    snapshot, lookup = _take_snapshot(run)
    run = _dated(run, snapshot)
    if baseline is not None and is_unchanged(snapshot, baseline):
        require_readable(baseline.rejected, baseline.size)
        owner = _owner(engine, run) if _is_check_due(run) else None
        with write_transaction(engine) as connection:
            hold_in_transaction(connection, run.account.account_id)
            return _record_unchanged(connection, run, snapshot, baseline, owner)
    owner = _owner(engine, run)
    answers = _ask_catalogue(run, snapshot, lookup)
    delta = _delta(run, snapshot, lookup)
    found = Found(snapshot, _snapshot_ref(run, snapshot, owner, answers), owner, delta, lookup)
    # The transaction is retried after a deadlock.
    return in_transaction(engine, lambda connection: _load(connection, run, found))


def _is_check_due(run: Run) -> bool:
    """True if the service has not confirmed the owner of the list for a day."""
    checked_at = run.account.user_checked_at
    return checked_at is None or run.result.started_at - checked_at >= CHECK_EVERY


def _owner(engine: Engine, run: Run) -> User | None:
    """Return the owner of the list, or None if the service does not say.

    Raises: WrongUser, naming the runs that stored another user's list meanwhile; CredentialsError.
    """
    try:
        return require_owner(run.api, run.account.boomplay_user_id, run.account.name)
    except WrongUser as error:
        with read_transaction(engine) as connection:
            stored = runs.unconfirmed_runs(connection, run.account.account_id, run.account.user_checked_at)
        if not stored:
            raise
        undo = "; ".join(f"`favsync runs retract {run_id}`" for run_id in stored)
        raise WrongUser(
            f"{error}; runs {', '.join(map(str, stored))} stored a list whose owner was not confirmed",
            remedy=f"{error.remedy}; to undo what came from the other list: {undo}",
        ) from None


def _ask_catalogue(run: Run, snapshot: Snapshot, lookup: FavouriteQueries) -> dict[int, RemovalReason]:
    """Ask why favourites are missing, if the snapshot may record them as missing or removed."""
    if not snapshot.proves_absence:
        return {}
    missing = lookup.missing(snapshot.track_ids)
    if not missing:
        return {}
    asked = missing.difference(lookup.settled(snapshot.started_at, run.options.grace))
    return ask_catalogue(run.api, asked, next(iter(snapshot.track_ids), None), run.account.region)


def _take_snapshot(run: Run) -> tuple[Snapshot, FavouriteQueries]:
    lookup = FavouriteQueries(run.engine, run.account.account_id, run.baseline)
    return take_snapshot(run.api, run.baseline, lookup, run.options, run.result.started_at), lookup


def _dated(run: Run, snapshot: Snapshot) -> Run:
    """Return the run with its start corrected by the offset of this machine's clock, which the service's answers show."""
    return replace(run, result=replace(run.result, started_at=run.result.started_at + snapshot.clock_shift))


def _delta(run: Run, snapshot: Snapshot, lookup: FavouriteQueries) -> Delta:
    """Return what is new since the baseline. The items of the baseline are read if it is more than additions."""
    if run.engine is None or run.baseline is None:
        return find_delta(snapshot.items, {})
    delta = find_additions(snapshot.items, run.baseline, lookup.open_tracks())
    return delta or find_delta(snapshot.items, {item.digest: item.is_readable for item in lookup.items()})


def _known_ids(connection: Connection, run: Run, found: Found) -> Sequence[int]:
    """Return the ids of the items that are not new, in list order."""
    if run.baseline is None:
        return ()
    if not found.lookup.items_read:  # there are only additions
        return ids_of(connection, run.baseline.snapshot_id)
    ids = {item.digest: item.raw_item_id for item in found.lookup.items()}
    return [ids[item.digest] for item in found.delta.known_items()]


def _load(connection: Connection, run: Run, found: Found) -> RunResult:
    """Write everything that the run found.

    What was read of the favourites is checked first, with the schema version, so that a lost lock and an upgrade meanwhile are
    noticed. The run row precedes the favourites: a trigger lets only a proven run close an interval.
    """
    account, snapshot, ref, delta = run.account, found.snapshot, found.ref, found.delta
    hold_in_transaction(connection, account.account_id)
    before = read_open_favourites(connection, account.account_id, ref.present, found.lookup)
    known_ids = _known_ids(connection, run, found)
    loaded = load_delta(
        connection, delta, known_ids, keep_bodies=run.options.keep_bodies, tracks_at=snapshot.observed_at
    )
    rejected = delta.known_rejects + len(loaded.rejects)
    require_readable(rejected, len(snapshot.items))
    ref = replace(ref, snapshot_id=loaded.snapshot_id, labelled=_labelled(connection, before, ref))
    changes = decide_changes(before, ref, run.options.threshold)
    result = _result(run, snapshot, changes, loaded.changed, rejected)
    result = replace(result, finished_at=clock.now() + snapshot.clock_shift)
    runs.finish(connection, result, ref)
    write_changes(connection, account.account_id, changes, before.memory)
    if ref.proves_absence:
        mark_superseded(connection, account.account_id, ref.run_id)
    write_rejects(connection, ref.run_id, loaded.rejects)
    if loaded.late:
        replay_tracks(connection, loaded.late, accounts=accounts_with_tracks(connection, loaded.late))
    _remember_owner(connection, run, found.owner, snapshot.observed_at)
    _settle(connection, run, result)
    mark_sighted(connection, loaded.sighted, loaded.earlier, snapshot.observed_at)
    return result


def _settle(connection: Connection, run: Run, result: RunResult) -> None:
    """Let the scheduler write the account's next run, in the same transaction."""
    if run.options.settle is not None:
        run.options.settle(connection, result)


def _labelled(connection: Connection, before: OpenFavourites, ref: SnapshotRef) -> frozenset[int]:
    """Return the missing tracks that look hidden together with their label."""
    missing = {track_id for track_id in before.intervals if track_id in before.open}.difference(ref.present)
    if len(missing) < CROWD:
        return frozenset()
    return labelled_tracks(missing, shared_labels(connection, missing, before.open))


def _remember_owner(connection: Connection, run: Run, owner: User | None, at: datetime) -> None:
    if owner is not None:
        account = run.account
        accounts.require_own_user(connection, account.account_id, owner.user_id)
        region = account.region or owner.region  # the operator may have set another region
        known = {"boomplay_user_id": owner.user_id, "user_name": owner.user_name, "region": region, "plan": owner.plan}
        accounts.remember_user(connection, account.account_id, known, at)


def _record_unchanged(
    connection: Connection, run: Run, snapshot: Snapshot, baseline: Baseline, owner: User | None
) -> RunResult:
    changes = FavouriteChanges(favourites=baseline.favourites)
    result = _result(run, snapshot, changes, 0, baseline.rejected)
    result = replace(result, finished_at=clock.now() + snapshot.clock_shift)
    ref = replace(_snapshot_ref(run, snapshot, owner, {}), snapshot_id=baseline.snapshot_id)
    is_same_day = baseline.observed_at.date() == snapshot.observed_at.date()
    if run.options.idle_runs == "daily" and is_same_day and runs.extend_idle(connection, baseline.run_id, result, ref):
        result = replace(result, run_id=baseline.run_id)
    else:
        runs.finish(connection, result, ref)
    _remember_owner(connection, run, owner, snapshot.observed_at)
    _settle(connection, run, result)
    return result


def _record_failure(engine: Engine, run: Run, error: FavsyncError) -> RunResult:
    """Mark the run as failed. If the database itself fails, the next run marks it as interrupted."""
    shift = clock_shift(run.api)
    result = replace(
        run.result,
        started_at=run.result.started_at + shift,
        outcome=Outcome.FAILED,
        reason=runs.STOPPED if isinstance(error, Stopped) else str(error),
        error=error,
        requests=run.api.requests,
        retries=run.api.retries,
        finished_at=clock.now() + shift,
        retry_at=error.retry_at if isinstance(error, RateLimited) else None,
    )
    try:
        with write_transaction(engine) as connection:
            favourites = runs.favourites_before(connection, run.result.run_id or 0)
            runs.finish(connection, replace(result, favourites=favourites))
            _settle(connection, run, result)
    except FavsyncError as second:
        log.warning("failed run not recorded", error=str(second))
        return result
    return replace(result, favourites=favourites or 0)


def plan_account(engine: Engine | None, account: Account, api: FavouritesApi, options: RunOptions) -> RunResult:
    """Return what `sync_account` would do now, with the ids, and write nothing. ``engine`` None: there is no database.

    Raises: ApiError, CredentialsError, DatabaseError.
    """
    run = Run(engine, account, api, options, RunResult(account.name, options.trigger, clock.now()))
    if engine is not None:
        with read_transaction(engine) as connection:
            run = replace(run, baseline=read_baseline(connection, account.account_id))
    baseline = run.baseline
    snapshot, lookup = _take_snapshot(run)
    run = _dated(run, snapshot)
    owner = require_owner(api, account.boomplay_user_id, account.name) if engine else None
    delta = _delta(run, snapshot, lookup)
    changed, rejected = 0, delta.known_rejects
    titles: dict[int, str] = {}
    ref = _snapshot_ref(run, snapshot, owner, _ask_catalogue(run, snapshot, lookup))
    if baseline is not None and baseline.digest == snapshot_digest(item.digest for item in snapshot.items):
        ref = replace(ref, snapshot_id=baseline.snapshot_id)
    if engine is None:
        for batch in normalise_batches(delta):
            rejected += len(batch.rejects)
            titles |= {track.track_id: track.title or "" for track in batch.tracks}
        before = OpenFavourites()
    else:
        with read_transaction(engine) as connection:
            before = read_open_favourites(connection, account.account_id, ref.present)
            ref = replace(ref, labelled=_labelled(connection, before, ref))
            for batch in normalise_batches(delta):
                refs = stored_version_refs(connection, [track.track_id for track in batch.tracks])
                changed += len(track_changes(refs, batch.tracks, snapshot.observed_at).changed)
                rejected += len(batch.rejects)
                titles |= {track.track_id: track.title or "" for track in batch.tracks}
    require_readable(rejected, len(snapshot.items))
    changes = decide_changes(before, ref, options.threshold)
    plan = {
        "added": [interval.track_id for interval in changes.opened],
        "removed": [interval.track_id for interval in changes.closed],
        "held": list(changes.held),
        "missing": sorted(i.track_id for i in changes.marked if i.missing_since == snapshot.observed_at),
    }
    unknown = {track_id for ids in plan.values() for track_id in ids} - set(titles)
    if engine is not None:
        with read_transaction(engine) as connection:
            titles |= track_titles(connection, unknown)
    result = _result(run, snapshot, changes, changed, rejected)
    return replace(result, plan=plan, titles=titles, finished_at=clock.now())


def _snapshot_ref(
    run: Run, snapshot: Snapshot, owner: User | None, answers: Mapping[int, RemovalReason]
) -> SnapshotRef:
    return SnapshotRef(
        run_id=run.result.run_id or 0,
        started_at=snapshot.started_at,
        observed_at=snapshot.observed_at,
        present=snapshot.track_ids,
        proves_absence=snapshot.proves_absence,
        threshold=run.options.threshold,
        grace=run.options.grace,
        user_confirmed=owner is not None or run.account.boomplay_user_id is None,
        total=snapshot.total,
        page_size=snapshot.page_size,
        catalogue=answers,
    )


def _result(run: Run, snapshot: Snapshot, changes: FavouriteChanges, changed: int, rejected: int) -> RunResult:
    reasons = [snapshot.reason, snapshot.note]
    if snapshot.unknown:
        entries = counted(snapshot.unknown, "entry has", "entries have")
        reasons.append(f"{entries} no readable id and could be any track, so nothing is removed")
    reasons += changes.reasons
    if changes.missing:
        reasons.append(f"{changes.missing} missing from the list: removals are recorded when they are certain")
    if changes.held:
        removals = counted(len(changes.held), "removal waits", "removals wait")
        reasons.insert(0, f"{removals} for `favsync runs approve {run.result.run_id or 'N'}`")
    return replace(
        run.result,
        outcome=outcome_of(proves_absence=snapshot.proves_absence, change=changes, changed=changed),
        reason="; ".join(filter(None, reasons)) or None,
        proven=snapshot.is_whole,
        favourites=changes.favourites,
        added=len(changes.opened),
        removed=len(changes.closed),
        held=len(changes.held),
        missing=changes.missing,
        changed=changed,
        rejected=rejected,
        pages=snapshot.pages,
        requests=run.api.requests,
        retries=run.api.retries,
        observed_at=snapshot.observed_at,
    )


def _logged(result: RunResult) -> RunResult:
    """Log the result of a run in one line. The CLI prints manual runs itself, so those are logged at debug level."""
    say = log.warning if result.outcome in (Outcome.FAILED, Outcome.HELD) else log.info
    if result.trigger != Trigger.SCHEDULE:
        say = log.debug
    counts: dict[str, Any] = {
        name: count
        for name in ("added", "removed", "held", "missing", "changed", "rejected")
        if (count := getattr(result, name))
    }
    event = "sync failed" if result.outcome == Outcome.FAILED else "synced"
    fields = {"outcome": result.outcome, "favourites": result.favourites} | counts
    say(event, **fields, reason=result.reason, remedy=result.remedy or None)
    return result
