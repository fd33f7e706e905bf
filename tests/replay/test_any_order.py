"""Many dated exports in random order, ten syncs between and two retracted runs leave what a plain model computes."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from etl import clock
from etl.backfill.import_files import ImportOptions, import_paths
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.tables import runs, track_versions, tracks
from etl.load.accounts import Account
from etl.model.records import RemovalThreshold, Review
from etl.replay import retract as retracting
from etl.replay.import_snapshots import PastSnapshot
from etl.replay.prune import PrunePolicy, prune
from etl.sync import RunOptions, sync_account
from tests.support.lists import FakeSource, item
from tests.support.past import LATER, account_in, assert_rebuilt, at, import_past, past_snapshot, stored_intervals
from tests.support.plain_model import Seen, history

THRESHOLD = RemovalThreshold(5, 0.5)
DAYS = 60


@dataclass
class ChangingList:
    """A list that changes day by day, and what was seen of it."""

    chance: random.Random
    observed: dict[int, Seen] = field(default_factory=dict)
    lists: dict[int, list[int]] = field(default_factory=dict)

    def live(self) -> None:
        """Make the list of each day."""
        here = list(range(1, 21))
        for day in range(DAYS + 1):
            for _ in range(self.chance.randint(0, 3)):
                if self.chance.random() < 0.5 and len(here) > 5:
                    here.remove(self.chance.choice(here))
                else:
                    track = self.chance.randint(1, 40)
                    here = [track, *(each for each in here if each != track)]
            self.lists[day] = list(here)

    def title(self, track: int, day: int) -> str:
        """Return the title of a track on a day: it changes now and then."""
        return f"Track {track}" + (" (remastered)" if day > 5 + track else "")

    def items(self, day: int, part: bool = False) -> list[dict[str, object]]:
        ids = self.lists[day][::2] if part else self.lists[day]
        return [json.loads(item(track, track_title=self.title(track, day)).body) for track in ids]


def write_export(folder: Path, changing: ChangingList, day: int, kind: str, part: bool) -> Path:
    """Write the list of a day in one of the forms that people have."""
    path = folder / f"{at(day):%Y-%m-%d}{'-part' if part else ''}.{'csv' if kind == 'csv' else 'json'}"
    items = changing.items(day, part)
    if kind == "csv":
        path.write_text("track_id\n" + "".join(f"{each['track_id']}\n" for each in items))
    elif kind == "ids":
        path.write_text(json.dumps([each["track_id"] for each in items]))
    elif kind == "lines":
        path = path.with_suffix(".jsonl")
        path.write_text("".join(json.dumps(each) + "\n" for each in items))
    else:
        path.write_text(json.dumps({"desc": None, "code": 0, "counts": len(items), "data": items}))
    return path


def facts(engine: Engine) -> tuple[list[object], list[object]]:
    with read_transaction(engine) as connection:
        columns = track_versions.c["track_id", "valid_from", "valid_to", "title", "facts_digest"]
        versions = [tuple(row) for row in connection.execute(select(*columns).order_by(*columns[:2]))]
        order = tracks.c["track_id", "title", "first_seen_at", "changed_at", "facts_digest", "album_id"]
        return versions, [tuple(row) for row in connection.execute(select(*order).order_by(tracks.c.track_id))]


@pytest.mark.parametrize(
    ("database_url", "seed", "count"),
    [("sqlite", 1, 25), ("sqlite", 2, 25), pytest.param("postgresql", 3, 12, marks=pytest.mark.postgresql)],
    indirect=["database_url"],
)
def test_exports_in_random_order_with_syncs_and_retractions(
    database_url: str, tmp_path: Path, seed: int, count: int
) -> None:
    chance = random.Random(seed)
    changing = ChangingList(chance)
    changing.live()
    engine = open_engine(database_url)
    account = account_in(engine)
    sync_days = sorted(chance.sample(range(3, DAYS), 10))
    export_days = chance.choices([day for day in range(1, DAYS) if day not in sync_days], k=count)
    exports = []
    for number, day in enumerate(export_days):
        folder = tmp_path / str(number)
        folder.mkdir()
        part = chance.random() < 0.3
        kind = chance.choice(["body", "csv", "ids", "lines"])
        exports.append((day, part, write_export(folder, changing, day, kind, part)))
    chance.shuffle(exports)
    for day in sync_days:
        past = [export for export in exports if export[0] < day]
        for export in chance.sample(past, min(len(past), 4)):
            exports.remove(export)
            take_in(engine, account, changing, export, at(day))
        source = FakeSource([item(track, track_title=changing.title(track, day)) for track in changing.lists[day]])
        with time_machine.travel(at(day + 0.5), tick=True):
            report = sync_account(engine, account, source, RunOptions(threshold=THRESHOLD))
            assert report.run_id is not None
        with read_transaction(engine) as connection:
            row = connection.execute(select(runs).where(runs.c.run_id == report.run_id)).one()
        whole = frozenset(changing.lists[day])
        changing.observed[row.run_id] = Seen(row.started_at, row.observed_at, whole, True)
    for export in exports:
        take_in(engine, account, changing, export, at(DAYS + 1))
    check(engine, account, changing)
    with_all = stored_intervals(engine, account), facts(engine)
    two = chance.sample(sorted(changing.observed), 2)
    for run_id in two:
        with write_transaction(engine) as connection:
            retracting.retract(connection, run_id, clock.now(), THRESHOLD)
    out = {run_id: changing.observed.pop(run_id) for run_id in two}
    check(engine, account, changing)
    for run_id in two:
        with write_transaction(engine) as connection:
            retracting.restore(connection, run_id, THRESHOLD)
    changing.observed |= out
    check(engine, account, changing)
    assert (stored_intervals(engine, account), facts(engine)) == with_all
    engine.dispose()


def take_in(
    engine: Engine, account: Account, changing: ChangingList, export: tuple[int, bool, Path], now: datetime
) -> None:
    day, part, path = export
    result = import_paths(engine, account, [path], ImportOptions(is_complete=not part, threshold=THRESHOLD), now)
    assert not result.faults
    (landed,) = result.imported.landed
    if landed.was_there:
        return
    ids = frozenset(changing.lists[day][::2] if part else changing.lists[day])
    changing.observed[landed.run_id] = Seen(at(day), at(day), ids, not part, None if part else "approved")


def check(engine: Engine, account: Account, changing: ChangingList) -> None:
    assert stored_intervals(engine, account) == history(
        list(changing.observed.values()), THRESHOLD.minimum, THRESHOLD.ratio
    )
    assert_rebuilt(engine, account, THRESHOLD)


def test_the_order_of_imports_does_not_matter(database_url: str, new_database, tmp_path: Path) -> None:
    changing = ChangingList(random.Random(9))
    changing.live()
    paths = [write_export(tmp_path, changing, day, "body", part=day % 3 == 0) for day in range(1, 16)]
    shuffled = list(paths)
    random.Random(4).shuffle(shuffled)
    ways = [(database_url, paths, False), (new_database("sqlite"), shuffled, True)]
    if database_url.startswith("sqlite"):
        ways.append((new_database("sqlite"), shuffled, False))
    results = []
    for url, order, is_at_once in ways:
        engine = open_engine(url)
        account = account_in(engine)
        for batch in [order] if is_at_once else [[path] for path in order]:
            import_paths(engine, account, batch, ImportOptions(is_complete=True), at(DAYS))
        assert_rebuilt(engine, account)
        results.append((stored_intervals(engine, account), facts(engine)))
        engine.dispose()
    assert all(result == results[0] for result in results)


@st.composite
def pasts(draw: st.DrawFn) -> list[PastSnapshot]:
    """Observations of few tracks on few days, so that many share an instant, overlap, or hold much back."""
    found = []
    for _ in range(draw(st.integers(1, 7))):
        whole = draw(st.booleans())
        word = draw(st.sampled_from([None, "approved", "rejected"])) if whole else None
        items = draw(st.lists(st.integers(1, 8), unique=True))
        day, hours = draw(st.integers(1, 6)), draw(st.sampled_from([0, 30]))
        found.append(
            replace(past_snapshot(day, items, whole=whole, hours=hours), decision=Review(word) if word else None)
        )
    return found


@settings(max_examples=settings.default.max_examples // 4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pasts(), st.randoms(use_true_random=False))
def test_any_sequence_of_events_equals_the_plain_model(
    new_database, every: list[PastSnapshot], chance: random.Random
) -> None:
    engine = open_engine(new_database("sqlite"))
    account = account_in(engine)
    told: dict[int, Seen] = {}
    while every:
        batch = [every.pop() for _ in range(min(len(every), chance.randint(1, 3)))]
        for landed in import_past(engine, account, *batch, threshold=THRESHOLD).landed:
            if not landed.was_there:
                told[landed.run_id] = plain(landed.past)
        assert stored_intervals(engine, account) == history(list(told.values()), THRESHOLD.minimum, THRESHOLD.ratio)
    out = chance.sample(sorted(told), chance.randint(0, len(told)))
    for run_id in out:
        with write_transaction(engine) as connection:
            retracting.retract(connection, run_id, clock.now(), THRESHOLD)
    for run_id in out[:1]:
        with write_transaction(engine) as connection:
            retracting.restore(connection, run_id, THRESHOLD)
    left = [seen_ for run_id, seen_ in told.items() if run_id not in out[1:]]
    assert stored_intervals(engine, account) == history(left, THRESHOLD.minimum, THRESHOLD.ratio)
    prune(engine, PrunePolicy(raw_before=LATER, daily_before=LATER), THRESHOLD)
    assert stored_intervals(engine, account) == history(left, THRESHOLD.minimum, THRESHOLD.ratio)
    assert_rebuilt(engine, account, THRESHOLD)
    engine.dispose()


def plain(past: PastSnapshot) -> Seen:
    ids = frozenset(item.track_id for item in past.items if item.track_id is not None)
    return Seen(past.started_at, past.observed_at, ids, past.proves_absence, past.decision and past.decision.value)
