"""What the repository holds: no address of a registry, no path of somebody's machine, locks that fit, a README that is whole."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from etl.cli import app
from etl.model.records import Outcome
from etl.reporting.run_summary import FIELDS
from etl.settings import SETTINGS
from tests.house.source import ROOT, place, tracked_files
from tools import manpage

# Written in pieces, or this file would be the first to break its own rule.
REGISTRIES = (
    "pypi" + ".org",
    "python" + "hosted",
    "npm" + "js",
    "deb" + ".debian",
    "--index" + "-url",
    "--extra-index" + "-url",
)
FOLDERS = ("/work" + "/", "/farm" + "/", "/root" + "/", "/Users" + "/", "/." + "library")
FORBIDDEN = re.compile("|".join(map(re.escape, REGISTRIES + FOLDERS)))

LOCKS = {path.stem: path for path in sorted((ROOT / "requirements").glob("*.txt"))}
PINNED = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>.+?))? \\$")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(path: Path, *, everywhere: bool = False) -> dict[str, str]:
    """Return version by package name, as a requirements file has them; with ``everywhere``, only those without a marker."""
    found = (PINNED.match(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {match["name"]: match["version"] for match in found if match and not (everywhere and match["marker"])}


def wanted(lock: str) -> Iterator[Requirement]:
    """Yield what pyproject.toml asks for and this lock must hold."""
    groups, extras = PROJECT["dependency-groups"], PROJECT["project"]["optional-dependencies"]
    texts = list(groups[lock]) if lock in groups else []
    texts += [] if lock == "build" else PROJECT["project"]["dependencies"]
    texts += [text for extra in extras.values() for text in extra] if lock == "extras" else []
    for text in texts:
        if isinstance(text, dict):
            yield from map(Requirement, (t for t in groups[text["include-group"]] if isinstance(t, str)))
        else:
            yield Requirement(text)


def verbs(group: click.Group, context: click.Context, path: str) -> Iterator[str]:
    """Yield every verb as it is typed (``favsync db upgrade``), hidden ones apart."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from verbs(command, context, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}"


def test_no_file_names_a_registry_or_a_personal_folder() -> None:
    found = [
        f"{place(path)}:{number} {match[0]}"
        for path in tracked_files()
        if b"\0" not in (content := path.read_bytes())
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1)
        for match in FORBIDDEN.finditer(line)
    ]
    assert not found


@pytest.mark.parametrize("text", [f"pip install {REGISTRIES[-1]} x", f"cd {FOLDERS[0]}main"])
def test_such_a_name_would_be_found(text: str) -> None:
    assert FORBIDDEN.search(text)


def test_the_tree_is_free_of_a_lock_that_names_registries() -> None:
    assert not [place(path) for path in tracked_files() if path.name in ("uv.lock", "pylock.toml", "poetry.lock")]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_a_pin_or_a_hash(lock: str) -> None:
    lines = [line for line in LOCKS[lock].read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    other = [
        line
        for line in lines
        if not PINNED.match(line) and not re.match(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$", line)
    ]
    assert lines
    assert not other


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_what_pyproject_asks_for(lock: str) -> None:
    locked = pins(LOCKS[lock], everywhere=True)
    missing = [
        f"{requirement} (locked: {locked.get(canonicalize_name(requirement.name))})"
        for requirement in wanted(lock)
        if not requirement.specifier.contains(locked.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]
    assert not missing, "run `make lock`"


def test_no_two_locks_disagree() -> None:
    versions: dict[str, set[str]] = {}
    for path in LOCKS.values():
        for name, version in pins(path).items():
            versions.setdefault(name, set()).add(version)
    assert not {name: found for name, found in versions.items() if len(found) > 1}


def test_the_readme_names_every_verb() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    known = list(verbs(app, click.Context(app), "favsync"))
    assert known
    assert not [verb for verb in known if verb not in readme]


def test_the_settings_page_names_every_setting_outcome_and_field() -> None:
    page, operations = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("settings.md", "operations.md"))
    assert not [each.variable for each in SETTINGS if f"`{each.variable}`" not in page + operations]
    defaults = {each.variable: each.default for each in SETTINGS if each.default is not None}
    assert not [name for name in defaults if not told_with(defaults[name], name, page + operations)]
    assert not [name for name in (*Outcome, *FIELDS, "plan", "remedy", "retry_at") if f"`{name}`" not in page]


def told_with(default: str, variable: str, text: str) -> bool:
    """Say whether a line of ``text`` names the variable and its default."""
    return any(f"`{variable}`" in line and f"`{default}`" in line for line in text.splitlines())


def test_the_man_page_is_that_of_the_help_texts() -> None:
    assert manpage.TARGET.read_text(encoding="utf-8") == manpage.man_page(), "run `make docs`"


def test_the_help_names_a_cheat_sheet_that_exists() -> None:
    (name,) = re.findall(r"docs/\w+\.md", app.get_help(click.Context(app)))
    assert (ROOT / name).exists()


def test_every_name_in_a_settings_file_is_a_setting() -> None:
    texts = [(ROOT / "deploy/systemd/favsync.toml").read_text(encoding="utf-8")]
    texts += re.findall(
        r"<<TOML\n(.*?)^TOML", (ROOT / "deploy/compose/secrets").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    documents = [path.read_text(encoding="utf-8") for path in tracked_files() if path.suffix == ".md"]
    texts += [
        block for text in documents for block in re.findall(r"^```toml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    ]
    named = {name for text in texts for name in re.findall(r"^(?:# ?)?(\w+) = ", text, re.MULTILINE)}
    assert len(named) > 5
    assert named <= {each.name for each in SETTINGS}


def test_the_memory_of_a_thousand_accounts_is_one_number() -> None:
    pages = [ROOT / "docs/operations.md", ROOT / "deploy/runbook.md"]
    found = [re.findall(r"(\d+) MB(?: at most|\s+\(\[how many)", path.read_text(encoding="utf-8")) for path in pages]
    assert len(found[0]) == 1
    assert found[0] == found[1]


def anchors(markdown: str) -> set[str]:
    """Return what a link may name after ``#``, as GitHub makes it of the headings."""
    heads = re.findall(r"^#+ (.+)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_link_of_the_documents_leads_somewhere() -> None:
    found, lost = 0, []
    for path in tracked_files():
        if path.suffix != ".md":
            continue
        for address in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            target, _, anchor = address.partition("#")
            if "://" in target:
                continue
            found += 1
            there = (path.parent / target) if target else path
            if not there.exists() or (anchor and anchor not in anchors(there.read_text(encoding="utf-8"))):
                lost.append(f"{place(path)}: {address}")
    assert found > 20
    assert not lost


def test_every_picture_is_small_and_shown() -> None:
    pictures = sorted((ROOT / "docs/pictures").glob("*.png"))
    documents = "".join(path.read_text(encoding="utf-8") for path in tracked_files() if path.suffix == ".md")
    assert pictures
    assert not [path.name for path in pictures if path.stat().st_size > 150_000]
    assert not [path.name for path in pictures if f"pictures/{path.name}" not in documents]


def test_make_alone_lists_every_target() -> None:
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    listed = subprocess.run(["make"], cwd=ROOT, env=surroundings, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony
    assert {line.split()[1] for line in listed.splitlines()} == set(phony[1].split())
