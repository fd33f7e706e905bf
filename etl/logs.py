"""Log lines on stderr: text for people or JSON for machines, written by structlog.

Every line passes `masked`, so no registered secret, URL password or bearer token is printed. One call is one line, whatever
its values contain. Libraries are heard from WARNING upwards, because the INFO lines of httpx contain URLs. Tracebacks are
written at the level ``debug`` only, with each line indented.
"""

from __future__ import annotations

import functools
import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import quote, quote_plus

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.stdlib import BoundLogger, ProcessorFormatter

P = ParamSpec("P")
R = TypeVar("R")
Line = MutableMapping[str, Any]

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
LONGEST = 8_000  # characters of one value
_OURS = "etl"  # the logger above all of favsync's own
_SHORTEST = 4  # a shorter "secret" would mask ordinary words
_DEEPEST = 4

# C0, C1 and DEL; soft hyphen; bidi marks, embeddings and isolates; zero-width and invisible marks except the two
# joiners, which emoji and Persian need; line and paragraph separators; lone surrogates; tags.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_NAMES = "access_?token|refresh_?token|app_secret|client_secret|(?:ssl)?password"
_PATTERNS = {
    re.compile(r"(?<=://)([^\s/:@]*):[^\s/?#]*@"): r"\1:***@",
    re.compile(r"(\bbearer)\s+[^\s'\",;]+", re.IGNORECASE): r"\1 ***",
    re.compile(rf"(\b(?:{_NAMES})|[?&#](?:code|token))=[^\s&'\",;]+", re.IGNORECASE): r"\1=***",
    re.compile(rf"""(["'](?:{_NAMES})["']\s*:\s*)(["'])[^"']*["']""", re.IGNORECASE): r"\1\2***\2",
}
_SECRET_NAME = re.compile(r"(token|secret|password|authorization|encryption_keys?)$", re.IGNORECASE)
_NEEDS_QUOTES = re.compile(r'[\s"=\\]|^$')
_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}

_secrets: set[str] = set()


def mask(secret: str) -> None:
    """Register ``secret``: from now on `masked` replaces it, also where it is percent-encoded or within JSON."""
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
    for pattern, replacement in _PATTERNS.items():
        text = pattern.sub(replacement, text)
    return text


