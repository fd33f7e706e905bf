"""Odd and hostile files: each is named, none stops the others or fills the memory."""

import csv
import gzip
import json
import os
import warnings
import zipfile

import pytest

from etl.backfill import csv_format, input_files, json_format, parsed_file
from etl.backfill.import_files import ImportOptions, read_paths
from tests.support.past import LATER


def found(*paths):
    return read_paths(paths, ImportOptions(is_complete=True), LATER)


def tracks(result):
    return [[each.track_id for each in past.items] for past in result.snapshots]


def faults(result):
    return {fault.file.rpartition("/")[2]: fault.fault for fault in result.faults}


def archive_of(path, *members, method=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # names may be double
        for name, content in members:
            archive.writestr(name, content)


def test_members_with_paths_outside_are_not_unpacked(tmp_path):
    archive_of(tmp_path / "old.zip", ("../../etc/2025-11-03.json", "[1]"), ("/etc/2025-11-04.json", "[2]"))
    assert tracks(found(tmp_path)) == [[1], [2]]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["old.zip"]


def test_members_of_one_name_are_all_read(tmp_path):
    archive_of(tmp_path / "old.zip", ("2025-11-03.json", "[1, 2]"), ("2025-11-03.json", "[3]"))
    assert tracks(found(tmp_path)) == [[1, 2, 3]]


def test_members_that_are_not_read_are_named(tmp_path):
    pages = [("2025-11-03/1.json", "[1]"), ("2025-11-03/notes.md", "x"), ("__MACOSX/2.json", "x"), ("._2.json", "x")]
    archive_of(tmp_path / "whole.zip", *pages)
    archive_of(tmp_path / "part.zip", ("2025-12-03/1.json", "[1]"), ("2025-12-03/2.json.part", "[2"))
    archive_of(tmp_path / "hidden.zip", ("2026-01-03/1.json", "[1]"), ("2026-01-03/.x/2.json", "[2]"))
    result = found(tmp_path)
    assert [past.proven for past in result.snapshots] == [True, False, False]
    names = {each.file.replace(":", "/").rpartition("/")[2] for each in result.passed_over}
    assert names == {"notes.md", "._2.json", "2.json.part", "2.json"}


@pytest.mark.parametrize("name", ["bomb.json.gz", "bomb.zip", "gzip-within.zip"])
def test_a_file_that_unpacks_to_too_much_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setattr(input_files, "MAX_BYTES", 2_000)
    large = json.dumps([1] * 1_000).encode()
    (tmp_path / "2025-11-03.json").write_text("[7]")
    if name.endswith(".gz"):
        (tmp_path / f"2025-11-04-{name}").write_bytes(gzip.compress(large))
    elif name.startswith("gzip"):
        archive_of(tmp_path / f"2025-11-04-{name}", ("2025-11-04.json.gz", gzip.compress(large)))
    else:
        archive_of(tmp_path / f"2025-11-04-{name}", ("2025-11-04.json", large))
    result = found(tmp_path)
    assert tracks(result) == [[7]]
    assert "is larger than" in "".join(faults(result).values())


def test_a_gzip_of_several_members_is_read_to_its_end(tmp_path):
    packed = gzip.compress(b"[1,") + gzip.compress(b"2]")
    (tmp_path / "2025-11-03.json.gz").write_bytes(packed)
    archive_of(tmp_path / "old.zip", ("2025-11-04.json.gz", packed))
    assert tracks(found(tmp_path)) == [[1, 2], [1, 2]]


def test_a_pipe_and_a_dangling_link_are_named_at_once(tmp_path):
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
def test_an_archive_within_a_zip_is_named_with_a_remedy(tmp_path, content):
    archive_of(tmp_path / "backup.zip", ("2025-11-03.db", content))
    assert "unpack it" in faults(found(tmp_path))["backup.zip:2025-11-03.db"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_read(tmp_path, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "2025-11-03.csv").write_bytes(f"{mark}track_id;title\r\n1;Ọmọ\r\n2;x\r\n".encode(encoding))
    result = found(tmp_path)
    assert (tracks(result), result.faults) == ([[1, 2]], [])


@pytest.mark.parametrize(
    ("limit", "value", "read", "named"),
    [
        ("MAX_ARCHIVE_BYTES", 7, [[3], [4]], ("old.zip:2025-11-05.json", "unpacks to more than")),
        ("MAX_MEMBERS", 2, [], ("old.zip", "more than 2 files")),
    ],
)
def test_an_archive_has_limits(tmp_path, monkeypatch, limit, value, read, named):
    monkeypatch.setattr(input_files, limit, value)
    archive_of(tmp_path / "old.zip", *((f"2025-11-0{day}.json", f"[{day}]") for day in (3, 4, 5)))
    result = found(tmp_path)
    assert tracks(result) == read
    assert named[1] in faults(result)[named[0]]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_does_not_stop_the_others(tmp_path, method):
    path = tmp_path / "old.zip"
    archive_of(path, ("2025-11-03.json", json.dumps([3] * 500)), ("2025-11-04.json", "[4]"), method=method)
    content = bytearray(path.read_bytes())
    start = content.index(b"2025-11-03.json") + len("2025-11-03.json")
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    result = found(path)
    assert tracks(result) == [[4]]
    assert "cannot be read" in faults(result)["old.zip:2025-11-03.json"]


@pytest.mark.parametrize("fault", ["Permission denied", "link to a folder"])
def test_a_folder_that_is_not_read_makes_a_part(tmp_path, monkeypatch, fault):
    (tmp_path / "2025-11-03").mkdir(parents=True)
    (tmp_path / "2025-11-03" / "1.json").write_text("[1]")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    if fault == "link to a folder":
        (tmp_path / "2025-11-03" / "more").symlink_to(tmp_path)
    else:
        (tmp_path / "2025-11-03" / "more").mkdir()
        monkeypatch.setattr(os, "scandir", refuse)  # the user may be root, whom no permission stops
    result = found(tmp_path)
    assert [past.proven for past in result.snapshots] == [False]
    assert fault in faults(result)["more"]


def test_the_side_files_of_a_database_are_no_pages(tmp_path):
    (tmp_path / "old.db").write_bytes(b"SQLite format 3\x00")
    (tmp_path / "old.db-wal").write_bytes(b"x")
    (tmp_path / "other.db-wal").write_bytes(b"x")
    result = found(tmp_path)
    assert [path.name for path in result.databases] == ["old.db"]
    assert [error.file.rpartition("/")[2] for error in result.passed_over] == ["other.db-wal"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("2025-11-03.json", b"[" + b"10," * 60 + b"1]"),
        ("2025-11-03.txt", b"10\n" * 60),
        ("2025-11-03.txt", b"10\r" * 60),
        ("2025-11-03.jsonl", b"10\n" * 60),
    ],
)
def test_a_file_of_too_many_entries_is_named(tmp_path, monkeypatch, name, content):
    monkeypatch.setattr(parsed_file, "MAX_ENTRIES", 50)
    (tmp_path / name).write_bytes(content)
    result = found(tmp_path)
    assert not result.snapshots
    assert "holds more than 50" in faults(result)[name]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('[{"track_id":1},{"track_id":2,"x":[' + "10," * 3_000 + "1]}]", "has a value of more than"),
        ('[{"track_id":1},{' + ",".join(f'"x{n}":1' for n in range(60)) + "}]", "more than 50 fields"),
    ],
)
def test_a_json_value_has_a_limit(tmp_path, monkeypatch, content, fault):
    monkeypatch.setattr(json_format, "MAX_VALUE", 1 << 13)
    monkeypatch.setattr(json_format, "MAX_FIELDS", 50)
    (tmp_path / "2025-11-03.json").write_text(content)
    result = found(tmp_path)
    assert (tracks(result), result.snapshots[0].proven) == ([[1]], False)
    assert fault in faults(result)["2025-11-03.json"]


def test_an_archive_is_opened_once(tmp_path, monkeypatch):
    """Its directory is read again with each opening, so the time would grow with the square of its members."""
    archive_of(tmp_path / "old.zip", *((f"2025-11-03/{n}.json", f"[{n}]") for n in range(1, 30)))
    opened = []
    original = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda path: opened.append(path) or original(path))
    assert tracks(found(tmp_path)) == [list(range(1, 30))]
    assert len(opened) == 1


def test_a_quote_in_each_line_is_read_in_linear_time(tmp_path, monkeypatch):
    lines = 0

    def count(rows, **options):
        nonlocal lines
        lines += len(rows)
        return original(rows, **options)

    original = csv.reader
    monkeypatch.setattr(csv, "reader", count)
    monkeypatch.setattr(csv_format, "MAX_ROW_LINES", 10)
    (tmp_path / "2025-11-03.csv").write_text("track_id,t,u\n" + 'x",5,"\n' * 500)
    assert not found(tmp_path).snapshots
    assert lines <= 10 * 510
