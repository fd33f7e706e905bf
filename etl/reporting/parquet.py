"""Rows as Parquet, for DuckDB, pandas and polars. Sole owner of pyarrow, which is an extra.

A column that is all NULL is text, as in SQL nothing tells more; instants are UTC to the microsecond.
"""

from __future__ import annotations

from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from etl.errors import UsageError
from etl.reporting.column_types import DAYS, is_instant
from etl.reporting.query import ResultSet

GROUP: Final = 50_000


def write_parquet(answer: ResultSet, target: Path) -> None:
    """Write ``answer`` to ``target``.

    Raises:
        UsageError: pyarrow is not installed, or the file cannot be written.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed",
            remedy="pip install pyarrow, where favsync is installed; or use --format csv",
        ) from None
    rows = iter(answer.rows)
    group = list(islice(rows, GROUP))
    schema = arrow.schema(
        [(name, _type(arrow, name, [row[at] for row in group])) for at, name in enumerate(answer.columns)]
    )
    try:
        with parquet.ParquetWriter(target, schema) as writer:
            while True:
                columns = [arrow.array([row[at] for row in group], kind.type) for at, kind in enumerate(schema)]
                writer.write_table(arrow.table(columns, schema=schema))
                group = list(islice(rows, GROUP))
                if not group:
                    return
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error}", remedy="choose another place") from error


def _type(arrow: Any, name: str, values: list[Any]) -> Any:
    """Return the type of a column: by its name where that tells, else by what it holds."""
    if is_instant(name):
        return arrow.timestamp("us", tz="UTC")
    if name in DAYS:
        return arrow.date32()
    held = {type(value) for value in values if value is not None}
    if held <= {bool}:
        return arrow.bool_() if held else arrow.string()
    if held <= {int}:
        return arrow.int64()
    if held <= {int, float}:
        return arrow.float64()
    assert not held & {datetime, date}, name  # noqa: S101 - their names tell
    return arrow.string()
