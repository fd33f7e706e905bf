"""Files that are odd, hostile or none at all: each is told, none is lost, none stops the others or fills the memory."""

import gzip
import json
import os
import warnings
import zipfile

import pytest

from etl.backfill import input_files
from etl.backfill.snapshots import read_inputs
from tests.support.past import LATER


def found(*paths):
    return read_inputs(paths, observed_at=None, is_complete=True, now=LATER)


def tracks(result):
    return [[each.track_id for each in past.items] for past in result.snapshots]


def faults(result):
    return {fault.file.rpartition("/")[2]: fault.fault for fault in result.faults}


def test_a_member_that_would_leave_the_folder_is_read_like_any_other_for_nothing_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        archive.writestr("../../etc/2025-11-03.json", "[1]")
        archive.writestr("/etc/2025-11-04.json", "[2]")
    assert tracks(found(tmp_path)) == [[1], [2]]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["old.zip"]


def test_members_of_one_name_are_all_read(tmp_path):
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr("2025-11-03.json", "[1, 2]")
        archive.writestr("2025-11-03.json", "[3]")
    assert tracks(found(tmp_path)) == [[1, 2, 3]]


@pytest.mark.parametrize("name", ["bomb.json.gz", "bomb.zip", "gzip-within.zip"])
def test_what_would_unpack_to_more_than_is_allowed_is_named_and_not_unpacked(tmp_path, monkeypatch, name):
    monkeypatch.setattr(input_files, "MAX_BYTES", 2_000)
    large = json.dumps([1] * 1_000).encode()
    (tmp_path / "2025-11-03.json").write_text("[7]")
    if name.endswith(".gz"):
        (tmp_path / f"2025-11-04-{name}").write_bytes(gzip.compress(large))
    else:
        inner = gzip.compress(large) if name.startswith("gzip") else large
        with zipfile.ZipFile(tmp_path / f"2025-11-04-{name}", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("2025-11-04.json.gz" if name.startswith("gzip") else "2025-11-04.json", inner)
    result = found(tmp_path)
    assert tracks(result) == [[7]]
    assert "is larger than" in "".join(faults(result).values())


def test_a_gzip_of_several_parts_is_read_to_its_end_also_within_a_zip(tmp_path):
    packed = gzip.compress(b"[1,") + gzip.compress(b"2]")
    (tmp_path / "2025-11-03.json.gz").write_bytes(packed)
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        archive.writestr("2025-11-04.json.gz", packed)
    assert tracks(found(tmp_path)) == [[1, 2], [1, 2]]


def test_a_pipe_and_a_link_to_nowhere_are_named_and_wait_for_nobody(tmp_path):
    os.mkfifo(tmp_path / "2025-11-03.json")
    (tmp_path / "2025-11-04.json").symlink_to(tmp_path / "gone.json")
    (tmp_path / "2025-11-05.json").write_text("[5]")
    result = found(tmp_path)
    assert tracks(result) == [[5]]
    assert faults(result) == {
        "2025-11-03.json": "is not a file",
        "2025-11-04.json": "cannot be read: No such file or directory",
    }


@pytest.mark.parametrize("content", [b"SQLite format 3\x00" + bytes(84), b"PK\x03\x04" + bytes(30)])
def test_a_database_or_an_archive_within_an_archive_is_named_with_the_way_on(tmp_path, content):
    with zipfile.ZipFile(tmp_path / "backup.zip", "w") as archive:
        archive.writestr("2025-11-03.db", content)
    assert "unpack it" in faults(found(tmp_path))["backup.zip:2025-11-03.db"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_of_spreadsheets_and_powershell_is_read(tmp_path, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "2025-11-03.csv").write_bytes(f"{mark}track_id;title\r\n1;Ọmọ\r\n2;x\r\n".encode(encoding))
    result = found(tmp_path)
    assert (tracks(result), result.faults) == ([[1, 2]], [])


def test_a_file_that_is_wrong_as_a_whole_is_told_once(tmp_path):
    (tmp_path / "2025-11-03.json").write_text("")
    assert [fault.fault for fault in found(tmp_path).faults] == ["the file is empty"]
