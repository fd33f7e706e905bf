"""Puts the page together: one file that needs nothing else, and lets nothing else in.

What comes from the database stands in one JSON block, in which ``<`` is escaped, and reaches the page only as text nodes and
numbers. The Content Security Policy names the hash of every script and style sheet in the file, and allows nothing but these:
no network, no eval, no inline handlers. So a hostile title is a title.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from etl.reporting.render import json_text

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = (
    "d3.min.js",
    "topojson-client.min.js",
    "base.js",
    "time.js",
    "who.js",
    "lasting.js",
    "map.js",
    "tables.js",
    "main.js",
)
STYLES = ("page.css",)


def page(story: dict[str, Any]) -> str:
    """Return the page that tells ``story``."""
    world = asset("world.json")
    font = base64.b64encode((ASSETS / "heading.woff2").read_bytes()).decode()
    styles = ["\n".join(asset(name) for name in STYLES).replace("FONT_BASE64", font)]
    scripts = [asset(name) for name in SCRIPTS]
    blocks = {
        "POLICY": policy(scripts, styles),
        "STYLES": "\n".join(f"<style>{style}</style>" for style in styles),
        "STORY": f'<script type="application/json" id="story">{shielded(json_text(story))}</script>',
        "WORLD": f'<script type="application/json" id="world">{shielded(world)}</script>',
        "SCRIPTS": "\n".join(f"<script>{script}</script>" for script in scripts),
    }
    html = asset("page.html")
    parts = [html]
    for name, block in blocks.items():  # split, not replaced: what was put in is never searched again
        before, after = parts.pop().split(f"<!--{name}-->")
        parts += [before, block, after]
    return "".join(parts)


def shielded(json: str) -> str:
    """Return JSON in which nothing can end the script element that holds it."""
    return json.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(scripts: list[str], styles: list[str]) -> str:
    """Return the Content Security Policy under which exactly these scripts and style sheets have effect."""
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(map(_hash, scripts)),
        "style-src": " ".join(map(_hash, styles)),
        "font-src": "data:",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    content = "; ".join(f"{name} {value}" for name, value in rules.items())
    return f'<meta http-equiv="Content-Security-Policy" content="{content}">'


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def asset(name: str) -> str:
    """Return the text of a file in `ASSETS`."""
    return (ASSETS / name).read_text(encoding="utf-8").strip()
