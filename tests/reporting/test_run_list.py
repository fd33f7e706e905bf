"""Everything about one run: favourites that it added, removed and missed."""

from __future__ import annotations

from sqlalchemy import Connection, select

from etl.db.tables import runs
from etl.reporting.run_list import LIST_COLUMNS, list_runs, run_details
from tests.support.seeded import intervals


def test_a_run_lists_its_removals_with_reasons(seeded: Connection) -> None:
    stored = intervals(seeded)
    observed_at = dict(seeded.execute(select(runs.c.run_id, runs.c.observed_at)).all())
    listed = set()
    for run in seeded.execute(select(runs).where(runs.c.outcome == "succeeded", (runs.c.removed + runs.c.missing) > 0)):
        details = run_details(seeded, run.run_id)
        removed = {(row["track_id"], row["removal_reason"]) for row in details["removed_tracks"]}
        assert removed == {
            (each.track_id, each.removal_reason) for _, each in stored if each.removed_run_id == run.run_id
        }
        missing = {row["track_id"] for row in details["missing_tracks"]}
        own = [each for _, each in stored if each.account_id == run.account_id]
        assert missing == {
            each.track_id
            for each in own
            if (lost_at := each.missing_since or each.valid_to)
            and lost_at <= run.observed_at
            and (each.removed_run_id is None or observed_at[each.removed_run_id] > run.observed_at)
        }
        listed |= {(run.account_id, track_id) for track_id in missing}
    assert {(each.account_id, each.track_id) for _, each in stored if each.missing_since} <= listed
    assert listed


def test_the_list_of_runs_counts_missing_favourites(seeded: Connection) -> None:
    place = LIST_COLUMNS.index("missing")
    listed = {row[0]: row[place] for row in list_runs(seeded, limit=10_000)}
    assert listed == dict(seeded.execute(select(runs.c.run_id, runs.c.missing)).all())
