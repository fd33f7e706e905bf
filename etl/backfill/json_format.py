"""JSON exports: answers of the API, lists, several documents one after the other, JSON lines.

The reader goes through a document value by value. So a broken document is read up to the byte where it breaks, and each item
keeps its exact bytes. It reads the text as Latin-1: JSON's structure is ASCII, and one character per byte keeps offsets exact.
"""

from __future__ import annotations

import json
import re
from datetime import datetime

from etl.backfill.parsed_file import TIMES, ParsedFile, id_only_item, refuse_own_output, time_from, track_id_from
from etl.model.encoding import digest_of
from etl.model.records import Item

LISTS = ("data", "tracks", "items", "favourites", "favorites", "track_ids", "ids")
COUNTS = ("counts", "count", "total", "total_count", "totalCount")
NEXT = ("next", "next_page", "nextPage", "next_url", "next_cursor", "nextCursor", "has_more", "hasMore", "has_next")
MAX_DEPTH = 8
NOT_A_TIME = "{} is not a possible time, such as 2025-11-03T14:30:00Z"
_BLANK = re.compile(r"[ \t\r\n]*")
_LOST_TEXT = re.compile(rb"\xef\xbf\xbd|\\u[fF]{3}[dD]")
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
    first, _, rest = text.strip().partition("\n")
    if is_lines or (rest.strip() and _is_json(first)):
        _read_lines(found, text)
    else:
        reader = _Reader(found, text)
        try:
            reader.read_document()
        except _BrokenJsonError as error:
            found.fail(f"byte {error.at}", f"{error}; what comes before is read")
    lost = sum(_has_lost_text(item.body) for item, _ in found.entries if item.track_id is not None)
    if lost:
        fault = f"text is lost in {lost:,} of its items: it holds U+FFFD, or bytes that are not UTF-8"
        found.fail("", fault, is_partial=False)


def _is_json(text: str) -> bool:
    try:
        return _decode(text.strip())[1] == len(text.strip())
    except (ValueError, RecursionError):
        return False


def _has_lost_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return True
    return _LOST_TEXT.search(body) is not None


def _read_lines(found: ParsedFile, text: str) -> None:
    """Read JSON lines. A broken line is kept as an item without an id; the lines after it are read."""
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        body, entries = line.strip(), len(found.entries)
        if not body:
            continue
        place = f"line {number}"
        if number == len(lines):
            found.doubt_last_line(number)
            track_id = track_id_from(body)
            if track_id and found.may_be_cut(track_id):
                found.add_invalid(body.encode("latin-1"), place, "the file ends in this number, so it may be cut")
                continue
        try:
            _Reader(found, body, place).read_document()
        except _BrokenJsonError:
            del found.entries[entries:]
            found.add_invalid(body.encode("latin-1"), place, "is not JSON")


