"""The numbers of a digest and of the list at an instant, compared with a count on base tables in odd histories too."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from etl.cli.as_of import _changes, _favourites
from etl.load.accounts import Account, every_account
from etl.reporting.digest import Digest, DigestRange, digest
from etl.reporting.digest_text import digest_text, headline, sections
from tests.support import recount
from tests.support.awkward import CASES, opened
from tests.support.recount import Recount
from tests.support.seeded import Histories

Recounted = tuple[Connection, Account, Recount]
# No digest and no list at an instant reads lengths, or the markets that a track has now.
SAME_FOR_DIGESTS = {"no durations", "one known length of 20 seconds", "half of the markets"}
# These differ from "two accounts" in what Python writes.
SAME_IN_SQL = {"nothing known", "hostile titles"}
HISTORIES_OF_DIGESTS = [("sqlite", case) for case in CASES if case not in SAME_FOR_DIGESTS] + [
    pytest.param(("postgresql", case), marks=pytest.mark.postgresql)
    for case in CASES
    if case not in SAME_FOR_DIGESTS | SAME_IN_SQL
]


@pytest.fixture(scope="module", params=HISTORIES_OF_DIGESTS, ids="-".join)
def recounted(request: pytest.FixtureRequest, histories: Histories) -> Iterator[list[Recounted]]:
    """Return the accounts of the case with their rows."""
    engine, case = request.param
    with opened(histories, engine, case) as connection:
        found = every_account(connection, CASES[case].accounts)
        yield [(connection, account, recount.recount(connection, account.name)) for account in found]


def cursors(rows: Recount) -> list[int]:
    """Return the run after which a digest begins: none, one in the middle, the newest but one."""
    numbers = [0, *(run.run_id for run in rows.runs)]
    return sorted({numbers[0], numbers[len(numbers) // 2], numbers[-2]})


@pytest.fixture(scope="module")
def digests(recounted: list[Recounted]) -> list[tuple[Recount, int, Digest]]:
    return [
        (rows, after, digest(connection, account.name, DigestRange(after_run=after)))
        for connection, account, rows in recounted
        for after in cursors(rows)
    ]


def test_what_a_digest_lists(digests: list[tuple[Recount, int, Digest]]) -> None:
    for rows, after, found in digests:
        began = [stay for stay in rows.stays if stay.added_run_id > after]
        came = [stay for stay in began if stay.added_after is not None]
        returns = {(track_id, at) for track_id, _, at in recount.regrets(rows)}
        back = [stay for stay in came if (stay.track_id, stay.valid_from) in returns]
        assert found.favourites == len(rows.current)
        assert found.there == len(began) - len(came)
        ids = Counter(stay.track_id for stay in back)
        assert Counter(row["track_id"] for row in found.back) == ids
        assert Counter(row["track_id"] for row in found.added) == Counter(stay.track_id for stay in came) - ids
        gone = Counter(stay.track_id for stay in rows.ended if stay.removed_run_id > after)
        assert Counter(row["track_id"] for row in found.removed) == gone
        missing = Counter(stay.missing_since for stay in rows.current if stay.missing_since)
        assert {row["missing_since"]: row["tracks"] for row in found.missing} == missing
        seen_by = {run.observed_at: run.run_id for run in reversed(rows.runs) if run.proves_absence}
        assert found.newly_missing == sum(count for at, count in missing.items() if seen_by[at] > after)
        troubles = [run.run_id for run in rows.runs if run.run_id > after and run.outcome in ("failed", "partial")]
        assert sorted(row["run_id"] for row in found.troubles) == troubles


def test_a_digest_says_since_when_and_how_many(digests: list[tuple[Recount, int, Digest]]) -> None:
    for rows, after, found in digests:
        seen = [run.observed_at for run in rows.runs if run.run_id > after and run.observed_at in rows.looks]
        before = [look for look in rows.looks if seen and look < min(seen)]
        assert (found.since, found.until) == (
            before[-1] if before else min(seen, default=None),
            max(seen, default=None),
        )
        words = headline(found)
        counts = {"added": found.added, "back": found.back, "removed": found.removed}
        for word, listed in counts.items():
            assert (f"{len(listed)} {word}" in words) == bool(listed)
        if found.since and any(counts.values()):
            assert f"since {found.since:%Y-%m-%d %H:%M} UTC" in words
        assert words.endswith(f"; {len(rows.current)} favourites now")
        for section in sections(found):
            stated = re.search(r"\((\d+)\)$", section.heading)
            assert stated is None or int(stated[1]) == len(section.lines) + section.more
        assert not re.search(r"<script|<b>", digest_text(found, "html"))


def answers(rows: Recount, at: datetime) -> Counter[str]:
    """Return for how many tracks the answer at ``at`` is yes, no or unknown."""
    proofs = [run for run in rows.runs if run.proves_absence and run.observed_at in rows.looks]
    until = max(run.started_at for run in proofs)
    newest = max((run for run in rows.runs if run.observed_at in rows.looks), key=lambda run: run.observed_at)

    def answer(own: list[Any]) -> str:
        here = [stay for stay in own if stay.valid_from <= at and (stay.valid_to is None or at < stay.valid_to)]
        if here:
            seen_until = here[0].removed_after or here[0].last_seen_at or newest.started_at
            return "yes" if at <= seen_until else "unknown"
        following = [stay for stay in own if stay.valid_from > at]
        former = [stay.valid_to for stay in own if stay.valid_to and stay.valid_to <= at]
        since = max(former, default=min(run.observed_at for run in proofs))
        end = following[0].added_after if following else until
        return "no" if end is not None and since <= at <= end else "unknown"

    by_track: dict[int, list[Any]] = {}
    for stay in rows.stays:
        by_track.setdefault(stay.track_id, []).append(stay)
    return Counter(answer(own) for own in by_track.values())


def instants(rows: Recount) -> list[datetime]:
    looks = rows.looks
    middle = looks[len(looks) // 2]
    return [looks[0] - timedelta(days=1), looks[0], middle, middle + timedelta(hours=3), looks[-1] + timedelta(days=90)]


def test_answers_at_an_instant(recounted: list[Recounted]) -> None:
    for connection, account, rows in recounted:
        for at in instants(rows):
            words, listed = _favourites(connection, account, [at], is_all=True)
            wanted = answers(rows, at)
            assert f": {wanted['yes']} yes, {wanted['unknown']} unknown, {wanted['no']} no" in words
            assert Counter(row["answer"] for row in listed) == wanted
            newest = max(run.started_at for run in rows.runs if run.observed_at in rows.looks)
            assert ("newest snapshot" in words) == (at > newest)
            assert all(row["market_count"] != 0 for row in listed)


def test_a_difference_counts_additions_removals_and_the_unknown(recounted: list[Recounted]) -> None:
    for connection, account, rows in recounted:
        first, last = instants(rows)[1], max(run.started_at for run in rows.runs if run.observed_at in rows.looks)
        for before, after in ((first, last), (first, last + timedelta(days=183))):
            words, listed = _changes(connection, account, [before, after], is_all=True)
            shown = Counter(row["change"] for row in listed)
            assert f"{shown['added']} added, {shown['removed']} removed, {shown['unknown']} unknown" in words
            assert ("nothing is known after" in words) == (after > last)
            known = shown["added"] - shown["removed"]
            at_first, at_last = answers(rows, before), answers(rows, after)
            if not shown["unknown"]:
                assert known == at_last["yes"] - at_first["yes"]
            assert shown["unknown"] >= max(at_first["unknown"], at_last["unknown"])
