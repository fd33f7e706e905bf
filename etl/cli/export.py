"""``favsync export``: every table and view as files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from etl.cli.commands import Verb
from etl.cli.context import Context, pass_context
from etl.cli.options import json_option

FORMATS = ("parquet", "csv", "jsonl")


@click.command("export", cls=Verb)
@click.option(
    "--to",
    "folder",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the files go.",
)
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), default="parquet", show_default=True, help="Kind of the files."
)
@click.option("--force", is_flag=True, help="Replace the export that DIR holds.")
@json_option
@pass_context
def export(context: Context, folder: Path, format_: str, force: bool) -> None:
    r"""Write every table and view into DIR, one file each, with a manifest: rows, columns, types, checksums.

    Tokens are never among them. DIR appears when everything is written, or not at all. Parquet files can be read by DuckDB,
    polars, pandas and others.

    \b
    favsync export --to favourites
    duckdb -c "select * from 'favourites/report_artists.parquet'"
    """
    from etl import __version__, clock
    from etl.db.engine import read_transaction
    from etl.db.migrate import current_of, ready_engine
    from etl.reporting.export import relations, write_manifest, write_relation
    from etl.reporting.parquet import require_parquet

    if format_ == "parquet":
        require_parquet()
    _require_room(folder, force=force)
    engine = ready_engine(context.config.database_url.reveal())
    with read_transaction(engine) as connection, _replacing(folder) as place:
        about = {
            "favsync": __version__,
            "schema": current_of(connection),
            "created_at": clock.now(),
            "format": format_,
        }
        written = [write_relation(connection, relation, place, format_) for relation in relations()]
        write_manifest(place, about, written)
    _tell(context, folder, about, written)


def _require_room(folder: Path, *, force: bool) -> None:
    """Make sure that nothing but an older export would be replaced.

    Raises: UsageError.
    """
    from etl.errors import UsageError
    from etl.reporting.export import MANIFEST

    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / MANIFEST).exists():
        raise UsageError(f"{folder} holds other files", remedy="name a folder that is empty, or does not exist yet")
    if not force:
        raise UsageError(
            f"{folder} holds an export already", remedy="add --force to replace it, or name another folder"
        )


@contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """Give a folder beside ``folder`` that takes its place when all went well, and else is gone."""
    from etl.errors import UsageError

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UsageError(
            f"nothing can be written beside {folder}: {error.strerror}", remedy="choose another place"
        ) from None
    try:
        yield place
        if folder.exists():
            old = folder.rename(place.with_name(f"{place.name}-old"))
            place.rename(folder)
            shutil.rmtree(old)
        else:
            place.rename(folder)
    finally:
        if place.exists():
            shutil.rmtree(place)


def _tell(context: Context, folder: Path, about: dict[str, Any], written: list[dict[str, Any]]) -> None:
    if context.json:
        context.show_json({"folder": str(folder), **about, "relations": written})
        return
    rows = [(each["name"], each["kind"], each["rows"], each["bytes"]) for each in written]
    context.show_rows(("name", "kind", "rows", "bytes"), rows)
    context.say(f"written to {folder}, with manifest.json")
