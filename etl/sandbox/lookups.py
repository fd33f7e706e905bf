"""The catalogue's endpoints: by ids, ISRC, play counts, search, charts, and the user's own page.

Each answers what the documentation shows, as far as the made-up catalogue has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any
from urllib.parse import unquote

import msgspec

from etl.sandbox.catalogue import Catalogue
from etl.sandbox.chance import Rng
from etl.sandbox.dirt import Fields
from etl.sandbox.refusals import Refusal
from etl.sandbox.state import SandboxList
from etl.sandbox.wire import SandboxReply, SandboxRequest, envelope, enveloped, json_list
from etl.sandbox.world import World

MAX_IDS = 20
_MAX_FOUND = 20
_DAYS = ("2023-04-03", "2023-04-04", "2023-04-05")


def user(world: World, account: SandboxList) -> SandboxReply:
    """Answer ``/user/getUserInfo``."""
    who = account.user
    url = "https://img.example.invalid/group10/M00/00/01/a0000000000000000000000000000001_200_200.jpg"
    avatar = {"width": 200, "height": 200, "url": url}
    facts = {"user_id": who.user_id, "user_name": who.name, "avatar": avatar, "region": who.region, "plan": who.plan}
    return enveloped(facts)


def user_playlists(world: World, account: SandboxList) -> SandboxReply:
    """Answer ``/user/playlists``: the first three of the account's playlists, as if they were its own."""
    own = [world.catalogue.playlist(number) for number in account.playlists[:3]]
    return SandboxReply(body=envelope(json_list(own), counts=len(own)))


def by_ids(world: World, request: SandboxRequest, entry: Callable[[int], bytes]) -> SandboxReply:
    """Answer a by-ids request.

    Raises: Refusal without ``ids``, with more than 20, with one that is no number, and by switch with an unknown one.
    """
    words = [word for word in request.query.get("ids", "").split(",") if word]
    if not 1 <= len(words) <= MAX_IDS:
        raise Refusal("parameter", f"ids must be 1 to {MAX_IDS} numbers")
    found = (_found(world, entry, _integer(word)) for word in words)
    return SandboxReply(body=envelope(json_list([entry for entry in found if entry is not None])))


def by_isrc(world: World, isrc: str) -> SandboxReply:
    """Answer the tracks that carry an ISRC, which may be none."""
    wanted = unquote(isrc)
    matching = [number for number, fields in _all_fields(world.catalogue) if wanted and fields.get("isrc") == wanted]
    return SandboxReply(body=envelope(json_list([world.catalogue.item(number) for number in matching])))


def track_plays(world: World, track_id: str) -> SandboxReply:
    """Answer the play counts of a track and of its album.

    Raises: Refusal for an unknown track.
    """
    fields = _decoded(world.catalogue.item, _integer(track_id))
    plays = {"track_id": fields["track_id"], "title": fields.get("track_title"), "segments": _segments(world, track_id)}
    album = fields.get("album_id", 0)
    title = fields.get("album_title", "")
    return enveloped(plays | {"album": {"album_id": album, "title": title, "segments": _segments(world, album)}})


def album_plays(world: World, album_id: str) -> SandboxReply:
    """Answer the play counts of an album.

    Raises: Refusal for an unknown album.
    """
    fields = _decoded(world.catalogue.album, _integer(album_id))
    return enveloped(
        {"album_id": fields["album_id"], "title": fields["album_title"], "segments": _segments(world, album_id)}
    )


def search(world: World, request: SandboxRequest) -> SandboxReply:
    """Answer the entries of one type whose title or name holds ``q``.

    Raises: Refusal without ``q``, or for an unknown ``type``.
    """
    wanted, kind = request.query.get("q", "").casefold(), request.query.get("type", "")
    catalogue = world.catalogue
    entries: dict[str, tuple[Iterable[int], Callable[[int], bytes], str]] = {
        "track": (catalogue.track_ids, catalogue.item, "track_title"),
        "album": (catalogue.album_ids, catalogue.album, "album_title"),
        "artist": (catalogue.artist_ids, catalogue.artist, "artist_name"),
        "playlist": (catalogue.playlist_ids, catalogue.playlist, "playlist_title"),
    }
    if not wanted or kind not in entries:
        raise Refusal("parameter", "q and type (album, artist, playlist or track) are required")
    numbers, entry, name = entries[kind]
    market = request.query.get("market")
    found = (entry(number) for number in numbers if _matches(_readable(entry(number)), name, wanted, market))
    return SandboxReply(body=envelope(b'{"%ss":%s}' % (kind.encode(), json_list(list(islice(found, _MAX_FOUND))))))


