"""What the database knows of every account's freshness."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from etl.accounts import token_rows
from etl.accounts.token_rows import TokenRow
from etl.db.tables import accounts, runs, schedules
from etl.model.records import Outcome

AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class AccountFreshness:
    """One account as the database knows it. ``held``: removals that wait for the operator's word now.

    ``was_asked``: the newest proof came from the service, by the account's token, not from an import.
    """

    account_id: int
    name: str
    enabled: bool
    schedule: str | None
    created_at: datetime
    last_proven_at: datetime | None
    was_asked: bool
    favourites: int | None
    held: int
    held_run_id: int | None
    rejected: int
    last_run_at: datetime | None
    last_outcome: str | None
    last_reason: str | None
    failures_in_a_row: int
    next_run_at: datetime | None
    parked_until: datetime | None
    token: TokenRow | None


def account_freshness(connection: Connection, names: Collection[str] = ()) -> list[AccountFreshness]:
    """Return the accounts with these names, all where none is named, by name."""
    rows = connection.execute(_accounts(names)).all()
    run_ids = {run_id for row in rows for run_id in (row.proven_run_id, row.last_run_id) if run_id is not None}
    found = _runs(connection, sorted(run_ids))
    tokens = token_rows.token_rows(connection)
    return [
        _facts(row, found.get(row.proven_run_id), found.get(row.last_run_id), tokens.get(row.account_id))
        for row in rows
    ]


def _accounts(names: Collection[str]) -> Any:
    """Select each account with its newest proven run and its newest run: two look-ups in an index, however many runs.

    What was not proven since counts as a failure, but for an imported part: that was never meant to be the whole list.
    """
    each, other, newest = runs.alias("each"), runs.alias("other"), runs.alias("newest")
    proven = (
        select(each.c.run_id)
        .where(each.c.account_id == accounts.c.account_id, each.c.proven)
        .where(each.c.retracted_at.is_(None), each.c.observed_at.is_not(None))
        .order_by(each.c.observed_at.desc())
        .limit(1)
        .correlate(accounts)
        .scalar_subquery()
    )
    last = select(func.max(newest.c.run_id)).where(newest.c.account_id == accounts.c.account_id).scalar_subquery()
    unproven = (
        select(func.count(other.c.run_id))
        .where(other.c.account_id == accounts.c.account_id, other.c.run_id > func.coalesce(proven, 0))
        .where((other.c.outcome == Outcome.FAILED) | (other.c.outcome == Outcome.PARTIAL) & (other.c.requests > 0))
        .correlate(accounts)
        .scalar_subquery()
    )
    query = (
        select(
            accounts,
            proven.label("proven_run_id"),
            last.label("last_run_id"),
            unproven.label("unproven"),
            schedules.c.next_run_at,
            schedules.c.parked_until,
            schedules.c.updated_at.label("turned_at"),
            func.coalesce(schedules.c.failures_in_a_row, 0).label("failures"),
        )
        .select_from(accounts.outerjoin(schedules, schedules.c.account_id == accounts.c.account_id))
        .order_by(accounts.c.name)
    )
    return query.where(accounts.c.name.in_(names)) if names else query


def _runs(connection: Connection, run_ids: Sequence[int]) -> dict[int, Row[Any]]:
    found = {}
    for start in range(0, len(run_ids), AT_ONCE):
        part = run_ids[start : start + AT_ONCE]
        for row in connection.execute(select(runs).where(runs.c.run_id.in_(part))):
            found[row.run_id] = row
    return found


def _facts(row: Row[Any], proven: Row[Any] | None, last: Row[Any] | None, token: TokenRow | None) -> AccountFreshness:
    is_older = proven is not None and row.turned_at is not None and row.turned_at < proven.observed_at
    is_held = proven is not None and proven.outcome == Outcome.HELD and proven.decision is None
    return AccountFreshness(
        account_id=row.account_id,
        name=row.name,
        enabled=bool(row.enabled),
        schedule=row.schedule,
        created_at=row.created_at,
        last_proven_at=proven.observed_at if proven else None,
        was_asked=proven is not None and bool(proven.requests),
        favourites=last.favourites if last and last.favourites is not None else (proven.favourites if proven else None),
        held=proven.held if proven and is_held else 0,
        held_run_id=proven.run_id if proven and is_held else None,
        rejected=proven.rejected if proven else 0,
        last_run_at=last.started_at if last else None,
        last_outcome=last.outcome if last else None,
        last_reason=last.reason if last else None,
        failures_in_a_row=max(0 if is_older else row.failures, row.unproven),
        next_run_at=row.next_run_at,
        parked_until=row.parked_until,
        token=token,
    )
