"""What `favsync backfill --from . --complete` makes of export files as people have them.

A, B, C are favourites since an earlier complete export. A shape names its files, the tracks that are favourites afterwards, the
exit code, and words that the output must hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from etl.cli import main
from etl.db.engine import open_engine, read_transaction
from etl.db.tables import favourites
from tests.support.past import account_in, assert_rebuilt, import_past, past_snapshot

A, B, C = 54230701, 54230702, 54230703
D = 54230704
DAY = "2026-03-01"
Content = str | bytes | list[object] | dict[str, object]


@dataclass(frozen=True)
class Shape:
    """``files``: contents by name. ``kept``: the favourites afterwards. ``words``: what the output names."""

    name: str
    files: dict[str, Content]
    kept: tuple[int, ...]
    code: int
    words: tuple[str, ...] = ()


def shape(name: str, files: dict[str, Content], kept: tuple[int, ...], code: int, *words: str) -> Shape:
    return Shape(name, files, kept, code, words)


def csv(*rows: object, end: str = "\n") -> str:
    return "\n".join(map(str, rows)) + end


ALL, WITHOUT_C = (A, B, C), (A, B)

UNREAD = [
    shape("a half-downloaded page", {f"{DAY}-p1.json": [A, B], f"{DAY}-p2.json.part": [C]}, ALL, 6, "p2.json.part"),
    shape(
        "a half-downloaded file without a date",
        {f"{DAY}.json": [A, B], "Unconfirmed 7.crdownload": [C]},
        ALL,
        6,
        "7.crd",
    ),
    shape("a hidden page", {f"{DAY}-p1.json": [A, B], f".{DAY}-p2.json": [C]}, ALL, 6, "is hidden"),
    shape("a hidden folder", {f"{DAY}/p1.json": [A, B], f"{DAY}/.more/p2.json": [C]}, ALL, 6, ".more"),
    shape("a page in another format", {f"{DAY}/p1.json": [A, B], f"{DAY}/p2.xlsx": b"PK\x03\x04"}, ALL, 6, "p2.xlsx"),
    shape("an empty page", {f"{DAY}-p1.json": [A, B], f"{DAY}-p2.json": ""}, ALL, 6, "is empty"),
    shape("a page that is an error", {f"{DAY}-p1.json": [A, B], f"{DAY}-p2.json": {"code": 401}}, ALL, 6, "code 401"),
    shape(
        "a web page instead of a page", {f"{DAY}-p1.json": [A, B], f"{DAY}-p2.json": "<html>no</html>\n"}, ALL, 6, "p2"
    ),
    shape("a note without a date", {f"{DAY}.json": [A, B], "notes.md": "x"}, ALL, 6, "notes.md"),
    shape(
        "an unread file of another week", {f"{DAY}.json": [A, B], "2026-02-01.pdf": "x"}, WITHOUT_C, 0, "2026-02-01.pdf"
    ),
    shape(
        "a broken file of the day before", {f"{DAY}.json": [A, B], "2026-02-28.json": "{"}, WITHOUT_C, 6, "2026-02-28"
    ),
    shape(
        "files that systems leave",
        {f"{DAY}.json": [A, B], "._x.json": "x", ".DS_Store": "x", "__MACOSX/p2.json": "x", ".git/p2.json": [C]},
        WITHOUT_C,
        0,
    ),
]
ROWS = [
    shape(
        "a comma in a title", {f"{DAY}.csv": csv("title,plays,track_id", f"One,1,{A}", "A, B,2,31")}, ALL, 6, "line 3"
    ),
    shape("a short row", {f"{DAY}.csv": csv("track_id,title", f"{A},a", B)}, ALL, 6, "line 3"),
    shape("a row of blanks", {f"{DAY}.csv": csv("track_id,title", f"{A},a", ",", f"{B},b")}, WITHOUT_C, 0),
    shape("the header twice", {f"{DAY}.csv": csv("track_id,t", f"{A},a", "track_id,t", f"{B},b")}, WITHOUT_C, 0),
    shape(
        "columns in another order below",
        {f"{DAY}.csv": csv("track_id,t", f"{A},9", "t,track_id", f"9,{B}")},
        WITHOUT_C,
        0,
    ),
    shape(
        "a title that is a header's word", {f"{DAY}.csv": csv("t,track_id", f"id,{A}", f"track_id,{B}")}, WITHOUT_C, 0
    ),
    shape("a separator line", {f"{DAY}.csv": csv("sep=;", "track_id;t", f"{A};a,b", f"{B};")}, WITHOUT_C, 0),
    shape(
        "a separator in a quoted header",
        {f"{DAY}.csv": csv('"track_id";"a, b"', f'{A};"a, b"', f"{B};x")},
        WITHOUT_C,
        0,
    ),
    shape("a long cell", {f"{DAY}.csv": csv("track_id,t", f"{A},{'x' * 200_000}", f"{B},b")}, WITHOUT_C, 0),
    shape("bad quotes", {f"{DAY}.csv": csv("track_id,t", f'{A},"a"x', f"{B},b")}, ALL, 6, "line 2: a quote"),
    shape(
        "a quote that is never closed",
        {f"{DAY}.csv": csv("track_id,t", f"{A},a", f'{B},"b')},
        ALL,
        6,
        "line 3: a quote",
    ),
    shape(
        "a quote that swallows rows",
        {f"{DAY}.csv": csv("track_id,t", f'{A},"a', f"{B},b", f'{C},c"')},
        ALL,
        6,
        "look like rows",
    ),
    shape("a title of two lines", {f"{DAY}.csv": csv("track_id,t", f'{A},"a\nb"', f"{B},b")}, WITHOUT_C, 0),
    shape(
        "a column id alone", {f"{DAY}.csv": csv("id,title", f"{A},a", f"{B},b")}, WITHOUT_C, 0, "column 'id' is read"
    ),
    shape(
        "id beside another id",
        {f"{DAY}.csv": csv("id,song_id", f"1,{A}", f"2,{B}")},
        ALL,
        2,
        "columns are: id, song_id",
    ),
    shape("two columns of track ids", {f"{DAY}.csv": csv("track_id,Track ID", f"{A},{B}")}, ALL, 2, "two columns"),
    shape("no header, one column", {f"{DAY}.txt": csv(A, B)}, WITHOUT_C, 0),
    shape("no header, two columns", {f"{DAY}.csv": csv(f"{A},a", f"{B},b")}, ALL, 6, "there is no header"),
    shape("no header, two numbers", {f"{DAY}.csv": csv(f"1,{A}", f"2,{B}")}, ALL, 2, "no column track_id"),
    shape("separators of thousands", {f"{DAY}.csv": csv("track_id", '"54,230,701"', B)}, ALL, 6, "'54,230,701'"),
    shape("an exponent", {f"{DAY}.csv": csv("track_id", "5.42E+07", B)}, ALL, 6, "'5.42E+07'"),
    shape("a whole number with a point", {f"{DAY}.csv": csv("track_id", f"{A}.0", f"{B}.00")}, WITHOUT_C, 0),
    shape("a number with a fraction", {f"{DAY}.csv": csv("track_id", A, f"{B}.5")}, ALL, 6, "line 3"),
    shape(
        "a time that is none in a row",
        {f"{DAY}.csv": csv("track_id,observed_at", f"{A},{DAY}", f"{B},soon")},
        ALL,
        6,
        "'soon'",
    ),
    shape(
        "a header in another language",
        {f"{DAY}.csv": csv("Titel,Künstler", "a,b")},
        ALL,
        2,
        "line 1",
        "Titel, Künstler",
        "track_id",
    ),
]
INVENTED = [
    shape("a number cut at the end", {f"{DAY}.json": f"[{A},{B},542307"}, ALL, 6, "byte 25", "ends too early"),
    shape("a whole number at the end", {f"{DAY}.json": f"[{A},{B},{D}"}, ALL, 6, "ends too early"),
    shape("a text cut at the end", {f"{DAY}.json": f'["{A}","542307'}, ALL, 6, "broken"),
    shape(
        "an id cut at the end of a table",
        {f"{DAY}.csv": csv("t,track_id", f"a,{A}", "b,542307", end="")},
        ALL,
        6,
        "line 3",
    ),
    shape("an id cut at the end of lines", {f"{DAY}.jsonl": csv(A, "542307", end="")}, ALL, 6, "line 2"),
    shape(
        "a row cut before its last cell", {f"{DAY}.csv": csv("track_id,t", f"{A},a", "54230", end="")}, ALL, 6, "line 3"
    ),
    shape(
        "no line end, but all is there", {f"{DAY}.csv": csv("track_id", A, D, end="")}, (*ALL, D), 6, "add a line end"
    ),
    shape("a list with rubbish behind it", {f"{DAY}.json": f"[{A},{B}] and so on"}, ALL, 6, "byte 20"),
    shape("a broken item", {f"{DAY}.json": f'[{A},{{"track_id":{D},"x":}},{B}]'}, ALL, 6, "byte 35"),
    shape("null beside a list", {f"{DAY}.json": {"data": None, "tracks": [A, B]}}, WITHOUT_C, 0),
    shape("two lists in one object", {f"{DAY}.json": {"items": [A], "tracks": [D]}}, (*ALL, D), 6, "items, tracks"),
    shape("a list twice in one object", {f"{DAY}.json": f'{{"data":[{A}],"data":[{D}]}}'}, (*ALL, D), 6, "data"),
    shape(
        "a list of another name beside it", {f"{DAY}.json": {"data": [A], "more": [{"track_id": D}]}}, ALL, 6, "'more'"
    ),
    shape("a list of another name", {f"{DAY}.json": {"songs": [{"track_id": D}]}}, ALL, 2, "byte 0", "songs", "tracks"),
    shape("an id twice in one item", {f"{DAY}.json": f'[{A},{{"track_id":{B},"track_id":{D}}}]'}, ALL, 6, "byte 10"),
    shape("an id that is no number", {f"{DAY}.json": [A, {"track_id": True}, {"track_id": "x"}]}, ALL, 6, "track_id"),
    shape("ids with a point", {f"{DAY}.json": f'[{A}.0,{{"track_id":{B}.0}}]'}, WITHOUT_C, 0),
    shape("counts as text", {f"{DAY}.json": {"data": [A, B], "counts": "3"}}, ALL, 6, "states 3"),
    shape("a total", {f"{DAY}.json": {"tracks": [A, B], "total": 3}}, ALL, 6, "states 3"),
    shape("a next page", {f"{DAY}.json": {"tracks": [A, B], "next": "https://x"}}, ALL, 6, "last page is missing"),
    shape("more to come", {f"{DAY}.json": {"tracks": [A, B], "has_more": True}}, ALL, 6, "last page is missing"),
    shape(
        "all pages of a chain",
        {f"{DAY}-1.json": {"data": [A], "next": 2}, f"{DAY}-2.json": {"data": [B], "next": None}},
        WITHOUT_C,
        0,
    ),
    shape("a refused answer with a list", {f"{DAY}.json": {"data": [D], "code": 1}}, ALL, 2, "code 1"),
]
OWN = [
    shape(
        "another account's rows",
        {f"{DAY}.csv": csv("account,track_id,title", f"bob,{D},x")},
        ALL,
        2,
        "column account",
        "--from DATABASE",
    ),
    shape("an answer of as-of", {f"{DAY}.json": [{"answer": "no", "track_id": D}]}, ALL, 2, "column answer"),
    shape(
        "a history of favourites",
        {f"{DAY}.csv": csv("track_id,valid_from,valid_to", f"{D},,")},
        ALL,
        2,
        "favsync's own output",
    ),
    shape("the change log", {f"{DAY}.jsonl": f'{{"change":"removed","track_id":{D}}}\n'}, ALL, 2, "column change"),
    shape("the table tracks", {f"{DAY}.csv": csv("track_id,title,first_seen_at", f"{D},x,")}, ALL, 2, "first_seen_at"),
    shape("the artists of tracks", {f"{DAY}.csv": csv("track_id,position,artist_id", f"{D},1,5")}, ALL, 2, "artist_id"),
    shape(
        "its own output beside a list",
        {f"{DAY}.json": [A, B], f"{DAY}.csv": csv("track_id,is_current", f"{D},t")},
        ALL,
        6,
        "is_current",
    ),
    shape(
        "an exported folder",
        {f"{DAY}/manifest.json": '{\n "favsync": "1"}', f"{DAY}/x.json": [D], "2026-03-05.json": [A, B]},
        WITHOUT_C,
        6,
        "an export of favsync",
    ),
]
PAGES = [
    shape("page numbers that look like times", {f"{DAY}-01-02.json": [A, B], f"{DAY}-02-02.json": [C]}, ALL, 2, "pages of one list?"),
    shape("lists a second apart", {f"{DAY}T10-00-00.json": [A, B], f"{DAY}T10-00-01.json": [C]}, ALL, 2, "share 0 of 3"),
    shape("times within, a second apart", {"1.json": {"fetched_at": f"{DAY}T10:00:00", "data": [A, B]}, "2.json": {"fetched_at": f"{DAY}T10:00:01", "data": [C]}}, ALL, 2, "pages"),
    shape("pages that share one track", {f"{DAY}T10-00-00.json": [A, B], f"{DAY}T10-00-01.json": [B, C]}, ALL, 2, "share 1 of 3"),
    shape("a last page of the shared track", {f"{DAY}T10-00-00.json": [A, B], f"{DAY}T10-00-01.json": [B]}, ALL, 2, "share 1 of 2"),
    shape("an empty last page", {f"{DAY}T10-00-00.json": [A, B, C], f"{DAY}T10-00-01.json": []}, ALL, 2, "share 0 of 3"),
    shape("each row its own time", {f"{DAY}.csv": csv("track_id,fetched_at", f"{A},{DAY}T10:00:00", f"{B},{DAY}T10:00:01")}, ALL, 2, "pages"),
    shape("two lists of one day", {f"{DAY}T10-00.json": [A, B, C], f"{DAY}T18-00.json": [A, B]}, WITHOUT_C, 0),
    shape("two lists of two days", {f"{DAY}.json": [A, B, C], "2026-03-02.json": [B, D]}, (B, D), 0),
    shape("pages of one day", {f"{DAY}-1.json": [A, B], f"{DAY}-2.json": [C]}, ALL, 0),
    shape("several dated lists in one file", {"x.jsonl": csv(json.dumps({"exported_at": DAY, "data": [A, B, C]}), json.dumps({"exported_at": "2026-03-05", "data": [A, B]}))}, WITHOUT_C, 0),
    shape("a name of two times", {"2026-03-01 to 2026-03-05.json": [A, B], "2026-03-09.json": [A, B, C]}, ALL, 6, "more than one time"),
    shape("a name with a zone", {f"{DAY} 14.30 EST.json": [A, B], "2026-03-09.json": [A, B, C]}, ALL, 6, "several ways"),
]  # fmt: skip
ISOLATED = [
    shape("an impossible year", {f"{DAY}.json": [A, B, C, D], "x.json": {"exported_at": "0001-01-01T00:00:00+01:00", "data": [A]}}, (*ALL, D), 6, "exported_at"),
    shape("a time in the future", {f"{DAY}.json": [A, B], "2099-01-01.json": [A]}, WITHOUT_C, 6, "in the future"),
    shape("deep JSON", {f"{DAY}.json": [A, B, C, D], "2026-03-05.json": "[" * 100_000}, (*ALL, D), 6, "nested too deeply"),
    shape("deep pages", {f"{DAY}.json": [A, B, C, D], "2026-03-05.json": '{"data":[' * 100_000}, (*ALL, D), 6, "nested too deeply"),
    shape("a number without end", {f"{DAY}.json": f'[{{"track_id":{A},"x":{"9" * 9_999}}},{B}]'}, WITHOUT_C, 0),
    shape("a name with controls", {f"{DAY}\x1b[2J.json": [A, B]}, WITHOUT_C, 0, "\\x1b"),
    shape("a name that is no text", {f"{DAY}\udce9.json": [A, B], f"{DAY}\udcff.txt": "?\n"}, ALL, 6, "\\xff"),
    shape("a broken zip", {f"{DAY}.json": [A, B, C, D], "2026-03-05.zip": b"PK\x03\x04broken"}, (*ALL, D), 6, "broken zip"),
    shape("a broken gzip", {f"{DAY}.json": [A, B, C, D], "2026-03-05.json.gz": b"\x1f\x8b\x08broken"}, (*ALL, D), 6, "cannot be read"),
    shape("a damaged database", {f"{DAY}.json": [A, B, C, D], "x.db": b"SQLite format 3\x00" + b"x" * 4096}, (*ALL, D), 6, "x.db"),
    shape("an item that cannot be read", {f"{DAY}.json": [{"track_id": A, "artwork": 5}, B, C]}, ALL, 6, f"track {A}: its facts"),
    shape("text in Latin-1", {f"{DAY}.json": b'[{"track_id":%d,"track_title":"caf\xe9"},%d,%d]' % ALL}, ALL, 6, "text is lost in 1"),
    shape("text lost before", {f"{DAY}.json": f'[{{"track_id":{A},"track_title":"caf\\ufffd"}},{B},{C}]'}, ALL, 6, "text is lost in 1"),
]  # fmt: skip
SHAPES = [*UNREAD, *ROWS, *INVENTED, *OWN, *PAGES, *ISOLATED]


@pytest.fixture
def imported(
    new_database: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[dict[str, Content]], tuple[int, tuple[int, ...], str]]:
    """Return a function that imports files; it returns the exit code, the favourites afterwards, and the output."""
    url = new_database("sqlite")
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", url)
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.chdir(folder)
    engine = open_engine(url)
    ada = account_in(engine)
    import_past(engine, ada, past_snapshot(1, ALL))

    def run(files: dict[str, Content]) -> tuple[int, tuple[int, ...], str]:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = content if isinstance(content, str | bytes) else json.dumps(content)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
        code = main(["backfill", "--from", ".", "--complete"])
        printed = capsys.readouterr()
        with read_transaction(engine) as connection:
            query = select(favourites.c.track_id).where(favourites.c.valid_to.is_(None)).order_by(favourites.c.track_id)
            kept = tuple(connection.execute(query).scalars())
        assert_rebuilt(engine, ada)
        return code, kept, printed.out + printed.err

    yield run
    engine.dispose()


@pytest.mark.parametrize("case", SHAPES, ids=lambda case: case.name)
def test_shape_of_export(imported, case: Shape) -> None:
    code, kept, output = imported(case.files)
    assert (code, kept) == (case.code, case.kept), output
    assert [word for word in case.words if word not in output] == [], output
