"""Parquet files, for DuckDB, pandas and polars. The only module that imports pyarrow, which is an optional extra.

Instants are UTC with microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Final

from etl.errors import UsageError
from etl.reporting.column_types import column_kinds
from etl.reporting.query import ResultSet

BATCH: Final = 20_000
"""Rows that are written at once."""


def has_parquet() -> bool:
    """True if pyarrow is installed."""
    return find_spec("pyarrow") is not None


def require_parquet() -> None:
    """Raise UsageError if pyarrow is not installed."""
    if not has_parquet():
        raise UsageError(
            "Parquet needs pyarrow, which is not installed",
            remedy="run `pip install pyarrow` where favsync is installed, or use --format csv",
        )


def write_parquet(result: ResultSet, target: Path) -> int:
    """Write ``result`` to ``target``, and return the number of its rows.

    Raises: UsageError, where pyarrow is not installed or the file cannot be written.
    """
    rows = list(result.rows)  # the type of a column depends on all of its values
    columns = list(zip(result.columns, column_kinds(result.columns, rows), strict=True))
    try:
        return write_rows(target, columns, iter(rows))
    except OSError as error:
        raise UsageError(
            f"{target} cannot be written: {error.strerror or error}", remedy="name another file"
        ) from error


def write_rows(target: Path, columns: Sequence[tuple[str, str]], rows: Iterator[Sequence[Any]]) -> int:
    """Write ``rows`` in batches, and return their number. ``columns``: name and kind (see `column_kinds`) of each.

    Raises: UsageError, where pyarrow is not installed; OSError.
    """
    require_parquet()
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
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        while batch := list(islice(rows, BATCH)):
            arrays = [
                pa.array(values, type=field.type)
                for field, values in zip(schema, zip(*batch, strict=True), strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(batch)
    return count


def read_rows(source: Path, columns: Sequence[str], max_bytes: int) -> Iterator[dict[str, Any]]:
    """Yield the ``columns`` of the rows of a Parquet file, with at most about ``max_bytes`` in memory.

    Raises: UsageError, where pyarrow is not installed; OSError; ValueError, where the file is damaged or a group of its rows
    unpacks to more than ``max_bytes``.
    """
    require_parquet()
    import pyarrow.parquet as pq

    with pq.ParquetFile(source) as file:
        groups = (file.metadata.row_group(at) for at in range(file.metadata.num_row_groups))
        largest = max((group.total_byte_size for group in groups), default=0)
        if largest > max_bytes:
            raise ValueError(f"{source.name} has rows that unpack to {largest:,} bytes, more than {max_bytes:,}")
        # Each row of a batch may repeat one long value, which the file holds once.
        size = min(BATCH, max_bytes // max(largest, 1))
        for batch in file.iter_batches(size, columns=list(columns)):
            yield from batch.to_pylist()
