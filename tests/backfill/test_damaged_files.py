"""Damaged exports remove and invent nothing: files are cut, changed, renamed, reordered and doubled at random.

Two kinds of damage leave a file that is as good as another one, so no reader can see them, and they are left out here: a cut of
CSV or JSON lines at the end of a row or in its last cell, and a number that becomes another number.
"""

from __future__ import annotations

import json
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from etl.backfill.import_files import ImportOptions, read_paths
from etl.errors import UsageError
from tests.support.past import LATER

TITLES = ["", "Ọmọ", "a, b", 'say "x"', "line\nbreak", "31", "[1]", "{", "née;|\t", "54"]
DAYS = ("2025-11-03", "2025-11-10")
FORMS = ("body", "list", "ids", "csv", "semicolons", "table of ids", "lines", "pages")
SEPARATORS = b",;\n\r ]}"
WHOLE_ROW = re.compile(rb"|\d{8}|.*[,;]\d{8}[,;].*|.*\}")
OTHER_NAMES = ("{} (1)", "Copy of {}", "{}.part", "{}.bak", "x", ".{}", "{} 10.00 EST", "{}_10-00-PM", "{}T10-00-00")

tracks = st.dictionaries(st.integers(10_000_000, 99_999_999), st.sampled_from(TITLES), min_size=2, max_size=8)
kinds = st.sampled_from(["cut", "flip", "insert", "drop", "rename", "reorder", "double", "double a piece"])
odd_bytes = st.sampled_from([bytes([byte]) for byte in b'",\n[]{}:\\x\x00\xff ;\r'])
places = st.floats(0, 1, exclude_max=True)
damage = st.tuples(kinds, st.integers(0, 1), places, odd_bytes, st.sampled_from(OTHER_NAMES))
damages = st.lists(damage, min_size=1, max_size=3)


def cell(title: str, separator: str) -> str:
    return '"' + title.replace('"', '""') + '"' if set(title) & {separator, '"', "\n"} else title


def written(form: str, listed: dict[int, str]) -> bytes:
    """Return a list in one of the forms that people have."""
    items = [{"track_id": track, "track_title": title} for track, title in listed.items()]
    half = len(items) // 2
    separator = ";" if form == "semicolons" else ","
    rows = "".join(f"{cell(title, separator)}{separator}{track}{separator}x\n" for track, title in listed.items())
    return {
        "body": json.dumps({"code": 0, "counts": len(items), "data": items}),
        "list": json.dumps(items, indent=1, ensure_ascii=False),
        "ids": json.dumps(list(listed)),
        "csv": f"title,track_id,album\n{rows}",
        "semicolons": f"title;track_id;album\n{rows}",
        "table of ids": "track_id\n" + "".join(f"{track}\n" for track in listed),
        "lines": "".join(json.dumps(each) + "\n" for each in items),
        "pages": json.dumps([{"data": items[:half]}, {"data": items[half:]}]),
    }[form].encode()


def suffix(form: str) -> str:
    return {"csv": ".csv", "semicolons": ".csv", "table of ids": ".txt", "lines": ".jsonl"}.get(form, ".json")


def damaged(content: bytes, kind: str, at: int, byte: bytes, form: str) -> bytes:
    """Return the content after one damage at the byte ``at``; unchanged where the damage would make another good file."""
    is_table = suffix(form) != ".json"
    ends_a_row = is_table and content.endswith(b"\n")
    around = content[at : at + 1], content[max(at - (kind == "insert"), 0) : at + 1]
    is_number_split = all(part.isdigit() for part in around) and byte in SEPARATORS
    lines = content.splitlines(keepends=True)
    has_header = form in ("csv", "semicolons", "table of ids")
    result = content
    if kind == "cut" and not (is_table and WHOLE_ROW.fullmatch(content[:at].rpartition(b"\n")[2])):
        result = content[:at]
    elif (kind == "insert" and not is_number_split) or (kind == "flip" and not content[at : at + 1].isdigit()):
        result = content[:at] + byte + content[at + (kind == "flip") :]
    elif kind == "drop" and not content[at : at + 1].isdigit() and content[at : at + 1] != b"\n":
        result = content[:at] + content[at + 1 :]
    elif kind == "reorder" and ends_a_row:
        result = b"".join(lines[:has_header] + lines[: has_header - 1 if has_header else None : -1])
    elif kind == "double a piece" and ends_a_row:
        result = b"".join(lines + lines[len(lines) // 2 :])
    return result


def snapshots(folder: Path) -> dict[datetime, tuple[set[int], bool]]:
    """Return the tracks of each time, and whether those that are missing count as removed."""
    try:
        found = read_paths([folder], ImportOptions(is_complete=True), LATER)
    except UsageError:
        return {}
    return {
        past.observed_at: ({item.track_id for item in past.items if item.track_id}, past.proves_absence)
        for past in found.snapshots
    }


@given(st.tuples(tracks, tracks), st.tuples(st.sampled_from(FORMS), st.sampled_from(FORMS)), st.booleans(), damages)
def test_damage_removes_and_invents_nothing(lists, forms, are_pages, damage):
    days = (DAYS[0], DAYS[0]) if are_pages else DAYS
    if are_pages:
        lists = (lists[0], {track: title for track, title in lists[1].items() if track not in lists[0]} or {5: ""})
    files = [
        (f"{day}{'-p' + str(n) if are_pages else ''}", suffix(form), written(form, listed), form)
        for n, (day, form, listed) in enumerate(zip(days, forms, lists, strict=True))
    ]
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), files)
        good = snapshots(Path(folder))
    assert all(proven for _, proven in good.values()), "the undamaged files are whole lists"
    for kind, which, where, byte, other in damage:
        stem, end, content, form = files[which]
        if kind == "rename":
            files[which] = (other.format(stem), end, content, form)
        elif kind == "double":
            files.append((f"{stem}-again", end, content, form))
        elif content:
            files[which] = (stem, end, damaged(content, kind, int(where * len(content)), byte, form), form)
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder), files)
        bad = snapshots(Path(folder))
    for instant, (present, proves_absence) in bad.items():
        truth, _ = good[datetime(instant.year, instant.month, instant.day, tzinfo=UTC)]
        assert present <= truth, "a favourite is invented"
        assert not proves_absence or present == truth, "a favourite is removed"


def save(folder: Path, files: list[tuple[str, str, bytes, str]]) -> None:
    for stem, end, content, _ in files:
        (folder / f"{stem}{end}").write_bytes(content)
