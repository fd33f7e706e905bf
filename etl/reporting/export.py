"""Tables and views as files, with a manifest: Parquet, CSV or JSON lines.

Files are written a batch of rows at a time. CSV and JSON lines have binary columns in Base64 and instants in ISO 8601 ending in
Z; CSV is for programs, so text that a spreadsheet would take for a formula is written as it is.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, text

from etl.errors import UsageError
from etl.reporting.column_types import DAYS, FLAGS, column_converters, is_instant
from etl.reporting.render import json_text, render

FORMATS: Final = ("parquet", "csv", "jsonl")
MANIFEST: Final = "manifest.json"
BATCH: Final = 20_000
_KINDS: Final = {
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "datetime": "instant",
    "date": "day",
    "bytes": "binary",
}


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view to be written. ``columns``: (name, kind); None where only the rows tell."""

    name: str
    kind: str
    sql: str
    columns: Sequence[tuple[str, str]] | None = None


def write_relation(connection: Connection, relation: Relation, folder: Path, format_: str) -> dict[str, Any]:
    """Write one relation into ``folder`` and return its entry in the manifest.

    Raises: UsageError, where Parquet is wanted and its library is not installed.
    """
    columns = relation.columns or _columns(connection, relation)
    path = folder / f"{relation.name}.{format_}"
    rows = _rows(connection, relation, columns)
    count = _write_parquet(path, columns, rows) if format_ == "parquet" else _write_text(path, columns, rows, format_)
    return {
        "name": relation.name,
        "kind": relation.kind,
        "file": path.name,
        "rows": count,
        "bytes": path.stat().st_size,
        "sha256": _sha256(path),
        "columns": [{"name": name, "type": kind} for name, kind in columns],
    }


def write_manifest(folder: Path, about: dict[str, Any], relations: Sequence[dict[str, Any]]) -> None:
    """Write the manifest, the last file of an export."""
    content = json_text({**about, "relations": list(relations)}, indent=2)
    (folder / MANIFEST).write_text(content + "\n", encoding="utf-8")


def require_parquet() -> None:
    """Make sure that Parquet can be written.

    Raises: UsageError.
    """
    try:
        import pyarrow  # noqa: F401 - only whether it is there
    except ImportError:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed",
            remedy="pip install pyarrow, where favsync is installed; or use --format csv",
        ) from None


def _columns(connection: Connection, relation: Relation) -> list[tuple[str, str]]:
    """Find out what the columns of a view hold; on SQLite only its rows tell."""
    result = connection.execution_options(stream_results=True, yield_per=BATCH).execute(text(relation.sql))
    names = list(result.keys())
    read = column_converters(names)
    kinds: list[set[str]] = [set() for _ in names]
    for row in result:
        for found, reader, value in zip(kinds, read, row, strict=True):
            if value is not None:
                found.add(_KINDS.get(type(reader(value)).__name__, "text"))
    return [(name, _one(found) if found else _told_by(name)) for name, found in zip(names, kinds, strict=True)]


def _one(kinds: set[str]) -> str:
    if kinds <= {"integer", "number"}:
        return "number" if "number" in kinds else "integer"
    return kinds.pop() if len(kinds) == 1 else "text"


def _told_by(name: str) -> str:
    """Return what a column without a single value would hold."""
    if is_instant(name):
        return "instant"
    return "day" if name in DAYS else "boolean" if name in FLAGS or name.startswith("is_") else "text"


def _rows(connection: Connection, relation: Relation, columns: Sequence[tuple[str, str]]) -> Iterator[list[Any]]:
    result = connection.execution_options(stream_results=True, yield_per=BATCH).execute(text(relation.sql))
    by_name = column_converters([name if kind != "boolean" else f"is_{name}" for name, kind in columns])
    own: dict[str, Callable[[Any], Any]] = {"json": _as_json, "binary": bytes, "text": _as_text}
    read = [own.get(kind, reader) for (_, kind), reader in zip(columns, by_name, strict=True)]
    for row in result:
        yield [None if value is None else reader(value) for reader, value in zip(read, row, strict=True)]


def _as_json(value: Any) -> str:
    """Return JSON as text, the same on both engines."""
    plain = json.loads(value) if isinstance(value, str | bytes) else value
    return json_text(json.loads(json.dumps(plain, sort_keys=True)))


def _as_text(value: Any) -> str:
    """Return the text of a column that may hold other values as well."""
    return value if isinstance(value, str) else str(value)


def _write_text(path: Path, columns: Sequence[tuple[str, str]], rows: Iterator[list[Any]], format_: str) -> int:
    counted = _Counted(rows)
    names = [name for name, _ in columns]
    with path.open("w", encoding="utf-8", newline="") as stream:
        render(format_, names, (_printable(row) for row in counted), stream, guards_formulas=False)
    return counted.count


class _Counted:
    def __init__(self, rows: Iterator[list[Any]]) -> None:
        self.count = 0
        self._rows = rows

    def __iter__(self) -> Iterator[list[Any]]:
        for row in self._rows:
            self.count += 1
            yield row


def _printable(row: list[Any]) -> list[Any]:
    return [base64.b64encode(value).decode() if isinstance(value, bytes) else value for value in row]


def _write_parquet(path: Path, columns: Sequence[tuple[str, str]], rows: Iterator[list[Any]]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "instant": pa.timestamp("us", tz="UTC"),
        "day": pa.date32(),
        "binary": pa.binary(),
    }
    schema = pa.schema([(name, types.get(kind, pa.string())) for name, kind in columns])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while batch := list(islice(rows, BATCH)):
            arrays = [
                pa.array(values, type=field.type)
                for values, field in zip(zip(*batch, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(batch)
    return count


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
