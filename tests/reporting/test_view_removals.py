"""Missing favourites and removals in the views, compared with the tables."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from etl.db.tables import accounts, removal_memory, runs
from tests.support.seeded import Histories, changed, intervals, rows_of


def memories(connection: Connection) -> dict[str, Any]:
    rows = connection.execute(select(accounts.c.name, removal_memory.c.memory).join(removal_memory))
    return {name: json.loads(memory) for name, memory in rows}


def test_missing_favourites_are_those_of_the_tables(seeded: Connection) -> None:
    answers = {name: memory.get("catalogue", {}) for name, memory in memories(seeded).items()}
    grace = {"withdrawn": timedelta(hours=168)}
    wanted = set()
    for account, stay in intervals(seeded):
        if stay.missing_since is not None:
            reason = answers[account].get(str(stay.track_id))
            earliest = stay.missing_since + grace.get(reason, timedelta(hours=48))
            wanted.add((account, stay.track_id, stay.missing_since, stay.last_seen_at, reason, earliest))
    names = ("account", "track_id", "missing_since", "last_seen_at", "likely_reason", "removable_at")
    assert {tuple(row[name] for name in names) for row in rows_of(seeded, "missing")} == wanted
    assert len(rows_of(seeded, "missing")) == len(wanted) > 1


def test_the_catalogue_s_answer_decides_the_earliest_removal(histories: Histories, seeded: Connection) -> None:
    engine = histories.engine(seeded.dialect.name)
    row = rows_of(seeded, "missing")[0]
    memory = json.dumps({"catalogue": {str(row["track_id"]): "withdrawn"}})
    whose = select(accounts.c.account_id).where(accounts.c.name == row["account"]).scalar_subquery()
    of_account = removal_memory.c.account_id == whose
    with changed(engine, update(removal_memory).where(of_account).values(memory=memory)) as other:
        (now,) = [each for each in rows_of(other, "missing") if each["track_id"] == row["track_id"]]
        assert (now["likely_reason"], now["removable_at"] - row["missing_since"]) == ("withdrawn", timedelta(days=7))
        others = {each["likely_reason"] for each in rows_of(other, "missing", accounts=(row["account"],))}
        assert others <= {"withdrawn", None}
    with changed(engine, update(runs).values(removal_grace_seconds=None)) as other:
        assert {each["removable_at"] for each in rows_of(other, "missing")} == {None}


def test_current_favourites_have_the_missing_ones(seeded: Connection) -> None:
    wanted = {
        (account, stay.track_id, stay.missing_since) for account, stay in intervals(seeded) if stay.valid_to is None
    }
    rows = rows_of(seeded, "current-favourites")
    assert {(row["account"], row["track_id"], row["missing_since"]) for row in rows} == wanted
    assert any(row["missing_since"] for row in rows)


def last_looks(connection: Connection) -> dict[int, datetime]:
    observed = select(runs.c.account_id, runs.c.observed_at).where(runs.c.observed_at.is_not(None))
    found: dict[int, datetime] = {}
    for account_id, at in connection.execute(observed):
        found[account_id] = max(at, found.get(account_id, at))
    return found


def test_days_kept_end_at_the_removal_or_at_the_last_look(seeded: Connection) -> None:
    last = last_looks(seeded)
    wanted = {
        (account, stay.track_id, stay.valid_from): (
            stay.removal_reason,
            pytest.approx(
                ((stay.valid_to or last[stay.account_id]) - stay.valid_from) / timedelta(days=1), abs=0.00501
            ),
        )
        for account, stay in intervals(seeded)
    }
    rows = rows_of(seeded, "favourite-history")
    assert len(rows) == len(wanted)
    for row in rows:
        key = (row["account"], row["track_id"], row["valid_from"])
        assert (row["removal_reason"], row["days_kept"]) == wanted[key]
    assert {row["removal_reason"] for row in rows} == {None, "unfavourited", "withdrawn", "unknown"}


def test_changes_are_the_bounds_of_the_intervals(seeded: Connection) -> None:
    run_at = {
        (row.account_id, row.observed_at): row.run_id
        for row in seeded.execute(select(runs).where(runs.c.observed_at.is_not(None)))
    }
    wanted = Counter[tuple[Any, ...]]()
    for account, stay in intervals(seeded):
        change = "added" if stay.added_after else "already there"
        wanted[account, stay.track_id, change, stay.added_after, stay.valid_from, stay.added_run_id, None] += 1
        if stay.valid_to is not None:
            bounds = (stay.removed_after, stay.valid_to, stay.removed_run_id, stay.removal_reason)
            wanted[account, stay.track_id, "removed", *bounds] += 1
        if stay.missing_since is not None:
            bounds = (stay.last_seen_at, stay.missing_since, run_at[stay.account_id, stay.missing_since], None)
            wanted[account, stay.track_id, "missing", *bounds] += 1
    names = ("account", "track_id", "change", "not_before", "changed_at", "run_id", "removal_reason")
    rows = rows_of(seeded, "favourite-changes")
    assert Counter(tuple(row[name] for name in names) for row in rows) == wanted
    assert {row["change"] for row in rows} == {"already there", "added", "missing", "removed"}


@pytest.mark.parametrize("view", ["daily-changes", "weekly-churn"])
def test_sums_by_time_agree_with_the_changes(seeded: Connection, view: str) -> None:
    single = Counter((row["account"], row["change"]) for row in rows_of(seeded, "favourite-changes"))
    sums = Counter[tuple[str, str]]()
    for row in rows_of(seeded, view):
        for column in ("added", "removed", "already_there"):
            sums[row["account"], column.replace("_", " ")] += row[column]
    assert sums == {key: count for key, count in single.items() if key[1] != "missing"}


def test_runs_count_what_is_missing_and_held(seeded: Connection) -> None:
    stored = seeded.execute(select(runs.c.run_id, runs.c.missing, runs.c.held, runs.c.outcome)).all()
    rows = rows_of(seeded, "runs")
    assert {(row["run_id"], row["missing"], row["held"], row["outcome"]) for row in rows} == {
        tuple(row) for row in stored
    }
    assert any(row["held"] for row in rows)
    newest = {row["account"]: row["missing"] for row in reversed(rows)}
    assert newest == Counter(row["account"] for row in rows_of(seeded, "missing"))
