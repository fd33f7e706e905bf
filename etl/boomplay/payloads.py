"""Decodes the service's answers; the only module with the field names of the API.

An item is kept byte for byte as received, also one that msgspec cannot read; its digest is over those bytes. No error quotes
an answer, except ``desc`` (cleaned and cut). Readers raise PayloadError, and ApiRefused if ``code`` is not 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from etl.boomplay.redact import Secret, one_line
from etl.errors import ApiRefused, PayloadError
from etl.model.encoding import EXACT_FLOAT, digest_of, intern_markets
from etl.model.records import Item, Page

T = TypeVar("T")

BIGINT = 2**63 - 1
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # UTF-8 or PostgreSQL refuse these
LONGEST_BIGINT = len(str(BIGINT))
ABSENT = Raw(b"")
LONG_LIST = 20_000
MOST_MARKET_LISTS = 4_096
_markets: dict[bytes, bytes] = {}

_KINDS = {b"{": "an object", b"[": "a list", b'"': "text", b"n": "null", b"t": "true", b"f": "false", b"": "missing"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CONTROLS_TO_BLANKS = bytes(max(byte, 0x20) for byte in range(256))
_PAIR = rb"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE = rb"u[dD][89a-fA-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rb"\\(?:%b|%b|.)" % (_PAIR, _LONE), re.DOTALL)
REMEDY = "try again later; if it stays, the service has changed, or a proxy answers in its place"


class InvalidJson(PayloadError):
    """The answer is not JSON: often a proxy's page or a cut body, so a retry may help."""


class User(msgspec.Struct, frozen=True):
    """The owner of a token. ``user_id`` is opaque text."""

    user_id: str
    user_name: str | None = None
    region: str | None = None
    plan: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Token:
    """An answer of a token endpoint. ``expires_in_seconds`` counts from the answer; None: unknown."""

    access_token: str
    expires_in_seconds: int | None = None
    refresh_token: str | None = None
    user_id: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "access_token", Secret(self.access_token))
        if self.refresh_token is not None:
            object.__setattr__(self, "refresh_token", Secret(self.refresh_token))

    def __repr__(self) -> str:
        has_refresh_token = self.refresh_token is not None
        return f"Token(***, expires_in_seconds={self.expires_in_seconds}, has_refresh_token={has_refresh_token})"


class _List(Struct):
    code: int
    data: list[Raw] | None
    counts: Raw = ABSENT


class _Envelope(Struct):
    code: Raw = ABSENT
    data: Raw = ABSENT
    desc: Raw = ABSENT
    counts: Raw = ABSENT


class _WithId(Struct):
    track_id: Annotated[int, msgspec.Meta(ge=1, le=BIGINT)]


class _WithLooseId(Struct):
    track_id: int | float | str


_list = msgspec.json.Decoder(_List).decode
_entries = msgspec.json.Decoder(list[Raw] | None).decode
_envelope = msgspec.json.Decoder(_Envelope).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode
_with_id = msgspec.json.Decoder(_WithId).decode
_with_loose_id = msgspec.json.Decoder(_WithLooseId).decode
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def page(body: bytes, offset: int, limit: int) -> Page:
    """Decode an answer of the favourite tracks' list."""
    bodies, raw_counts = _read_list(body, f"favourite tracks at offset {offset}")
    digits = bytes(raw_counts).strip(b'"')
    counts = int(digits) if digits.isdigit() and len(digits) <= LONGEST_BIGINT else None
    items = map(_item, bodies)
    if max(offset, counts or 0) > LONG_LIST:
        items = map(_sharing_markets, items)
    return Page(offset=offset, limit=limit, items=tuple(items), counts=counts)


def items(body: bytes, place: str) -> list[Item]:
    """Decode a list of tracks by ids; omit entries that are null (unknown ids)."""
    return [_item(entry) for entry in _read_list(body, place)[0] if entry != b"null"]


def user(body: bytes, place: str) -> User:
    """Decode user info."""
    facts = _read_object(body, place)
    user_id = _id_text(facts.get("user_id"))
    if user_id is None:
        raise PayloadError(f"{place}: the answer names no user_id", remedy=REMEDY)
    return User(user_id, *(_text(facts.get(name)) for name in ("user_name", "region", "plan")))


def token(body: bytes, place: str) -> Token:
    """Decode a token answer: in the envelope with snake case, bare with camel case, or any mixture."""
    bare = _decoded(_object, _as_text(body), place)
    given = None if "code" in bare else parse_token(bare)
    given = given or parse_token(_read_object(body, place))
    if given is None:
        raise PayloadError(f"{place}: the answer holds no access token", remedy=REMEDY)
    return given


def parse_token(facts: Mapping[str, object]) -> Token | None:
    """Return the token in the fields of an answer or a redirect, None if there is none."""
    access_token = _text(_either(facts, "access_token", "accessToken"))
    if access_token is None:
        return None
    return Token(
        access_token,
        _seconds(_either(facts, "expires_in", "expiresIn")),
        _text(_either(facts, "refresh_token", "refreshToken")),
        _id_text(_either(facts, "user_id", "userId")),
    )


def error_body(body: bytes) -> tuple[int | None, str]:
    """Return ``code`` and the words of an error's body in one line, None and empty if it has none; never raises."""
    try:
        facts = _object(_as_text(body))
    except _BROKEN:
        return None, ""
    code = facts.get("code")
    words = next((facts[name] for name in ("desc", "error_description", "error", "message") if facts.get(name)), "")
    text = words if isinstance(words, str) else msgspec.json.encode(words).decode()
    return code if type(code) is int else None, one_line(text)


