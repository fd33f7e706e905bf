"""A card to share: the year as one SVG picture, upright (1080 by 1920) or wide (1200 by 630), made without a network.

It shows what its reader sees and nothing else: no account id, no address, no metadata. Text from the database is escaped.
"""

from __future__ import annotations

import unicodedata
from html import escape
from typing import Any, Final, NamedTuple

from etl.logs import visible
from etl.reporting.year_text import counted, name, title

Row = dict[str, Any]
FONT: Final = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans Ethiopic', 'Noto Sans Arabic', sans-serif"


class CardShape(NamedTuple):
    """The size of a card, and where its parts are. ``line``: distance of two lines. ``columns``: of facts."""

    width: int
    height: int
    margin: int
    large: int
    text: int
    line: int
    columns: int


SHAPES: Final = {
    "upright": CardShape(1080, 1920, 90, 190, 46, 190, 1),
    "wide": CardShape(1200, 630, 60, 96, 27, 96, 2),
}


def card(review: Row, shape_name: str) -> str:
    """Return the card of a year as an SVG document. ``shape_name``: a key of `SHAPES`."""
    shape = SHAPES[shape_name]
    top = shape.margin + shape.large
    parts = [
        _text(shape.margin, top, shape.large, "#ffffff", str(review["year"]), weight=800),
        _text(
            shape.margin,
            top + shape.text * 2,
            shape.text,
            "#bfeee4",
            f"Boomplay favourites of {visible(review['account'])}",
            shape=shape,
        ),
        *_numbers(review, shape, top + shape.text * 5),
        *_lines(review, shape, top + shape.text * 7.2),
        *_bars(review, shape),
        _text(shape.margin, shape.height - shape.margin / 2, shape.text * 0.6, "#bfeee4", _foot(review), shape=shape),
    ]
    words = escape(f"{review['year']} in Boomplay favourites of {visible(review['account'])}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {shape.width} {shape.height}" width="{shape.width}" '
        f'height="{shape.height}" role="img" aria-label="{words}" font-family="{escape(FONT)}">'
        '<defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#08514a"/>'
        '<stop offset="0.6" stop-color="#0b3d4a"/><stop offset="1" stop-color="#7a3416"/></linearGradient></defs>'
        f'<rect width="{shape.width}" height="{shape.height}" fill="url(#g)"/>{"".join(parts)}</svg>'
    )


def _numbers(review: Row, shape: CardShape, y: float) -> list[str]:
    if not review["observed"]["looks"]:
        return [_text(shape.margin, y, shape.text, "#ffffff", "Nobody looked at the list in this year.", shape=shape)]
    numbers = [
        (f"+{review['added']:,}", "added"),
        (f"−{review['removed']:,}", "removed"),
        (f"{review['favourites_at_end']:,}", "favourites"),
    ]
    step = (shape.width - 2 * shape.margin) / len(numbers)
    found = []
    for place, (number, word) in enumerate(numbers):
        x = shape.margin + place * step
        found += [
            _text(x, y, shape.text * 1.9, "#ffffff", number, weight=800),
            _text(x, y + shape.text * 1.2, shape.text * 0.8, "#bfeee4", word),
        ]
    return found


def _lines(review: Row, shape: CardShape, y: float) -> list[str]:
    artist, comeback, discoveries = review["artist"], review["comeback"], review["discoveries"]
    lines = [
        ("Artist of the year", name(artist) if artist else None),
        ("First love", title(review["first_love"]) if review["first_love"] else None),
        ("Discoveries", counted(discoveries["count"], "new artist") if discoveries else None),
        ("Comeback of the year", title(comeback) if comeback else None),
    ]
    found = []
    wide = (shape.width - 2 * shape.margin) / shape.columns
    for place, (label, answer) in enumerate((label, answer) for label, answer in lines if answer):
        x = shape.margin + place % shape.columns * wide
        at = y + place // shape.columns * shape.line
        found += [
            _text(x, at + shape.text, shape.text * 0.8, "#ffc9a8", label),
            _text(
                x,
                at + shape.text * 2.35,
                shape.text * 1.15,
                "#ffffff",
                _cut(answer, wide / shape.text * 1.55),
                weight=700,
            ),
        ]
    return found


def _bars(review: Row, shape: CardShape) -> list[str]:
    """Return the additions of each month. A month without a look is a dashed outline, not an empty bar."""
    if shape.columns > 1:
        return []
    most = max((month["added"] for month in review["months"]), default=0) or 1
    wide, tall = (shape.width - 2 * shape.margin) / 12, 190
    bottom = shape.height - shape.margin * 1.9
    found = []
    for month in review["months"]:
        x, high = shape.margin + (month["month"] - 1) * wide, max(4, tall * month["added"] / most)
        style = 'fill="#7fe0cd"' if month["days_looked"] else 'fill="none" stroke="#7fe0cd" stroke-dasharray="6 6"'
        high = high if month["days_looked"] else 40
        found.append(
            f'<rect x="{x:.0f}" y="{bottom - high:.0f}" width="{wide - 12:.0f}" height="{high:.0f}" rx="6" {style}/>'
        )
        found.append(
            _text(x + (wide - 12) / 2, bottom + 40, 28, "#bfeee4", "JFMAMJJASOND"[month["month"] - 1], anchor="middle")
        )
    return found


def _foot(review: Row) -> str:
    seen = review["observed"]
    return f"seen on {seen['days_looked']:,} of {seen['days']:,} days · made by favsync"


def _text(x: float, y: float, size: float, colour: str, words: str, **how: Any) -> str:
    shape = how.get("shape")
    shown = _cut(words, (shape.width - 2 * shape.margin) / size * 1.75) if shape else words
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size:.0f}" font-weight="{how.get("weight", 500)}" '
        f'text-anchor="{how.get("anchor", "start")}" fill="{colour}">{escape(shown)}</text>'
    )


def _cut(words: str, width: float) -> str:
    """Return the words cut to about ``width`` narrow characters; an East Asian character or a symbol takes two."""
    taken = 0
    for place, character in enumerate(words):
        taken += 2 if unicodedata.east_asian_width(character) in "WF" or ord(character) > 0x1F000 else 1
        if taken > width:
            return f"{words[:place].rstrip()}…"
    return words
