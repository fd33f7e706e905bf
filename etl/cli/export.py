"""``favsync export``: every table and view as files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from etl import __version__, clock
from etl.cli.commands import verb
from etl.cli.context import Context
from etl.db.engine import read_transaction
from etl.db.migrate import current_of
from etl.errors import UsageError
from etl.reporting.export import MANIFEST, relations, write_manifest, write_relation
from etl.reporting.parquet import has_parquet, require_parquet

COLUMNS = ("name", "kind", "rows", "bytes")


@verb("export")
@click.option(
    "--to",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the files.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(("parquet", "csv", "jsonl")),
    help="File format. [default: parquet, or csv if pyarrow is not installed]",
)
@click.option("--force", is_flag=True, help="Replace an existing export in DIR.")
def export(context: Context, folder: Path, format_: str | None, force: bool) -> None:
    r"""Write every table and view into DIR, one file each, with a manifest of rows, columns, types and checksums.

    Tokens are not exported. DIR appears when everything is written, or not at all. DuckDB, polars, pandas and others read
    the Parquet files.

    \b
    favsync export --to favourites
    duckdb -c "select * from 'favourites/report_artists.parquet'"
    """
    if format_ is None:
        format_ = "parquet" if has_parquet() else "csv"
        if format_ == "csv":
            context.say("writing CSV, as pyarrow is not installed; `pip install pyarrow` makes Parquet possible")
    elif format_ == "parquet":
        require_parquet()
    if folder.exists() and any(folder.iterdir()):  # only an earlier export may be replaced
        if not (folder / MANIFEST).exists():
            remedy = "name a folder that is empty or does not exist yet"
            raise UsageError(f"{folder} contains other files", remedy=remedy)
        if not force:
            remedy = "add --force to replace it, or name another folder"
            raise UsageError(f"{folder} already contains an export", remedy=remedy)
    with read_transaction(context.open_database()) as connection, _replacing(folder) as place:
        schema = current_of(connection)
        about = {"favsync": __version__, "schema": schema, "created_at": clock.now(), "format": format_}
        written = [write_relation(connection, relation, place, format_) for relation in relations()]
        write_manifest(place, about, written)
    if context.json:
        context.show_json({"folder": str(folder), **about, "relations": written})
        return
    context.show_rows(COLUMNS, [[each[column] for column in COLUMNS] for each in written])
    context.say(f"written to {folder}, with {MANIFEST}")


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces ``folder`` on success and is deleted on failure."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UsageError(
            f"cannot write into {folder.parent}: {error.strerror}", remedy="choose another folder"
        ) from None
    try:
        yield place
        old = folder.rename(place.with_name(f"{place.name}-old")) if folder.exists() else None
        place.rename(folder)
        if old is not None:
            shutil.rmtree(old)
    finally:
        if place.exists():
            shutil.rmtree(place)
