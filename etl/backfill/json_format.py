"""What an exported file holds: JSON (bodies of the API, lists), JSON lines, CSV.

Nothing is lost: an entry without a readable track id is kept byte for byte as an item without an id, and named as a problem
with its place; a file that breaks off gives what stands before the break. Either way the file is no proof of absence.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
from msgspec import Raw

from etl.backfill.csv_format import read_csv
from etl.backfill.parsed_file import TIMES, ParsedFile, bytes_of, id_only_item, keep_invalid, time_from, track_id_from
from etl.model.encoding import digest_of
from etl.model.records import Item

LISTS = ("data", "tracks", "items", "favourites", "track_ids", "ids")
SQLITE = b"SQLite format 3\x00"
ZIP = b"PK\x03\x04"
MAX_TRIES = 10_000
_REST = "what begins here is broken, and is not read"
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_LIST_START = re.compile(rf'"(?:{"|".join(LISTS)})"\s*:\s*\[')
_PAGE_START = re.compile(rf'\{{[^{{}}\[\]]*"(?:{"|".join(LISTS)})"\s*:\s*\[')
_BLANK = re.compile(r"[\s,]*")
_OWN_TIME = re.compile(rf'"({"|".join(TIMES)})"\s*:\s*"([^"]*)"')
_objects = msgspec.json.Decoder(dict[str, Raw]).decode
_arrays = msgspec.json.Decoder(list[Raw]).decode
_any = json.JSONDecoder(strict=False).raw_decode


def parse_file(content: bytes, name: str = "") -> ParsedFile:
    """Return what the file ``content`` holds; never raises. ``name`` decides between JSON and JSON lines where both fit."""
    found = ParsedFile()
    content = _as_utf8(content)
    text = content.decode("utf-8", "surrogateescape")
    start = text.lstrip()[:1]
    if not start:
        found.fail("", "the file is empty")
    elif content.startswith((SQLITE, ZIP)):
        found.fail("", "it is a database or an archive within an archive: unpack it, and name it with --from")
    elif "\x00" in text[:4096]:
        found.fail("", "it is neither JSON, JSON lines, CSV, a zip nor a favsync database")
    elif start in "[{":
        _read_json(found, content, text, is_lines=name.lower().endswith((".jsonl", ".ndjson")))
    elif start in '"' and name.lower().endswith((".json", ".jsonl", ".ndjson")):
        _read_lines(found, text)
    else:
        read_csv(found, text)
    return found


def _as_utf8(content: bytes) -> bytes:
    """Return the content without a byte order mark; spreadsheets and PowerShell write UTF-16, which always has one."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace").encode("utf-8", "surrogatepass")
    return content.removeprefix(codecs.BOM_UTF8)


def _read_json(found: ParsedFile, content: bytes, text: str, *, is_lines: bool) -> None:
    first, _, rest = text.strip().partition("\n")
    if is_lines or (rest.strip() and _is_json(first)):
        _read_lines(found, text)
        return
    try:
        value = content.strip()
        _arrays(value) if value[:1] == b"[" else _objects(value)
    except _BROKEN:
        _read_values(found, text)
    else:
        _read_value(found, value, "")


def _read_values(found: ParsedFile, text: str) -> None:
    """Read a document that is odd or broken, or several one after the other, as pages are that were put into one file."""
    values: list[tuple[int, int]] = []
    at = 0
    while (at := _BLANK.match(text, at).end()) < len(text) and (end := _end_of(text, at)):  # type: ignore[union-attr]
        values.append((at, end))
        at = end
    is_whole = at == len(text)
    if not values or (len(values) == 1 and is_whole):
        _read_bit_by_bit(found, text)
    else:
        byte = counted = 0
        for begun, end in values:
            byte, counted = byte + len(bytes_of(text[counted:begun])), begun
            _read_value(found, bytes_of(text[begun:end]), f"byte {byte}")
    if not is_whole and not found.is_cut:
        byte, fault = (len(bytes_of(text)), "the JSON breaks off") if not values else (len(bytes_of(text[:at])), _REST)
        found.fail(f"byte {byte}", fault)


