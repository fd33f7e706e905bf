"""What `favsync backfill --from . --complete` makes of export files as people have them.

A, B, C are favourites since an earlier complete export. A shape is a name, its files, the tracks that are favourites
afterwards, the exit code, and words that the output must hold.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select

from etl import clock
from etl.backfill.import_files import ImportOptions, import_paths, read_paths
from etl.cli import main
from etl.db.engine import open_engine, read_transaction
from etl.db.tables import favourites
from etl.errors import UsageError
from etl.load.accounts import Account
from tests.support.past import account_in, assert_rebuilt, import_past, past_snapshot

A, B, C, D = 54230701, 54230702, 54230703, 54230704
ALL, NO_C, NEW = (A, B, C), (A, B), (A, B, C, D)
DAY, AT = "2026-03-01", "2026-03-01T10-00-0"
Content = str | bytes | list[object] | dict[str, object]
Files = dict[str, Content]


def beside(name: str, content: Content) -> Files:
    """Return a file beside a list of A and B."""
    return {f"{DAY}-p1.json": [A, B], name: content}


def longer(name: str, content: Content) -> Files:
    """Return a file beside a list with D, which is imported whatever the file holds."""
    return {f"{DAY}.json": [A, B, C, D], name: content}


def csv(content: str) -> Files:
    return {f"{DAY}.csv": content}


def body(content: Content) -> Files:
    return {f"{DAY}.json": content}


# fmt: off
UNREAD: list[tuple[object, ...]] = [
    ("a half-downloaded page", beside(f"{DAY}-p2.json.part", [C]), ALL, 6, "p2.json.part"),
    ("a half-downloaded file without a date", beside("Unconfirmed 7.crdownload", [C]), ALL, 6, "7.crdownload"),
    ("a temporary file", beside("p2.tmp", [C]), ALL, 6, "p2.tmp"),
    ("a started download", beside("p2.json.download", [C]), ALL, 6, "p2.json.download"),
    ("a page in an archive that is not read", beside(f"{DAY}-p2.json.xz", b"\xfd7zXZ"), ALL, 6, "p2.json.xz"),
    ("a hidden page", beside(f".{DAY}-p2.json", [C]), ALL, 6, "is hidden"),
    ("a hidden document", beside(".notes.md", "x"), ALL, 6, "is hidden"),
    ("a hidden folder", beside(".more/p2.json", [C]), ALL, 6, ".more"),
    ("a page in another format", beside(f"{DAY}-p2.xlsx", b"PK\x03\x04"), ALL, 6, "p2.xlsx"),
    ("a list of another program", beside("library.xml", "<key>Track ID</key>"), ALL, 6, "library.xml"),
    ("an empty page", beside(f"{DAY}-p2.json", ""), ALL, 6, "is empty"),
    ("a page that is an error", beside(f"{DAY}-p2.json", {"code": 401}), ALL, 6, "code 401"),
    ("a web page instead of a page", beside(f"{DAY}-p2.json", "<html>no</html>\n"), ALL, 6, "p2"),
    ("text that is no list", beside("list.txt", "my favourites\n"), ALL, 6, "list.txt"),
    ("an unread file of another week", beside("2026-02-01.zst", "x"), NO_C, 0, "2026-02-01.zst"),
    ("a broken file of the day before", beside("2026-02-28.json", "{"), NO_C, 6, "2026-02-28"),
    ("files that systems leave", beside("._x.json", "x") | {"__MACOSX/p2.json": "x", ".git/p2.json": [C]}, NO_C, 0),
    *[(f"a document {name}", beside(name, "x"), NO_C, 0, f"skipped, unsupported file types: {name}") for name in (
        "notes.md", f"{DAY}-p2.md", "README", "readme.txt", "LICENSE", "report.html", "a.htm", "a.pdf", "Cover.JPG",
        "a.png", "a.jpeg", "a.gif", "a.svg", "a.log", "a.yaml", "a.yml", "a.toml", "a.ini", ".DS_Store", "Thumbs.db",
    )],
    *[(f"a page that is not read: {name}", beside(name, "x"), ALL, 6, name) for name in (
        "a.xml", "list.xspf", "list.m3u8", "favourites", f"{DAY}-p2.json~", f"{DAY}-p2.json.bak", "changelog.json",
        f"{DAY}-p2.har", f"{DAY}-p2.rar",
    )],
    ("a list in XML of UTF-16", beside("a.xml", "<key>Track ID</key>".encode("utf-16")), ALL, 6, "a.xml"),
    ("a zip without files", beside(f"{DAY}-p2.zip", b"PK\x05\x06" + bytes(18)), ALL, 6, "is an empty zip"),
    ("a manifest of another program", beside(f"{DAY}/manifest.json", {"x": "favsync"}) | {f"{DAY}/2.json": [C]}, ALL, 6),
]
ROWS: list[tuple[object, ...]] = [
    ("a comma in a title", csv(f"title,plays,track_id\nOne,1,{A}\nA, B,2,31\n"), ALL, 6, "line 3"),
    ("a short row", csv(f"track_id,title\n{A},a\n{B}\n"), ALL, 6, "line 3"),
    ("a row of blanks", csv(f"track_id,title\n{A},a\n,\n{B},b\n"), NO_C, 0),
    ("rows of CR that a quote swallows", csv(f'track_id,t\r{A},"a\r{B},b\r{C},c"\r'), ALL, 6, "look like rows"),
    ("a row that a quote swallows in part", csv(f't,track_id\n"a,{A}\nb",{B}\nc,{C}\n'), ALL, 6, "look like rows"),
    ("line ends of all kinds", csv(f"track_id,t\r{A},a\r\n{B},b\n"), NO_C, 0),
    ("a quote that is closed far below", csv(f'track_id,t\n{A},"{"x" * 9}\n' + "x\n" * 500 + f'"\n{B},b\n'), ALL, 6, "line 2"),
    ("numbers of rows", csv("id,title,artist\n1,One,x\n2,Two,y\n3,Three,z\n"), ALL, 2, "counts the rows"),
    ("numbers of rows from 0", csv("id,title\n0,One\n1,Two\n"), ALL, 2, "counts the rows"),
    ("numbers of rows without a header", csv("1,One\n2,Two\n"), ALL, 2, "counts the rows"),
    ("numbers of rows beside ids", csv(f"id,track_id\n1,{A}\n2,{B}\n"), NO_C, 0),
    ("id beside the id of another service", csv(f"id,uri\n{A},spotify:x\n"), ALL, 2, "columns are: id, uri"),
    ("a separator that is a quote", csv(f'sep="\ntrack_id\n{A}\n{B}\n'), ALL, 2, "line 1"),
    ("a separator line without one", csv(f"sep=\r\ntrack_id\r\n{A}\r\n"), ALL, 2, "line 1"),
    ("a separator line with another one", csv(f"sep=,\ntrack_id;t\n{A};a\n"), ALL, 2, "line 2", "track_id;t"),
    ("a quoted separator line of a tab", csv(f'"sep=\t"\ntrack_id\tt\n{A}\ta\n{B}\tb\n'), NO_C, 0),
    *[(f"an id written as {text!r}", csv(f"t;track_id\na;{text}\nb;{B}\n"), ALL, 6, "line 2") for text in (
        f"'{A}", f'="{A}"', f"+{A}", f"https://x/songs/{A}", "54.230.701", "54 230 701", f"{A},0", "５４２３０７０１",
        f"\u200b{A}", f"-{A}", "9" * 20, f"0x{A}",
    )],
    *[(f"an id written as {text!r}", csv(f"track_id;t\n{text};a\n{B};b\n"), NO_C, 0) for text in (
        f"\u00a0{A} ", f"00{A}", f'"{A}"',
    )],
    ("a table in Markdown", {f"{DAY}.txt": f"| track_id | t |\n| --- | --- |\n| {A} | a |\n"}, ALL, 6, "line 2"),
    ("a table of psql", {f"{DAY}.txt": f" track_id | t \n---+---\n {A} | a\n(1 row)\n"}, ALL, 6, "line 2", "line 4"),
    ("a footer", csv(f"track_id,t\n{A},a\n{B},b\nTotal,2\n"), ALL, 6, "'Total'"),
    ("words before the header", csv(f"My favourites\n\ntrack_id,t\n{A},a\n"), ALL, 2, "My favourites"),
    ("an empty column at the end", csv(f"track_id,t,\n{A},a,\n{B},b,\n"), NO_C, 0),
    ("a wider table behind it", csv(f"track_id,t\n{A},a\ntrack_id,t,u\n{B},b,c\n"), ALL, 6, "line 3", "line 4"),
    *[(f"an export of {service}", csv(f"{columns}\n{'x,' * columns.count(',')}7\n"), ALL, 2, columns.split(",")[0]) for
      service, columns in {
        "TuneMyMusic": "Track name,Artist name,Playlist name,ISRC,Spotify - id", "Soundiiz": "title,artist,album,isrc",
        "Exportify": "Track URI,Track Name,Album URI", "Last.fm": "uts,utc_time,artist,track,track_mbid",
        "Apple Music": "Track Identifier,Song Name,Artist",
    }.items()],
    ("the header twice", csv(f"track_id,t\n{A},a\ntrack_id,t\n{B},b\n"), NO_C, 0),
    ("columns in another order below", csv(f"track_id,t\n{A},9\nt,track_id\n9,{B}\n"), NO_C, 0),
    ("a title that is a header's word", csv(f"t,track_id\nid,{A}\ntrack_id,{B}\n"), NO_C, 0),
    ("a separator line", csv(f"sep=;\ntrack_id;t\n{A};a,b\n{B};\n"), NO_C, 0),
    ("a separator in a quoted header", csv(f'"track_id";"a, b"\n{A};"a, b"\n{B};x\n'), NO_C, 0),
    ("a long cell", csv(f"track_id,t\n{A},{'x' * 200_000}\n{B},b\n"), NO_C, 0),
    ("bad quotes", csv(f'track_id,t\n{A},"a"x\n{B},b\n'), ALL, 6, "line 2: a quote"),
    ("a quote that is never closed", csv(f'track_id,t\n{A},a\n{B},"b\n'), ALL, 6, "line 3: a quote"),
    ("a quote that swallows rows", csv(f'track_id,t\n{A},"a\n{B},b\n{C},c"\n'), ALL, 6, "look like rows"),
    ("a title of two lines", csv(f'track_id,t\n{A},"a\nb"\n{B},b\n'), NO_C, 0),
    ("a column id alone", csv(f"id,title\n{A},a\n{B},b\n"), NO_C, 0, "column 'id' is read"),
    ("id beside another id", csv(f"id,song_id\n1,{A}\n2,{B}\n"), ALL, 2, "columns are: id, song_id"),
    ("two columns of track ids", csv(f"track_id,Track ID\n{A},{B}\n"), ALL, 2, "two columns"),
    ("no header, one column", {f"{DAY}.txt": f"{A}\n{B}\n"}, NO_C, 0),
    ("no header, two columns", csv(f"{A},a\n{B},b\n"), ALL, 6, "there is no header"),
    ("no header, two numbers", csv(f"1,{A}\n2,{B}\n"), ALL, 2, "no column track_id"),
    ("separators of thousands", csv(f'track_id\n"54,230,701"\n{B}\n'), ALL, 6, "'54,230,701'"),
    ("an exponent", csv(f"track_id\n5.42E+07\n{B}\n"), ALL, 6, "'5.42E+07'"),
    ("a whole number with a point", csv(f"track_id\n{A}.0\n{B}.00\n"), NO_C, 0),
    ("a number with a fraction", csv(f"track_id\n{A}\n{B}.5\n"), ALL, 6, "line 3"),
    ("a time that is none in a row", csv(f"track_id,observed_at\n{A},{DAY}\n{B},soon\n"), ALL, 6, "'soon'"),
    ("another language", csv("Titel,Künstler\na,b\n"), ALL, 2, "line 1", "Titel, Künstler", "track_id"),
    ("no line end", csv(f"track_id,t\n{A},a\n{B},b"), NO_C, 0),
    ("no line end after a number", csv(f"t,track_id\na,{A}\nb,{B}"), NO_C, 0),
    ("no line end, ids of several lengths", csv(f"track_id\n{A}\n7\n{B}\n123"), (7, 123, A, B), 0),
    ("no line end after ids alone", {f"{DAY}.txt": f"{A}\n{B}"}, NO_C, 0),
    ("an id cut at the end", csv(f"t,track_id\na,{A}\nb,542307"), ALL, 6, "line 3", "may be cut"),
    ("the only id at the end", csv("track_id\n542307"), ALL, 2, "line 2", "may be cut"),
    ("a row cut before its last cell", csv(f"track_id,t\n{A},a\n{B}"), ALL, 6, "line 3"),
    ("a cut header", csv("track_id,ti"), ALL, 2, "line 1", "may be cut"),
]
INVENTED: list[tuple[object, ...]] = [
    ("a number cut at the end", body(f"[{A},{B},542307"), ALL, 6, "byte 25", "ends too early"),
    ("a whole number at the end", body(f"[{A},{B},{D}"), ALL, 6, "ends too early"),
    ("a text cut at the end", body(f'["{A}","542307'), ALL, 6, "broken"),
    ("an id cut at the end of lines", {f"{DAY}.jsonl": f"{A}\n542307"}, ALL, 6, "line 2", "may be cut"),
    ("an item cut at the end of lines", {f"{DAY}.jsonl": f'{{"track_id":{A}}}\n{{"track_id":{B}'}, ALL, 6, "line 2"),
    ("lines without a line end", {f"{DAY}.jsonl": f'{{"track_id":{A}}}\n{{"track_id":{B}}}'}, NO_C, 0),
    ("lines of ids without a line end", {f"{DAY}.jsonl": f"{A}\n{B}"}, NO_C, 0),
    ("a list with rubbish behind it", body(f"[{A},{B}] and so on"), ALL, 6, "byte 20"),
    ("a broken item", body(f'[{A},{{"track_id":{D},"x":}},{B}]'), ALL, 6, "byte 35"),
    ("null beside a list", body({"data": None, "tracks": [A, B]}), NO_C, 0),
    ("two lists in one object", body({"items": [A], "tracks": [D]}), NEW, 6, "items, tracks"),
    ("a list twice in one object", body(f'{{"data":[{A}],"data":[{D}]}}'), NEW, 6, "data"),
    ("a list of another name beside it", body({"data": [A], "more": [{"track_id": D}]}), ALL, 6, "'more'"),
    ("a list of another name", body({"songs": [{"track_id": D}]}), ALL, 2, "byte 0", "songs", "tracks"),
    ("an id twice in one item", body(f'[{A},{{"track_id":{B},"track_id":{D}}}]'), ALL, 6, "byte 10"),
    ("an id that is no number", body([A, {"track_id": True}, {"track_id": "x"}]), ALL, 6, "track_id"),
    ("ids with a point", body(f'[{A}.0,{{"track_id":{B}.0}}]'), NO_C, 0),
    ("counts as text", body({"data": [A, B], "counts": "3"}), ALL, 6, "states 3"),
    ("a total", body({"tracks": [A, B], "total": 3}), ALL, 6, "states 3"),
    ("a next page", body({"tracks": [A, B], "next": "https://x"}), ALL, 6, "last page is missing"),
    ("more to come", body({"tracks": [A, B], "has_more": True}), ALL, 6, "last page is missing"),
    *[(f"a page that states {fields}", body({"data": [A, B]} | fields), ALL, 6, "counts as a part") for fields in (
        {"meta": {"total": 3}}, {"totalItems": 3}, {"Total": "3"}, {"track_count": 3}, {"paging": {"next": "https://x"}},
        {"_links": {"next": {"href": "x"}}}, {"links": {"next": "x"}}, {"@odata.nextLink": "x"}, {"nextPageToken": "x"},
        {"pageInfo": {"hasNextPage": True}}, {"isLast": False}, {"complete": False}, {"truncated": True},
        {"page": 1, "total_pages": 2}, {"pagination": {"page": 1, "pages": 2}}, {"offset": 200}, {"previous": "x"},
        {"error": {"code": 401}}, {"errors": [{"message": "timeout"}]}, {"success": False}, {"status": "failed"},
    )],
    *[(f"a page that states {fields}", body({"data": [A, B]} | fields), NO_C, 0) for fields in (
        {"meta": {"total": 2, "pages": 1}}, {"offset": 0, "limit": 2, "next": None}, {"page": 1, "last_page": 1},
        {"isLast": True, "success": True, "error": None, "errors": [], "status": "ok"}, {"more": False, "user": "x"},
    )],
    *[(f"tracks beside a list: {json.dumps(fields)}", body({"data": [A, B]} | fields), ALL, 6, repr(next(iter(fields))))
      for fields in (
        {"page2": [C]}, {"more": {"list": [C]}}, {"Data": [C]}, {"songs": [{"id": C}]}, {"Künstler": [str(C)]},
    )],
    ("tracks beside a list, with an escape", body(f'{{"data":[{A}],"m":[{{"track\\u005fid":{C}}}]}}'), ALL, 6, "'m'"),
    *[(f"another form: {json.dumps(content)}", body(content), ALL, 2, DAY) for content in (
        {"data": {"list": [A, B]}}, {"tracks": {"items": [{"track_id": A}]}}, {str(A): {"track_id": A}},
        {"data": [{"track": {"track_id": A}}]}, [{"trackId": A}], {"data": json.dumps([A])}, {"Künstler": [{"track_id": A}]},
        {"tracks": [{"uri": "spotify:track:x"}]}, {"data": [{"id": A}], "total": 1}, {"playlists": [{"tracks": [A]}]}, {},
    )],
    ("the name of a field in another language", body({"Künstler": [{"track_id": A}]}), ALL, 2, "fields are Künstler"),
    *[(f"broken JSON: {text}", body(text), ALL, code, "2026-03-01.json: ") for text, code in (
        (f"[{A},{B},]", 6), (f"[{A}, /* x */ {B}]", 6), ("[{'track_id': 1}]", 2), (f"var x = [{A}]", 2), (f"cb([{A}])", 2),
        (f"// x\n[{A}]", 2), (f"[-{A},{B}]", 6), (f"[5.4230701e7,{B}]", 6), (f"\x1e[{A}]", 2), ("<html>x</html>", 2),
    )],
    ("lists of two names", body([{"name": "Favourites", "tracks": [A]}, {"name": "Old", "tracks": [D]}]), NEW, 6,
     "several lists: Favourites, Old"),
    ("a page chain", {f"{DAY}-1.json": {"data": [A], "next": 2}, f"{DAY}-2.json": {"data": [B], "next": 0}}, NO_C, 0),
    ("a refused answer with a list", body({"data": [D], "code": 1}), ALL, 2, "code 1"),
]
OWN: list[tuple[object, ...]] = [
    ("another account's rows", csv(f"account,track_id\nbob,{D}\n"), ALL, 2, "column account", "--from DATABASE"),
    ("an answer of as-of", body([{"answer": "no", "track_id": D}]), ALL, 2, "column answer"),
    ("a history", csv(f"track_id,valid_from,valid_to\n{D},,\n"), ALL, 2, "favsync's own output"),
    ("the change log", {f"{DAY}.jsonl": f'{{"change":"removed","track_id":{D}}}\n'}, ALL, 2, "column change"),
    ("the table tracks", csv(f"track_id,title,first_seen_at\n{D},x,\n"), ALL, 2, "first_seen_at"),
    ("the artists of tracks", csv(f"track_id,position,artist_id\n{D},1,5\n"), ALL, 2, "artist_id"),
    ("its own output beside a list", beside(f"{DAY}.csv", f"track_id,is_current\n{D},t\n"), ALL, 6, "is_current"),
    ("a damaged export", body([A, B]) | {"x/manifest.json": '{"favsync": 1}', "x/x.json": [D]}, NO_C, 6, "x: is dam"),
]
PAGES: list[tuple[object, ...]] = [
    ("page numbers like times", {f"{DAY}-01-02.json": [A, B], f"{DAY}-02-02.json": [C]}, ALL, 2, "pages of one list?"),
    ("lists a second apart", {f"{AT}0.json": [A, B], f"{AT}1.json": [C]}, ALL, 2, "share 0 of 3"),
    ("pages that share one track", {f"{AT}0.json": [A, B], f"{AT}1.json": [B, C]}, ALL, 2, "share 1 of 3"),
    ("a last page of the shared track", {f"{AT}0.json": [A, B], f"{AT}1.json": [B]}, ALL, 2, "share 1 of 2"),
    ("an empty last page", {f"{AT}0.json": [A, B, C], f"{AT}1.json": []}, ALL, 2, "share 0 of 3"),
    ("times within the files", {
        "1.json": {"fetched_at": f"{DAY}T10:00:00", "data": [A, B]},
        "2.json": {"fetched_at": f"{DAY}T10:00:01", "data": [C]},
    }, ALL, 2, "pages"),
    ("a time in each row", csv(f"track_id,fetched_at\n{A},{DAY}T10:00:00\n{B},{DAY}T10:00:01\n"), ALL, 2, "pages"),
    ("two lists of one day", {f"{DAY}T10-00.json": [A, B, C], f"{DAY}T18-00.json": [A, B]}, NO_C, 0),
    ("two lists of two days", {f"{DAY}.json": [A, B, C], "2026-03-02.json": [B, D]}, (B, D), 0),
    ("pages of one day", {f"{DAY}-1.json": [A, B], f"{DAY}-2.json": [C]}, ALL, 0),
    ("a time in each row, days apart", csv(f"track_id,fetched_at\n{A},{DAY}\n{B},2026-03-05\n"), ALL, 2, "share 0 of 2"),
    ("a download of the same day", {f"{DAY}.json": [A, B], f"{DAY} (1).json": [B, C]}, ALL, 0),
    *[(f"a file that states the time {time!r}", body({"exported_at": time, "data": [A, B]}), ALL, 6, "possible time")
      for time in ("soon", "2026-01-05 10:00 EST", 1_767_600_000, "01/05/2026", "2026-02-30", "", [])],
    ("a time beside the list", {"x.json": {"meta": {"exportedAt": DAY}, "data": [A, B]}}, NO_C, 0),
    *[(f"a file of the name {name}", {f"{name}.json": [A, B]}, ALL, 2, "--observed-at") for name in (
        "03-11-2025-10-12", "2026/03/01/list", "03-01-2026", "1772323200", "2026-W09", "1 March 2026", f"{DAY} 14.30 PKT",
        f"{DAY} 14.30 est", f"{DAY}T14-30-00-UTC+2", "2026-13-01", f"{DAY} 2026-03-02",
    )],
    ("dated lists that state their lengths", {"x.json": [
        {"exported_at": DAY, "total": 3, "data": [A, B, C]}, {"exported_at": "2026-03-05", "total": 2, "data": [A, B]},
    ]}, NO_C, 0),
    ("dated lists in one file", {
        "x.jsonl": f'{{"exported_at":"{DAY}","data":[{A},{B},{C}]}}\n{{"exported_at":"2026-03-05","data":[{A},{B}]}}\n',
    }, NO_C, 0),
    ("a name of two times", longer("2026-03-01 to 2026-03-05.json", [A]), NEW, 6, "more than one"),
    ("a name with a zone", {f"{DAY} 14.30 EST.json": [A, B], "2026-03-09.json": [A, B, C]}, ALL, 6, "several ways"),
]
ISOLATED: list[tuple[object, ...]] = [
    ("an impossible year", longer("x.json", {"fetched_at": "0001-01-01T00:00+01:00", "ids": [A]}), NEW, 6, "no time"),
    ("a time in the future", beside("2099-01-01.json", [A]), NO_C, 6, "in the future"),
    ("deep JSON", longer("2026-03-05.json", "[" * 100_000), NEW, 6, "nested too deeply"),
    ("deep pages", longer("2026-03-05.json", '{"data":[' * 100_000), NEW, 6, "nested too deeply"),
    ("a number without end", body(f'[{{"track_id":{A},"x":{"9" * 9_999}}},{B}]'), NO_C, 0),
    ("a name with controls", {f"{DAY}\x1b[2J.json": [A, B]}, NO_C, 0, "\\x1b"),
    ("a name that is no text", {f"{DAY}\udce9.json": [A, B], f"{DAY}\udcff.txt": "?\n"}, ALL, 6, "\\xff"),
    ("a broken zip", longer("2026-03-05.zip", b"PK\x03\x04broken"), NEW, 6, "broken zip"),
    ("a broken gzip", longer("2026-03-05.json.gz", b"\x1f\x8b\x08broken"), NEW, 6, "cannot be read"),
    ("a damaged database", longer("x.db", b"SQLite format 3\x00" + b"x" * 4096), NEW, 6, "x.db"),
    ("an item that cannot be read", body([{"track_id": A, "artwork": 5}, B, C]), ALL, 6, f"track {A}: its facts"),
    ("text in Latin-1", body(b'[{"track_id":%d,"track_title":"caf\xe9"},%d,%d]' % ALL), ALL, 6, "text is lost in 1"),
    ("text lost before", body(f'[{{"track_id":{A},"t":"caf\\ufffd"}},{B},{C}]'), ALL, 6, "text is lost in 1"),
]
# fmt: on
SHAPES = [*UNREAD, *ROWS, *INVENTED, *OWN, *PAGES, *ISOLATED]
# fmt: off
IMPORTED = {
    "a half-downloaded page", "a document notes.md", "files that systems leave", "a quoted separator line of a tab",
    "no header, two numbers", "a broken item", "a column id alone", "lines without a line end", "two lists in one object",
    "two lists of two days", "lists a second apart", "pages of one day", "a name with controls", "a name that is no text",
    "a damaged export", "a damaged database", "an item that cannot be read",
}
# fmt: on
"""Shapes that the whole command imports; reading alone decides what becomes of the others."""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Files], None]:
    """Return a function that writes files into the current folder, which is empty."""
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def write(files: Files) -> None:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = content if isinstance(content, str | bytes) else json.dumps(content)
            path.write_bytes(data if isinstance(data, bytes) else data.encode())

    return write


def with_three(url: str) -> None:
    """Fill a database with the earlier export."""
    engine = open_engine(url)
    import_past(engine, account_in(engine), past_snapshot(1, ALL))
    engine.dispose()


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[0] in IMPORTED], ids=lambda shape: shape[0])
def test_shape_of_export_is_imported(filled_database, written, monkeypatch, capsys, shape) -> None:
    _, files, kept, code, *words = shape
    url, _ = filled_database("sqlite", with_three)
    monkeypatch.setenv("FAVSYNC_DATABASE_URL", url)
    written(files)
    found = main(["backfill", "--from", ".", "--complete"])
    output = "".join(capsys.readouterr())
    engine = open_engine(url)
    with read_transaction(engine) as connection:
        query = select(favourites.c.track_id).where(favourites.c.valid_to.is_(None)).order_by(favourites.c.track_id)
        favourites_afterwards = tuple(connection.execute(query).scalars())
    assert_rebuilt(engine, account_in(engine))
    engine.dispose()
    assert (found, favourites_afterwards) == (code, kept), output
    assert [word for word in words if word not in output] == [], output


def test_each_imported_shape_exists():
    assert {shape[0] for shape in SHAPES} >= IMPORTED


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape[0] not in IMPORTED], ids=lambda shape: shape[0])
def test_shape_of_export_is_read(written, shape) -> None:
    _, files, kept, code, *words = shape
    written(files)
    found, favourites_afterwards, output = read()
    assert (found, favourites_afterwards) == (code, kept), output
    assert [word for word in words if word not in output] == [], output


def read() -> tuple[int, tuple[int, ...], str]:
    """Read the files; return the exit code, the favourites that the snapshots make of A, B and C, and what is said."""
    where, options = [Path()], ImportOptions(is_complete=True)
    try:
        found = read_paths(where, options, clock.now())
        if not found.snapshots:  # the error comes before the database is used, which has no table
            import_paths(
                create_engine("sqlite://"), Account(1, "ada", None, None, enabled=True), where, options, clock.now()
            )
    except UsageError as error:
        return error.exit_code, ALL, f"{error.message} {error.remedy}"
    kept = set(ALL)
    for past in found.snapshots:
        kept = {item.track_id for item in past.items} | (set() if past.proves_absence and past.decision else kept)
    skipped = f"skipped, unsupported file types: {', '.join(fault.file for fault in found.passed_over)}"
    output = "\n".join(map(str, [*found.faults, *found.notes, skipped]))
    return 6 if found.faults else 0, tuple(sorted(kept - {None})), output
