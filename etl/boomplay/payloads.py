"""Decodes the service's answers; the only module with the field names of the API.

An item is kept byte for byte as received, also one that msgspec cannot read; its digest is over those bytes. No error quotes
an answer, except ``desc`` (cleaned and cut).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Raw, Struct

from etl.boomplay.json_repair import repair_json
from etl.boomplay.redact import Secret, one_line
from etl.errors import ApiRefused, PayloadError
from etl.model.encoding import intern_markets
from etl.model.records import Item, Page

BIGINT = 2**63 - 1
EXACT_FLOAT = 2**53
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # UTF-8 or PostgreSQL refuse these
LONGEST_BIGINT = len(str(BIGINT))
ABSENT = Raw(b"")
LONG_LIST = 20_000
MOST_MARKET_LISTS = 4_096
_markets: dict[bytes, bytes] = {}

_KINDS = {b"{": "an object", b"[": "a list", b'"': "text", b"n": "null", b"t": "true", b"f": "false", b"": "missing"}
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
    desc: Raw = ABSENT
    counts: Raw = ABSENT


class _Any(Struct):
    code: Raw = ABSENT
    data: Raw = ABSENT
    desc: Raw = ABSENT


class _WithId(Struct):
    track_id: Annotated[int, msgspec.Meta(ge=1, le=BIGINT)]


class _WithLooseId(Struct):
    track_id: int | float | str


_list = msgspec.json.Decoder(_List).decode
_any = msgspec.json.Decoder(_Any).decode
_object = msgspec.json.Decoder(dict[str, Any]).decode
_with_id = msgspec.json.Decoder(_WithId).decode
_with_loose_id = msgspec.json.Decoder(_WithLooseId).decode
_BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def page(body: bytes, offset: int, limit: int) -> Page:
    """Decode an answer of the favourite tracks' list.

    Raises: PayloadError, ApiRefused (``code`` other than 0).
    """
    place = f"favourite tracks at offset {offset}"
    answer, bodies = _read_list(body, place)
    counts = _lenient_int(answer.counts)
    is_long = max(offset, counts or 0) > LONG_LIST
    return Page(
        offset=offset, limit=limit, items=tuple(map(_sharing_item if is_long else _item, bodies)), counts=counts
    )


def items(body: bytes, place: str) -> list[Item]:
    """Decode a list of tracks by ids; omit entries that are null (unknown ids).

    Raises: PayloadError, ApiRefused.
    """
    return [_item(entry) for entry in _read_list(body, place)[1] if entry != b"null"]


def user(body: bytes, place: str) -> User:
    """Decode user info.

    Raises: PayloadError, ApiRefused.
    """
    facts = _read_object(body, place)
    user_id = _id_text(facts.get("user_id"))
    if user_id is None:
        raise PayloadError(f"{place}: the answer names no user_id", remedy=REMEDY)
    return User(user_id, *(_text(facts.get(name)) for name in ("user_name", "region", "plan")))


def token(body: bytes, place: str) -> Token:
    """Decode a token answer: in the envelope with snake case, bare with camel case, or any mixture.

    Raises: PayloadError, ApiRefused.
    """
    given = parse_token(_read_bare(body, place) or _read_object(body, place))
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
    """Return ``code`` and the words of an error's body, None and empty if it has none; never raises."""
    try:
        facts = _object(_as_text(body))
    except _BROKEN:
        return None, ""
    code = facts.get("code")
    words = next((facts[name] for name in ("desc", "error_description", "error", "message") if facts.get(name)), None)
    return code if type(code) is int else None, _words(words)


def _item(body: bytes) -> Item:
    digest = hashlib.blake2b(body, digest_size=16).digest()
    try:
        return Item(body, digest, _with_id(body).track_id)
    except _BROKEN:
        return Item(body, digest, _odd_track_id(body))


def _sharing_item(body: bytes) -> Item:
    """Return an item that shares its list of markets with others: two thirds of the bytes of a long list."""
    item = _item(body)
    if len(_markets) > MOST_MARKET_LISTS:
        _markets.clear()
    return Item(intern_markets(body, _markets), item.digest, item.track_id)


def _odd_track_id(body: bytes) -> int | None:
    """Return the id of an item that is not plain JSON, or whose id is text or a float: ``"1000"`` and ``1000.0`` are 1000."""
    try:
        track_id = _with_loose_id(repair_json(body)).track_id
    except _BROKEN:
        return None
    if isinstance(track_id, str):
        is_number = track_id.isascii() and track_id.isdigit() and len(track_id) <= LONGEST_BIGINT
        track_id = int(track_id) if is_number else 0
    elif isinstance(track_id, float):  # beyond 2 ** 53 a float is no longer one integer
        track_id = int(track_id) if track_id.is_integer() and track_id <= EXACT_FLOAT else 0
    return track_id if 1 <= track_id <= BIGINT else None


