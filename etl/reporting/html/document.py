"""A static page: a complete HTML document with one style sheet and at most one script, in one file without external resources.

The Content Security Policy allows the file's scripts and style sheet, by their hashes, and nothing else: no network, no eval, no
inline handlers.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from etl.reporting.html.files import asset, heading_font


def policy(scripts: Sequence[str], style: str) -> str:
    """Return the element that allows these scripts and this style sheet only."""

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    rules = {
        "default-src": "'none'",
        "script-src": " ".join(map(source, scripts)) or "'none'",
        "style-src": source(style),
        "font-src": "data:",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    content = "; ".join(f"{name} {value}" for name, value in rules.items())
    return f'<meta http-equiv="Content-Security-Policy" content="{content}">'


def head_tags(title: str, words: str) -> str:
    """Return the title and the tags for previews of a page."""
    values = {"og:title": title, "og:description": words, "og:type": "article", "og:site_name": "favsync"}
    tags = [f'<meta property="{name}" content="{escape(value)}">' for name, value in values.items()]
    return "\n".join([f"<title>{escape(title)}</title>", f'<meta name="description" content="{escape(words)}">', *tags])


def document(head: str, body: str, version: str, script: str = "") -> str:
    """Return the page with ``body`` in its main element. ``head``: its `head_tags`."""
    style = asset("year.css").replace("FONT_BASE64", heading_font())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"{policy([script] if script else [], style)}\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        f'<meta name="referrer" content="no-referrer">\n{head}\n<style>{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n'
        f"<footer>Made by favsync {escape(version)}. All times are UTC. This file needs no network.</footer>\n"
        f"{f'<script>{script}</script>' if script else ''}</body>\n</html>\n"
    )
