"""Every favsync command that deploy/ and the backup guide name: such a verb exists, with such options."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from etl.cli import app
from etl.config import SETTINGS
from tests.house.source import ROOT, place

SUFFIXES = {"", ".md", ".sql", ".service", ".yaml"}
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FILES = [
    *sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file() and path.suffix in SUFFIXES),
    *GUIDES,
]
OF_THE_SHELL = {";", "&&", "|", "||", ">", "then"}


def typed(path: Path) -> Iterator[list[str]]:
    """Yield each command in backticks, in a code block, or in ExecStart, as words after ``favsync``."""
    text = path.read_text(encoding="utf-8")
    in_blocks = "".join(re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE)) if path.suffix == ".md" else text
    for line in re.findall(r"`favsync ([^`\n]+)`", text) + re.findall(
        r"^(?:ExecStart=\S+/|\$ )?favsync (.+)$", in_blocks, re.MULTILINE
    ):
        words = shlex.split(line, comments=True)
        ends = [number for number, word in enumerate(words) if word in OF_THE_SHELL]
        yield words[: ends[0]] if ends else words


def contained() -> Iterator[list[str]]:
    """Yield what the containers are started with."""
    for service in yaml.safe_load((ROOT / "deploy/compose.yaml").read_text(encoding="utf-8"))["services"].values():
        if service["image"].startswith("favsync"):
            yield service["command"]
    dockerfile = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    yield json.loads(re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)[-1])
    for path in (ROOT / "deploy/kubernetes").glob("*.yaml"):
        yield from (
            json.loads(args)
            for args in re.findall(r"^ +args: (\[.*\])$", path.read_text(encoding="utf-8"), re.MULTILINE)
        )


def fault(words: list[str]) -> str | None:
    """Return what is wrong with a command, as far as verbs and options go."""
    command: click.Command = app
    context = click.Context(app)
    for word in words:
        if word == "VERB":  # stands for any
            return None
        if word.startswith("-") and word != "-":
            known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            if word.split("=")[0] not in known:
                return f"{' '.join(words)}: no option {word}"
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                return f"{' '.join(words)}: no verb {word}"
            command = found
    return f"{' '.join(words)}: not a whole command" if isinstance(command, click.Group) and len(words) > 1 else None


def test_every_command_in_the_texts_exists() -> None:
    commands = [(path, words) for path in FILES for words in typed(path)]
    assert len(commands) > 40
    assert not [f"{place(path)}: {wrong}" for path, words in commands if (wrong := fault(words))]


def test_every_container_starts_a_verb_that_exists() -> None:
    commands = list(contained())
    assert len(commands) == 7
    assert not [wrong for words in commands if (wrong := fault(words))]


@pytest.mark.parametrize("wrong", ["syncc", "sync --pln", "runs aprove 3", "schedule --htp x"])
def test_a_wrong_command_would_be_found(wrong: str) -> None:
    assert fault(wrong.split())


def test_every_variable_is_a_setting() -> None:
    known = {setting.variable for setting in SETTINGS} | {"FAVSYNC_CONFIG"}
    ours = {"FAVSYNC_WITHOUT_SYSTEMD"}  # deploy/check's own
    grafanas = {"FAVSYNC_DATABASE_HOST", "FAVSYNC_REPORT_PASSWORD", "FAVSYNC_PROMETHEUS_URL"}  # in its provisioning
    named = {
        name
        for path in (*FILES, *(ROOT / "deploy").rglob("*.toml"))
        for name in re.findall(r"\b(?:FAVSYNC|BOOMPLAY)_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    assert named <= known | ours | grafanas


def test_every_link_of_the_runbook_and_the_guide_leads_somewhere() -> None:
    broken = []
    for path in (*GUIDES, ROOT / "deploy/runbook.md", ROOT / "deploy/dbt/README.md"):
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
            file, _, heading = target.partition("#")
            there = (path.parent / file).resolve() if file else path
            if not there.exists() or (heading and heading not in anchors(there)):
                broken.append(f"{place(path)}: {target}")
    assert not broken


def anchors(path: Path) -> set[str]:
    """Return what GitHub makes of a file's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
