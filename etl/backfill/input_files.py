"""Finds and reads the files that a path names: a file, a folder, the members of a zip.

Nothing is unpacked to disk. Each file and each archive has a limit in memory. A file that is not read is reported, never
ignored: it may be a page of a list, unless its name shows that it is none.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import IO

from etl.errors import UsageError

MAX_BYTES = 256 << 20
MAX_ARCHIVE_BYTES = 1 << 30
MAX_MEMBERS = 100_000
SUFFIXES = {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".zip", ".gz", ".db", ".sqlite", ".sqlite3"}
# Documents that people and systems put beside exports. A file of such a name is never a page of a list.
_FOREIGN = re.compile(
    r"[^.].*\.(?:md|html?|pdf|log|ya?ml|toml|ini|png|jpe?g|gif|svg|webp|heic)|(?:readme|license|licence|changelog)(?:\.(?:txt|rst))?"
    r"|\._.*|\.ds_store|\.localized|thumbs\.db|\.git(?:ignore|attributes|keep)",
    re.IGNORECASE,
)
_FOREIGN_FOLDERS = ("__MACOSX", ".git")
_SQLITE_SIDE_FILE = re.compile(r"(.+?)(?:-(?:wal|shm|journal)|\.lock-\d+)")
SQLITE = b"SQLite format 3\x00"
ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
GZIP = b"\x1f\x8b"
MANIFEST = "manifest.json"
_OWN_MANIFEST = re.compile(rb'\s*\{\s*"favsync"\s*:')
HIDDEN = "is hidden"
OTHER_FORMAT = "is not of a kind that favsync imports"
FOREIGN = "is no export"
SKIPPED = (HIDDEN, OTHER_FORMAT, FOREIGN)
_UNREADABLE = (
    OSError, EOFError, RuntimeError, ValueError, MemoryError, struct.error, lzma.LZMAError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file, or a file, folder or member that is not read, for the reason ``fault``.

    ``names``: those that may hold its date, its own first. ``database``: it is a SQLite file or a folder that favsync exported.
    """

    label: str
    names: tuple[str, ...]
    read: Callable[[], bytes] = bytes
    fault: str = ""
    database: Path | None = None


def iter_files(path: Path) -> Iterator[InputFile]:
    """Yield what ``path`` names, in the order of names, numbers by size.

    Raises: UsageError, where nothing is there.
    """
    if not path.exists():
        raise UsageError(f"there is no file or folder {printable(path)!r}", remedy="check the path given to --from")
    files, unread = _list_folder(path) if path.is_dir() else ([path], [])
    for each in sorted(files, key=lambda each: _natural_key(str(each))):
        label, names = printable(each), (path.name,) if each == path else _names(path, each)
        if each.is_dir():
            yield InputFile(label, names, database=each)
        elif each != path and (fault := _why_skipped(each.name)):
            yield InputFile(label, names, fault=fault)
        else:
            yield from _in_file(each, label, names)
    yield from unread


def _names(top: Path, each: Path) -> tuple[str, ...]:
    return (*reversed(each.relative_to(top).parts), top.resolve().name)


def _why_skipped(name: str) -> str:
    """Return why a file of this name is not read, empty if it is."""
    if _FOREIGN.fullmatch(name):
        return FOREIGN
    if name.startswith("."):
        return HIDDEN
    return "" if PurePath(name.lower()).suffix in SUFFIXES else OTHER_FORMAT


def _list_folder(top: Path) -> tuple[list[Path], list[InputFile]]:
    """Return the files and exports in a folder and its subfolders, and the subfolders that are not read."""
    files: list[Path] = []
    unread: list[InputFile] = []

    def skip(each: Path, fault: str) -> None:
        unread.append(InputFile(printable(each), _names(top, each), fault=fault))

    errors: list[OSError] = []
    for folder, folders, names in os.walk(top, onerror=errors.append):
        here = Path(folder)
        if MANIFEST in names and _is_own_export(here / MANIFEST):
            files.append(here)
            folders.clear()
            continue
        sides = [name for name in names if (side := _SQLITE_SIDE_FILE.fullmatch(name)) and side[1] in names]
        files += [here / name for name in names if name not in sides]
        folders[:] = [name for name in folders if name not in _FOREIGN_FOLDERS]
        for name in folders.copy():
            if (here / name).is_symlink():
                skip(here / name, "is a link to a folder, which is not followed: name it with --from")
            elif name.startswith("."):
                skip(here / name, HIDDEN)
                folders.remove(name)
    for error in errors:
        skip(Path(error.filename), f"the folder cannot be read: {error.strerror}")
    return files, unread


