"""Tables at a terminal of 80 columns: what fits, what comes first, and what is left out."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.cells import cell_len

from etl.accounts.token_rows import TokenStatus
from etl.cli import account_status, main
from etl.cli.context import Context
from etl.monitor.overview import OverviewReader, summed
from etl.monitor.status import AccountStatus
from etl.reporting import render
from tests.conftest import NewDatabase
from tests.monitor.test_status import HOUR, NOW, token
from tests.monitor.test_status import status as account
from tests.support.seeded import Histories

Screen = Callable[..., tuple[list[str], str]]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Screen:
    """Run a verb at a terminal of 80 columns; return its lines and what it wrote to stderr."""
    monkeypatch.setattr(render, "_width", lambda _stream: 80)

    def show(*argv: str) -> tuple[list[str], str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys.stdout, "isatty", lambda: True)
            main(argv)
        out, err = capsys.readouterr()
        return re.sub(r"\x1b\[[0-9;]*m", "", out).splitlines(), err

    return show


def give(monkeypatch: pytest.MonkeyPatch, found: list[AccountStatus]) -> None:
    """Let these accounts be all that there are."""
    monkeypatch.setattr(account_status, "statuses", lambda *_args, **_options: found)
    monkeypatch.setattr(OverviewReader, "read", lambda _reader: summed(found))


@pytest.fixture
def three_hundred(monkeypatch: pytest.MonkeyPatch, new_database: NewDatabase) -> str:
    """Return a database of 300 accounts, three of them in trouble."""
    trouble: dict[str, dict[str, Any]] = {
        "u007": {"held": 12, "outcome": "held"},
        "u150": {"last_proven_at": NOW - 40 * HOUR},
        "u299 o'neil": {"token": token(TokenStatus.DEAD)},
    }
    names = [f"u{number:03}" for number in range(299)] + ["u299 o'neil"]
    found = [account(name=name, next_run_at=NOW + HOUR, **trouble.get(name, {})) for name in names]
    give(monkeypatch, found)
    return new_database("sqlite")


def test_status_of_300_accounts_shows_the_three_in_trouble(screen: Screen, three_hundred: str) -> None:
    lines, err = screen("status", "--database-url", three_hundred)
    assert lines[0] == "300 accounts: 1 token dead, 1 stale, 1 held, 297 fresh"
    assert [line.split("  ")[0] for line in lines[2:]] == ["u299 o'neil", "u150", "u007"]
    assert len(lines) + len(err.splitlines()) <= 24
    assert max(map(cell_len, lines)) <= 80
    assert "renew it with `favsync accounts login 'u299 o'\"'\"'neil'`" in err
    assert "`favsync sync u150`" in err
    assert "12 removals wait for `favsync runs approve 9`" in err


def test_status_wide_lists_every_account_and_column(screen: Screen, three_hundred: str) -> None:
    lines, _ = screen("status", "--wide", "--database-url", three_hundred)
    assert len(lines) == 302
    assert "last outcome" in lines[1]


def test_many_accounts_in_trouble_still_fit_a_screen(
    monkeypatch: pytest.MonkeyPatch, screen: Screen, new_database: NewDatabase
) -> None:
    stale = [account(name=f"u{number}", last_proven_at=NOW - 40 * HOUR) for number in range(50)]
    give(monkeypatch, stale)
    lines, err = screen("status", "--database-url", new_database("sqlite"))
    assert len(lines) + len(err.splitlines()) <= 24
    assert "40 more accounts need attention: `favsync status --all` lists them" in err


@pytest.mark.parametrize(
    ("argv", "columns"),
    [
        (("runs", "list"), ["run_id", "account", "outcome", "started_at", "favourites", "added", "removed"]),
        (("report", "favourite-changes"), ["account", "changed_at", "change", "title"]),
        (("config",), ["setting", "value", "source"]),
        (("status",), ["account", "state"]),
    ],
)
def test_a_table_fits_80_columns(
    screen: Screen, histories: Histories, argv: tuple[str, ...], columns: list[str]
) -> None:
    url = histories.engine("sqlite").url.render_as_string()
    lines, _ = screen(*argv, "--database-url", url)
    assert max(map(cell_len, lines)) <= 80
    heading = next(line for line in lines if line.startswith(f"{columns[0]} ")).split()
    assert [name for name in heading if name in columns] == columns


def test_what_has_no_room_is_named_and_shown_with_wide(screen: Screen, histories: Histories) -> None:
    url = histories.engine("sqlite").url.render_as_string()
    narrow, _ = screen("report", "favourite-changes", "--database-url", url)
    assert re.search(r"no room for .*not_before.*: --wide or --json shows all", " ".join(narrow[-2:]))
    wide, _ = screen("report", "favourite-changes", "--wide", "--database-url", url)
    assert "not_before" in wide[0].split()


def test_a_state_is_coloured_unless_no_color_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(render, "_width", lambda _stream: 80)
    monkeypatch.setenv("TERM", "xterm")
    Context().show_rows(["account", "state"], [("ada", "stale")])
    assert "\x1b[31mstale" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    Context().show_rows(["account", "state"], [("ada", "stale")])
    assert "\x1b[31m" not in capsys.readouterr().out
