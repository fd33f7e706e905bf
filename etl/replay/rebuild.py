"""`favsync rebuild`: comparing and rewriting whole accounts and the facts of all tracks.

Facts are shared between accounts, so they are folded over all of them; where accounts are named, the tracks that these saw.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, select

from etl.db import bulk
from etl.db.engine import reading, retrying
from etl.db.tables import raw_items, runs
from etl.errors import UsageError
from etl.load.baseline import Account, every_account, is_observation
from etl.load.run_lock import leases
from etl.load.stored_tracks import damaged_market_sets
from etl.model.threshold import Brake
from etl.replay.favourites import Difference, FactDifference, membership_difference, refold_facts, refold_membership
from etl.replay.snapshots import Lists


@dataclass(slots=True)
class Rebuilt:
    """Where history and observations differ, or differed. ``market_sets``: sets whose members are not the stored ones."""

    accounts: list[tuple[str, Difference]] = field(default_factory=list)
    facts: FactDifference = field(default_factory=FactDifference)
    market_sets: list[int] = field(default_factory=list)
    observations: int = 0

    def __bool__(self) -> bool:
        """Say whether there is any difference."""
        return any(difference for _, difference in self.accounts) or bool(self.facts) or bool(self.market_sets)


def compare(engine: Engine, names: Sequence[str], brake: Brake) -> Rebuilt:
    """Compare what is stored with what the observations tell, of these accounts, or of all; write nothing.

    Raises: UsageError, for an account that is not there; DatabaseError.
    """
    with reading(engine) as connection:
        accounts = _accounts(connection, names)
        found = Rebuilt(market_sets=damaged_market_sets(connection), observations=_observations(connection, accounts))
        for account in accounts:
            difference, _ = membership_difference(connection, account.account_id, brake)
            found.accounts.append((account.name, difference))
        found.facts = refold_facts(connection, _tracks(connection, accounts, names), write=False)
    return found


def rewrite(engine: Engine, names: Sequence[str], brake: Brake) -> Rebuilt:
    """Make history what the observations tell, in one transaction, while no run of these accounts is in progress.

    Raises: UsageError, RunInProgress, DatabaseError.
    """
    with reading(engine) as connection:
        accounts = _accounts(connection, names)

    def work(connection: Connection) -> Rebuilt:
        bulk.lock_facts(connection)
        done = Rebuilt(observations=_observations(connection, accounts))
        for account in accounts:
            done.accounts.append((account.name, refold_membership(connection, account.account_id, brake)))
        done.facts = refold_facts(connection, _tracks(connection, accounts, names))
        return done

    with leases(engine, [(account.account_id, account.name) for account in accounts]):
        return retrying(engine, work)


def _accounts(connection: Connection, names: Sequence[str]) -> list[Account]:
    there = {account.name: account for account in every_account(connection)}
    for name in names:
        if name not in there:
            raise UsageError(f"there is no account {name!r}", remedy=f"accounts are: {', '.join(there) or 'none yet'}")
    return [there[name] for name in dict.fromkeys(names)] or list(there.values())


def _observations(connection: Connection, accounts: Sequence[Account]) -> int:
    ids = [account.account_id for account in accounts]
    query = select(runs.c.run_id).where(is_observation, runs.c.account_id.in_(ids))
    return len(connection.execute(query).all())


def _tracks(connection: Connection, accounts: Sequence[Account], names: Sequence[str]) -> Collection[int] | None:
    """Return the tracks that the accounts ever saw; None where all accounts are meant."""
    if not names:
        return None
    lists = Lists(connection)
    ids = [account.account_id for account in accounts]
    query = select(runs.c.snapshot_id).where(is_observation, runs.c.account_id.in_(ids)).distinct()
    seen: set[int] = set()
    for snapshot_id in connection.execute(query).scalars().all():
        seen.update(lists.items(snapshot_id))
    rows = bulk.select_in(connection, "track_id", raw_items, "raw_item_id", seen)
    return {row[0] for row in rows if row[0] is not None}
