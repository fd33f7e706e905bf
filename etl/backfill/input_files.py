"""Finds and reads the files that a path names: a file, a folder, the members of a zip.

Nothing is unpacked to disk. Each file and each archive has a limit in memory. A file that is not read is reported, never
ignored: it may be a page of a list.
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
from pathlib import Path, PurePosixPath
from typing import IO

from etl.errors import UsageError

MAX_BYTES = 256 << 20
MAX_ARCHIVE_BYTES = 1 << 30
MAX_MEMBERS = 100_000
SUFFIXES = {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt", ".zip", ".gz", ".db", ".sqlite", ".sqlite3"}
SQLITE = b"SQLite format 3\x00"
ZIP = b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
GZIP = b"\x1f\x8b"
TOO_LARGE = "is larger than {:,} MiB, so it is not read"
HIDDEN = "is hidden"
OTHER_FORMAT = "is not of a kind that favsync imports"
# What operating systems and git put beside files. A file of these names is never a page.
_JUNK = re.compile(
    r"__MACOSX|\._.*|\.DS_Store|\.localized|Thumbs\.db|desktop\.ini|\.git|\.git(?:ignore|attributes|keep)"
)
_SQLITE_SIDE_FILE = re.compile(r"(.+)-(?:wal|shm|journal)|(.+)\.lock-\d+")
_UNREADABLE = (
    OSError, EOFError, RuntimeError, ValueError, MemoryError, struct.error, lzma.LZMAError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to be read. ``names``: those that may hold its date, its own first. ``database``: it is SQLite."""

    label: str
    names: tuple[str, ...]
    read: Callable[[], bytes]
    database: Path | None = None


@dataclass(frozen=True, slots=True)
class UnusableInput:
    """A file, folder or member that is not read. ``is_problem``: it should have been; else its kind is just not imported."""

    label: str
    fault: str
    names: tuple[str, ...]
    is_problem: bool = True


def iter_files(path: Path) -> Iterator[InputFile | UnusableInput]:
    """Yield what ``path`` names, in the order of names, numbers by size.

    Raises: UsageError, where nothing is there.
    """
    if not path.exists():
        raise UsageError(f"there is no file or folder {printable(path)!r}", remedy="check the path given to --from")
    if not path.is_dir():
        yield from _in_file(path, (path.name,))
        return
    files, unusable = _list_folder(path)
    for each in sorted(files, key=lambda each: natural_key(str(each))):
        names = _names(path, each)
        if each.name.startswith("."):
            yield UnusableInput(printable(each), HIDDEN, names, is_problem=False)
        elif each.suffix.lower() in SUFFIXES:
            yield from _in_file(each, names)
        else:
            yield UnusableInput(printable(each), OTHER_FORMAT, names, is_problem=False)
    yield from unusable


def _names(top: Path, each: Path) -> tuple[str, ...]:
    return (*reversed(each.relative_to(top).parts), top.resolve().name)


def _list_folder(top: Path) -> tuple[list[Path], list[UnusableInput]]:
    """Return the files in a folder and its subfolders, and the subfolders that are not read."""
    files: list[Path] = []
    unusable: list[UnusableInput] = []

    def skip(each: Path, fault: str, *, is_problem: bool = True) -> None:
        unusable.append(UnusableInput(printable(each), fault, _names(top, each), is_problem))

    def skip_unreadable(error: OSError) -> None:
        skip(Path(error.filename), f"the folder cannot be read: {error.strerror}")

    for folder, folders, names in os.walk(top, onerror=skip_unreadable):
        here = Path(folder)
        folders[:] = [name for name in folders if not _JUNK.fullmatch(name)]
        if "manifest.json" in names and _is_own_export(here / "manifest.json"):
            skip(
                here,
                "is an export of favsync, which holds past states: import the database itself with --from DATABASE",
            )
            folders.clear()
            continue
        for name in folders.copy():
            if (here / name).is_symlink():  # os.walk does not follow it
                skip(here / name, "is a link to a folder, which is not followed: name it with --from")
            elif name.startswith("."):
                skip(here / name, HIDDEN, is_problem=False)
                folders.remove(name)
        files += [here / name for name in names if not _JUNK.fullmatch(name) and not _is_side_file(name, names)]
    return files, unusable


def _is_side_file(name: str, names: list[str]) -> bool:
    match = _SQLITE_SIDE_FILE.fullmatch(name)
    return match is not None and (match[1] or match[2]) in names


def _is_own_export(manifest: Path) -> bool:
    try:
        with manifest.open("rb") as file:
            return b'"favsync"' in file.read(200)
    except OSError:
        return False


def _in_file(path: Path, names: tuple[str, ...]) -> Iterator[InputFile | UnusableInput]:
    label = printable(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for a writer
            yield UnusableInput(label, "is not a file", names)
            return
        with path.open("rb") as file:
            head = file.read(len(SQLITE))
    except OSError as error:
        yield UnusableInput(label, f"cannot be read: {error.strerror}", names)
        return
    if head == SQLITE:
        yield InputFile(label, names, path.read_bytes, database=path)
    elif head.startswith((ZIP, EMPTY_ZIP)):
        yield from _in_zip(path, label, names)
    else:
        yield InputFile(label, names, lambda: _read_limited(path.open("rb")))


def _in_zip(path: Path, label: str, names: tuple[str, ...]) -> Iterator[InputFile | UnusableInput]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
    except _UNREADABLE as error:
        yield UnusableInput(label, f"is a broken zip: {error}", names)
        return
    if len(members) > MAX_MEMBERS:
        yield UnusableInput(label, f"holds more than {MAX_MEMBERS:,} files, so it is not read", names)
        return
    left = MAX_ARCHIVE_BYTES
    for member in sorted(members, key=lambda each: natural_key(each.filename)):
        inner = PurePosixPath(member.filename)
        parts = [part for part in inner.parts if part != ".."]
        where, inner_names = f"{label}:{printable(inner)}", (*reversed(inner.parts), *names)
        left -= member.file_size
        if any(_JUNK.fullmatch(part) for part in parts):
            continue
        if any(part.startswith(".") for part in parts):
            yield UnusableInput(where, HIDDEN, inner_names, is_problem=False)
        elif inner.suffix.lower() not in SUFFIXES:
            yield UnusableInput(where, OTHER_FORMAT, inner_names, is_problem=False)
        elif left < 0:  # the declared sizes are believed: a member is never read beyond its own
            fault = f"the archive unpacks to more than {MAX_ARCHIVE_BYTES >> 20:,} MiB, so this is not read"
            yield UnusableInput(where, fault, inner_names)
        else:
            yield InputFile(where, inner_names, _member_reader(path, member))


def _member_reader(path: Path, member: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        with zipfile.ZipFile(path) as archive:
            return _read_limited(archive.open(member))

    return read


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
        raise ValueError(TOO_LARGE.format(MAX_BYTES >> 20))
    return content


def read_file(source: InputFile) -> bytes | UnusableInput:
    """Return what is in ``source``, or why it cannot be read."""
    try:
        return source.read()
    except _UNREADABLE as error:
        fault = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return UnusableInput(
            source.label, fault if fault.startswith("is ") else f"cannot be read: {fault}", source.names
        )


def printable(path: Path | PurePosixPath) -> str:
    """Return a path as text that a terminal and a database take: bytes that are no text are escaped, and so are controls."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def natural_key(text: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts ``page-9`` before ``page-10``."""
    # A number of more than 4,300 digits cannot be converted.
    parts = [part for part in re.split("([0-9]{1,4000})", text) if part]
    return [(0, int(part), "") if part[0] in "0123456789" else (1, 0, part) for part in parts]
