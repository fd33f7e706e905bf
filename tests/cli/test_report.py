"""`favsync report` and `favsync digest` as commands: lists, formats, files, and errors that say what to do."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from etl.cli import main, report
from etl.db.engine import read_transaction
from etl.reporting.views import views
from tests.support.seeded import Histories

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(histories: Histories, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs ``favsync`` over the seeded history, and returns its code and what it printed."""
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", str(histories.engine("sqlite").url))

    def run_(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_


def value(histories: Histories, sql: str) -> Any:
    with read_transaction(histories.engine("sqlite")) as connection:
        return connection.execute(text(sql)).scalar_one()


def test_without_a_name_every_report_is_listed(run: Run) -> None:
    code, out, _ = run("report")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 1 + len(views()) + 2
    for view in views().values():
        assert any(line.startswith(f"{view.short} ") and line.endswith(view.title) for line in lines)
    assert [line.split()[0] for line in lines[-2:]] == ["year", "html"]
    assert max(map(len, lines)) <= 62, "a narrow terminal would cut it"
    listed = json.loads(run("report", "--json")[1])
    assert {each["report"]: each["row"] for each in listed[:-2]} == {view.short: view.row for view in views().values()}


@pytest.mark.parametrize("view", views())
def test_every_report_is_shown_by_its_name(run: Run, view: str) -> None:
    code, out, err = run("report", view, "--limit", "2")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 3 or view == "report_freshness"


def test_csv_json_lines_and_markdown_have_the_same_rows(run: Run) -> None:
    asked = ("report", "artists", "--account", "ada", "--order-by", "-ever_favourites", "--limit", "4")
    as_csv = list(csv.DictReader(io.StringIO(run(*asked, "--format", "csv")[1])))
    as_json = json.loads(run(*asked, "--json")[1])
    as_lines = [json.loads(line) for line in run(*asked, "--format", "jsonl")[1].splitlines()]
    assert as_json == as_lines
    assert [row["artist_id"] for row in as_csv] == [str(row["artist_id"]) for row in as_json]
    assert [row["ever_favourites"] for row in as_json] == sorted(
        (row["ever_favourites"] for row in as_json), reverse=True
    )
    assert run(*asked, "--format", "markdown")[1].count("\n|") == 5


def test_parquet_goes_to_a_file_with_types(run: Run, tmp_path: Path, histories: Histories) -> None:
    from pyarrow import parquet

    path = tmp_path / "favourites.parquet"
    assert run("report", "current-favourites", "--format", "parquet", "-o", str(path))[0] == 0
    table = parquet.read_table(path)
    assert table.num_rows == value(histories, "SELECT count(*) FROM report_current_favourites")
    assert str(table.schema.field("valid_from").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("duration_seconds").type) == "int64"


def test_parquet_without_pyarrow_names_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    code, _, err = run("report", "runs", "--format", "parquet", "-o", str(tmp_path / "x.parquet"))
    assert code == 2
    assert "pip install pyarrow" in err
    assert not (tmp_path / "x.parquet").exists()


def test_a_file_that_cannot_be_written_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    for arguments in (("runs", "--format", "csv"), ("runs", "--format", "parquet"), ("html",)):
        name = "file.html" if arguments == ("html",) else "file"
        code, _, err = run("report", *arguments, "-o", str(tmp_path / "missing" / name))
        assert code == 2, err
        assert "cannot be written" in err


def test_the_html_report_is_complete_and_private(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    code, out, err = run("report", "html", "-o", str(path))
    assert (code, out) == (0, "")
    assert "open it in a browser" in err
    assert path.read_text(encoding="utf-8").endswith("</html>")
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    assert run("report", "html", "-o", "-")[1].startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("curent-favourites",), "did you mean current-favourites"),
        (("runs", "--account", "adaa"), "did you mean ada?"),
        (("runs", "--order-by", "startd_at"), "did you mean started_at"),
        (("html",), "add -o FILE"),
        (("html", "-o", "x.html", "--limit", "3", "--since", "2026-01-01"), "has no --since and no --limit"),
        (("html", "-o", "x.html", "--json"), "has no --json"),
        (("runs", "--columns", "outcom"), "did you mean outcome"),
        (("current-favourites", "--columns", "seen"), "did you mean first_seen_at"),
        (("html", "--account", "nobody", "-o", "x.html"), "there is no account 'nobody'"),
        (("runs", "--format", "parquet"), "add -o FILE"),
        (("runs", "--as-of", "2026-01-01"), "--as-of works with albums, artists"),
        (("runs", "--json", "--format", "csv"), "exclude each other"),
        (("runs", "--since", "whenever"), "is not a time"),
    ],
)
def test_a_wrong_report_is_refused_with_a_remedy(run: Run, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = run("report", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("error: ")


def test_columns_come_in_the_given_order(run: Run) -> None:
    asked = ("report", "Weekly churn", "--account", "ada", "--limit", "1", "--format", "csv")
    assert run(*asked, "--columns", "churn,week", "--columns", "added")[1].splitlines()[0] == "churn,week,added"


def test_the_ending_of_a_file_selects_its_format(run: Run, tmp_path: Path) -> None:
    for ending, begin in ((".csv", "account,"), (".json", "[\n"), (".md", "| account"), (".txt", "account  ")):
        path = tmp_path / f"runs{ending}"
        code, out, err = run("report", "runs", "--limit", "3", "-o", str(path))
        assert (code, out, err) == (0, "", f"{path} is written: 3 rows\n")
        assert path.read_text(encoding="utf-8").startswith(begin)


def test_an_empty_result_is_mentioned_to_people_only(run: Run) -> None:
    code, out, err = run("report", "runs", "--since", "2999-01-01")
    assert (code, err) == (0, "no rows\n")
    assert out.startswith("account ")
    assert run("report", "runs", "--since", "2999-01-01", "--json")[1:] == ("[]\n", "")


def test_as_of_reports_the_number_of_unknown_tracks(run: Run) -> None:
    code, out, err = run("report", "artists", "--as-of", "2025-01-01", "--json", "--account", "ada")
    assert (code, json.loads(out)) == (0, [])
    assert "unknown at that time: `favsync as-of 2025-01-01T00:00:00Z` lists them" in err


def test_as_of_adds_up_the_unknown_tracks_of_many_accounts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ("report", "artists", "--as-of", "2025-01-01", "--json")
    lines = run(*command)[2].splitlines()
    assert len(lines) > 1
    monkeypatch.setattr(report, "ACCOUNTS_IN_LINES", 1)
    counts = [int(line.split(": ")[1].split()[0]) for line in lines]
    assert run(*command)[2].startswith(
        f"{len(lines)} accounts: {sum(counts)} tracks unknown at that time: `favsync as-of"
    )


def test_a_closed_output_pipe_is_no_error(histories: Histories) -> None:
    favsync = Path(sys.executable).with_name("favsync")
    environ = dict(os.environ) | {"FAVSYNC_DATABASE_URL": str(histories.engine("sqlite").url)}
    command = f"set -o pipefail; {favsync} report track-markets --format csv | head -2"
    done = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2


def test_a_digest_moves_its_cursor_and_an_empty_one_is_silent(run: Run) -> None:
    code, out, _ = run("digest", "ada", "--channel", "test", "--peek", "--since", "2026-05-01")
    assert code == 0
    assert out.startswith("ada: ")
    assert run("digest", "--channel", "test")[0] == 0
    assert run("digest", "--channel", "test")[1:] == ("", "no changes\n")
    assert [each["account"] for each in json.loads(run("digest", "--channel", "test", "--json")[1])] == ["ada", "kofi"]


@pytest.mark.parametrize(("format_", "begin"), [("text", "ada: "), ("markdown", "**ada: "), ("html", "<div style=")])
def test_a_digest_has_each_format(run: Run, format_: str, begin: str) -> None:
    code, out, _ = run("digest", "ada", "--since", "2026-05-01", "--format", format_)
    assert code == 0
    assert out.startswith(begin)
