"""The file behind a SQLite URL: which one it is, who may read it, and what happens if it goes away."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

import pytest

from etl.cli import main
from etl.config import load
from etl.db.engine import open_engine, read_transaction, write_transaction
from etl.db.locks import LockKind, try_lock
from etl.db.migrate import upgrade
from etl.errors import DatabaseError, SettingsError
from etl.scheduler.service import Service
from tests.conftest import NewDatabase


def url_of(text: str) -> str:
    return load({}, {"FAVSYNC_DATABASE_URL": text}, None).database_url.reveal()


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("sqlite:///file:/p/s.db?uri=true", "sqlite:////p/s.db"),
        ("sqlite:///file:///p/s.db", "sqlite:////p/s.db"),
        ("sqlite:///file://localhost/p/s.db?mode=ro&uri=true", "sqlite:////p/s.db?mode=ro"),
        ("sqlite:///file:s.db?uri=true", "sqlite:///s.db"),
        ("sqlite:////p/a%3Fb#c.db", "sqlite:////p/a%3Fb#c.db"),
        ("sqlite:///~/s.db", "sqlite:///{home}/s.db"),
        ("sqlite:///~root/s.db", f"sqlite:///{pwd.getpwnam('root').pw_dir}/s.db"),
    ],
)
def test_forms_of_one_path_are_one_url(text: str, url: str, home: Path) -> None:
    assert url_of(text) == url.format(home=home)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sqlite:////p/s.db?timeout=5", "has the option 'timeout'"),
        ("sqlite:////p/s.db?mode=rw", "has the option 'mode'"),
        ("sqlite:////p/what?.db", "has the option '.db'"),
        ("sqlite:////p/$HOME/s.db", "contains a variable"),
        ("sqlite:////p/${HOME}/s.db", "contains a variable"),
        ("sqlite:///~nobody-there/s.db", "is in a home folder, and this user has none"),
        ("sqlite:///file:?uri=true", "names no file"),
        ("sqlite:///file:memory?mode=memory&uri=true", "names no file"),
    ],
)
def test_a_path_that_is_unclear_is_refused(text: str, reason: str) -> None:
    with pytest.raises(SettingsError) as refused:
        url_of(text)
    assert reason in str(refused.value)


@pytest.mark.parametrize("verb", ["config", "status", "sync", "doctor"])
def test_no_home_is_a_setting_to_make(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_entry(_number: int) -> object:
        raise KeyError("no such user")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    assert main([verb]) == 2
    assert "set FAVSYNC_DATABASE_URL to a path" in capsys.readouterr().err


def test_the_file_is_private_in_whatever_form(tmp_path: Path) -> None:
    touched = tmp_path / "touched.db"
    touched.touch(mode=0o644)
    touched.chmod(0o644)
    for path, url in (
        (touched, f"sqlite:///{touched}"),
        (tmp_path / "s.db", f"sqlite:///file:{tmp_path}/s.db?uri=true"),
    ):
        upgrade(url_of(url))
        assert path.stat().st_mode & 0o777 == 0o600


def test_mode_ro_reads_and_never_writes(new_database: NewDatabase, tmp_path: Path) -> None:
    url = url_of(f"{new_database('sqlite')}?mode=ro")
    engine = open_engine(url)
    with read_transaction(engine) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM runs").scalar() == 0
    with pytest.raises(DatabaseError, match="readonly") as refused, write_transaction(engine) as connection:
        connection.exec_driver_sql("DELETE FROM markets")
    assert "mode=ro only reads" in refused.value.remedy
    with pytest.raises(DatabaseError, match="there is no database"):
        upgrade(f"sqlite:///{tmp_path}/new.db?mode=ro")
    assert not (tmp_path / "new.db").exists()


def test_a_file_with_two_names_is_refused(new_database: NewDatabase, tmp_path: Path) -> None:
    url = new_database("sqlite")
    os.link(url.removeprefix("sqlite:///"), tmp_path / "other.db")
    for each in (url, f"sqlite:///{tmp_path}/other.db"):
        with pytest.raises(DatabaseError, match="2 names"):
            open_engine(each)
    with pytest.raises(DatabaseError, match="is not a file"):
        open_engine(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize("fate", ["deleted", "replaced"])
def test_the_service_notices_that_its_file_is_gone(
    fate: str, new_database: NewDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    url = new_database("sqlite")
    path = Path(url.removeprefix("sqlite:///"))
    other = new_database("sqlite").removeprefix("sqlite:///")
    config = load({}, {"FAVSYNC_DATABASE_URL": url, "BOOMPLAY_APP_ID": "app"}, None)
    engine = open_engine(url)
    service = Service(config, engine)
    service.tick()
    assert service.pulse.is_leader
    path.unlink()
    if fate == "replaced":
        shutil.copy(other, path)
    service.tick()
    assert not service.pulse.is_leader
    assert fate in "".join(capsys.readouterr())
    with pytest.raises(DatabaseError, match=f"was {fate} while") as refused, read_transaction(engine):
        pass
    assert "docs/backup.md" in refused.value.remedy
    service.stop()


def test_a_lock_that_cannot_be_opened_names_its_owner(new_database: NewDatabase) -> None:
    url = new_database("sqlite")
    lock = Path(f"{url.removeprefix('sqlite:///')}.lock-scheduler")
    lock.mkdir()
    with (
        pytest.raises(DatabaseError, match="cannot open the lock") as refused,
        try_lock(open_engine(url), LockKind.SCHEDULER),
    ):
        pass
    assert refused.value.remedy.startswith(f"it is a lock of user {lock.owner()}: remove it")