def chart(world: World, playlist_id: str) -> SandboxReply:
    """Answer the details of a chart, which is one of the catalogue's playlists.

    Raises: Refusal for an unknown one.
    """
    number = _integer(playlist_id)
    playlist = _decoded(lambda wanted: world.catalogue.playlist(wanted, is_long=True), number)
    track_ids = world.catalogue.playlist_tracks(number)
    tracks = [_charted(world.catalogue.fields(track_id), rank) for rank, track_id in enumerate(track_ids, 1)]
    facts = {name: playlist[name] for name in ("playlist_id", "playlist_title", "web_url", "mobile_url", "followers")}
    made_up = {"date_updated": _DAYS[-1], "playlist_creator": "Sandbox", "description": "A made-up chart"}
    return enveloped(
        made_up | facts | {"track_count": len(tracks), "artwork": playlist.get("artwork"), "tracks": tracks}
    )


def weekly_albums(world: World) -> SandboxReply:
    """Answer the made-up top albums of the week."""
    catalogue, albums = world.catalogue, []
    for rank, album_id in enumerate(catalogue.album_ids[:20], 1):
        fields = _readable(catalogue.album(album_id))
        wanted = ("album_id", "album_title", "upc", "available_markets")
        ranked = {name: fields[name] for name in wanted if name in fields} | {"album_rank": rank}
        albums.append(catalogue.dirty("ranked_album", ranked, album_id))
    if albums and "album_doubled" in world.switches.dirt:
        albums.append(albums[0] | {"album_rank": len(albums) + 1, "available_markets": "OT,CN"})
    return enveloped({"date_updated": _DAYS[-1], "albums": albums})


def _found(world: World, entry: Callable[[int], bytes], number: int) -> bytes | None:
    try:
        return entry(number)
    except LookupError:
        if world.switches.unknown_ids == "error":
            raise Refusal("unknown_id", str(number)) from None
        return b"null" if world.switches.unknown_ids == "null" else None


def _decoded(entry: Callable[[int], bytes], number: int) -> Fields:
    try:
        return _readable(entry(number))
    except LookupError:
        raise Refusal("unknown_id", str(number)) from None


def _readable(body: bytes) -> Fields:
    try:
        decoded: Fields = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}
    return decoded


def _all_fields(catalogue: Catalogue) -> Iterable[tuple[int, Fields]]:
    return ((number, _readable(catalogue.item(number))) for number in catalogue.track_ids)


def _matches(fields: Fields, name: str, wanted: str, market: str | None) -> bool:
    is_available = market is None or market in str(fields.get("available_markets", market)).split(",")
    return is_available and wanted in str(fields.get(name, "")).casefold()


def _integer(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise Refusal("parameter", "an id must be an integer")
    return int(text)


def _segments(world: World, key: object) -> list[Fields]:
    dice = Rng(world.seed, "plays", key)
    return [{"date": day, "valid_plays": _plays(dice, 9_000), "invalid_plays": _plays(dice, 3)} for day in _DAYS]


def _plays(dice: Rng, bound: int) -> list[Fields]:
    plays = {code: dice.below(bound) for code in ("NG", "GH", "KE", "ZA")}
    everywhere = {"Global": sum(plays.values())} | plays
    return [{"country_code": code, "plays": number} for code, number in everywhere.items()]


def _charted(fields: Fields, rank: int) -> Fields:
    hours, minutes, seconds = str(fields.get("duration", "00:00:00")).rjust(8, "0").split(":")
    kept = {name: value for name, value in fields.items() if name not in ("track_number", "available_markets")}
    artists = [artist | {"artist_role": "Main Artists"} for artist in fields.get("artists", ())]
    spelt = {"duration": f"PT{hours}H{minutes}M{seconds}S", "artists": artists}
    return kept | spelt | {"track_rank": rank, "track_rank_lastweek": rank + 1}
