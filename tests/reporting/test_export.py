"""Every table and view as files, as other programs read them."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shutil
from datetime import datetime

import duckdb
import pytest
from sqlalchemy import insert, make_url, text

from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.tables import metadata, tokens
from etl.reporting.export import PRIVATE, TABLES
from etl.reporting.views import views
from tests.conftest import ENGINES
from tests.support.commands import run_command
from tests.support.lists import START, item
from tests.support.past import account_in, at, import_past, past_snapshot

ODD_TITLE = 'Ọmọ, "quoted"\n=SUM(A1)'
SECRET = b"gAAAAAB-a-token-nobody-should-see"


def fill(url):
    """Import two lists, and insert a token."""
    engine = open_engine(url)
    ada = account_in(engine)
    odd = item(1, track_title=ODD_TITLE, genres="Afrobeats,Pop")
    import_past(engine, ada, past_snapshot(1, [odd, 2]), past_snapshot(3, [2]))
    with write_transaction(engine) as connection:
        row = {
            "account_id": ada.account_id,
            "place": "database",
            "secret": SECRET,
            "state": "valid",
            "updated_at": START,
        }
        connection.execute(insert(tokens).values(**row))
    engine.dispose()


@pytest.fixture(params=ENGINES)
def filled(request, filled_database):
    """Return the URL of a database with favourites and a token."""
    return filled_database(request.param, fill)[0]


@pytest.fixture
def export(monkeypatch):
    """Run ``favsync export`` against a database, and return its exit code and what it said."""

    def run(url, *args):
        done = run_command({**os.environ, "FAVSYNC_DATABASE_URL": url}, "export", *map(str, args))
        return done.returncode, done.stderr

    return run


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    return tmp_path_factory.mktemp("exports")


@pytest.fixture
def exported(filled, export, exports):
    """Return the folder of the export of ``filled`` in a format; tests only read it."""

    def folder(format_):
        place = exports / make_url(filled).get_backend_name() / format_
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            words = () if format_ == "parquet" else ("--format", format_)
            assert export(filled, "--to", place, *words)[0] == 0
        return place

    return folder


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_duckdb_reads_every_parquet_file_with_its_types(exported):
    folder = exported("parquet")
    found = manifest(folder)
    for relation in found["relations"]:
        assert duckdb.sql(f"select * from '{folder / relation['file']}'").columns == [
            column["name"] for column in relation["columns"]
        ]
        counted = duckdb.sql(f"select count(*) from '{folder / relation['file']}'")
        assert counted.fetchall() == [(relation["rows"],)]
    file = folder / "report_favourite_history.parquet"
    history = duckdb.sql(f"select track_id, title, epoch(valid_from), epoch(valid_to) from '{file}'")
    rows = sorted(history.fetchall())
    assert rows[0] == (1, ODD_TITLE, at(1).timestamp(), at(3).timestamp())
    assert rows[1][3] is None
    whole = duckdb.sql(f"select * from '{file}'")
    kinds = dict(zip(whole.columns, map(str, whole.types), strict=True))
    assert kinds["valid_from"] == kinds["valid_to"] == "TIMESTAMP WITH TIME ZONE"
    joined = duckdb.sql(
        f"select name from '{folder}/track_genres.parquet' join '{folder}/genres.parquet' using (genre_id) where track_id = 1"
    )
    assert {name for (name,) in joined.fetchall()} == {"Afrobeats", "Pop"}


@pytest.mark.parametrize("format_", ["parquet", "csv", "jsonl"])
def test_the_manifest_describes_every_file(filled, exported, format_):
    folder = exported(format_)
    found = manifest(folder)
    assert {each["name"] for each in found["relations"]} == {*TABLES, *views()}
    assert found["format"] == format_
    assert datetime.fromisoformat(found["created_at"]).tzinfo is not None
    for each in found["relations"]:
        content = (folder / each["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (each["bytes"], each["sha256"])
    engine = open_engine(filled)
    with read_transaction(engine) as connection:
        for each in found["relations"]:
            assert connection.execute(text(f"SELECT count(*) FROM {each['name']}")).scalar() == each["rows"], each[
                "name"
            ]


def test_text_formats_hold_the_values_themselves(exported):
    with (exported("csv") / "tracks.csv").open(encoding="utf-8", newline="") as file:
        in_csv = {row["track_id"]: row for row in csv.DictReader(file)}
    lines = (exported("jsonl") / "tracks.jsonl").read_text(encoding="utf-8").splitlines()
    in_json = {row["track_id"]: row for row in map(json.loads, lines)}
    assert in_csv["1"]["title"] == in_json[1]["title"] == ODD_TITLE
    assert in_csv["1"]["first_seen_at"] == in_json[1]["first_seen_at"] == "2026-01-02T00:00:00.000000Z"


@pytest.mark.parametrize("format_", ["parquet", "csv", "jsonl"])
def test_no_token_is_exported(exported, format_):
    paths = list(exported(format_).iterdir())
    assert len(paths) > len(TABLES)
    for path in paths:
        content = path.read_bytes()
        assert SECRET not in content
        assert base64.b64encode(SECRET) not in content
        assert "token" not in path.name


def test_every_table_is_exported_or_private():
    assert {*TABLES, *PRIVATE} == set(metadata.tables)
    assert not {*TABLES} & {*PRIVATE}


def test_a_folder_with_other_files_is_refused(filled, export, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    code, said = export(filled, "--to", tmp_path, "--force")
    assert code == 2
    assert "contains other files" in said
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".txt"] == ["mine.txt"]


def test_an_older_export_is_replaced_only_by_force(filled, export, exported, tmp_path):
    folder = shutil.copytree(exported("csv"), tmp_path / "out")
    code, said = export(filled, "--to", folder, "--format", "jsonl")
    assert code == 2
    assert "--force" in said
    assert export(filled, "--to", folder, "--format", "jsonl", "--force")[0] == 0
    assert not list(folder.glob("*.csv"))
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["out"], "nothing is left beside it"


def test_an_export_that_fails_leaves_nothing(filled, export, tmp_path):
    engine = open_engine(filled)
    with write_transaction(engine) as connection:
        connection.execute(text("DROP VIEW report_runs"))
    engine.dispose()
    assert export(filled, "--to", tmp_path / "out", "--format", "csv")[0] == 5
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.postgresql
def test_both_databases_give_the_same_files(new_database, export, tmp_path):
    found = {}
    for engine_name in ("sqlite", "postgresql"):
        url = new_database(engine_name)
        engine = open_engine(url)
        import_past(engine, account_in(engine), past_snapshot(1, [1, 2]), past_snapshot(3, [2, 3]))
        engine.dispose()
        export(url, "--to", tmp_path / engine_name, "--format", "jsonl")
        found[engine_name] = {
            name: sorted((tmp_path / engine_name / f"{name}.jsonl").read_text().splitlines())
            for name in ("favourites", "tracks", "track_versions", "report_favourite_history", "report_artists")
        }
        kinds = [
            (each["name"], each["columns"]) for each in manifest(tmp_path / engine_name)["relations"] if each["rows"]
        ]
        found[engine_name]["kinds"] = kinds
    assert found["sqlite"] == found["postgresql"]
