"""Which files a path names: a file, a folder of files, a zip, another favsync database.

Invariants: nothing is written; no file is larger in memory than `MAX_BYTES`; a file that cannot be read is told, and does
not stop the others.
"""

from __future__ import annotations

import gzip
import io
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from etl.backfill.json_format import SQLITE, ZIP
from etl.errors import UsageError

MAX_BYTES = 1 << 30
SUFFIXES = {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".zip", ".gz", ".db", ".sqlite", ".sqlite3"}
GZIP = b"\x1f\x8b"
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to be read. ``names``: those that may tell its time, the file's own first. ``database``: it is SQLite."""

    label: str
    names: tuple[str, ...]
    read: Callable[[], bytes]
    database: Path | None = None


@dataclass(frozen=True, slots=True)
class UnusableInput:
    """A file that cannot be read, or is not meant to be. ``is_problem``: the user should know that it is missing.

    ``names``: as those of a `InputFile`.
    """

    label: str
    fault: str
    is_problem: bool = True
    names: tuple[str, ...] = ()


def iter_files(path: Path) -> Iterator[InputFile | UnusableInput]:
    """Yield the files that ``path`` names, in the order of their names (numbers by size).

    Raises: UsageError, where nothing is there.
    """
    if not path.exists():
        raise UsageError(f"there is no file or folder {str(path)!r}", remedy="check the path given to --from")
    if not path.is_dir():
        yield from _in_file(path, str(path), (path.name,))
        return
    files = sorted((p for p in path.rglob("*") if not p.is_dir() and not _is_hidden(p.relative_to(path))), key=_natural)
    for each in files:
        inner = each.relative_to(path)
        names = (*reversed(inner.parts), path.resolve().name)
        if each.suffix.lower() in SUFFIXES:
            yield from _in_file(each, str(each), names)
        else:
            yield UnusableInput(str(each), "is not of a kind that favsync imports", is_problem=False)


def _in_file(path: Path, label: str, names: tuple[str, ...]) -> Iterator[InputFile | UnusableInput]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for whoever writes to it
            yield UnusableInput(label, "is not a file", names=names)
            return
        with path.open("rb") as file:
            head = file.read(16)
        size = path.stat().st_size
    except OSError as error:
        yield UnusableInput(label, f"cannot be read: {error.strerror}", names=names)
        return
    if head == SQLITE:
        yield InputFile(label, names, path.read_bytes, database=path)
    elif size > MAX_BYTES:
        yield UnusableInput(label, "is larger than 1 GiB", names=names)
    elif head.startswith(ZIP):
        yield from _in_zip(path, label, names)
    elif head.startswith(GZIP):
        yield InputFile(label, names, lambda: _gunzipped(path.read_bytes()))
    else:
        yield InputFile(label, names, path.read_bytes)


def _in_zip(path: Path, label: str, names: tuple[str, ...]) -> Iterator[InputFile | UnusableInput]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
    except _UNREADABLE as error:
        yield UnusableInput(label, f"is a broken zip: {error}", names=names)
        return
    for member in sorted(members, key=lambda each: _natural_text(each.filename)):
        inner = PurePosixPath(member.filename)
        where = f"{label}:{member.filename}"
        if _is_hidden(inner) or inner.suffix.lower() not in SUFFIXES:
            yield UnusableInput(where, "is not of a kind that favsync imports", is_problem=False)
        elif member.file_size > MAX_BYTES:
            yield UnusableInput(where, "is larger than 1 GiB", names=(*reversed(inner.parts), *names))
        else:
            yield InputFile(where, (*reversed(inner.parts), *names), _reader(path, member))


def _reader(path: Path, member: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(member)
        return _gunzipped(content) if content.startswith(GZIP) else content

    return read


def _gunzipped(packed: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError("is larger than 1 GiB")
    return content


def read_file(source: InputFile) -> bytes | UnusableInput:
    """Return what is in ``source``, or why it cannot be read."""
    try:
        return source.read()
    except _UNREADABLE as error:
        fault = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        return UnusableInput(source.label, fault, names=source.names)


def _is_hidden(path: Path | PurePosixPath) -> bool:
    return any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    return _natural_text(str(path))


def _natural_text(text: str) -> list[tuple[int, int, str]]:
    """Sort ``page-9`` before ``page-10``."""
    parts = [part for part in re.split("([0-9]+)", text) if part]
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]
