"""A card to share: the year as one picture, upright (1080 by 1920) or wide (1200 by 630), made without a network.

It shows what its reader sees and nothing else: no account id, no address, no metadata. Text from the database is escaped.
The SVG is the source; `card_picture` draws a PNG from it with resvg, which is an optional extra that no other module imports.
"""

from __future__ import annotations

import unicodedata
from html import escape
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from etl.errors import UsageError, counted
from etl.logs import visible
from etl.reporting.html.files import ASSETS, heading_font
from etl.reporting.year_text import fact_tracks, name, title

Row = dict[str, Any]
FONT: Final = "'favsync heading', system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans Ethiopic', sans-serif"
SOFT, WARM, WHITE, BRIGHT = "#bfeee4", "#ffc9a8", "#ffffff", "#7fe0cd"
MAX_COVERS: Final = 5
ADVANCE: Final = 0.56
"""Width of a usual character of a heading, as a part of its size."""


class CardShape(NamedTuple):
    """The size of a card, and where its parts are: the top of each, and the widths of both columns.

    The wide card has the facts beside the numbers, the upright one below them. ``line``: distance of two facts.
    """

    width: int
    height: int
    margin: int
    year: int
    text: int
    column: int
    facts_x: int
    facts_y: int
    line: int
    bars: int

    @property
    def facts_width(self) -> int:
        """The width that a fact may take."""
        return self.width - self.margin - self.facts_x


SHAPES: Final = {
    "upright": CardShape(1080, 1920, 80, 340, 40, 920, 80, 770, 190, 170),
    "wide": CardShape(1200, 630, 60, 190, 25, 480, 620, 82, 116, 76),
}


def card(review: Row, shape_name: str, *, is_inline: bool = False) -> str:
    """Return the card of a year as an SVG document. ``shape_name``: a key of `SHAPES`.

    ``is_inline``: for a page that has the font already, and whose policy allows no other style sheet.
    """
    shape = SHAPES[shape_name]
    year_y = shape.text * 2.6 + shape.year * 0.86
    words = f"Boomplay favourites of {visible(review['account'])}"
    covers = _covers(review, shape)
    parts = [
        _text((shape.margin, shape.text * 2.6), shape.text, SOFT, _fit(words, shape.text, shape.column)[0]),
        _text((shape.margin - shape.year * 0.04, year_y), shape.year, WHITE, str(review["year"]), weight=800),
        *_numbers(review, shape, year_y + shape.text * 3),
        *(covers or _bars(review, shape)),
        *_facts(review, shape),
        _text((shape.margin, shape.height - shape.margin * 0.6), shape.text * 0.66, SOFT, _foot(review)),
    ]
    style = "" if is_inline else _font_style()
    spoken = escape(f"{review['year']} in {words}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {shape.width} {shape.height}" width="{shape.width}" '
        f'height="{shape.height}" role="img" aria-label="{spoken}" '
        f'font-family="{escape(FONT)}">{style}'
        '<defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="#08514a"/>'
        '<stop offset="0.6" stop-color="#0b3d4a"/><stop offset="1" stop-color="#7a3416"/></linearGradient></defs>'
        f'<rect width="{shape.width}" height="{shape.height}" fill="url(#g)"/>{"".join(parts)}</svg>'
    )


def card_picture(svg: str) -> bytes:
    """Return the card ``svg`` as PNG. Scripts that the heading font does not have are drawn with the machine's fonts.

    Raises: UsageError, where resvg is not installed.
    """
    if find_spec("resvg_py") is None:
        raise UsageError(
            "a card as PNG needs resvg-py, which is not installed",
            remedy="run `pip install resvg-py` where favsync is installed, or name a file that ends in .svg",
        )
    from resvg_py import svg_to_bytes

    return svg_to_bytes(svg_string=svg, font_files=[str(ASSETS / "heading.ttf")])


def _font_style() -> str:
    source = f"url(data:font/woff2;base64,{heading_font()})"
    return f"<style>@font-face{{font-family:'favsync heading';font-weight:200 800;src:{source}}}</style>"


def _numbers(review: Row, shape: CardShape, y: float) -> list[str]:
    if not review["observed"]["looks"]:
        return [_text((shape.margin, y), shape.text, WHITE, "Nobody looked at the list in this year.")]
    numbers = [
        (f"+{review['added']:,}", "added"),
        (f"−{review['removed']:,}", "removed"),
        (f"{review['favourites_at_end']:,}", "favourites"),
    ]
    step = shape.column / len(numbers)
    size = min(shape.text * 2, *(_size(number, shape.text * 2, step * 0.9) for number, _ in numbers))
    found = []
    for place, (number, word) in enumerate(numbers):
        x = shape.margin + place * step
        found += [
            _text((x, y), size, WHITE, number, weight=800),
            _text((x, y + shape.text * 1.15), shape.text * 0.8, SOFT, word),
        ]
    return found


