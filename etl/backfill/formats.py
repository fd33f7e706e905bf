"""What an exported file holds: JSON (bodies of the API, lists), JSON lines, CSV. Not here: which files, and of what time.

Nothing is lost: an entry without a readable track id is kept byte for byte as an item without an id, and named as a problem
with its place; a file that breaks off gives what stands before the break. Either way the file is no proof of absence.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Raw

from etl.core.model import Item
from etl.core.snapshots import digest_of

MAX_ID = 2**63 - 1
MAX_PROBLEMS = 50
LISTS = ("data", "tracks", "items", "favourites", "track_ids", "ids")
TIMES = ("observed_at", "exported_at", "fetched_at")
ID_COLUMNS = ("track_id", "trackid", "id")
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_DIGITS = re.compile(r"[0-9]{1,19}")
_LIST_START = re.compile(rf'"(?:{"|".join(LISTS)})"\s*:\s*\[')
_OWN_TIME = re.compile(rf'"({"|".join(TIMES)})"\s*:\s*"([^"]*)"')
_objects = msgspec.json.Decoder(dict[str, Raw]).decode
_arrays = msgspec.json.Decoder(list[Raw]).decode
_any = json.JSONDecoder(strict=False).raw_decode


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a file that could not be read. ``place``: where in the file, empty for the whole of it."""

    place: str
    fault: str

    def __str__(self) -> str:
        """Return it as a person reads it."""
        return f"{self.place}: {self.fault}" if self.place else self.fault


@dataclass(slots=True)
class Parsed:
    """What a file holds: items in order, each with its own time where it has one.

    ``observed_at``: the time that the file itself tells. ``is_cut``: something is missing that could be any track.
    ``counts``: the largest of the service's own ``counts``: of the page or of the list, so never less than what there is.
    """

    entries: list[tuple[Item, datetime | None]] = field(default_factory=list)
    observed_at: datetime | None = None
    problems: list[Problem] = field(default_factory=list)
    is_cut: bool = False
    counts: int = 0

    def fail(self, place: str, fault: str, *, is_cut: bool = True) -> None:
        """Note a problem."""
        self.problems.append(Problem(place, fault))
        self.is_cut |= is_cut


def parsed(content: bytes, name: str = "") -> Parsed:
    """Return what the file ``content`` holds; never raises. ``name`` decides between JSON and JSON lines where both fit."""
    found = Parsed()
    content = content.removeprefix(b"\xef\xbb\xbf")
    text = content.decode("utf-8", "surrogateescape")
    start = text.lstrip()[:1]
    if not start:
        found.fail("", "the file is empty")
    elif "\x00" in text[:4096]:
        found.fail("", "it is neither JSON, JSON lines, CSV, a zip nor a favsync database")
    elif start in "[{":
        _read_json(found, content, text, is_lines=name.lower().endswith((".jsonl", ".ndjson")))
    elif start in '"' and name.lower().endswith((".json", ".jsonl", ".ndjson")):
        _read_lines(found, text)
    else:
        _read_csv(found, text)
    return found


def time_from(value: object) -> datetime | None:
    """Return the instant that an ISO 8601 text means, UTC where it names no offset; None where it is none."""
    if not isinstance(value, str):
        return None
    try:
        typed = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return (typed.replace(tzinfo=UTC) if typed.tzinfo is None else typed).astimezone(UTC)


def _read_json(found: Parsed, content: bytes, text: str, *, is_lines: bool) -> None:
    first, _, rest = text.strip().partition("\n")
    if is_lines or (rest.strip() and _is_json(first)):
        _read_lines(found, text)
        return
    try:
        value = content.strip()
        _arrays(value) if value[:1] == b"[" else _objects(value)
    except _BROKEN:
        _read_bit_by_bit(found, text)
    else:
        _read_value(found, value, "")


def _is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def _read_lines(found: Parsed, text: str) -> None:
    """Read JSON lines. A line that is broken is kept as an item without an id."""
    for number, line in enumerate(text.split("\n"), start=1):
        body = line.strip()
        if not body:
            continue
        place = f"line {number}"
        if _is_json(body):
            _read_value(found, _bytes(body), place)
        else:
            _keep_unreadable(found, _bytes(body), place, "is not JSON")