def _is_own_export(manifest: Path) -> bool:
    if not manifest.is_file():  # opening a pipe would wait for a writer
        return False
    try:
        with manifest.open("rb") as file:
            return _OWN_MANIFEST.match(file.read(200)) is not None
    except OSError:
        return False


def _in_file(path: Path, label: str, names: tuple[str, ...]) -> Iterator[InputFile]:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for a writer
            yield InputFile(label, names, fault="is not a file")
            return
        with path.open("rb") as file:
            head = file.read(len(SQLITE))
    except OSError as error:
        yield InputFile(label, names, fault=f"cannot be read: {error.strerror}")
        return
    if head == SQLITE:
        yield InputFile(label, names, database=path)
    elif head.startswith((ZIP, EMPTY_ZIP)):
        yield from _in_zip(path, label, names)
    else:
        yield InputFile(label, names, lambda: _read_limited(path.open("rb")))


def _in_zip(path: Path, label: str, names: tuple[str, ...]) -> Iterator[InputFile]:
    """Yield the members, which can be read until the next one is asked for."""
    try:
        archive = zipfile.ZipFile(path)
    except _UNREADABLE as error:
        yield InputFile(label, names, fault=f"is a broken zip: {error}")
        return
    with archive:
        members = [each for each in archive.infolist() if not each.is_dir()]
        if not members or len(members) > MAX_MEMBERS:
            fault = f"holds more than {MAX_MEMBERS:,} files, so it is not read" if members else "is an empty zip"
            yield InputFile(label, names, fault=fault)
            return
        left = MAX_ARCHIVE_BYTES
        for member in sorted(members, key=lambda each: _natural_key(each.filename)):
            inner = PurePosixPath(member.filename.replace("\\", "/"))
            folders = [part for part in inner.parts[:-1] if part != ".."]
            left -= member.file_size
            if any(part in _FOREIGN_FOLDERS for part in folders):
                continue
            fault = HIDDEN if any(part.startswith(".") for part in folders) else _why_skipped(inner.name)
            if not fault and left < 0:  # the declared sizes are believed: a member is never read beyond its own
                fault = f"the archive unpacks to more than {MAX_ARCHIVE_BYTES >> 20:,} MiB, so this is not read"
            where, inner_names = f"{label}:{printable(inner)}", (*reversed(inner.parts), *names)
            yield InputFile(where, inner_names, partial(_read_member, archive, member), fault)


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    return _read_limited(archive.open(member))


def _read_limited(file: IO[bytes]) -> bytes:
    """Return the content of a file, unpacked if it is gzip.

    Raises: ValueError, where it is larger than `MAX_BYTES`; what the file raises.
    """
    with file:
        content = file.read(MAX_BYTES + 1)
    if content.startswith(GZIP) and len(content) <= MAX_BYTES:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as unpacked:
            content = unpacked.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20:,} MiB")
    return content


def read_file(source: InputFile) -> tuple[bytes, str]:
    """Return what is in ``source``, and why it is not imported, empty if it is."""
    if source.fault:
        return b"", source.fault
    try:
        content = source.read()
    except _UNREADABLE as error:
        return b"", f"cannot be read: {getattr(error, 'strerror', None) or str(error) or type(error).__name__}"
    return content, ""


def printable(path: PurePath) -> str:
    """Return a path as text that a terminal and a database take: bytes that are no text are escaped, and so are controls."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts ``page-9`` before ``page-10``."""
    # A number of more than 4,300 digits cannot be converted.
    parts = [part for part in re.split("([0-9]{1,4000})", text) if part]
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]
