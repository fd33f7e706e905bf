"""Exports tables and views as files with a manifest: Parquet, CSV or JSON lines.

Rows are read and written in batches. In CSV and JSON lines, binary columns are Base64 and instants are ISO 8601 with ``Z``.
The CSV is for programs, so text that a spreadsheet would read as a formula is written unchanged.

Invariant: only the tables in `TABLES` are exported. Tokens are not among them, even encrypted.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Boolean, Connection, Float, Integer, LargeBinary, Select, literal_column, select, table
from sqlalchemy.types import TypeEngine

from etl.db.tables import metadata, track_versions
from etl.db.types import Instant, Json
from etl.errors import UsageError
from etl.reporting.column_types import column_converters, column_kinds
from etl.reporting.parquet import BATCH, write_rows
from etl.reporting.render import json_text, render
from etl.reporting.views import views

MANIFEST: Final = "manifest.json"
TABLES: Final = (
    "accounts", "albums", "artists", "favourites", "genres", "market_set_members", "market_sets", "markets", "raw_blocks",
    "raw_items", "rejects", "runs", "schedules", "snapshots", "superseded_versions", "track_artists", "track_genres", "tracks",
)  # fmt: skip
PRIVATE: Final = ("budgets", "digests", "removal_memory", "tokens", "walk_pages")
"""Secrets, and the state of unfinished work. A test requires every new table to be in one of the two lists."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view to export. ``columns``: name and kind of each; None for a view whose kinds depend on its rows."""

    name: str
    kind: str
    query: Select[Any]
    columns: Sequence[tuple[str, str]] | None = None


def relations() -> Iterator[Relation]:
    """Yield every table that may be exported, in the order of its key, and every view."""
    for name in TABLES:
        columns = metadata.tables[name].columns
        query = select(metadata.tables[name]).order_by(*metadata.tables[name].primary_key)
        yield Relation(name, "table", query, [(each.name, _kind(each.type)) for each in columns])
    typed = [(each.name, _kind(each.type)) for each in track_versions.c]
    query = select(track_versions).order_by(*track_versions.c["track_id", "valid_from"])
    yield Relation(track_versions.name, "view", query, typed)
    for name in (each for each in views() if each != track_versions.name):
        yield Relation(name, "view", select(literal_column("*")).select_from(table(name)))


def write_relation(connection: Connection, relation: Relation, folder: Path, format_: str) -> dict[str, Any]:
    """Write one relation into ``folder`` and return its entry in the manifest.

    Raises: UsageError, where the file cannot be written, or Parquet is wanted and pyarrow is not installed.
    """
    columns = relation.columns or _columns_of_view(connection, relation.query)
    path = folder / f"{relation.name}.{format_}"
    rows = _rows(connection, relation, columns)
    try:
        count = write_rows(path, columns, rows) if format_ == "parquet" else _write_text(path, columns, rows, format_)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        what = error.strerror or error
        raise UsageError(f"{path} cannot be written: {what}", remedy="choose a folder with enough space") from error
    return {
        "name": relation.name,
        "kind": relation.kind,
        "file": path.name,
        "rows": count,
        "bytes": path.stat().st_size,
        "sha256": digest,
        "columns": [{"name": name, "type": kind} for name, kind in columns],
    }


def write_manifest(folder: Path, about: dict[str, Any], written: Sequence[dict[str, Any]]) -> None:
    """Write the manifest, which is the last file of an export."""
    content = json_text({**about, "relations": list(written)}, indent=2)
    (folder / MANIFEST).write_text(content + "\n", encoding="utf-8")


def _kind(type_: TypeEngine[Any]) -> str:
    kinds = (
        (Json, "json"), (Instant, "instant"), (Boolean, "boolean"), (LargeBinary, "binary"), (Integer, "integer"),
        (Float, "number"),
    )  # fmt: skip
    return next((kind for of, kind in kinds if isinstance(type_, of)), "text")


def _converted(connection: Connection, query: Select[Any]) -> tuple[list[str], Iterator[list[Any]]]:
    """Return the columns of a view and its rows, converted by the columns' names."""
    result = connection.execution_options(stream_results=True, yield_per=BATCH).execute(query)
    names = list(result.keys())
    converters = column_converters(names)
    return names, ([convert(value) for convert, value in zip(converters, row, strict=True)] for row in result)


def _columns_of_view(connection: Connection, query: Select[Any]) -> list[tuple[str, str]]:
    names, rows = _converted(connection, query)
    return list(zip(names, column_kinds(names, rows), strict=True))


def _rows(connection: Connection, relation: Relation, columns: Sequence[tuple[str, str]]) -> Iterator[list[Any]]:
    if relation.columns is None:
        _, rows = _converted(connection, relation.query)
    else:
        result = connection.execution_options(stream_results=True, yield_per=BATCH).execute(relation.query)
        rows = (list(row) for row in result)
    for row in rows:
        for at, (_, kind) in enumerate(columns):
            if kind == "json" and row[at] is not None:
                row[at] = _json_as_text(row[at])
            elif kind == "text" and row[at] is not None:
                row[at] = str(row[at])  # a column of mixed types is text
        yield row


def _json_as_text(value: Any) -> str:
    """Return JSON with sorted keys, because PostgreSQL does not keep their order."""
    plain = json.loads(value) if isinstance(value, str | bytes) else value
    return json_text(json.loads(json.dumps(plain, sort_keys=True)))


def _write_text(path: Path, columns: Sequence[tuple[str, str]], rows: Iterator[list[Any]], format_: str) -> int:
    printable = (
        [base64.b64encode(value).decode() if isinstance(value, bytes) else value for value in row] for row in rows
    )
    with path.open("w", encoding="utf-8", newline="") as stream:
        return render(format_, [name for name, _ in columns], printable, stream, guards_formulas=False)