def _read_bit_by_bit(found: Parsed, text: str) -> None:
    """Read a document that is odd or breaks off, item by item, as far as it goes."""
    _own_time(found, dict(_OWN_TIME.findall(text[:2000])))
    start = text.find("[") if text.lstrip()[0] == "[" else -1
    if start < 0 and (list_ := _LIST_START.search(text)):
        start = list_.end() - 1
    if start < 0:
        found.fail(f"byte {_byte(text, len(text))}", "the JSON is broken, and no list of tracks was found in it")
        return
    _read_elements(found, text, start + 1)


def _read_elements(found: Parsed, text: str, at: int) -> None:
    for body, place in _elements(text, at):
        if body is not None:
            _read_value(found, _bytes(body), f"byte {_byte(text, place)}", is_top=False)
        elif inner := _LIST_START.search(text, place):
            _read_elements(found, text, inner.end())
        else:
            found.fail(f"byte {_byte(text, place)}", "the JSON breaks off")


def _elements(text: str, at: int) -> Iterator[tuple[str | None, int]]:
    """Yield the elements of the array that goes on at ``at``, each with its place; None where it breaks off."""
    blank = re.compile(r"[\s,]*")
    while True:
        at = blank.match(text, at).end()  # type: ignore[union-attr]
        if at < len(text) and text[at] == "]":
            return
        try:
            _, end = _any(text, at)
        except (ValueError, RecursionError):
            yield None, at
            return
        yield text[at:end], at
        at = end


def _read_value(found: Parsed, body: bytes, place: str, *, is_top: bool = True) -> None:
    """Read a list, an answer of the API, or one entry."""
    if body[:1] == b"[" and is_top:
        for number, each in enumerate(_raw_list(body), start=1):
            _read_value(found, each, f"{place} entry {number}".lstrip(), is_top=False)
        return
    fields = _fields(body) if body[:1] == b"{" else {}
    name = next(
        (name for name in LISTS if fields.get(name, b"")[:1] in (b"[", b"n") and "track_id" not in fields), None
    )
    if name is None and "code" in fields and "track_id" not in fields:
        found.fail(place, _no_list(fields))
    elif name is None and is_top and "track_id" not in fields and _own_time(found, _plain(fields)):
        return
    elif name is None:
        _read_entry(found, body, fields, place)
    else:
        _read_container(found, fields, fields[name], place)


def _read_container(found: Parsed, fields: dict[str, bytes], listed: bytes, place: str) -> None:
    if fields.get("code", b"0") != b"0":
        found.fail(place, _no_list(fields))
        return
    counts = _loads(fields.get("counts", b""))
    found.counts = max(found.counts, counts if isinstance(counts, int) else 0)
    plain = _plain(fields)
    if plain:
        _own_time(found, plain, place)
    for number, each in enumerate(_raw_list(listed), start=1):
        _read_value(found, each, f"{place} entry {number}".lstrip(), is_top=False)


def _no_list(fields: dict[str, bytes]) -> str:
    code = fields["code"].decode(errors="replace")[:20]
    return "it holds no list of tracks" if code == "0" else f"it is an answer with code {code}, not a list"


def _read_entry(found: Parsed, body: bytes, fields: dict[str, bytes], place: str) -> None:
    """Read an item of the API, or an id alone."""
    track_id = _track_id(fields.get("track_id", b"") if fields else body)
    if track_id is None:
        _keep_unreadable(found, body, place, "holds no track id")
        return
    item = Item(body, digest_of(body), track_id) if fields else bare(track_id)
    told = next((name for name in TIMES if name in fields), None)
    instant = time_from(_loads(fields[told])) if told else None
    if told and instant is None:
        found.fail(place, f"{told} is not a time, so that the entry has the time of the file", is_cut=False)
    found.entries.append((item, instant))


def bare(track_id: int) -> Item:
    """Return the item of a track of which nothing but the id is known."""
    body = b'{"track_id":%d}' % track_id
    return Item(body, digest_of(body), track_id)