def repair_json(body: bytes) -> bytes:
    """Return a copy with blanks and U+FFFD instead of what msgspec 0.22 refuses even in values that it skips.

    These are lone surrogate escapes, raw control characters and a byte order mark: one hostile title would make its whole page
    unreadable. The copy has the length of the original, so that a part found in it can be cut out of the original.
    """
    if body.startswith(_BYTE_ORDER_MARK):
        body = b"   " + body[3:]
    # A lone surrogate has six bytes, a pair twelve, any other match two.
    return _ESCAPE.sub(
        lambda match: rb"\ufffd" if len(match[0]) == 6 else match[0], body.translate(_CONTROLS_TO_BLANKS)
    )


def _as_text(body: bytes) -> bytes:
    return repair_json(body).decode(errors="replace").encode()


def _item(body: bytes) -> Item:
    try:
        return Item(body, digest_of(body), _with_id(body).track_id)
    except _BROKEN:
        return Item(body, digest_of(body), _odd_track_id(body))


def _sharing_markets(item: Item) -> Item:
    """Return an item that shares its list of markets with others: two thirds of the bytes of a long list."""
    if len(_markets) > MOST_MARKET_LISTS:
        _markets.clear()
    return Item(intern_markets(item.body, _markets), item.digest, item.track_id)


def _odd_track_id(body: bytes) -> int | None:
    """Return the id of an item that is not plain JSON, or whose id is text or a float: ``"1000"`` and ``1000.0`` are 1000."""
    try:
        track_id = _with_loose_id(repair_json(body)).track_id
    except _BROKEN:
        return None
    if isinstance(track_id, str):
        is_number = track_id.isascii() and track_id.isdigit() and len(track_id) <= LONGEST_BIGINT
        track_id = int(track_id) if is_number else 0
    elif isinstance(track_id, float):
        track_id = int(track_id) if track_id.is_integer() and track_id <= EXACT_FLOAT else 0
    return track_id if 1 <= track_id <= BIGINT else None


def _read_list(body: bytes, place: str) -> tuple[list[bytes], Raw]:
    """Return the bytes of each entry, as received, and ``counts``."""
    try:
        answer = _list(body)
        if answer.code == 0:
            return [bytes(entry) for entry in answer.data or ()], answer.counts
    except _BROKEN:
        pass  # the repaired copy is read below, or its error is the reason
    readable = repair_json(body)
    envelope = _read_envelope(readable, place, "a list", "null")
    bodies = []
    end = max(readable.find(b'"data"'), 0)
    for entry in _entries(envelope.data) or ():  # an entry is at the same place in the original
        start = readable.index(bytes(entry), end)
        end = start + len(bytes(entry))
        bodies.append(body[start:end])
    return bodies, envelope.counts


def _read_object(body: bytes, place: str) -> dict[str, Any]:
    """Return ``data`` of an envelope, which must be an object."""
    return _decoded(_object, bytes(_read_envelope(_as_text(body), place, "an object").data), place)


def _read_envelope(readable: bytes, place: str, *wanted: str) -> _Envelope:
    """Return the envelope of an answer with ``code`` 0, whose ``data`` is of a wanted kind."""
    answer = _decoded(_envelope, readable, place)
    try:
        code = msgspec.json.decode(answer.code, type=int)
    except msgspec.DecodeError:
        raise PayloadError(f"{place}: code is {_kind(answer.code)}, not a whole number", remedy=REMEDY) from None
    if code != 0:
        words = error_body(b'{"desc":' + (bytes(answer.desc) or b"null") + b"}")[1]
        raise ApiRefused(f"{place}: the service answered code {code}" + (f": {words}" if words else ""), code=code)
    if _kind(answer.data) not in wanted:
        raise PayloadError(f"{place}: data is {_kind(answer.data)}, not {wanted[0]}", remedy=REMEDY)
    return answer


def _decoded(decode: Callable[[bytes], T], body: bytes, place: str) -> T:
    """Return the decoded object, or raise the error for JSON of another shape and for an answer that is not JSON."""
    try:
        return decode(body)
    except msgspec.ValidationError:
        raise PayloadError(f"{place}: the answer is not an object (byte 0)", remedy=REMEDY) from None
    except RecursionError:
        raise PayloadError(f"{place}: the answer is nested too deeply", remedy=REMEDY) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        found = re.search(r"\(byte (\d+)\)", str(error))
    start = body.lstrip()[:1]
    if not start:
        problem = "the answer is empty"
    elif start == b"<":
        problem = "the answer is a web page, not JSON (byte 0)"
    else:
        problem = f"the answer is not JSON (byte {found[1]})" if found else f"the JSON breaks off (byte {len(body)})"
    raise InvalidJson(f"{place}: {problem}", remedy=REMEDY)


def _kind(raw: Raw) -> str:
    return _KINDS.get(bytes(raw)[:1], "a number")


def _either(facts: Mapping[str, object], *names: str) -> object:
    return next((facts[name] for name in names if facts.get(name) is not None), None)


def _text(value: object) -> str | None:
    return _UNSTORABLE.sub("\ufffd", value) if isinstance(value, str) and value else None


def _id_text(value: object) -> str | None:
    return str(value) if type(value) is int else _text(value)


def _seconds(value: object) -> int | None:
    """Return a duration above 0; the service may send it as a number, as text, or with a fraction."""
    try:
        seconds = int(float(value)) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds <= BIGINT else None
