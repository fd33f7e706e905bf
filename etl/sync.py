"""ONE run: lease, walk, confirm, decide, land, apply, report. Schedule, manual sync and demo all come here.

Invariants: the run's row is there before the first request, and is finished in the one transaction that writes what the run
found, so a crash leaves the history of before or of after; a plan goes the same way up to the decision, and writes nothing.
"""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy import Connection, Engine

from etl import clock, logs
from etl.boomplay.payloads import User
from etl.db.engine import reading, retrying, writing
from etl.errors import ApiError, CredentialsError, FavsyncError, RateLimited, WrongUser
from etl.extract.snapshot import Observed, Source, Way, is_unchanged, observe
from etl.load import runs
from etl.load.baseline import Account, Newest, known_facts, newest_observation, state_of
from etl.load.delta import News, Written, find_news, land_news, normalised_part
from etl.load.favourites import apply_membership, write_rejects
from etl.load.run_lock import lease
from etl.model.outcomes import outcome_of
from etl.model.records import ChangeSet, Observation, Outcome, State, Trigger
from etl.model.result import Report
from etl.model.threshold import Brake
from etl.replay.favourites import refold_facts
from etl.replay.review import supersede
from etl.replay.track_events import holders_of
from etl.transform.favourite_history import changes
from etl.transform.track_versions import fact_changes

__all__ = ["Report", "Source", "Way", "plan_account", "sync_account"]

log = logs.get(__name__)


def sync_account(engine: Engine, account: Account, source: Source, way: Way) -> Report:
    """Sync one account and return how it went; failures are reported, not raised.

    Raises: RunInProgress, where another run holds the account; DatabaseError, where not even a failure can be recorded;
    KeyboardInterrupt and the like, after the run is marked as failed.
    """
    with lease(engine, account.account_id, account.name):
        started_at = clock.now()
        with writing(engine) as connection:
            run_id = runs.begin(connection, account.account_id, way.trigger, started_at)
        begun = Report(account=account.name, trigger=way.trigger, started_at=started_at, run_id=run_id)
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


def _logged(report: Report) -> Report:
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


def plan_account(engine: Engine | None, account: Account, source: Source, way: Way) -> Report:
    """Return what `sync_account` would do now, with the ids; nothing at all is written. ``engine`` None: there is no database.

    Raises: ApiError, CredentialsError, DatabaseError.
    """
    begun = Report(account=account.name, trigger=way.trigger, started_at=clock.now())
    observed = observe(engine, account, source, way, begun.started_at)
    seen = _observation(0, observed)
    done = Written()
    if engine is None:
        state, news = State(), find_news(None, observed, None)
        for part in news.parts():
            done.rejects += normalised_part(observed, part)[1]
    else:
        with reading(engine) as connection:
            newest = newest_observation(connection, account.account_id)
            state = state_of(connection, account.account_id, seen.present)
            news = find_news(connection, observed, newest)
            for part in news.parts():
                tracks, rejects = normalised_part(observed, part)
                known = known_facts(connection, [track.track_id for track in tracks])
                done.changed += len(fact_changes(known, tracks, observed.observed_at).changed)
                done.rejects += rejects
    change = changes(state, seen, way.brake)
    report = _report(begun, source, observed, change, done.changed, news.carried + len(done.rejects))
    plan = {
        "added": [interval.track_id for interval in change.opened],
        "removed": [interval.track_id for interval in change.closed],
        "held": list(change.held),
    }
    return replace(report, plan=plan, finished_at=clock.now())


def _run(engine: Engine, account: Account, source: Source, way: Way, begun: Report) -> Report:
    observed = observe(engine, account, source, way, begun.started_at)
    with reading(engine) as connection:
        newest = newest_observation(connection, account.account_id)
        news = None if is_unchanged(observed, newest) else find_news(connection, observed, newest)
    if news is None and newest is not None:
        report = _unchanged(begun, source, observed, newest)
        with writing(engine) as connection:
            return _finished(connection, report, observed, newest.snapshot_id, way.brake)
    user = _checked_user(account, source)
    assert news is not None  # noqa: S101

    def land(connection: Connection) -> Report:
        return _land(connection, account, source, way, begun, observed, news, user)

    return retrying(engine, land)


def _unchanged(begun: Report, source: Source, observed: Observed, newest: Newest) -> Report:
    change = ChangeSet(favourites=newest.favourites)
    return _report(begun, source, observed, change, changed=0, rejected=newest.rejected)


def _checked_user(account: Account, source: Source) -> User | None:
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


def _observation(run_id: int, observed: Observed) -> Observation:
    present = tuple(item.track_id for item in observed.seen.items if item.track_id is not None)
    return Observation(
        run_id=run_id,
        started_at=observed.started_at,
        observed_at=observed.observed_at,
        present=present,
        proves_absence=observed.seen.is_whole and not observed.has_unknown,
    )


def _land(
    connection: Connection,
    account: Account,
    source: Source,
    way: Way,
    begun: Report,
    observed: Observed,
    news: News,
    user: User | None,
) -> Report:
    """Write everything that the run found, in the caller's transaction."""
    if begun.run_id is None:
        raise FavsyncError("a run without a row cannot land")
    seen = _observation(begun.run_id, observed)
    change = changes(state_of(connection, account.account_id, seen.present), seen, way.brake)
    snapshot_id, done = land_news(connection, observed, news, keep_bodies=way.keep_bodies)
    report = _report(begun, source, observed, change, done.changed, news.carried + len(done.rejects))
    report = _finished(connection, report, observed, snapshot_id, way.brake)
    apply_membership(connection, account.account_id, change)
    if report.proven:
        supersede(connection, account.account_id, begun.run_id)
    write_rejects(connection, begun.run_id, done.rejects)
    if done.late:
        refold_facts(connection, done.late, accounts=holders_of(connection, done.late))
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
    begun: Report, source: Source, observed: Observed, change: ChangeSet, changed: int, rejected: int
) -> Report:
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


def _finished(connection: Connection, report: Report, observed: Observed, snapshot_id: int, brake: Brake) -> Report:
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


def _failed(engine: Engine, begun: Report, source: Source, error: FavsyncError) -> Report:
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
        with writing(engine) as connection:
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
