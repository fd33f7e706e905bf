"""The wheel, as a user has it: in an environment of its own, called from another folder, with no checkout near.

The environment sees the dependencies of the one that runs the tests, and nothing else of it: neither its favsync, which
is this checkout, nor the checkout itself.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from etl import __version__
from etl.sandbox import Sandbox
from tests.house.source import ROOT, place

FROM_FILES = [["sync"], ["report", "html", "-o", "report.html"], ["report", "year", "2026", "-o", "2026.html"]]
"""README's commands that read the wheel's revisions, views, templates and scripts."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built from this checkout."""
    return Path(
        next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"]))
    )


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    purelib = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip()
    # A path in a .pth file is searched last, and the .pth files in it, an editable favsync among them, are not read.
    Path(purelib, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    subprocess.run([python, "-m", "installer", wheel], check=True)
    return folder


@pytest.fixture
def elsewhere(environment: Path, tmp_path: Path, home: Path) -> Elsewhere:
    """Return a way to run the installed programs in an empty folder."""
    return Elsewhere(environment, tmp_path, home)


class Elsewhere:
    """Runs installed programs in a folder that is no checkout."""

    def __init__(self, environment: Path, folder: Path, home: Path) -> None:
        self._environment = environment
        self._folder = folder
        self._variables = {"HOME": str(home), "PATH": os.defpath, "LANG": "C.UTF-8"}

    def run(self, program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, with these variables and no others of ours."""
        return subprocess.run(
            [self._environment / "bin" / program, *arguments],
            cwd=self._folder,
            env=self._variables | variables,
            capture_output=True,
            text=True,
            check=False,
        )


def test_it_holds_every_file_that_favsync_needs_at_run_time(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = [path for path in (ROOT / "etl").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    revisions = [path for path in (ROOT / "migrations").rglob("*") if path.suffix in (".py", ".mako")]
    wanted = {place(path) for path in inside} | {f"etl/{place(path)}" for path in revisions}
    assert len(revisions) >= 3
    assert sorted(wanted - names) == []
    shared = {f"favsync-{__version__}.data/data/share/man/man1/favsync.1"}
    assert not [name for name in names - shared if not name.startswith(("etl/", f"favsync-{__version__}.dist-info/"))]
    assert shared < names


def test_the_source_distribution_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    archive = next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    subprocess.run([sys.executable, "-m", "tarfile", "-e", archive, tmp_path], check=True)
    source = tmp_path / f"favsync-{__version__}"
    again = next(WheelBuilder(str(source)).build(directory=str(tmp_path), versions=["standard"]))
    assert zipfile.ZipFile(again).namelist() == zipfile.ZipFile(wheel).namelist()


def test_both_commands_print_the_version(elsewhere: Elsewhere) -> None:
    for command in (("favsync", "--version"), ("python", "-m", "etl", "--version")):
        done = elsewhere.run(*command)
        assert (done.returncode, done.stderr) == (0, "")
        assert __version__ in done.stdout


def test_it_is_the_installed_package_that_answers(elsewhere: Elsewhere, environment: Path) -> None:
    done = elsewhere.run("python", "-c", "import etl; print(etl.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(environment)


def test_a_new_user_syncs_from_any_folder(elsewhere: Elsewhere) -> None:
    demo = elsewhere.run("favsync", "demo", "--keep", "kept")
    assert demo.returncode == 0, demo.stderr


def test_the_readme_leads_from_the_wheel_to_a_report(elsewhere: Elsewhere, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme[readme.index("## First sync") : readme.index("## Verbs")]
    commands = [shlex.split(line) for line in re.findall(r"^\$ favsync (.*)$", section, re.MULTILINE)]
    assert [words for words in commands if words in FROM_FILES] == FROM_FILES
    with Sandbox(tracks=60, seed=5) as sandbox:
        settings = {
            "BOOMPLAY_API_URL": sandbox.url,
            "BOOMPLAY_APP_ID": sandbox.app_id,
            "BOOMPLAY_ACCESS_TOKEN": sandbox.users["ada"].access_token,
        }
        # The others read no files that these do not read; tests/e2e runs them all from the checkout.
        for words in [*(words for words in commands if words in FROM_FILES), ["db", "check"]]:
            done = elsewhere.run("favsync", *words, **settings)
            assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").stat().st_size > 100_000