def _facts(review: Row, shape: CardShape) -> list[str]:
    artist, comeback, discoveries = review["artist"], review["comeback"], review["discoveries"]
    facts = [
        ("Artist of the year", name(artist) if artist else None),
        ("First love", title(review["first_love"]) if review["first_love"] else None),
        ("Discoveries", counted(discoveries["count"], "new artist") if discoveries else None),
        ("Comeback of the year", title(comeback) if comeback else None),
    ]
    found = []
    for place, (label, answer) in enumerate((label, answer) for label, answer in facts if answer):
        y = shape.facts_y + place * shape.line
        words, size = _fit(answer, shape.text * (1.9 if place == 0 else 1.6), shape.facts_width)
        found += [
            _text((shape.facts_x, y), shape.text * 0.8, WARM, label),
            _text((shape.facts_x, y + shape.text * 0.5 + size * 0.95), size, WHITE, words, weight=700),
        ]
    return found


def _bars(review: Row, shape: CardShape) -> list[str]:
    """Return the additions of each month. A month without a look is a dashed outline, not an empty bar."""
    if not review["observed"]["looks"]:
        return []
    most = max(month["added"] for month in review["months"]) or 1
    wide, tall = shape.column / 12, shape.bars
    bottom = shape.height - shape.margin * 0.6 - shape.text * 3
    found = []
    for month in review["months"]:
        x = shape.margin + (month["month"] - 1) * wide
        is_seen = bool(month["days_looked"])
        style = f'fill="{BRIGHT}"' if is_seen else f'fill="none" stroke="{BRIGHT}" stroke-dasharray="6 6"'
        high = max(4, tall * month["added"] / most) if is_seen else tall * 0.25
        found.append(
            f'<rect x="{x:.0f}" y="{bottom - high:.0f}" width="{wide * 0.84:.0f}" height="{high:.0f}" '
            f'rx="{wide * 0.08:.0f}" {style}/>'
        )
        letter = "JFMAMJJASOND"[month["month"] - 1]
        at = (x + wide * 0.42, bottom + shape.text * 0.95)
        found.append(_text(at, shape.text * 0.66, SOFT, letter, anchor="middle"))
    return found


def _covers(review: Row, shape: CardShape) -> list[str]:
    """Return the covers of the year's tracks in a row where the bars would be, nothing where there are none."""
    gap = shape.text * 0.5
    side = (shape.column - gap * (MAX_COVERS - 1)) / MAX_COVERS
    y = shape.height - shape.margin * 0.6 - shape.text * 2 - side
    found = [review.get("covers", {}).get(track["track_id"]) for track in fact_tracks(review)]
    return [
        f'<image x="{shape.margin + place * (side + gap):.0f}" y="{y:.0f}" width="{side:.0f}" height="{side:.0f}" '
        f'preserveAspectRatio="xMidYMid slice" href="{escape(picture)}"/>'
        for place, picture in enumerate(list(dict.fromkeys(filter(None, found)))[:MAX_COVERS])
    ]


def _foot(review: Row) -> str:
    seen = review["observed"]
    return f"seen on {seen['days_looked']:,} of {seen['days']:,} days · made by favsync"


def _text(at: tuple[float, float], size: float, colour: str, words: str, **how: Any) -> str:
    return (
        f'<text x="{at[0]:.0f}" y="{at[1]:.0f}" font-size="{size:.0f}" font-weight="{how.get("weight", 500)}" '
        f'text-anchor="{how.get("anchor", "start")}" fill="{colour}">{escape(words)}</text>'
    )


def _fit(words: str, size: float, width: float) -> tuple[str, float]:
    """Return the words and the size at which they take at most ``width``: smaller by a third at most, then cut."""
    smaller = max(size / 1.5, _size(words, size, width))
    return _cut(words, width / smaller / ADVANCE), smaller


def _size(words: str, size: float, width: float) -> float:
    """Return the size, at most ``size``, at which the words take ``width``."""
    return min(size, width / ADVANCE / max(1, sum(map(_width, words))))


def _width(character: str) -> int:
    """Return the width in usual characters: an East Asian character or a symbol takes two, an accent none."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" or ord(character) > 0x1F000 else 1


def _cut(words: str, width: float) -> str:
    """Return the words cut to about ``width`` usual characters."""
    taken = 0
    for place, character in enumerate(words):
        taken += _width(character)
        if taken > width:
            return f"{words[:place].rstrip()}…"
    return words
