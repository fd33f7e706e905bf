"""What favsync says while it works: text for people or JSON lines for machines, on stderr.

Invariants: every line passes `masked`, so no secret that was registered with `mask`, no URL's password and no bearer
token is ever printed; one call is one line, whatever its values hold; libraries are heard from WARNING upwards only, as
the INFO lines of httpx hold URLs. A traceback comes only at the level ``debug``, and each of its lines is set in.

structlog takes 120 ms to import (it imports rich), so it is imported when the first line is written, not before.
"""

from __future__ import annotations

import contextvars
import functools
import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import quote, quote_plus

P = ParamSpec("P")
R = TypeVar("R")
Line = MutableMapping[str, Any]

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
LONGEST = 8_000  # characters of one value; a title of a megabyte is no use in a log
_SHORTEST = 4  # a shorter "secret" would blot out the words around it
_DEEPEST = 4

# C0, C1 and DEL; soft hyphen; bidi marks, embeddings and isolates; zero-width and invisible marks but for the two
# joiners, which emoji and Persian need; line and paragraph separators; lone surrogates; tags.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_NAMES = "access_?token|refresh_?token|app_secret|client_secret|(?:ssl)?password"
_TOLD = {
    re.compile(r"(?<=://)([^\s/:@]*):[^\s/?#]*@"): r"\1:***@",
    re.compile(r"(\bbearer)\s+[^\s'\",;]+", re.IGNORECASE): r"\1 ***",
    re.compile(rf"(\b(?:{_NAMES})|[?&#](?:code|token))=[^\s&'\",;]+", re.IGNORECASE): r"\1=***",
    re.compile(rf"""(["'](?:{_NAMES})["']\s*:\s*)(["'])[^"']*["']""", re.IGNORECASE): r"\1\2***\2",
}
_SECRET_NAME = re.compile(r"(token|secret|password|authorization|encryption_keys?)$", re.IGNORECASE)
_FIRST = ("account", "run_id")
_NEEDS_QUOTES = re.compile(r'[\s"=\\]|^$')
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}


@dataclass(frozen=True, slots=True)
class _Choice:
    format: str = "text"
    level: str = "warning"
    has_colour: bool = False


_secrets: set[str] = set()
_bound: contextvars.ContextVar[Mapping[str, object] | None] = contextvars.ContextVar("bound", default=None)
_chosen = [_Choice()]


def mask(secret: str) -> None:
    """Register ``secret``: from now on `masked` blots it out, also where it is percent-encoded or within JSON."""
    if len(secret) < _SHORTEST:
        return
    encoded = {quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}
    lowered = {re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), each) for each in encoded}
    _secrets.update({secret}, encoded, lowered)
    _any_secret.cache_clear()


def masked(text: str) -> str:
    """Return ``text`` with every registered secret, URL password and bearer token replaced by ``***``."""
    if _secrets:
        text = _any_secret().sub("***", text)
    for told, kept in _TOLD.items():
        text = told.sub(kept, text)
    return text