def _read_list(body: bytes, place: str) -> tuple[_List, list[bytes]]:
    """Return the envelope and the bytes of each entry, as received."""
    try:
        answer = _list(body)
        bodies = [bytes(entry) for entry in answer.data or ()]
    except msgspec.ValidationError:
        _refuse_shape(repair_json(body), place, "a list")
    except _BROKEN as error:
        answer, bodies = _read_repaired_list(body, place, error)
    if answer.code != 0:
        _refuse_code(answer.code, bytes(answer.desc), place)
    return answer, bodies


def _read_repaired_list(body: bytes, place: str, error: Exception) -> tuple[_List, list[bytes]]:
    readable = repair_json(body)
    try:
        answer = _list(readable)
    except msgspec.ValidationError:
        _refuse_shape(readable, place, "a list")
    except _BROKEN:
        raise _garbled(body, place, error) from None
    bodies = []
    end = max(readable.find(b'"data"'), 0)
    for entry in answer.data or ():  # the repaired copy is as long, so an entry's place in it is its place in the body
        start = readable.index(bytes(entry), end)
        end = start + len(bytes(entry))
        bodies.append(body[start:end])
    return answer, bodies


def _read_object(body: bytes, place: str) -> dict[str, Any]:
    """Return ``data`` of an envelope, which must be an object."""
    readable = _as_text(body)
    try:
        answer = _any(readable)
    except msgspec.ValidationError:
        _refuse_shape(readable, place, "an object")
    except _BROKEN as error:
        raise _garbled(body, place, error) from None
    _check_code(answer, place)
    if _kind(answer.data) != "an object":
        _refuse_shape(readable, place, "an object")
    return _object(answer.data)


def _as_text(body: bytes) -> bytes:
    return repair_json(body).decode(errors="replace").encode()


def _read_bare(body: bytes, place: str) -> dict[str, Any] | None:
    """Return the fields of a token answer without an envelope; None if it is another answer."""
    try:
        facts = _object(_as_text(body))
    except msgspec.ValidationError:
        return None
    except _BROKEN as error:
        raise _garbled(body, place, error) from None
    return facts if "code" not in facts and _either(facts, "access_token", "accessToken") else None


def _refuse_shape(body: bytes, place: str, wanted: str) -> NoReturn:
    """Raise the error for JSON that is not the documented envelope."""
    try:
        answer = _any(body)
    except msgspec.ValidationError:
        raise PayloadError(f"{place}: the answer is not an object (byte 0)", remedy=REMEDY) from None
    except _BROKEN as error:
        raise _garbled(body, place, error) from None
    _check_code(answer, place)
    raise PayloadError(f"{place}: data is {_kind(answer.data)}, not {wanted}", remedy=REMEDY)


def _check_code(answer: _Any, place: str) -> None:
    try:
        code = msgspec.json.decode(answer.code, type=int)
    except msgspec.DecodeError:
        raise PayloadError(f"{place}: code is {_kind(answer.code)}, not a whole number", remedy=REMEDY) from None
    if code != 0:
        _refuse_code(code, bytes(answer.desc), place)


def _refuse_code(code: int, desc: bytes, place: str) -> NoReturn:
    words = error_body(b'{"desc":' + (desc or b"null") + b"}")[1]
    raise ApiRefused(f"{place}: the service answered code {code}" + (f": {words}" if words else ""), code=code)


def _garbled(body: bytes, place: str, error: Exception) -> PayloadError:
    """Return the error for an answer that is not JSON, with the byte where decoding stopped."""
    start = body.lstrip()[:1]
    if not start:
        return InvalidJson(f"{place}: the answer is empty", remedy=REMEDY)
    if start == b"<":
        return InvalidJson(f"{place}: the answer is a web page, not JSON (byte 0)", remedy=REMEDY)
    if isinstance(error, RecursionError):
        return PayloadError(f"{place}: the answer is nested too deeply", remedy=REMEDY)
    found = re.search(r"\(byte (\d+)\)", str(error))
    if found is None:
        return InvalidJson(f"{place}: the JSON breaks off (byte {len(body)})", remedy=REMEDY)
    return InvalidJson(f"{place}: the answer is not JSON (byte {found[1]})", remedy=REMEDY)


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


def _lenient_int(raw: Raw) -> int | None:
    digits = bytes(raw).strip(b'"')
    return int(digits) if digits.isdigit() and len(digits) <= LONGEST_BIGINT else None


def _words(value: object) -> str:
    """Return ``desc``, which may be null or of any type, as one short line."""
    if value is None:
        return ""
    return one_line(value if isinstance(value, str) else msgspec.json.encode(value).decode())
