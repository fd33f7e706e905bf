"""A digest as HTML for mail: inline styles only, one column, no script and nothing from elsewhere.

The changes are grouped by look at the list, the newest first. Mail readers keep inline styles and drop style sheets; the colours
have enough contrast on the white that most of them enforce.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from itertools import groupby
from typing import Final

from etl.reporting.digest import Row

FONT: Final = "-apple-system,'Segoe UI',Roboto,'Noto Sans',Arial,sans-serif"
_SOFT: Final = "color:#5d584f;font-size:14px"
_MARKS: Final = {"added": ("+", "#0b7568"), "back": ("↺", "#0a5fa8"), "removed": ("−", "#b3421d")}


def look_groups(changes: Sequence[tuple[str, Row]]) -> Iterator[tuple[datetime, list[tuple[str, Row]]]]:
    """Yield each look that saw one of ``changes`` (kind and row), with its own, the newest look first."""
    newest_first = sorted(changes, key=lambda change: change[1]["changed_at"], reverse=True)
    for look, found in groupby(newest_first, key=lambda change: change[1]["changed_at"]):
        yield look, list(found)


def mail(headline: str, numbers: Sequence[tuple[str, int]], parts: Sequence[str]) -> str:
    """Return the mail: the numbers large (kind and count), the headline, and the parts below."""
    large = "&nbsp; ".join(
        f'<span style="color:{_MARKS[kind][1]}">{_MARKS[kind][0]}{count:,}</span>' for kind, count in numbers if count
    )
    number = f'<p style="margin:0 0 4px;font-size:44px;line-height:1.1;font-weight:800">{large}</p>\n' if large else ""
    return (
        f'<div style="max-width:600px;margin:0 auto;padding:24px 16px;font:16px/1.5 {FONT};color:#1d1b18;background:#ffffff">\n'
        f'{number}<h2 style="margin:0 0 8px;font-size:18px;line-height:1.4;font-weight:600">{escape(headline)}</h2>\n'
        f"{chr(10).join(parts)}\n</div>"
    )


def section(heading: str, lines: Sequence[tuple[str, str]], more: int) -> str:
    """Return a heading with its lines, each a main text and a detail, and how many more there are."""
    return _list(heading, [_line(escape(main), detail) for main, detail in lines], more)


def look(heading: str, lines: Sequence[tuple[str, str, str]]) -> str:
    """Return what one look saw. ``lines``: kind, main text and detail of each change."""
    items = []
    for kind, main, detail in lines:
        sign, colour = _MARKS[kind]
        mark = f'<b style="color:{colour}">{sign} {kind}</b>'
        items.append(_line(f"{mark} {escape(main)}", detail))
    return _list(heading, items, 0)


def remainder(heading: str, more: int) -> str:
    """Return the line for changes that are left out."""
    return f'<p style="margin:8px 0;{_SOFT}">… and {more:,} more: {escape(heading)}</p>'


def _list(heading: str, items: Sequence[str], more: int) -> str:
    left_out = [f'<li style="padding:8px 0;{_SOFT}">… and {more:,} more</li>'] if more else []
    return (
        f'<h3 style="margin:28px 0 4px;font-size:15px;font-weight:600;color:#0a6b61">{escape(heading)}</h3>\n'
        f'<ul style="margin:0;padding:0;list-style:none">\n{chr(10).join([*items, *left_out])}\n</ul>'
    )


def _line(main: str, detail: str) -> str:
    about = f'<br><span style="{_SOFT}">{escape(detail)}</span>' if detail else ""
    return f'<li style="padding:8px 0;border-bottom:1px solid #e3ddd1;overflow-wrap:anywhere">{main}{about}</li>'