def visible(text: str) -> str:
    r"""Return ``text`` on one line, with all that drives a terminal or reorders text written out, as in ``\x1b``."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


@functools.cache
def _any_secret() -> re.Pattern[str]:
    return re.compile("|".join(re.escape(secret) for secret in sorted(_secrets, key=len, reverse=True)))


class Log:
    """Writes lines that carry the log's own fields, the bound ones, and those of the call.

    The event is a constant phrase; whatever varies is a field.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = fields

    def bind(self, **fields: object) -> Log:
        """Return a log whose lines carry ``fields`` too."""
        return Log({**self._fields, **fields})

    def debug(self, event: str, /, **fields: object) -> None:
        """Say what only someone who looks for a fault wants to know."""
        self._say("debug", event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """Say what an operator may read with pleasure; a quiet sync is one line."""
        self._say("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """Say what works now and should be looked at."""
        self._say("warning", event, fields)

    def error(self, event: str, /, **fields: object) -> None:
        """Say what did not work."""
        self._say("error", event, fields)

    def exception(self, event: str, /, **fields: object) -> None:
        """Say what did not work, with the exception that is being dealt with."""
        self._say("error", event, {"exc_info": sys.exc_info(), **fields})

    def _say(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        if LEVELS[level] >= LEVELS[_chosen[0].level]:
            _write(level, event, {**self._fields, **fields})


def configure(format: str = "text", level: str = "info", *, colour: bool = True) -> None:
    """Say how lines are written from now on, and bring the lines of libraries here.

    ``format``: ``text`` or ``json``. ``level``: a key of `LEVELS`. ``colour``: may a terminal show colours?
    """
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    _chosen[0] = _Choice(format, level, has_colour=colour and is_terminal)
    root = logging.getLogger()
    root.handlers = [*(each for each in root.handlers if not isinstance(each, _Routed)), _Routed(logging.WARNING)]
    logging.captureWarnings(capture=True)


def is_for_machines() -> bool:
    """Return whether lines are JSON; then whatever else goes to stderr should be, too."""
    return _chosen[0].format == "json"


def get(name: str, **fields: object) -> Log:
    """Return a log whose lines carry ``logger=name`` and ``fields``."""
    return Log({"logger": name, **fields})


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Put ``fields``, such as ``run_id`` and ``account``, on every line written inside, by libraries too."""
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def with_context(function: Callable[P, R]) -> Callable[P, R]:
    """Return ``function`` so that a thread of a pool calls it with the fields that are bound here and now."""
    fields = _bound.get() or {}

    @functools.wraps(function)
    def carrying(*args: P.args, **kwargs: P.kwargs) -> R:
        with bound(**fields):
            return function(*args, **kwargs)

    return carrying


class _Routed(logging.Handler):
    """Brings a line of a library to where favsync's own go; its level holds even where the library sets another."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        try:
            get(record.name)._say(level, record.getMessage(), {"exc_info": record.exc_info})
        except Exception:  # noqa: BLE001 - a library's broken line must not end a run
            get(record.name)._say(level, "an unreadable line", {})


def _write(level: str, event: str, fields: Mapping[str, object]) -> None:
    """Write one line by way of structlog, whose users among the libraries thereby write as favsync does."""
    import structlog

    if structlog.get_config()["logger_factory"] is not _Stderr:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _with_bound,
                _with_exception,
                _cleaned,
                _rendered,
            ],
            logger_factory=_Stderr,
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            cache_logger_on_first_use=False,
        )
    getattr(structlog.get_logger(), level)(event, **fields)


class _Stderr:
    """The last station: looks stderr up anew for each line, and never lets a full or closed one end a run."""

    def __init__(self, *_names: object) -> None:
        pass

    def msg(self, text: str) -> None:
        if sys.stderr is not None:
            with suppress(OSError, ValueError):
                sys.stderr.write(text + "\n")
                sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


def _with_bound(_logger: object, _method: str, line: Line) -> Line:
    return {**(_bound.get() or {}), **line}


def _with_exception(_logger: object, _method: str, line: Line) -> Line:
    given = line.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given if isinstance(given, BaseException) else None
    if error is not None:
        line.setdefault("error", f"{type(error).__name__}: {error}")
        if _chosen[0].level == "debug":
            line["traceback"] = "".join(traceback.format_exception(error))
    return line


def _cleaned(_logger: object, _method: str, line: Line) -> Line:
    return {name: "***" if _SECRET_NAME.search(name) else _clean(value) for name, value in line.items()}


def _clean(value: object, depth: int = 0) -> object:
    """Return ``value`` as JSON can hold it, with its secrets masked and its length bounded."""
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {
            str(name): "***" if _SECRET_NAME.search(str(name)) else _clean(each, depth + 1)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [_clean(each, depth + 1) for each in value]
    if value is None or isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else f"an integer of {value.bit_length()} bits"
    text = masked(value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _rendered(_logger: object, _method: str, line: Line) -> str:
    head = {name: line.pop(name) for name in ("timestamp", "level", "event")}
    ordered = {name: line.pop(name) for name in _FIRST if name in line} | dict(line)
    if _chosen[0].format == "json":
        return json.dumps(head | ordered)
    return _as_text(head["timestamp"][:19], head["level"], str(head["event"]), ordered)


def _as_text(time: str, level: str, event: str, fields: dict[str, Any]) -> str:
    colour, dim, plain = (_COLOURS.get(level, ""), "\x1b[2m", "\x1b[0m") if _chosen[0].has_colour else ("", "", "")
    trace = "".join(f"\n    | {visible(each)}" for each in str(fields.pop("traceback", "")).split("\n") if each)
    if level == "info":
        fields.pop("logger", None)
    shown = "".join(
        f" {dim}{visible(name)}={plain}{_word(value)}" for name, value in fields.items() if value is not None
    )
    said = visible(event) if not re.search(r'["=\\]', event) else _word(event)
    return f"{time}Z {colour}{level:<7}{plain} {said}{shown}{trace}"


def _word(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not _NEEDS_QUOTES.search(text):
        return visible(text)
    return '"' + visible(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'