class _ObjectFields:
    """The members of an object. ``lists``: names of lists that were read. ``unread``: other members that hold tracks."""

    def __init__(self, first_entry: int) -> None:
        self.first_entry = first_entry
        self.values: dict[str, object] = {}
        self.lists: list[str] = []
        self.doubled: list[str] = []
        self.unread: list[str] = []

    def find_time(self) -> tuple[str, datetime | None]:
        """Return the name of the member that states a time, and the time; an empty name if none does."""
        name = next((name for name in TIMES if self.values.get(name) is not None), "")
        return name, time_from(self.values[name]) if name else None

    def no_list(self) -> str:
        """Return why the object is not a list of tracks; empty if nothing speaks against it."""
        code = str(self.values.get("code") or 0)[:20]
        if code != "0":
            return f"it is an answer with code {code}, not a list"
        names = ", ".join(name[:40] for name in list(self.values)[:10])
        return f"it holds no list of tracks ({', '.join(LISTS)}); its fields are {names}"


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
            if self._text[at] == "[":
                at = self._list(at, 0)
            elif self._text[at] == "{":
                at = self._object(at, 0)
            elif self._line:
                start, (value, at) = at, self._value(at)
                self._add_id(value, start, at)
            else:
                raise _BrokenJsonError(at, "neither a list nor an object begins here")
            at = self._skip(at)
            if self._text.startswith(",", at):  # between documents that were written one after the other
                at = self._skip(at + 1)

    def _list(self, at: int, depth: int) -> int:
        """Read the entries of the list that begins at ``at``; return where it ends."""
        after, at = ",", self._skip(at + 1)
        if self._text.startswith("]", at):
            return at + 1
        while after == ",":
            start = at = self._skip(at)
            is_object, value = self._text.startswith("{", at), None
            if is_object:
                end = self._object(at, depth + 1)
            else:
                value, end = self._value(at)
            after, at = self._delimiter(end, ",]")
            if not is_object:  # only now is it certain that a number does not go on
                self._add_id(value, start, end)
        return at

    def _object(self, start: int, depth: int) -> int:
        """Read an item, or a page that holds a list of items; return where it ends."""
        if depth > MAX_DEPTH:
            raise _BrokenJsonError(start, "the JSON is nested too deeply")
        page, place = _ObjectFields(len(self._found.entries)), self._line or f"byte {start}"
        try:
            end = self._members(start, depth, page)
        except _BrokenJsonError:
            if page.lists:
                self._end_page(page, place)
            raise
        fields = page.values
        refuse_own_output(fields)
        if "track_id" in fields:
            del self._found.entries[page.first_entry :]
            self._add_item(page, self._text[start:end].encode("latin-1"), place)
        elif page.lists or any(name in fields and fields[name] is None for name in LISTS):
            self._end_page(page, place)
        elif "code" in fields or page.unread or any(name in fields for name in LISTS):
            self._found.fail(place, page.no_list())
        elif depth == 0 and page.find_time()[0]:
            self._set_file_time(page, place)
        else:
            self._found.add_invalid(self._text[start:end].encode("latin-1"), place, "holds no track_id")
        return end

    def _members(self, start: int, depth: int, page: _ObjectFields) -> int:
        """Read the members of an object into ``page``; return where the object ends."""
        after, at = ",", self._skip(start + 1)
        if self._text.startswith("}", at):
            return at + 1
        while after == ",":
            at = self._skip(at)
            if not self._text.startswith('"', at):
                raise self._broken(at)
            key, at = self._value(at)
            name = str(key)
            at = begin = self._skip(self._delimiter(at, ":")[1])
            if name in page.values or name in page.lists:
                page.doubled.append(name)
            if name in LISTS and self._text.startswith("[", at) and "track_id" not in page.values:
                page.lists.append(name)
                at = self._list(at, depth)
            else:
                page.values[name], at = self._value(at)
                if self._text[begin] in "[{" and '"track_id"' in self._text[begin:at]:
                    page.unread.append(name)
            after, at = self._delimiter(at, ",}")
        return at

    def _end_page(self, page: _ObjectFields, place: str) -> None:
        """Apply what a page states besides its list: a refusal, its time, the length of the list, a next page."""
        found, fields = self._found, page.values
        if str(fields.get("code") or 0) != "0":
            del found.entries[page.first_entry :]
            found.fail(place, page.no_list())
            return
        if len(page.lists) > 1 or page.doubled:
            names = ", ".join(dict.fromkeys([*page.lists, *page.doubled]))
            found.fail(place, f"one object has several lists, or a field twice ({names}): all of it is read, as a part")
        for name in page.unread:
            found.fail(place, f"the tracks in {name[:40]!r} are not read: favsync does not know a list of this name")
        found.counts = max(found.counts, *(track_id_from(fields.get(name)) or 0 for name in COUNTS))
        found.pages += 1
        found.pages_with_next += any(str(fields.get(name) or 0).lower() not in ("0", "false", "null") for name in NEXT)
        name, instant = page.find_time()
        if name and instant is None:
            found.fail(place, NOT_A_TIME.format(name), is_partial=False)
        elif instant and len(found.entries) == page.first_entry:
            found.empty_at.add(instant)
        found.entries[page.first_entry :] = [(item, own or instant) for item, own in found.entries[page.first_entry :]]

    def _set_file_time(self, page: _ObjectFields, place: str) -> None:
        """Take the time of an object that holds nothing else, as the first line of JSON lines may be."""
        name, instant = page.find_time()
        if instant is None:
            self._found.fail(place, NOT_A_TIME.format(name), is_partial=False)
        elif self._found.observed_at not in (None, instant):
            self._found.fail(place, f"the file states two times, {self._found.observed_at} and {instant}")
        self._found.observed_at = self._found.observed_at or instant

    def _add_item(self, page: _ObjectFields, body: bytes, place: str) -> None:
        track_id = track_id_from(page.values["track_id"])
        name, instant = page.find_time()
        if track_id is None or "track_id" in page.doubled:
            self._found.add_invalid(body, place, "does not hold one track_id that is a whole number")
        elif name and instant is None:
            self._found.add_invalid(body, place, NOT_A_TIME.format(name))
        else:
            self._found.entries.append((Item(body, digest_of(body), track_id), instant))

    def _add_id(self, value: object, start: int, end: int) -> None:
        track_id = track_id_from(value)
        if track_id is None:
            body = self._text[start:end].encode("latin-1")
            self._found.add_invalid(body, self._line or f"byte {start}", "is not a track id")
        else:
            self._found.entries.append((id_only_item(track_id), None))

    def _delimiter(self, at: int, wanted: str) -> tuple[str, int]:
        """Return which of the ``wanted`` characters comes next, and where it ends."""
        at = self._skip(at)
        mark = self._text[at : at + 1]
        if not mark or mark not in wanted:
            raise self._broken(at)
        return mark, at + 1

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
