"""JSON exports: answers of the API, lists, several documents one after the other, JSON lines.

The reader goes through a document value by value. So a broken document is read up to the byte where it breaks, and each item
keeps its exact bytes. It reads the text as Latin-1: JSON's structure is ASCII, and one character per byte keeps offsets exact.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from etl.backfill.parsed_file import CUT, TIMES, ParsedFile, id_only_item, refuse_own_output, time_from, track_id_from
from etl.model.encoding import digest_of
from etl.model.records import Item

LISTS = ("data", "tracks", "items", "favourites", "favorites", "track_ids", "ids")
COUNTS = ("counts", "count", "total", "total_count", "totalCount")
NEXT = ("next", "next_page", "nextPage", "next_url", "next_cursor", "nextCursor", "has_more", "hasMore", "has_next")
MAX_DEPTH = 8
_BLANK = re.compile(r"[ \t\r\n]*")
_LOST_TEXT = re.compile(r"\ufffd|\\u[fF]{3}[dD]")
# Numbers stay text: an id such as 54230701.0 stays exact, and no number is too long to convert.
_decode = json.JSONDecoder(strict=False, parse_int=str, parse_float=str).raw_decode


class _BrokenJsonError(ValueError):
    """The document is no JSON from the byte ``at`` on."""

    def __init__(self, at: int, fault: str) -> None:
        super().__init__(fault)
        self.at = at


def read_json(found: ParsedFile, content: bytes, *, is_lines: bool) -> None:
    """Read UTF-8 JSON into ``found``. ``is_lines``: each line is a document of its own."""
    text = content.decode("latin-1")
    if is_lines:
        _read_lines(found, text)
    else:
        try:
            _Reader(found, text).read_document()
        except _BrokenJsonError as error:
            found.fail(f"byte {error.at}", f"{error}; what comes before is read")
    bodies = (item.body for item, _ in found.entries if item.track_id is not None)
    lost = sum(_LOST_TEXT.search(body.decode("utf-8", "replace")) is not None for body in bodies)
    if lost:
        fault = f"text is lost in {lost:,} of its items: it holds U+FFFD, or bytes that are not UTF-8"
        found.fail("", fault, is_partial=False)


def _read_lines(found: ParsedFile, text: str) -> None:
    """Read JSON lines. A broken line is kept as an item without an id; the lines after it are read."""
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        body, place, entries = line.strip(), f"line {number}", len(found.entries)
        is_open = number == len(lines)
        track_id = track_id_from(body) if is_open else None
        if track_id and found.may_be_cut(track_id):
            found.add_invalid(body.encode("latin-1"), place, CUT, is_partial=True)
            continue
        try:
            _Reader(found, body, place).read_document()
        except _BrokenJsonError:
            del found.entries[entries:]
            found.add_invalid(body.encode("latin-1"), place, "is not JSON", is_partial=is_open)


@dataclass(slots=True)
class _Fields:
    """The members of an object. ``lists``: names of lists that were read. ``unread``: other members that hold tracks.

    ``first_entry``: how many entries the file had before this object.
    """

    first_entry: int
    values: dict[str, object] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def time(self) -> tuple[datetime | None, str]:
        """Return the time that a member states, if one does, and why it is not a time."""
        name = next((name for name in TIMES if self.values.get(name) is not None), "")
        instant = time_from(self.values[name]) if name else None
        return instant, f"{name} is not a possible time, such as 2025-11-03T14:30:00Z" if name and not instant else ""

    def refusal(self) -> str:
        """Return what an answer says that is no list; empty if it has no code, or that of a success."""
        code = str(self.values.get("code") or 0)[:20]
        return "" if code == "0" else f"it is an answer with code {code}, not a list"


class _Reader:
    """Reads one document into a `ParsedFile`. ``line``: the place to name; without one, places are byte offsets."""

    def __init__(self, found: ParsedFile, text: str, line: str = "") -> None:
        self._found, self._text, self._line = found, text, line

    def read_document(self) -> None:
        """Read every value of the document.

        Raises: _BrokenJsonError, OwnOutputError.
        """
        at = self._skip(0)
        while at < len(self._text):
            at = self._skip(self._read(at, 0))

    def _read(self, start: int, depth: int) -> int:
        """Read a list (of the document alone), a page, an item or a bare id; return where it ends."""
        mark = self._text[start : start + 1]
        if mark == "{":
            return self._object(start, depth)
        if mark == "[" and depth == 0:
            return self._container(start, lambda _key, at: self._read(at, 1))
        value, end = self._value(start)
        if depth:
            self._delimiter(end, ",]")  # only now is it certain that a number is whole
        elif not self._line:
            raise _BrokenJsonError(start, "neither a list nor an object begins here")
        if track_id := track_id_from(value):
            self._found.entries.append((id_only_item(track_id), None))
        else:
            body = self._text[start:end].encode("latin-1")
            self._found.add_invalid(body, self._line or f"byte {start}", "is not a track id")
        return end

    def _object(self, start: int, depth: int) -> int:
        """Read an item, or a page that holds a list of items; return where it ends."""
        if depth > MAX_DEPTH:
            raise _BrokenJsonError(start, "the JSON is nested too deeply")
        page, place = _Fields(len(self._found.entries)), self._line or f"byte {start}"

        def member(name: str, at: int) -> int:
            if name in page.values or name in page.lists:
                page.doubled.append(name)
            if name in LISTS and self._text.startswith("[", at) and "track_id" not in page.values:
                page.lists.append(name)
                return self._container(at, lambda _key, at: self._read(at, depth + 1))
            page.values[name], end = self._value(at)
            if self._text[at] in "[{" and '"track_id"' in self._text[at:end]:
                page.unread.append(name)
            return end

        try:
            end = self._container(start, member)
        except _BrokenJsonError:
            if page.lists:
                self._end_page(page, place)
            raise
        refuse_own_output(page.values)
        if "track_id" in page.values or not self._end_object(page, place, is_top=depth == 0):
            self._add_item(page, self._text[start:end].encode("latin-1"), place)
        return end

    def _end_object(self, page: _Fields, place: str, *, is_top: bool) -> bool:
        """Apply what an object states that is not an item. Return whether it is a page, an answer or the file's time."""
        found, (instant, fault) = self._found, page.time()
        null_or_odd = [name for name in LISTS if name in page.values]
        if page.lists or any(page.values[name] is None for name in null_or_odd):
            self._end_page(page, place)
        elif "code" in page.values or page.unread or null_or_odd:
            names = ", ".join(name[:40] for name in list(page.values)[:10])
            no_list = f"it holds no list of tracks ({', '.join(LISTS)}); its fields are {names}"
            found.fail(place, page.refusal() or no_list)
        elif is_top and fault:
            found.fail(place, fault, is_partial=False)
        elif is_top and instant:
            if found.observed_at not in (None, instant):
                found.fail(place, f"the file states two times, {found.observed_at} and {instant}")
            found.observed_at = found.observed_at or instant
        else:
            return False
        return True

    def _end_page(self, page: _Fields, place: str) -> None:
        """Apply what a page states besides its list: a refusal, its time, the length of the list, a next page."""
        found, fields = self._found, page.values
        if refusal := page.refusal():
            del found.entries[page.first_entry :]
            found.fail(place, refusal)
            return
        if len(page.lists) > 1 or page.doubled:
            names = ", ".join(dict.fromkeys([*page.lists, *page.doubled]))
            found.fail(place, f"one object has several lists, or a field twice ({names}): all of it is read, as a part")
        for name in page.unread:
            found.fail(place, f"the tracks in {name[:40]!r} are not read: favsync does not know a list of this name")
        found.counts = max(found.counts, *(track_id_from(fields.get(name)) or 0 for name in COUNTS))
        found.has_next.add(any(str(fields.get(name) or 0).lower() not in ("0", "false", "null") for name in NEXT))
        instant, fault = page.time()
        if fault:
            found.fail(place, fault, is_partial=False)
        elif instant and len(found.entries) == page.first_entry:
            found.empty_at.add(instant)
        found.entries[page.first_entry :] = [(item, own or instant) for item, own in found.entries[page.first_entry :]]

    def _add_item(self, page: _Fields, body: bytes, place: str) -> None:
        del self._found.entries[page.first_entry :]
        track_id = track_id_from(page.values.get("track_id"))
        instant, fault = page.time()
        if track_id is None or "track_id" in page.doubled:
            fault = "does not hold one track_id that is a whole number"
        if fault:
            self._found.add_invalid(body, place, fault)
        else:
            self._found.entries.append((Item(body, digest_of(body), track_id), instant))

    def _container(self, start: int, visit: Callable[[str, int], int]) -> int:
        """Read the list or object at ``start``; return where it ends.

        ``visit``: reads a value and returns where it ends, given its key (empty in a list) and where it begins.
        """
        closing = "}" if self._text[start] == "{" else "]"
        at, key = self._skip(start + 1), ""
        if self._text.startswith(closing, at):
            return at + 1
        while True:
            if closing == "}":
                if not self._text.startswith('"', at):
                    raise self._broken(at)
                name, at = self._value(at)
                key, at = str(name), self._delimiter(at, ":")
            at = self._delimiter(visit(key, self._skip(at)), "," + closing)
            if self._text[at - 1] == closing:
                return at
            at = self._skip(at)

    def _delimiter(self, at: int, wanted: str) -> int:
        """Return where the next character ends, which must be one of those ``wanted``."""
        at = self._skip(at)
        if at == len(self._text) or self._text[at] not in wanted:
            raise self._broken(at)
        return at + 1

    def _value(self, at: int) -> tuple[object, int]:
        try:
            return _decode(self._text, at)
        except json.JSONDecodeError as error:
            raise self._broken(error.pos) from None
        except RecursionError:
            raise _BrokenJsonError(at, "the JSON is nested too deeply") from None

    def _broken(self, at: int) -> _BrokenJsonError:
        return _BrokenJsonError(at, "the JSON is broken here" if at < len(self._text) else "the JSON ends too early")

    def _skip(self, at: int) -> int:
        match = _BLANK.match(self._text, at)
        return match.end() if match else at
