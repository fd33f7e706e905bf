"""Databases and exports that expand to gigabytes, or never end, are refused by name and in bounded memory."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from etl.backfill import other_database
from etl.backfill.import_files import ImportOptions, import_paths
from etl.cli import main
from etl.db.engine import open_engine
from etl.errors import UsageError
from etl.reporting import parquet
from etl.reporting.parquet import read_rows, write_rows
from tests.support.past import LATER, account_in, import_past, past_snapshot


@pytest.fixture
def theirs(new_database, tmp_path):
    """Return the file of another database, with two tracks in one snapshot."""
    url = new_database("sqlite")
    engine = open_engine(url)
    import_past(engine, account_in(engine), past_snapshot(1, [1, 2]))
    engine.dispose()
    return tmp_path / url.rpartition("/")[2]


@pytest.fixture
def fault_of(new_database):
    """Return a function that imports a path, which must be refused, and returns why."""
    engine = open_engine(new_database("sqlite"))

    def refusal(path: Path) -> str:
        with pytest.raises(UsageError) as caught:
            import_paths(engine, account_in(engine), [path], ImportOptions(), LATER)
        return caught.value.message

    yield refusal
    engine.dispose()


def exported(theirs: Path, format_: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = theirs.parent / "export"
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", f"sqlite:///{theirs}")
    assert main(["export", "--to", str(folder), "--format", format_]) == 0
    return folder


def sign(folder: Path, name: str) -> None:
    """Write the checksum of a changed file into the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    (relation,) = (each for each in manifest["relations"] if each["file"] == name)
    relation["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"favsync": "", **manifest}))


@pytest.mark.parametrize("rows", [30, 300])
def test_a_parquet_file_that_expands_is_refused(theirs, fault_of, monkeypatch, rows):
    folder = exported(theirs, "parquet", monkeypatch)
    columns = [("raw_block_id", "integer"), ("body", "binary")]
    monkeypatch.setattr(parquet, "BATCH", 200)  # of the larger file, there are two groups of rows
    write_rows(folder / "raw_blocks.parquet", columns, ((n, bytes(100_000)) for n in range(rows)))
    assert (folder / "raw_blocks.parquet").stat().st_size < 10_000
    sign(folder, "raw_blocks.parquet")
    monkeypatch.setattr(other_database, "MAX_TOTAL_BYTES", 1 << 20)
    fault = fault_of(folder)
    assert "raw_blocks.parquet" in fault
    assert "unpacks to more than 1 MiB" in fault or "rows that unpack to" in fault


def test_a_parquet_batch_is_small_where_values_are_long(tmp_path):
    path = tmp_path / "x.parquet"
    write_rows(path, [("body", "binary"), ("other", "integer")], ((bytes(50_000), 1) for _ in range(500)))
    limit = 10 << 20
    assert sum(row == {"body": bytes(50_000)} for row in read_rows(path, ["body"], limit)) == 500
    with pytest.raises(ValueError, match="more than 1,000"):
        next(read_rows(path, ["body"], 1_000))


@pytest.mark.parametrize(
    ("name", "limit", "fault"),
    [
        ("runs.csv", {}, "runs.csv is not a file"),
        ("manifest.json", {}, "nothing was imported"),
        ("accounts.csv", {"MAX_TOTAL_BYTES": 60}, "accounts.csv is larger than"),
        ("manifest.json", {"MAX_UNPACKED_BYTES": 1 << 10}, "manifest.json is larger than"),
    ],
)
def test_an_export_without_end_is_refused(theirs, fault_of, monkeypatch, name, limit, fault):
    folder = exported(theirs, "csv", monkeypatch)
    for each, value in limit.items():
        monkeypatch.setattr(other_database, each, value)
    if not limit:
        (folder / name).unlink()
        os.mkfifo(folder / name)
    assert fault in fault_of(folder)


@pytest.mark.parametrize(
    ("statements", "fault"),
    [
        (["UPDATE raw_blocks SET body = :shared"], "unpacks to more than"),
        ([], "lists take more than"),
    ],
    ids=["one text for all items", "all lists"],
)
def test_a_database_that_expands_is_refused(theirs, fault_of, monkeypatch, statements, fault):
    shared = zlib.compress(msgspec.msgpack.encode(([bytes(2 << 20)], [(b"", 0, b"")] * 500)))
    with closing(sqlite3.connect(theirs)) as connection, connection:
        for statement in statements:
            connection.execute(statement, {"shared": shared} if ":shared" in statement else {})
    if not statements:
        monkeypatch.setattr(other_database, "MAX_TOTAL_BYTES", 100)
    found = fault_of(theirs)
    assert fault in found
    assert theirs.name in found