def _is_json(text: str) -> bool:
    try:
        json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def _read_lines(found: ParsedFile, text: str) -> None:
    """Read JSON lines. A line that is broken is kept as an item without an id."""
    for number, line in enumerate(text.split("\n"), start=1):
        body = line.strip()
        if not body:
            continue
        place = f"line {number}"
        if _is_json(body):
            _read_value(found, bytes_of(body), place)
        else:
            keep_invalid(found, bytes_of(body), place, "is not JSON")


def _read_bit_by_bit(found: ParsedFile, text: str) -> None:
    """Read a document that is odd or broken, item by item; what lies between a break and the next item is told."""
    _own_time(found, dict(_OWN_TIME.findall(text[:2000])))
    start = text.find("[") if text.lstrip()[0] == "[" else -1
    if start < 0 and (list_ := _LIST_START.search(text)):
        start = list_.end() - 1
    if start < 0:
        found.fail(f"byte {len(bytes_of(text))}", "the JSON is broken, and no list of tracks was found in it")
        return
    byte = counted = 0
    for body, place, fault in _pieces(text, start + 1):
        byte, counted = byte + len(bytes_of(text[counted:place])), place
        if body is not None:
            _read_value(found, bytes_of(body), f"byte {byte}", is_top=False)
        else:
            found.fail(f"byte {byte}", fault)


def _pieces(text: str, at: int) -> Iterator[tuple[str | None, int, str]]:
    """Yield the elements of the array that goes on at ``at``, each with its place; None and what is wrong where it breaks off.

    After a break it goes on with the next thing that is an item or a page of the API, whatever list that is in.
    """
    is_broken = False
    while (at := _BLANK.match(text, at).end()) < len(text):  # type: ignore[union-attr]
        if text[at] == "]":
            following = _next_item(text, at + 1) if is_broken else None
            if following is None:
                return
            at = following
        elif end := _end_of(text, at):
            yield text[at:end], at, ""
            at = end
        elif page := _PAGE_START.match(text, at):
            is_broken, at = True, page.end()
        else:
            following = _next_item(text, at + 1)
            yield (
                None,
                at,
                "the JSON breaks off" if following is None else "the JSON is broken here: something was passed over",
            )
            if following is None:
                return
            is_broken, at = True, following
    yield None, len(text), "the JSON breaks off"


def _end_of(text: str, at: int) -> int | None:
    try:
        _, end = _any(text, at)
    except (ValueError, RecursionError):
        return None
    return int(end)


def _next_item(text: str, at: int) -> int | None:
    """Return where the next object begins that has a track id, or is a page of the API."""
    for brace in islice(re.compile(r"\{").finditer(text, at), MAX_TRIES):
        if _PAGE_START.match(text, brace.start()):
            return brace.start()
        end = _end_of(text, brace.start())
        if end and "track_id" in json.loads(text[brace.start() : end], strict=False):
            return brace.start()
    return None


def _read_value(found: ParsedFile, body: bytes, place: str, *, is_top: bool = True) -> None:
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


def _read_container(found: ParsedFile, fields: dict[str, bytes], listed: bytes, place: str) -> None:
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


def _read_entry(found: ParsedFile, body: bytes, fields: dict[str, bytes], place: str) -> None:
    """Read an item of the API, or an id alone."""
    track_id = track_id_from(fields.get("track_id", b"") if fields else body)
    if track_id is None:
        keep_invalid(found, body, place, "holds no track id")
        return
    item = Item(body, digest_of(body), track_id) if fields else id_only_item(track_id)
    told = next((name for name in TIMES if name in fields), None)
    instant = time_from(_loads(fields[told])) if told else None
    if told and instant is None:
        found.fail(place, f"{told} is not a time, so that the entry has the time of the file", is_cut=False)
    found.entries.append((item, instant))


def _own_time(found: ParsedFile, fields: dict[str, Any], place: str = "") -> bool:
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
            [bytes_of(each) for each, *_ in _pieces(text, text.find("[") + 1) if each is not None]
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
