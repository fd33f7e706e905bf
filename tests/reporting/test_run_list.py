"""Everything about one run: favourites that it added, removed and missed."""

from __future__ import annotations

from sqlalchemy import Connection, select

from etl.db.tables import runs
from etl.reporting.run_list import LIST_COLUMNS, list_runs, run_details
from tests.support.seeded import intervals


def test_a_run_lists_its_removals_with_reasons(seeded: Connection) -> None:
    stays = intervals(seeded)
    missed = 0
    for run in seeded.execute(select(runs).where(runs.c.outcome == "succeeded", (runs.c.removed + runs.c.missing) > 0)):
        details = run_details(seeded, run.run_id)
        removed = {(row["track_id"], row["removal_reason"]) for row in details["removed_tracks"]}
        assert removed == {
            (each.track_id, each.removal_reason) for _, each in stays if each.removed_run_id == run.run_id
        }
        missing = {row["track_id"] for row in details["missing_tracks"]}
        assert missing == {
            each.track_id
            for _, each in stays
            if (each.account_id, each.missing_since) == (run.account_id, run.observed_at)
        }
        missed += len(missing)
    assert missed == sum(each.missing_since is not None for _, each in stays)


def test_the_list_of_runs_counts_missing_favourites(seeded: Connection) -> None:
    place = LIST_COLUMNS.index("missing")
    listed = {row[0]: row[place] for row in list_runs(seeded, limit=10_000)}
    assert listed == dict(seeded.execute(select(runs.c.run_id, runs.c.missing)).all())
