"""ONE run: lease, walk, confirm, decide, land, apply, report. Schedule, manual sync and demo all come here.

Invariants: the run's row is there before the first request, and is finished in the one transaction that writes what the run
found, so a crash leaves the history of before or of after; a plan goes the same way up to the decision, and writes nothing.
"""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from etl import clock, logs
from etl.boomplay.payloads import User
from etl.db.engine import in_transaction, read_transaction, write_transaction
from etl.errors import ApiError, CredentialsError, FavsyncError, RateLimited, WrongUser
from etl.extract.snapshot import FavouritesApi, Observed, RunOptions, is_unchanged, take_snapshot
from etl.load import runs
from etl.load.baseline import Account, Baseline, read_baseline, read_open_favourites, stored_version_refs
from etl.load.delta import Delta, LoadResult, find_delta, load_delta, normalise_batch
from etl.load.favourites import write_changes, write_rejects
from etl.load.run_lock import run_lock
from etl.model.outcomes import outcome_of
from etl.model.records import FavouriteChanges, OpenFavourites, Outcome, SnapshotRef, Trigger
from etl.model.result import RunResult
from etl.model.threshold import RemovalThreshold
from etl.replay.review import mark_superseded
from etl.replay.track_events import accounts_with_tracks
from etl.replay.tracks import replay_tracks
from etl.transform.favourite_history import decide_changes
from etl.transform.track_versions import track_changes

__all__ = ["FavouritesApi", "RunOptions", "RunResult", "plan_account", "sync_account"]

log = logs.get(__name__)


def sync_account(engine: Engine, account: Account, source: FavouritesApi, way: RunOptions) -> RunResult:
    """Sync one account and return how it went; failures are reported, not raised.

    Raises: RunInProgress, where another run holds the account; DatabaseError, where not even a failure can be recorded;
    KeyboardInterrupt and the like, after the run is marked as failed.
    """
    with run_lock(engine, account.account_id, account.name):
        started_at = clock.now()
        with write_transaction(engine) as connection:
            run_id = runs.begin(connection, account.account_id, way.trigger, started_at)
        begun = RunResult(account=account.name, trigger=way.trigger, started_at=started_at, run_id=run_id)
        with logs.bound(run_id=run_id, account=account.name):
            try:
                return _logged(_run(engine, account, source, way, begun))
            except FavsyncError as error:
                return _logged(_failed(engine, begun, source, error))
            except BaseException as error:
                _failed(engine, begun, source, FavsyncError(_why_stopped(error)))
                raise


def _why_stopped(error: BaseException) -> str:
    return "stopped by Ctrl-C" if isinstance(error, KeyboardInterrupt) else f"stopped by {type(error).__name__}"


def _logged(report: RunResult) -> RunResult:
    """Log how a scheduled run went, in one line, and return its report; a person who syncs by hand is told by the verb."""
    counts = {
        name: count for name in ("added", "removed", "held", "changed", "rejected") if (count := getattr(report, name))
    }
    say = log.warning if report.outcome in (Outcome.FAILED, Outcome.HELD) else log.info
    if report.trigger != Trigger.SCHEDULE:
        say = log.debug
    event = "synced" if report.outcome != Outcome.FAILED else "the sync failed"
    say(
        event,
        outcome=report.outcome,
        favourites=report.favourites,
        **counts,
        reason=report.reason,
        remedy=report.remedy or None,
    )
    return report


def plan_account(engine: Engine | None, account: Account, source: FavouritesApi, way: RunOptions) -> RunResult:
    """Return what `sync_account` would do now, with the ids; nothing at all is written. ``engine`` None: there is no database.

    Raises: ApiError, CredentialsError, DatabaseError.
    """
    begun = RunResult(account=account.name, trigger=way.trigger, started_at=clock.now())
    observed = take_snapshot(engine, account, source, way, begun.started_at)
    seen = _observation(0, observed)
    done = LoadResult()
    if engine is None:
        state, news = OpenFavourites(), find_delta(None, observed, None)
        for part in news.parts():
            done.rejects += normalise_batch(observed, part)[1]
    else:
        with read_transaction(engine) as connection:
            newest = read_baseline(connection, account.account_id)
            state = read_open_favourites(connection, account.account_id, seen.present)
            news = find_delta(connection, observed, newest)
            for part in news.parts():
                tracks, rejects = normalise_batch(observed, part)
                known = stored_version_refs(connection, [track.track_id for track in tracks])
                done.changed += len(track_changes(known, tracks, observed.observed_at).changed)
                done.rejects += rejects
    change = decide_changes(state, seen, way.brake)
    report = _report(begun, source, observed, change, done.changed, news.carried + len(done.rejects))
    plan = {
        "added": [interval.track_id for interval in change.opened],
        "removed": [interval.track_id for interval in change.closed],
        "held": list(change.held),
    }
    return replace(report, plan=plan, finished_at=clock.now())


def _run(engine: Engine, account: Account, source: FavouritesApi, way: RunOptions, begun: RunResult) -> RunResult:
    observed = take_snapshot(engine, account, source, way, begun.started_at)
    with read_transaction(engine) as connection:
        newest = read_baseline(connection, account.account_id)
        news = None if is_unchanged(observed, newest) else find_delta(connection, observed, newest)
    if news is None and newest is not None:
        report = _unchanged(begun, source, observed, newest)
        with write_transaction(engine) as connection:
            return _finished(connection, report, observed, newest.snapshot_id, way.brake)
    user = _checked_user(account, source)
    assert news is not None  # noqa: S101

    def land(connection: Connection) -> RunResult:
        return _land(connection, account, source, way, begun, observed, news, user)

    return in_transaction(engine, land)