def _keep_unreadable(found: Parsed, body: bytes, place: str, fault: str) -> None:
    found.fail(place, fault, is_cut=False)
    found.entries.append((Item(body, digest_of(body), None), None))


def _own_time(found: Parsed, fields: dict[str, Any], place: str = "") -> bool:
    """Take the time that a file tells of itself; say whether it tells one."""
    told = next((name for name in TIMES if name in fields), None)
    if told is None:
        return False
    instant = time_from(fields[told])
    if instant is None:
        found.fail(place, f"its {told} is not a time with a date, such as 2025-11-03T14:30:00Z", is_cut=False)
    elif found.observed_at not in (None, instant):
        found.fail(
            place, f"it tells two times: {found.observed_at:%Y-%m-%dT%H:%M:%SZ} and {instant:%Y-%m-%dT%H:%M:%SZ}"
        )
    else:
        found.observed_at = instant
    return True


def _fields(body: bytes) -> dict[str, bytes]:
    """Return the fields of an object, each as it was written; lenient where msgspec is strict."""
    try:
        return {name: bytes(value) for name, value in _objects(body).items()}
    except _BROKEN:
        value = _loads(body)
        return {name: json.dumps(each).encode() for name, each in value.items()} if isinstance(value, dict) else {}


def _raw_list(body: bytes) -> list[bytes]:
    try:
        return [bytes(each) for each in _arrays(body)]
    except _BROKEN:
        text = body.decode("utf-8", "surrogateescape")
        return (
            [_bytes(each) for each, _ in _elements(text, text.find("[") + 1) if each is not None]
            if text[:1] == "["
            else []
        )


def _plain(fields: dict[str, bytes]) -> dict[str, Any]:
    return {name: _loads(fields[name]) for name in TIMES if name in fields}


def _loads(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None


def _track_id(value: bytes) -> int | None:
    digits = value.decode("ascii", "replace").strip().strip('"').strip()
    return int(digits) if _DIGITS.fullmatch(digits) and 0 < int(digits) <= MAX_ID else None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _byte(text: str, at: int) -> int:
    return len(_bytes(text[:at]))


def _read_csv(found: Parsed, text: str) -> None:
    """Read CSV with a column ``track_id``, or a bare list of ids; of the other columns only ``observed_at`` is used."""
    lines = text.splitlines(keepends=True)
    rows = csv.reader(lines, delimiter=_delimiter(next(line for line in lines if line.strip())))
    columns: _Columns | None = None
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            found.fail(f"line {rows.line_num}", f"is not CSV: {error}")
            return
        if not any(cell.strip() for cell in row):
            continue
        if columns is None:
            columns = _columns(row)
            if columns is None:
                found.fail(f"line {rows.line_num}", "there is no column track_id")
                return
            if columns.are_named:
                continue
        _read_row(found, row, columns, f"line {rows.line_num}")


@dataclass(frozen=True, slots=True)
class _Columns:
    track_id: int
    observed_at: int | None
    are_named: bool


def _columns(row: list[str]) -> _Columns | None:
    """Find the columns in the first row, which may be one of ids already."""
    names = [cell.strip().lower().replace(" ", "_").replace("-", "_") for cell in row]
    found = next((names.index(name) for name in ID_COLUMNS if name in names), None)
    if found is not None:
        return _Columns(found, next((names.index(name) for name in TIMES if name in names), None), are_named=True)
    return None if _track_id(_bytes(row[0])) is None else _Columns(0, None, are_named=False)


def _read_row(found: Parsed, row: list[str], columns: _Columns, place: str) -> None:
    shown = _cell(row, columns.track_id)
    track_id = _track_id(_bytes(shown))
    if track_id is None:
        _keep_unreadable(found, _bytes(",".join(row)), place, f"{shown[:40]!r} is not a track id")
        return
    told = _cell(row, columns.observed_at)
    instant = time_from(told)
    if told and instant is None:
        found.fail(place, f"{told[:40]!r} is not a time, so that the row has the time of the file", is_cut=False)
    found.entries.append((bare(track_id), instant))


def _cell(row: list[str], column: int | None) -> str:
    return row[column].strip() if column is not None and column < len(row) else ""


def _delimiter(line: str) -> str:
    return max(",;\t|", key=line.count)