def visible(text: str) -> str:
    r"""Return ``text`` on one line, with control and bidi characters escaped, as in ``\x1b``."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


@functools.cache
def _any_secret() -> re.Pattern[str]:
    return re.compile("|".join(re.escape(secret) for secret in sorted(_secrets, key=len, reverse=True)))


def get(name: str, **fields: object) -> BoundLogger:
    """Return a logger whose lines carry ``fields``. ``name``: the module, such as ``etl.sync``.

    The event of a line is a constant phrase; everything that varies is a field.
    """
    logger: BoundLogger = structlog.stdlib.get_logger(name, **fields)
    return logger


bound = bound_contextvars
"""A context manager that puts fields such as ``run_id`` on every line written inside, by libraries too."""


def with_context(function: Callable[P, R]) -> Callable[P, R]:
    """Return ``function`` so that a thread of a pool runs it with the context variables of this thread."""
    fields = structlog.contextvars.get_contextvars()

    @functools.wraps(function)
    def in_context(*args: P.args, **kwargs: P.kwargs) -> R:
        with bound_contextvars(**fields):
            return function(*args, **kwargs)

    return in_context


def configure(format: str = "text", level: str = "info", *, colour: bool = True) -> None:
    """Set how lines are written from now on, and route the lines of libraries and Python's warnings here.

    ``format``: ``text`` or ``json``. ``level``: a key of `LEVELS`. ``colour``: True if a terminal may show colours.
    """
    has_colour = colour and sys.stderr is not None and sys.stderr.isatty()
    _attach(_OURS, format, LEVELS[level], has_colour=has_colour)
    _attach(None, format, logging.WARNING, has_colour=has_colour)
    logging.captureWarnings(capture=True)


def _attach(name: str | None, format: str, level: int, *, has_colour: bool) -> None:
    """Attach our handler to the logger ``name`` (None: the root), and remove an earlier one of ours."""
    logger, handler = logging.getLogger(name), StderrHandler(format)
    renderer = _render_json if format == "json" else functools.partial(_render_text, has_colour=has_colour)
    processors: list[Any] = [
        ProcessorFormatter.remove_processors_meta,
        redact,
        renderer,
    ]
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=_SHARED, processors=processors))
    handler.setLevel(level)  # the handler's level holds even where a library sets its own logger's
    logger.handlers = [*(each for each in logger.handlers if not isinstance(each, StderrHandler)), handler]
    if name is not None:
        logger.setLevel(level)
        logger.propagate = False


def is_for_machines() -> bool:
    """True if lines are JSON; then everything else on stderr should be JSON too."""
    handlers = logging.getLogger(_OURS).handlers
    return any(isinstance(each, StderrHandler) and each.format_name == "json" for each in handlers)


class StderrHandler(logging.Handler):
    """Writes lines to the current stderr. A full or closed one ends no run, nor does a malformed line of a library."""

    def __init__(self, format_name: str) -> None:
        super().__init__()
        self.format_name = format_name

    def emit(self, record: logging.LogRecord) -> None:
        """Format and write one record."""
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001 - a malformed line of a library must not end a run
            record.msg, record.args = "malformed log line", ()
            text = self.format(record)
        if sys.stderr is not None:
            with suppress(OSError, ValueError):
                sys.stderr.write(text + "\n")
                sys.stderr.flush()


def _with_exception(logger: Any, method: str, line: Line) -> Line:
    """Turn ``exc_info`` into the field ``error`` and, at the level debug, ``traceback``."""
    given = line.pop("exc_info", None)
    given = sys.exc_info() if given is True else given
    error = given[1] if isinstance(given, tuple) else given if isinstance(given, BaseException) else None
    if error is not None:
        line.setdefault("error", f"{type(error).__name__}: {error}")
        if logging.getLogger(_OURS).isEnabledFor(logging.DEBUG):
            line["traceback"] = "".join(traceback.format_exception(error))
    return line


def redact(_logger: object, _method: str, line: Line) -> Line:
    """Mask secrets in every field, bound the length of values, and turn them into what JSON can hold."""
    return {name: "***" if _SECRET_NAME.search(name) else _clean(value) for name, value in line.items()}


def _clean(value: object, depth: int = 0) -> object:
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


def _ordered(line: Line) -> dict[str, Any]:
    """Return the fields after timestamp, level and event, with account and run first."""
    first = {name: line.pop(name) for name in ("account", "run_id") if name in line}
    return first | dict(line)


def _render_json(_logger: object, _method: str, line: Line) -> str:
    head = {name: line.pop(name) for name in ("timestamp", "level", "event")}
    return json.dumps(head | _ordered(line))


def _render_text(_logger: object, _method: str, line: Line, *, has_colour: bool) -> str:
    time, level, event = line.pop("timestamp")[:19], line.pop("level"), str(line.pop("event"))
    colour, dim, plain = (_COLOURS.get(level, ""), "\x1b[2m", "\x1b[0m") if has_colour else ("", "", "")
    trace = "".join(f"\n    | {visible(each)}" for each in str(line.pop("traceback", "")).split("\n") if each)
    if level == "info":
        line.pop("logger", None)
    shown = "".join(
        f" {dim}{visible(name)}={plain}{_word(value)}" for name, value in _ordered(line).items() if value is not None
    )
    said = visible(event) if not re.search(r'["=\\]', event) else _word(event)
    return f"{time}Z {colour}{level:<7}{plain} {said}{shown}{trace}"


def _word(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not _NEEDS_QUOTES.search(text):
        return visible(text)
    return '"' + visible(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


_SHARED: Final[list[Any]] = [
    merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _with_exception,
]
structlog.configure(
    processors=[structlog.stdlib.filter_by_level, *_SHARED, ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=BoundLogger,
)
_attach(_OURS, "text", logging.WARNING, has_colour=False)  # until `configure` is called
