"""The budget of requests of an app id, for all processes that share a PostgreSQL database. A file of its own: it owns the table.

One row says when the next turn is free, by the server's clock. Taking turns moves it, so turns never overlap, whatever process
asks. SQLite serves one process, which limits itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text

from etl.db.engine import read_transaction, write_transaction

TAKE = text("""
INSERT INTO budgets AS b (app, per_second, next_at)
VALUES (:app, :rate, clock_timestamp() + make_interval(secs => :turns / CAST(:rate AS float8)))
ON CONFLICT (app) DO UPDATE SET per_second = excluded.per_second,
    next_at = greatest(b.next_at, clock_timestamp()) + make_interval(secs => :turns / CAST(:rate AS float8))
RETURNING extract(epoch FROM b.next_at - clock_timestamp()) - :turns / CAST(:rate AS float8) AS seconds
""")
PAUSE = text("""
UPDATE budgets SET next_at = greatest(next_at, clock_timestamp() + make_interval(secs => :seconds)) WHERE app = :app
""")
WAITS = text("SELECT per_second, extract(epoch FROM next_at - clock_timestamp()) AS seconds FROM budgets ORDER BY app")


@dataclass(frozen=True, slots=True)
class DatabaseBudget:
    """The turns of ``app`` at ``rate`` a second (`etl.boomplay.waiting.SharedBudget`)."""

    engine: Engine
    app: str
    rate: float

    def take(self, turns: int) -> float:
        """Take the next ``turns`` and return the seconds until the first of them.

        Raises: DatabaseError.
        """
        with write_transaction(self.engine) as connection:
            found = connection.execute(TAKE, {"app": self.app, "rate": self.rate, "turns": float(turns)})
            return max(float(found.scalar_one()), 0.0)

    def pause(self, seconds: float) -> None:
        """Delay all turns of all processes.

        Raises: DatabaseError.
        """
        with write_transaction(self.engine) as connection:
            connection.execute(PAUSE, {"app": self.app, "seconds": seconds})


def database_budget(engine: Engine | None, app: str, rate: float) -> DatabaseBudget | None:
    """Return the budget of ``app``; None without a limit, or where the process limits itself."""
    return DatabaseBudget(engine, app, rate) if engine and rate and engine.dialect.name == "postgresql" else None


def budget_waits(engine: Engine) -> list[tuple[float, float]]:
    """Return for each app id its requests a second, and the seconds until its next free turn.

    Raises: DatabaseError.
    """
    with read_transaction(engine) as connection:
        return [(row.per_second, max(float(row.seconds), 0.0)) for row in connection.execute(WAITS)]
