"""Shows bytes as hexadecimal digits: Datasette 0.65 fails at a view with a column of bytes, as `track_versions` has."""

from datasette import hookimpl


@hookimpl
def render_cell(value: object) -> str | None:
    """Return what stands in a cell, None for all that Datasette shows itself."""
    return value.hex() if isinstance(value, bytes) else None
