"""The seed table of markets: every ISO 3166-1 code, each with its UN M49 region."""

from __future__ import annotations

import csv

import pytest

from tests.house.source import ROOT

with (ROOT / "etl/db/seed/markets.csv").open(encoding="utf-8", newline="") as seed:
    ROWS = list(csv.DictReader(seed))
BY_CODE = {row["code"]: row for row in ROWS}
REGIONS = {
    "Africa": {"Northern Africa", "Eastern Africa", "Middle Africa", "Southern Africa", "Western Africa"},
    "Americas": {"Caribbean", "Central America", "South America", "Northern America"},
    "Antarctica": {"Antarctica"},
    "Asia": {"Central Asia", "Eastern Asia", "South-eastern Asia", "Southern Asia", "Western Asia"},
    "Europe": {"Eastern Europe", "Northern Europe", "Southern Europe", "Western Europe"},
    "Oceania": {"Australia and New Zealand", "Melanesia", "Micronesia", "Polynesia"},
}


def test_it_holds_the_249_iso_codes_sorted_and_once_each() -> None:
    codes = [row["code"] for row in ROWS]
    assert len(codes) == 249
    assert codes == sorted(set(codes))
    assert all(len(code) == 2 and code.isascii() and code.isupper() for code in codes)
    assert not {"XK", "XO", "OT", "UK", "EU"} & set(codes)


def test_names_are_unique_and_trimmed() -> None:
    names = [row["name"] for row in ROWS]
    assert len(set(names)) == 249
    assert all(name and name == name.strip() for name in names)


def test_sub_regions_are_used_and_match_their_region() -> None:
    found: dict[str, set[str]] = {}
    for row in ROWS:
        found.setdefault(row["region"], set()).add(row["sub_region"])
    assert found == REGIONS


def test_africa_has_its_sixty_places() -> None:
    assert sum(row["region"] == "Africa" for row in ROWS) == 60


@pytest.mark.parametrize(
    ("code", "name", "sub_region"),
    [
        ("AQ", "Antarctica", "Antarctica"),
        ("CD", "DR Congo", "Middle Africa"),
        ("CI", "Côte d'Ivoire", "Western Africa"),
        ("EG", "Egypt", "Northern Africa"),
        ("GB", "United Kingdom", "Northern Europe"),
        ("GG", "Guernsey", "Northern Europe"),
        ("JM", "Jamaica", "Caribbean"),
        ("KE", "Kenya", "Eastern Africa"),
        ("MX", "Mexico", "Central America"),
        ("NA", "Namibia", "Southern Africa"),
        ("NG", "Nigeria", "Western Africa"),
        ("NR", "Nauru", "Micronesia"),
        ("SD", "Sudan", "Northern Africa"),
        ("TW", "Taiwan", "Eastern Asia"),
        ("TZ", "Tanzania", "Eastern Africa"),
        ("ZA", "South Africa", "Southern Africa"),
    ],
)
def test_well_known_place_is_in_its_sub_region(code: str, name: str, sub_region: str) -> None:
    assert (BY_CODE[code]["name"], BY_CODE[code]["sub_region"]) == (name, sub_region)
