"""Scenarios of services that are wrong in the same way at every request."""

from __future__ import annotations

from collections.abc import Mapping

from etl.sandbox.distortions import Distortion
from etl.sandbox.scenario import Scenario


def _rows(*rows: str, share: float = 0.25) -> dict[str, object]:
    return {"malformed": frozenset(rows), "malformed_share": share}


WRONG_SERVICES: Mapping[str, Scenario] = {
    "result_window": Scenario("only the newest 100 favourites are served", distortion=Distortion(window=100)),
    "result_window_refused": Scenario(
        "only the newest 100 favourites are served, and pages behind them are refused with HTTP 400",
        distortion=Distortion(window=100, past_window="error"),
    ),
    "hidden_artists": Scenario(
        "the tracks of some artists are hidden for an hour, about 24 % of the list",
        distortion=Distortion(hidden="artist", lasts_seconds=3600, honest_counts=False),
    ),
    "hidden_albums": Scenario(
        "the tracks of some albums are hidden for good, about 24 % of the list",
        distortion=Distortion(hidden="album", honest_counts=False),
    ),
    "creeping_hiding": Scenario(
        "ten more tracks are hidden each hour, for a day",
        distortion=Distortion(hidden="creeping", lasts_seconds=86_400, honest_counts=False),
    ),
    "filter_after_slice": Scenario(
        "pages are cut first and hidden tracks dropped afterwards, so that pages are short for good",
        distortion=Distortion(hidden="album", hidden_share=0.06, hides_after_slice=True),
    ),
    "page_cache": Scenario(
        "answers are cached by address for an hour; `Cache-Control: no-cache` passes the cache",
        distortion=Distortion(cache_seconds=3600),
    ),
    "stubborn_page_cache": Scenario(
        "answers are cached by address for an hour, whatever `Cache-Control` says",
        distortion=Distortion(cache_seconds=3600, honours_no_cache=False),
    ),
    "replicas_by_offset": Scenario(
        "some pages always come from a copy that lags two hours", distortion=Distortion(replicas="by_offset")
    ),
    "replicas_in_turn": Scenario(
        "every second request is answered from a copy that lags two hours", distortion=Distortion(replicas="in_turn")
    ),
    "sticky_replicas": Scenario(
        "some connections are answered from a copy that lags two hours", distortion=Distortion(replicas="sticky")
    ),
    "stale_page": Scenario("one page is always two hours old", distortion=Distortion(replicas="page")),
    "flapping_items": Scenario(
        "a tenth of the tracks is served at about every second request only", distortion=Distortion(flapping_share=0.1)
    ),
    "cut_list": Scenario(
        "the last fifth of the list is missing, and `counts` agrees",
        distortion=Distortion(ends_early=0.2, honest_counts=False),
    ),
    "foreign_list": Scenario(
        "another user's list is served, while user info is right", distortion=Distortion(foreign_list=True)
    ),
    "foreign_list_no_user": Scenario(
        "another user's list is served, while user info fails",
        distortion=Distortion(foreign_list=True, user_info="fails"),
    ),
    "foreign_user": Scenario(
        "another user's list is served, and user info names that user",
        distortion=Distortion(foreign_list=True, user_info="other"),
    ),
    "deep_pages_refused": Scenario(
        "pages from offset 1000 on are refused with HTTP 400", distortion=Distortion(refused_offset=1000)
    ),
    "lasting_duplicates": Scenario("three tracks are listed twice, for good", distortion=Distortion(duplicates=3)),
    "one_item_pages": Scenario("pages hold one item, whatever is asked", positions={"page_cap": 1}),
    "float_ids": Scenario("ids are numbers such as 1000.0", positions=_rows("ids_as_floats", share=1)),
    "null_entries": Scenario("some entries of the list are null", positions=_rows("entry_null", share=0.03)),
    "unreadable_list": Scenario("most entries have no id", positions=_rows("entry_without_id", share=0.8)),
}
