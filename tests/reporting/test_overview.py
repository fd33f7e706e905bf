"""The report about many accounts: an overview, a page for each, numbers as in SQL, and nothing half-written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from sqlalchemy import Connection, insert, literal, select, text, true

from etl.db.engine import read_transaction
from etl.db.tables import accounts
from etl.errors import UsageError
from etl.reporting.html import page as page_module
from etl.reporting.html import write_report
from etl.reporting.html.overview import page_name
from tests.conftest import ENGINES
from tests.support.seeded import Histories

TWENTY = "twenty accounts"
ROW = re.compile(r'<tr id="account=([^"]*)"><th scope="row"><a href="([^"]*)">.*?</th>(.*?)</tr>', re.DOTALL)


@pytest.fixture(params=ENGINES)
def twenty(request: pytest.FixtureRequest, histories: Histories) -> Any:
    """Return a connection to a database with twenty accounts."""
    with read_transaction(histories.engine(request.param, TWENTY)) as connection:
        yield connection


def test_many_accounts_have_pages_and_an_overview_as_sql(twenty: Connection, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    names = list(twenty.execute(select(accounts.c.name).order_by(accounts.c.name)).scalars())
    some = (
        names[:13] if twenty.dialect.name == "postgresql" else []
    )  # of all, on SQLite: each page asks the same queries
    names = some or names
    count = len(names)
    assert write_report(twenty, tmp_path / "all.html", some, lambda done, total: seen.append((done, total))) == count
    assert seen == [(done, count) for done in range(1, count + 1)]
    html = (tmp_path / "all.html").read_text(encoding="utf-8")
    rows = ROW.findall(html)
    assert [name for name, _, _ in rows] == names
    sql = """SELECT count(*) FILTER (WHERE f.valid_to IS NULL),
            count(*) FILTER (WHERE f.valid_to IS NULL AND f.missing_since IS NOT NULL),
            count(f.added_after), count(f.valid_to)
        FROM favourites f JOIN accounts a ON a.account_id = f.account_id WHERE a.name = :name"""
    for name, href, cells in rows:
        shown = [int(value) for value in re.findall(r'<data value="(-?\d+)">', cells)]
        assert tuple(shown[:4]) == tuple(twenty.execute(text(sql), {"name": name}).one())
        page = (tmp_path / unquote(href)).read_text(encoding="utf-8")
        assert page.endswith("</html>")
        assert f"<title>{name}: favourites</title>" in page
    assert {path.name for path in tmp_path.iterdir()} == {"all.html", "all_files"}
    assert len(list((tmp_path / "all_files").iterdir())) == count
    assert (tmp_path / "all_files").stat().st_mode & 0o777 == 0o700


def test_a_failure_leaves_the_old_overview(
    histories: Histories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "all.html"
    target.write_text("old", encoding="utf-8")
    whole = page_module.account_report

    def failing(connection: Connection, account: str) -> dict[str, Any]:
        if account == "thandi":
            raise RuntimeError("the database went away")
        return whole(connection, account)

    monkeypatch.setattr(page_module, "account_report", failing)
    with read_transaction(histories.engine("sqlite", TWENTY)) as connection, pytest.raises(RuntimeError, match="away"):
        write_report(connection, target)
    assert target.read_text(encoding="utf-8") == "old"
    assert all(path.read_text(encoding="utf-8").endswith("</html>") for path in (tmp_path / "all_files").iterdir())


def test_a_file_in_place_of_the_folder_is_an_error(histories: Histories, tmp_path: Path) -> None:
    (tmp_path / "all_files").write_text("mine", encoding="utf-8")
    with (
        read_transaction(histories.engine("sqlite", TWENTY)) as connection,
        pytest.raises(UsageError, match="all_files cannot be made: File exists"),
    ):
        write_report(connection, tmp_path / "all.html")
    assert [path.name for path in tmp_path.iterdir()] == ["all_files"]


def test_standard_output_takes_no_folder(histories: Histories) -> None:
    with (
        read_transaction(histories.engine("sqlite", TWENTY)) as connection,
        pytest.raises(UsageError, match="20 accounts") as failed,
    ):
        write_report(connection, Path("-"))
    assert "-o FILE.html" in failed.value.remedy


def test_an_unread_list_and_a_hostile_name_are_shown_as_text(histories: Histories, tmp_path: Path) -> None:
    name = "../<b onclick='x'>\"& 100%#é"
    engine = histories.engine("sqlite", TWENTY)
    with engine.connect() as connection, connection.begin() as transaction:
        created, others = (
            select(accounts.c.created_at).limit(1),
            select(accounts.c.name).where(accounts.c.name != name).limit(12),
        )
        connection.execute(
            insert(accounts).from_select(
                ["name", "created_at", "enabled"], select(literal(name), created.scalar_subquery(), true())
            )
        )
        write_report(connection, tmp_path / "all.html", [name, *connection.execute(others).scalars()])
        transaction.rollback()
    html = (tmp_path / "all.html").read_text(encoding="utf-8")
    assert "<b onclick" not in html
    assert "1 list was never read" in html
    (href,) = [href for _, href, cells in ROW.findall(html) if "not read yet" in cells]
    assert (tmp_path / unquote(href)).parent == tmp_path / "all_files"
    assert (tmp_path / unquote(href)).is_file()


def test_names_that_differ_in_case_have_different_files() -> None:
    names = [page_name(1, "Ada"), page_name(2, "ada"), page_name(3, "é" * 400)]
    assert len({name.lower() for name in names}) == 3
    assert max(len(name.encode()) for name in names) < 200
