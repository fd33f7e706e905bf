"""The page of a year: static HTML with pictures in SVG. It holds no script and no remote file, and prints."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from etl.errors import UsageError
from etl.logs import visible
from etl.reporting.html.card import card, card_picture
from etl.reporting.html.document import document, head_tags
from etl.reporting.html.files import write_file
from etl.reporting.year_text import fact_tracks, facts, headline, honesty, name, overview, title

Row = dict[str, Any]


def write_year(reviews: Sequence[Row], target: Path, version: str, card_shape: str | None = None) -> None:
    """Write the page of a year, or with ``card_shape`` the card of its only account, to ``target``.

    Raises: UsageError, for a card of several accounts, PNG without resvg, or a file that cannot be written.
    """
    if card_shape is None:
        write_file(target, year_page(reviews, version))
    elif len(reviews) == 1:
        svg = card(reviews[0], card_shape)
        write_file(target, card_picture(svg) if target.suffix.lower() == ".png" else svg)
    else:
        raise UsageError(f"a card is about one account, not {len(reviews):,}", remedy="choose one with --account")


def year_page(reviews: Sequence[Row], version: str) -> str:
    """Return the page about one or more accounts; more than one begin with an overview that links to each."""
    year = reviews[0]["year"] if reviews else ""
    names = [visible(review["account"]) for review in reviews]
    subject = f"{year} in favourites: {names[0] if len(names) == 1 else f'{len(names):,} accounts'}"
    words = headline(reviews[0]) if len(reviews) == 1 else f"The year {year} of {len(names):,} accounts."
    body = "".join(_account(review, place if len(reviews) > 1 else None) for place, review in enumerate(reviews))
    over = _overview(reviews) if len(reviews) > 1 else ""
    return document(head_tags(subject, words), over + body, version)


def _overview(reviews: Sequence[Row]) -> str:
    rows = []
    for place, review in enumerate(reviews):
        row = overview(review)
        counts = (row[each] for each in ("favourites", "added", "removed", "discoveries", "days_looked"))
        cells = "".join(f'<td class="number">{"not seen" if count is None else f"{count:,}"}</td>' for count in counts)
        cells += f"<td>{escape(row['artist'] or '')}</td>"
        rows.append(
            f'<tr><th scope="row"><a href="#account-{place}">{escape(visible(row["account"]))}</a></th>{cells}</tr>'
        )
    numbers = ("Favourites", "Added", "Removed", "New artists", "Days looked")
    heads = "".join(f'<th scope="col" class="number">{each}</th>' for each in numbers)
    return (
        f'<section class="overview"><p class="eyebrow">Boomplay favourites of {len(reviews):,} accounts</p>'
        f"<h1>{reviews[0]['year']}</h1>"
        '<div class="wide" tabindex="0" role="region" aria-label="Accounts">'
        f'<table><thead><tr><th scope="col">Account</th>{heads}<th scope="col">Artist of the year</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>\n"
    )


def _account(review: Row, place: int | None) -> str:
    """Return the article of an account. ``place``: its place in the overview, None where there is none."""
    level, below = ("h1", "h2") if place is None else ("h2", "h3")
    cards = "".join(
        f"<li><span>{escape(fact.label)}</span><b>{escape(fact.answer)}</b><span>{escape(fact.detail)}</span></li>"
        for fact in facts(review)
    )
    anchor = "" if place is None else f' id="account-{place}"'
    return (
        f'<article{anchor}>\n<header><p class="eyebrow">Boomplay favourites of {escape(visible(review["account"]))}</p>'
        f'<{level}>{review["year"]}</{level}><p class="lede">{escape(headline(review))}</p>{_covers(review)}</header>\n'
        f'<ul class="facts">{cards}</ul>\n{_ranks(review, below)}{_months(review, below)}{_shared(review)}'
        f'<p class="note">{escape(honesty(review))}</p>\n</article>\n'
    )


def _covers(review: Row) -> str:
    """Return the covers of the tracks that the facts name, each with its title; empty without ``--covers``."""
    pictures = review.get("covers", {})
    found = {pictures[track["track_id"]]: track for track in fact_tracks(review) if track["track_id"] in pictures}
    items = "".join(
        f'<li><img src="{escape(picture)}" alt="Cover of {escape(title(track))}" width="160" height="160"></li>'
        for picture, track in found.items()
    )
    return f'<ul class="covers">{items}</ul>' if items else ""


def _ranks(review: Row, level: str) -> str:
    parts = []
    for head, kind in (("Artists", "top_artists"), ("Genres", "top_genres")):
        rows = "".join(f"<li><span>{escape(name(row))}</span> <b>{row['tracks']:,}</b></li>" for row in review[kind])
        parts.append(
            f"<section><{level}>{head} of the year, by tracks added</{level}><ol>{rows}</ol></section>" if rows else ""
        )
    return f'<div class="ranks">{"".join(parts)}</div>\n' if any(parts) else ""


def _months(review: Row, level: str) -> str:
    if not review["observed"]["looks"]:
        return ""
    most = max(max(month["added"], month["removed"]) for month in review["months"]) or 1
    bars = []
    for month in review["months"]:
        x, up, down = (month["month"] - 1) * 80, 74 * month["added"] / most, 70 * month["removed"] / most
        if month["days_looked"]:
            bars.append(f'<rect class="added" x="{x}" y="{100 - up:.1f}" width="64" height="{up:.1f}"/>')
            bars.append(f'<rect class="removed" x="{x}" y="102" width="64" height="{down:.1f}"/>')
            bars.append(f'<text x="{x + 32}" y="{92 - up:.1f}">+{month["added"]:,}</text>')
            bars.append(f'<text x="{x + 32}" y="{122 + down:.1f}">−{month["removed"]:,}</text>')
        else:
            bars.append(f'<rect class="unseen" x="{x + 1}" y="60" width="62" height="80"/>')
        words = "JanFebMarAprMayJunJulAugSepOctNovDec"[(month["month"] - 1) * 3 :][:3]
        bars.append(f'<text x="{x + 32}" y="216">{words}</text>')
    spoken = ", ".join(
        f"month {month['month']}: {month['added']} added, {month['removed']} removed"
        if month["days_looked"]
        else f"month {month['month']}: no look"
        for month in review["months"]
    )
    return (
        f'<section class="months"><{level}>Month by month</{level}><svg viewBox="0 0 944 222" role="img" aria-label="{spoken}">'
        f'{"".join(bars)}</svg><p class="note">Above the line: added. Below: removed. A dashed box: '
        "nobody looked in that month.</p></section>\n"
    )


def _shared(review: Row) -> str:
    svg = card(review, "wide", is_inline=True)
    return f'<details><summary>A card to share</summary><div class="card">{svg}</div></details>\n'
