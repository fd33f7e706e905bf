"""From files to snapshots: pages, folders, zips, times."""

import gzip
import json
import os
import zipfile
from datetime import timedelta

import pytest

from etl.backfill.import_files import ImportOptions, read_paths
from etl.cli import main
from etl.errors import UsageError
from etl.model.records import Review
from tests.support.lists import START
from tests.support.past import LATER


def body(*ids, counts=None):
    data = [{"track_id": each} for each in ids]
    return json.dumps({"code": 0, "counts": counts if counts is not None else len(ids), "data": data})


def found(*paths, observed_at=None, is_complete=True):
    return read_paths(paths, ImportOptions(observed_at, is_complete), LATER)


def tracks(result):
    return [[each.track_id for each in past.items] for past in result.snapshots]


def test_files_of_one_time_are_pages_in_the_order_of_numbers(tmp_path):
    folder = tmp_path / "2025-11-03"
    folder.mkdir()
    for name, ids in (("page-10.json", (4, 5)), ("page-2.json", (1, 2)), ("page-9.json", (2, 4))):
        (folder / name).write_text(body(*ids))
    result = found(tmp_path)
    assert tracks(result) == [[1, 2, 4, 5]]
    assert result.snapshots[0].proves_absence
    assert not result.faults


def test_files_of_several_times_are_snapshots_oldest_first(tmp_path):
    for day, ids in (("2025-11-05", (3,)), ("2025-11-03", (1,)), ("2025-11-04", (2,))):
        (tmp_path / f"{day}.json").write_text(body(*ids))
    assert tracks(found(tmp_path)) == [[1], [2], [3]]


def test_a_zip_and_a_gzip_are_read_as_what_is_in_them(tmp_path):
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        archive.writestr("2025-11-03/1.json", body(1))
        archive.writestr("2025-11-03/2.json", body(2))
    (tmp_path / "2025-11-04.json.gz").write_bytes(gzip.compress(body(9).encode()))
    assert tracks(found(tmp_path)) == [[1, 2], [9]]


def test_the_time_is_never_when_the_file_was_written(tmp_path):
    path = tmp_path / "favourites.json"
    path.write_text(body(1))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    result = found(path)
    assert not result.snapshots
    assert "--observed-at" in result.faults[0].fault
    assert found(path, observed_at=START).snapshots[0].observed_at == START


def test_the_option_precedes_the_file_and_the_file_its_name(tmp_path):
    path = tmp_path / "2025-11-03.json"
    path.write_text('{"observed_at":"2025-11-02T10:00:00Z","data":[1]}')
    assert found(path).snapshots[0].observed_at.day == 2
    assert found(path, observed_at=START).snapshots[0].observed_at == START


def test_a_time_in_the_future_is_refused(tmp_path):
    (tmp_path / "x.json").write_text(body(1))
    result = found(tmp_path, observed_at=LATER + timedelta(seconds=1))
    assert not result.snapshots
    assert "in the future" in result.faults[0].fault


@pytest.mark.parametrize(
    ("name", "content", "is_complete", "expected", "fault"),
    [
        ("2025-11-03.json", body(1), True, (True, True, Review.APPROVED), ""),
        ("2025-11-03.json", body(1), False, (False, False, None), ""),
        ("2025-11-03.json", body(1, 2)[:-12], True, (False, False, None), "what comes before is read"),
        ("2025-11-03.json", body(1, 2, counts=200), True, (False, False, None), "states 200 favourites, the files hold 2"),
        ("2025-11-03.csv", "track_id\n1\nabc\n", True, (True, False, Review.APPROVED), "is not a track id"),
        ("2025-11-03.json", body(), True, (True, True, None), ""),
    ],
)  # fmt: skip
def test_a_list_is_whole_or_a_part(tmp_path, name, content, is_complete, expected, fault):
    (tmp_path / name).write_text(content)
    result = found(tmp_path, is_complete=is_complete)
    (past,) = result.snapshots
    assert (past.proven, past.proves_absence, past.decision) == expected
    assert (not result.faults) if not fault else fault in result.faults[0].fault


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("2.json", b'[{"track_i'),
        ("2.json", b""),
        ("2.json", b'{"code":40001,"desc":"bad token"}'),
        ("2.json.gz", gzip.compress(b"[2]", mtime=0)[:-9]),
        ("2.zip", b"PK\x03\x04broken"),
    ],
)
def test_a_list_with_an_unusable_page_is_a_part(tmp_path, name, content):
    for day in ("2025-11-03", "2025-11-04"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "1.json").write_text("[1]")
    (tmp_path / "2025-11-03" / name).write_bytes(content)
    result = found(tmp_path)
    assert [past.proven for past in result.snapshots] == [False, True]
    assert [fault.file.rpartition("/")[2] for fault in result.faults] == [name]
    assert [past.proven for past in found(tmp_path / "2025-11-03", observed_at=START).snapshots] == [False]


@pytest.mark.parametrize(
    ("name", "proven"),
    [("2.json", [False, False, False]), ("2025-11-03-2.json", [False, True, True]), ("2025-11-05.json", [True] * 3)],
)
def test_a_broken_file_makes_parts_of_lists_within_a_day(tmp_path, name, proven):
    for day in (2, 8):
        (tmp_path / f"{day}-1.json").write_text(f'{{"observed_at":"2025-11-0{day}T10:00:00Z","data":[1]}}')
    (tmp_path / "2025-11-09.json").write_text("[1]")
    (tmp_path / name).write_text('{"observed_at":"2025')
    assert [past.proven for past in found(tmp_path).snapshots] == proven


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="no file or folder"):
        found(tmp_path / "nope.json")


def test_an_empty_path_is_not_the_working_directory(capsys):
    assert main(["backfill", "--from", "", "--complete"]) == 2
    assert "is empty" in capsys.readouterr().err
