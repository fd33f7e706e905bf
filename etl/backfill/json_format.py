"""JSON exports: answers of the API, lists, several documents one after the other, JSON lines.

The reader goes through a document value by value. So a broken document is read up to the byte where it breaks, and each item
keeps its exact bytes. It reads the text as Latin-1: JSON's structure is ASCII, and one character per byte keeps offsets exact.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from etl.backfill.parsed_file import (
    CUT,
    TIMES,
    ParsedFile,
    StatedPage,
    id_only_item,
    refuse_own_output,
    require_size,
    time_from,
    track_id_from,
)
from etl.model.encoding import digest_of
from etl.model.records import Item

LISTS = ("data", "tracks", "items", "favourites", "favorites", "track_ids", "ids")
# What a page states about its list, in small letters and digits alone, beside the list or in an object such as ``meta``.
ABOUT = ("meta", "metadata", "paging", "pagination", "page", "pageinfo", "links", "cursors")
COUNTS = (
    "counts", "count", "total", "totalcount", "totalitems", "totaltracks", "totalresults", "trackcount", "numtracks",
)  # fmt: skip
PAGES = ("pages", "totalpages", "pagecount", "numpages", "lastpage")
NEXT = (
    "next", "nextpage", "nexturl", "nextlink", "nextcursor", "nextpagetoken", "odatanextlink", "hasmore", "hasnext",
    "hasnextpage", "more", "truncated",
)  # fmt: skip
PREVIOUS = (
    "previous", "previouspage", "prev", "prevpage", "prevurl", "hasprevious", "haspreviouspage", "offset", "skip",
)  # fmt: skip
LAST = ("last", "islast", "islastpage", "complete", "iscomplete")
ERRORS, SUCCESS, FAILED = ("error", "errors"), ("success", "ok"), ("error", "fail", "failed", "failure", "partial")
NAMES = ("name", "title", "playlist", "playlistname")
MAX_DEPTH = 8
MAX_FIELDS = 10_000
FIRST_TRIED, MAX_VALUE = 1 << 12, 32 << 20
_BLANK = re.compile(r"[ \t\r\n]*")
_LOST_TEXT = re.compile(r"\ufffd|\\u[fF]{3}[dD]")
# Numbers stay text: an id such as 54230701.0 stays exact, and no number is too long to convert.
_decode = json.JSONDecoder(strict=False, parse_int=str, parse_float=str).raw_decode


@lru_cache(4096)
def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _is_true(value: object) -> bool:
    return str(value or 0).lower() not in ("0", "false", "null")


def _readable(name: str) -> str:
    """Return the start of a name of the document, which was read as Latin-1, as it was written."""
    with suppress(UnicodeError):
        name = name.encode("latin-1").decode("utf-8")
    return name[:40]


def _holds_tracks(value: object, *, is_beside_list: bool) -> bool:
    """True if an object in ``value`` has a track id; beside a list, also if any list in it has objects or ids."""
    values = [value]
    while values:
        each = values.pop()
        inner = list(each.values()) if isinstance(each, dict) else each if isinstance(each, list) else []
        if isinstance(each, dict) and "track_id" in each:
            return True
        if is_beside_list and isinstance(each, list) and any(isinstance(x, dict) or track_id_from(x) for x in each):
            return True
        values += inner
    return False


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
    require_size(text.count("\n"), "lines")
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
    """The members of an object. ``lists``: names of lists that were read.

    ``first_entry``: how many entries the file had before this object.
    """

    first_entry: int
    values: dict[str, object] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    def unread(self) -> list[str]:
        """Return the names of members that hold tracks, or what may be tracks beside a list."""
        return [name for name, value in self.values.items() if _holds_tracks(value, is_beside_list=bool(self.lists))]

    def stated(self) -> dict[str, object]:
        """Return the members by names in small letters without separators, those of an object such as ``meta`` too."""
        found = {_plain(name): value for name, value in self.values.items()}
        inner = [found[name] for name in ABOUT if isinstance(found.get(name), dict)]
        return {_plain(name): value for each in inner if isinstance(each, dict) for name, value in each.items()} | found

    def time(self) -> tuple[datetime | None, str]:
        """Return the time that a member states, if one does, and why it is not a time."""
        stated = self.stated()
        name = next((name for name in TIMES if stated.get(_plain(name)) is not None), "")
        instant = time_from(stated[_plain(name)]) if name else None
        return instant, f"{name} is not a possible time, such as 2025-11-03T14:30:00Z" if name and not instant else ""

    def page(self) -> StatedPage:
        """Return what the object states about the list that it is a page of."""
        stated = self.stated()
        name = next((stated[each] for each in NAMES if isinstance(stated.get(each), str)), "")
        return StatedPage(
            counts=max(track_id_from(stated.get(each)) or 0 for each in COUNTS),
            pages=max(track_id_from(stated.get(each)) or 0 for each in PAGES),
            has_next=any(map(_is_true, map(stated.get, NEXT))) or any(stated.get(each) is False for each in LAST),
            has_previous=any(map(_is_true, map(stated.get, PREVIOUS))),
            has_error=any(map(_is_true, map(stated.get, ERRORS)))
            or any(stated.get(each) is False for each in SUCCESS)
            or str(stated.get("status")).lower() in FAILED,
            name=_readable(str(name)),
            observed_at=self.time()[0],
        )

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
            self._found.add(id_only_item(track_id), None)
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
            if len(page.values) > MAX_FIELDS:
                raise _BrokenJsonError(at, f"an object has more than {MAX_FIELDS:,} fields")
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
        elif "code" in page.values or null_or_odd or page.unread():
            names = ", ".join(map(_readable, list(page.values)[:10]))
            no_list = f"it holds no list of tracks ({', '.join(LISTS)}); its fields are {names}"
            found.fail(place, page.refusal() or no_list)
        elif is_top and fault:
            found.fail(place, fault)
        elif is_top and instant:
            if found.observed_at not in (None, instant):
                found.fail(place, f"the file states two times, {found.observed_at} and {instant}")
            found.observed_at = found.observed_at or instant
        else:
            return False
        return True

    def _end_page(self, page: _Fields, place: str) -> None:
        """Apply what a page states besides its list: a refusal, its time, the length of the list, a next page."""
        found, stated = self._found, page.page()
        if refusal := page.refusal():
            del found.entries[page.first_entry :]
            found.fail(place, refusal)
            return
        if len(page.lists) > 1 or page.doubled:
            names = ", ".join(map(_readable, dict.fromkeys([*page.lists, *page.doubled])))
            found.fail(place, f"one object has several lists, or a field twice ({names}): all of it is read, as a part")
        for name in page.unread():
            found.fail(
                place, f"the tracks in {_readable(name)!r} are not read: favsync does not know a list of this name"
            )
        if stated.has_error:
            found.fail(place, "it states an error beside its list: it counts as a part")
        found.pages.append(stated)
        instant, fault = page.time()
        if fault:
            found.fail(place, fault)  # the time in the name may be another one
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
            self._found.add(Item(body, digest_of(body), track_id), instant)

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
        """Return the value that begins at ``at``, and where it ends. Only a part of a long document is decoded at once."""
        for size in (FIRST_TRIED, MAX_VALUE):
            window = self._text[at : at + size]
            try:
                value, length = _decode(window)
            except json.JSONDecodeError as error:
                if len(window) < size:
                    raise self._broken(at + error.pos) from None
            except RecursionError:
                raise _BrokenJsonError(at, "the JSON is nested too deeply") from None
            else:
                if length < size:  # else a number may go on
                    return value, at + length
        raise _BrokenJsonError(at, f"the JSON is broken here, or has a value of more than {MAX_VALUE >> 20} MiB")

    def _broken(self, at: int) -> _BrokenJsonError:
        return _BrokenJsonError(at, "the JSON is broken here" if at < len(self._text) else "the JSON ends too early")

    def _skip(self, at: int) -> int:
        match = _BLANK.match(self._text, at)
        return match.end() if match else at
