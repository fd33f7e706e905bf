"""How far each account's digests have told, for each channel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from etl.db.tables import digests, runs
from etl.model.records import Outcome


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to run ``run_id`` is told, but for removals that run ``held_run_id`` was holding then."""

    run_id: int
    held_run_id: int | None
    told_at: datetime


def cursor_of(connection: Connection, account_id: int, channel: str) -> Cursor | None:
    """Return how far ``channel`` was told, None before its first digest."""
    row = connection.execute(
        select(digests).where(digests.c.account_id == account_id, digests.c.channel == channel)
    ).first()
    return None if row is None else Cursor(row.run_id, row.held_run_id, row.told_at)


def newest_cursor(connection: Connection, account_id: int, now: datetime) -> Cursor | None:
    """Return the mark of a digest that tells everything there is, None before the first run that ended."""
    own = (runs.c.account_id == account_id) & runs.c.outcome.is_not(None)
    run_id = connection.execute(select(func.max(runs.c.run_id)).where(own)).scalar()
    held = select(func.max(runs.c.run_id)).where(own, runs.c.outcome == Outcome.HELD, runs.c.decision.is_(None))
    return None if run_id is None else Cursor(run_id, connection.execute(held).scalar(), now)


def is_reported_hold(connection: Connection, account_id: int, mark: Cursor | None, run_id: int) -> bool:
    """Say whether what ``run_id`` holds was told up to ``mark``: the run that held it then, and each proven one since, agree."""
    if mark is None or mark.held_run_id is None:
        return False
    query = select(runs.c.outcome, runs.c.held, runs.c.decision).where(
        runs.c.account_id == account_id,
        runs.c.run_id.between(mark.held_run_id, run_id),
        runs.c.proven,
        runs.c.retracted_at.is_(None),
    )
    found = connection.execute(query.distinct()).all()
    return len(found) == 1 and found[0].outcome == Outcome.HELD and found[0].decision is None


def set_cursor(connection: Connection, account_id: int, channel: str, mark: Cursor) -> None:
    """Remember that ``channel`` was told up to ``mark``."""
    values = {"run_id": mark.run_id, "held_run_id": mark.held_run_id, "told_at": mark.told_at}
    mine = (digests.c.account_id == account_id) & (digests.c.channel == channel)
    if connection.execute(update(digests).where(mine).values(**values)).rowcount == 0:
        connection.execute(insert(digests).values(account_id=account_id, channel=channel, **values))