def _unchanged(begun: RunResult, source: FavouritesApi, observed: Observed, newest: Baseline) -> RunResult:
    change = FavouriteChanges(favourites=newest.favourites)
    return _report(begun, source, observed, change, changed=0, rejected=newest.rejected)


def _checked_user(account: Account, source: FavouritesApi) -> User | None:
    """Make sure that the list is still this account's user's, before anything of it is written.

    Raises: WrongUser, CredentialsError. Where the service does not tell who it is, the list alone must do.
    """
    try:
        user = source.user()
    except CredentialsError:
        raise
    except ApiError as error:
        log.warning("could not ask whose token this is", error=str(error))
        return None
    if account.boomplay_user_id not in (None, user.user_id):
        raise WrongUser(
            f"the token belongs to another Boomplay user than account {account.name}",
            remedy="set the token of the right user, or add another account for this one",
        )
    return user


def _observation(run_id: int, observed: Observed) -> SnapshotRef:
    present = tuple(item.track_id for item in observed.seen.items if item.track_id is not None)
    return SnapshotRef(
        run_id=run_id,
        started_at=observed.started_at,
        observed_at=observed.observed_at,
        present=present,
        proves_absence=observed.seen.is_whole and not observed.has_unknown,
    )


def _land(
    connection: Connection,
    account: Account,
    source: FavouritesApi,
    way: RunOptions,
    begun: RunResult,
    observed: Observed,
    news: Delta,
    user: User | None,
) -> RunResult:
    """Write everything that the run found, in the caller's transaction."""
    if begun.run_id is None:
        raise FavsyncError("a run without a row cannot land")
    seen = _observation(begun.run_id, observed)
    change = decide_changes(read_open_favourites(connection, account.account_id, seen.present), seen, way.brake)
    snapshot_id, done = load_delta(connection, observed, news, keep_bodies=way.keep_bodies)
    report = _report(begun, source, observed, change, done.changed, news.carried + len(done.rejects))
    report = _finished(connection, report, observed, snapshot_id, way.brake)
    write_changes(connection, account.account_id, change)
    if report.proven:
        mark_superseded(connection, account.account_id, begun.run_id)
    write_rejects(connection, begun.run_id, done.rejects)
    if done.late:
        replay_tracks(connection, done.late, accounts=accounts_with_tracks(connection, done.late))
    if user is not None:
        runs.require_own_user(connection, account.account_id, user.user_id)
        known_as = {
            "boomplay_user_id": user.user_id,
            "user_name": user.user_name,
            "region": account.region or user.region,
            "plan": user.plan,
        }
        runs.remember_user(connection, account.account_id, known_as)
    return report


def _report(
    begun: RunResult, source: FavouritesApi, observed: Observed, change: FavouriteChanges, changed: int, rejected: int
) -> RunResult:
    outcome = outcome_of(proven=observed.seen.is_whole, change=change, changed=changed)
    reasons = [text for text in (observed.seen.reason, observed.note, _why_nothing_removed(observed)) if text]
    if change.held:
        reasons.insert(0, f"{len(change.held)} removals wait for `favsync runs approve {begun.run_id or 'N'}`")
    return replace(
        begun,
        outcome=outcome,
        reason="; ".join(reasons) or None,
        proven=observed.seen.is_whole,
        favourites=change.favourites,
        added=len(change.opened),
        removed=len(change.closed),
        held=len(change.held),
        changed=changed,
        rejected=rejected,
        pages=sum(walk.pages for walk in observed.walks),
        requests=source.requests,
        retries=source.retries,
        started_at=begun.started_at,
        observed_at=observed.observed_at,
    )


def _why_nothing_removed(observed: Observed) -> str:
    if observed.seen.is_whole and observed.has_unknown:
        return "an item without an id is in the list: it could be any track, so nothing is removed"
    return ""


def _finished(
    connection: Connection, report: RunResult, observed: Observed, snapshot_id: int, brake: RemovalThreshold
) -> RunResult:
    """Finish the run's row."""
    report = replace(report, finished_at=clock.now())
    if report.run_id is None:
        raise FavsyncError("a run without a row cannot be finished")
    runs.finish(
        connection,
        report.run_id,
        outcome=report.outcome,
        reason=report.reason,
        proven=report.proven,
        proves_absence=observed.seen.is_whole and not observed.has_unknown,
        started_at=observed.started_at,
        observed_at=report.observed_at,
        finished_at=report.finished_at,
        snapshot_id=snapshot_id,
        favourites=report.favourites,
        added=report.added,
        removed=report.removed,
        held=report.held,
        changed=report.changed,
        rejected=report.rejected,
        pages=report.pages,
        requests=report.requests,
        retries=report.retries,
        brake_minimum=brake.minimum,
        brake_ratio=brake.ratio,
    )
    return report


def _failed(engine: Engine, begun: RunResult, source: FavouritesApi, error: FavsyncError) -> RunResult:
    """Mark the run as failed; where the database itself is what failed, the next run will (as interrupted)."""
    retry_at = error.retry_at if isinstance(error, RateLimited) else None
    report = replace(
        begun,
        outcome=Outcome.FAILED,
        reason=str(error),
        error=error,
        requests=source.requests,
        retries=source.retries,
        finished_at=clock.now(),
        retry_at=retry_at,
    )
    if begun.run_id is None:
        return report
    try:
        with write_transaction(engine) as connection:
            newest_favourites = runs.favourites_before(connection, begun.run_id)
            runs.finish(
                connection,
                begun.run_id,
                outcome=report.outcome,
                reason=report.reason,
                finished_at=report.finished_at,
                favourites=newest_favourites,
                requests=report.requests,
                retries=report.retries,
                retry_at=retry_at,
            )
    except FavsyncError as second:
        log.warning("the failed run could not be marked", error=str(second))
        return report
    return replace(report, favourites=newest_favourites or 0)
